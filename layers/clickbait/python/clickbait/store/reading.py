"""Marks of the stored images that are being read, so that one that ends its worker is found.

A worker that is killed, for memory, time or a crash of a decoder, can write nothing: its messages
only come again. So from the second delivery on, a mark in the table stands while an image is read.
If it still stands at the next delivery, that image is not read again. The first delivery of a
message, which nearly always succeeds, writes no mark.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from clickbait import aws
from clickbait.errors import TooComplex
from clickbait.keys import READING_PARTITION

MARK_DAYS = 14
"""As long as a dead-letter queue keeps a message. Then the table deletes the mark."""


def deliveries(record: Mapping[str, Any]) -> int:
    """How often SQS has delivered a message, this time included."""
    return int(record.get("attributes", {}).get("ApproximateReceiveCount", "1"))


@contextmanager
def reading(table: str, key: str, etag: str) -> Iterator[None]:
    """Mark the object `key` while the caller reads it.

    Raises TooComplex if the process that marked the same object before never came to its end.
    """
    expires = int(time.time() + MARK_DAYS * 86_400)
    mark = {"pk": READING_PARTITION, "sk": key, "etag": etag, "expires": expires}
    if (
        aws.put_item(table, mark, "attribute_not_exists(pk) OR etag <> :etag", {":etag": etag})
        is None
    ):
        raise TooComplex(
            "The image could not be read: the service ended twice while it tried. Save the image "
            "again, for instance as a JPEG, and upload it."
        )
    try:
        yield
    finally:
        aws.delete_item(table, READING_PARTITION, key)
