"""`make deploy` builds and deploys, uploads the page, deletes old versions, has the training image
built, prints the addresses, and never touches a champion."""

import io
import json
import os
import subprocess
import zipfile
from pathlib import Path
from typing import ClassVar

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError
from moto import mock_aws

from ops import StackError, deploy, image, service
from ops.__main__ import main
from ops.pages import ASK_FIRST, FOR_EVER, PageFile
from tests.cloud import create_table

API = "https://api.example.org"
SITE = "https://page.example.org"


def package(content: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("app.py", content)
    return file.getvalue()


class CloudFormation:
    """A stand-in for the client: one stack, its resources in two pages."""

    page_missing = False
    protected: ClassVar[list[str]] = []

    def update_termination_protection(self, StackName: str, EnableTerminationProtection: bool):
        assert EnableTerminationProtection
        self.protected.append(StackName)

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
            "SiteUrl": SITE,
            "SiteBucket": "site",
            "AdminSecret": "arn:secret",
            "ModelsBucket": "models",
            "Table": "clickbait",
            "TrainingRepository": "123456789012.dkr.example.org/clickbait-training",
            "TrainingBuild": "clickbait-build",
        }
        if self.page_missing:
            del outputs["SiteUrl"], outputs["SiteBucket"]
        found = [{"OutputKey": key, "OutputValue": value} for key, value in outputs.items()]
        given = {"Access": "public", "PredictAccess": "keys", "AlarmEmail": ""}
        asked = [{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()]
        return {"Stacks": [{"Outputs": found, "Parameters": asked}]}


class CodeBuild:
    """Records the builds that were started."""

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
        s3.create_bucket(Bucket="site")
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
        create_table("clickbait")
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


PAGE = {
    "assets/index-1.css": PageFile(b"p {}", "text/css", FOR_EVER),
    "assets/index-1.js": PageFile(b"run()", "text/javascript", FOR_EVER),
    "index.html": PageFile(b"<!doctype html>", "text/html", ASK_FIRST),
    "robots.txt": PageFile(b"User-agent: *", "text/plain", ASK_FIRST),
}


class Tools:
    """A stand-in for the tools: records each call with its folder and environment."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, node: str = "v22.12.0\n") -> None:
        self.node = node
        self.called: list[list[str]] = []
        self.folders: list[Path] = []
        self.environments: list[dict[str, str]] = []
        self.missing: set[str] = set()
        self.failing: list[str] = []
        monkeypatch.setattr(deploy.subprocess, "run", self.run)
        monkeypatch.setattr(deploy.shutil, "which", self.which)
        monkeypatch.setattr(deploy.pages, "read", lambda _: dict(PAGE))

    def which(self, name: str, path: str | None = None) -> str | None:
        return None if name in self.missing else f"/tools/{name}"

    def run(self, command: list[str], **options) -> "subprocess.CompletedProcess[str]":
        if command == ["/tools/node", "--version"]:
            return subprocess.CompletedProcess(command, 0, stdout=self.node)
        self.called.append(command)
        self.folders.append(options["cwd"])
        self.environments.append(dict(options["env"]))
        if self.failing and command[1 : 1 + len(self.failing)] == self.failing:
            return subprocess.CompletedProcess(command, 2)
        return subprocess.CompletedProcess(command, 0)


def run(arguments: list[str]) -> int:
    """The exit status of `make deploy` with these arguments."""
    with pytest.raises(SystemExit) as ended:
        main(["deploy", *arguments])
    return ended.value.code


@pytest.fixture
def tools(monkeypatch) -> Tools:
    """The tools of a deployment. The page has four files, the image two, and the service works."""
    monkeypatch.setattr(service, "check", lambda api, sample: None)
    monkeypatch.setattr(image, "files", lambda _: FILES)
    return Tools(monkeypatch)


def versions(functions) -> list[str]:
    found = functions.list_versions_by_function(FunctionName="predict")["Versions"]
    return sorted(version["Version"] for version in found)


def test_the_two_newest_versions_stay(stack):
    before = [version for version in versions(stack) if version != "$LATEST"]
    deleted = deploy.prune(stack, "predict")
    assert deleted == before[:-2]
    assert versions(stack) == ["$LATEST", *before[-2:]]


def test_a_version_that_an_alias_points_to_stays(stack):
    stack.create_alias(FunctionName="predict", Name="live", FunctionVersion="2")
    assert "2" not in deploy.prune(stack, "predict")
    assert "2" in versions(stack)


class MidDeployment:
    """A stand-in for Lambda's client while traffic moves from version 1 to 2."""

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


def test_a_version_that_gets_only_a_part_of_the_traffic_stays():
    functions = MidDeployment()
    deploy.prune(functions, "predict")
    assert functions.deleted == ["4", "8"]


def test_a_deployment_builds_deploys_prunes_and_prints_the_urls(stack, tools, capsys):
    assert run(["--parameter-overrides", "SnapStart=PublishedVersions"]) == 0
    *page, build, deployment = tools.called
    assert page == [["/tools/npm", "ci"], ["/tools/npm", "run", "build"]]
    assert build == ["/tools/sam", "build"]
    assert deployment[1:] == [
        *("deploy", "--parameter-overrides", "SnapStart=PublishedVersions"),
        *("--tags", "project=clickbait-classifier stack=clickbait"),
    ]
    frontend = deploy.ROOT / "frontend"
    assert tools.folders == [frontend, frontend, deploy.ROOT, deploy.ROOT]
    assert len(versions(stack)) == 3
    lines = capsys.readouterr().out.splitlines()
    assert f"API:   {API}" in lines and f"Page:  {SITE}" in lines


def test_the_options_of_the_outer_make_do_not_reach_the_inner_ones(stack, tools, monkeypatch):
    monkeypatch.setenv("MAKEFLAGS", "-j8")
    monkeypatch.setenv("KEPT", "yes")
    assert run([]) == 0
    for environment in tools.environments:
        assert "MAKEFLAGS" not in environment and environment["KEPT"] == "yes"


def test_a_deployment_prints_how_to_get_the_admin_token(stack, tools, capsys):
    assert run(["--region", "us-east-1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    (at,) = [i for i, line in enumerate(lines) if f"{SITE}/#token=TOKEN" in line]
    assert lines[at + 1].endswith(
        "aws secretsmanager get-secret-value --secret-id arn:secret --query SecretString "
        "--output text --region us-east-1"
    )


def test_a_deployment_never_touches_an_existing_champion(stack, tools):
    s3 = boto3.client("s3")
    before = s3.list_object_versions(Bucket="models")["Versions"]
    assert run([]) == 0
    after = s3.list_object_versions(Bucket="models")["Versions"]
    kept = [found["VersionId"] for found in after if found["Key"] != image.SOURCE_KEY]
    assert kept == [found["VersionId"] for found in before]


# --- the page ------------------------------------------------------------------------------------


def test_the_page_lies_in_its_bucket_each_file_with_its_type_and_its_time_to_live(stack, tools):
    assert run([]) == 0
    s3 = boto3.client("s3")
    listed = [found["Key"] for found in s3.list_objects_v2(Bucket="site")["Contents"]]
    assert listed == sorted([*PAGE, "config.json"])
    for name, file in PAGE.items():
        found = s3.get_object(Bucket="site", Key=name)
        assert found["Body"].read() == file.content
        assert (found["ContentType"], found["CacheControl"]) == (file.type, file.cache), name


def test_the_page_gets_the_address_and_the_access_of_its_own_stack(stack, tools):
    assert run([]) == 0
    found = boto3.client("s3").get_object(Bucket="site", Key="config.json")
    assert json.load(found["Body"]) == {
        "api": API,
        "access": "public",
        "stack": "clickbait",
        "predictions": "keys",
    }
    assert (found["ContentType"], found["CacheControl"]) == ("application/json", ASK_FIRST)


class Uploads:
    """Records the order of the uploads."""

    def __init__(self) -> None:
        self.keys: list[str] = []

    def put_object(self, Key: str, **_: object) -> None:
        self.keys.append(Key)


def test_a_file_is_uploaded_after_the_files_that_it_refers_to():
    """Otherwise a browser that loads the page at that moment gets parts of both."""
    uploads = Uploads()
    page = PAGE | {"config.json": PageFile(b"{}", "application/json", ASK_FIRST)}
    deploy.upload_page(uploads, "site", page)
    assert uploads.keys == [
        *("assets/index-1.css", "assets/index-1.js"),
        *("config.json", "robots.txt"),
        "index.html",
    ]


def test_a_page_that_is_open_still_finds_its_own_assets(stack, tools):
    s3 = boto3.client("s3")
    s3.put_object(Bucket="site", Key="assets/index-0.js", Body=b"former()")
    assert run([]) == 0
    assert s3.get_object(Bucket="site", Key="assets/index-0.js")["Body"].read() == b"former()"


# --- the training's image -------------------------------------------------------------------------


def pushed(digest: str) -> None:
    """Push an image as the template's build does."""
    ecr = boto3.client("ecr")
    kind = "application/vnd.docker.distribution.manifest.v2+json"
    image = {"schemaVersion": 2, "mediaType": kind, "config": {"digest": digest}, "layers": []}
    for tag in ("latest", digest):
        ecr.put_image(
            repositoryName="clickbait-training", imageManifest=json.dumps(image), imageTag=tag
        )


def test_the_first_deployment_has_the_image_built_and_prints_how_to_follow_it(
    stack, tools, codebuild, capsys
):
    assert run(["--region", "us-east-1", "--parameter-overrides", "Access=public"]) == 0
    newest = boto3.client("s3").head_object(Bucket="models", Key=image.SOURCE_KEY)["VersionId"]
    assert codebuild.started == [{"projectName": "clickbait-build", "sourceVersion": newest}]
    *_, building, follow = capsys.readouterr().out.splitlines()
    assert "clickbait-build:1" in building
    assert follow.endswith("aws logs tail /aws/codebuild/clickbait --follow --region us-east-1")


def test_the_build_gets_the_files_and_their_digest(stack, tools):
    assert run([]) == 0
    body = boto3.client("s3").get_object(Bucket="models", Key=image.SOURCE_KEY)["Body"].read()
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        found = {name: archive.read(name) for name in archive.namelist()}
    assert found == {**FILES, "digest": image.digest_of(FILES).encode()}


def test_an_image_of_the_same_files_is_not_built_again(stack, tools, codebuild, capsys):
    pushed(image.digest_of(FILES))
    assert run([]) == 0
    assert codebuild.started == []
    listed = boto3.client("s3").list_objects_v2(Bucket="models")["Contents"]
    assert [found["Key"] for found in listed] == ["champion.json"]
    assert "The training image is up to date." in capsys.readouterr().out.splitlines()


def test_an_image_that_is_no_longer_the_latest_is_built_again(stack, tools, codebuild):
    """Otherwise trainings keep today's image after a deployment of yesterday's checkout."""
    pushed(image.digest_of(FILES))
    pushed("0" * 64)
    assert run([]) == 0
    assert len(codebuild.started) == 1


# --- what goes wrong -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("failing", "command"),
    [
        (["ci"], "npm ci"),
        (["run", "build"], "npm run build"),
        (["build"], "sam build"),
        (["deploy"], "sam deploy"),
    ],
)
def test_a_failed_step_is_one_line_and_nothing_after_it_is_done(
    stack, tools, codebuild, capsys, failing, command
):
    tools.failing = failing
    before = versions(stack)
    assert run([]) == 1
    assert capsys.readouterr().err == f"deploy: `{command}` failed with status 2\n"
    assert tools.called[-1][1 : 1 + len(failing)] == failing
    assert versions(stack) == before
    assert "Contents" not in boto3.client("s3").list_objects_v2(Bucket="site")
    assert codebuild.started == []


def test_a_missing_sam_is_one_line(stack, tools, capsys):
    tools.missing = {"sam"}
    assert run([]) == 1
    assert capsys.readouterr().err == "deploy: `sam` is not installed: `make deploy` installs it\n"


OLDEST = json.loads((deploy.ROOT / "frontend" / "package.json").read_text("utf-8"))["engines"][
    "node"
].removeprefix(">=")


@pytest.mark.parametrize(
    ("missing", "node"), [("node", ""), ("npm", "v100.0.0"), ("", "v9.99.0"), ("", "v18.19.0")]
)
def test_without_a_new_enough_node_nothing_starts_and_one_line_says_why(
    stack, tools, capsys, missing, node
):
    tools.missing, tools.node = {missing}, node
    assert run([]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        f"deploy: the page needs Node {OLDEST} or newer with npm; "
        "on Debian 13 or newer: apt-get install nodejs npm"
    )
    assert tools.called == []


@pytest.mark.parametrize("node", [f"v{OLDEST}", f"v{OLDEST}.1", "v100.0.0"])
def test_a_new_enough_node_builds_the_page(tools, node):
    tools.node = node
    assert deploy.build_page() == PAGE


def test_a_stack_that_is_not_there_is_one_line(stack, tools, capsys):
    assert run(["--stack-name", "elsewhere"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("deploy: ") and "elsewhere" in line


def test_a_build_that_cannot_start_is_a_warning_because_the_service_runs(
    stack, tools, codebuild, monkeypatch, capsys
):
    def refused(**_: str) -> None:
        reason = {
            "Code": "AccountLimitExceededException",
            "Message": "Cannot have more than 1 builds",
        }
        raise ClientError({"Error": reason}, "StartBuild")

    monkeypatch.setattr(codebuild, "start_build", refused)
    assert run([]) == 0
    *_, page, _, warning, advice = capsys.readouterr().out.splitlines()
    assert page == f"Page:  {SITE}"
    assert warning.startswith("Warning: ") and "Cannot have more than 1 builds" in warning
    assert "run the same command again" in advice


def test_an_address_of_aws_that_is_out_of_reach_is_a_warning_too(
    stack, tools, codebuild, monkeypatch, capsys
):
    def unreachable(**_: str) -> None:
        raise EndpointConnectionError(endpoint_url="https://codebuild.example.org")

    monkeypatch.setattr(codebuild, "start_build", unreachable)
    assert run([]) == 0
    assert "Warning: the training image is not being built: Could not connect" in (
        capsys.readouterr().out
    )


def refusal(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": f"You may not: {code}"}}, "It")


def test_versions_that_cannot_be_deleted_are_a_warning_because_the_new_ones_serve(
    stack, tools, monkeypatch, capsys
):
    def refused(*_: object) -> None:
        raise refusal("AccessDeniedException")

    monkeypatch.setattr(deploy, "prune", refused)
    assert run([]) == 0
    printed = capsys.readouterr().out
    assert "Warning: old versions of functions are not deleted: " in printed
    assert f"API:   {API}" in printed.splitlines()


@pytest.mark.parametrize("error", [NoCredentialsError(), refusal("ExpiredToken")])
def test_without_valid_credentials_nothing_is_built(stack, tools, monkeypatch, capsys, error):
    class Sts:
        def get_caller_identity(self) -> None:
            raise error

    class Session(boto3.Session):
        def client(self, name: str, *more: object, **options: object) -> object:
            return Sts() if name == "sts" else super().client(name, *more, **options)

    monkeypatch.setattr(boto3, "Session", Session)
    assert run([]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"deploy: {error}"
    assert tools.called == []


def test_a_stack_that_may_not_be_protected_is_one_line(stack, tools, monkeypatch, capsys):
    def refused(*_: object, **__: object) -> None:
        raise refusal("AccessDenied")

    monkeypatch.setattr(CloudFormation, "update_termination_protection", refused)
    assert run([]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"deploy: {refusal('AccessDenied')}"


def test_a_service_that_does_not_work_fails_the_deployment_but_its_addresses_are_printed(
    stack, tools, monkeypatch, capsys
):
    def broken(api: str, sample: bytes) -> None:
        raise StackError(f"GET {api}/status failed")

    monkeypatch.setattr(service, "check", broken)
    assert run([]) == 1
    printed = capsys.readouterr()
    assert printed.err == f"deploy: GET {API}/status failed\n"
    assert f"API:   {API}" in printed.out.splitlines()


def test_a_deployment_protects_the_stack_and_its_table(stack, tools):
    CloudFormation.protected.clear()
    assert run([]) == 0
    assert CloudFormation.protected == ["clickbait"]
    table = boto3.client("dynamodb").describe_table(TableName="clickbait")["Table"]
    assert table["DeletionProtectionEnabled"] is True


def test_a_stack_without_a_page_is_deployed_too(stack, tools, monkeypatch, capsys):
    monkeypatch.setattr(CloudFormation, "page_missing", True)
    assert run([]) == 0
    assert "Page:  none (Page=none)" in capsys.readouterr().out
    assert "Contents" not in boto3.client("s3").list_objects_v2(Bucket="site")


def test_a_deployment_warns_if_alarms_reach_nobody(stack, tools, capsys):
    assert run([]) == 0
    assert "Warning: no alarm reaches anybody." in capsys.readouterr().out


@pytest.mark.parametrize("name", ["Clickbait", "a" * 29, "ab", "1st", "click_bait", "ä-stack"])
def test_a_stack_name_that_buckets_cannot_have_is_refused_before_anything_is_built(
    stack, tools, capsys, name
):
    assert run(["--stack-name", name]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"deploy: the stack name {name!r} does not fit: use 3 to 28")
    assert tools.called == []


def test_a_missing_region_is_a_sentence_before_anything_is_built(stack, tools, monkeypatch, capsys):
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    assert run([]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("deploy: no region is chosen: give --region")
    assert tools.called == []
