"""The rows of a batch: one for each file, written once for each object, read in order."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from clickbait import LABELS, Label, aws
from clickbait.errors import Unavailable
from clickbait.keys import rows_partition

COLUMNS: dict[str, Any] = {
    "file": str,
    "prediction": Label | None,
    "is_clickbait": bool | None,
    "probability": float | None,
    "confidence": float | None,
    "uncertain": bool | None,
    "model_version": str | None,
    "error": str | None,
}
"""The columns of a batch's results, as CSV and as JSON, and their types. Each names an attribute of
Row: to add a column, add it here and to Row. If a prediction has such a field, the worker fills it.
"""

TRANSACTION = 100
"""DynamoDB writes no more rows in one transaction."""
TRIES = 5
"""Tries of a transaction that meets other writers of its rows, or a busy table."""
PAUSE_SECONDS = 0.2
"""Pause before the second try. Each pause after it is longer by this much."""

Outcome = Literal["new", "replaced", "again"]


@dataclass(frozen=True, slots=True)
class Row:
    """The result of one file: a prediction or an error.

    `name` is its key below the batch's folder, and sorts the rows. `file` is its owner's name for
    it. `etag` and `modified` identify the object; both are empty if none arrived.
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

    @property
    def is_clickbait(self) -> bool | None:
        return None if self.failed else self.prediction == LABELS[1]

    def as_dict(self) -> dict[str, Any]:
        """The row by COLUMNS; None in a column that does not apply."""
        return {name: getattr(self, name) for name in COLUMNS}


def stored_fields(prediction: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a prediction that its row has."""
    return {name: prediction[name] for name in prediction if name in Row.__dataclass_fields__}


class Rows:
    """The rows of one batch in the table."""

    def __init__(self, table: str, batch: str) -> None:
        self.table = table
        self.partition = rows_partition(batch)

    def put(self, row: Row) -> Outcome:
        """Write a row if its file has none, or has one of an older object.

        Returns "again" if there is a row of the same object: that one stays, whichever model made
        it. "replaced" if there was a row of an older object.
        """
        before = aws.put_item(
            self.table,
            self.fields(row),
            "attribute_not_exists(pk) OR (etag <> :etag AND modified <= :modified)",
            {":etag": row.etag, ":modified": row.modified},
        )
        if before is None:
            return "again"
        return "replaced" if before else "new"

    def put_missing(self, rows: list[Row]) -> int:
        """Write those of at most TRANSACTION `rows` that do not exist; returns how many.

        Raises Unavailable if the table is too busy; rows that are written by then stay.
        """
        for tries in range(TRIES):
            time.sleep(tries * PAUSE_SECONDS)
            if not rows:
                return 0
            codes = aws.put_new_items(self.table, [self.fields(row) for row in rows])
            if not codes:
                return len(rows)
            rows = [
                row
                for row, code in zip(rows, codes, strict=True)
                if code != "ConditionalCheckFailed"
            ]
        if rows:
            raise Unavailable("The table is busy. Try again: finished rows stay.")
        return 0

    def fields(self, row: Row) -> dict[str, Any]:
        """`row` as the fields of its item."""
        fields = asdict(row)
        return {"pk": self.partition, "sk": fields.pop("name"), **fields}

    def read(self, after: str | None = None, limit: int | None = None) -> Iterator[Row]:
        """Rows in the order of their names, from behind `after`, in pages of `limit`."""
        for item in aws.query(
            self.table, self.partition, after=after, limit=limit, consistent=True
        ):
            fields = {name: item[name] for name in Row.__dataclass_fields__ if name in item}
            yield Row(name=item["sk"], **fields)


def now() -> str:
    """The current time as rows have it: UTC, to the millisecond, in an order that text has too."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
