"""Messages to the owner: sent to the topic if there is one, and harmless if that fails."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from clickbait import aws
from clickbait.settings import settings
from clickbait.store.batches import Batches
from clickbait.store.notices import SUBJECT_CHARACTERS, notify
from clickbait.store.rows import Row, Rows, now
from tests.cloud import TABLE, cloud_in_memory

BUCKET = "data"


@pytest.fixture
def received(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A function that returns the messages to the topic since its last call."""
    with cloud_in_memory(BUCKET):
        sqs, sns = aws.client("sqs"), aws.client("sns")
        queue = sqs.create_queue(QueueName="owner")["QueueUrl"]
        topic = sns.create_topic(Name="notify")["TopicArn"]
        arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn["QueueArn"])
        monkeypatch.setenv("NOTIFY_TOPIC", topic)
        settings.cache_clear()

        def messages() -> list[tuple[str, str]]:
            got = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
            for one in got:
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=one["ReceiptHandle"])
            return [(it["Subject"], it["Message"]) for it in (json.loads(m["Body"]) for m in got)]

        yield messages
    settings.cache_clear()


def test_a_message_has_a_subject_that_sns_takes(received: Any) -> None:
    notify("Bücher\n" + 200 * "x", "Bücher")
    ((subject, text),) = received()
    assert subject.isascii() and len(subject) <= SUBJECT_CHARACTERS and text == "Bücher"
    assert "\n" not in subject


def test_a_topic_that_is_gone_spoils_nothing(
    received: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_TOPIC", "arn:aws:sns:us-east-1:123456789012:gone")
    settings.cache_clear()
    notify("Batch done", "A test.")
    monkeypatch.setenv("NOTIFY_TOPIC", "")
    settings.cache_clear()
    notify("Batch done", "A test.")
    assert not received()


def test_a_started_batch_is_reported_once_when_every_file_has_its_row(received: Any) -> None:
    batches = Batches(BUCKET, TABLE)
    batch = batches.create(["a.jpg", "b.jpg"])
    assert not received()
    batches.start(batch)  # No file arrived, so both fail.
    batches.refresh(batch)
    batches.refresh(batch)
    assert received() == [
        (
            "Batch done",
            "0 images are classified, and 2 failed.\n\n"
            f"The batch is {batch}. The page shows it under Batch.",
        )
    ]


def test_a_dropped_folder_has_no_end_and_is_not_reported(received: Any) -> None:
    batches = Batches(BUCKET, TABLE)
    Rows(TABLE, "monday").put_missing([Row("a.jpg", "a.jpg", now(), error="A test.")])
    batches.record_rows("monday", 1, 0)
    assert batches.refresh("monday").state == "finished" and not received()
