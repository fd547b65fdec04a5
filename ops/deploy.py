"""Deploy to AWS: the stack, its page and the image that trains; then delete old function versions.

A deployment never reads or changes the champion: the live model of a stack stays live.
"""

import hashlib
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import boto3

from ops import StackError, pages
from ops.archive import zipped

ROOT = Path(__file__).resolve().parents[1]

KEPT_VERSIONS = 3
"""The newest versions of a function that stay, beside those in use: two to go back to.

With SnapStart each costs about $6.7 a month (1,769 MB of cached snapshot)."""

SOURCE_KEY = "build/source.zip"
"""The object of the models bucket that the template's build reads; its role can read no other."""

IMAGE_SOURCES = ("training", "layers/clickbait/python", "layers/baseline/baseline")
"""The folders that training/Dockerfile may copy from, without hidden files and Python's cache."""

NOT_IN_IMAGE = "training/students"
"""This folder stays out of the image: no training reads its 7 MB. Dockerfile.dockerignore names it
as well."""


def deploy(
    stack: str | None, region: str | None, profile: str | None, sam_options: Sequence[str]
) -> None:
    """Deploy the stack (None: that of samconfig.toml) and report each step on standard output.

    Raises StackError, BotoCoreError or ClientError at the first step that fails.
    """
    stack = stack or _configured_stack()
    account = {"--region": region, "--profile": profile}
    account_options = [word for flag, value in account.items() if value for word in (flag, value)]
    page = build_page()
    _sam("build")
    _sam("deploy", "--stack-name", stack, *account_options, *sam_options)
    session = boto3.Session(profile_name=profile, region_name=region)
    cloudformation = session.client("cloudformation")
    outputs = outputs_of(cloudformation, stack)
    page[pages.CONFIG] = pages.config(outputs["ApiUrl"], access_of(cloudformation, stack), stack)
    upload_page(session.client("s3"), outputs["SiteBucket"], page)
    for function in functions_of(cloudformation, stack):
        for version in prune(session.client("lambda"), function):
            print(f"Deleted version {version} of {function}.")
    if build := build_image(session, outputs, image_files(ROOT)):
        follow = ["aws", "logs", "tail", f"/aws/codebuild/{stack}", "--follow", *account_options]
        print(f"Building the training image, which takes some minutes: {build}")
        print(f"Follow the build with: {' '.join(follow)}")
    else:
        print("The training image is up to date.")
    token = ["aws", "secretsmanager", "get-secret-value", "--secret-id", outputs["AdminSecret"]]
    token += ["--query", "SecretString", "--output", "text", *account_options]
    print(f"Admin: {outputs['SiteUrl']}/#token=TOKEN, with the token that this prints:")
    print(f"       {' '.join(token)}")
    print(f"API:   {outputs['ApiUrl']}")
    print(f"Page:  {outputs['SiteUrl']}")


def build_page() -> dict[str, pages.PageFile]:
    """Build the page with the locked packages; return its files.

    Raises StackError if Node or npm is missing or too old, or if one fails.
    """
    npm, node = shutil.which("npm"), shutil.which("node")
    frontend = ROOT / "frontend"
    needed = json.loads((frontend / "package.json").read_text("utf-8"))["engines"]["node"]
    if npm is None or node is None or _version(node) < _numbers(needed):
        raise StackError(
            f"the page needs Node {needed.removeprefix('>=')} or newer with npm; "
            "on Debian 13 or newer: apt-get install nodejs npm"
        )
    _run([npm, "ci"], frontend, os.environ)
    _run([npm, "run", "build"], frontend, os.environ)
    return pages.read(frontend / "dist")


def upload_page(s3: Any, bucket: str, files: Mapping[str, pages.PageFile]) -> None:
    """Put a page's files into its bucket, each after the files that it refers to.

    The assets of former pages stay, because a page that is open in a browser still loads some of
    its own. They are some hundred KB, so a thousand deployments cost a cent a month.
    """

    def order(name: str) -> tuple[bool, bool, str]:
        """Assets first, then other files, and last the index, which refers to them."""
        return name == pages.INDEX, not name.startswith(pages.ASSETS), name

    for name in sorted(files, key=order):
        file = files[name]
        headers = {"ContentType": file.type, "CacheControl": file.cache}
        s3.put_object(Bucket=bucket, Key=name, Body=file.content, **headers)


def functions_of(cloudformation: Any, stack: str) -> Iterator[str]:
    """The names of the stack's functions."""
    for page in cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack):
        for resource in page["StackResourceSummaries"]:
            if resource["ResourceType"] == "AWS::Lambda::Function":
                yield resource["PhysicalResourceId"]


def prune(functions: Any, name: str) -> list[str]:
    """Delete a function's old versions and return them; SAM keeps every version that it replaces.

    The KEPT_VERSIONS newest stay, and each to which an alias sends all or a part of its traffic.
    """
    listed = functions.get_paginator("list_versions_by_function").paginate(FunctionName=name)
    versions = [version["Version"] for page in listed for version in page["Versions"]]
    numbered = sorted((version for version in versions if version != "$LATEST"), key=int)
    keep = {*numbered[-KEPT_VERSIONS:], *_in_use(functions, name)}
    old = [version for version in numbered if version not in keep]
    for version in old:
        functions.delete_function(FunctionName=name, Qualifier=version)
    return old


def outputs_of(cloudformation: Any, stack: str) -> dict[str, str]:
    """The stack's outputs by name."""
    outputs = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]["Outputs"]
    return {output["OutputKey"]: str(output["OutputValue"]) for output in outputs}


def access_of(cloudformation: Any, stack: str) -> str:
    """The stack's parameter Access: whether members are everybody or only the admin."""
    parameters = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]["Parameters"]
    (access,) = (it["ParameterValue"] for it in parameters if it["ParameterKey"] == "Access")
    return str(access)


def build_image(session: Any, outputs: Mapping[str, str], files: Mapping[str, bytes]) -> str | None:
    """Start the build of an image of `files`; return its id, or None if `latest` is that image.

    The build tags its image with the digest of the files. A failed build leaves no tag, so the next
    deployment tries again.
    """
    digest = digest_of(files)
    if digest in _tags_of_latest(session.client("ecr"), outputs["TrainingRepository"]):
        return None
    upload = session.client("s3").put_object(
        Bucket=outputs["ModelsBucket"], Key=SOURCE_KEY, Body=archive(files, digest)
    )
    started = session.client("codebuild").start_build(
        projectName=outputs["TrainingBuild"], sourceVersion=upload["VersionId"]
    )
    return str(started["build"]["id"])


def image_files(root: Path) -> dict[str, bytes]:
    """The files of the training image, sorted by their path below `root`."""
    found = (file for source in IMAGE_SOURCES for file in _visible(root / source))
    files = (file for file in found if not file.is_relative_to(root / NOT_IN_IMAGE))
    return {file.relative_to(root).as_posix(): file.read_bytes() for file in sorted(files)}


def digest_of(files: Mapping[str, bytes]) -> str:
    """SHA-256 of the files' names and contents; an archive's times and modes do not count."""
    lines = (f"{name}\0{hashlib.sha256(content).hexdigest()}\n" for name, content in files.items())
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def archive(files: Mapping[str, bytes], digest: str) -> bytes:
    """A zip of the files, with their digest as the file that the template's build reads."""
    return zipped({**files, "digest": digest.encode()})


def _tags_of_latest(ecr: Any, uri: str) -> list[str]:
    """All tags of the image that trainings use; none before the first build."""
    repository = uri.partition("/")[2]
    try:
        images = ecr.describe_images(repositoryName=repository, imageIds=[{"imageTag": "latest"}])
    except ecr.exceptions.ImageNotFoundException:
        return []
    return list(images["imageDetails"][0].get("imageTags", []))


def _visible(folder: Path) -> Iterator[Path]:
    """The files below a folder, without hidden ones (such as an environment) and Python's cache."""
    for path in folder.iterdir():
        if path.name.startswith(".") or path.name == "__pycache__":
            continue
        if path.is_dir():
            yield from _visible(path)
        else:
            yield path


def _in_use(functions: Any, name: str) -> Iterator[str]:
    """The versions to which the function's aliases send traffic."""
    for page in functions.get_paginator("list_aliases").paginate(FunctionName=name):
        for alias in page["Aliases"]:
            yield alias["FunctionVersion"]
            yield from alias.get("RoutingConfig", {}).get("AdditionalVersionWeights", {})


def _version(node: str) -> tuple[int, ...]:
    found = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)
    return _numbers(found.stdout)


def _numbers(version: str) -> tuple[int, ...]:
    """The numbers of a version, such as v22.12.0 or >=20.19."""
    return tuple(int(number) for number in re.findall(r"\d+", version))


def _sam(*arguments: str) -> None:
    # The makefiles run `python3 -m pip`, and this environment has pip.
    tools = Path(sys.executable).parent
    path = f"{tools}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    sam = shutil.which("sam", path=path)
    if sam is None:
        raise StackError("`sam` is not installed: `make deploy` installs it")
    _run([sam, *arguments], ROOT, {**os.environ, "PATH": path, "SAM_CLI_TELEMETRY": "0"})


def _run(command: list[str], folder: Path, environment: Mapping[str, str]) -> None:
    # The options of the `make` that runs this are not for the ones that this runs.
    of_make = {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}
    kept = {name: value for name, value in environment.items() if name not in of_make}
    status = subprocess.run(command, cwd=folder, env=kept, check=False).returncode
    if status != 0:
        words = [Path(command[0]).name, *command[1:]]
        typed = itertools.takewhile(lambda word: not word.startswith("-"), words)
        raise StackError(f"`{' '.join(typed)}` failed with status {status}")


def _configured_stack() -> str:
    configuration: dict[str, Any] = tomllib.loads((ROOT / "samconfig.toml").read_text("utf-8"))
    return str(configuration["default"]["global"]["parameters"]["stack_name"])
