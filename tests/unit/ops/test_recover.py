"""A deleted stack comes back over its buckets, and deleted images too."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from click.testing import CliRunner
from moto import mock_aws

from ops import StackError
from ops.__main__ import main
from ops.recover import KEPT, recover, restore
from ops.target import Target
from tests.cloud import create_table

WHERE = Target("clickbait")
ACCOUNT = "123456789012"
MODELS, DATA = (f"clickbait-{part}-{ACCOUNT}-us-east-1" for part in ("models", "data"))


@pytest.fixture
def session(monkeypatch):
    """A session whose account has two of the stack's buckets and its table, and no stack."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        found = boto3.Session(region_name="us-east-1")
        for bucket in (MODELS, DATA):
            found.client("s3").create_bucket(Bucket=bucket)
        create_table("clickbait")
        yield found


class Waited:
    """A waiter that does not wait."""

    def wait(self, **_: Any) -> None:
        pass


def stubbed(session: Any, monkeypatch: pytest.MonkeyPatch) -> tuple[Stubber, list[dict[str, Any]]]:
    """CloudFormation that checks requests by AWS's own model, and the change sets so far."""
    cloudformation = session.client("cloudformation")
    sent: list[dict[str, Any]] = []
    cloudformation.meta.events.register(
        "provide-client-params.cloudformation.CreateChangeSet",
        lambda params, **_: sent.append(params),
    )
    monkeypatch.setattr(cloudformation, "get_waiter", lambda _: Waited())
    client = type(session).client
    monkeypatch.setattr(
        type(session),
        "client",
        lambda self, name: cloudformation if name == "cloudformation" else client(self, name),
    )
    return Stubber(cloudformation), sent


def missing(stub: Stubber) -> None:
    message = "Stack with id clickbait does not exist"
    stub.add_client_error("describe_stacks", "ValidationError", message)


def test_the_buckets_and_the_table_that_exist_are_imported(session, monkeypatch):
    stub, sent = stubbed(session, monkeypatch)
    missing(stub)
    stub.add_response("create_change_set", {})
    stub.add_response("execute_change_set", {})
    with stub:
        assert recover(session, WHERE) == [MODELS, DATA, "clickbait"]
    stub.assert_no_pending_responses()
    (change,) = sent
    assert (change["StackName"], change["ChangeSetType"]) == ("clickbait", "IMPORT")
    names = {
        one["LogicalResourceId"]: one["ResourceIdentifier"] for one in change["ResourcesToImport"]
    }
    assert names == {
        "ModelsBucket": {"BucketName": MODELS},
        "DataBucket": {"BucketName": DATA},
        "Table": {"TableName": "clickbait"},
    }
    resources = json.loads(change["TemplateBody"])["Resources"]
    assert set(resources) == set(names)
    assert {it["DeletionPolicy"] for it in resources.values()} == {"Retain"}


def test_a_stack_that_exists_is_left_alone(session, monkeypatch):
    stub, sent = stubbed(session, monkeypatch)
    stack = {
        "StackName": "clickbait",
        "CreationTime": datetime.now(UTC),
        "StackStatus": "CREATE_COMPLETE",
    }
    stub.add_response("describe_stacks", {"Stacks": [stack]})
    with stub, pytest.raises(StackError, match="the stack clickbait exists"):
        recover(session, WHERE)
    assert not sent


def test_nothing_left_is_a_sentence(session, monkeypatch):
    stub, sent = stubbed(session, monkeypatch)
    missing(stub)
    with stub, pytest.raises(StackError, match="nothing is left of other in us-east-1"):
        recover(session, Target("other"))
    assert not sent


def test_the_kept_resources_are_those_that_survive_a_deleted_stack():
    """`tests/template/test_promises.py` compares their names."""
    assert [one.logical for one in KEPT] == ["ModelsBucket", "DataBucket", "SiteBucket", "Table"]


def deleted(s3: Any, key: str) -> None:
    s3.put_object(Bucket=DATA, Key=key, Body=key.encode())
    s3.delete_object(Bucket=DATA, Key=key)


def test_labelled_images_that_were_deleted_since_then_are_back_as_they_were(session):
    s3 = session.client("s3")
    s3.put_bucket_versioning(Bucket=DATA, VersioningConfiguration={"Status": "Enabled"})
    wanted = ["train/clickbait/a b.jpg", "train/legitimate/ü.jpg", "exam/clickbait/c.jpg"]
    for key in (*wanted, "inbox/monday/d.jpg"):
        deleted(s3, key)
    # Deleted and uploaded again: the marker hides nothing.
    deleted(s3, "train/clickbait/again.jpg")
    s3.put_object(Bucket=DATA, Key="train/clickbait/again.jpg", Body=b"new")
    since = datetime.now(UTC) - timedelta(hours=1)
    done = CliRunner().invoke(main, ["restore", DATA, f"{since:%Y-%m-%dT%H:%M}"])
    assert (done.exit_code, done.output.splitlines()) == (0, [*wanted, "3 images are back."])
    listed = s3.list_objects_v2(Bucket=DATA)["Contents"]
    assert {one["Key"] for one in listed} == {*wanted, "train/clickbait/again.jpg"}
    for key in wanted:
        assert s3.get_object(Bucket=DATA, Key=key)["Body"].read() == key.encode()


def test_an_image_that_was_deleted_before_stays_deleted(session):
    s3 = session.client("s3")
    s3.put_bucket_versioning(Bucket=DATA, VersioningConfiguration={"Status": "Enabled"})
    deleted(s3, "train/clickbait/old.jpg")
    assert list(restore(s3, DATA, datetime.now(UTC) + timedelta(minutes=1))) == []
