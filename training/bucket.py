"""A training's objects in S3: the images it fetches, the features it keeps, and its checkpoint."""

import json
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clickbait.aws import status_of
from clickbait.keys import CHECKPOINTS, DECIDED
from clickbait.settings import MAX_IMAGE_BYTES
from training import write_whole

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

THREADS = 32
"""Objects transferred at a time: an image of 100 KB is a wait for the network, not work."""
GROUP = "group"
"""`x-amz-meta-group` of an image: images of one group (a channel, a film) stay on one side."""
GONE = (404, 412)
"""S3's status codes for an image that was deleted or replaced since it was listed."""


@cache
def s3() -> "S3Client":
    """More patient than the service's client, because nobody waits for a training's requests."""
    import boto3
    from botocore.config import Config

    patient = Config(
        connect_timeout=10,
        read_timeout=60,
        retries={"total_max_attempts": 6, "mode": "standard"},
        max_pool_connections=THREADS,
    )
    return boto3.client("s3", config=patient)  # type: ignore[no-any-return,unused-ignore]


class Images:
    """Images of the data bucket, each fetched once into a file that its ETag names.

    A key can be any text, so no key becomes a path.
    """

    def __init__(self, bucket: str, folder: Path) -> None:
        self.bucket, self.folder = bucket, folder
        self._etags: dict[str, str] = {}

    def fetch(self, listing: dict[str, str]) -> list[str]:
        """Fetch the images of `listing` (key to ETag); returns the keys of those that were fetched.

        Images that were deleted or replaced since they were listed are left out, and so are files
        with more bytes than an image may have.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        # Keys with the same content share one file, which one thread must write.
        keys: dict[str, list[str]] = {}
        for key, etag in listing.items():
            keys.setdefault(etag, []).append(key)
        with ThreadPoolExecutor(THREADS) as pool:
            found = dict(zip(keys, pool.map(self._fetch, keys.values(), keys), strict=True))
        here = {key: etag for key, etag in listing.items() if found[etag]}
        self._etags |= here
        return list(here)

    def read(self, key: str) -> bytes:
        """The bytes of a fetched image."""
        return self._file(self._etags[key]).read_bytes()

    def group(self, key: str) -> str:
        """Its group, or ""."""
        file = self._file(self._etags[key]).with_suffix(".group")
        return file.read_text(encoding="utf-8") if file.exists() else ""

    def decided(self, key: str) -> str | None:
        """Who decided its label, if it says so."""
        file = self._file(self._etags[key]).with_suffix(".decided")
        return file.read_text(encoding="utf-8") if file.exists() else None

    def refresh(self, keys: Iterable[str]) -> None:
        """Ask again who decided the labels of fetched images. An admin may confirm a label after
        the image was fetched, and its ETag stays."""
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(self._refresh, [key for key in keys if key in self._etags]))

    def _refresh(self, key: str) -> None:
        from botocore.exceptions import ClientError

        try:
            head = s3().head_object(Bucket=self.bucket, Key=key)
        except ClientError as error:
            if status_of(error) in GONE:
                return
            raise
        if text := head["Metadata"].get(DECIDED):
            file = self._file(self._etags[key])
            file.with_suffix(f".{DECIDED}").write_text(text, encoding="utf-8")

    def _file(self, etag: str) -> Path:
        return self.folder / f"{re.sub(r'[^0-9A-Za-z-]', '_', etag)}.image"

    def _fetch(self, keys: Iterable[str], etag: str) -> bool:
        file = self._file(etag)
        return file.exists() or any(self._get(key, etag, file) for key in keys)

    def _get(self, key: str, etag: str, file: Path) -> bool:
        from botocore.exceptions import ClientError

        try:
            found = s3().get_object(Bucket=self.bucket, Key=key, IfMatch=f'"{etag}"')
        except ClientError as error:
            if status_of(error) in GONE:
                return False
            raise
        with found["Body"] as body:
            if found["ContentLength"] > MAX_IMAGE_BYTES:
                return False
            data = body.read()
        for name in (GROUP, DECIDED):
            if text := found["Metadata"].get(name):
                file.with_suffix(f".{name}").write_text(text, encoding="utf-8")
        write_whole(file, data)
        return True


@dataclass(frozen=True)
class S3Store:
    """`features.Store` in the models bucket."""

    bucket: str

    def get(self, key: str) -> bytes | None:
        """The data stored under `key`, or None."""
        from botocore.exceptions import ClientError

        try:
            return s3().get_object(Bucket=self.bucket, Key=key)["Body"].read()
        except ClientError as error:
            if status_of(error) == 404:
                return None
            raise

    def put(self, key: str, data: bytes) -> None:
        """Store all of `data` under `key`, or nothing."""
        s3().put_object(Bucket=self.bucket, Key=key, Body=data)


@dataclass
class Checkpoint:
    """`checkpoints/<run>/` in the models bucket, from which the next attempt of a run resumes."""

    bucket: str
    run: str
    work: Path
    """The folder whose files are mirrored."""

    def __post_init__(self) -> None:
        self.store = S3Store(self.bucket)
        self.prefix = f"{CHECKPOINTS}{self.run}/"

    def start(self) -> Any | None:
        """The start that the first attempt stored, or None."""
        found = self.store.get(f"{self.prefix}start.json")
        return json.loads(found) if found else None

    def note(self, start: Any) -> None:
        """Store what the first attempt starts from, so that later ones start from it too."""
        self.store.put(f"{self.prefix}start.json", json.dumps(start).encode())

    def saved(self, file: Path) -> None:
        """Mirror a file of the work folder."""
        key = f"{self.prefix}work/{file.relative_to(self.work).as_posix()}"
        self.store.put(key, file.read_bytes())

    def restore(self) -> None:
        """Copy back the mirrored files that are missing here; local files are never older."""
        prefix = f"{self.prefix}work/"
        for key in self._keys(prefix):
            file = self.work / key.removeprefix(prefix)
            data = None if file.exists() else self.store.get(key)
            if data is not None:
                file.parent.mkdir(parents=True, exist_ok=True)
                write_whole(file, data)

    def delete(self) -> None:
        """Delete it: no attempt will resume from it."""
        for key in self._keys(self.prefix):
            s3().delete_object(Bucket=self.bucket, Key=key)

    def _keys(self, prefix: str) -> list[str]:
        pages = s3().get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        return [found["Key"] for page in pages for found in page.get("Contents", [])]
