"""Moves dead letters back to the queue that they came from, here and on AWS.

The emulator has no StartMessageMoveTask. A message is deleted only after it was sent: one that is
cut off in between arrives twice, which the function that reads it takes for once.
"""

from typing import Any

RECEIVED_AT_ONCE = 10
HIDDEN_SECONDS = 60
"""A message that could not be sent is back among the dead letters after this."""


def replay(sqs: Any, dead_letters: str, queue: str) -> int:
    """Move every message that is there now; return how many. Both are URLs."""
    moved = 0
    while True:
        messages = sqs.receive_message(
            QueueUrl=dead_letters,
            MaxNumberOfMessages=RECEIVED_AT_ONCE,
            VisibilityTimeout=HIDDEN_SECONDS,
            WaitTimeSeconds=1,  # Without waiting, SQS may look at a part of its servers only.
        ).get("Messages", [])
        if not messages:
            return moved
        for message in messages:
            sqs.send_message(QueueUrl=queue, MessageBody=message["Body"])
            sqs.delete_message(QueueUrl=dead_letters, ReceiptHandle=message["ReceiptHandle"])
            moved += 1
