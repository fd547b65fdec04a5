"""Jobs run one at a time, with AWS Batch's retries and timeouts, and outlive their stack."""

import asyncio
import json
import os

import pytest
from botocore.exceptions import ClientError

from local.batch import jobs
from local.batch.jobs import EXITED, INTERRUPTED, TIMED_OUT, is_retried

from .fake_batch import ROLE, FakeCloud, StandIn, running


@pytest.fixture(autouse=True)
def users_environment(monkeypatch):
    monkeypatch.setenv("AWS_PROFILE", "of-the-user")
    monkeypatch.setenv("LANG", "C.UTF-8")


def test_a_job_succeeds_and_says_so_in_its_states(tmp_path):
    cloud = FakeCloud()

    async def scenario():
        async with running(tmp_path, cloud) as batch:
            job_id = await batch.submit("echo trained; exit 0")
            job = await batch.until(job_id, "SUCCEEDED")
            assert job["container"]["exitCode"] == 0
            assert job["createdAt"] <= job["startedAt"] <= job["stoppedAt"]
            assert [each["container"]["exitCode"] for each in job["attempts"]] == [0]
        return batch

    batch = asyncio.run(scenario())
    assert cloud.states == ["SUBMITTED", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED"]
    words = [line.split()[-1] for line in batch.log().splitlines()]
    assert words == ["SUBMITTED", "RUNNABLE", "STARTING", "RUNNING", "trained", "exited"]


def test_a_job_finds_its_own_environment_and_nothing_else_of_the_users(tmp_path):
    async def scenario():
        async with running(tmp_path) as batch:
            job_id = await batch.submit(
                "env",
                overrides={"environment": [{"name": "RUN_ID", "value": "run-1"}]},
            )
            await batch.until(job_id, "SUCCEEDED")
            return job_id, batch.log()

    job_id, log = asyncio.run(scenario())
    found = dict(line.split("=", 1) for line in log.splitlines() if "=" in line)
    assert found.pop("PATH") == os.environ["PATH"]
    assert found.pop("HOME") == os.environ["HOME"]
    for of_the_shell in ("PWD", "SHLVL", "_", "OLDPWD", "LC_CTYPE"):
        found.pop(of_the_shell, None)
    assert found == {
        "A": "of all",
        "AWS_BATCH_JOB_ATTEMPT": "1",
        "AWS_BATCH_JOB_ID": job_id,
        "AWS_BATCH_JQ_NAME": "JobQueue",
        "AWS_ENDPOINT_URL": "http://cloud",
        "JOB_CACHE": str(tmp_path / "state" / "cache"),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "ROLE": ROLE,
        "RUN_ID": "run-1",
        "TABLE": "table",
    }


def test_one_job_runs_at_a_time_first_come_first_served(tmp_path):
    async def scenario():
        async with running(tmp_path) as batch:
            script = "test ! -e busy && touch busy && sleep 0.2 && rm busy"
            first, second, third = [await batch.submit(script, f"run-{n}") for n in range(3)]
            await batch.until(third, "SUCCEEDED")
            return [await batch.job(job) for job in (first, second, third)]

    ended = asyncio.run(scenario())
    assert [len(job["attempts"]) for job in ended] == [1, 1, 1], "two ran at once"
    assert [job["stoppedAt"] for job in ended] == sorted(job["stoppedAt"] for job in ended)


def test_a_failed_attempt_is_made_again_and_knows_its_number(tmp_path):
    cloud = FakeCloud()

    async def scenario():
        async with running(tmp_path, cloud) as batch:
            job_id = await batch.submit("test $AWS_BATCH_JOB_ATTEMPT = 3")
            job = await batch.until(job_id, "SUCCEEDED", "FAILED")
            assert job["status"] == "SUCCEEDED"
            return [each["container"]["exitCode"] for each in job["attempts"]]

    assert asyncio.run(scenario()) == [1, 1, 0]
    assert cloud.states.count("RUNNABLE") == 3


@pytest.mark.parametrize(("status", "attempts"), [(2, 1), (1, 3)])
def test_a_job_fails_where_its_strategy_ends(tmp_path, status, attempts):
    async def scenario():
        async with running(tmp_path) as batch:
            job_id = await batch.submit(f"exit {status}")
            return await batch.until(job_id, "FAILED")

    job = asyncio.run(scenario())
    assert len(job["attempts"]) == attempts
    assert job["container"]["exitCode"] == status
    assert job["statusReason"] == "Essential container in task exited"


def test_an_attempt_that_takes_too_long_ends_the_job(tmp_path):
    async def scenario():
        async with running(tmp_path) as batch:
            job_id = await batch.submit("sleep 9999", timeout={"attemptDurationSeconds": 0.3})
            return await batch.until(job_id, "FAILED")

    job = asyncio.run(scenario())
    assert job["statusReason"] == TIMED_OUT
    assert len(job["attempts"]) == 1


def test_an_interrupted_job_goes_on_with_the_next_start(tmp_path):
    async def scenario():
        async with running(tmp_path) as batch:
            job_id = await batch.submit("echo attempt $AWS_BATCH_JOB_ATTEMPT; sleep 9999")
            waiting = await batch.submit("exit 0", "run-2")
            await batch.log_has("attempt 1")
        kept = json.loads((tmp_path / "state" / "jobs.json").read_text())
        assert [job["status"] for job in kept] == ["RUNNING", "RUNNABLE"]
        async with running(tmp_path) as batch:
            await batch.log_has("attempt 2")
            job = await batch.job(job_id)
            assert job["attempts"][0]["statusReason"] == INTERRUPTED
            await batch.call("TerminateJob", jobId=job_id, reason="enough")
            await batch.until(waiting, "SUCCEEDED")

    asyncio.run(scenario())


def test_a_job_that_ends_while_the_stack_stops_has_ended(tmp_path):
    async def scenario():
        async with running(tmp_path) as batch:
            job_id = await batch.submit("trap 'exit 0' TERM; echo on; sleep 9999 & wait")
            await batch.log_has("on")
        return await StandIn(tmp_path, FakeCloud()).job(job_id)

    assert asyncio.run(scenario())["status"] == "SUCCEEDED"


def test_a_job_without_credentials_is_tried_again_and_says_why(tmp_path):
    def refuse(role):
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "AssumeRole")

    async def scenario():
        async with running(tmp_path, credentials=refuse) as batch:
            return await batch.until(await batch.submit("exit 0"), "FAILED")

    job = asyncio.run(scenario())
    assert len(job["attempts"]) == 3
    assert ROLE in job["statusReason"] and "AccessDenied" in job["statusReason"]


@pytest.fixture
def checkout(tmp_path):
    """A makefile that makes the training's environment, which takes whatever `make` says."""
    training = tmp_path / "training"
    training.mkdir()
    (training / "requirements.txt").write_text("")
    (tmp_path / "Makefile").write_text(
        "training/.venv/done: training/requirements.txt\n"
        "\t@echo building for $$AWS_PROFILE\n"
        "\t@mkdir -p training/.venv/bin\n"
        "\t@printf '#!/bin/sh\\necho ran $$*\\n' > training/.venv/bin/python\n"
        "\t@chmod +x training/.venv/bin/python\n"
        "\t@touch $@\n"
    )
    return tmp_path


async def train(batch, name="run-1") -> dict:
    overrides = {"command": ["python", "-m", "training.job"]}
    return await batch.until(
        await batch.submit("", name, overrides=overrides), "SUCCEEDED", "FAILED"
    )


def test_the_first_training_makes_its_environment_as_the_user_would(checkout):
    async def scenario():
        async with running(checkout) as batch:
            for name in ("run-1", "run-2"):
                assert (await train(batch, name))["status"] == "SUCCEEDED"
            return batch.log("run-1"), batch.log("run-2")

    first, second = asyncio.run(scenario())
    assert "building for of-the-user" in first and "ran -m training.job" in first
    assert "building" not in second and "ran -m training.job" in second


def test_a_job_says_that_its_environment_is_being_installed_until_it_is(checkout):
    makefile = checkout / "Makefile"
    wait = "\t@while [ ! -e enough ]; do sleep 0.02; done\n"
    makefile.write_text(makefile.read_text() + wait)

    async def scenario():
        async with running(checkout) as batch:
            overrides = {"command": ["python", "-m", "training.job"]}
            job_id = await batch.submit("", overrides=overrides)
            await batch.log_has("building")
            starting = await batch.job(job_id)
            (checkout / "enough").touch()
            return starting, await batch.until(job_id, "SUCCEEDED")

    starting, ended = asyncio.run(scenario())
    assert starting["status"] == "STARTING"
    reason = starting["statusReason"]
    assert reason.startswith("Installing TensorFlow, minute 1 of about 5.")
    assert "only after training/requirements.txt changes" in reason
    assert ended["statusReason"] == EXITED


def test_an_outdated_environment_is_made_anew(checkout):
    async def scenario():
        async with running(checkout) as batch:
            await train(batch)
            done = checkout / "training" / ".venv" / "done"
            os.utime(done, (0, 0))
            await train(batch, "run-2")
            return batch.log("run-2")

    assert "building" in asyncio.run(scenario())


def test_a_training_without_an_environment_fails_and_says_where_to_look(checkout):
    (checkout / "Makefile").write_text("training/.venv/done:\n\t@echo no network; exit 1\n")

    async def scenario():
        async with running(checkout) as batch:
            return await train(batch), batch.log()

    job, log = asyncio.run(scenario())
    assert job["status"] == "FAILED" and job["attempts"] == []
    assert job["statusReason"].startswith("CannotPullContainerError: make training/.venv/done")
    assert "no network" in log


def test_a_job_that_is_terminated_is_not_made_again(tmp_path):
    async def scenario():
        async with running(tmp_path) as batch:
            job_id = await batch.submit("echo on; sleep 9999")
            await batch.log_has("on")
            await batch.call("TerminateJob", jobId=job_id, reason="not needed any more")
            return await batch.until(job_id, "FAILED")

    job = asyncio.run(scenario())
    assert job["statusReason"] == "not needed any more"
    assert len(job["attempts"]) == 1


def test_without_capacity_a_job_waits_and_can_be_terminated(tmp_path):
    async def scenario():
        async with running(tmp_path) as batch:
            (batch.state / jobs.NO_CAPACITY).touch()
            unwanted, wanted = await batch.submit("exit 0"), await batch.submit("exit 0", "run-2")
            await batch.call("TerminateJob", jobId=unwanted, reason="too slow")
            ended = await batch.until(unwanted, "FAILED")
            assert (ended["statusReason"], ended["attempts"]) == ("too slow", [])
            assert (await batch.job(wanted))["status"] == "RUNNABLE"
            (batch.state / jobs.NO_CAPACITY).unlink()
            await batch.until(wanted, "SUCCEEDED")

    asyncio.run(scenario())


def test_only_what_has_not_begun_is_cancelled(tmp_path):
    async def scenario():
        async with running(tmp_path) as batch:
            runs = await batch.submit("echo on; sleep 9999")
            waits = await batch.submit("exit 0", "run-2")
            await batch.log_has("on")
            for job in (runs, waits):
                await batch.call("CancelJob", jobId=job, reason="changed my mind")
            cancelled = await batch.until(waits, "FAILED")
            assert cancelled["statusReason"] == "changed my mind"
            assert (await batch.job(runs))["status"] == "RUNNING"
            await batch.call("CancelJob", jobId=waits, reason="again")
            assert (await batch.job(waits))["statusReason"] == "changed my mind"

    asyncio.run(scenario())


def test_ended_jobs_are_forgotten_in_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr(jobs, "ENDED_KEPT", 2)

    async def scenario():
        async with running(tmp_path) as batch:
            ids = []
            for number in range(4):
                ids.append(await batch.submit("exit 0", f"run-{number}"))
                await batch.until(ids[-1], "SUCCEEDED")
            known = await batch.call("DescribeJobs", jobs=ids)
            return [job["jobId"] for job in known["jobs"]], ids

    known, ids = asyncio.run(scenario())
    assert known == ids[1:]


def test_lines_of_any_length_and_content_reach_the_log(tmp_path):
    script = "printf 'a\\rb\\n\\n\\377\\n'; head -c 200000 /dev/zero | tr '\\0' x; printf end"
    cloud = FakeCloud()

    async def scenario():
        async with running(tmp_path, cloud) as batch:
            await batch.until(await batch.submit(script), "SUCCEEDED")
        return batch.log()

    lines = asyncio.run(scenario()).split("\n")
    assert lines[4:8] == ["a", "b", "", "\N{REPLACEMENT CHARACTER}"]
    assert lines[8] == "x" * 200_000 + "end"
    ((_, sent),) = cloud.streams.items()
    assert sent[6:8] == [" ", "\N{REPLACEMENT CHARACTER}"]


RULES = [
    {"onExitCode": "2", "action": "EXIT"},
    {"onExitCode": "13*", "onStatusReason": "Host*", "action": "exit"},
    {"onReason": "*", "action": "RETRY"},
]


@pytest.mark.parametrize(
    ("strategy", "attempts", "code", "why", "retried"),
    [
        ({}, 1, 1, "", False),
        ({"attempts": 3}, 2, 1, "", True),
        ({"attempts": 3}, 3, 1, "", False),
        ({"attempts": 3, "evaluateOnExit": RULES}, 1, 2, "", False),
        ({"attempts": 3, "evaluateOnExit": RULES}, 1, 137, "Host EC2 terminated", False),
        ({"attempts": 3, "evaluateOnExit": RULES}, 1, 137, "", True),
        ({"attempts": 3, "evaluateOnExit": RULES}, 1, None, INTERRUPTED, True),
        ({"attempts": 3, "evaluateOnExit": RULES[:1]}, 1, 5, "", True),
    ],
)
def test_the_first_condition_that_matches_decides(strategy, attempts, code, why, retried):
    assert is_retried(strategy, attempts, code, why) is retried
