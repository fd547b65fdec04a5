"""Corrections: images that somebody says were labelled wrongly, waiting for an admin's decision.

Each is one object, `feedback/<id>`, with what was said about it in its metadata. Only an accepted
one becomes training data.
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
from clickbait.keys import FEEDBACK, TRAIN
from clickbait.store import presigned

ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{12}")
"""When it came, so that S3 lists the oldest first, and chance."""

MAX_NAME = 100
"""Characters of a client's file name that are kept: S3 takes 2 KB of metadata, and a character may
take 12 bytes of them."""

READERS = 16


class Feedback:
    """The corrections in the data bucket."""

    def __init__(self, bucket: str) -> None:
        self.bucket = bucket

    def put(self, data: bytes, kind: str, label: str, told: Mapping[str, str]) -> dict[str, Any]:
        """Keep a checked image of `kind` (JPEG, PNG, WEBP) with its label, and what else was told
        of it; returns its id and time."""
        now = datetime.now(UTC)
        made = f"{now:%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:12]}"
        said = {"label": label, "at": now.isoformat(timespec="seconds"), **told}
        aws.client("s3").put_object(
            Bucket=self.bucket,
            Key=FEEDBACK + made,
            Body=data,
            ContentType=FORMATS[kind].media_type,
            # Metadata travels as headers, which are ASCII.
            Metadata={name: quote(value[:MAX_NAME], safe="/:+") for name, value in said.items()},
        )
        return {"id": made, "label": label, "at": said["at"]}

    def page(self, limit: int, after: str | None) -> tuple[list[dict[str, Any]], str | None]:
        """At most `limit` corrections that wait, the oldest first, from behind the id `after` on,
        each with an address to look at it; and the last one's id where more follow."""
        start = {"StartAfter": FEEDBACK + after} if after else {}
        listed = aws.client("s3").list_objects_v2(
            Bucket=self.bucket, Prefix=FEEDBACK, MaxKeys=limit, **start
        )
        keys = [found["Key"] for found in listed.get("Contents", [])]
        ids = [key.removeprefix(FEEDBACK) for key in keys]
        with ThreadPoolExecutor(READERS) as pool:
            found = list(pool.map(self._waiting, filter(ID.fullmatch, ids)))
        items = [i | {"url": presigned.view_url(FEEDBACK + i["id"])} for i in found if i]
        return items, ids[-1] if listed.get("IsTruncated") else None

    def accept(self, feedback: str) -> dict[str, Any]:
        """Make it training data, under the label that came with it; raises NotFound, or Conflict
        where it has none."""
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
                TaggingDirective="REPLACE",  # It has none, and copying them takes two permissions.
            )
        except ClientError as error:
            if aws.status_of(error) == 404:  # Decided by somebody else since it was looked at.
                raise _unknown(feedback) from error
            raise
        aws.client("s3").delete_object(Bucket=self.bucket, Key=FEEDBACK + feedback)
        return {"id": feedback, "label": label, "key": key}

    def reject(self, feedback: str) -> dict[str, Any]:
        """Delete it; raises NotFound."""
        self._head(feedback)
        aws.client("s3").delete_object(Bucket=self.bucket, Key=FEEDBACK + feedback)
        return {"id": feedback}

    def _head(self, feedback: str) -> dict[str, Any]:
        from botocore.exceptions import ClientError

        if not ID.fullmatch(feedback):
            raise _unknown(feedback)
        try:
            head: dict[str, Any] = aws.client("s3").head_object(
                Bucket=self.bucket, Key=FEEDBACK + feedback
            )
        except ClientError as error:
            if aws.status_of(error) == 404:
                raise _unknown(feedback) from error
            raise
        head["Metadata"] = {name: unquote(value) for name, value in head["Metadata"].items()}
        return head

    def _waiting(self, feedback: str) -> dict[str, Any] | None:
        try:
            head = self._head(feedback)
        except NotFound:  # Decided since it was listed.
            return None
        said = head["Metadata"]
        return {
            "id": feedback,
            "label": said.get("label"),
            "at": said.get("at") or head["LastModified"].isoformat(),
            "bytes": head["ContentLength"],
            "content_type": head["ContentType"],
            "file_name": said.get("file_name"),
            "prediction": said.get("prediction"),
            "model_version": said.get("model_version"),
        }


def _unknown(feedback: str) -> NotFound:
    return NotFound(
        f"There is no correction {feedback!r} waiting, or it is decided; GET /feedback lists them."
    )
