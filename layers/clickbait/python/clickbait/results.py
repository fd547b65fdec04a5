"""The rows of a batch: one a file, written once for each object, read in order, and told as JSON
lines and as CSV that a spreadsheet can open.

However many rows there are, a few pages of them are in memory: both kinds of files are written
while the table is being read.
"""

import csv
import io
import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from clickbait import LABELS, aws
from clickbait.errors import Unavailable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

COLUMNS = (
    "file", "prediction", "is_clickbait", "probability", "confidence", "uncertain",
    "model_version", "error",
)  # fmt: skip

PART_ROWS = 1_000
"""Rows of one part of the JSON lines: about 250 KB, which one request takes."""

TRANSACTION = 100
"""Rows that DynamoDB writes in one transaction at most."""
TRIES = 5
"""Of a transaction that meets other writers of its rows, or a table that has enough to do."""
PAUSE_SECONDS = 0.2
"""Before the second try, and so much more before each one after it."""

CSV_PART = 8 * 1024 * 1024
"""Bytes of CSV that are held: up to here one request writes all of it, above it goes in parts of
this size (S3 wants 5 MiB at least)."""

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula (OWASP, CSV Injection)."""

OTHER_SEPARATORS = (";", "\t")
"""What separates cells where a comma is the decimal point: such a name is quoted too, or its second
half would be a cell of its own there, and perhaps a formula."""

Outcome = Literal["new", "replaced", "again"]


@dataclass(frozen=True, slots=True)
class Row:
    """What became of one file: a prediction or an error.

    `name` is its key below the batch's folder, and sorts the rows; `file` is what its owner calls
    it. `etag` and `modified` say which object was looked at; both are empty where none arrived.
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

    @property
    def failed(self) -> bool:
        return self.error is not None

    def as_dict(self) -> dict[str, Any]:
        """The row by COLUMNS; what does not apply is None."""
        told: dict[str, Any] = {name: getattr(self, name, None) for name in COLUMNS}
        told["is_clickbait"] = None if self.failed else self.prediction == LABELS[1]
        return told


class Rows:
    """The rows of one batch in the table."""

    def __init__(self, table: str, batch: str) -> None:
        self.table = table
        self.batch = batch

    @property
    def db(self) -> "DynamoDBClient":
        client: DynamoDBClient = aws.client("dynamodb")
        return client

    @property
    def partition(self) -> str:
        """The partition of the table in which the rows are."""
        return f"batch#{self.batch}"

    def put(self, row: Row) -> Outcome:
        """Write a row where there is none, or only one of an older object of this name; says which.

        "again": the same object has its row, whichever model made it, and that one stays.
        """
        try:
            before = self.db.put_item(
                TableName=self.table,
                Item=self.item(row),
                ConditionExpression="attribute_not_exists(pk) "
                "OR (etag <> :etag AND modified <= :modified)",
                ExpressionAttributeValues={
                    ":etag": {"S": row.etag},
                    ":modified": {"S": row.modified},
                },
                ReturnValues="ALL_OLD",
            )
        except self.db.exceptions.ConditionalCheckFailedException:
            return "again"
        return "replaced" if before.get("Attributes") else "new"

    def put_missing(self, rows: list[Row]) -> int:
        """Write those of at most TRANSACTION `rows` of which there is none yet; returns how many.

        Raises Unavailable where the table is too busy; what was written by then stays.
        """
        for tries in range(TRIES):
            time.sleep(tries * PAUSE_SECONDS)
            if not rows:
                break
            puts: Any = [
                {
                    "Put": {
                        "TableName": self.table,
                        "Item": self.item(row),
                        "ConditionExpression": "attribute_not_exists(pk)",
                    }
                }
                for row in rows
            ]
            try:
                self.db.transact_write_items(TransactItems=puts)
            except self.db.exceptions.TransactionCanceledException as error:
                reasons = [why.get("Code") for why in error.response["CancellationReasons"]]
                rows = [
                    row
                    for row, why in zip(rows, reasons, strict=True)
                    if why != "ConditionalCheckFailed"
                ]
            else:
                return len(rows)
        if rows:
            raise Unavailable("The table is busy. Try again: what is done stays done.")
        return 0

    def item(self, row: Row) -> dict[str, Any]:
        """`row` as an item of the table."""
        item: dict[str, Any] = {"pk": {"S": self.partition}, "sk": {"S": row.name}}
        for name in Row.__dataclass_fields__:
            value = getattr(row, name)
            if name == "name" or value is None:
                continue
            if isinstance(value, bool):
                item[name] = {"BOOL": value}
            elif isinstance(value, float):
                item[name] = {"N": repr(value)}
            else:
                item[name] = {"S": value}
        return item

    def read(self, after: str | None = None, limit: int | None = None) -> Iterator[Row]:
        """Rows in the order of their names, from behind `after` on, a page of the table at a time;
        `limit` is how many the caller means to take."""
        start: Any = {}
        if after is not None:
            start = {"ExclusiveStartKey": {"pk": {"S": self.partition}, "sk": {"S": after}}}
        page: Any = {"Limit": limit} if limit else {}
        while True:
            found = self.db.query(
                TableName=self.table,
                KeyConditionExpression="pk = :pk",
                ExpressionAttributeValues={":pk": {"S": self.partition}},
                ConsistentRead=True,
                **page,
                **start,
            )
            yield from map(_row, found["Items"])
            if "LastEvaluatedKey" not in found:
                return
            start = {"ExclusiveStartKey": found["LastEvaluatedKey"]}


def _row(item: dict[str, Any]) -> Row:
    fields: dict[str, Any] = {"name": item["sk"]["S"]}
    for name in Row.__dataclass_fields__:
        if name in item:
            ((kind, value),) = item[name].items()
            fields[name] = float(value) if kind == "N" else value
    return Row(**fields)


def now() -> str:
    """The time of a row: UTC, to the millisecond, in an order that text has too."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


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
    return f"results/{batch}/"


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
        ExtraArgs={"ContentType": "text/csv; charset=utf-8"},
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
