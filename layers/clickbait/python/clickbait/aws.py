"""Calls to AWS that several modules share: clients, table items, S3 objects, kinds of errors.

boto3 is imported when the first client is created, so importing this module is cheap.
"""

import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

from clickbait.errors import Unavailable
from clickbait.observability import logger

T = TypeVar("T")

BUSY_ATTEMPTS = 4
BUSY_SECONDS = 0.1
"""Attempts at a read that DynamoDB answers in part. Each pause is longer than the last by this."""

MAX_INSERTS = MAX_PUTS = 25
"""The most items that DynamoDB takes in a BatchExecuteStatement, and in a BatchWriteItem."""

# --- clients -------------------------------------------------------------------------------------


@cache
def client(service: str) -> Any:
    """The one client of `service` in this process.

    It tries twice and gives up early, because callers wait 30 s at most, and SQS, schedules and
    later requests try again anyway. Threads may share a client, but only one may create it.
    """
    return _new_client(
        service,
        connect_timeout=2,
        read_timeout=5,
        retries={"total_max_attempts": 2, "mode": "standard"},
        max_pool_connections=32,
    )


@cache
def quick_client(service: str, connect_seconds: float, read_seconds: float) -> Any:
    """A client of `service` that tries once and waits no longer than this."""
    return _new_client(
        service,
        connect_timeout=connect_seconds,
        read_timeout=read_seconds,
        retries={"total_max_attempts": 1},
    )


@cache
def patient_client(service: str) -> Any:
    """A client of `service` for calls that take half a minute, such as a function's first start."""
    return _new_client(
        service,
        connect_timeout=2,
        read_timeout=30,
        retries={"total_max_attempts": 3, "mode": "standard"},
    )


@cache
def signing_client() -> Any:
    """An S3 client whose signed URLs need no redirect: signature version 4, and the bucket's own
    host in its own region. A redirect from the global host would break a browser's upload.

    An emulator (AWS_ENDPOINT_URL) has one host for all buckets, so the bucket is in the path.
    """
    emulated = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    style = "path" if emulated else "virtual"
    return _new_client(
        "s3",
        signature_version="s3v4",
        s3={"addressing_style": style, "us_east_1_regional_endpoint": "regional"},
    )


def _new_client(service: str, **options: Any) -> Any:
    import boto3
    from botocore.config import Config

    return boto3.client(service, config=Config(**options))  # type: ignore[call-overload]


def forget_clients() -> None:
    """Drop every client. After a SnapStart restore, their connections and credentials are stale."""
    for clients in (client, quick_client, patient_client, signing_client):
        clients.cache_clear()


# --- errors --------------------------------------------------------------------------------------


SECRET = re.compile(r"arn:[^\s\"']+|\b\d{12}\b")
"""ARNs and numbers of accounts."""


def reason(error: Exception) -> str:
    """A fault in words that anybody may read, without a full stop; the log gets the whole of it.

    AWS's own messages name accounts, roles and resources: "User: arn:aws:sts::123...". Those of the
    connection name hosts, and so buckets.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    match error:
        case ClientError():
            fault = error.response.get("Error", {})
            message = SECRET.sub("(hidden)", str(fault.get("Message", ""))).rstrip(".")
            found = f"{fault.get('Code', type(error).__name__)}: {message}".rstrip(": ")
        case BotoCoreError():
            found = type(error).__name__
        case _:
            return f"{type(error).__name__}: {error}"
    logger.error("AWS refused or did not answer", reason=str(error))
    return str(found)


def faults() -> tuple[type[Exception], ...]:
    """The exceptions of every client, for `except aws.faults():`."""
    from botocore.exceptions import BotoCoreError, ClientError

    return BotoCoreError, ClientError


TRY_LATER = re.compile(
    "Throttl|Throughput|SlowDown|RequestLimit|BandwidthLimit|TooManyRequests|RequestTimeout"
)
"""Codes with which AWS asks for fewer requests, or says that one took too long to arrive."""


def is_outage(error: BaseException) -> bool:
    """True if AWS, or the network to it, failed for a moment: the same call may succeed later.

    An error that was raised from such a failure counts too.
    """
    if "botocore" in sys.modules:  # Else no call failed; a server without AWS has no botocore.
        from botocore import exceptions

        match error:
            case exceptions.ClientError():
                code = error.response.get("Error", {}).get("Code", "")
                return (status_of(error) or 0) >= 500 or bool(TRY_LATER.search(code))
            case (
                exceptions.ConnectionError()
                | exceptions.HTTPClientError()
                | exceptions.IncompleteReadError()
            ):
                return True
    if error.__cause__ is not None:
        return is_outage(error.__cause__)
    return isinstance(error, Unavailable)  # A table that stayed busy.


def is_transport_fault(error: Exception) -> bool:
    """Whether a call failed before AWS answered it."""
    from botocore.exceptions import BotoCoreError

    return isinstance(error, BotoCoreError)


def status_of(error: Exception) -> int | None:
    """The HTTP status of a botocore ClientError; None for anything else."""
    response = getattr(error, "response", {})
    return response.get("ResponseMetadata", {}).get("HTTPStatusCode") if response else None


def is_missing(error: Exception) -> bool:
    """Whether S3 has no such object. A missing bucket is another error, except for HEAD."""
    response = getattr(error, "response", {})
    return response.get("Error", {}).get("Code") in ("NoSuchKey", "404")


def is_invalid(error: Exception) -> bool:
    """Whether DynamoDB refuses a change for what is stored: a text to which a number is added."""
    response = getattr(error, "response", {})
    return bool(response.get("Error", {}).get("Code") == "ValidationException")


# --- objects in S3 -------------------------------------------------------------------------------


def list_objects(bucket: str, prefix: str) -> Iterator[dict[str, Any]]:
    """Every object below `prefix`, in the order of the keys: Key, ETag, Size, LastModified."""
    pages = client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    for page in pages:
        yield from page.get("Contents", [])


def get_object(bucket: str, key: str) -> dict[str, Any] | None:
    """The response to GetObject, its Body not yet read; None if there is no such object."""
    return _found("get_object", bucket, key)


def head_object(bucket: str, key: str) -> dict[str, Any] | None:
    """The response to HeadObject; None if there is no such object."""
    return _found("head_object", bucket, key)


def _found(operation: str, bucket: str, key: str) -> dict[str, Any] | None:
    s3 = client("s3")
    try:
        response: dict[str, Any] = getattr(s3, operation)(Bucket=bucket, Key=key)
    except s3.exceptions.ClientError as error:
        if is_missing(error):
            return None
        raise
    return response


# --- items of the table --------------------------------------------------------------------------


def to_item(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Plain fields in DynamoDB's form: text as S, numbers as N, booleans as BOOL.

    Fields that are None are left out.
    """
    return {name: _to_value(value) for name, value in fields.items() if value is not None}


def _to_value(value: str | float | bool) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"BOOL": value}
    return {"S": value} if isinstance(value, str) else {"N": repr(value)}


def from_item(item: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The plain fields of an item.

    Each number is a float, because DynamoDB stores 2.0 as 2. boto3's deserializer creates Decimals,
    which takes most of the time for 10,000 items.
    """
    return {
        name: float(content) if kind == "N" else content
        for name, value in item.items()
        for kind, content in value.items()
    }


def parsed(
    items: Iterable[Mapping[str, Any]], parse: Callable[[Mapping[str, Any]], T]
) -> Iterator[T]:
    """The results of `parse` for the `items`. Those at which it fails are logged and left out:
    somebody changed them by hand, and the others must stay readable."""
    for item in items:
        try:
            found = parse(item)
        except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
            logger.error(
                "damaged item", partition=item["pk"], item=item["sk"], reason=repr(error)[:500]
            )
        else:
            yield found


def key_of(partition: str, sort: str) -> dict[str, Any]:
    """The key of an item, in DynamoDB's form."""
    return {"pk": {"S": partition}, "sk": {"S": sort}}


def get_item(table: str, partition: str, sort: str) -> dict[str, Any] | None:
    """The plain fields of an item, read consistently; None if it does not exist."""
    found = client("dynamodb").get_item(
        TableName=table, Key=key_of(partition, sort), ConsistentRead=True
    )
    return from_item(found["Item"]) if "Item" in found else None


def get_items(
    table: str, partition: str, sorts: Sequence[str], fields: str = ""
) -> dict[str, dict[str, Any]]:
    """The plain fields of items of one partition (at most 100) by their sort keys.

    Items that do not exist are left out. `fields` names those to read, separated by commas, with
    the sort key among them; all if it is empty. Raises Unavailable if the table is too busy.
    """
    projection = {"ProjectionExpression": fields} if fields else {}
    wanted = [key_of(partition, sort) for sort in sorted(set(sorts))]
    found: list[dict[str, Any]] = []
    for attempt in range(BUSY_ATTEMPTS):
        if not wanted:
            break
        time.sleep(attempt * BUSY_SECONDS)
        answer = client("dynamodb").batch_get_item(
            RequestItems={table: {"Keys": wanted, **projection}}
        )
        found += answer["Responses"].get(table, [])
        wanted = answer.get("UnprocessedKeys", {}).get(table, {}).get("Keys", [])
    if wanted:
        raise Unavailable("The table is busy. Try again.")
    return {item["sk"]: item for item in map(from_item, found)}


def put_item(
    table: str,
    fields: Mapping[str, Any],
    condition: str = "",
    values: Mapping[str, Any] | None = None,
) -> dict[str, Any] | None:
    """Write an item and return the fields of the one that it replaced; {} if it is new.

    Writes nothing and returns None if `condition` does not hold.
    """
    return _write(
        "put_item", table, condition, values, ReturnValues="ALL_OLD", Item=to_item(fields)
    )


def update_item(
    table: str,
    partition: str,
    sort: str,
    expression: str,
    values: Mapping[str, Any],
    *,
    condition: str = "",
    names: Mapping[str, str] | None = None,
) -> dict[str, Any] | None:
    """Change an item, or create it, and return its new fields.

    Writes nothing and returns None if `condition` does not hold.
    """
    return _write(
        "update_item",
        table,
        condition,
        values,
        names,
        Key=key_of(partition, sort),
        UpdateExpression=expression,
        ReturnValues="ALL_NEW",
    )


def delete_item(
    table: str,
    partition: str,
    sort: str,
    *,
    condition: str = "",
    values: Mapping[str, Any] | None = None,
    names: Mapping[str, str] | None = None,
) -> bool:
    """Delete an item if it exists. False if `condition` does not hold."""
    key = key_of(partition, sort)
    return _write("delete_item", table, condition, values, names, Key=key) is not None


def _write(
    operation: str,
    table: str,
    condition: str,
    values: Mapping[str, Any] | None = None,
    names: Mapping[str, str] | None = None,
    **request: Any,
) -> dict[str, Any] | None:
    if condition:
        request["ConditionExpression"] = condition
    if values:
        request["ExpressionAttributeValues"] = to_item(values)
    if names:
        request["ExpressionAttributeNames"] = dict(names)
    db = client("dynamodb")
    try:
        response = getattr(db, operation)(TableName=table, **request)
    except db.exceptions.ConditionalCheckFailedException:
        return None
    return from_item(response.get("Attributes", {}))


def insert_items(table: str, items: Sequence[Mapping[str, Any]]) -> list[str]:
    """Write at most MAX_INSERTS items with different keys, each only if none has its key yet.

    Returns a code for each: "" if it was written, "DuplicateItem" if its key is taken, or
    DynamoDB's code for another failure. This costs as much as single writes, and a transaction
    twice as much.
    """
    statements = []
    for item in map(to_item, items):
        fields = ", ".join(f"'{name}': ?" for name in item)
        statement = f'INSERT INTO "{table}" VALUE {{{fields}}}'
        statements.append({"Statement": statement, "Parameters": list(item.values())})
    answer = client("dynamodb").batch_execute_statement(Statements=statements)
    return [str(each.get("Error", {}).get("Code", "")) for each in answer["Responses"]]


def put_new_items(table: str, items: Sequence[Mapping[str, Any]]) -> list[str]:
    """Write up to 100 items in one transaction: all of them, or none if one exists already.

    Returns [] if they were written, otherwise a code for each item: "ConditionalCheckFailed" if it
    exists, "None" if it is not the cause, or DynamoDB's code for another failure.
    """
    puts = [
        {
            "Put": {
                "TableName": table,
                "Item": to_item(item),
                "ConditionExpression": "attribute_not_exists(pk)",
            }
        }
        for item in items
    ]
    db = client("dynamodb")
    try:
        db.transact_write_items(TransactItems=puts)
    except db.exceptions.TransactionCanceledException as error:
        return [str(reason.get("Code")) for reason in error.response["CancellationReasons"]]
    return []


def query_page(
    table: str,
    partition: str,
    *,
    after: str | None = None,
    limit: int | None = None,
    newest_first: bool = False,
    consistent: bool = False,
) -> tuple[list[dict[str, Any]], str | None]:
    """One page of a partition in the order of the sort keys, or backwards if `newest_first`.

    The page begins after the sort key `after`. Returns the items as plain fields, and the `after`
    of the next page, or None at the end.
    """
    condition, values = "pk = :pk", {":pk": partition}
    if after is not None:
        condition += " AND sk < :after" if newest_first else " AND sk > :after"
        values[":after"] = after
    found = client("dynamodb").query(
        TableName=table,
        KeyConditionExpression=condition,
        ExpressionAttributeValues=to_item(values),
        ScanIndexForward=not newest_first,
        ConsistentRead=consistent,
        **({"Limit": limit} if limit else {}),
    )
    last = found.get("LastEvaluatedKey")
    return [from_item(item) for item in found["Items"]], last["sk"]["S"] if last else None


def query(
    table: str,
    partition: str,
    *,
    after: str | None = None,
    limit: int | None = None,
    consistent: bool = False,
) -> Iterator[dict[str, Any]]:
    """Every item of a partition after `after`, as plain fields, read in pages of `limit`."""
    while True:
        items, after = query_page(table, partition, after=after, limit=limit, consistent=consistent)
        yield from items
        if after is None:
            return
