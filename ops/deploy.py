"""Build and deploy the stack and its page, delete the function versions that nobody can need any
more, and have the training's image built where what it is made of has changed.

    python deploy.py [--stack-name NAME] [--region REGION] [--profile PROFILE] [sam deploy options]

No champion is written, moved or read here: what is live in a stack stays live through a deployment.
"""

import argparse
import hashlib
import io
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from ops import StackError, pages

ROOT = Path(__file__).resolve().parents[1]

KEPT_VERSIONS = 3
"""Newest versions of a function that stay beside those an alias points to: two to go back to.

With SnapStart each costs about $6.7 a month (1,769 MB of cached snapshot)."""

SOURCE_KEY = "build/source.zip"
"""Where the template's build looks in the models bucket; its role can read nothing else there."""

IMAGE_SOURCES = ("training", "layers/clickbait/python", "layers/baseline/baseline")
"""All that training/Dockerfile may copy from; what is hidden, or Python's cache, is left out."""


def main(arguments: list[str]) -> int:
    """Returns the exit status; what goes wrong is one line on standard error."""
    parser = argparse.ArgumentParser(
        description="Build and deploy the stack; all other options go to `sam deploy`."
    )
    parser.add_argument("--stack-name", default=_configured_stack())
    parser.add_argument("--region", help="default: that of the AWS configuration")
    parser.add_argument("--profile", help="default: that of the AWS configuration")
    options, others = parser.parse_known_args(arguments)
    named = {"--region": options.region, "--profile": options.profile}
    given = [word for flag, value in named.items() if value for word in (flag, value)]
    try:
        _deploy(options, given, others)
    except subprocess.CalledProcessError as error:
        return _fail(f"`{_said(error.cmd)}` ended with status {error.returncode}")
    except (BotoCoreError, ClientError, StackError) as error:
        return _fail(str(error))
    return 0


def _deploy(options: argparse.Namespace, given: list[str], others: list[str]) -> None:
    """All of it in order; `given` names region and profile to other tools, `others` are sam's."""
    page = build_page()
    _sam("build")
    _sam("deploy", "--stack-name", options.stack_name, *given, *others)
    session = boto3.Session(profile_name=options.profile, region_name=options.region)
    cloudformation = session.client("cloudformation")
    outputs = outputs_of(cloudformation, options.stack_name)
    access = access_of(cloudformation, options.stack_name)
    page[pages.CONFIG] = pages.config(outputs["ApiUrl"], access, options.stack_name)
    upload_page(session.client("s3"), outputs["SiteBucket"], page)
    for function in functions_of(cloudformation, options.stack_name):
        for version in prune(session.client("lambda"), function):
            print(f"deleted version {version} of {function}")
    if build := build_image(session, outputs, image_files(ROOT)):
        follow = ["aws", "logs", "tail", f"/aws/codebuild/{options.stack_name}", "--follow"]
        print(f"building the training's image, which takes some minutes: {build}")
        print(f"to see it: {' '.join([*follow, *given])}")
    else:
        print("the training's image is that of this checkout")
    token = ["aws", "secretsmanager", "get-secret-value", "--secret-id", outputs["AdminSecret"]]
    token += ["--query", "SecretString", "--output", "text", *given]
    print(
        f"the admin opens {outputs['SiteUrl']}/#token=TOKEN with what this says: {' '.join(token)}"
    )
    print(f"the API is on {outputs['ApiUrl']}")
    print(f"the page is on {outputs['SiteUrl']}")


def build_page() -> dict[str, pages.PageFile]:
    """Build the page from what is committed; returns its files.

    Raises StackError where Node or npm is missing or too old, CalledProcessError where they fail.
    """
    npm, node = shutil.which("npm"), shutil.which("node")
    frontend = ROOT / "frontend"
    needed = json.loads((frontend / "package.json").read_text("utf-8"))["engines"]["node"]
    if npm is None or node is None or _numbers(_version(node)) < _numbers(needed):
        raise StackError(
            f"Node {needed.removeprefix('>=')} or newer with npm builds the page; "
            "on Debian 13 or newer: apt-get install nodejs npm"
        )
    _run([npm, "ci"], frontend, os.environ)
    _run([npm, "run", "build"], frontend, os.environ)
    return pages.read(frontend / "dist")


def upload_page(s3: Any, bucket: str, files: Mapping[str, pages.PageFile]) -> None:
    """Put a page's files into its bucket, each after all that it names.

    The assets of former pages stay: a page that somebody has open fetches more of its own as it is
    used, for as long as it is open. They are some hundred KB, so a thousand deployments cost a cent
    a month.
    """
    for name in sorted(files, key=lambda name: (_turn(name), name)):
        file = files[name]
        s3.put_object(
            Bucket=bucket,
            Key=name,
            Body=file.content,
            ContentType=file.type,
            CacheControl=file.cache,
        )


def functions_of(cloudformation: Any, stack: str) -> Iterator[str]:
    """The names of the stack's functions."""
    for page in cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack):
        for resource in page["StackResourceSummaries"]:
            if resource["ResourceType"] == "AWS::Lambda::Function":
                yield resource["PhysicalResourceId"]


def prune(functions: Any, name: str) -> list[str]:
    """Delete a function's old versions; returns which. SAM leaves every version it replaces.

    The KEPT_VERSIONS newest stay, and each that an alias sends traffic to, in part or whole.
    """
    pages = functions.get_paginator("list_versions_by_function").paginate(FunctionName=name)
    versions = [found["Version"] for page in pages for found in page["Versions"]]
    numbered = sorted((version for version in versions if version != "$LATEST"), key=int)
    keep = {*numbered[-KEPT_VERSIONS:], *_in_use(functions, name)}
    old = [version for version in numbered if version not in keep]
    for version in old:
        functions.delete_function(FunctionName=name, Qualifier=version)
    return old


def outputs_of(cloudformation: Any, stack: str) -> dict[str, str]:
    """The stack's outputs by name."""
    found = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]["Outputs"]
    return {output["OutputKey"]: str(output["OutputValue"]) for output in found}


def access_of(cloudformation: Any, stack: str) -> str:
    """The value of the stack's parameter Access: who may read what is not for anybody."""
    found = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]["Parameters"]
    (access,) = (it["ParameterValue"] for it in found if it["ParameterKey"] == "Access")
    return str(access)


def build_image(session: Any, outputs: Mapping[str, str], files: Mapping[str, bytes]) -> str | None:
    """Start the build of an image of `files`; returns its id, or None where `latest` is that image.

    The build tags what it pushes with the digest of its files. A build that failed left no tag, so
    that the next deployment tries again.
    """
    digest = digest_of(files)
    if digest in _tags_of_latest(session.client("ecr"), outputs["TrainingRepository"]):
        return None
    put = session.client("s3").put_object(
        Bucket=outputs["ModelsBucket"], Key=SOURCE_KEY, Body=archive(files, digest)
    )
    started = session.client("codebuild").start_build(
        projectName=outputs["TrainingBuild"], sourceVersion=put["VersionId"]
    )
    return str(started["build"]["id"])


def image_files(root: Path) -> dict[str, bytes]:
    """What the training's image is made of, by path, in order."""
    found = (file for source in IMAGE_SOURCES for file in _visible(root / source))
    return {file.relative_to(root).as_posix(): file.read_bytes() for file in sorted(found)}


def digest_of(files: Mapping[str, bytes]) -> str:
    """SHA-256 of the files' names and contents: of nothing else that an archive would hold."""
    lines = (f"{name}\0{hashlib.sha256(content).hexdigest()}\n" for name, content in files.items())
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def archive(files: Mapping[str, bytes], digest: str) -> bytes:
    """A zip of the files, and of their digest as the file that the template's build reads."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as into:
        for name, content in {**files, "digest": digest.encode()}.items():
            # Without a time: the same files are the same bytes.
            entry = zipfile.ZipInfo(name)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o100644 << 16
            into.writestr(entry, content)
    return packed.getvalue()


def _tags_of_latest(ecr: Any, uri: str) -> list[str]:
    """All tags of the image that trainings start from; none before the first."""
    repository = uri.partition("/")[2]
    try:
        found = ecr.describe_images(repositoryName=repository, imageIds=[{"imageTag": "latest"}])
    except ecr.exceptions.ImageNotFoundException:
        return []
    return list(found["imageDetails"][0].get("imageTags", []))


def _visible(folder: Path) -> Iterator[Path]:
    """The files below a folder, less what is hidden (an environment, above all) or is cache."""
    for path in folder.iterdir():
        if path.name.startswith(".") or path.name == "__pycache__":
            continue
        if path.is_dir():
            yield from _visible(path)
        else:
            yield path


def _in_use(functions: Any, name: str) -> Iterator[str]:
    for page in functions.get_paginator("list_aliases").paginate(FunctionName=name):
        for alias in page["Aliases"]:
            yield alias["FunctionVersion"]
            yield from alias.get("RoutingConfig", {}).get("AdditionalVersionWeights", {})


def _version(node: str) -> str:
    told = subprocess.run([node, "--version"], capture_output=True, text=True, check=True)
    return told.stdout


def _numbers(version: str) -> tuple[int, ...]:
    """Of a version, such as v22.12.0 or >=20.19."""
    return tuple(int(number) for number in re.findall(r"\d+", version))


def _turn(name: str) -> int:
    """When a file of the page is uploaded: assets, what else there is, what reads them."""
    if name.startswith(pages.ASSETS):
        return 0
    return 2 if name == pages.INDEX else 1


def _sam(*arguments: str) -> None:
    # The makefiles call python3 for pip, and this environment's has it.
    own = Path(sys.executable).parent
    path = f"{own}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    sam = shutil.which("sam", path=path)
    if sam is None:
        raise StackError("there is no `sam` here: `make deploy` installs it")
    _run([sam, *arguments], ROOT, {**os.environ, "PATH": path, "SAM_CLI_TELEMETRY": "0"})


def _run(command: list[str], folder: Path, environment: Mapping[str, str]) -> None:
    # What a `make` around this one was told is not for the makes below it.
    around = {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}
    kept = {name: value for name, value in environment.items() if name not in around}
    subprocess.run(command, cwd=folder, env=kept, check=True)


def _said(command: list[str]) -> str:
    """A command as it is typed, up to its options."""
    words = [Path(command[0]).name, *command[1:]]
    return " ".join(itertools.takewhile(lambda word: not word.startswith("-"), words))


def _configured_stack() -> str:
    configuration: dict[str, Any] = tomllib.loads((ROOT / "samconfig.toml").read_text("utf-8"))
    return str(configuration["default"]["global"]["parameters"]["stack_name"])


def _fail(reason: str) -> int:
    print(f"deploy: {reason}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
