"""Calls to AWS: what a fault is called where anybody may read it."""

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError

from clickbait import aws

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
