"""`make deploy` builds, deploys, leaves champions alone, prunes old versions, has the image of the
training built and prints the URL."""

import io
import json
import os
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
        outputs = {
            "ApiUrl": API,
            "ModelsBucket": "models",
            "TrainingRepository": "123456789012.dkr.example.org/clickbait-training",
            "TrainingBuild": "clickbait-build",
        }
        found = [{"OutputKey": key, "OutputValue": value} for key, value in outputs.items()]
        return {"Stacks": [{"Outputs": found}]}


class CodeBuild:
    """Notes what was started."""

    def __init__(self) -> None:
        self.started: list[dict[str, str]] = []

    def start_build(self, **asked: str) -> dict:
        self.started.append(asked)
        return {"build": {"id": f"{asked['projectName']}:1"}}


@pytest.fixture
def codebuild():
    return CodeBuild()


@pytest.fixture
def stack(monkeypatch, codebuild):
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
        boto3.client("ecr").create_repository(repositoryName="clickbait-training")
        session = boto3.Session

        class Session(session):
            def client(self, name: str, *more: object, **options: object) -> object:
                if name == "cloudformation":
                    return CloudFormation()
                if name == "codebuild":
                    return codebuild
                return super().client(name, *more, **options)

        monkeypatch.setattr(boto3, "Session", Session)
        yield functions


FILES = {"training/Dockerfile": b"FROM scratch", "training/job.py": b""}


@pytest.fixture
def sam(monkeypatch):
    """Stands in for the tool; the list of what it was called with. The image has two files."""
    calls: list[list[str]] = []
    monkeypatch.setattr(deploy, "image_files", lambda _: FILES)

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
    kept = [found["VersionId"] for found in after if found["Key"] != deploy.SOURCE_KEY]
    assert kept == [found["VersionId"] for found in before]


# --- the training's image ------------------------------------------------------------------------


def pushed(digest: str) -> None:
    """As the template's build leaves the repository."""
    ecr = boto3.client("ecr")
    kind = "application/vnd.docker.distribution.manifest.v2+json"
    image = {"schemaVersion": 2, "mediaType": kind, "config": {"digest": digest}, "layers": []}
    for tag in ("latest", digest):
        ecr.put_image(
            repositoryName="clickbait-training", imageManifest=json.dumps(image), imageTag=tag
        )


def test_the_first_deployment_has_the_image_built_and_says_how_to_see_it(
    stack, sam, codebuild, capsys
):
    assert deploy.main(["--region", "us-east-1", "--parameter-overrides", "Access=public"]) == 0
    newest = boto3.client("s3").head_object(Bucket="models", Key=deploy.SOURCE_KEY)["VersionId"]
    assert codebuild.started == [{"projectName": "clickbait-build", "sourceVersion": newest}]
    *_, building, see, url = capsys.readouterr().out.splitlines()
    assert "clickbait-build:1" in building
    assert see.endswith("aws logs tail /aws/codebuild/clickbait --follow --region us-east-1")
    assert url == API


def test_what_is_built_is_the_files_and_says_which(stack, sam):
    assert deploy.main([]) == 0
    body = boto3.client("s3").get_object(Bucket="models", Key=deploy.SOURCE_KEY)["Body"].read()
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        found = {name: archive.read(name) for name in archive.namelist()}
    assert found == {**FILES, "digest": deploy.digest_of(FILES).encode()}


def test_the_image_is_made_of_training_the_library_and_the_baseline():
    files = deploy.image_files(deploy.ROOT)
    assert {
        "training/Dockerfile",
        "training/job.py",
        "training/requirements.txt",
        "training/baseline/weights.npz",
        "layers/clickbait/python/clickbait/registry.py",
        "layers/baseline/baseline/model.tflite",
    } <= set(files)
    assert sum(map(len, files.values())) < 50e6


def test_everything_that_the_dockerfile_copies_is_there():
    lines = (deploy.ROOT / "training" / "Dockerfile").read_text("utf-8").splitlines()
    copied = [
        source.strip("/")
        for line in lines
        if line.startswith("COPY ") and "--from" not in line
        for source in [word for word in line.split()[1:] if not word.startswith("--")][:-1]
    ]
    assert copied
    files = deploy.image_files(deploy.ROOT)
    for name in copied:
        assert any(file == name or file.startswith(f"{name}/") for file in files), name


def test_an_image_of_these_very_files_is_not_built_again(stack, sam, codebuild, capsys):
    pushed(deploy.digest_of(FILES))
    assert deploy.main([]) == 0
    assert codebuild.started == []
    listed = boto3.client("s3").list_objects_v2(Bucket="models")["Contents"]
    assert [found["Key"] for found in listed] == ["champion.json"]
    assert (
        capsys.readouterr().out.splitlines()[-2] == "the training's image is that of this checkout"
    )


def test_an_image_that_is_not_the_latest_any_more_is_built_again(stack, sam, codebuild):
    """Or a deployment of yesterday's checkout would leave trainings with today's image."""
    pushed(deploy.digest_of(FILES))
    pushed("0" * 64)
    assert deploy.main([]) == 0
    assert len(codebuild.started) == 1


@pytest.fixture
def sources(tmp_path) -> Path:
    for folder in deploy.IMAGE_SOURCES:
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "one.py").write_text("1")
    (tmp_path / "training" / "Dockerfile").write_text("FROM scratch")
    return tmp_path


def test_the_same_files_are_the_same_archive_whenever_and_wherever(sources):
    before = deploy.image_files(sources)
    for file in sources.rglob("*.py"):
        os.utime(file, (0, 0))
    for left_behind in ("training/.venv/bin/python", "training/__pycache__/one.cpython-311.pyc"):
        (sources / left_behind).parent.mkdir(parents=True, exist_ok=True)
        (sources / left_behind).write_text("left behind")
    after = deploy.image_files(sources)
    digest = deploy.digest_of(before)
    assert deploy.digest_of(after) == digest
    assert deploy.archive(before, digest) == deploy.archive(after, digest)


@pytest.mark.parametrize("change", ["content", "name", "more", "less"])
def test_any_change_of_a_file_is_another_image(sources, change):
    before = deploy.digest_of(deploy.image_files(sources))
    file = sources / "training" / "one.py"
    match change:
        case "content":
            file.write_text("2")
        case "name":
            file.rename(file.with_name("other.py"))
        case "more":
            file.with_name("more.py").write_text("")
        case "less":
            file.unlink()
    assert deploy.digest_of(deploy.image_files(sources)) != before


# --- what goes wrong -----------------------------------------------------------------------------


def test_a_failed_build_is_one_line_and_nothing_is_deployed_or_pruned(
    stack, codebuild, monkeypatch, capsys
):
    def failing(command: list[str], **_: object) -> None:
        assert command[1] == "build"
        raise subprocess.CalledProcessError(2, command)

    monkeypatch.setattr(deploy.subprocess, "run", failing)
    monkeypatch.setattr(deploy.shutil, "which", lambda *_, **__: "/tools/sam")
    before = versions(stack)
    assert deploy.main([]) == 1
    assert capsys.readouterr().err == "deploy: `sam build` ended with status 2\n"
    assert versions(stack) == before
    assert codebuild.started == []


def test_a_missing_tool_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr(deploy.shutil, "which", lambda *_, **__: None)
    assert deploy.main([]) == 1
    assert capsys.readouterr().err == "deploy: there is no `sam` here: `make deploy` installs it\n"


def test_a_stack_that_is_not_there_is_one_line(stack, sam, capsys):
    assert deploy.main(["--stack-name", "elsewhere"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("deploy: ") and "elsewhere" in line


def test_a_build_that_cannot_start_is_one_line(stack, sam, codebuild, monkeypatch, capsys):
    def refused(**_: str) -> None:
        said = {
            "Code": "AccountLimitExceededException",
            "Message": "Cannot have more than 1 builds",
        }
        raise ClientError({"Error": said}, "StartBuild")

    monkeypatch.setattr(codebuild, "start_build", refused)
    assert deploy.main([]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("deploy: ") and "Cannot have more than 1 builds" in line
