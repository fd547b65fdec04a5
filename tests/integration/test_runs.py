"""runs: one at a time, and never lost."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from pydantic import ValidationError

from clickbait import aws
from clickbait.errors import BadRequest, Conflict, NotFound, Unavailable
from clickbait.store import runs, triggers
from clickbait.store.runs import Parameters, Runs
from tests.cloud import create_table

TABLE, DATA, MODELS = "table", "data", "models"


class Batch:
    """The part of AWS Batch that a run needs."""

    def __init__(self) -> None:
        self.jobs: dict[str, dict[str, Any]] = {}
        self.stopped: dict[str, str] = {}
        self.fault: Exception | None = None

    def submit_job(self, **request: Any) -> dict[str, Any]:
        if self.fault:
            raise self.fault
        job = f"job-{len(self.jobs)}"
        created = int(runs.time.time() * 1000)
        self.jobs[job] = {"jobId": job, "status": "RUNNABLE", "createdAt": created, **request}
        return {"jobId": job}

    def list_jobs(self, *, filters: Any, **_: Any) -> dict[str, Any]:
        (names,) = (f["values"] for f in filters if f["name"] == "JOB_NAME")
        return {"jobSummaryList": [j for j in self.jobs.values() if j["jobName"] in names]}

    def describe_jobs(self, *, jobs: list[str]) -> dict[str, Any]:
        return {"jobs": [self.jobs[j] for j in jobs if j in self.jobs]}

    def terminate_job(self, *, jobId: str, reason: str) -> None:
        if self.fault:
            raise self.fault
        self.stopped[jobId] = reason

    def end(self, status: str = "FAILED", **more: Any) -> dict[str, Any]:
        """End the newest job and return the event's detail."""
        job = list(self.jobs.values())[-1]
        job.update(status=status, **more)
        return job


class Killed(BaseException):
    """Stands for SIGKILL: no code catches it."""


@pytest.fixture
def batch() -> Batch:
    return Batch()


@pytest.fixture
def table(batch: Batch, monkeypatch) -> Iterator[Runs]:
    with mock_aws():
        create_table(TABLE)
        original = aws.client
        monkeypatch.setattr(aws, "client", lambda s: batch if s == "batch" else original(s))
        yield Runs(TABLE, "queue", "definition")


@pytest.fixture
def clock(monkeypatch) -> Any:
    class Clock:
        now = 1_000_000.0

        def time(self) -> float:
            return self.now

    created = Clock()
    monkeypatch.setattr(runs, "time", created)
    monkeypatch.setattr(triggers, "time", created)
    return created


def ask(table: Runs) -> dict[str, Any]:
    return table.request("admin", Parameters(epochs=3), "somebody asked.")


# --- one run --------------------------------------------------------------------------------------


def test_a_run_is_recorded_from_its_first_moment(table, batch):
    run = ask(table)
    assert (run["state"], run["reason"], run["trigger"]) == ("QUEUED", "somebody asked.", "admin")
    assert run["parameters"] == {"epochs": 3, "from_scratch": False, "skip_label_check": False}
    assert set(run["times"]) == {"QUEUED"}
    (job,) = batch.jobs.values()
    assert job["jobName"] == run["id"]
    assert job["containerOverrides"]["environment"] == [{"name": "RUN_ID", "value": run["id"]}]
    assert run["job"] == job["jobId"]


def test_each_state_has_its_time_and_its_reason(table):
    run = ask(table)["id"]
    table.advance(run, "RUNNING", "It trains.", epoch=0)
    table.report(run, epoch=1, metrics={"val_auc": 0.5, "val_loss": None})
    table.advance(run, "EVALUATING", "The gate looks.")
    table.advance(run, "PROMOTED", "No worse.", version="v")
    record = table.get(run)
    assert list(record["times"]) == ["QUEUED", "RUNNING", "EVALUATING", "PROMOTED"]
    assert record["metrics"] == {"val_auc": 0.5, "val_loss": None}
    assert (record["epoch"], record["version"], record["reason"]) == (1, "v", "No worse.")


def test_an_end_is_final(table):
    run = ask(table)["id"]
    assert table.advance(run, "REJECTED", "Worse.")
    assert not table.advance(run, "PROMOTED", "Better.")
    assert not table.report(run, epoch=9)
    assert table.get(run)["reason"] == "Worse." and "epoch" not in table.get(run)


def test_only_one_run_is_active_at_a_time(table, batch):
    first = ask(table)["id"]
    with pytest.raises(Conflict, match=first) as conflict:
        ask(table)
    assert conflict.value.members == {"run": first}
    assert len(batch.jobs) == 1 and len(table.page(10)[0]) == 1


def test_when_a_job_ends_the_next_run_may_start(table, batch):
    first = ask(table)["id"]
    table.advance(first, "PROMOTED", "No worse.")
    table.on_job_ended(batch.end("SUCCEEDED"))
    assert table.get(first)["state"] == "PROMOTED"
    assert ask(table)["id"] != first


def test_a_late_event_of_an_older_run_frees_nothing(table, batch):
    ask(table)
    old = dict(batch.end("SUCCEEDED"))
    table.on_job_ended(old)
    second = ask(table)["id"]
    table.on_job_ended(old)
    assert table.active() == second


@pytest.mark.parametrize(
    ("detail", "says"),
    [
        ({"statusReason": "CannotPullContainerError: no such image"}, "no training image yet"),
        ({"container": {"exitCode": 137}}, "TrainingMemory"),
        ({"container": {"exitCode": 2}, "statusReason": "Essential container exited"}, "status 2"),
        ({"statusReason": "Job attempt duration exceeded timeout"}, "exceeded timeout"),
        ({}, "no reason"),
        ({"status": "SUCCEEDED"}, "without reporting a result"),
    ],
)
def test_a_job_that_dies_leaves_a_failed_run_with_a_sentence(table, batch, detail, says):
    run = ask(table)["id"]
    table.on_job_ended(batch.end(**{"status": "FAILED"} | detail))
    record = table.get(run)
    assert (
        record["state"] == "FAILED" and says in record["reason"] and record["reason"].endswith(".")
    )
    assert table.active() is None


@pytest.mark.parametrize("says", ["the job", "the event"])
def test_a_failure_is_counted_whichever_side_reports_it(table, batch, monkeypatch, says):
    counted: list[str] = []
    monkeypatch.setattr(runs, "count", counted.append)
    run = ask(table)["id"]
    if says == "the job":
        table.advance(run, "FAILED", "There is no image of one class.")
    table.on_job_ended(batch.end("FAILED"))
    assert counted == ["RunsFailed"]


def test_jobs_that_are_not_runs_are_ignored(table):
    run = ask(table)["id"]
    table.on_job_ended({"jobName": "somebody-elses", "status": "FAILED"})
    table.on_job_ended({})
    assert table.active() == run


def test_a_job_that_batch_refuses_is_a_failed_run_and_frees_the_lease(table, batch):
    message = {"Error": {"Code": "ClientException", "Message": "queue is disabled"}}
    batch.fault = ClientError(message, "SubmitJob")
    with pytest.raises(Unavailable, match="queue is disabled"):
        ask(table)
    (run,), _ = table.page(1)
    assert run["state"] == "FAILED" and "queue is disabled" in run["reason"]
    batch.fault = None
    ask(table)


def test_a_run_is_submitted_after_a_crash_between_lease_and_submit(table, batch, clock):
    batch.fault = Killed()
    with pytest.raises(Killed):
        ask(table)
    batch.fault = None
    run = table.active()
    table.settle()
    assert not batch.jobs, "the process that took the lease may still be working"
    clock.now += runs.SUBMIT_SECONDS + 1
    table.settle()
    table.settle()
    assert [j["jobName"] for j in batch.jobs.values()] == [run]


@pytest.mark.parametrize("back", [600.0, 86_400.0])
def test_a_clock_that_is_set_back_keeps_no_run_from_being_submitted(table, batch, clock, back):
    batch.fault = Killed()
    with pytest.raises(Killed):
        ask(table)
    batch.fault = None
    clock.now -= back
    table.settle()
    table.settle()
    assert [j["jobName"] for j in batch.jobs.values()] == [table.active()]


def test_a_crash_after_submit_causes_no_second_job(table, batch, clock, monkeypatch):
    def killed(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(Runs, "_attach", killed)
        with pytest.raises(Killed):
            ask(table)
    clock.now += runs.SUBMIT_SECONDS + 1
    table.settle()
    assert len(batch.jobs) == 1
    assert table.get(table.active())["job"] == "job-0"


def test_two_processes_that_settle_at_once_submit_once(table, batch, clock):
    batch.fault = Killed()
    with pytest.raises(Killed):
        ask(table)
    batch.fault = None
    clock.now += runs.SUBMIT_SECONDS + 1
    lease = table._lease()
    assert table._claim(lease) and clock.now
    clock.now += 1
    assert not table._claim(lease)


def test_after_a_lost_event_settling_frees_the_lease(table, batch):
    run = ask(table)["id"]
    table.settle()
    assert table.active() == run
    batch.end("FAILED", statusReason="Host terminated")
    table.settle()
    assert table.active() is None
    assert "Host terminated" in table.get(run)["reason"]


def test_a_job_that_batch_forgot_frees_the_lease(table, batch):
    run = ask(table)["id"]
    batch.jobs.clear()
    table.settle()
    assert table.active() is None and table.get(run)["state"] == "FAILED"


# --- a job that gets no machine -------------------------------------------------------------------


def test_a_job_without_a_machine_is_counted_and_after_two_hours_ended(
    table, batch, clock, monkeypatch
):
    counted: list[str] = []
    monkeypatch.setattr(runs, "count", counted.append)
    run = ask(table)["id"]
    clock.now += runs.LONG_WAIT_SECONDS
    table.settle()
    assert not counted
    clock.now += 1
    table.settle()
    assert counted == ["RunsWaiting"]
    assert table.get(run)["state"] == "QUEUED" and not batch.stopped
    clock.now += runs.MAX_WAIT_SECONDS - runs.LONG_WAIT_SECONDS
    table.settle()
    failed = table.get(run)
    assert (failed["state"], failed["reason"]) == ("FAILED", runs.NO_MACHINE)
    assert batch.stopped == {"job-0": runs.NO_MACHINE}
    table.on_job_ended(batch.end("FAILED", statusReason=runs.NO_MACHINE))
    assert table.active() is None and counted[-1] == "RunsFailed"


def test_a_job_that_runs_for_hours_or_was_interrupted_is_left_alone(table, batch, clock):
    ask(table)
    (job,) = batch.jobs.values()
    job["status"] = "RUNNING"
    clock.now += 3 * runs.MAX_WAIT_SECONDS
    table.settle()
    # Spot took its machine, and it waits for the next one.
    job.update(status="RUNNABLE", attempts=[{"stoppedAt": int(clock.now * 1000)}])
    clock.now += runs.MAX_WAIT_SECONDS - 1
    table.settle()
    assert not batch.stopped
    clock.now += 2
    table.settle()
    assert batch.stopped


def test_a_job_that_batch_itself_gave_up_for_want_of_a_machine_says_so(table, batch):
    run = ask(table)["id"]
    reason = "Job cancelled: CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"
    table.on_job_ended(batch.end("FAILED", statusReason=reason))
    assert table.get(run)["reason"] == runs.NO_MACHINE


# --- cancelling -----------------------------------------------------------------------------------


def test_a_cancelled_run_stops_its_job_and_frees_the_lease_when_that_has_ended(table, batch):
    run = ask(table)["id"]
    table.advance(run, "RUNNING", "It trains.")
    cancelled = table.cancel(run, "Cancelled by a test.")
    assert (cancelled["state"], cancelled["reason"]) == ("CANCELLED", "Cancelled by a test.")
    assert list(cancelled["times"]) == ["QUEUED", "RUNNING", "CANCELLED"]
    assert batch.stopped == {"job-0": "Cancelled by a test."}
    assert table.active() == run, "the job may still work on its last step"
    assert not table.report(run, epoch=1), "the job learns of it"
    table.on_job_ended(batch.end("FAILED"))
    assert table.active() is None and table.get(run)["state"] == "CANCELLED"


def test_to_cancel_a_run_twice_changes_nothing(table, batch):
    run = ask(table)["id"]
    first = table.cancel(run, "Cancelled by a test.")
    assert table.cancel(run, "Cancelled again.") == first


def test_a_cancelled_run_is_no_failure(table, batch, monkeypatch):
    counted: list[str] = []
    monkeypatch.setattr(runs, "count", counted.append)
    table.cancel(ask(table)["id"], "Cancelled by a test.")
    table.on_job_ended(batch.end("FAILED"))
    assert not counted


@pytest.mark.parametrize("state", ["PROMOTED", "REJECTED", "FAILED"])
def test_an_ended_run_cannot_be_cancelled(table, batch, state):
    run = ask(table)["id"]
    table.advance(run, state, "It ended.")
    with pytest.raises(Conflict, match=f"{run} has ended already, as {state}"):
        table.cancel(run, "Cancelled by a test.")
    assert table.get(run)["reason"] == "It ended." and not batch.stopped


def test_a_run_that_is_going_live_cannot_be_cancelled_and_a_cancelled_one_not_go_live(table):
    run = ask(table)["id"]
    assert table.begin_promotion(run)
    with pytest.raises(Conflict, match="making its version live"):
        table.cancel(run, "Cancelled by a test.")
    table.report(run, promoting=False)  # Another version went live meanwhile.
    assert table.cancel(run, "Cancelled by a test.")["state"] == "CANCELLED"
    assert not table.begin_promotion(run)
    assert "promoting" not in table.get(run)


def test_a_job_that_batch_did_not_stop_is_stopped_by_settling(table, batch):
    run = ask(table)["id"]
    message = {"Error": {"Code": "ServerException", "Message": "busy"}}
    batch.fault = ClientError(message, "TerminateJob")
    with pytest.raises(Unavailable, match=r"is cancelled, but AWS Batch .* busy"):
        table.cancel(run, "Cancelled by a test.")
    batch.fault = None
    assert table.get(run)["state"] == "CANCELLED"
    table.settle()
    assert batch.stopped == {"job-0": "Cancelled by a test."}


def test_a_run_that_was_never_submitted_is_cancelled_and_frees_the_lease(table, batch):
    batch.fault = Killed()
    with pytest.raises(Killed):
        ask(table)
    batch.fault = None
    run = table.active()
    table.cancel(run, "Cancelled by a test.")
    assert table.active() is None and not batch.stopped


def test_an_unknown_run_is_not_cancelled(table):
    with pytest.raises(NotFound, match="no run 'nothing'"):
        table.cancel("nothing", "Cancelled by a test.")
    assert table.latest() is None


# --- messages to the owner ------------------------------------------------------------------------


@pytest.fixture
def sent(monkeypatch) -> list[tuple[str, str]]:
    """The messages so far: subject and text."""
    messages: list[tuple[str, str]] = []
    monkeypatch.setattr(runs, "notify", lambda *message: messages.append(message))
    return messages


@pytest.mark.parametrize(
    ("state", "subject"),
    [
        ("PROMOTED", "Training done: the new model is live"),
        ("REJECTED", "Training done: the live model stays"),
        ("FAILED", "Training failed"),
    ],
)
def test_the_end_of_a_training_is_sent_once_even_if_its_event_comes_twice(
    table, batch, sent, state, subject
):
    run = ask(table)["id"]
    table.advance(run, state, "So it ended.")
    assert not sent
    for _ in range(2):
        table.on_job_ended(batch.end("SUCCEEDED"))
    text = f"So it ended.\n\nThe run is {run}. The page shows it under Models."
    assert sent == [(subject, text)]


def test_the_end_of_a_small_update_is_sent_once(updates, sent):
    run = ask_update(updates)
    updates.end(run, "PROMOTED", "Better.")
    updates.end(run, "FAILED", "Too late.")
    assert [subject for subject, _ in sent] == ["Training done: the new model is live"]


def test_the_admin_who_cancels_a_run_gets_no_message(table, batch, sent):
    table.cancel(ask(table)["id"], "Cancelled by a test.")
    table.on_job_ended(batch.end("FAILED"))
    assert not sent


# --- small updates --------------------------------------------------------------------------------


@pytest.fixture
def updates(table: Runs) -> Runs:
    """The runs, with a queue of small updates."""
    queue = aws.client("sqs").create_queue(QueueName="learn")["QueueUrl"]
    return Runs(TABLE, "queue", "definition", queue)


def ask_update(table: Runs) -> str:
    return str(
        table.request("admin", Parameters(), "A test.", "small_update", "It is small.")["id"]
    )


def messages(table: Runs) -> list[dict[str, Any]]:
    """The messages that were sent since the last call."""
    got = aws.client("sqs").receive_message(QueueUrl=table.learn_queue, MaxNumberOfMessages=10)
    for one in got.get("Messages", []):
        aws.client("sqs").delete_message(
            QueueUrl=table.learn_queue, ReceiptHandle=one["ReceiptHandle"]
        )
    return [json.loads(one["Body"]) for one in got.get("Messages", [])]


def test_a_small_update_is_a_message_and_no_job(updates, batch):
    run = ask_update(updates)
    assert messages(updates) == [{"run": run}] and not batch.jobs
    found = updates.get(run)
    assert (found["method"], found["method_reason"]) == ("small_update", "It is small.")
    with pytest.raises(Conflict, match=run):
        ask(updates)


def test_without_its_queue_no_small_update_is_recorded(table):
    with pytest.raises(Unavailable, match="LEARN_QUEUE"):
        ask_update(table)
    assert table.active() is None and table.latest() is None


def test_a_refused_message_fails_the_run(table):
    gone = Runs(TABLE, learn_queue="https://sqs.us-east-1.amazonaws.com/123456789012/gone")
    with pytest.raises(Unavailable, match="SQS refused the message"):
        ask_update(gone)
    assert table.active() is None and table.latest()["state"] == "FAILED"


def test_the_end_of_a_small_update_frees_its_lease(updates):
    run = ask_update(updates)
    assert updates.begin(run)["attempts"] == 1
    updates.end(run, "PROMOTED", "Better.", version="v")
    assert updates.active() is None and updates.get(run)["version"] == "v"
    updates.end(run, "FAILED", "Too late.")
    assert updates.get(run)["state"] == "PROMOTED"


def test_a_lost_message_is_sent_again_and_after_three_the_run_has_failed(updates, clock):
    run = ask_update(updates)
    assert len(messages(updates)) == 1
    updates.settle()
    assert not messages(updates), "the first attempt may still run"
    for _ in range(runs.ATTEMPTS - 1):
        clock.now += runs.UPDATE_SECONDS + 1
        updates.settle()
        updates.settle()
        assert messages(updates) == [{"run": run}]
        assert updates.active() == run
    clock.now += runs.UPDATE_SECONDS + 1
    updates.settle()
    assert updates.active() is None and not messages(updates)
    failed = updates.get(run)
    assert failed["state"] == "FAILED" and "interrupted 3 times" in failed["reason"]


def test_a_clock_that_is_set_back_keeps_no_lost_message_from_being_sent(updates, clock):
    run = ask_update(updates)
    messages(updates)
    clock.now -= 3_600
    updates.settle()
    updates.settle()
    assert messages(updates) == [{"run": run}]


def test_an_attempt_that_was_killed_is_counted_and_the_fourth_never_begins(updates):
    run = ask_update(updates)
    for attempt in range(1, runs.ATTEMPTS + 1):
        assert updates.begin(run)["attempts"] == attempt
    assert updates.begin(run) is None
    assert updates.get(run)["state"] == "FAILED" and updates.active() is None


def test_an_attempt_in_progress_is_not_settled(updates, clock):
    run = ask_update(updates)
    messages(updates)
    clock.now += runs.UPDATE_SECONDS - 1
    assert updates.begin(run)
    clock.now += 2
    updates.settle()
    assert not messages(updates)


def test_a_killed_end_leaves_a_lease_that_settling_frees(updates):
    run = ask_update(updates)
    updates.advance(run, "PROMOTED", "Better.")
    updates.settle()
    assert updates.active() is None


def test_a_late_message_of_an_ended_run_does_not_free_the_lease_of_the_next(updates):
    first = ask_update(updates)
    updates.end(first, "REJECTED", "Worse.")
    second = ask_update(updates)
    assert updates.begin(first) is None
    assert updates.active() == second


def test_a_cancelled_update_frees_the_lease_and_its_message_begins_nothing(updates, batch):
    first = ask_update(updates)
    updates.cancel(first, "Cancelled by a test.")
    assert updates.active() is None and not batch.stopped
    second = ask_update(updates)
    assert updates.begin(first) is None
    assert updates.active() == second and updates.get(first)["state"] == "CANCELLED"


# --- lists and parameters -------------------------------------------------------------------------


def test_runs_are_listed_newest_first_in_pages(table, batch, monkeypatch):
    created = []
    for i in range(5):
        monkeypatch.setattr(runs.secrets, "token_hex", lambda _, i=i: f"{i:06x}")
        created.append(ask(table)["id"])
        table.report(created[-1], log=["a line"], history=[{}])
        table.on_job_ended(batch.end())
    first, cursor = table.page(2)
    second, cursor = table.page(2, cursor)
    third, end = table.page(2, cursor)
    assert [r["id"] for r in first + second + third] == sorted(created, reverse=True)
    assert end is None and not {"log", "history"} & set(first[0])
    assert table.get(created[0])["log"] == ["a line"]


def test_an_unknown_run_or_cursor_is_refused(table):
    with pytest.raises(NotFound, match="no run 'nothing'"):
        table.get("nothing")
    with pytest.raises(BadRequest, match="cursor"):
        table.page(1, "nothing")


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"epochs": 100_000},
        {"batch_size": 0},
        {"learning_rate": 3},
        {"validation_split": 0.9},
        {"architecture": "vgg"},
        {"unknown": 1},
    ],
)
def test_an_absurd_parameter_is_refused_by_name(wrong):
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        Parameters.model_validate(wrong)
