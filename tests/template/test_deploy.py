"""`make deploy` builds, deploys, leaves champions alone, prunes old versions and prints the URL."""

import io
import subprocess
import zipfile
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

import deploy

API = "https://api.example.org"


def package(content: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("app.py", content)
    return file.getvalue()


class CloudFormation:
    """One stack; the real client's answers, in two pages."""

    def get_paginator(self, name: str) -> "CloudFormation":
        assert name == "list_stack_resources"
        return self

    def paginate(self, StackName: str) -> list[dict]:
        self.describe_stacks(StackName)
        resources = {"ModelsBucket": "AWS::S3::Bucket", "predict": "AWS::Lambda::Function"}
        return [
            {"StackResourceSummaries": [{"ResourceType": kind, "PhysicalResourceId": name}]}
            for name, kind in resources.items()
        ]

    def describe_stacks(self, StackName: str) -> dict:
        if StackName != "clickbait":
            missing = {"Code": "ValidationError", "Message": f"Stack {StackName} does not exist"}
            raise ClientError({"Error": missing}, "DescribeStacks")
        return {"Stacks": [{"Outputs": [{"OutputKey": "ApiUrl", "OutputValue": API}]}]}


@pytest.fixture
def stack(monkeypatch):
    """Lambda's client; the deployed stack has six versions of its function, and a champion."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    with mock_aws():
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket="models")
        s3.put_bucket_versioning(Bucket="models", VersioningConfiguration={"Status": "Enabled"})
        s3.put_object(Bucket="models", Key="champion.json", Body=b'{"version": "1"}')
        role = boto3.client("iam").create_role(RoleName="it", AssumeRolePolicyDocument="{}")
        functions = boto3.client("lambda")
        functions.create_function(
            FunctionName="predict",
            Role=role["Role"]["Arn"],
            Runtime="python3.13",
            Handler="app.handler",
            Code={"ZipFile": package("")},
        )
        for number in range(6):
            functions.update_function_code(
                FunctionName="predict", ZipFile=package(str(number)), Publish=True
            )
        session = boto3.Session

        class Session(session):
            def client(self, name: str, *more: object, **options: object) -> object:
                if name == "cloudformation":
                    return CloudFormation()
                return super().client(name, *more, **options)

        monkeypatch.setattr(boto3, "Session", Session)
        yield functions


@pytest.fixture
def sam(monkeypatch):
    """Stands in for the tool; the list of what it was called with."""
    calls: list[list[str]] = []

    def called(command: list[str], **_: object) -> None:
        calls.append(command)

    monkeypatch.setattr(deploy.subprocess, "run", called)
    monkeypatch.setattr(deploy.shutil, "which", lambda *_, **__: "/tools/sam")
    return calls


def versions(functions) -> list[str]:
    found = functions.list_versions_by_function(FunctionName="predict")["Versions"]
    return sorted(version["Version"] for version in found)


def test_the_three_newest_versions_stay(stack):
    before = [version for version in versions(stack) if version != "$LATEST"]
    deleted = deploy.prune(stack, "predict")
    assert deleted == before[:-3]
    assert versions(stack) == ["$LATEST", *before[-3:]]


def test_a_version_that_an_alias_points_to_stays(stack):
    stack.create_alias(FunctionName="predict", Name="live", FunctionVersion="2")
    assert "2" not in deploy.prune(stack, "predict")
    assert "2" in versions(stack)


class MidDeployment:
    """Lambda's client as it answers while traffic moves from version 1 to 9."""

    def __init__(self) -> None:
        self.deleted: list[str] = []

    def get_paginator(self, name: str) -> "MidDeployment":
        self.asked = name
        return self

    def paginate(self, FunctionName: str) -> list[dict]:
        if self.asked == "list_aliases":
            weights = {"AdditionalVersionWeights": {"2": 0.1}}
            return [
                {"Aliases": [{"FunctionVersion": "1", "RoutingConfig": weights}]},
                {"Aliases": [{"FunctionVersion": "3"}]},
            ]
        pages = [["$LATEST", "1", "2", "10"], ["3", "4", "8", "9"]]
        return [{"Versions": [{"Version": version} for version in page]} for page in pages]

    def delete_function(self, FunctionName: str, Qualifier: str) -> None:
        self.deleted.append(Qualifier)


def test_a_version_that_gets_but_a_part_of_the_traffic_stays():
    functions = MidDeployment()
    deploy.prune(functions, "predict")
    assert functions.deleted == ["4"]


def test_a_deployment_builds_deploys_prunes_and_prints_the_url(stack, sam, capsys):
    assert deploy.main(["--parameter-overrides", "SnapStart=PublishedVersions"]) == 0
    build, deployment = sam
    assert build == ["/tools/sam", "build"]
    assert deployment[1:] == [
        *("deploy", "--stack-name", "clickbait"),
        *("--parameter-overrides", "SnapStart=PublishedVersions"),
    ]
    assert len(versions(stack)) == 4
    assert capsys.readouterr().out.splitlines()[-1] == API


def test_a_deployment_never_touches_an_existing_champion(stack, sam):
    s3 = boto3.client("s3")
    before = s3.list_object_versions(Bucket="models")["Versions"]
    assert deploy.main([]) == 0
    after = s3.list_object_versions(Bucket="models")["Versions"]
    assert [found["VersionId"] for found in after] == [found["VersionId"] for found in before]
    assert "s3" not in Path(deploy.__file__).read_text("utf-8").lower()


def test_a_failed_build_is_one_line_and_nothing_is_deployed_or_pruned(stack, monkeypatch, capsys):
    def failing(command: list[str], **_: object) -> None:
        assert command[1] == "build"
        raise subprocess.CalledProcessError(2, command)

    monkeypatch.setattr(deploy.subprocess, "run", failing)
    monkeypatch.setattr(deploy.shutil, "which", lambda *_, **__: "/tools/sam")
    before = versions(stack)
    assert deploy.main([]) == 1
    assert capsys.readouterr().err == "deploy: `sam build` ended with status 2\n"
    assert versions(stack) == before


def test_a_missing_tool_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr(deploy.shutil, "which", lambda *_, **__: None)
    assert deploy.main([]) == 1
    assert capsys.readouterr().err == "deploy: there is no `sam` here: `make deploy` installs it\n"


def test_a_stack_that_is_not_there_is_one_line(stack, sam, capsys):
    assert deploy.main(["--stack-name", "elsewhere"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("deploy: ") and "elsewhere" in line
