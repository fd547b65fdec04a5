"""Data that version 0.1.0 stored is read, and new data has the same form.

`tests/samples/stored.json` was written by that version's own code: a table, the objects of both
buckets, and the message of the debounce timer.
"""

import json
from base64 import b64decode
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from moto import mock_aws

from clickbait import aws
from clickbait.errors import Conflict
from clickbait.store import dataset_stats, history, results, trained
from clickbait.store.batches import Batches
from clickbait.store.drop_folder import DropFolder
from clickbait.store.feedback import Feedback
from clickbait.store.registry import Registry
from clickbait.store.results import Row
from clickbait.store.rows import Rows
from clickbait.store.runs import Parameters, Runs
from clickbait.store.triggers import TIMER_MESSAGE, Triggers
from tests.cloud import TABLE, create_buckets, create_table

STORED = json.loads((Path(__file__).parents[1] / "samples" / "stored.json").read_text())
BATCH, (FIRST_RUN, SECOND_RUN), (OLDER, NEWER) = (
    STORED["batch"], STORED["runs"], STORED["versions"],
)  # fmt: skip
BUCKETS = ("data", "models")


class Batch:
    """AWS Batch, which accepts any job."""

    def submit_job(self, **_: Any) -> dict[str, str]:
        return {"jobId": "job-1"}


@pytest.fixture
def empty(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty cloud whose settings name its parts."""
    original = aws.client
    monkeypatch.setattr(aws, "client", lambda s: Batch() if s == "batch" else original(s))
    with mock_aws():
        create_buckets(*BUCKETS)
        create_table()
        yield


@pytest.fixture
def cloud(empty: None) -> None:
    """A cloud with everything that version 0.1.0 stored."""
    for item in STORED["table"]:
        aws.client("dynamodb").put_item(TableName=TABLE, Item=item)
    for each in STORED["objects"]:
        aws.client("s3").put_object(
            Bucket=each["bucket"],
            Key=each["key"],
            Body=b64decode(each["base64"]) if "base64" in each else each["text"].encode(),
            ContentType=each["content_type"],
            Metadata=each["metadata"],
        )


def item_of(partition: str, sort: str = "") -> dict[str, Any]:
    """The stored item with this key, or the first one of the partition."""
    return next(
        item
        for item in STORED["table"]
        if item["pk"]["S"] == partition and sort in ("", item["sk"]["S"])
    )


def object_of(prefix: str) -> dict[str, Any]:
    return next(each for each in STORED["objects"] if each["key"].startswith(prefix))


def kinds(item: dict[str, Any]) -> dict[str, str]:
    """The type of each attribute of an item."""
    return {name: next(iter(value)) for name, value in item.items()}


def written(partition: str, sort: str) -> dict[str, Any]:
    key = aws.key_of(partition, sort)
    return aws.client("dynamodb").get_item(TableName=TABLE, Key=key)["Item"]


# --- read -----------------------------------------------------------------------------------------


def test_runs_and_their_lease_are_read(cloud: None) -> None:
    runs = Runs(TABLE)
    found, following = runs.page(10)
    assert [run["id"] for run in found] == [SECOND_RUN, FIRST_RUN] and following is None
    run = runs.get(FIRST_RUN)
    assert (run["state"], run["reason"], run["trigger"]) == ("PROMOTED", "Better.", "admin")
    assert run["metrics"] == {"val_auc": 0.91, "val_loss": None}
    assert run["parameters"]["epochs"] == 3
    assert run["method"] == "fine_tuning"
    assert list(run["times"]) == ["QUEUED", "RUNNING", "EVALUATING", "PROMOTED"]
    assert runs.active() == SECOND_RUN
    with pytest.raises(Conflict):
        runs.request("admin", Parameters(), "Another one.")
    runs.on_job_ended({"jobName": SECOND_RUN, "status": "FAILED"})
    assert runs.active() is None and runs.get(SECOND_RUN)["state"] == "FAILED"


def test_the_debounce_timer_and_the_trained_images_are_read(cloud: None) -> None:
    service = Triggers(Runs(TABLE), "data", "models", "url", min_new_images=1, quiet_period=10**10)
    assert service._seconds_until_quiet() > 0, "the last upload is not read"
    images = trained.list_images("data")
    known = trained.read_trained("models")
    assert set(known.train) == {images["train/clickbait/a.jpg"]}
    assert "train/clickbait/a.jpg" not in known.unseen(images)
    assert known.news({"train/clickbait/a.jpg": images["train/clickbait/a.jpg"]}, {}).total == 0
    assert STORED["timer_message"] == TIMER_MESSAGE


def test_images_and_reasons_are_read(cloud: None) -> None:
    images = dataset_stats.read_images(TABLE)
    assert [image["key"] for image in images] == ["train/clickbait/a.jpg", "train/legitimate/b.jpg"]
    assert images[0]["width"] == 64 and images[0]["label"] == "clickbait_fake"
    rejected = dataset_stats.rejected("data", lambda key: key)
    assert rejected["images"] == 1
    assert rejected["items"][0]["reason"] == "broken-image"
    assert rejected["items"][0]["url"] == "rejected/train/clickbait/broken.jpg"


def test_a_batch_and_its_rows_are_read(cloud: None) -> None:
    batches = Batches("data", TABLE)
    progress = batches.progress(BATCH).as_dict()
    assert (progress["state"], progress["expected"]) == ("finished", 2)
    assert (progress["done"], progress["failed"]) == (1, 1)
    assert batches.names_of(BATCH).files == ("x.jpg", "y.jpg")
    first, second = Rows(TABLE, BATCH).read()
    assert (first.file, first.probability, first.uncertain) == ("x.jpg", 0.9375, False)
    assert second.failed
    head = aws.get_item(TABLE, "batch#", BATCH)
    assert head and head["results"] == batches._tally(BATCH).digest, "results would be rewritten"


def test_predictions_are_read(cloud: None) -> None:
    day = date.fromisoformat(item_of_prediction()["sk"]["S"][:10])
    rows, _ = history.page(TABLE, 10, day=day)
    assert [row["request_id"] for row in rows] == ["r2", "r1"]
    assert rows[0]["batch"] == BATCH and rows[0]["features"] is None
    assert rows[1]["features"] == {
        "brightness": 120.5, "contrast": 40.0, "saturation": 0.5, "colourfulness": 33.25,
    }  # fmt: skip
    assert rows[1]["probability"] == 0.91 and rows[1]["uncertain"] is True


def test_versions_and_promotions_are_read(cloud: None) -> None:
    registry = Registry("models")
    assert registry.versions() == [NEWER, OLDER]
    assert registry.poll() and not registry.poll()
    assert registry.pointer().version == NEWER
    newer, older = registry.promotions()
    assert (newer["version"], newer["previous"], newer["forced"]) == (NEWER, OLDER, True)
    assert older["by"] == f"run {FIRST_RUN}"
    assert registry.evaluation(NEWER) == {"images": 2}


def test_a_correction_is_read_and_accepted(cloud: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clickbait.store.feedback.presigned.view_url", lambda key: key)
    (waiting,), _ = Feedback("data").page(10, None)
    assert waiting["id"] == STORED["feedback"]
    assert waiting["file_name"] == "für mich.jpg" and waiting["prediction"] == "clickbait_fake"
    accepted = Feedback("data").accept(waiting["id"])
    assert accepted["key"] == f"train/clickbait_real/feedback-{waiting['id']}.jpg"


# --- written --------------------------------------------------------------------------------------


def item_of_prediction() -> dict[str, Any]:
    return next(item for item in STORED["table"] if item["pk"]["S"].startswith("prediction#"))


def test_a_run_and_its_lease_are_written_as_before(empty: None) -> None:
    runs = Runs(TABLE, "queue", "definition")
    run = runs.request("uploads", Parameters(), "20 new images wait for a training.")["id"]
    fields = kinds(written("run#", run))
    younger = {name: fields.pop(name) for name in ("method", "method_reason", "listing")}
    assert set(younger.values()) == {"S"}
    assert fields == kinds(item_of("run#", SECOND_RUN))
    assert kinds(written("lock#retrain", "lease")) == kinds(item_of("lock#retrain", "lease"))
    same = ("parameters", "trigger", "reason", "state", "job")
    stored = item_of("run#", SECOND_RUN)
    assert {name: written("run#", run)[name] for name in same} == {n: stored[n] for n in same}


def test_the_debounce_timer_is_written_as_before(
    empty: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Triggers(Runs(TABLE), "data", "models", "url", min_new_images=20, quiet_period=60)
    monkeypatch.setattr(Triggers, "_schedule_check", lambda *_: None)
    service.on_upload()
    assert kinds(written("lock#retrain", "quiet")) == kinds(item_of("lock#retrain", "quiet"))


def test_an_image_is_written_as_before(empty: None) -> None:
    stored = item_of("image#", "train/clickbait/a.jpg")
    body = b64decode(object_of("train/clickbait/a.jpg")["base64"])
    aws.client("s3").put_object(Bucket="data", Key="train/clickbait/a.jpg", Body=body)
    assert DropFolder("data", TABLE).process("train/clickbait/a.jpg") == "kept"
    now = written("image#", "train/clickbait/a.jpg")
    assert now | {"at": stored["at"]} == stored


def test_a_rejected_image_is_written_as_before(empty: None) -> None:
    key = "train/clickbait/broken.jpg"
    body = b64decode(object_of("rejected/train/clickbait/broken.jpg")["base64"])
    aws.client("s3").put_object(Bucket="data", Key=key, Body=body)
    assert DropFolder("data", TABLE).process(key) == "rejected"
    reason = json.loads(
        aws.client("s3").get_object(Bucket="data", Key=f"rejected/{key}.json")["Body"].read()
    )
    stored = json.loads(object_of(f"rejected/{key}.json")["text"])
    assert reason | {"at": stored["at"], "detail": stored["detail"]} == stored


VERDICTS = ("clickbait", None)
"""Of the two rows of the stored batch: a prediction, and a file that never arrived."""


def with_new_columns(name: str, text: str) -> str:
    """The results of a batch that were stored before rows had a threshold and a verdict, with an
    empty threshold and their verdicts."""
    if name.endswith("jsonl"):
        rows = [json.loads(line) for line in text.splitlines()]
        new = [
            row | {"threshold": None, "verdict": verdict}
            for row, verdict in zip(rows, VERDICTS, strict=True)
        ]
        return "".join(f"{json.dumps(row)}\n" for row in new)
    if not name.endswith("csv"):
        return text
    header, *lines = text.splitlines()
    new_lines = [f"{line},,{verdict or ''}" for line, verdict in zip(lines, VERDICTS, strict=True)]
    return "\r\n".join([f"{header},threshold,verdict", *new_lines, ""])


def test_a_batch_is_written_as_before(empty: None) -> None:
    batches = Batches("data", TABLE)
    batch = batches.create(["x.jpg", "y.jpg"])
    row, file = batches.names_of(batch).row_of("x.jpg")
    stored = item_of(f"batch#{BATCH}")
    Rows(TABLE, batch).put(
        Row(
            row,
            file,
            stored["at"]["S"],
            etag='"e"',
            modified="2026-01-01T00:00:00+00:00",
            prediction="clickbait_fake",
            probability=0.9375,
            confidence=0.9375,
            uncertain=False,
            model_version="v",
        )
    )
    batches.record_rows(batch, 1, again=0)
    batches.start(batch)
    moved = {"pk": {"S": f"batch#{batch}"}, "sk": {"S": row}}
    assert written(f"batch#{batch}", row) == stored | moved
    head, stored_head = written("batch#", batch), item_of("batch#", BATCH)
    new = {"summary": "S", "notified": "S"}
    assert kinds(head) == kinds(stored_head) | new
    assert head["due"] == {"N": "0"}  # 0.1.0 left it at 2. Both versions take an early one.
    assert {name: head[name] for name in ("files", "seen")} == {
        name: stored_head[name] for name in ("files", "seen")
    }
    for name in ("files.json", "part-00000.jsonl", "results.csv"):
        found = aws.client("s3").get_object(Bucket="data", Key=results.folder(batch) + name)
        stored_object = object_of(f"results/{BATCH}/{name}")
        assert found["Body"].read().decode() == with_new_columns(name, stored_object["text"])
        assert found["ContentType"] == stored_object["content_type"]


def test_a_prediction_is_written_as_before(empty: None, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = item_of_prediction()
    at = datetime.strptime(stored["sk"]["S"].partition("#")[0], history.TIME).replace(tzinfo=UTC)
    monkeypatch.setattr(history, "datetime", type("Clock", (), {"now": lambda _: at}))
    monkeypatch.setattr(history, "settings", lambda: type("S", (), {"table": TABLE}))
    prediction = {
        "prediction": "clickbait_fake", "probability": 0.91, "uncertain": True,
        "model_version": "v", "image": {"sha256": "a" * 64}, "timing_ms": {"total": 9.5},
        "threshold": 0.5,
    }  # fmt: skip
    appearance = {"brightness": 120.5, "contrast": 40.0, "saturation": 0.5, "colourfulness": 33.25}
    assert history.log(prediction, "predict", request_id="r1", appearance=appearance)
    now = written(stored["pk"]["S"], stored["sk"]["S"])
    assert now == stored | {"threshold": {"N": "0.5"}}


def test_a_promotion_is_written_as_before(empty: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Registry, "load", lambda *_: None)  # The sample's model is not a real one.
    for each in STORED["objects"]:
        if each["key"].startswith(f"versions/{OLDER}/"):
            aws.client("s3").put_object(
                Bucket="models", Key=each["key"], Body=each["text"].encode()
            )
    promotion = Registry("models").promote(
        OLDER, by=f"run {FIRST_RUN}", reason="Better.", gate={"passed": True}
    )
    stored = json.loads(object_of("promotions/")["text"])
    assert promotion | {"at": stored["at"]} == stored
    listed = aws.list_objects("models", "")
    keys = [found["Key"] for found in listed if not found["Key"].startswith("versions/")]
    time = datetime.fromisoformat(promotion["at"]).strftime("%Y%m%dT%H%M%S.%fZ")
    assert keys == ["champion.json", f"promotions/{time}-{OLDER}.json"]
    champion = aws.client("s3").get_object(Bucket="models", Key="champion.json")["Body"].read()
    assert json.loads(champion) == promotion


def test_a_correction_is_written_as_before(empty: None) -> None:
    stored = object_of("feedback/")
    facts = {"file_name": "für mich.jpg", "prediction": "clickbait_fake", "model_version": "v"}
    body = b64decode(stored["base64"])
    kept = Feedback("data").put(body, "JPEG", "clickbait_real", facts)
    head = aws.client("s3").head_object(Bucket="data", Key=f"feedback/{kept['id']}")
    assert head["Metadata"] | {"at": stored["metadata"]["at"]} == stored["metadata"]
    assert head["ContentType"] == stored["content_type"]
