"""Bulk jobs: what was to come, what came, what became of it; and the files with the results.

A batch is a folder, `inbox/<batch>/`, and its rows in the table. It begins with the names of its
files (`create`), or with the first object that somebody drops there. Its counts are those of its
rows and never a counter's, so whatever is delivered twice or killed half way counts once.

The head of a batch in the table only saves work: `seen` counts rows as they are written, and `due`
is what it has to reach before it is worth counting the rows. Where a worker was killed in between,
its message comes again, finds its rows written, and counts them then.
"""

import json
import re
import secrets
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from itertools import islice
from typing import TYPE_CHECKING, Any, Self

from clickbait import LABELS, aws
from clickbait.errors import BadRequest, Conflict, NotFound, Unavailable
from clickbait.inference.images import FORMATS
from clickbait.keys import BATCH_ID, BATCH_PARTITION, INBOX, batch_and_name
from clickbait.observability import logger
from clickbait.settings import settings
from clickbait.store import presigned, results
from clickbait.store.rows import TRANSACTION, Row, Rows, now

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

FILES = "files.json"
"""The names of a batch's files, below its results: the table takes 400 KB an item."""

MAX_FILES = 10_000
"""Files of one batch: their rows are 3 MB, which a request counts in a second."""

MAX_NAME = 1_024
"""Characters of a file's name, folders included: S3 takes as many bytes in a key."""

GENERATED = re.compile(r"\d{5}\.[0-9a-f]{8}")
"""A key's name for the file with that place in the list; behind the point the end of the batch's
id, so that no file that somebody drops is taken for one."""

RATE_SECONDS = 60.0
"""The rate is that of the last minute: it follows workers that come and go, and no single one."""

MAX_ATTEMPTS = 5
"""Times that one call writes results which grow while it writes; the next call goes on."""

NEVER_ARRIVED = "The file had not arrived when the batch was started."

TYPES = {end: each.media_type for each in FORMATS.values() for end in each.extensions}
OTHER_TYPE = "application/octet-stream"
"""By the name's ending, for the form alone: the worker goes by the content."""


def is_generated(batch: str, name: str) -> bool:
    """Whether an object of the batch came by one of its forms."""
    return GENERATED.fullmatch(name) is not None and name.endswith(batch[-8:])


@dataclass(slots=True)
class Tally:
    """What the rows say, counted as they pass."""

    since: str = ""
    """Rows from this time on count as recent."""
    names: set[str] = field(default_factory=set)
    done: int = 0
    failed: int = 0
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(LABELS, 0))
    looked_at: int = 0
    """Rows of files that arrived: only these took time, from `first` to `last`."""
    recent: int = 0
    first: str = ""
    last: str = ""
    ended: str = ""
    _digest: Any = field(default_factory=sha256)

    def over(self, rows: Iterable[Row]) -> Iterator[Row]:
        """`rows` as they are, counted."""
        for row in rows:
            self.names.add(row.name)
            if row.failed:
                self.failed += 1
            else:
                self.done += 1
                self.counts[str(row.prediction)] += 1
            self.ended = max(self.ended, row.at)
            if row.etag:
                self.first = min(self.first or row.at, row.at)
                self.last = max(self.last, row.at)
                self.looked_at += 1
                self.recent += row.at >= self.since
            self._digest.update(f"{row.name}\0{row.etag}\0{row.at}\n".encode())
            yield row

    @property
    def rows(self) -> int:
        return self.done + self.failed

    @property
    def digest(self) -> str:
        """Which rows these are: the same rows, the same results."""
        return str(self._digest.hexdigest())


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a batch is; `as_dict` is what its route answers."""

    batch: str
    head: dict[str, Any]
    tally: Tally
    expected: int
    created: str

    @property
    def complete(self) -> bool:
        """Every file has its row."""
        return self.tally.rows >= self.expected

    @property
    def state(self) -> str:
        """open: files are awaited until it is started; running; finished."""
        if self.complete:
            return "finished"
        return "open" if "files" in self.head and "started" not in self.head else "running"

    def rate(self, moment: datetime) -> float | None:
        """Images a second: in the last minute, or on average where it is finished; None before the
        first."""
        if not self.tally.looked_at:
            return None
        end = datetime.fromisoformat(self.tally.last) if self.complete else moment
        seconds = (end - datetime.fromisoformat(self.tally.first)).total_seconds()
        images = self.tally.looked_at
        if not self.complete and seconds > RATE_SECONDS:
            images, seconds = self.tally.recent, RATE_SECONDS
        return round(images / max(seconds, 1.0), 2)

    def as_dict(self) -> dict[str, Any]:
        rate = self.rate(datetime.now(UTC))
        left = self.expected - self.tally.rows
        seconds = 0 if self.complete else round(left / rate) if rate else None
        return {
            "id": self.batch,
            "state": self.state,
            "source": "files" if "files" in self.head else "folder",
            "expected": self.expected,
            "done": self.tally.done,
            "failed": self.tally.failed,
            "counts": self.tally.counts,
            "rate": rate,
            "seconds_left": seconds,
            "created": self.created,
            "started": self.head.get("started"),
            "finished": self.tally.ended if self.complete else None,
        }


@dataclass(frozen=True, slots=True)
class Names:
    """The files of a batch that were named before they came."""

    batch: str
    files: tuple[str, ...]
    places: dict[str, int]

    def key_name(self, place: int) -> str:
        """What the file with this place in the list is called in the bucket."""
        return f"{place:05d}.{self.batch[-8:]}"

    def row_of(self, name: str) -> tuple[str, str]:
        """The row's name and the file's for the object `name`: it came by a form, or somebody
        dropped it under a name of the list, or under another one."""
        if is_generated(self.batch, name) and int(name[:5]) < len(self.files):
            return name, self.files[int(name[:5])]
        if name in self.places:
            return self.key_name(self.places[name]), name
        return name, name


class Batches:
    """The batches of one data bucket and table."""

    def __init__(self, bucket: str, table: str) -> None:
        self.bucket = bucket
        self.table = table

    @classmethod
    def from_settings(cls) -> Self:
        """Raises Unavailable where the process has no bucket or no table."""
        if not settings().table:
            raise Unavailable(
                "This service runs without TABLE: it answers predictions, and stores nothing. "
                "Send at most 10 images to /predict-batch; `make up` and a deployment take more."
            )
        return cls(presigned.bucket(), settings().table)

    @property
    def s3(self) -> "S3Client":
        client: S3Client = aws.client("s3")
        return client

    @property
    def db(self) -> "DynamoDBClient":
        client: DynamoDBClient = aws.client("dynamodb")
        return client

    # --- before it starts ------------------------------------------------------------------------

    def create(self, files: list[str]) -> str:
        """A new batch of the files with these names, which are yet to come; returns its id."""
        moment = datetime.now(UTC)
        batch = f"{moment:%Y%m%d-%H%M%S}-{secrets.token_hex(4)}"
        # The names first: a head without them would be a batch that nobody can fill.
        self.s3.put_object(
            Bucket=self.bucket,
            Key=results.folder(batch) + FILES,
            Body=json.dumps(files).encode(),
            ContentType="application/json",
        )
        self.db.put_item(
            TableName=self.table,
            Item=_key(batch)
            | {
                "created": {"S": moment.isoformat(timespec="milliseconds")},
                "files": {"N": str(len(files))},
                "due": {"N": str(len(files))},
            },
        )
        return batch

    def forms(self, batch: str, start: int = 0) -> tuple[list[dict[str, Any]], int | None]:
        """The forms of MAX_FORMS files from place `start` on, each with its `file`, and where the
        next page begins.

        Raises NotFound, Conflict where the batch is started or was not begun by naming its files,
        BadRequest where there is no such place.
        """
        head = self._head(batch)
        if "files" not in head:
            self.progress(batch)  # Raises NotFound where there is nothing at all.
            raise Conflict(f"The batch {batch} is a folder: put its files into {INBOX}{batch}/.")
        if "started" in head:
            raise Conflict(f"The batch {batch} is started. POST /batches begins another one.")
        names = self._names(batch)
        if not 0 <= start < len(names.files):
            raise BadRequest(f"The batch {batch} has {len(names.files):,} files, and no {start}.")
        end = min(start + presigned.MAX_FORMS, len(names.files))
        forms = [
            {"file": names.files[place]}
            | presigned.post(
                f"{INBOX}{batch}/{names.key_name(place)}", _type_of(names.files[place])
            )
            for place in range(start, end)
        ]
        return forms, end if end < len(names.files) else None

    def start(self, batch: str) -> Progress:
        """Close a batch: what has not arrived is a row that says so. Started again it stays as it
        is; raises NotFound, or Unavailable where the table is too busy for the rows of very many
        files that are missing: the next call goes on where this one ended."""
        head = self._head(batch)
        moment = now()
        if "files" in head and "started" not in head:
            self._close(batch, moment)
        elif "files" not in head:
            self.progress(batch)
        head = self._update(
            batch,
            "SET started = if_not_exists(started, :now), created = if_not_exists(created, :now)",
            {":now": {"S": moment}},
        )
        return self.refresh(batch, head.get("seen", 0))

    def _close(self, batch: str, moment: str) -> None:
        """Write a row for each file that was named and is neither there nor has its row."""
        names = self._names(batch)
        rows = Rows(self.table, batch)
        there = {names.row_of(name)[0] for name, _ in self._arrived(batch)}
        there |= {row.name for row in rows.read()}
        missing = [
            Row(names.key_name(place), file, moment, error=NEVER_ARRIVED)
            for place, file in enumerate(names.files)
            if names.key_name(place) not in there
        ]
        for begin in range(0, len(missing), TRANSACTION):
            rows.put_missing(missing[begin : begin + TRANSACTION])

    # --- while it runs ---------------------------------------------------------------------------

    def names_of(self, batch: str) -> Names:
        """The names that were given for the batch's files; none for a folder that was dropped."""
        if "files" in self._head(batch):
            return self._names(batch)
        return Names(batch, (), {})

    def record_rows(self, batch: str, new: int, again: bool) -> None:
        """Take in that `new` rows were written; `again`: and something was found that had been
        dealt with before, or is gone.

        Writes the results where every file has its row now.
        """
        head = self._update(
            batch,
            "SET created = if_not_exists(created, :now) ADD seen :new",
            {":now": {"S": now()}, ":new": {"N": str(new)}},
        )
        seen = head["seen"]
        if again or seen >= head.get("due", 0):
            try:
                self.refresh(batch, seen)
            except NotFound:
                logger.info("batch without files", batch=batch)

    def refresh(self, batch: str, seen: int | None = None) -> Progress:
        """How far the batch is, and where it is finished its results written; raises NotFound.

        `seen` is how many rows had been written when its caller last asked.
        """
        progress = self.progress(batch)
        if progress.complete:
            self._finish(progress)
        elif seen is not None:
            # Each row that is lacking now adds to `seen` when it comes: it is not worth looking
            # before. Rows that were counted and not yet added make this too early, never too late.
            due = seen + progress.expected - progress.tally.rows
            self._update(batch, "SET due = :due", {":due": {"N": str(due)}})
        return progress

    def progress(self, batch: str) -> Progress:
        """How far the batch is; raises NotFound where nothing of it is there."""
        if not BATCH_ID.fullmatch(batch):
            raise _unknown(batch)
        head = self._head(batch)
        tally = self._tally(batch)
        created = head.get("created", "")
        if "files" in head:
            more = sum(not is_generated(batch, name) for name in tally.names)
            return Progress(batch, head, tally, head["files"] + more, created)
        # What was dropped: files may be deleted once they have a row, and still count.
        expected, oldest = tally.rows, ""
        for name, modified in self._arrived(batch):
            expected += name not in tally.names
            oldest = min(oldest or modified, modified)
        if not expected:
            raise _unknown(batch)
        return Progress(batch, head, tally, expected, created or oldest or tally.first)

    def _tally(self, batch: str) -> Tally:
        since = datetime.now(UTC) - timedelta(seconds=RATE_SECONDS)
        tally = Tally(since.isoformat(timespec="milliseconds"))
        for _ in tally.over(Rows(self.table, batch).read()):
            pass
        return tally

    # --- results ---------------------------------------------------------------------------------

    def require(self, batch: str) -> None:
        """Raises NotFound where there is nothing of this batch."""
        if not self._head(batch):
            self.progress(batch)

    def rows(self, batch: str, after: str | None, limit: int) -> list[Row]:
        """`limit` rows from behind the one named `after`, and one more where there is one; raises
        NotFound."""
        if after is None:
            self.require(batch)
        return list(islice(Rows(self.table, batch).read(after, limit + 1), limit + 1))

    def results_written(self, batch: str) -> None:
        """See that the files with the results say what the rows say now, finished or not; raises
        NotFound."""
        self._finish(self.progress(batch))

    def _finish(self, progress: Progress) -> None:
        """Write the results, unless those of the same rows are written.

        Whoever writes looks at the rows again afterwards, and writes again where they changed: so
        of many that write at a time the last one has seen the last row.
        """
        if progress.head.get("results") == progress.tally.digest:
            return
        started = time.monotonic()
        batch = progress.batch
        for _ in range(MAX_ATTEMPTS):
            written = Tally()
            results.write(self.bucket, batch, written.over(Rows(self.table, batch).read()))
            if self._tally(batch).digest == written.digest:
                self._update(batch, "SET results = :rows", {":rows": {"S": written.digest}})
                logger.info(
                    "results written",
                    batch=batch,
                    rows=written.rows,
                    seconds=round(time.monotonic() - started, 2),
                )
                return

    # --- what is stored --------------------------------------------------------------------------

    def _head(self, batch: str) -> dict[str, Any]:
        """The head of a batch: `created`, `files` (how many were named), `started`, `seen`, `due`,
        `results`; what is not known is left out, and all of it before the first row."""
        if not BATCH_ID.fullmatch(batch):
            raise _unknown(batch)
        found = self.db.get_item(TableName=self.table, Key=_key(batch), ConsistentRead=True)
        return _head(found.get("Item", {}))

    def _update(self, batch: str, change: str, values: dict[str, Any]) -> dict[str, Any]:
        """Change the head of a batch, which is made where there is none, and return it."""
        changed = self.db.update_item(
            TableName=self.table,
            Key=_key(batch),
            UpdateExpression=change,
            ExpressionAttributeValues=values,
            ReturnValues="ALL_NEW",
        )
        return _head(changed["Attributes"])

    def _arrived(self, batch: str) -> Iterator[tuple[str, str]]:
        """The name of each file that is in the batch's folder now, and when it came."""
        prefix = f"{INBOX}{batch}/"
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        for page in pages:
            for found in page.get("Contents", []):
                if batch_and_name(found["Key"]):
                    yield found["Key"].removeprefix(prefix), found["LastModified"].isoformat()

    def _names(self, batch: str) -> Names:
        return _names(self.bucket, batch)


@lru_cache(maxsize=4)
def _names(bucket: str, batch: str) -> Names:
    """The list that was given for a batch; it never changes. A few are kept: 1 MB each or so."""
    body = aws.client("s3").get_object(Bucket=bucket, Key=results.folder(batch) + FILES)["Body"]
    files = tuple(json.loads(body.read()))
    places: dict[str, int] = {}
    for place, file in enumerate(files):
        places.setdefault(file, place)
    return Names(batch, files, places)


def _key(batch: str) -> dict[str, Any]:
    return {"pk": {"S": BATCH_PARTITION}, "sk": {"S": batch}}


def _head(item: dict[str, Any]) -> dict[str, Any]:
    return {
        name: int(value["N"]) if "N" in value else value["S"]
        for name, value in item.items()
        if name not in ("pk", "sk")
    }


def _type_of(file: str) -> str:
    return TYPES.get(file.rpartition(".")[2].lower(), OTHER_TYPE)


def _unknown(batch: str) -> NotFound:
    return NotFound(
        f"There is no batch {batch[:64]!r}, and nothing in {INBOX}{batch[:64]}/. POST /batches "
        "begins one, and so does an object that is put into a folder of inbox/."
    )
