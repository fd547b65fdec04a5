"""The template's job definitions in the format of AWS Batch's API."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from local.settings import REGION

ACCOUNT = "000000000000"
"""The emulator's account."""

FREE_KEYS = {"Options", "Parameters", "Tags"}
"""Maps whose keys are chosen by the user."""


def arn(kind: str, name: str) -> str:
    """The ARN of a `job`, `job-queue` or `job-definition`."""
    return f"arn:aws:batch:{REGION}:{ACCOUNT}:{kind}/{name}"


def name_in(reference: str) -> str:
    """The name in a name, name:revision or ARN of a queue or definition."""
    return reference.rpartition("/")[2].partition(":")[0]


@dataclass(frozen=True)
class Definition:
    """How to run a job, in the format of DescribeJobDefinitions."""

    name: str
    parameters: dict[str, str]
    container: dict[str, Any]
    retry: dict[str, Any]
    timeout: dict[str, int]

    @classmethod
    def from_template(cls, name: str, properties: Mapping[str, Any]) -> Self:
        """`properties` are those of an AWS::Batch::JobDefinition without intrinsics."""
        api = _in_api_format(properties)
        container = api.get("containerProperties", {})
        retry = api.get("retryStrategy", {})
        seconds = api.get("timeout", {}).get("attemptDurationSeconds")
        return cls(
            name=name,
            parameters=api.get("parameters", {}),
            container={"environment": [], "command": []} | container,
            retry=retry | {"attempts": int(retry.get("attempts", 1))},
            timeout={"attemptDurationSeconds": int(seconds)} if seconds else {},
        )


def definitions(jobs: Mapping[str, Mapping[str, Any]]) -> dict[str, Definition]:
    """A template's job definitions by name and by logical id, which replaced its references."""
    found = {}
    for logical, properties in jobs.items():
        name = properties.get("JobDefinitionName") or logical
        found[logical] = found[name] = Definition.from_template(name, properties)
    return found


def log_group(container: Mapping[str, Any]) -> str:
    """The log group of a container's output."""
    options = container.get("logConfiguration", {}).get("options", {})
    return str(options.get("awslogs-group") or "/aws/batch/job")


def log_stream(definition: Definition, job_id: str) -> str:
    """The log stream of a job. On AWS each attempt has its own; here they share one."""
    options = definition.container.get("logConfiguration", {}).get("options", {})
    return f"{options.get('awslogs-stream-prefix') or definition.name}/default/{job_id}"


def substitute(command: list[str], parameters: Mapping[str, str]) -> list[str]:
    """A command with its `Ref::name` words replaced by the parameters' values."""
    return [re.sub(r"^Ref::(.+)$", lambda m: parameters.get(m[1], m[0]), word) for word in command]


def _in_api_format(node: Any) -> Any:
    """A copy whose keys begin in lower case; CloudFormation's begin with a capital."""
    if isinstance(node, list):
        return [_in_api_format(item) for item in node]
    if not isinstance(node, Mapping):
        return node
    return {
        key[:1].lower() + key[1:]: value if key in FREE_KEYS else _in_api_format(value)
        for key, value in node.items()
    }
