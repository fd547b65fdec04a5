"""5,000 files at once in `inbox/` and in `train/`: every one is accounted for, once, and the last
thousand take no longer than the first. `SOAK_FILES` takes fewer."""

import csv
import io
import json
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from clickbait import aws
from clickbait.settings import settings
from clickbait.store import batches, history
from clickbait.store.batches import Batches
from clickbait.store.rows import Rows
from functions.batch import worker
from functions.retrain import app as retrain
from tests.cloud import TABLE, cloud_in_memory
from tests.samples.drawn import encoded, picture

pytestmark = pytest.mark.timeout(3600)

FILES = int(os.environ.get("SOAK_FILES", "5000"))
IN_A_MESSAGE_BATCH = 10
UNREADABLE, TWICE = 0.02, 0.05
"""Shares of files that are no image, and of messages that come twice."""
BUCKET = "clickbait-data-abcdefghijkl"
CONTEXT = SimpleNamespace(aws_request_id="an-id")


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with cloud_in_memory(BUCKET, "models"):
        queue = aws.client("sqs").create_queue(QueueName="uploads")["QueueUrl"]
        environment = {
            **{"DATA_BUCKET": BUCKET, "TABLE": TABLE, "UPLOADS_QUEUE": queue},
            **{"JOB_QUEUE": "queue", "JOB_DEFINITION": "definition", "LEARN_QUEUE": queue},
            **{"MIN_NEW_IMAGES": "100000"},
        }
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        settings.cache_clear()
        batches._names.cache_clear()
        monkeypatch.setattr(history, "_paused_until", 0.0)
        yield aws.client("s3")
    settings.cache_clear()


def drop(s3: Any, bucket: str, folder: str, at_once: int = 1) -> dict[str, bool]:
    """Put the files into a folder of the bucket; each key, and whether it is an image."""
    chance = random.Random(7)
    drawn = [
        encoded(picture((96, 64), seed), kind) for seed in range(20) for kind in ("JPEG", "PNG")
    ]
    files = {f"{folder}/{n:05d}.jpg": chance.random() >= UNREADABLE for n in range(FILES)}

    def put(n: int, key: str) -> None:
        body = drawn[n % len(drawn)] + str(n).encode() if files[key] else b"no image"
        s3.put_object(Bucket=bucket, Key=key, Body=body)

    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(put, range(FILES), files))
    return files


def deliver(keys: list[str], handle: Callable[..., Any]) -> list[float]:
    """Deliver a message for each key, in any order and some twice; seconds of each call."""
    chance = random.Random(8)
    sent = keys + chance.sample(keys, int(len(keys) * TWICE))
    chance.shuffle(sent)
    seconds = []
    for start in range(0, len(sent), IN_A_MESSAGE_BATCH):
        records = []
        for key in sent[start : start + IN_A_MESSAGE_BATCH]:
            place = {"bucket": {"name": BUCKET}, "object": {"key": key}}
            body = json.dumps({"Records": [{"eventSource": "aws:s3", "s3": place}]})
            records.append({"messageId": f"{start}-{key}", "body": body, "eventSource": "aws:sqs"})
        began = time.process_time()
        assert handle({"Records": records}, CONTEXT) == {"batchItemFailures": []}
        seconds.append(time.process_time() - began)
    return seconds


def stays_flat(seconds: list[float]) -> bool:
    fifth = len(seconds) // 5
    first, last = sorted(seconds[:fifth]), sorted(seconds[-fifth:])
    return last[fifth // 2] < 2 * first[fifth // 2]


def test_every_file_of_the_inbox_has_one_row(s3: Any) -> None:
    files = drop(s3, BUCKET, "inbox/many")
    seconds = deliver(list(files), worker.handler)
    rows = [row.name for row in Rows(TABLE, "many").read()]
    assert Counter(rows) == Counter(key.rpartition("/")[2] for key in files)
    progress = Batches(BUCKET, TABLE).refresh("many").as_dict()
    assert (progress["state"], progress["expected"]) == ("finished", FILES)
    assert progress["failed"] == list(files.values()).count(False)
    body = s3.get_object(Bucket=BUCKET, Key="results/many/results.csv")["Body"].read()
    assert len(list(csv.DictReader(io.StringIO(body.decode(), newline="")))) == FILES
    print(f"{FILES} files, {sum(seconds):.0f} s of CPU, {max(seconds):.2f} s the longest call")
    assert stays_flat(seconds)


def test_every_file_of_the_drop_folder_is_described_or_rejected(s3: Any) -> None:
    files = drop(s3, BUCKET, "train/clickbait")
    seconds = deliver(list(files), retrain.handler)
    described = {item["sk"] for item in aws.query(TABLE, "image#")}
    assert described == {key for key, good in files.items() if good}
    rejected = {o["Key"] for o in aws.list_objects(BUCKET, "rejected/")}
    bad = {
        f"rejected/{key}{end}" for key, good in files.items() if not good for end in ("", ".json")
    }
    assert rejected == bad
    print(f"{FILES} files, {sum(seconds):.0f} s of CPU, {max(seconds):.2f} s the longest call")
    assert stays_flat(seconds)
