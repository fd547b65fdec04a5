"""The rows of a batch in the table: one for each file, written once for each object, in order."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Literal

from clickbait import aws
from clickbait.errors import Unavailable
from clickbait.keys import rows_partition
from clickbait.store.results import Row

TRANSACTION = 100
"""The most rows that DynamoDB writes in one transaction."""
TRIES = 5
"""Attempts at a transaction that conflicts with other writers, or meets a busy table."""
PAUSE_SECONDS = 0.2
"""Pause before the second attempt. Each later pause is longer by this much."""

Outcome = Literal["new", "replaced", "again"]


class Rows:
    """The rows of one batch in the table."""

    def __init__(self, table: str, batch: str) -> None:
        self.table = table
        self.batch = batch
        self.partition = rows_partition(batch)

    def put(self, row: Row) -> Outcome:
        """Write a row if its file has none, or only one of an older object.

        Returns "new", "replaced" if it replaced the row of an older object, or "again" if the same
        object has a row. That row stays, whichever model predicted it.
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

    def put_new(self, rows: Sequence[Row]) -> list[bool]:
        """Write those `rows` whose file has none, many in one call; returns which are written.

        The others have a row already, or the table is too busy for them: `put` them.
        """
        places = {row.name: place for place, row in reversed(list(enumerate(rows)))}
        first = sorted(places.values())  # A call may name an item once.
        written: set[int] = set()
        for begin in range(0, len(first), aws.MAX_INSERTS):
            part = first[begin : begin + aws.MAX_INSERTS]
            codes = aws.insert_items(self.table, [self.fields(rows[place]) for place in part])
            written |= {place for place, code in zip(part, codes, strict=True) if not code}
        return [place in written for place in range(len(rows))]

    def put_missing(self, rows: list[Row]) -> int:
        """Write those `rows` (at most TRANSACTION) that do not exist yet; returns their number.

        Raises Unavailable if the table is too busy. Rows that are written by then stay.
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
            raise Unavailable("The table is busy. Try again; rows that are written stay.")
        return 0

    def get(self, name: str) -> Row | None:
        """The row named `name`, if there is one."""
        item = aws.get_item(self.table, self.partition, name)
        return _row(item) if item else None

    def fields(self, row: Row) -> dict[str, Any]:
        """`row` as the fields of its item."""
        fields = asdict(row)
        return {"pk": self.partition, "sk": fields.pop("name"), **fields}

    def read(self, after: str | None = None, limit: int | None = None) -> Iterator[Row]:
        """Rows after the name `after`, in the order of their names, read in pages of `limit`."""
        for item in aws.query(
            self.table, self.partition, after=after, limit=limit, consistent=True
        ):
            yield _row(item)


def _row(item: dict[str, Any]) -> Row:
    return Row(name=item["sk"], **{n: item[n] for n in Row.__dataclass_fields__ if n in item})


def now() -> str:
    """The current time as rows store it: UTC to the millisecond, as text that sorts by time."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
