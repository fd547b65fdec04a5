"""Bring back what survived a mistake: a stack over the buckets that it left, and deleted images.

`sam delete` keeps the buckets and the table, whose names are fixed. A new deployment cannot create
them, so `recover` imports them into a new stack that has nothing else; `make deploy` adds the rest.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import boto3
from botocore.exceptions import ClientError

from ops import StackError
from ops.target import Target

CHANGE_SET = "recover"
LABELLED = ("train/", "exam/")
"""The folders of labelled images, which keep a deleted image for a week."""


@dataclass(frozen=True)
class Kept:
    """A resource of the template that a deleted stack leaves behind."""

    logical: str
    kind: str
    name_property: str
    name: str
    """The pattern of its name, as the template has it."""
    needed: Mapping[str, Any]
    """Properties that CloudFormation needs to import it; the next deployment sets the others."""


KEPT = (
    *(
        Kept(
            f"{part.capitalize()}Bucket",
            "AWS::S3::Bucket",
            "BucketName",
            f"${{AWS::StackName}}-{part}-${{AWS::AccountId}}-${{AWS::Region}}",
            {},
        )
        for part in ("models", "data", "site")
    ),
    Kept(
        "Table",
        "AWS::DynamoDB::Table",
        "TableName",
        "${AWS::StackName}",
        {
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [
                {"AttributeName": key, "AttributeType": "S"} for key in ("pk", "sk")
            ],
            "KeySchema": [
                {"AttributeName": "pk", "KeyType": "HASH"},
                {"AttributeName": "sk", "KeyType": "RANGE"},
            ],
        },
    ),
)
"""`tests/template` compares them with the template."""


def recover(session: boto3.Session, where: Target) -> list[str]:
    """Create the stack anew with the buckets and the table that exist, and return their names.

    Raises StackError if the stack exists, or if nothing is left of it.
    """
    cloudformation = session.client("cloudformation")
    if _exists(cloudformation, where.stack):
        raise StackError(f"the stack {where.stack} exists: `make deploy` brings it up to date")
    account = session.client("sts").get_caller_identity()["Account"]
    values = {"StackName": where.stack, "AccountId": account, "Region": session.region_name}
    names = {one.logical: _named(one, values) for one in KEPT}
    found = [one for one in KEPT if _is_there(session, one, names[one.logical], account)]
    if not found:
        raise StackError(
            f"nothing is left of {where.stack} in {session.region_name}: `make deploy` creates it"
        )
    change = {"StackName": where.stack, "ChangeSetName": CHANGE_SET}
    cloudformation.create_change_set(
        **change,
        ChangeSetType="IMPORT",
        TemplateBody=json.dumps(_template(found, names)),
        ResourcesToImport=[
            {
                "ResourceType": one.kind,
                "LogicalResourceId": one.logical,
                "ResourceIdentifier": {one.name_property: names[one.logical]},
            }
            for one in found
        ],
    )
    cloudformation.get_waiter("change_set_create_complete").wait(**change)
    cloudformation.execute_change_set(**change)
    cloudformation.get_waiter("stack_import_complete").wait(StackName=where.stack)
    return [names[one.logical] for one in found]


def restore(s3: Any, bucket: str, since: datetime) -> Iterator[str]:
    """Bring back each labelled image that was deleted at `since` or later; yields its key.

    S3 hides a deleted object behind a marker. Without the marker, it is there again, as it was.
    """
    for folder in LABELLED:
        pages = s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=folder)
        for page in pages:
            for marker in page.get("DeleteMarkers", []):
                if marker["IsLatest"] and marker["LastModified"] >= since:
                    s3.delete_object(
                        Bucket=bucket, Key=marker["Key"], VersionId=marker["VersionId"]
                    )
                    yield marker["Key"]


def _template(found: list[Kept], names: Mapping[str, str]) -> dict[str, Any]:
    """A template of the resources to import. CloudFormation requires their DeletionPolicy."""
    return {
        "Resources": {
            one.logical: {
                "Type": one.kind,
                "DeletionPolicy": "Retain",
                "UpdateReplacePolicy": "Retain",
                "Properties": {one.name_property: names[one.logical], **one.needed},
            }
            for one in found
        }
    }


def _named(one: Kept, values: Mapping[str, str]) -> str:
    name = one.name
    for key, value in values.items():
        name = name.replace(f"${{AWS::{key}}}", value)
    return name


def _exists(cloudformation: Any, stack: str) -> bool:
    try:
        cloudformation.describe_stacks(StackName=stack)
    except ClientError as error:
        if "does not exist" in str(error):
            return False
        raise
    return True


def _is_there(session: boto3.Session, one: Kept, name: str, account: str) -> bool:
    try:
        if one.kind == "AWS::S3::Bucket":
            session.client("s3").head_bucket(Bucket=name, ExpectedBucketOwner=account)
        else:
            session.client("dynamodb").describe_table(TableName=name)
    except ClientError as error:
        if error.response["Error"]["Code"] in ("404", "ResourceNotFoundException"):
            return False
        raise
    return True
