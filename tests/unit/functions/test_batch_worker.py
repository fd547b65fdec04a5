"""The batch worker: one row for each image; only messages at which AWS failed come again."""

import csv
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from clickbait import aws, observability
from clickbait.errors import NotConfigured, NotFound
from clickbait.inference.prediction import answer
from clickbait.keys import READING_PARTITION
from clickbait.settings import MAX_IMAGE_BYTES, settings
from clickbait.store import batches, history, results
from clickbait.store.batches import Batches, Names
from clickbait.store.live import LiveModel
from clickbait.store.reading import reading
from clickbait.store.results import Row
from clickbait.store.rows import Rows
from functions.batch import worker
from tests.cloud import TABLE, cloud_in_memory
from tests.samples import hostile
from tests.samples.drawn import encoded, picture

ROOT = Path(__file__).resolve().parents[3]
BUCKET = "clickbait-data-abcdefghijkl"
JPEG, PNG = encoded(picture()), encoded(picture(seed=3), "PNG")


class Cloud:
    """A data bucket and a table behind the worker."""

    def __init__(self) -> None:
        self.s3, self.db = aws.client("s3"), aws.client("dynamodb")
        self.batches = Batches(BUCKET, TABLE)

    def put(self, key: str, body: bytes = JPEG) -> None:
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=body)

    def rows(self, batch: str = "b") -> dict[str, Row]:
        return {row.name: row for row in Rows(TABLE, batch).read()}

    def csv(self, batch: str = "b") -> list[dict[str, str]]:
        body = self.s3.get_object(Bucket=BUCKET, Key=f"results/{batch}/results.csv")["Body"].read()
        return list(csv.DictReader(io.StringIO(body.decode(), newline="")))


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    monkeypatch.setenv("DATA_BUCKET", BUCKET)
    monkeypatch.setenv("TABLE", TABLE)
    settings.cache_clear()
    batches._names.cache_clear()
    monkeypatch.setattr(history, "_paused_until", 0.0)
    with cloud_in_memory(BUCKET):
        yield Cloud()
    monkeypatch.undo()
    settings.cache_clear()


def message(*keys: str, sender: str = "1", receives: int = 1) -> dict[str, Any]:
    records = [
        {
            "eventSource": "aws:s3",
            "eventName": "ObjectCreated:Put",
            "s3": {"bucket": {"name": BUCKET}, "object": {"key": key}},
        }
        for key in keys
    ]
    return {
        "messageId": sender,
        "body": json.dumps({"Records": records}),
        "attributes": {"ApproximateReceiveCount": str(receives)},
        "eventSource": "aws:sqs",
    }


def handle(*messages: dict[str, Any]) -> list[str]:
    """The ids of the messages that will come again."""
    answered = worker.handler({"Records": list(messages)}, None)
    return [failure["itemIdentifier"] for failure in answered["batchItemFailures"]]


def test_the_row_of_an_image_has_the_prediction_that_predict_gives(cloud: Cloud) -> None:
    cloud.put("inbox/b/a.jpg")
    assert handle(message("inbox/b/a.jpg")) == []
    (row,) = cloud.rows().values()
    expected = answer(worker.live.current(), JPEG).prediction
    for name in ("prediction", "is_clickbait", "probability", "confidence", "uncertain"):
        assert row.as_dict()[name] == expected[name]
    assert row.model_version == expected["model_version"]
    assert row.as_dict()["error"] is None
    assert cloud.csv()[0]["file"] == "a.jpg"


def test_events_from_s3_and_sqs_are_processed(cloud: Cloud) -> None:
    event = json.loads((ROOT / "events/s3-inbox-batch.json").read_text())
    cloud.put("inbox/holiday-2026/sub/clé 1.jpg")
    cloud.put("inbox/holiday-2026/broken.jpg", JPEG[:3_000])
    cloud.put("inbox/holiday-2026/", b"")
    cloud.put("inbox/holiday-2026/.DS_Store", b"x")
    cloud.put("inbox/lost.jpg")
    cloud.put("inbox/my folder/a.jpg")
    answered = worker.handler(event, None)
    # Only the message that is not an S3 event fails.
    (failure,) = answered["batchItemFailures"]
    assert failure["itemIdentifier"] == event["Records"][-1]["messageId"]
    rows = cloud.rows("holiday-2026")
    assert list(rows) == ["broken.jpg", "sub/clé 1.jpg"]
    assert "ends early" in str(rows["broken.jpg"].error)
    assert [row["file"] for row in cloud.csv("holiday-2026")] == ["broken.jpg", "sub/clé 1.jpg"]
    heads = cloud.db.query(
        TableName=TABLE,
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": "batch#"}},
    )["Items"]
    assert [head["sk"]["S"] for head in heads] == ["holiday-2026", "my folder"]


def test_a_key_with_a_space_and_an_accent_is_found(cloud: Cloud) -> None:
    event = json.loads((ROOT / "events/s3-inbox-created.json").read_text())
    cloud.put("inbox/holiday-2026/sub/clé 1.jpg", PNG)
    assert worker.handler(event, None) == {"batchItemFailures": []}
    assert list(cloud.rows("holiday-2026")) == ["sub/clé 1.jpg"]


def test_a_message_delivered_twice_counts_once(cloud: Cloud) -> None:
    cloud.put("inbox/b/a.jpg")
    cloud.put("inbox/b/c.jpg", PNG)
    both = message("inbox/b/a.jpg"), message("inbox/b/a.jpg", sender="2")
    assert handle(*both) == []
    assert handle(*both) == []
    progress = cloud.batches.refresh("b").as_dict()
    assert (progress["expected"], progress["done"], progress["failed"]) == (2, 1, 0)


def test_an_unreadable_image_is_a_row_with_its_reason(cloud: Cloud) -> None:
    files = {
        "broken.jpg": (JPEG[:3_000], "ends early"),
        "empty.jpg": (b"", "zero bytes"),
        "text.jpg": (b"hello", "is not an image"),
        "large.jpg": (JPEG + bytes(MAX_IMAGE_BYTES), "10,000,000"),
    }
    for name, (body, _) in files.items():
        cloud.put(f"inbox/b/{name}", body)
    assert handle(*(message(f"inbox/b/{name}", sender=name) for name in files)) == []
    rows = cloud.rows()
    for name, (_, says) in files.items():
        assert says in str(rows[name].error)
    assert cloud.batches.refresh("b").as_dict()["failed"] == 4
    assert len(cloud.csv()) == 4


def test_the_address_of_a_video_is_classified_as_its_thumbnail(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    def thumbnail(address: str) -> bytes:
        if "gone" in address:
            raise NotFound("YouTube has no thumbnail of the video gone-------.")
        return JPEG

    monkeypatch.setattr(worker.youtube, "thumbnail", thumbnail)
    cloud.put("inbox/b/1.txt", b"https://youtu.be/dQw4w9WgXcQ\n")
    cloud.put("inbox/b/2.txt", b"https://youtu.be/gone-------")
    cloud.put("inbox/b/notepad.txt", b"\xef\xbb\xbf<https://youtu.be/dQw4w9WgXcQ>\r\n")
    assert handle(message("inbox/b/1.txt", "inbox/b/2.txt", "inbox/b/notepad.txt")) == []
    rows = cloud.rows()
    probability = answer(worker.live.current(), JPEG).prediction["probability"]
    assert rows["1.txt"].probability == rows["notepad.txt"].probability == probability
    assert "no thumbnail" in str(rows["2.txt"].error)


def test_every_hostile_file_is_a_row_with_the_prediction_or_the_reason(cloud: Cloud) -> None:
    files = {name.replace("/", "-"): file for name, file in hostile.good_or_bad().items()}
    for name, (body, _) in files.items():
        cloud.put(f"inbox/b/{name}", body)
    names = list(files)
    for start in range(0, len(names), 10):
        some = names[start : start + 10]
        assert handle(*(message(f"inbox/b/{name}", sender=name) for name in some)) == []
    rows = cloud.rows()
    assert rows.keys() == files.keys()
    wrong = {name for name, (_, right) in files.items() if right == {200} and rows[name].failed}
    wrong |= {name for name, (_, right) in files.items() if 200 not in right} - {
        name for name, row in rows.items() if row.failed
    }
    assert wrong == set()
    progress = cloud.batches.refresh("b").as_dict()
    assert (progress["state"], progress["expected"]) == ("finished", len(files))


def test_an_image_that_is_too_large_is_not_fetched(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAX_UPLOAD_SIZE", "2000")
    settings.cache_clear()
    monkeypatch.setattr(worker, "answer", None)
    cloud.put("inbox/b/a.jpg", bytes(2_001))
    assert handle(message("inbox/b/a.jpg")) == []
    assert "2,000" in str(cloud.rows()["a.jpg"].error)


def test_a_deleted_object_does_not_keep_the_batch_running(cloud: Cloud) -> None:
    cloud.put("inbox/b/a.jpg")
    cloud.put("inbox/b/gone.jpg")
    assert handle(message("inbox/b/a.jpg")) == []
    cloud.s3.delete_object(Bucket=BUCKET, Key="inbox/b/gone.jpg")
    assert handle(message("inbox/b/gone.jpg")) == []
    assert [row["file"] for row in cloud.csv()] == ["a.jpg"]


def test_a_deleted_object_alone_is_neither_a_batch_nor_a_failure(cloud: Cloud) -> None:
    assert handle(message("inbox/b/gone.jpg")) == []


def test_given_names_are_in_the_results(cloud: Cloud) -> None:
    names = ["=cmd|' /C calc'!A0", 'b,"c"\nd.jpg']
    batch = cloud.batches.create(names)
    keys = [f"inbox/{batch}/{i:05d}.{batch[-8:]}" for i in range(2)]
    for key in keys:
        cloud.put(key)
    assert handle(*(message(key, sender=key) for key in keys)) == []
    assert [row["file"] for row in cloud.csv(batch)] == [f"'{names[0]}", names[1]]
    assert [row.file for row in cloud.rows(batch).values()] == names


def refused(client: Any, operation: str, key: str) -> None:
    """Make AWS fail at one key, as it does if it is too busy."""

    def refuse(params: dict[str, Any], **_: Any) -> None:
        if key in params["url_path"] or key.encode() in params.get("body", b""):
            error = {"Error": {"Code": "SlowDown", "Message": "Please reduce your request rate."}}
            raise ClientError(error, operation)

    service = client.meta.service_model.service_name
    client.meta.events.register(f"before-call.{service}.{operation}", refuse)


@pytest.mark.parametrize(
    ("service", "operations"),
    [("s3", ["GetObject"]), ("dynamodb", ["BatchExecuteStatement", "PutItem"])],
)
def test_only_the_message_at_which_aws_failed_comes_again(
    cloud: Cloud, service: str, operations: list[str]
) -> None:
    for name in ("a.jpg", "bad.jpg", "c.jpg"):
        cloud.put(f"inbox/b/{name}")
    for operation in operations:
        refused(aws.client(service), operation, "bad.jpg")
    sent = [message(f"inbox/b/{name}", sender=name) for name in ("a.jpg", "bad.jpg", "c.jpg")]
    assert handle(*sent) == ["bad.jpg"]
    assert list(cloud.rows()) == ["a.jpg", "c.jpg"]
    aws.forget_clients()
    assert handle(message("inbox/b/bad.jpg", receives=2)) == []
    assert len(cloud.csv()) == 3


def calls_of(operation: str) -> list[dict[str, Any]]:
    """The parameters of each call of the table from now on."""
    calls: list[dict[str, Any]] = []

    def note(params: dict[str, Any], **_: Any) -> None:
        calls.append(params)

    events = aws.client("dynamodb").meta.events
    events.register(f"provide-client-params.dynamodb.{operation}", note)
    return calls


def test_the_rows_of_a_call_are_written_together_except_those_that_exist(cloud: Cloud) -> None:
    for name in ("same.jpg", "other.jpg"):
        cloud.put(f"inbox/b/{name}")
    assert handle(message("inbox/b/same.jpg", "inbox/b/other.jpg")) == []
    before = cloud.rows()
    cloud.put("inbox/b/other.jpg", JPEG[:3_000])
    for name in ("new.jpg", "newer.jpg"):
        cloud.put(f"inbox/b/{name}")
    together, alone = calls_of("BatchExecuteStatement"), calls_of("PutItem")
    sent = [message(f"inbox/b/{name}.jpg") for name in ("same", "other", "new", "newer")]
    assert handle(*sent) == []
    assert len(together) == 1
    assert len(together[0]["Statements"]) == 4
    assert {put["Item"]["sk"]["S"] for put in alone} == {"same.jpg", "other.jpg"}
    after = cloud.rows()
    assert set(after) == {"same.jpg", "other.jpg", "new.jpg", "newer.jpg"}
    assert after["same.jpg"] == before["same.jpg"]
    assert after["other.jpg"].failed
    assert len(history.page(TABLE, 100)[0]) == 4


def test_two_objects_with_one_row_are_written_one_after_the_other(cloud: Cloud) -> None:
    batch = cloud.batches.create(["a.jpg"])
    generated = Names(batch, ("a.jpg",), {"a.jpg": 0}).key_name(0)
    keys = [f"inbox/{batch}/{name}" for name in (generated, "a.jpg")]
    for key in keys:
        cloud.put(key)
    assert handle(*(message(key, sender=key) for key in keys)) == []
    assert list(cloud.rows(batch)) == [generated]
    assert len(history.page(TABLE, 100)[0]) == 1


def test_a_worker_killed_before_its_rows_are_written_loses_no_image(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt  # Nothing catches it, so it acts like SIGKILL.

    for name in ("a.jpg", "b.jpg"):
        cloud.put(f"inbox/b/{name}")
    sent = [message(f"inbox/b/{name}", sender=name) for name in ("a.jpg", "b.jpg")]
    with monkeypatch.context() as patch:
        patch.setattr(aws, "insert_items", killed)
        with pytest.raises(KeyboardInterrupt):
            handle(*sent)
    assert cloud.rows() == {}
    # From then on each row is written as soon as its image is classified.
    sent = [message(f"inbox/b/{name}", sender=name, receives=2) for name in ("a.jpg", "b.jpg")]
    together = calls_of("BatchExecuteStatement")
    assert handle(*sent) == []
    assert together == []
    assert set(cloud.rows()) == {"a.jpg", "b.jpg"}
    assert len(history.page(TABLE, 100)[0]) == 2


def test_a_table_that_does_not_answer_is_not_asked_for_each_row(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: Any, **__: Any) -> None:
        raise EndpointConnectionError(endpoint_url="table")

    for name in ("a.jpg", "b.jpg"):
        cloud.put(f"inbox/b/{name}")
    sent = [message(f"inbox/b/{name}", sender=name) for name in ("a.jpg", "b.jpg")]
    alone = calls_of("PutItem")
    with monkeypatch.context() as patch:
        patch.setattr(aws, "insert_items", unreachable)
        assert handle(*sent) == ["a.jpg", "b.jpg"]
    assert alone == []
    assert handle(*sent) == []
    assert set(cloud.rows()) == {"a.jpg", "b.jpg"}


def test_if_results_cannot_be_written_the_messages_of_the_batch_come_again(
    cloud: Cloud,
) -> None:
    cloud.put("inbox/b/a.jpg")
    cloud.put("inbox/other/x.jpg")
    refused(cloud.s3, "PutObject", "results/b/")
    sent = message("inbox/b/a.jpg", sender="a"), message("inbox/other/x.jpg", sender="x")
    assert handle(*sent) == ["a"]
    assert len(cloud.csv("other")) == 1
    aws.forget_clients()
    assert handle(sent[0]) == []
    assert len(cloud.csv()) == 1


def test_without_a_model_an_image_is_given_up_at_the_last_try_until_it_is_replayed(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cloud.put("inbox/b/a.jpg")
    with monkeypatch.context() as patch:
        patch.setattr(worker, "live", LiveModel(tmp_path))
        for receives in range(1, worker.LAST_TRY):
            assert handle(message("inbox/b/a.jpg", receives=receives)) == ["1"]
            assert cloud.rows() == {}
        # The message fails once more, so that it waits among the dead letters.
        assert handle(message("inbox/b/a.jpg", receives=worker.LAST_TRY)) == ["1"]
    assert "make replay" in cloud.csv()[0]["error"]
    assert cloud.batches.refresh("b").state == "finished"
    assert handle(message("inbox/b/a.jpg")) == []
    assert [row["error"] for row in cloud.csv()] == [""]


def test_a_last_try_leaves_rows_and_deleted_files_as_they_are(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.put("inbox/b/a.jpg")
    assert handle(message("inbox/b/a.jpg")) == []
    before = cloud.rows()
    sent = message("inbox/b/a.jpg", "inbox/b/gone.jpg", receives=worker.LAST_TRY)
    assert handle(sent) == []
    assert cloud.rows() == before


def test_an_image_is_marked_from_its_second_delivery_on(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    marks = []

    def look(*args: Any, **named: Any) -> Any:
        marks.append(aws.get_item(TABLE, READING_PARTITION, "inbox/b/a.jpg"))
        return answer(*args, **named)

    monkeypatch.setattr(worker, "answer", look)
    cloud.put("inbox/b/a.jpg")
    for receives in (1, 2, 3):
        assert handle(message("inbox/b/a.jpg", receives=receives)) == []
    assert [bool(mark) for mark in marks] == [False, True, True]
    assert aws.get_item(TABLE, READING_PARTITION, "inbox/b/a.jpg") is None
    assert cloud.rows()["a.jpg"].error is None


def test_an_image_that_replaces_one_that_ended_its_worker_is_read(cloud: Cloud) -> None:
    with reading(TABLE, "inbox/b/a.jpg", "old"):
        item = aws.get_item(TABLE, READING_PARTITION, "inbox/b/a.jpg")
    aws.put_item(TABLE, item or {})
    cloud.put("inbox/b/a.jpg")
    assert handle(message("inbox/b/a.jpg", receives=2)) == []
    assert cloud.rows()["a.jpg"].error is None


def test_an_image_at_which_the_service_fails_is_given_up_at_the_last_try(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("the secret cause")

    monkeypatch.setattr(worker, "answer", fail)
    cloud.put("inbox/b/a.jpg")
    assert handle(message("inbox/b/a.jpg", receives=worker.LAST_TRY - 1)) == ["1"]
    assert cloud.rows() == {}
    assert handle(message("inbox/b/a.jpg", receives=worker.LAST_TRY)) == []
    error = str(cloud.rows()["a.jpg"].error)
    assert "5 times" in error
    assert "secret" not in error
    assert len(cloud.csv()) == 1


def test_a_worker_killed_between_row_and_results_loses_neither(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt  # Nothing catches it, so it acts like SIGKILL.

    cloud.put("inbox/b/a.jpg")
    with monkeypatch.context() as patch:
        patch.setattr(results, "write", killed)
        with pytest.raises(KeyboardInterrupt):
            handle(message("inbox/b/a.jpg"))
    assert list(cloud.rows()) == ["a.jpg"]
    assert handle(message("inbox/b/a.jpg", receives=2)) == []
    assert len(cloud.csv()) == 1


def test_a_foreign_or_malformed_message_fails(cloud: Cloud) -> None:
    foreign = message("inbox/b/a.jpg", sender="foreign")
    foreign["body"] = foreign["body"].replace(BUCKET, "elsewhere")
    garbage = message(sender="garbage") | {"body": "{half"}
    assert handle(foreign, garbage) == ["foreign", "garbage"]


def test_the_worker_starts_without_boto3_and_without_a_web_framework() -> None:
    script = (
        "import sys, functions.batch.worker; "
        "print({'boto3', 'fastapi', 'mangum', 'tensorflow'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"


def test_each_call_writes_its_time_and_memory_in_one_line(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(observability, "IN_LAMBDA", True)
    cloud.put("inbox/b/a.jpg")
    for _ in range(2):
        assert handle(message("inbox/b/a.jpg")) == []
        written = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        [line] = [line for line in written if "_aws" in line]
        assert line["Latency"][0] > 1
        assert 20 < line["Memory"][0] < 10_000


def test_each_prediction_is_logged_once_and_a_failure_is_not(cloud: Cloud) -> None:
    cloud.put("inbox/b/a.jpg")
    cloud.put("inbox/b/broken.jpg", JPEG[:3_000])
    for _ in range(2):
        assert handle(message("inbox/b/a.jpg", "inbox/b/broken.jpg")) == []
    logged, _ = history.page(TABLE, 10)
    facts = [tuple(one[name] for name in ("batch", "source", "file", "key")) for one in logged]
    assert facts == [("b", "worker", "a.jpg", "inbox/b/a.jpg")]


def test_without_a_table_the_call_fails_and_not_the_images(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TABLE", "")
    settings.cache_clear()
    with pytest.raises(NotConfigured, match="TABLE"):
        handle(message("inbox/b/a.jpg"))


def test_a_batch_with_a_threshold_is_decided_by_it_in_rows_csv_and_history(cloud: Cloud) -> None:
    sample = (ROOT / "sample.jpg").read_bytes()
    probability = answer(worker.live.current(), sample).prediction["probability"]
    assert 0.05 < probability < 0.95
    for threshold in (0.05, 0.95, None):
        batch = cloud.batches.create(["a.jpg"], threshold)
        cloud.put(f"inbox/{batch}/a.jpg", sample)
        assert handle(message(f"inbox/{batch}/a.jpg")) == []
        (row,) = cloud.rows(batch).values()
        used = worker.live.current().threshold if threshold is None else threshold
        assert (row.threshold, row.is_clickbait) == (used, probability >= used)
        assert cloud.csv(batch)[0]["threshold"] == repr(used)
        ((logged,), _) = history.page(TABLE, 10, batch=batch)
        assert (logged["threshold"], logged["is_clickbait"]) == (used, row.is_clickbait)
