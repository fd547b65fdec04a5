"""Calls to AWS: what a fault is called where anybody may read it."""

import sys
from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
)

from clickbait import aws
from clickbait.errors import Unavailable

DENIED = ClientError(
    {
        "Error": {
            "Code": "AccessDenied",
            "Message": "User: arn:aws:sts::123456789012:assumed-role/clickbait-PredictRole/x is "
            "not authorized to perform: s3:GetObject on resource: arn:aws:s3:::clickbait-models",
        }
    },
    "GetObject",
)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            DENIED,
            "AccessDenied: User: (hidden) is not authorized to perform: s3:GetObject on "
            "resource: (hidden)",
        ),
        (ClientError({"Error": {"Code": "503"}}, "GetObject"), "503"),
        (EndpointConnectionError(endpoint_url="https://bucket.s3"), "EndpointConnectionError"),
        (NoCredentialsError(), "NoCredentialsError"),
        (ValueError("no image"), "ValueError: no image"),
    ],
)
def test_a_fault_in_words_names_no_account_role_bucket_or_host(error, expected):
    assert aws.reason(error) == expected


def refusal(code: str, status: int) -> ClientError:
    answer = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "GetObject")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (refusal("SlowDown", 503), True),
        (refusal("InternalError", 500), True),
        (refusal("ProvisionedThroughputExceededException", 400), True),
        (refusal("ThrottlingException", 400), True),
        (EndpointConnectionError(endpoint_url="https://bucket.s3"), True),
        (ReadTimeoutError(endpoint_url="https://bucket.s3"), True),
        (Unavailable("The table is busy."), True),
        (refusal("AccessDenied", 403), False),
        (refusal("NoSuchBucket", 404), False),
        (NoCredentialsError(), False),
        (ValueError("no image"), False),
    ],
)
def test_an_outage_is_what_may_be_over_later(error, expected):
    assert aws.is_outage(error) is expected
    outer = Unavailable("Reading failed.")
    outer.__cause__ = error
    assert aws.is_outage(outer) is expected


def test_nothing_is_an_outage_of_a_server_without_botocore(monkeypatch):
    monkeypatch.setitem(sys.modules, "botocore", None)
    monkeypatch.delitem(sys.modules, "botocore")
    monkeypatch.setitem(sys.modules, "botocore.exceptions", None)  # An import would fail.
    assert not aws.is_outage(ValueError("a fault"))


class Busy:
    """A table that reads one key at a time, and in the first `busy` calls none."""

    def __init__(self, busy: int) -> None:
        self.busy = busy
        self.calls = 0

    def batch_get_item(self, RequestItems: dict[str, Any]) -> dict[str, Any]:
        self.calls += 1
        keys = RequestItems["t"]["Keys"]
        read = 0 if self.calls <= self.busy else 1
        left = {"t": {"Keys": keys[read:]}} if keys[read:] else {}
        return {"Responses": {"t": keys[:read]}, "UnprocessedKeys": left}


def test_items_that_a_busy_table_left_out_are_read_again(monkeypatch):
    monkeypatch.setattr(aws, "BUSY_SECONDS", 0.0)
    monkeypatch.setattr(aws, "client", {"dynamodb": Busy(1)}.__getitem__)
    assert list(aws.get_items("t", "p", ["b", "a", "b"])) == ["a", "b"]


def test_a_table_that_stays_busy_is_unavailable(monkeypatch):
    monkeypatch.setattr(aws, "BUSY_SECONDS", 0.0)
    monkeypatch.setattr(aws, "client", {"dynamodb": Busy(99)}.__getitem__)
    with pytest.raises(Unavailable, match="busy"):
        aws.get_items("t", "p", ["a"])
