"""The cloud in memory that tests run against: buckets and the table as `template.yaml` has them.

Call `create_buckets` and `create_table` within moto's `mock_aws`; `cloud_in_memory` does all of it.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from moto import mock_aws

from clickbait import aws

TABLE = "table"


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
def cloud_in_memory(*buckets: str) -> Iterator[None]:
    """The empty table and `buckets`, with clients of their own."""
    with mock_aws():
        aws.forget_clients()
        create_buckets(*buckets)
        create_table()
        yield
    aws.forget_clients()
