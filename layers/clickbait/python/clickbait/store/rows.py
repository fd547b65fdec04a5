"""The rows of a batch: one for each file, written once for each object, and read in order."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from clickbait import LABELS, Label, aws
from clickbait.errors import Unavailable
from clickbait.keys import rows_partition

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

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
"""Rows that DynamoDB writes in one transaction at most."""
TRIES = 5
"""Of a transaction that meets other writers of its rows, or a table that has enough to do."""
PAUSE_SECONDS = 0.2
"""Before the second try, and so much more before each one after it."""

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
        self.batch = batch

    @property
    def db(self) -> "DynamoDBClient":
        client: DynamoDBClient = aws.client("dynamodb")
        return client

    @property
    def partition(self) -> str:
        """The partition of the table in which the rows are."""
        return rows_partition(self.batch)

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
