"""The drop folder, from S3's events in any order to items, rejected objects and a timer."""

import json
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote_plus

import pytest
from moto import mock_aws

from clickbait import aws, errors
from clickbait.inference import images
from clickbait.inference.container.core import MAX_PIXELS
from clickbait.settings import settings
from clickbait.store.drop_folder import rejected_key
from clickbait.store.trained import list_images
from functions.retrain import app
from tests.cloud import create_buckets, create_table
from tests.samples import hostile
from tests.samples.drawn import encoded, picture

EVENTS = Path(__file__).resolve().parents[2] / "events"
BUCKET, TABLE = "clickbait-data-abcdefghijkl", "table"
POISONED = (1, 4, 7)
GOOD = [
    encoded(picture((96, 64), seed), kind)
    for seed, kind in enumerate(("JPEG", "PNG", "WEBP", "JPEG"))
]


class Drop:
    """The drop folder, with all events that S3 sent about it."""

    def __init__(self) -> None:
        self.s3, self.db, self.sqs = (aws.client(name) for name in ("s3", "dynamodb", "sqs"))
        create_buckets(BUCKET)
        create_table(TABLE)
        self.queue = self.sqs.create_queue(QueueName="uploads")["QueueUrl"]
        self.events: list[str] = []

    def put(self, key: str, body: bytes) -> None:
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=body)
        self._announce(key, "ObjectCreated:Put")

    def delete(self, key: str) -> None:
        self.s3.delete_object(Bucket=BUCKET, Key=key)
        self._announce(key, "ObjectRemoved:Delete")

    def _announce(self, key: str, name: str) -> None:
        sample = json.loads((EVENTS / "s3-object-created.json").read_text())["Records"][0]
        body = json.loads(sample["body"])
        body["Records"][0]["eventName"] = name
        body["Records"][0]["s3"]["object"]["key"] = quote_plus(key, safe="/")
        self.events.append(json.dumps(body))

    def deliver(self, bodies: list[str]) -> list[str]:
        """Deliver `bodies`, ten at a time, and return those that failed."""
        failed = []
        for start in range(0, len(bodies), 10):
            batch = dict(enumerate(bodies[start : start + 10]))
            event = {
                "Records": [
                    {"messageId": str(n), "body": body, "eventSource": "aws:sqs"}
                    for n, body in batch.items()
                ]
            }
            answer = app.handler(event, SimpleNamespace(aws_request_id="an-id"))
            assert answer is not None
            failed += [batch[int(one["itemIdentifier"])] for one in answer["batchItemFailures"]]
        return failed

    def objects(self, prefix: str = "") -> dict[str, bytes]:
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        keys = [one["Key"] for page in pages for one in page.get("Contents", [])]
        return {k: self.s3.get_object(Bucket=BUCKET, Key=k)["Body"].read() for k in keys}

    def items(self) -> dict[str, Any]:
        pages = self.db.get_paginator("query").paginate(
            TableName=TABLE,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": "image#"}},
        )
        return {item["sk"]["S"]: item for page in pages for item in page["Items"]}

    def state(self) -> Any:
        """All objects and items at the end, without the times of the objects."""

        def timeless(body: bytes) -> bytes:
            return json.dumps(json.loads(body) | {"at": ""}).encode()

        objects = {
            key: timeless(body) if key.endswith(".json") else body
            for key, body in self.objects().items()
        }
        return objects, {key: item | {"at": ""} for key, item in self.items().items()}


@contextmanager
def new_drop() -> Iterator[Drop]:
    aws.forget_clients()
    with mock_aws(), pytest.MonkeyPatch.context() as monkeypatch:
        created = Drop()
        monkeypatch.setenv("DATA_BUCKET", BUCKET)
        monkeypatch.setenv("MODELS_BUCKET", "models")
        monkeypatch.setenv("TABLE", TABLE)
        monkeypatch.setenv("UPLOADS_QUEUE", created.queue)
        settings.cache_clear()
        yield created
    settings.cache_clear()


@pytest.fixture
def drop() -> Iterator[Drop]:
    with new_drop() as created:
        yield created


def history(drop: Drop) -> None:
    """A user's afternoon: uploads, mistakes, corrections and second thoughts."""
    drop.put("train/clickbait/", b"")
    drop.put("train/clickbait/.DS_Store", b"\0\0\0\1Bud1")
    for n, body in enumerate(GOOD):
        drop.put(f"train/clickbait/{n} cl\u00e9+%.jpg", body)
        drop.put(f"train/legitimate/deep/{n}.png", body)
    drop.put("train/clickbait/half.jpg", GOOD[0][:200])
    drop.put("train/cats/felix.jpg", GOOD[0])
    drop.put("train/nowhere.jpg", GOOD[0])
    drop.put("train/clickbait/A.jpg", GOOD[1])
    drop.put("train/clickbait/a.jpg", b"no image")
    drop.put("train/legitimate/replaced-by-a-good-one.jpg", b"")
    drop.put("train/legitimate/replaced-by-a-good-one.jpg", GOOD[2])
    drop.put("train/legitimate/replaced-by-a-broken-one.jpg", GOOD[2])
    drop.put("train/legitimate/replaced-by-a-broken-one.jpg", b"GIF89a")
    drop.put("train/clickbait/deleted.jpg", GOOD[3])
    drop.delete("train/clickbait/deleted.jpg")
    drop.put("train/clickbait/came-back.jpg", b"no image")
    drop.delete("train/clickbait/came-back.jpg")
    drop.put("train/clickbait/came-back.jpg", GOOD[3])


def test_events_delivered_twice_and_in_any_order_end_in_the_same_state() -> None:
    ends = []
    for seed in range(6):
        with new_drop() as drop:
            history(drop)
            events = drop.events.copy()
            if seed:
                events *= 2
                random.Random(seed).shuffle(events)
            assert drop.deliver(events) == []
            ends.append(drop.state())
    objects, items = ends[0]
    assert all(end == ends[0] for end in ends[1:])
    assert len(items) == 11
    assert items.keys() == {
        key for key in objects if key.startswith("train/") and not key.endswith(("/", ".DS_Store"))
    }
    broken = ["clickbait/half.jpg", "cats/felix.jpg", "nowhere.jpg", "clickbait/a.jpg"]
    broken.append("legitimate/replaced-by-a-broken-one.jpg")
    assert {key for key in objects if key.startswith("rejected/")} == {
        f"rejected/train/{name}{end}" for name in broken for end in ("", ".json")
    }


def test_events_between_changes_and_in_parallel_end_in_the_last_state(
    drop: Drop,
) -> None:
    key = "train/clickbait/a.jpg"
    chance = random.Random(3)
    for _ in range(12):
        drop.put(key, chance.choice([GOOD[0], GOOD[1], b"no image"]))
        if chance.random() < 0.3:
            drop.delete(key)
        drop.deliver(chance.sample(drop.events, 1))
    drop.put(key, GOOD[2])
    with ThreadPoolExecutor(3) as pool:
        assert [
            one for failed in pool.map(lambda b: drop.deliver([b]), drop.events) for one in failed
        ] == []
    assert drop.items()[key]["sha256"]["S"] == images.sha256(GOOD[2])
    assert drop.objects("train/") == {key: GOOD[2]}


def test_a_training_lists_the_described_images(drop: Drop) -> None:
    history(drop)
    drop.deliver(drop.events)
    etags = {key: item["etag"]["S"] for key, item in drop.items().items()}
    assert etags == list_images(BUCKET)


def test_three_poisoned_messages_of_ten_fail_and_the_others_succeed(drop: Drop) -> None:
    event = json.loads((EVENTS / "sqs-batch.json").read_text())
    for n, key in enumerate(
        ["clickbait_fake/a.jpg", "clickbait_real/b+b.png", "clickbait/c c.webp"]
    ):
        drop.s3.put_object(Bucket=BUCKET, Key=f"train/{key}", Body=GOOD[n])
    drop.s3.put_object(Bucket=BUCKET, Key="train/legitimate/d/d.jpg", Body=b"no image")
    ids = [record["messageId"] for record in event["Records"]]
    poisoned = [{"itemIdentifier": ids[place]} for place in POISONED]
    for _ in range(2):
        answer = app.handler(event, SimpleNamespace(aws_request_id="an-id"))
        assert answer == {"batchItemFailures": poisoned}
        assert {key: item["label"]["S"] for key, item in drop.items().items()} == {
            "train/clickbait_fake/a.jpg": "clickbait_fake",
            "train/clickbait_real/b+b.png": "clickbait_real",
            "train/clickbait/c c.webp": "clickbait_fake",
        }
        assert drop.objects("rejected/").keys() == {
            "rejected/train/legitimate/d/d.jpg",
            "rejected/train/legitimate/d/d.jpg.json",
        }


def test_if_the_table_fails_every_message_of_an_image_fails_and_nothing_is_moved(
    drop: Drop, monkeypatch
) -> None:
    monkeypatch.setenv("TABLE", "nowhere")
    settings.cache_clear()
    drop.put("train/clickbait/good.jpg", GOOD[0])
    drop.put("train/clickbait/bad.jpg", b"no image")
    assert drop.deliver(drop.events) == drop.events
    assert drop.objects("train/").keys() == {"train/clickbait/good.jpg", "train/clickbait/bad.jpg"}


def test_uploads_start_one_debounce_timer_that_fires_as_a_message(
    drop: Drop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUIET_PERIOD", "0")
    settings.cache_clear()
    drop.put("train/clickbait/good.jpg", GOOD[0])
    drop.put("train/clickbait/better.jpg", GOOD[1])
    drop.deliver(drop.events)
    found = drop.sqs.receive_message(
        QueueUrl=drop.queue, MaxNumberOfMessages=10, WaitTimeSeconds=3
    )["Messages"]
    assert [json.loads(message["Body"]) for message in found] == [
        json.loads(json.loads((EVENTS / "quiet-message.json").read_text())["Records"][0]["body"])
    ]


STATUS_OF_REASON = {
    kind.slug(): kind.status
    for kind in (
        errors.EmptyImage,
        errors.BrokenImage,
        errors.AnimatedImage,
        errors.TooManyPixels,
        errors.TooComplex,
        errors.UnsupportedFormat,
    )
}


def test_every_hostile_file_is_kept_or_rejected_for_the_reason_that_predict_gives(
    drop: Drop,
) -> None:
    files = hostile.good_or_bad()
    for name, (body, _) in files.items():
        drop.put(f"train/clickbait/{name}", body)
    assert drop.deliver(drop.events) == []
    items, here, rejected = drop.items(), drop.objects("train/"), drop.objects("rejected/")
    wrong = {}
    for name, (body, right) in files.items():
        key = f"train/clickbait/{name}"
        target = rejected_key(key)
        if key in items:
            status, whole = 200, here.get(key) == body and target not in rejected
        else:
            status = STATUS_OF_REASON[json.loads(rejected[target + ".json"])["reason"]]
            whole = rejected[target] == body and key not in here
        if status not in right or not whole:
            wrong[name] = status
    assert wrong == {}
    reasons = {json.loads(body)["reason"] for k, body in rejected.items() if k.endswith(".json")}
    assert reasons == STATUS_OF_REASON.keys()
    why = json.loads(rejected["rejected/train/clickbait/bomb-9000x9000.png.json"])
    assert (why["limit"], why["value"]) == (MAX_PIXELS, 9_000**2)
    assert "9000 x 9000" in why["detail"]
