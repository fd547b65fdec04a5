"""Build and deploy the stack, then delete the function versions that nobody can need any more.

    python deploy.py [--stack-name NAME] [--region REGION] [--profile PROFILE] [sam deploy options]

No champion is written, moved or read here: what is live in a stack stays live through a deployment.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

ROOT = Path(__file__).resolve().parent

KEPT_VERSIONS = 3
"""Newest versions of a function that stay beside those an alias points to: two to go back to.

With SnapStart each costs about $6.7 a month (1,769 MB of cached snapshot)."""


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
        _sam("build")
        _sam("deploy", "--stack-name", options.stack_name, *given, *others)
        session = boto3.Session(profile_name=options.profile, region_name=options.region)
        cloudformation = session.client("cloudformation")
        for function in functions_of(cloudformation, options.stack_name):
            for version in prune(session.client("lambda"), function):
                print(f"deleted version {version} of {function}")
        print(output_of(cloudformation, options.stack_name, "ApiUrl"))
    except FileNotFoundError:
        return _fail("there is no `sam` here: `make deploy` installs it")
    except subprocess.CalledProcessError as error:
        return _fail(f"`sam {error.cmd[1]}` ended with status {error.returncode}")
    except (BotoCoreError, ClientError) as error:
        return _fail(str(error))
    return 0


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


def output_of(cloudformation: Any, stack: str, key: str) -> str:
    """One of the stack's outputs."""
    found = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]["Outputs"]
    return next(str(output["OutputValue"]) for output in found if output["OutputKey"] == key)


def _in_use(functions: Any, name: str) -> Iterator[str]:
    for page in functions.get_paginator("list_aliases").paginate(FunctionName=name):
        for alias in page["Aliases"]:
            yield alias["FunctionVersion"]
            yield from alias.get("RoutingConfig", {}).get("AdditionalVersionWeights", {})


def _sam(*arguments: str) -> None:
    # The makefiles call python3 for pip, and this environment's has it. What a `make` around this
    # one was told is not for them.
    own = Path(sys.executable).parent
    path = f"{own}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    around = {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}
    environment = {name: value for name, value in os.environ.items() if name not in around}
    environment |= {"PATH": path, "SAM_CLI_TELEMETRY": "0"}
    sam = shutil.which("sam", path=path)
    if sam is None:
        raise FileNotFoundError("sam")
    subprocess.run([sam, *arguments], cwd=ROOT, env=environment, check=True)


def _configured_stack() -> str:
    configuration: dict[str, Any] = tomllib.loads((ROOT / "samconfig.toml").read_text("utf-8"))
    return str(configuration["default"]["global"]["parameters"]["stack_name"])


def _fail(reason: str) -> int:
    print(f"deploy: {reason}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
