"""Every dead letter goes back to its queue, whole; those that cannot stay where they are."""

import boto3
import pytest
from click.testing import CliRunner
from moto import mock_aws

from ops.__main__ import main
from ops.replay import replay


@pytest.fixture
def sqs():
    with mock_aws():
        yield boto3.client("sqs", region_name="us-east-1")


def queue(sqs, name: str, *bodies: str) -> str:
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    for body in bodies:
        sqs.send_message(QueueUrl=url, MessageBody=body)
    return url


def bodies_in(sqs, url: str) -> list[str]:
    found = []
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        found += [message["Body"] for message in messages]
    return sorted(found)


def test_all_messages_are_moved_and_counted(sqs):
    bodies = [f"{number:02} ü" for number in range(23)]
    dead, alive = queue(sqs, "dead", *bodies), queue(sqs, "alive")
    assert replay(sqs, dead, alive) == 23
    assert bodies_in(sqs, alive) == bodies
    assert bodies_in(sqs, dead) == []
    assert replay(sqs, dead, alive) == 0


def test_a_message_that_cannot_be_sent_is_not_deleted(sqs):
    dead = queue(sqs, "dead", "kept")
    with pytest.raises(sqs.exceptions.QueueDoesNotExist):
        replay(sqs, dead, dead + "-no-more")
    count = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["All"])["Attributes"]
    assert count["ApproximateNumberOfMessagesNotVisible"] == "1"


def test_queues_on_aws_are_given_as_two_addresses(sqs):
    dead, alive = queue(sqs, "dead", "a"), queue(sqs, "alive")
    assert ".us-east-1." in dead
    done = CliRunner().invoke(main, ["replay", "--queue", alive, "--dead-letters", dead])
    assert (done.exit_code, done.output) == (0, f"1 messages moved to {alive}\n")
    half = CliRunner().invoke(main, ["replay", "--queue", alive])
    assert (half.exit_code, half.output) == (1, "replay: --queue and --dead-letters go together.\n")
