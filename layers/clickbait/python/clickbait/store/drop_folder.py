"""What lands in the drop folder: looked at as it is now, then described in the table or set aside.

An event only says where to look. S3 tells of an object more than once, in any order, and after it
was replaced or deleted; so each look ends in a write and then asks whether the object is still the
one that was looked at. Whoever writes last has therefore seen the last state, and any order of any
events ends the same.
"""

import json
from threading import Lock
from typing import TYPE_CHECKING, Any

from clickbait import aws
from clickbait.errors import PayloadTooLarge, Problem, UnknownLabel
from clickbait.inference import images
from clickbait.inference.appearance import appearance
from clickbait.inference.images import perceptual_hash
from clickbait.keys import (
    IMAGE_PARTITION,
    LABEL_OF_FOLDER,
    REASON_SUFFIX,
    REJECTED,
    TRAIN,
    is_hidden,
    label_of,
)
from clickbait.observability import logger
from clickbait.settings import MAX_IMAGE_BYTES

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MAX_KEY_BYTES = 1_024
"""S3's limit, in UTF-8; it is also DynamoDB's for a sort key, so any key fits the table."""

LARGEST_COPY = 5 * 1024**3
"""S3 copies no more bytes in one request: a film that was dropped by mistake goes in parts."""
COPY_PART = 1024**3
"""Bytes of such a part: the largest object there can be, 5 TB, stays below S3's 10,000 parts."""

BROKEN = ("limit", "value")
"""What a Problem may say of the limit that was broken, and a reason says too."""

MAX_ATTEMPTS = 5
"""Times that one call looks at an object that changes under its eyes; the message comes again."""

GONE = 404
CHANGED = frozenset({404, 409, 412})
"""How S3 refuses a copy or a deletion of what is no longer the object that was looked at."""


def unlabelled(key: str) -> UnknownLabel:
    """What is wrong with a key of the drop folder of which `label_of` says that it has no label."""
    folder, *name = key.removeprefix(TRAIN).split("/")
    known = ", ".join(sorted(LABEL_OF_FOLDER))
    if folder not in LABEL_OF_FOLDER and name:
        return UnknownLabel(f"The folder {folder!r} is no label. Use one of {known}.")
    return UnknownLabel(f"The key names no file in a folder of {TRAIN}. Use one of {known}.")


def rejected_key(key: str) -> str:
    """The key to which an object of the drop folder is moved if it cannot be used; the key of its
    reason has REASON_SUFFIX added.

    That is `rejected/<key>`, but for two kinds of key that end in a hash of the key instead: one
    that is too long for it is cut, and one that ends like a reason would be taken for one.
    """
    target = f"{REJECTED}{key}".encode()
    most = MAX_KEY_BYTES - len(REASON_SUFFIX)
    if len(target) <= most and not key.endswith(REASON_SUFFIX):
        return target.decode()
    mark = f"-{images.sha256(key.encode())[:16]}"
    return target[: most - len(mark)].decode(errors="ignore") + mark


class DropFolder:
    """The drop folder of one data bucket, and the table that describes what is in it.

    May be used by several threads: they read objects at a time and decode one at a time, because
    one image can take 100 MB while it is decoded.
    """

    def __init__(self, data_bucket: str, table: str) -> None:
        self.bucket = data_bucket
        self.table = table
        self._decoding = Lock()

    @property
    def s3(self) -> "S3Client":
        """The client of the bucket."""
        client: S3Client = aws.client("s3")
        return client

    def process(self, key: str) -> str:
        """Look at the object `key` as it is now, and return what became of it.

        "kept": it is usable, and its item says what it is. "rejected": it was moved to
        `rejected_key` with its reason. "gone": there is none, and no item. "ignored": it is no
        image of the drop folder, but a folder, a dot file or elsewhere. Faults of S3 and DynamoDB
        are raised as they come, and so is an object that changes with every look; nothing is lost
        by then, and the next call ends what this one began.
        """
        if not key.startswith(TRAIN) or is_hidden(key):
            return "ignored"
        for _ in range(MAX_ATTEMPTS):
            became = self._attempt(key)
            if became:
                return became
        raise RuntimeError(f"{key} changed {MAX_ATTEMPTS} times while it was looked at")

    def _attempt(self, key: str) -> str:
        """As `process`, by one look; empty where the object was another one in the end."""
        found = self._open(key)
        if found is None:
            self._forget(key)
            return "gone" if self._etag(key) == "" else ""
        if found["ContentLength"] == 0 and key.endswith("/"):
            self._forget(key)
            return "ignored" if self._etag(key) == found["ETag"] else ""
        try:
            item = self._describe(key, found)
        except Problem as problem:
            return "rejected" if self._set_aside(key, found, problem) else ""
        aws.client("dynamodb").put_item(TableName=self.table, Item=item)
        return "kept" if self._etag(key) == found["ETag"] else ""

    def _describe(self, key: str, found: Any) -> dict[str, Any]:
        """The item of a usable image; raises the Problem of any other."""
        size, body = found["ContentLength"], found["Body"]
        with body:  # What is not read is not fetched.
            label = label_of(key)
            if label is None:
                raise unlabelled(key)
            if size > MAX_IMAGE_BYTES:
                raise PayloadTooLarge(
                    f"The object has {size:,} bytes; the limit is {MAX_IMAGE_BYTES:,}. "
                    "Shrink the image or save it as JPEG.",
                    limit=MAX_IMAGE_BYTES,
                    value=size,
                )
            data = body.read()
        with self._decoding:
            image = images.read(data)
            pixels = images.model_input(image)
        text = {
            "pk": IMAGE_PARTITION,
            "sk": key,
            "label": label,
            "etag": found["ETag"].strip('"'),
            "format": image.format,
            "sha256": images.sha256(data),
            "phash": perceptual_hash(pixels),
            "at": found["LastModified"].isoformat(),
        }
        numbers = {
            "bytes": size,
            "width": image.width,
            "height": image.height,
            **appearance(pixels),
        }
        return {name: {"S": value} for name, value in text.items()} | {
            name: {"N": str(value)} for name, value in numbers.items()
        }

    def _set_aside(self, key: str, found: Any, problem: Problem) -> bool:
        """Move what cannot be used, the copy first and the deletion last; False where it is no
        longer there to be moved."""
        from botocore.exceptions import ClientError

        target, etag = rejected_key(key), found["ETag"]
        why: dict[str, Any] = {"key": key, "reason": problem.slug(), "detail": problem.detail}
        why |= {name: problem.members[name] for name in BROKEN if name in problem.members}
        why |= {
            "at": found["LastModified"].isoformat(),
            "bytes": found["ContentLength"],
            "etag": etag.strip('"'),
        }
        try:
            self._copy(key, target, etag, found["ContentLength"])
            self.s3.put_object(
                Bucket=self.bucket,
                Key=target + REASON_SUFFIX,
                Body=json.dumps(why, indent=2, ensure_ascii=False).encode(),
                ContentType="application/json",
            )
            self._forget(key)
            self.s3.delete_object(Bucket=self.bucket, Key=key, IfMatch=etag)
        except ClientError as error:
            if aws.status_of(error) in CHANGED:
                return False
            raise
        logger.info("image rejected", key=key, reason=why["reason"], detail=problem.detail)
        return True

    def _copy(self, key: str, target: str, etag: str, size: int) -> None:
        """Copy the object as it was when it had `etag`, without its tags: to copy those would take
        two more permissions."""
        source: Any = {"Bucket": self.bucket, "Key": key}
        only: Any = {"CopySourceIfMatch": etag, "TaggingDirective": "REPLACE"}
        if size <= LARGEST_COPY:
            self.s3.copy_object(Bucket=self.bucket, Key=target, CopySource=source, **only)
            return
        from boto3.s3.transfer import TransferConfig

        parts = TransferConfig(multipart_threshold=LARGEST_COPY, multipart_chunksize=COPY_PART)
        self.s3.copy(source, self.bucket, target, ExtraArgs=only, Config=parts)

    def _forget(self, key: str) -> None:
        aws.client("dynamodb").delete_item(
            TableName=self.table, Key={"pk": {"S": IMAGE_PARTITION}, "sk": {"S": key}}
        )

    def _open(self, key: str) -> Any:
        """S3's answer to reading an object, its body not yet fetched; None where there is none."""
        try:
            return self.s3.get_object(Bucket=self.bucket, Key=key)
        except self.s3.exceptions.NoSuchKey:
            return None

    def _etag(self, key: str) -> str:
        """The ETag of an object as it is now; empty where there is none."""
        from botocore.exceptions import ClientError

        try:
            return self.s3.head_object(Bucket=self.bucket, Key=key)["ETag"]
        except ClientError as error:
            if aws.status_of(error) == GONE:
                return ""
            raise
