"""Moves dead letters back to their queue, on AWS or on this machine.

The emulator has no StartMessageMoveTask. A message is deleted only after it was sent. If the
command is interrupted in between, the message arrives twice; the functions handle it once.
"""

from typing import Any

from ops import StackError, emulator_client, running_stack


def connect(queue: str | None, dead_letters: str | None) -> tuple[Any, str, str]:
    """An SQS client and the URLs of a dead-letter queue and its queue.

    Without URLs, those of the local stack. Raises StackError if only one URL is given, or if no
    stack runs.
    """
    import boto3

    if bool(queue) != bool(dead_letters):
        raise StackError("--queue and --dead-letters go together.")
    if queue and dead_letters:
        return boto3.client("sqs", region_name=_region_in(queue)), dead_letters, queue
    stack = running_stack()
    sqs = emulator_client("sqs", stack["cloud_url"], stack["region"])
    return sqs, stack["outputs"]["UploadsDeadLetters"], stack["outputs"]["UploadsQueue"]


def replay(sqs: Any, dead_letters: str, queue: str) -> int:
    """Move all messages from `dead_letters` to `queue` (URLs); return their number."""
    moved = 0
    while True:
        messages = sqs.receive_message(
            QueueUrl=dead_letters,
            MaxNumberOfMessages=10,
            VisibilityTimeout=60,  # A message that cannot be sent is visible again after this time.
            WaitTimeSeconds=1,  # Without a wait, SQS may query only some of its servers.
        ).get("Messages", [])
        if not messages:
            return moved
        for message in messages:
            sqs.send_message(QueueUrl=queue, MessageBody=message["Body"])
            sqs.delete_message(QueueUrl=dead_letters, ReceiptHandle=message["ReceiptHandle"])
            moved += 1


def _region_in(url: str) -> str | None:
    """The region in the URL of a queue on AWS, or None for that of the environment."""
    host = url.partition("://")[2].partition("/")[0].split(".")
    return host[1] if host[0] == "sqs" and len(host) > 2 else None
