"""Corrections: images whose predictions a user reports as wrong, waiting for an admin's decision.

Each is one object, `feedback/<id>`, with its label and other facts in its metadata. Only accepted
corrections are copied to the training images.
"""

import re
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, unquote

from clickbait import LABELS, aws
from clickbait.errors import Conflict, NotFound
from clickbait.inference.images import FORMATS, MEDIA_TYPES
from clickbait.keys import ADMIN, DECIDED, FEEDBACK, TRAIN
from clickbait.store import presigned

ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{12}")
"""The time, so that S3 lists the oldest first, and a random part."""

MAX_NAME = 100
"""Characters that are kept of a client's file name. S3 accepts 2 KB of metadata, and one character
may take 12 bytes."""

READERS = 16
"""Corrections read at a time."""


def as_metadata(facts: Mapping[str, str]) -> dict[str, str]:
    """`facts` as an object's metadata, which is sent as headers: short, and ASCII by `quote`."""
    return {name: quote(text[:MAX_NAME], safe="/:+") for name, text in facts.items()}


class Feedback:
    """The corrections in the data bucket."""

    def __init__(self, bucket: str) -> None:
        self.bucket = bucket

    def put(self, data: bytes, kind: str, label: str, facts: Mapping[str, str]) -> dict[str, Any]:
        """Store a checked image of the format `kind` with its label; returns its id and time.

        `facts` are stored with it: file_name, prediction, model_version.
        """
        now = datetime.now(UTC)
        feedback = f"{now:%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:12]}"
        facts = {"label": label, "at": now.isoformat(timespec="seconds"), **facts}
        aws.client("s3").put_object(
            Bucket=self.bucket,
            Key=FEEDBACK + feedback,
            Body=data,
            ContentType=FORMATS[kind].media_type,
            Metadata=as_metadata(facts),
        )
        return {"id": feedback, "label": label, "at": facts["at"]}

    def page(self, limit: int, after: str | None) -> tuple[list[dict[str, Any]], str | None]:
        """Up to `limit` waiting corrections after the id `after`, the oldest first.

        Each has a link to view it. Also returns the last id if more follow.
        """
        start = {"StartAfter": FEEDBACK + after} if after else {}
        listed = aws.client("s3").list_objects_v2(
            Bucket=self.bucket, Prefix=FEEDBACK, MaxKeys=limit, **start
        )
        ids = [found["Key"].removeprefix(FEEDBACK) for found in listed.get("Contents", [])]
        with ThreadPoolExecutor(READERS) as pool:
            found = list(pool.map(self._waiting, filter(ID.fullmatch, ids)))
        items = [
            item | {"url": presigned.view_url(FEEDBACK + item["id"])} for item in found if item
        ]
        return items, ids[-1] if listed.get("IsTruncated") else None

    def accept(self, feedback: str) -> dict[str, Any]:
        """Move a correction to the training images of its label, marked as decided by an admin.

        Raises NotFound, or Conflict if it has no label.
        """
        from botocore.exceptions import ClientError

        head = self._head(feedback)
        label = head["Metadata"].get("label")
        if label not in LABELS:
            raise Conflict(f"Correction {feedback} has no label; it can only be rejected.")
        extension = MEDIA_TYPES.get(head["ContentType"], FORMATS["JPEG"]).extensions[0]
        key = f"{TRAIN}{label}/feedback-{feedback}.{extension}"
        try:
            aws.client("s3").copy_object(
                Bucket=self.bucket,
                Key=key,
                CopySource={"Bucket": self.bucket, "Key": FEEDBACK + feedback},
                ContentType=head["ContentType"],
                Metadata=as_metadata(head["Metadata"]) | {DECIDED: ADMIN},
                MetadataDirective="REPLACE",
                TaggingDirective="REPLACE",  # No tags: copying them takes two permissions.
            )
        except ClientError as error:
            if aws.is_missing(error):  # Another admin decided in the meantime.
                raise _unknown(feedback) from error
            raise
        aws.client("s3").delete_object(Bucket=self.bucket, Key=FEEDBACK + feedback)
        return {"id": feedback, "label": label, "key": key}

    def reject(self, feedback: str) -> dict[str, Any]:
        """Delete a correction; raises NotFound."""
        self._head(feedback)
        aws.client("s3").delete_object(Bucket=self.bucket, Key=FEEDBACK + feedback)
        return {"id": feedback}

    def _head(self, feedback: str) -> dict[str, Any]:
        """S3's headers of a correction, with readable metadata; raises NotFound."""
        valid = ID.fullmatch(feedback)
        head = aws.head_object(self.bucket, FEEDBACK + feedback) if valid else None
        if head is None:
            raise _unknown(feedback)
        facts = {name: unquote(text) for name, text in head["Metadata"].items()}
        return head | {"Metadata": facts}

    def _waiting(self, feedback: str) -> dict[str, Any] | None:
        try:
            head = self._head(feedback)
        except NotFound:  # Decided since it was listed.
            return None
        facts = head["Metadata"]
        return {
            "id": feedback,
            "label": facts.get("label"),
            "at": facts.get("at") or head["LastModified"].isoformat(),
            "bytes": head["ContentLength"],
            "content_type": head["ContentType"],
            "file_name": facts.get("file_name"),
            "prediction": facts.get("prediction"),
            "model_version": facts.get("model_version"),
        }


def _unknown(feedback: str) -> NotFound:
    return NotFound(
        f"No correction {feedback!r} is waiting: it does not exist, or an admin has decided. "
        "GET /feedback lists those that wait."
    )
