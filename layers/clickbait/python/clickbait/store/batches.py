"""Bulk jobs: their files, their progress, and the files with their results.

A batch is a folder, `inbox/<batch>/`, and its rows in the table. It begins with the names of its
files (`create`), or with the first object that somebody drops into a folder. Its counts come from
its rows, never from a counter, so an image counts once even if it is delivered twice or its worker
is killed.

The head of a batch in the table only saves work. `seen` counts rows as they are written, and `due`
is the value of `seen` at which it is worth counting the rows. If a worker is killed in between, its
message is delivered again; the next worker finds the rows written, and `due` comes earlier.
"""

import json
import re
import secrets
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from itertools import islice
from typing import Any, Literal, Self
from unicodedata import normalize

from clickbait import LABELS, aws
from clickbait.errors import BadRequest, Conflict, NotConfigured, NotFound
from clickbait.inference.images import FORMATS
from clickbait.keys import BATCH_PARTITION, INBOX, batch_and_name, is_batch_id, nfc
from clickbait.observability import logger
from clickbait.settings import settings
from clickbait.store import presigned, results
from clickbait.store.notices import notify
from clickbait.store.results import Row
from clickbait.store.rows import TRANSACTION, Rows, now

FILES = "files.json"
"""The names of a batch's files, stored beside its results. A table's item has at most 400 KB."""

MAX_FILES = 10_000
"""The most files of one batch. Their rows are 3 MB, which a request counts in a second."""

MAX_NAME = 1_024
"""The most characters of a file's name with its folders: S3's limit for a key, in bytes."""

GENERATED = re.compile(r"\d{5}\.[0-9a-f]{8}")
"""The name of an object that was uploaded with a form: the file's index in the list, and the end of
the batch's id, so that no dropped file has the same name."""

RATE_SECONDS = 60.0
"""The rate is that of the last minute, so that it follows the number of workers."""

LARGE = 1_000
"""Rows from which `follow` may give counts that it gave before."""
REUSED = 4
"""Counts are reused for this many times as long as counting took, so following a batch takes a
fifth of a core."""
REUSED_SECONDS = 60.0
"""The most that counts are reused, on a busy machine too."""

MAX_ATTEMPTS = 5
"""How often one call writes results that keep changing. The next call writes again."""

FORMS: tuple[Literal["NFC", "NFD"], ...] = ("NFC", "NFD")
"""Unicode's forms of a name: Linux and Windows type the first, and macOS stores the second."""

NEVER_ARRIVED = "The file had not arrived when the batch was started."

TYPES = {end: each.media_type for each in FORMATS.values() for end in each.extensions}
OTHER_TYPE = "application/octet-stream"
"""Media types by the ending of a name, for the form only: the worker reads the content."""


def is_generated(batch: str, name: str) -> bool:
    """Whether the object `name` of a batch was uploaded with one of its forms."""
    return GENERATED.fullmatch(name) is not None and name.endswith(batch[-8:])


@dataclass(slots=True)
class Tally:
    """Figures about rows, computed in one pass."""

    since: str = ""
    """Rows from this time on are recent."""
    names: set[str] = field(default_factory=set)
    done: int = 0
    failed: int = 0
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(LABELS, 0))
    uncertain: int = 0
    """Those of `counts` whose predictions are uncertain."""
    arrived: int = 0
    """Rows of files that arrived. Only these took time, from `first` to `last`."""
    recent: int = 0
    first: str = ""
    last: str = ""
    ended: str = ""
    _digest: Any = field(default_factory=sha256)

    def counting(self, rows: Iterable[Row]) -> Iterator[Row]:
        """`rows` unchanged, each counted as it passes."""
        for row in rows:
            self.names.add(row.name)
            if row.failed:
                self.failed += 1
            else:
                self.done += 1
                self.counts[str(row.prediction)] += 1
                self.uncertain += bool(row.uncertain)
            self.ended = max(self.ended, row.at)
            if row.etag:
                self.first = min(self.first or row.at, row.at)
                self.last = max(self.last, row.at)
                self.arrived += 1
                self.recent += row.at >= self.since
            self._digest.update(f"{row.name}\0{row.etag}\0{row.at}\n".encode())
            yield row

    @property
    def rows(self) -> int:
        return self.done + self.failed

    def summary(self) -> str:
        """The figures that a list of batches shows, as JSON."""
        figures = {"done": self.done, "failed": self.failed, "counts": self.counts}
        return json.dumps(figures | {"uncertain": self.uncertain, "finished": self.ended})

    @property
    def digest(self) -> str:
        """Identifies the rows: equal digests mean equal results."""
        return str(self._digest.hexdigest())


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a batch."""

    batch: str
    head: dict[str, Any]
    tally: Tally
    expected: int
    created: str

    @property
    def complete(self) -> bool:
        """Whether every file has its row."""
        return self.tally.rows >= self.expected

    @property
    def state(self) -> str:
        """One of "open" (it waits for files, or to be started), "running" and "finished"."""
        if self.complete:
            return "finished"
        return "open" if "files" in self.head and "started" not in self.head else "running"

    def rate(self, moment: datetime) -> float | None:
        """Images per second: in the last minute, or on average if the batch is finished.

        None before the first image.
        """
        if not self.tally.arrived:
            return None
        end = datetime.fromisoformat(self.tally.last) if self.complete else moment
        seconds = (end - datetime.fromisoformat(self.tally.first)).total_seconds()
        images = self.tally.arrived
        if not self.complete and seconds > RATE_SECONDS:
            images, seconds = self.tally.recent, RATE_SECONDS
        return round(images / max(seconds, 1.0), 2)

    def as_dict(self) -> dict[str, Any]:
        """The progress as the API returns it."""
        rate = self.rate(datetime.now(UTC))
        left = self.expected - self.tally.rows
        seconds = 0 if self.complete else round(left / rate) if rate else None
        return {
            "id": self.batch,
            "name": self.head.get("name"),
            "state": self.state,
            "source": "files" if "files" in self.head else "folder",
            "expected": self.expected,
            "done": self.tally.done,
            "failed": self.tally.failed,
            "counts": self.tally.counts,
            "threshold": self.head.get("threshold"),
            "rate": rate,
            "seconds_left": seconds,
            "created": self.created,
            "started": self.head.get("started"),
            "finished": self.tally.ended if self.complete else None,
        }


@dataclass(frozen=True, slots=True)
class Names:
    """The files that were named when a batch was created."""

    batch: str
    files: tuple[str, ...]
    places: dict[str, int]
    """The index of each name, and of its NFC form if no other file has that name."""
    threshold: float | None = None
    """That of the batch; None if it has none of its own."""

    def key_name(self, place: int) -> str:
        """The name in the bucket of the file at this index of the list."""
        return f"{place:05d}.{self.batch[-8:]}"

    def row_of(self, name: str) -> tuple[str, str]:
        """The names of the row and of the file for the object `name`.

        It was uploaded with a form, or dropped under a name in the list or another name.
        """
        if is_generated(self.batch, name) and int(name[:5]) < len(self.files):
            return name, self.files[int(name[:5])]
        place = self.places.get(name, self.places.get(nfc(name)))
        return (name, name) if place is None else (self.key_name(place), self.files[place])


class Batches:
    """The batches of one data bucket and table."""

    def __init__(self, bucket: str, table: str) -> None:
        self.bucket = bucket
        self.table = table

    @classmethod
    def from_settings(cls) -> Self:
        """Raises NotConfigured if the process has no bucket or no table."""
        if not settings().table:
            raise NotConfigured.without("TABLE", "Send at most 10 images to /predict-batch.")
        return cls(presigned.bucket(), settings().table)

    def id_of(self, name: str) -> str:
        """The id of the batch that somebody calls `name`: the same text, in the form (NFC or NFD)
        in which its folder was dropped."""
        forms = dict.fromkeys([name, *(normalize(form, name) for form in FORMS)])
        return next((form for form in forms if len(forms) > 1 and self._exists(form)), name)

    def _exists(self, batch: str) -> bool:
        return is_batch_id(batch) and (bool(self._head(batch)) or any(self._objects(batch)))

    def newest(self, limit: int, before: str | None) -> tuple[list[dict[str, Any]], str | None]:
        """Up to `limit` batches, the newest first, and the place of the next page.

        From their heads alone: the rows of a batch that still runs are not counted exactly.
        """
        heads = [
            (f"{item.get('created', '')} {item['sk']}", item)
            for item in aws.query(self.table, BATCH_PARTITION)
        ]
        heads.sort(key=lambda head: head[0], reverse=True)
        rest = [head for head in heads if before is None or head[0] < before]
        shown = [_listed(item) for _, item in rest[:limit]]
        return shown, rest[limit - 1][0] if len(rest) > limit else None

    # --- before it starts ------------------------------------------------------------------------

    def create(
        self, files: list[str], threshold: float | None = None, name: str | None = None
    ) -> str:
        """Create a batch of files with these names, and return its id. The files come later.

        Each is decided at `threshold`, or at the service's. `name` is a title for people.
        """
        moment = datetime.now(UTC)
        batch = f"{moment:%Y%m%d-%H%M%S}-{secrets.token_hex(4)}"
        # Names come first, because a batch without them could not be filled.
        aws.client("s3").put_object(
            Bucket=self.bucket,
            Key=results.folder(batch) + FILES,
            Body=json.dumps(files).encode(),
            ContentType="application/json",
        )
        created = moment.isoformat(timespec="milliseconds")
        head = {
            "created": created,
            "files": len(files),
            "due": len(files),
            "threshold": threshold,
            "name": name,
        }
        aws.put_item(self.table, {"pk": BATCH_PARTITION, "sk": batch, **head})
        return batch

    def rename(self, batch: str, name: str | None) -> None:
        """Give a batch another title for people, or none; raises NotFound."""
        self.require(batch)
        if name is None:
            self._update_head(batch, "REMOVE #name", {}, {"#name": "name"})
        else:
            self._update_head(batch, "SET #name = :name", {":name": name}, {"#name": "name"})

    def forms(self, batch: str, start: int = 0) -> tuple[list[dict[str, Any]], int | None]:
        """Up to MAX_FORMS forms from index `start`, each with its `file`, and the index where the
        next page begins.

        Raises NotFound, Conflict if the batch has started or is a dropped folder, BadRequest if
        `start` is out of range.
        """
        head = self._head(batch)
        if "files" not in head:
            self.progress(batch)  # Raises NotFound if nothing of it exists.
            raise Conflict(f"The batch {batch} is a folder. Put its files into {INBOX}{batch}/.")
        if "started" in head:
            raise Conflict(f"The batch {batch} has started. POST /batches creates another one.")
        names = self._names(batch)
        files = len(names.files)
        if not 0 <= start < files:
            raise BadRequest(f"The batch {batch} has {files:,} files; index {start} is too high.")
        end = min(start + presigned.MAX_FORMS, files)
        forms = [
            {"file": names.files[place]}
            | presigned.post(
                f"{INBOX}{batch}/{names.key_name(place)}", _type_of(names.files[place])
            )
            for place in range(start, end)
        ]
        return forms, end if end < files else None

    def start(self, batch: str) -> Progress:
        """Close a batch: each file that has not arrived fails. Repeating it changes nothing.

        Raises NotFound, or Unavailable if the table is too busy for the rows of very many missing
        files. The next call continues where this one ended.
        """
        head = self._head(batch)
        moment = now()
        if "files" in head and "started" not in head:
            self._close(batch, moment)
        elif "files" not in head:
            self.progress(batch)
        head = self._update_head(
            batch,
            "SET started = if_not_exists(started, :now), created = if_not_exists(created, :now)",
            {":now": moment},
        )
        return self.refresh(batch, head.get("seen", 0))

    def _close(self, batch: str, moment: str) -> None:
        """Write a row for each named file that has neither an object nor a row."""
        names = self._names(batch)
        rows = Rows(self.table, batch)
        present = {names.row_of(name)[0] for name, _ in self._objects(batch)}
        present |= {row.name for row in rows.read()}
        missing = [
            Row(names.key_name(place), file, moment, error=NEVER_ARRIVED)
            for place, file in enumerate(names.files)
            if names.key_name(place) not in present
        ]
        for begin in range(0, len(missing), TRANSACTION):
            rows.put_missing(missing[begin : begin + TRANSACTION])

    # --- while it runs ---------------------------------------------------------------------------

    def names_of(self, batch: str) -> Names:
        """The names of the batch's files, and its threshold; none for a dropped folder."""
        head = self._head(batch)
        if "files" in head:
            return replace(self._names(batch), threshold=head.get("threshold"))
        return Names(batch, (), {})

    def record_rows(self, batch: str, new: int, again: int) -> None:
        """Record that `new` rows were written, and write the results if every file has its row.

        `again`: the number of files that already had their row, or are gone. A worker that was
        killed may have left such rows out of `seen`, so `due` comes earlier by as many. Counting
        all rows each time would take hours if many messages of a large batch came twice.
        """
        add = "SET created = if_not_exists(created, :now) ADD seen :new, due :less"
        values = {":now": now(), ":new": new, ":less": -again}
        try:
            head = self._update_head(batch, add, values)
        except aws.faults() as error:
            if not aws.is_invalid(error):
                raise
            # Somebody damaged the numbers. From 0 on, each row is due at once.
            self._update_head(batch, "SET seen = :zero, due = :zero", {":zero": 0})
            head = self._update_head(batch, add, values)
        seen = head.get("seen", 0)
        # Version 0.1.0 left `due` too high in batches that were started without all their files.
        finished = "started" in head and "results" in head
        if seen >= head.get("due", 0) or (again and finished):
            try:
                self.refresh(batch, seen)
            except NotFound:
                logger.info("batch without files", batch=batch)

    def refresh(self, batch: str, seen: int | None = None) -> Progress:
        """The progress of a batch. Writes its results if it is finished; raises NotFound.

        `seen` is the number of rows that were written when the caller last read the head.
        """
        progress = self.progress(batch)
        if progress.complete and progress.head.get("due", 0) > progress.head.get("seen", 0):
            # From now on each change is due at once. One that came before must not be missed.
            self._update_head(batch, "SET due = :zero", {":zero": 0})
            progress = self.progress(batch)
        if progress.complete:
            self._write_results(progress)
            self._notify(progress)
        elif seen is not None:
            # Each missing row adds to `seen` when it comes, so counting earlier is not worth it.
            # Rows that are counted but not yet added make `due` too early, which is safe. Those of
            # files that never arrived are not added; the start of the batch counts them.
            due = seen + progress.expected - progress.tally.rows
            aws.update_item(
                self.table,
                BATCH_PARTITION,
                batch,
                "SET due = :due",
                {":due": due},
                condition="" if "started" in progress.head else "attribute_not_exists(started)",
            )
        return progress

    def follow(self, batch: str) -> Progress:
        """The progress as `refresh` returns it, for callers that poll; raises NotFound.

        Counting 5,000 rows and objects takes a second of a core. So the counts of a large batch
        that runs are reused for a while, unless its head changes: its start, results or title.
        """
        kept = _followed.get(batch)
        if kept and time.monotonic() < kept[0] and _lasting(self._head(batch)) == kept[1]:
            return kept[2]
        _followed.clear()  # One is enough: a page follows one batch.
        began = time.monotonic()
        progress = self.refresh(batch)
        if not progress.complete and progress.tally.rows >= LARGE:
            end = time.monotonic()
            until = end + min(REUSED * (end - began), REUSED_SECONDS)
            _followed[batch] = until, _lasting(progress.head), progress
        return progress

    def _notify(self, progress: Progress) -> None:
        """Tell the owner once that a batch is done. Only if it was started: one that was not, such
        as a dropped folder, is complete each time that its next file has a row."""
        if "started" not in progress.head or "notified" in progress.head:
            return
        first = aws.update_item(
            self.table,
            BATCH_PARTITION,
            progress.batch,
            "SET notified = :now",
            {":now": now()},
            condition="attribute_not_exists(notified)",
        )
        if first is not None:
            tally = progress.tally
            text = f"{tally.done} images are classified, and {tally.failed} failed.\n\n"
            text += f"The batch is {progress.batch}. The page shows it under Batch."
            notify("Batch done", text)

    def progress(self, batch: str) -> Progress:
        """The progress of a batch; raises NotFound if nothing of it exists."""
        if not is_batch_id(batch):
            raise _unknown(batch)
        head = self._head(batch)
        tally = self._tally(batch)
        created = head.get("created", "")
        if "files" in head:
            more = sum(not is_generated(batch, name) for name in tally.names)
            return Progress(batch, head, tally, head["files"] + more, created)
        # A dropped folder: files that were deleted after they got a row still count.
        expected, oldest = tally.rows, ""
        for name, modified in self._objects(batch):
            expected += name not in tally.names
            oldest = min(oldest or modified, modified)
        if not expected:
            raise _unknown(batch)
        return Progress(batch, head, tally, expected, created or oldest or tally.first)

    def _tally(self, batch: str) -> Tally:
        since = datetime.now(UTC) - timedelta(seconds=RATE_SECONDS)
        tally = Tally(since.isoformat(timespec="milliseconds"))
        for _ in tally.counting(Rows(self.table, batch).read()):
            pass
        return tally

    # --- results ---------------------------------------------------------------------------------

    def require(self, batch: str) -> None:
        """Raises NotFound if nothing of the batch exists."""
        if not self._head(batch):
            self.progress(batch)

    def rows(self, batch: str, after: str | None, limit: int) -> list[Row]:
        """Up to `limit` rows after the one named `after`, and one more if more exist.

        Raises NotFound.
        """
        if after is None:
            self.require(batch)
        return list(islice(Rows(self.table, batch).read(after, limit + 1), limit + 1))

    def write_results(self, batch: str) -> None:
        """Write the results as the rows are now, finished or not; raises NotFound."""
        self._write_results(self.progress(batch))

    def _write_results(self, progress: Progress) -> None:
        """Write the results, unless the files already hold these rows.

        Every writer reads the rows again afterwards, and writes again if they changed. So the last
        of many concurrent writers has read the last row.
        """
        if progress.head.get("results") == progress.tally.digest:
            return
        started = time.monotonic()
        batch = progress.batch
        for _ in range(MAX_ATTEMPTS):
            written = Tally()
            results.write(self.bucket, batch, written.counting(Rows(self.table, batch).read()))
            if self._tally(batch).digest == written.digest:
                self._update_head(
                    batch,
                    "SET results = :rows, summary = :summary",
                    {":rows": written.digest, ":summary": written.summary()},
                )
                logger.info(
                    "results written",
                    batch=batch,
                    rows=written.rows,
                    seconds=round(time.monotonic() - started, 2),
                )
                return

    # --- stored data -----------------------------------------------------------------------------

    def _head(self, batch: str) -> dict[str, Any]:
        """The head of a batch: `created`, `files` (the number of names), `threshold`, `started`,
        `seen`, `due`, `results`, `notified`. Unknown fields are left out; {} before the first
        row."""
        if not is_batch_id(batch):
            raise _unknown(batch)
        return _head(aws.get_item(self.table, BATCH_PARTITION, batch) or {})

    def _update_head(
        self,
        batch: str,
        expression: str,
        values: dict[str, Any],
        names: dict[str, str] | None = None,
    ) -> dict[str, Any]:
        """Change the head of a batch, or create it, and return it."""
        changed = aws.update_item(
            self.table, BATCH_PARTITION, batch, expression, values, names=names
        )
        return _head(changed or {})

    def _objects(self, batch: str) -> Iterator[tuple[str, str]]:
        """The name of each file that is in the batch's folder now, and when it arrived."""
        prefix = f"{INBOX}{batch}/"
        for found in aws.list_objects(self.bucket, prefix):
            if batch_and_name(found["Key"]):
                yield found["Key"].removeprefix(prefix), found["LastModified"].isoformat()

    def _names(self, batch: str) -> Names:
        return _names(self.bucket, batch)


@lru_cache(maxsize=4)
def _names(bucket: str, batch: str) -> Names:
    """The names of a batch's files, which never change. A few lists, of 1 MB each, are cached."""
    body = aws.client("s3").get_object(Bucket=bucket, Key=results.folder(batch) + FILES)["Body"]
    files = tuple(json.loads(body.read()))
    places: dict[str, int] = {}
    for place, file in enumerate(files):
        places.setdefault(file, place)
    for place, file in enumerate(files):
        places.setdefault(nfc(file), place)
    return Names(batch, files, places)


_followed: dict[str, tuple[float, dict[str, Any], Progress]] = {}
"""The progress that `follow` gives until a time, as long as the head of the batch is the same."""


def _lasting(head: dict[str, Any]) -> dict[str, Any]:
    """The fields of a head that do not change with each row."""
    return {name: value for name, value in head.items() if name not in ("seen", "due")}


COUNTS = ("files", "seen", "due")
HEAD = {
    **dict.fromkeys((*COUNTS, "threshold"), float),
    **dict.fromkeys(("created", "started", "results", "summary", "notified", "name"), str),
}
"""The types of the fields of a head."""


def _head(item: dict[str, Any]) -> dict[str, Any]:
    """The fields of a head. Those that somebody damaged are left out, as it only saves work."""
    head: dict[str, Any] = {}
    for name, value in item.items():
        if name in ("pk", "sk"):
            continue
        sound = isinstance(value, HEAD.get(name, object))
        if sound and (name != "files" or 0 <= value <= MAX_FILES):
            head[name] = int(value) if name in COUNTS else value
        else:
            logger.error("damaged head of a batch", batch=item.get("sk"), field=name)
    return head


def _summary(head: dict[str, Any]) -> dict[str, Any]:
    """The figures of `Tally.summary`; {} before there are any, or if they are damaged."""
    try:
        figures = json.loads(head.get("summary", "{}"))
        if int(figures["done"]) + int(figures["failed"]) >= 0 and figures["counts"].keys():
            return dict(figures)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        pass
    return {}


def _listed(item: dict[str, Any]) -> dict[str, Any]:
    """A batch in a list. `rows` may be a few seconds late."""
    head = _head(item)
    summary = _summary(head)
    seen, files = head.get("seen", 0), head.get("files")
    settled = summary.get("done", 0) + summary.get("failed", 0)
    finished = bool(summary) and settled >= max(seen, files or 0)
    waiting = files is not None and "started" not in head
    return {
        "id": item["sk"],
        "name": head.get("name"),
        "state": "finished" if finished else "open" if waiting else "running",
        "source": "folder" if files is None else "files",
        "expected": files,
        "rows": max(seen, settled),
        "failed": summary.get("failed") if finished else None,
        "counts": summary.get("counts") if finished else None,
        "uncertain": summary.get("uncertain") if finished else None,
        "created": head.get("created"),
        "finished": summary.get("finished") if finished else None,
    }


def _type_of(file: str) -> str:
    return TYPES.get(file.rpartition(".")[2].lower(), OTHER_TYPE)


def _unknown(batch: str) -> NotFound:
    return NotFound(
        f"There is no batch {batch[:64]!r} and no object in {INBOX}{batch[:64]}/. "
        f"Create one with POST /batches, or put files into {INBOX}{batch[:64]}/."
    )
