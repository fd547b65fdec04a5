"""Files that kill the process that reads them: they are given up, and everything else is read."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from clickbait import aws
from clickbait.settings import settings
from clickbait.store.batches import Batches
from clickbait.store.results import Row
from clickbait.store.rows import Rows
from functions.batch import worker
from local.settings import REGION
from tests.cloud import create_buckets, create_table
from tests.integration.killed_reader import KILLER
from tests.samples.drawn import encoded, picture
from tests.waiting import DEADLINE

ROOT = Path(__file__).resolve().parents[2]
GOOD = encoded(picture())


class Queue:
    """A data bucket, a table, and a queue with its dead letters, all of the emulator."""

    def __init__(self, name: str, function: str) -> None:
        self.function = function
        self.bucket = f"data-{name}"
        create_buckets(self.bucket)
        create_table(f"table-{name}")
        self.s3, self.sqs = aws.client("s3"), aws.client("sqs")
        self.dead = self.sqs.create_queue(QueueName=f"dead-{name}")["QueueUrl"]
        attributes = self.sqs.get_queue_attributes(QueueUrl=self.dead, AttributeNames=["QueueArn"])
        redrive = {
            "deadLetterTargetArn": attributes["Attributes"]["QueueArn"],
            "maxReceiveCount": worker.LAST_TRY,
        }
        self.url = self.sqs.create_queue(
            QueueName=f"queue-{name}", Attributes={"RedrivePolicy": json.dumps(redrive)}
        )["QueueUrl"]

    def put(self, files: Mapping[str, bytes]) -> None:
        for key, body in files.items():
            self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)
            place = {"bucket": {"name": self.bucket}, "object": {"key": key}}
            event = {"Records": [{"eventSource": "aws:s3", "s3": place}]}
            self.sqs.send_message(QueueUrl=self.url, MessageBody=json.dumps(event))

    def deliver(self) -> int:
        """Deliver the messages until none is left; returns how many processes were killed."""
        killed = 0
        while received := self._received(self.url, VisibilityTimeout=0):
            records = [
                {
                    "messageId": one["MessageId"],
                    "body": one["Body"],
                    "attributes": one["Attributes"],
                    "eventSource": "aws:sqs",
                }
                for one in received
            ]
            ended = subprocess.run(
                [sys.executable, "-m", "tests.integration.killed_reader", self.function],
                input=json.dumps({"Records": records}),
                cwd=ROOT,
                env=os.environ,
                capture_output=True,
                text=True,
                timeout=DEADLINE,
                check=False,
            )
            assert ended.returncode in (0, -9), ended.stderr
            if ended.returncode:
                killed += 1
                continue
            answer = json.loads(ended.stdout.splitlines()[-1])
            failed = {one["itemIdentifier"] for one in answer["batchItemFailures"]}
            for one in received:
                if one["MessageId"] not in failed:
                    self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=one["ReceiptHandle"])
        return killed

    def replay(self) -> int:
        """Move the dead letters back, as `make replay` does; returns their number."""
        moved = 0
        while received := self._received(self.dead):
            for one in received:
                self.sqs.send_message(QueueUrl=self.url, MessageBody=one["Body"])
                self.sqs.delete_message(QueueUrl=self.dead, ReceiptHandle=one["ReceiptHandle"])
                moved += 1
        return moved

    def keys(self, prefix: str) -> list[str]:
        return [found["Key"] for found in aws.list_objects(self.bucket, prefix)]

    def _received(self, url: str, **options: Any) -> list[dict[str, Any]]:
        answer = self.sqs.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=10,
            AttributeNames=["ApproximateReceiveCount"],
            **options,
        )
        return list(answer.get("Messages", []))


@pytest.fixture
def cloud(emulator: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Queue:
    name, function = request.param
    environment = {
        "AWS_ENDPOINT_URL": emulator,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": REGION,
        "DATA_BUCKET": f"data-{name}",
        "TABLE": f"table-{name}",
        "MIN_NEW_IMAGES": "100000",
    }
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    aws.forget_clients()
    settings.cache_clear()
    request.addfinalizer(settings.cache_clear)
    queue = Queue(name, function)
    monkeypatch.setenv("UPLOADS_QUEUE", queue.url)
    return queue


def rows(cloud: Queue) -> dict[str, Row]:
    return {row.name: row for row in Rows(settings().table, "b").read()}


def status(cloud: Queue) -> dict[str, Any]:
    return Batches(cloud.bucket, settings().table).refresh("b").as_dict()


@pytest.mark.parametrize("cloud", [("killer", "batch.worker")], indirect=True)
def test_a_file_that_kills_its_worker_twice_is_a_row_and_the_others_are_read(cloud: Queue) -> None:
    cloud.put({f"inbox/b/{name}.jpg": GOOD for name in "abc"})
    cloud.put({"inbox/b/killer.jpg": GOOD + KILLER})
    assert cloud.deliver() == 2
    found = rows(cloud)
    assert "ended twice" in str(found.pop("killer.jpg").error)
    assert [(name, row.error) for name, row in found.items()] == [
        (f"{name}.jpg", None) for name in "abc"
    ]
    assert (status(cloud)["state"], status(cloud)["failed"]) == ("finished", 1)
    assert cloud.keys("results/b/"), "the results were written without anybody asking"


@pytest.mark.parametrize("cloud", [("many", "batch.worker")], indirect=True)
def test_a_batch_ends_even_if_its_messages_become_dead_letters(cloud: Queue) -> None:
    killers = {f"inbox/b/{number}.jpg": GOOD + KILLER for number in range(4)}
    cloud.put(killers | {"inbox/b/good.jpg": GOOD})
    assert cloud.deliver() == worker.LAST_TRY
    found = rows(cloud)
    assert len(found) == 5
    assert any("make replay" in str(row.error) for row in found.values())
    assert (status(cloud)["state"], status(cloud)["expected"]) == ("finished", 5)
    # An administrator repeats them. What was given up unread is read, and the killers end nothing.
    assert cloud.replay() == 5
    cloud.deliver()
    found = rows(cloud)
    assert found.pop("good.jpg").error is None
    assert all("ended twice" in str(row.error) for row in found.values()), found
    assert cloud.replay() == 0


@pytest.mark.parametrize("cloud", [("train", "retrain.app")], indirect=True)
def test_a_labelled_image_that_kills_its_worker_twice_is_rejected(cloud: Queue) -> None:
    cloud.put({f"train/clickbait/{name}.jpg": GOOD for name in "ab"})
    cloud.put({"train/legitimate/killer.jpg": GOOD + KILLER})
    assert cloud.deliver() == 2
    assert cloud.keys("train/") == ["train/clickbait/a.jpg", "train/clickbait/b.jpg"]
    target = "rejected/train/legitimate/killer.jpg"
    assert cloud.keys("rejected/") == [target, f"{target}.json"]
    reason = json.loads(
        cloud.s3.get_object(Bucket=cloud.bucket, Key=f"{target}.json")["Body"].read()
    )
    assert (reason["reason"], "ended twice" in reason["detail"]) == ("too-complex", True)
