"""The manifest of a version: a CSV with a line for each image that it was trained or measured on,
or that was left out, with the reason."""

import csv
import hashlib
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

FILE = "manifest.csv"
ANCESTORS = "ancestors.csv"
"""Images that the versions before this one were trained on, and this one was not."""


@dataclass(frozen=True, slots=True)
class Record:
    """One line of a manifest: an image that is used (`side` set) or that is not (`reason` set)."""

    file: str
    label: str
    sha256: str = ""
    phash: str = ""
    group: str = ""
    side: str = ""
    reason: str = ""


FIELDS = tuple(Record.__dataclass_fields__)


def read(lines: Iterable[str]) -> Iterator[Record]:
    """The records in the lines of a manifest."""
    for row in csv.DictReader(lines):
        yield Record(**{field: row.get(field, "") for field in FIELDS})


def write(records: Iterable[Record]) -> str:
    """`records` as CSV, one line an image, used or not."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(FIELDS)
    writer.writerows([getattr(r, f) for f in FIELDS] for r in records)
    return text.getvalue()


def digest(records: Iterable[Record]) -> str:
    """SHA-256 over the sorted (content hash, label, side) of the used images; it identifies the
    data of a training."""
    lines = sorted(f"{r.sha256} {r.label} {r.side}" for r in records if r.side)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
