"""Job definitions of the template, as AWS Batch's API writes them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from local.settings import REGION

ACCOUNT = "000000000000"
"""The emulator's."""

DEFAULT_LOG_GROUP = "/aws/batch/job"

FREE_KEYS = {"Options", "Parameters", "Tags"}
"""Maps whose keys are the user's own words."""


def arn(kind: str, name: str) -> str:
    """What AWS Batch calls a `job`, `job-queue` or `job-definition`."""
    return f"arn:aws:batch:{REGION}:{ACCOUNT}:{kind}/{name}"


def name_in(reference: str) -> str:
    """The name in a name, name:revision or ARN of a queue or a definition."""
    return reference.rpartition("/")[2].partition(":")[0]


@dataclass(frozen=True)
class Definition:
    """How a job is run, in the words of DescribeJobDefinitions."""

    name: str
    parameters: dict[str, str]
    container: dict[str, Any]
    retry: dict[str, Any]
    timeout: dict[str, int]

    @classmethod
    def from_template(cls, name: str, properties: Mapping[str, Any]) -> Self:
        """`properties` are those of an AWS::Batch::JobDefinition without intrinsics."""
        given = _as_in_the_api(properties)
        container = given.get("containerProperties", {})
        retry = given.get("retryStrategy", {})
        seconds = given.get("timeout", {}).get("attemptDurationSeconds")
        return cls(
            name=name,
            parameters=given.get("parameters", {}),
            container={"environment": [], "command": []} | container,
            retry=retry | {"attempts": int(retry.get("attempts", 1))},
            timeout={"attemptDurationSeconds": int(seconds)} if seconds else {},
        )


def definitions(jobs: Mapping[str, Mapping[str, Any]]) -> dict[str, Definition]:
    """A template's job definitions by logical id, which its references became, and by name."""
    found = {}
    for logical, properties in jobs.items():
        name = properties.get("JobDefinitionName") or logical
        found[logical] = found[name] = Definition.from_template(name, properties)
    return found


def log_group(container: Mapping[str, Any]) -> str:
    """Where CloudWatch keeps a container's output."""
    options = container.get("logConfiguration", {}).get("options", {})
    return str(options.get("awslogs-group") or DEFAULT_LOG_GROUP)


def log_stream(definition: Definition, job_id: str) -> str:
    """The stream of a job's output, for all its attempts; on AWS each has its own."""
    options = definition.container.get("logConfiguration", {}).get("options", {})
    return f"{options.get('awslogs-stream-prefix') or definition.name}/default/{job_id}"


def filled_in(command: list[str], parameters: Mapping[str, str]) -> list[str]:
    """A command with the values of its `Ref::name` words."""
    return [re.sub(r"^Ref::(.+)$", lambda m: parameters.get(m[1], m[0]), word) for word in command]


def _as_in_the_api(node: Any) -> Any:
    """CloudFormation begins its keys with a capital, the API does not."""
    if isinstance(node, list):
        return [_as_in_the_api(item) for item in node]
    if not isinstance(node, Mapping):
        return node
    return {
        key[:1].lower() + key[1:]: value if key in FREE_KEYS else _as_in_the_api(value)
        for key, value in node.items()
    }
