"""A training that a function asks for runs as a process here, and what becomes of it gets back."""

import signal
import stat

import pytest

from .conftest import LocalStack, copy_of_the_checkout, eventually

pytestmark = pytest.mark.end_to_end

ATTEMPTS = 3


@pytest.fixture(scope="module")
def acting(tmp_path_factory):
    """A stack whose trainings do what `act.sh` says."""
    folder = tmp_path_factory.mktemp("acting")
    stack = LocalStack(folder / "state", copy_of_the_checkout(folder / "checkout"))
    stack.start()
    try:
        yield stack
    finally:
        if stack.process:
            stack.stop()


def act(stack: LocalStack, script: str) -> None:
    (stack.checkout / "act.sh").write_text(script)


def start_a_run(stack: LocalStack) -> str:
    with stack.admin() as admin:
        answer = admin.post("/retrain", json={})
        assert answer.status_code == 202, answer.text
        return answer.json()["id"]


def ended(stack: LocalStack, run: str, seconds: float = 30) -> dict:
    """The run once it has ended."""
    with stack.admin() as admin:
        states = ("PROMOTED", "REJECTED", "FAILED")

        def found():
            told = admin.get(f"/runs/{run}").json()
            return told if told["state"] in states else None

        told = eventually(found, seconds)
    assert told, stack.job_log(run)
    return told


def test_the_admins_token_is_in_a_file_for_its_user_alone(acting):
    token = acting.state_dir / "admin-token"
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    assert token.read_text().strip().isalnum()
    with acting.client() as anybody:
        assert anybody.post("/retrain", json={}).status_code == 401


def test_a_job_runs_and_its_end_reaches_the_run(acting):
    act(acting, "echo table $TABLE run $RUN_ID; exit 2")
    run = start_a_run(acting)
    told = ended(acting, run)
    assert told["state"] == "FAILED" and told["reason"]
    log = acting.job_log(run)
    assert "-m training.job: attempt 1" in log and "attempt 2" not in log
    said = f"table {acting.description()['outputs']['Table']} run {run}"
    assert said in log
    groups = acting.cloud("logs").describe_log_groups(logGroupNamePrefix="/aws/batch/")["logGroups"]
    (group,) = [each["logGroupName"] for each in groups]
    lines = acting.cloud("logs").filter_log_events(logGroupName=group)["events"]
    assert said in [line["message"] for line in lines]


def test_retrain_follows_a_run_to_its_end(acting):
    act(acting, "exit 0")
    done = acting.command("retrain", status=1)
    assert done.startswith("run 2") and "FAILED: " in done.splitlines()[-1]


def test_a_job_goes_on_with_its_next_attempt_whatever_ended_the_stack(acting):
    act(acting, "trap '' TERM; sleep 600 & while :; do sleep 0.1; done")
    run = start_a_run(acting)
    for attempt, number in ((1, signal.SIGINT), (2, signal.SIGKILL), (3, signal.SIGTERM)):
        assert eventually(lambda a=attempt: f"attempt {a}" in acting.job_log(run), 20)
        acting.stop(number)
        assert eventually(lambda: not acting.processes(), 20), acting.processes()
        acting.start()
    assert attempt == ATTEMPTS
    assert ended(acting, run)["state"] == "FAILED"
    assert "Spot" in acting.job_log(run)


def test_dead_letters_go_back_to_their_queue_by_one_command(acting):
    """The retrain function ignores what is no event of S3: it takes the message, and it is gone."""
    sqs = acting.cloud("sqs")
    dead = acting.description()["outputs"]["UploadsDeadLetters"]
    for number in range(12):
        sqs.send_message(QueueUrl=dead, MessageBody=f'{{"Event": "s3:TestEvent", "n": {number}}}')
    assert acting.command("replay").startswith("12 messages moved to ")
    assert acting.command("replay").startswith("0 messages moved to ")
