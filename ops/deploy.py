"""Deploy to AWS: the stack, its page and the image that trains; then delete old function versions.

A deployment never reads or changes the champion: the live model of a stack stays live.
"""

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from ops import StackError, image, pages, service, target
from ops.target import Target

ROOT = Path(__file__).resolve().parents[1]

KEPT_VERSIONS = 2
"""The newest versions of a function that stay, beside those in use: one to go back to.

With SnapStart each of predict's costs about $6.7 a month (1,769 MB of cached snapshot)."""


def deploy(sam_options: Sequence[str]) -> None:
    """Deploy the stack that `sam deploy` with these options deploys; report each step.

    Raises StackError, BotoCoreError or ClientError at the first step that fails. Once the service
    answers, only a warning says if the training image could not be built.
    """
    session = session_of(target.read(ROOT, sam_options))
    session.client("sts").get_caller_identity()  # Without credentials, fail before the build.
    page = build_page()
    _sam("build")
    _sam("deploy", *sam_options, *target.tags(ROOT, sam_options))
    # `sam deploy --guided` asks for the name and the region, and writes them to its configuration.
    where = target.read(ROOT, sam_options)
    session = session_of(where)
    cloudformation = session.client("cloudformation")
    outputs = outputs_of(cloudformation, where.stack)
    parameters = parameters_of(cloudformation, where.stack)
    protect(session, where.stack, outputs["Table"])
    if bucket := outputs.get("SiteBucket"):
        config = pages.config(
            outputs["ApiUrl"],
            parameters["Access"],
            where.stack,
            predictions=parameters["PredictAccess"],
        )
        upload_page(session.client("s3"), bucket, page | {pages.CONFIG: config})
    _delete_old_versions(session, where.stack)
    if not parameters.get("AlarmEmail"):
        print("Warning: no alarm reaches anybody. Name an address with --parameter-overrides")
        print("         AlarmEmail=you@example.org")
    _print_addresses(outputs, where)
    service.check(outputs["ApiUrl"], (ROOT / "sample.jpg").read_bytes())
    print("The service answers: /status, /system-check and /predict are well.")
    _have_image_built(session, outputs, where)


def session_of(where: Target) -> boto3.Session:
    """A session for the target; raises StackError if no region is chosen anywhere."""
    session = boto3.Session(profile_name=where.profile, region_name=where.region)
    if session.region_name is None:
        raise StackError(
            "no region is chosen: give --region, or set AWS_DEFAULT_REGION, or region in "
            "samconfig.toml"
        )
    return session


def protect(session: boto3.Session, stack: str, table: str) -> None:
    """Keep the stack and its table from being deleted by mistake.

    The template cannot protect the table: a first deployment that fails must be able to delete it.
    """
    session.client("cloudformation").update_termination_protection(
        StackName=stack, EnableTerminationProtection=True
    )
    session.client("dynamodb").update_table(TableName=table, DeletionProtectionEnabled=True)


def _delete_old_versions(session: boto3.Session, stack: str) -> None:
    """Prune every function. A failure is a warning, because the new versions serve: the old ones
    only take space, and the next deployment tries again."""
    try:
        for function in functions_of(session.client("cloudformation"), stack):
            for version in prune(session.client("lambda"), function):
                print(f"Deleted version {version} of {function}.")
    except (BotoCoreError, ClientError) as error:
        print(f"Warning: old versions of functions are not deleted: {error}")


def _print_addresses(outputs: Mapping[str, str], where: Target) -> None:
    token = ["aws", "secretsmanager", "get-secret-value", "--secret-id", outputs["AdminSecret"]]
    token += ["--query", "SecretString", "--output", "text", *where.account_options]
    site = outputs.get("SiteUrl")
    if site:
        print(f"Admin: {site}/#token=TOKEN, with the token that this prints:")
    else:
        print("Admin: the token that this prints, as `Authorization: Bearer TOKEN`:")
    print(f"       {' '.join(token)}")
    print(f"API:   {outputs['ApiUrl']}")
    print(f"Page:  {site or 'none (Page=none); `make site` serves it from this machine'}")


def _have_image_built(session: boto3.Session, outputs: Mapping[str, str], where: Target) -> None:
    """Start the build of the training image if its files changed. A failure is a warning, because
    the service runs: only fine-tuning waits."""
    try:
        build = image.build(session, outputs, image.files(ROOT))
    except (BotoCoreError, ClientError) as error:
        print(f"Warning: the training image is not being built: {error}")
        print("         Fine-tuning needs it. Once the cause is gone, run the same command again.")
        return
    if build is None:
        print("The training image is up to date.")
        return
    follow = ["aws", "logs", "tail", f"/aws/codebuild/{where.stack}", "--follow"]
    print(f"Building the training image, which takes some minutes: {build}")
    print(f"Follow the build with: {' '.join([*follow, *where.account_options])}")


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


def parameters_of(cloudformation: Any, stack: str) -> dict[str, str]:
    """The stack's parameters by name."""
    parameters = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]["Parameters"]
    return {it["ParameterKey"]: str(it["ParameterValue"]) for it in parameters}


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
