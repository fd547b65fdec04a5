"""The cloud in memory that tests run against: buckets and the table as `template.yaml` has them.

Call `create_buckets` and `create_table` within moto's `mock_aws`; `cloud_in_memory` does all of it.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import pytest
from moto import mock_aws
from moto.dynamodb.exceptions import ConditionalCheckFailed
from moto.dynamodb.models import DynamoDBBackend

from clickbait import aws

TABLE = "table"

new_client = aws._new_client


def inserted(statement: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The table and the item of an INSERT of `aws.insert_items`."""
    found = re.fullmatch(r'INSERT INTO "(.+)" VALUE \{(.+)\}', statement["Statement"])
    assert found, statement
    names = re.findall(r"'(\w+)': \?", found[2])
    return found[1], dict(zip(names, statement["Parameters"], strict=True))


def _insert_all(backend: Any, statements: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Insert as DynamoDB's BatchExecuteStatement does; moto cannot read its parameters."""
    responses: list[dict[str, Any]] = []
    for table, item in map(inserted, statements):
        try:
            backend.put_item(table, item, condition_expression="attribute_not_exists(pk)")
            responses.append({"TableName": table})
        except ConditionalCheckFailed:
            error = {"Code": "DuplicateItem", "Message": "Duplicate primary key exists in table"}
            responses.append({"TableName": table, "Error": error})
    return responses


DynamoDBBackend.batch_execute_statement = _insert_all  # type: ignore[method-assign]


@cache
def kept_client(service: str, options: str) -> Any:
    """A client that all tests share, because creating one takes as long as a test."""
    return new_client(service, **json.loads(options))


def share_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the test use clients that others have created. Call it within moto's `mock_aws`."""
    monkeypatch.setattr(
        aws,
        "_new_client",
        lambda service, **options: kept_client(service, json.dumps(options, sort_keys=True)),
    )


def create_buckets(*names: str) -> None:
    """Create empty buckets."""
    for name in names:
        aws.client("s3").create_bucket(Bucket=name)


def create_table(name: str = TABLE) -> None:
    """Create the empty table."""
    aws.client("dynamodb").create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in ("pk", "sk")],
        KeySchema=[
            {"AttributeName": "pk", "KeyType": "HASH"},
            {"AttributeName": "sk", "KeyType": "RANGE"},
        ],
    )


@contextmanager
def cloud_in_memory(*buckets: str, sharing: pytest.MonkeyPatch | None = None) -> Iterator[None]:
    """The empty table and `buckets`, with clients of their own, or of all tests if `sharing`."""
    with mock_aws():
        aws.forget_clients()
        if sharing:
            share_clients(sharing)
        create_buckets(*buckets)
        create_table()
        yield
    aws.forget_clients()
