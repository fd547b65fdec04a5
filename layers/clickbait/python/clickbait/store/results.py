"""The results of a batch: their columns, as JSON lines, and as CSV that a spreadsheet can open.

Both are written while the table is read, so only a few pages of rows are in memory.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from clickbait import LABELS, Label, Verdict, aws, verdict_of
from clickbait.keys import RESULTS

Selection = Literal["clickbait", "legitimate", "unsure", "failed"]
"""The rows of a file: those with one verdict, or those with an error."""

COLUMNS: dict[str, Any] = {
    "file": str,
    "prediction": Label | None,
    "is_clickbait": bool | None,
    "probability": float | None,
    "confidence": float | None,
    "uncertain": bool | None,
    "model_version": str | None,
    "error": str | None,
    "threshold": float | None,
    "verdict": Verdict | None,
}
"""The columns of a batch's results, as CSV and as JSON, and their types. Each names an attribute of
Row: to add a column, add it here and to Row. If a prediction has such a field, the worker fills it.
"""

CSV_TYPE = "text/csv; charset=utf-8"

PART_ROWS = 1_000
"""Rows in one part of the JSON lines: about 250 KB, written in one request."""

CSV_PART = 8 * 1024 * 1024
"""Bytes of CSV in memory. A shorter file is written in one request, a longer one in parts of this
size. S3 demands at least 5 MiB."""

FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
"""Characters with which a formula begins in a spreadsheet (OWASP, CSV Injection). The last four are
the full-width forms of the first four, which spreadsheets in East Asia read alike. A tab or a line
break is skipped before a formula."""

OTHER_SEPARATORS = (";", "\t")
"""Cell separators in countries that use a decimal comma. A row whose file name has one is quoted.
Otherwise the second half of the name would be a cell of its own there, perhaps with a formula."""


@dataclass(frozen=True, slots=True)
class Row:
    """The result of one file: a prediction or an error.

    `name` is its key below the batch's folder, and sorts the rows. `file` is the name that the
    user gave it. `etag` and `modified` identify the object; both are empty if none arrived.
    """

    name: str
    file: str
    at: str
    etag: str = ""
    modified: str = ""
    prediction: str | None = None
    probability: float | None = None
    confidence: float | None = None
    uncertain: bool | None = None
    model_version: str | None = None
    error: str | None = None
    threshold: float | None = None

    @property
    def failed(self) -> bool:
        return self.error is not None

    @property
    def is_clickbait(self) -> bool | None:
        return None if self.failed else self.prediction == LABELS[1]

    @property
    def verdict(self) -> Verdict | None:
        """The prediction in one word; None for an error."""
        if self.failed:
            return None
        return verdict_of(self.is_clickbait, self.uncertain)

    def is_in(self, selection: Selection) -> bool:
        return self.failed if selection == "failed" else self.verdict == selection

    def as_dict(self) -> dict[str, Any]:
        """The row by COLUMNS; None in a column that does not apply."""
        return {name: getattr(self, name) for name in COLUMNS}


def stored_fields(prediction: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a prediction that its row stores."""
    return {name: prediction[name] for name in prediction if name in Row.__dataclass_fields__}


# --- CSV -----------------------------------------------------------------------------------------


def safe(cell: str) -> str:
    """`cell` with an apostrophe before it if a spreadsheet would run it as a formula.

    A cell that begins with apostrophes gets one more, so that removing one restores any cell.
    """
    return f"'{cell}" if cell.lstrip("'").startswith(FORMULA) else cell


def csv_lines(rows: Iterable[Row], bom: bool = False) -> Iterator[bytes]:
    """The header and the rows as CSV: RFC 4180 (commas, CRLF, quotes if needed), in UTF-8.
    Probabilities have four digits.

    By default it has no byte order mark, because RFC 4180 has none, and most readers make it part
    of the first column's name. Excel needs one, or asks for the encoding (65001).
    """
    text = io.StringIO(newline="")
    if bom:
        text.write("\ufeff")
    plain = csv.writer(text, lineterminator="\r\n")
    quoted = csv.writer(text, lineterminator="\r\n", quoting=csv.QUOTE_ALL)
    plain.writerow(COLUMNS)
    for row in rows:
        cells = [_cell(value) for value in row.as_dict().values()]
        separated = any(separator in row.file for separator in OTHER_SEPARATORS)
        (quoted if separated else plain).writerow(cells)
        yield text.getvalue().encode()
        text.seek(0)
        text.truncate()
    yield text.getvalue().encode()


def _cell(value: str | float | bool | None) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return safe(value)
    return "" if value is None else repr(round(value, 4))


def csv_within(rows: Iterable[Row], most: int, bom: bool = False) -> bytes | None:
    """All of `rows` as CSV; None if it has more than `most` bytes as a JSON string.

    Lambda returns its responses in JSON.
    """
    size, parts = 0, []
    for part in csv_lines(rows, bom):
        size += len(json.dumps(part.decode(), ensure_ascii=False).encode())
        if size > most:
            return None
        parts.append(part)
    return b"".join(parts)


# --- files in the bucket -------------------------------------------------------------------------


def folder(batch: str) -> str:
    """The prefix of the files with a batch's results."""
    return f"{RESULTS}{batch}/"


def csv_key(batch: str, selection: Selection | None = None, bom: bool = False) -> str:
    """The key of a batch's CSV: of all rows, or of a selection, with a byte order mark or not."""
    parts = ["results", *filter(None, (selection, "excel" if bom else None))]
    return f"{folder(batch)}{'-'.join(parts)}.csv"


def write(bucket: str, batch: str, rows: Iterable[Row]) -> None:
    """Write `part-00000.jsonl` and so on, and `results.csv`, reading `rows` once."""
    _upload(bucket, csv_key(batch), csv_lines(_in_parts(bucket, batch, rows)))


def write_selection(
    bucket: str, batch: str, rows: Iterable[Row], selection: Selection | None, bom: bool
) -> str:
    """Write the CSV of a selection of `rows`; returns its key."""
    key = csv_key(batch, selection, bom)
    chosen = (row for row in rows if selection is None or row.is_in(selection))
    _upload(bucket, key, csv_lines(chosen, bom))
    return key


def _upload(bucket: str, key: str, lines: Iterator[bytes]) -> None:
    from boto3.s3.transfer import TransferConfig

    aws.client("s3").upload_fileobj(
        io.BufferedReader(_Readable(lines), buffer_size=io.DEFAULT_BUFFER_SIZE),
        bucket,
        key,
        ExtraArgs={"ContentType": CSV_TYPE},
        Config=TransferConfig(CSV_PART, multipart_chunksize=CSV_PART, use_threads=False),
    )


def _in_parts(bucket: str, batch: str, rows: Iterable[Row]) -> Iterator[Row]:
    """`rows` unchanged. Each part is written once its last row has passed."""
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
    """The chunks of an iterator, as a file to read from."""

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
