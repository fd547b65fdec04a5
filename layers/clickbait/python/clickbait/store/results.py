"""The results of a batch as JSON lines, and as CSV that a spreadsheet can open.

However many rows there are, a few pages of them are in memory: both kinds of files are written
while the table is being read.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from clickbait import aws
from clickbait.keys import RESULTS
from clickbait.store.rows import COLUMNS, Row

if TYPE_CHECKING:
    pass

CSV_TYPE = "text/csv; charset=utf-8"

PART_ROWS = 1_000
"""Rows of one part of the JSON lines: about 250 KB, which one request takes."""

CSV_PART = 8 * 1024 * 1024
"""Bytes of CSV that are held: up to here one request writes all of it, above it goes in parts of
this size (S3 wants 5 MiB at least)."""

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula (OWASP, CSV Injection)."""

OTHER_SEPARATORS = (";", "\t")
"""What separates cells where a comma is the decimal point: such a name is quoted too, or its second
half would be a cell of its own there, and perhaps a formula."""

# --- CSV -----------------------------------------------------------------------------------------


def safe(cell: str) -> str:
    """`cell` with an apostrophe before it where a spreadsheet would take it for a formula.

    One that has apostrophes there already gets one more, so that whoever takes one away has the
    text again, of any cell.
    """
    return f"'{cell}" if cell.lstrip("'").startswith(FORMULA) else cell


def csv_lines(rows: Iterable[Row]) -> Iterator[bytes]:
    """The header and the rows as CSV (RFC 4180: commas, CRLF, quotes where they are needed), UTF-8.

    There is no byte order mark: RFC 4180 knows none, and most readers take it for a part of the
    first column's name. Excel asks for the encoding, which is 65001, under Data, From Text/CSV.
    """
    text = io.StringIO(newline="")
    plain = csv.writer(text, lineterminator="\r\n")
    quoted = csv.writer(text, lineterminator="\r\n", quoting=csv.QUOTE_ALL)
    plain.writerow(COLUMNS)
    for row in rows:
        cells = [_cell(value) for value in row.as_dict().values()]
        foreign = any(mark in row.file for mark in OTHER_SEPARATORS)
        (quoted if foreign else plain).writerow(cells)
        yield text.getvalue().encode()
        text.seek(0)
        text.truncate()
    yield text.getvalue().encode()


def _cell(value: str | float | bool | None) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return safe(value)
    return "" if value is None else repr(value)


def csv_within(rows: Iterable[Row], most: int) -> bytes | None:
    """All of `rows` as CSV; None as soon as it has more than `most` bytes in a JSON string, which
    is how Lambda carries it."""
    size, parts = 0, []
    for part in csv_lines(rows):
        size += len(json.dumps(part.decode(), ensure_ascii=False).encode())
        if size > most:
            return None
        parts.append(part)
    return b"".join(parts)


# --- files in the bucket -------------------------------------------------------------------------


def folder(batch: str) -> str:
    """Where the files of a batch are."""
    return f"{RESULTS}{batch}/"


def csv_key(batch: str) -> str:
    """The key of a batch's CSV."""
    return f"{folder(batch)}results.csv"


def write(bucket: str, batch: str, rows: Iterable[Row]) -> None:
    """Write `part-00000.jsonl` and so on, and `results.csv`, reading `rows` once."""
    from boto3.s3.transfer import TransferConfig

    lines = csv_lines(_in_parts(bucket, batch, rows))
    aws.client("s3").upload_fileobj(
        io.BufferedReader(_Readable(lines), buffer_size=io.DEFAULT_BUFFER_SIZE),
        bucket,
        csv_key(batch),
        ExtraArgs={"ContentType": CSV_TYPE},
        Config=TransferConfig(CSV_PART, multipart_chunksize=CSV_PART, use_threads=False),
    )


def _in_parts(bucket: str, batch: str, rows: Iterable[Row]) -> Iterator[Row]:
    """`rows` as they are, each part written when its last row has passed."""
    part: list[str] = []
    number = 0

    def put() -> None:
        aws.client("s3").put_object(
            Bucket=bucket,
            Key=f"{folder(batch)}part-{number:05d}.jsonl",
            Body="".join(part).encode(),
            ContentType="application/jsonl",
        )

    for row in rows:
        part.append(json.dumps(row.as_dict()) + "\n")
        if len(part) == PART_ROWS:
            put()
            part.clear()
            number += 1
        yield row
    if part:
        put()


class _Readable(io.RawIOBase):
    """What an iterator yields, as a file to read from."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self.chunks = chunks
        self.left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self.left:
            chunk = next(self.chunks, None)
            if chunk is None:
                return 0
            self.left = chunk
        size = min(len(buffer), len(self.left))
        buffer[:size] = self.left[:size]
        self.left = self.left[size:]
        return size
