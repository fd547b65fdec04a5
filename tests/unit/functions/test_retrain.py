"""The retrain function: each event runs its own step, and messages fail one by one."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from clickbait import aws, observability
from clickbait.settings import settings
from functions.retrain import app

EVENTS = Path(__file__).resolve().parents[3] / "events"
BUCKET = "clickbait-data-abcdefghijkl"
POISONED = (1, 4, 7)
"""Indices in sqs-batch.json: half a JSON, no notification, a key that is not UTF-8."""


def sample(name: str) -> Any:
    return json.loads((EVENTS / f"{name}.json").read_text())


def handle(event: Any) -> Any:
    return app.handler(event, SimpleNamespace(aws_request_id="an-id"))


def failures(answer: dict[str, Any]) -> list[str]:
    assert answer.keys() == {"batchItemFailures"}
    return [one["itemIdentifier"] for one in answer["batchItemFailures"]]


def messages(*bodies: Any) -> dict[str, Any]:
    """A batch of messages with these bodies; their ids are their indices."""
    blank = sample("quiet-message")["Records"][0]
    return {
        "Records": [
            blank | {"messageId": str(n), "body": b if isinstance(b, str) else json.dumps(b)}
            for n, b in enumerate(bodies)
        ]
    }


def notification(*keys: str, bucket: str = BUCKET) -> dict[str, Any]:
    """S3's notification about objects, by their encoded keys."""
    one = json.loads(sample("s3-object-created")["Records"][0]["body"])["Records"][0]
    blank = json.dumps(one)
    records = []
    for key in keys:
        record = json.loads(blank)
        record["s3"]["object"]["key"], record["s3"]["bucket"]["name"] = key, bucket
        records.append(record)
    return {"Records": records}


class Calls:
    """Records the calls of the function, in order, in place of the real steps."""

    def __init__(self) -> None:
        self.done: list[Any] = []
        self.outcomes: dict[str, str] = {}
        self.fail: set[str] = set()

    def __call__(self, name: str, *about: Any) -> str:
        self.done.append((name, *about) if about else name)
        if name in self.fail or (about and about[0] in self.fail):
            raise RuntimeError(f"{name} failed")
        return self.outcomes.get(about[0], "kept") if about else ""

    def keys(self) -> list[str]:
        return sorted(call[1] for call in self.done if call[0] == "process")

    def steps(self) -> list[Any]:
        return [call for call in self.done if call[0] != "process"]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[Calls]:
    calls = Calls()
    steps = {
        name: lambda n=name: calls(n)
        for name in ("on_upload", "on_timer", "reconcile", "on_schedule")
    }
    uploads = SimpleNamespace(
        process=lambda key, again: calls("process", key, *again * ["again"]),
        catch_up=lambda: calls("catch_up"),
    )
    runs = SimpleNamespace(
        on_job_ended=lambda detail: calls("on_job_ended", detail["jobName"], detail["status"])
    )
    retraining = SimpleNamespace(**steps)
    monkeypatch.setattr(
        app, "DropFolder", lambda bucket, table: calls("uploads of", bucket) and uploads
    )
    monkeypatch.setattr(app, "Runs", SimpleNamespace(from_settings=lambda: runs))
    monkeypatch.setattr(app, "Triggers", SimpleNamespace(from_settings=lambda: retraining))
    monkeypatch.setattr(app, "monitoring", SimpleNamespace(emit_drift=lambda: calls("drift")))
    monkeypatch.setattr(aws, "client", lambda service: None)
    monkeypatch.setenv("DATA_BUCKET", BUCKET)
    monkeypatch.setenv("TABLE", "table")
    settings.cache_clear()
    yield calls
    settings.cache_clear()


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    counts: dict[str, float] = {}
    monkeypatch.setattr(app, "count", lambda name, value=1: counts.update({name: value}))
    return counts


# --- one event ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["s3-object-created", "s3-object-removed"])
def test_a_key_is_decoded_as_s3_encodes_it(calls: Calls, name: str) -> None:
    assert failures(handle(sample(name))) == []
    assert calls.keys() == ["train/clickbait_fake/cl\u00e9 1.jpg"]


def test_an_image_is_processed_again_if_its_message_was_delivered_before(calls: Calls) -> None:
    event = messages(notification("train/a/1.jpg"), notification("train/a/2.jpg"))
    for count, record in enumerate(event["Records"], 1):
        record["attributes"] = {"ApproximateReceiveCount": str(count)}
    handle(event)
    assert sorted(call for call in calls.done if call[0] == "process") == [
        ("process", "train/a/1.jpg"),
        ("process", "train/a/2.jpg", "again"),
    ]


@pytest.mark.parametrize(
    ("encoded", "key"),
    [
        ("train/a/1%2B1.jpg", "train/a/1+1.jpg"),
        ("train/a/x+y.jpg", "train/a/x y.jpg"),
        ("train/a/100%2525.jpg", "train/a/100%25.jpg"),
        ("train%2Fa%2Fx.jpg", "train/a/x.jpg"),
        ("train/a/%E4%B8%AD.jpg", "train/a/\u4e2d.jpg"),
    ],
)
def test_every_encoding_is_decoded_to_the_right_key(calls: Calls, encoded: str, key: str) -> None:
    handle(messages(notification(encoded)))
    assert calls.keys() == [key]


def test_the_test_event_of_s3_is_ignored(calls: Calls) -> None:
    assert failures(handle(sample("s3-test-event"))) == []
    assert calls.steps() == [("uploads of", BUCKET)]


def test_removed_images_start_the_debounce_timer(calls: Calls) -> None:
    calls.outcomes = {"train/a/x.jpg": "gone"}
    assert failures(handle(messages(notification("train/a/x.jpg")))) == []
    assert calls.steps()[1:] == ["on_upload"]


def test_kept_images_start_the_debounce_timer_once(calls: Calls, counted: dict[str, float]) -> None:
    keys = [f"train/clickbait/{n}.jpg" for n in range(10)]
    calls.outcomes = {keys[3]: "rejected", keys[4]: "rejected", keys[5]: "gone", keys[6]: "ignored"}
    assert failures(handle(messages(*(notification(key) for key in keys)))) == []
    assert calls.keys() == keys
    assert calls.steps()[1:] == ["on_upload"]
    assert counted == {"ImagesKept": 6, "ImagesRejected": 2, "MessagesFailed": 0}


@pytest.mark.parametrize("what", ["rejected", "ignored"])
def test_without_a_kept_or_removed_image_the_timer_does_not_start(calls: Calls, what: str) -> None:
    calls.outcomes = {"train/a/x.jpg": what}
    assert failures(handle(messages(notification("train/a/x.jpg")))) == []
    assert "on_upload" not in calls.done


def test_a_key_named_twice_is_processed_once(calls: Calls) -> None:
    both = notification("train/a/x.jpg", "train/a/y.jpg", "train/a/x.jpg")
    handle(messages(both, notification("train/a/x.jpg"), both))
    assert calls.keys() == ["train/a/x.jpg", "train/a/y.jpg"]


def test_the_timer_message_runs_its_step(calls: Calls) -> None:
    assert failures(handle(sample("quiet-message"))) == []
    assert calls.steps()[1:] == ["on_timer"]
    calls.done.clear()
    quiet = {"action": "quiet"}
    assert failures(handle(messages(quiet, notification("train/a/x.jpg"), quiet))) == []
    assert calls.steps()[1:] == ["on_upload", "on_timer"]


@pytest.mark.parametrize("state", ["succeeded", "failed"])
def test_an_ended_job_ends_its_run_and_starts_the_next(calls: Calls, state: str) -> None:
    assert handle(sample(f"batch-job-state-change-{state}")) is None
    assert calls.done == [("on_job_ended", "20261122-201500-0a1b2c", state.upper()), "reconcile"]


@pytest.mark.parametrize("state", ["RUNNING", "SUBMITTED", "PENDING", "RUNNABLE", "STARTING"])
def test_a_running_job_changes_nothing(calls: Calls, state: str) -> None:
    event = sample("batch-job-state-change-running")
    event["detail"]["status"] = state
    handle(event)
    assert calls.done == []


@pytest.mark.parametrize(
    ("action", "does"),
    [
        ("reconcile", ["reconcile"]),
        ("daily", ["on_schedule", "drift", ("uploads of", BUCKET), "catch_up"]),
    ],
)
def test_each_schedule_runs_its_own_step(calls: Calls, action: str, does: list[Any]) -> None:
    handle(sample(f"schedule-{action}"))
    assert calls.done == does


def test_the_daily_check_runs_even_if_drift_cannot_be_computed(calls: Calls) -> None:
    """The failure is then raised, so that the alarm on the function's errors reports it."""
    calls.fail = {"drift"}
    with pytest.raises(RuntimeError, match="drift failed"):
        handle(sample("schedule-daily"))
    assert "on_schedule" in calls.done


@pytest.mark.parametrize(
    "event",
    [
        {},
        None,
        [],
        {"Records": []},
        {"Records": [{"eventSource": "aws:s3"}]},
        {"Records": [{"eventSource": "aws:sqs"}]},
        {"source": "schedule", "action": "dance"},
        {"source": "aws.batch", "detail-type": "Batch Job State Change"},
        {"source": "aws.ec2", "detail-type": "Batch Job State Change", "detail": {}},
    ],
)
def test_an_unknown_event_is_logged_and_raised(
    calls: Calls, capsys: pytest.CaptureFixture[str], event: Any
) -> None:
    with pytest.raises(ValueError, match="unknown event"):
        handle(event)
    assert calls.done == []


@pytest.mark.parametrize(
    ("name", "step", "kind"),
    [
        ("schedule-reconcile", "reconcile", "reconcile"),
        ("schedule-daily", "on_schedule", "daily"),
        ("batch-job-state-change-failed", "on_job_ended", "job"),
        ("batch-job-state-change-succeeded", "reconcile", "job"),
    ],
)
def test_a_fault_in_a_direct_event_is_logged_with_its_kind_and_raised(
    calls: Calls, monkeypatch, name: str, step: str, kind: str
) -> None:
    logged: list[dict[str, Any]] = []
    monkeypatch.setattr(app.logger, "exception", lambda _, **about: logged.append(about))
    calls.fail = {step}
    with pytest.raises(RuntimeError, match=f"{step} failed"):
        handle(sample(name))
    assert logged == [{"kind": kind}]


# --- messages that fail ---------------------------------------------------------------------------


def test_three_poisoned_messages_of_ten_fail_alone(calls: Calls) -> None:
    event = sample("sqs-batch")
    ids = [record["messageId"] for record in event["Records"]]
    assert len(set(ids)) == 10
    assert failures(handle(event)) == [ids[place] for place in POISONED]
    assert calls.keys() == [
        "train/clickbait/c c.webp",
        "train/clickbait_fake/a.jpg",
        "train/clickbait_real/b+b.png",
        "train/clickbait_real/deleted.jpg",
        "train/legitimate/d/d.jpg",
    ]
    assert calls.steps()[1:] == ["on_upload"]


@pytest.mark.parametrize(
    "body",
    [
        "",
        "no JSON",
        "[" * 100_000,
        "1",
        "null",
        "[]",
        "{}",
        {"Records": []},
        {"Records": {}},
        {"Records": [None]},
        {"Records": [{"eventSource": "aws:sns"}]},
        {"Records": [{"eventSource": "aws:s3", "s3": {"object": {"key": "train/a/x.jpg"}}}]},
        {"action": "dance"},
        {"Event": "s3:TestEvent"},
        notification("train/a/x.jpg", bucket="somebody-elses"),
        notification("train/a/good.jpg", "train/a/%FF.jpg"),
    ],
)
def test_an_unknown_body_fails_and_the_others_succeed(calls: Calls, body: Any) -> None:
    event = messages(notification("train/a/1.jpg"), body, notification("train/a/2.jpg"))
    assert failures(handle(event)) == ["1"]
    assert calls.keys() == ["train/a/1.jpg", "train/a/2.jpg"]


def test_an_object_that_cannot_be_read_fails_the_messages_that_name_it(
    calls: Calls, counted: dict[str, float]
) -> None:
    calls.fail = {"train/a/bad.jpg"}
    event = messages(
        notification("train/a/1.jpg"),
        notification("train/a/2.jpg", "train/a/bad.jpg"),
        notification("train/a/bad.jpg"),
        notification("train/a/3.jpg"),
    )
    assert failures(handle(event)) == ["1", "2"]
    assert calls.steps()[1:] == ["on_upload"]
    assert counted["MessagesFailed"] == 2


def test_messages_come_again_if_the_timer_cannot_start(calls: Calls) -> None:
    calls.fail = {"on_upload"}
    calls.outcomes = {"train/a/gone.jpg": "gone", "train/a/bad.jpg": "rejected"}
    names = ("bad", "gone", "1")
    event = messages(*(notification(f"train/a/{name}.jpg") for name in names))
    assert failures(handle(event)) == ["1", "2"]


def test_the_timer_message_comes_again_if_its_step_fails(calls: Calls) -> None:
    calls.fail = {"on_timer"}
    event = messages({"action": "quiet"}, notification("train/a/1.jpg"))
    assert failures(handle(event)) == ["0"]


# --- the process ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    sorted(p.stem for p in EVENTS.glob("*.json") if not p.stem.startswith("http-")),
)
def test_every_event_leaves_a_line_in_the_log(
    calls: Calls, monkeypatch, capsys, caplog, name: str
) -> None:
    monkeypatch.setattr(observability, "IN_LAMBDA", True)
    handle(sample(name))
    assert "event" in caplog.messages
    if "Records" in sample(name):
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        [emf] = [line for line in lines if "_aws" in line]
        assert emf["ImagesKept"] == [float(len(calls.keys()))]


@pytest.mark.parametrize(
    ("name", "measured"),
    [
        ("quiet-message", True),
        ("batch-job-state-change-succeeded", True),
        ("schedule-reconcile", False),
        ("schedule-daily", False),
    ],
)
def test_time_and_memory_are_counted_except_for_schedules(
    calls: Calls, monkeypatch, capsys, name: str, measured: bool
) -> None:
    """Schedules never stop, and a metric costs by the hour in which it has a value."""
    monkeypatch.setattr(observability, "IN_LAMBDA", True)
    handle(sample(name))
    written = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    lines = [line for line in written if "_aws" in line]
    if not measured:
        assert lines == []
        return
    [line] = lines
    assert line["Latency"][0] > 0
    assert 20 < line["Memory"][0] < 10_000


def test_starting_imports_no_boto3_and_no_web_framework_and_collects_garbage() -> None:
    script = (
        "import gc, sys, functions.retrain.app\n"
        "print(gc.isenabled(), [n for n in ('boto3', 'fastapi', 'mangum', 'tensorflow')"
        " if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n")[0] == "True []"
