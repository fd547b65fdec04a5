"""Model versions in the models bucket: all of them, the live one, and every promotion.

`versions/<version>/` holds a version. It is complete once it has a `metadata.json`, and is never
rewritten. `champion.json` names the live version. It is written with If-Match, so only one of two
simultaneous promotions wins. `promotions/` has a file for each: the model, who decided, and why.

If the pointer is damaged, deleted, or names a version that does not load, the newest promoted
version that does is live instead, and the built-in model if none does. What is stored decides, and
never what a process remembers, so a process that has just started serves the same version as one
that runs for days.

An admin may set the threshold of the service. It is stored beside the version, and each promotion
and roll-back keeps it: probabilities are calibrated, so it means the same for every version.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from clickbait import aws
from clickbait.errors import Conflict, InvalidModel, NotFound, Unreadable
from clickbait.keys import CHAMPION, PROMOTIONS, VERSIONS
from clickbait.observability import logger
from clickbait.settings import THRESHOLDS

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from clickbait.inference.classifier import Classifier

T = TypeVar("T")

MODEL = "model.tflite"
METADATA = "metadata.json"
"""Written last. A killed training may leave files without it, and they are not a version."""

VERSION_NAME = re.compile(r"[A-Za-z0-9-]{1,64}")
"""The names that a version can have."""

EVALUATION = "evaluation.json"
"""The results of a version on its test images. Versions from older trainings have none."""

TRANSFERS = 8
"""Files of a version that are copied at a time."""

PRECONDITION_FAILED, CONFLICTING_WRITE = 412, 409
"""S3's statuses for a write whose condition no longer holds, or that conflicts with another."""


MOST_DAYS_AHEAD = 1
"""How far the clock of another process may be ahead. A later time was written by hand."""

MAX_CANDIDATES = 5
"""Promoted versions that are tried if the pointer is of no use. Each may take a second to load."""


@dataclass(frozen=True, slots=True)
class Pointer:
    """The live version with the document that names it, and the ETag of `champion.json`.

    That document is `champion.json` itself, or the record of a promotion if `problem` says what is
    wrong with it. The version is empty if the built-in model is live. `threshold` is None if an
    admin has set none.
    """

    version: str
    etag: str
    document: dict[str, Any] = field(default_factory=dict)
    threshold: float | None = None
    problem: str = ""


THRESHOLD = "threshold"
"""The `change` of a record that leaves the version and changes the threshold."""

READ_NOW: Final = Pointer("", "read now")
"""For `promote`: expect the pointer as it is when the promotion begins."""


class Registry:
    """The models bucket."""

    def __init__(self, bucket: str) -> None:
        self.bucket = bucket
        self._polled: tuple[bytes, str] | None = None
        self._seen: str | None = None
        self.files: tuple[str | None, ...] = ()
        """The fingerprint of the version that was loaded last."""

    @property
    def s3(self) -> "S3Client":
        """The client. A process that serves the baseline never creates it."""
        client: S3Client = aws.client("s3")
        return client

    # --- the live version ------------------------------------------------------------------------

    def poll(self) -> bool:
        """Whether the pointer was written or deleted since the last call; True at the first call.

        Raises Unreadable.
        """
        found = self._get(CHAMPION, self._seen or "")
        before, self._seen = self._seen, found[1] if found else ""
        if self._seen != before:
            self._polled = found
        return self._seen != before

    def pointer(self) -> Pointer | None:
        """The live version as far as its files tell: all are there, and its metadata is JSON.

        None before the first promotion. Raises Unreadable.
        """
        return self.resolve(self._check_files)[0]

    def resolve(
        self, use: Callable[[str], T], *, polled: bool = False
    ) -> tuple[Pointer | None, T | None]:
        """The live version and what `use` returns for it: the first of the pointer and the newest
        promotions for which `use` raises neither InvalidModel nor NotFound. The pointer is read
        now, or is that of the last `poll` if `polled`.

        (None, None) before the first promotion. If no version is of use, the pointer has none
        either, and says why. Raises Unreadable.
        """
        found = self._polled if polled else self._get(CHAMPION)
        stored = _pointer(*found) if found else None
        etag, problem = stored.etag if stored else "", ""
        if stored and not stored.version:
            problem = stored.problem
        for candidate in self._candidates(stored):
            problem = problem or candidate.problem
            try:
                return replace(candidate, problem=problem), use(candidate.version)
            except (InvalidModel, NotFound) as error:
                problem = problem or f"{CHAMPION} names {candidate.version}. {error.detail}"
        return (Pointer("", etag, problem=problem) if problem else None), None

    def _candidates(self, stored: Pointer | None) -> Iterator[Pointer]:
        """The stored pointer, and the newest promoted versions in its place."""
        tried: set[str] = set()
        if stored and stored.version:
            tried.add(stored.version)
            yield stored
        for record in self.promotions():
            if record["version"] not in tried and len(tried) < MAX_CANDIDATES:
                tried.add(record["version"])
                etag = stored.etag if stored else ""
                missing = f"{CHAMPION} is missing, but there were promotions."
                problem = "" if stored else missing
                yield Pointer(record["version"], etag, record, _threshold(record), problem)

    def _check_files(self, version: str) -> None:
        """Raises InvalidModel unless the version has its files, and metadata that is JSON."""
        files = self.fingerprint(version)
        if None in files:
            raise InvalidModel(
                f"Version {version} has no {METADATA if files[0] is None else MODEL}."
            )
        self.metadata(version)

    def fingerprint(self, version: str) -> tuple[str | None, ...]:
        """The ETags of a version's metadata and model, None for one that is missing.

        They change if somebody overwrites or deletes these files. Raises Unreadable.
        """
        prefix = f"{VERSIONS}{version}/"
        with _readable(prefix):
            tags = {found["Key"]: found["ETag"] for found in aws.list_objects(self.bucket, prefix)}
        return tuple(tags.get(prefix + name) for name in (METADATA, MODEL))

    # --- versions --------------------------------------------------------------------------------

    def load(self, version: str) -> "Classifier":
        """Fetch and check one version.

        Raises InvalidModel if it is missing or does not match its metadata.
        """
        # Imported here because listing versions needs no classifier.
        from clickbait.inference.classifier import Classifier

        files, tags = {}, []
        for name in (METADATA, MODEL):
            found = self._get(f"{VERSIONS}{version}/{name}")
            if found is None:
                raise InvalidModel(f"Version {version} has no {name}.")
            files[name] = found[0]
            tags.append(found[1])
        self.files = tuple(tags)
        metadata = _parsed(version, METADATA, files[METADATA])
        if metadata.get("model_version") != version:
            raise InvalidModel(
                f"versions/{version}/ says that it is {metadata.get('model_version')!r}."
            )
        return Classifier(files[MODEL], metadata)

    def versions(self) -> list[str]:
        """Every complete version, newest first."""
        parts = [key.removeprefix(VERSIONS).split("/") for key in self._keys(VERSIONS)]
        return sorted((each[0] for each in parts if each[1:] == [METADATA]), reverse=True)

    def file(self, version: str, name: str) -> bytes:
        """One file of a version; raises NotFound if there is no such version or file."""
        found = self._get(f"{VERSIONS}{version}/{name}")
        if found is None:
            raise NotFound(f"Version {version} has no {name}. GET /models lists all versions.")
        return found[0]

    def sizes(self, version: str) -> dict[str, int]:
        """The bytes of each file of a version, by name; {} if there is no such version."""
        prefix = f"{VERSIONS}{version}/"
        found = aws.list_objects(self.bucket, prefix)
        return {one["Key"].removeprefix(prefix): one["Size"] for one in found}

    def metadata(self, version: str) -> dict[str, Any]:
        """The metadata of a version; raises NotFound, or InvalidModel if it is not JSON."""
        return self._document(version, METADATA)

    def evaluation(self, version: str) -> dict[str, Any]:
        """The results of a version on its test images; raises as `metadata` does."""
        return self._document(version, EVALUATION)

    def _document(self, version: str, name: str) -> dict[str, Any]:
        return _parsed(version, name, self.file(version, name))

    def fetch(self, version: str, folder: Path) -> Path:
        """Copy all files of a version into `folder`; raises NotFound."""
        prefix = f"{VERSIONS}{version}/"
        names = [key.removeprefix(prefix) for key in self._keys(prefix)]
        if METADATA not in names:
            raise NotFound(f"There is no version {version}; GET /models lists them.")

        def copy(name: str) -> None:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(self.file(version, name))

        with ThreadPoolExecutor(TRANSFERS) as pool:
            list(pool.map(copy, names))
        return folder

    def publish(self, folder: Path) -> str:
        """Upload the version in `folder`, `metadata.json` last, and return its name.

        Does nothing if the same version exists; raises Conflict if a different one has its name.
        """
        metadata = (folder / METADATA).read_bytes()
        version = str(json.loads(metadata)["model_version"])
        prefix = f"{VERSIONS}{version}/"
        existing = self._get(prefix + METADATA)
        if existing is not None:
            if existing[0] != metadata:
                raise Conflict(f"Another version is named {version}, and versions never change.")
            return version
        files = [p for p in folder.rglob("*") if p.is_file() and p.name != METADATA]

        def put(path: Path) -> None:
            key = prefix + path.relative_to(folder).as_posix()
            self.s3.put_object(Bucket=self.bucket, Key=key, Body=path.read_bytes())

        with ThreadPoolExecutor(TRANSFERS) as pool:
            list(pool.map(put, files))
        if not self._put(prefix + METADATA, metadata, only_new=True):
            raise Conflict(f"Another process published version {version} at the same moment.")
        return version

    # --- promotion -------------------------------------------------------------------------------

    def promote(
        self,
        version: str,
        *,
        by: str,
        reason: str,
        forced: bool = False,
        gate: dict[str, Any] | None = None,
        baseline: Path | None = None,
        expected: Pointer | None = READ_NOW,
    ) -> dict[str, Any]:
        """Make `version` live and return the promotion: version, previous, at, by, reason, forced,
        gate, and the threshold if an admin has set one.

        The version is first loaded and checked on its golden images. `baseline` is the folder of
        the built-in model, which its first promotion publishes as a version. `expected` is the
        pointer that the decision is based on; None if there was none. Raises Conflict if the
        pointer has changed since, NotFound, or InvalidModel.
        """
        before = self.pointer() if expected is READ_NOW else expected
        shipped = baseline_version(baseline) if baseline else None
        if baseline and version == shipped:
            self.publish(baseline)
        self.metadata(version)
        self.load(version)
        promotion = {
            "version": version,
            "previous": (before.version if before else "") or shipped,
            "at": _now_after(before),
            "by": by,
            "reason": reason,
            "forced": forced,
            "gate": gate,
            **_threshold_field(before.threshold if before else None),
        }
        if not self._point(promotion, before):
            raise Conflict(
                f"Another version went live, or the threshold changed, while {version} was being "
                "checked. See GET /models, and promote again if you still want to."
            )
        return promotion

    def set_threshold(
        self, threshold: float | None, *, by: str, reason: str, baseline: Path
    ) -> dict[str, Any]:
        """Set the threshold of the service, or return to that of each version (None).

        Returns the record, which is a promotion of the live version with `change`: "threshold".
        `baseline` is published if it is live. Raises Conflict if the pointer changed meanwhile.
        """
        before = self.pointer()
        version = (before.version if before else "") or self.publish(baseline)
        record = {
            "version": version,
            "previous": version,
            "at": _now_after(before),
            "by": by,
            "reason": reason,
            "forced": False,
            "gate": None,
            "change": THRESHOLD,
            **_threshold_field(threshold),
        }
        if not self._point(record, before):
            raise Conflict("Another version went live at the same moment. Set the threshold again.")
        return record

    def promotions(
        self, at: datetime | None = None, *, before: str = "", version: str = ""
    ) -> Iterator[dict[str, Any]]:
        """Promotions, newest first, read a few at a time while the caller goes on.

        With `at`, those until then; the first was live. `before` is the `at` of a promotion: only
        older ones. With `version`, only those that made it live. A damaged record is skipped.
        """
        keys = sorted(self._keys(PROMOTIONS), reverse=True)
        found = self._get(CHAMPION)
        newest = _promotion(_json(found[0])) if found else None
        # Its writer ended before it recorded it, unless somebody else has written the pointer.
        lost = newest is not None and _key(newest) not in keys and self._has(newest["version"])
        if lost and newest is not None:
            keys = sorted([*keys, _key(newest)], reverse=True)
        if at is not None:
            keys = [key for key in keys if key.removeprefix(PROMOTIONS) < f"{_moment(at)}~"]
        if before:
            last = _moment(datetime.fromisoformat(before))
            keys = [key for key in keys if key.removeprefix(PROMOTIONS) < last]
        if version:
            keys = [key for key in keys if key.endswith(f"-{version}.json")]
        with ThreadPoolExecutor(TRANSFERS) as pool:
            for start in range(0, len(keys), TRANSFERS):
                some = keys[start : start + TRANSFERS]
                for key, found in zip(some, pool.map(self._get, some), strict=True):
                    if lost and newest is not None and key == _key(newest):
                        yield newest
                    elif found and (record := _promotion(_json(found[0]))):
                        yield record
                    elif found:
                        logger.warning("damaged promotion record", key=key)

    def _has(self, version: str) -> bool:
        return self.fingerprint(version)[0] is not None

    def was_live(self, version: str) -> bool:
        """Whether a promotion made `version` live, or replaced it."""
        if next(self.promotions(version=version), None):
            return True
        # A version that was replaced was promoted, unless it was live before the first promotion.
        return any(version == promotion["previous"] for promotion in self.promotions())

    def _point(self, promotion: dict[str, Any], before: Pointer | None) -> bool:
        """Write the pointer and its record. False if the pointer is no longer `before`."""
        if before and (unrecorded := _promotion(before.document)):
            self._record(unrecorded)  # Its writer may have ended before it did this.
        body = json.dumps(promotion, indent=2).encode()
        if not self._put(CHAMPION, body, etag=before.etag if before else "", only_new=True):
            return False
        self._record(promotion)
        return True

    def _record(self, promotion: dict[str, Any]) -> None:
        body = json.dumps(promotion, indent=2).encode()
        self._put(_key(promotion), body, only_new=True)

    # --- objects ---------------------------------------------------------------------------------

    def _keys(self, prefix: str) -> Iterator[str]:
        with _readable(prefix):
            for found in aws.list_objects(self.bucket, prefix):
                yield found["Key"]

    def _put(self, key: str, body: bytes, *, etag: str = "", only_new: bool = False) -> bool:
        """Write an object. False if it no longer has `etag` or, with `only_new`, if it exists."""
        from botocore.exceptions import ClientError

        condition: Any = {"IfNoneMatch": "*"} if only_new else {}
        if etag:
            condition = {"IfMatch": etag}
        try:
            self.s3.put_object(
                Bucket=self.bucket,
                Key=key,
                Body=body,
                ContentType="application/json",
                **condition,
            )
        except ClientError as error:
            if aws.status_of(error) in (PRECONDITION_FAILED, CONFLICTING_WRITE):
                return False
            raise
        return True

    def _get(self, key: str, etag: str = "") -> tuple[bytes, str] | None:
        """Body and ETag of an object; None if it does not exist. The body is empty if the object
        still has `etag`. Raises Unreadable."""
        from botocore.exceptions import ClientError

        condition: Any = {"IfNoneMatch": etag} if etag else {}
        with _readable(key):
            try:
                found = self.s3.get_object(Bucket=self.bucket, Key=key, **condition)
                return found["Body"].read(), found["ETag"]
            except ClientError as error:
                match aws.status_of(error):
                    case 304:
                        return b"", etag
                    case 404 if aws.is_missing(error):
                        return None
                raise


@contextmanager
def _readable(key: str) -> Iterator[None]:
    """Raises Unreadable in place of the errors of S3."""
    try:
        yield
    except aws.faults() as error:
        raise Unreadable(f"Reading {key} failed: {aws.reason(error)}.") from error


def _now_after(before: Pointer | None) -> str:
    """The time, and later than that of the promotion before, even if the clock of its process was
    ahead: the records' order says which version is live."""
    now = datetime.now(UTC)
    last = _promotion(before.document) if before else None
    if last:
        at = datetime.fromisoformat(last["at"])
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        if now <= at < now + timedelta(days=MOST_DAYS_AHEAD):
            now = at + timedelta(microseconds=1)
    return now.isoformat()


def _key(promotion: Mapping[str, Any]) -> str:
    """The key of a promotion's record."""
    moment = _moment(datetime.fromisoformat(promotion["at"]))
    return f"{PROMOTIONS}{moment}-{promotion['version']}.json"


def _moment(at: datetime) -> str:
    """A time as records' keys have it: in UTC, and sorted as text."""
    return f"{at.astimezone(UTC):%Y%m%dT%H%M%S.%fZ}"


def _parsed(version: str, name: str, body: bytes) -> dict[str, Any]:
    """A JSON object of a version; raises InvalidModel for anything else."""
    try:
        document = json.loads(body.decode())
    except (ValueError, RecursionError) as error:
        raise InvalidModel(f"The {name} of version {version} is not JSON: {error}") from error
    if not isinstance(document, dict):
        kind = type(document).__name__
        raise InvalidModel(f"The {name} of version {version} is no JSON object, but a {kind}.")
    return document


def _json(body: bytes) -> Any:
    """A document; None if it is damaged."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _promotion(document: Any) -> dict[str, Any] | None:
    """A promotion with all of its fields; None if the document is none, or was made by hand and
    lacks its version or its time."""
    match document:
        case {"version": str(version), "at": str(at)} if VERSION_NAME.fullmatch(version):
            try:
                datetime.fromisoformat(at)
            except ValueError:
                return None
            fields: dict[str, Any] = {
                "version": version,
                "previous": None,
                "at": at,
                "by": "",
                "reason": "",
                "forced": False,
                "gate": None,
            }
            fields.update(document)
            return fields
    return None


def _pointer(body: bytes, etag: str) -> Pointer:
    document = _json(body)
    try:
        version = document["version"]
        if not (isinstance(version, str) and VERSION_NAME.fullmatch(version)):
            raise ValueError("it names no version")
        threshold = _threshold(document)
        if threshold is None and document.get("threshold") is not None:
            raise ValueError(f"its threshold is not from {THRESHOLDS[0]} to {THRESHOLDS[1]}")
        return Pointer(version, etag, document, threshold)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        reason = error if type(error) is ValueError else "it names no version"
        return Pointer("", etag, problem=f"{CHAMPION} is damaged: {reason}: {body[:80]!r}")


def _threshold(document: Mapping[str, Any]) -> float | None:
    """The threshold of a promotion; None if it has none that is valid."""
    threshold = document.get("threshold")
    if not isinstance(threshold, int | float):
        return None
    return threshold if THRESHOLDS[0] <= threshold <= THRESHOLDS[1] else None


def _threshold_field(threshold: float | None) -> dict[str, float]:
    return {} if threshold is None else {"threshold": threshold}


def is_promotion(record: dict[str, Any]) -> bool:
    """Whether a record of `promotions` is of a version that went live, not of a new threshold."""
    return record.get("change") != THRESHOLD


@cache
def baseline_version(folder: Path) -> str:
    """The version of the built-in model in `folder`; raises InvalidModel."""
    try:
        return str(json.loads((folder / METADATA).read_bytes())["model_version"])
    except (OSError, ValueError, KeyError) as error:
        raise InvalidModel(f"No model in {folder}: {error}") from error
