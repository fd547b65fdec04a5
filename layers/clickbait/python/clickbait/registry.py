"""Which model is live, and how a serving process comes to have it (reading side).

In the models bucket `champion.json` names a version and `versions/<version>/` holds it. A process
looks at the pointer at most every REFRESH_SECONDS, loads and checks a new version beside the old
one, and swaps in one assignment: a request sees either model, never both. What fails to load leaves
the old one serving and raises a metric.
"""

import json
import time
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from clickbait.classifier import Classifier
from clickbait.errors import InvalidModel, Unavailable
from clickbait.observability import count, logger

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

REFRESH_SECONDS = 30.0
"""A new champion is live everywhere within this; one conditional GET in 30 s costs nothing that
matters."""

CHAMPION_KEY = "champion.json"


class Registry:
    """The models bucket, read through one S3 client that is made on first use."""

    def __init__(self, bucket: str) -> None:
        self.bucket = bucket
        self._client: S3Client | None = None
        self._etag = ""

    @property
    def s3(self) -> "S3Client":
        """The client; boto3 is imported here, because a process that serves the baseline never
        needs it."""
        if self._client is None:
            import boto3
            from botocore.config import Config

            quick = Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 2})
            self._client = boto3.client("s3", config=quick)
        return self._client

    def champion(self) -> str | None:
        """The live version where the pointer changed since the last call, else None (also before
        the first promotion).

        Raises InvalidModel where the pointer cannot be read, is no pointer, or was there and is
        gone.
        """
        found = self._get(CHAMPION_KEY, self._etag)
        if found is None:
            return None
        body, etag = found
        try:
            version = str(json.loads(body)["version"])
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidModel(f"{CHAMPION_KEY} does not name a version: {body[:80]!r}") from error
        self._etag = etag
        return version

    def forget(self) -> None:
        """Make the next `champion` answer whatever the pointer says, changed or not."""
        self._etag = ""

    def load(self, version: str) -> Classifier:
        """Fetch and check one version; raises InvalidModel where it is missing or breaks its
        metadata's promises."""
        files = {}
        for name in ("metadata.json", "model.tflite"):
            found = self._get(f"versions/{version}/{name}")
            if found is None:
                raise InvalidModel(f"Version {version} has no {name}.")
            files[name] = found[0]
        try:
            metadata: dict[str, Any] = json.loads(files["metadata.json"])
        except ValueError as error:
            raise InvalidModel(f"The metadata of version {version} is not JSON: {error}") from error
        if metadata.get("model_version") != version:
            raise InvalidModel(
                f"versions/{version}/ says that it is {metadata.get('model_version')!r}."
            )
        return Classifier(files["model.tflite"], metadata)

    def _get(self, key: str, etag: str = "") -> tuple[bytes, str] | None:
        """Body and ETag of an object; None where it still has `etag`, or is missing and none was
        expected."""
        from botocore.exceptions import BotoCoreError, ClientError

        condition: Any = {"IfNoneMatch": etag} if etag else {}
        try:
            answer = self.s3.get_object(Bucket=self.bucket, Key=key, **condition)
            return answer["Body"].read(), answer["ETag"]
        except ClientError as error:
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            if status == 304 or (status == 404 and not etag):
                return None
            raise InvalidModel(f"Reading {key} failed: {error}") from error
        except BotoCoreError as error:
            raise InvalidModel(f"Reading {key} failed: {error}") from error


class LiveModel:
    """The model that answers now: the champion of a bucket, or the folder's where there is none."""

    def __init__(self, folder: Path, registry: Registry | None = None) -> None:
        self.folder = folder
        self.registry = registry
        self.since = 0.0
        self._classifier: Classifier | None = None
        self._looked = float("-inf")
        self._failed = ""
        self._lock = Lock()

    def current(self) -> Classifier:
        """The model to answer this request with, refreshed first if it is time.

        Raises Unavailable (503) only where no model at all could be loaded.
        """
        now = time.monotonic()
        due = self.registry is not None and now - self._looked >= REFRESH_SECONDS
        # One thread refreshes; the others go on with what there is, unless there is nothing yet.
        if (due or self._classifier is None) and self._lock.acquire(self._classifier is None):
            try:
                self._refresh(now)
            finally:
                self._lock.release()
        if self._classifier is None:
            raise Unavailable(
                f"No model could be loaded ({self._failed}). Try again in half a minute."
            )
        return self._classifier

    def after_restore(self) -> None:
        """Forget what a snapshot froze: the next request reads the pointer with a fresh client."""
        self._looked = float("-inf")
        if self.registry:
            self.registry = Registry(self.registry.bucket)

    def _refresh(self, now: float) -> None:
        self._looked = now
        if self.registry:
            try:
                version = self.registry.champion()
                if version and (self._classifier is None or version != self._classifier.version):
                    self._swap(self.registry.load(version))
            except InvalidModel as error:
                self.registry.forget()
                self._failure(error)
        if self._classifier is None:
            try:
                self._swap(Classifier.load(self.folder))
            except InvalidModel as error:
                self._failure(error)

    def _swap(self, classifier: Classifier) -> None:
        self._classifier = classifier
        self.since = time.time()
        self._failed = ""
        logger.info("model loaded", model_version=classifier.version)

    def _failure(self, error: InvalidModel) -> None:
        self._failed = error.detail
        serving = self._classifier.version if self._classifier else None
        logger.error("model not loaded", reason=error.detail, still_serving=serving)
        count("ModelLoadFailure")
