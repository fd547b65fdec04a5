"""Deploys a prepared template to the emulator: creates the stack, then updates it in place."""

import json
import time
from dataclasses import dataclass
from typing import Any

from local.artefacts import digest
from local.cloud import Cloud
from local.template import ARTEFACTS_BUCKET, JOB_OUTPUT, Prepared, of_type, replaced
from ops import StackError

STACK_NAME = "clickbait"
DEPLOY_SECONDS = 120.0
WORTHLESS = ("CREATE_FAILED", "CREATE_IN_PROGRESS", "DELETE_", "ROLLBACK_")
"""How the states of a first deployment begin that failed or was interrupted: there is nothing to
keep, so the stack is created again."""


@dataclass(frozen=True)
class Deployed:
    """The result of a deployment."""

    api_id: str
    outputs: dict[str, str]
    log_groups: list[str]
    jobs: dict[str, dict[str, Any]]
    """Properties of the job definitions, by logical id."""


def deploy(cloud: Cloud, prepared: Prepared) -> Deployed:
    """Create or update the stack. Raises StackError with the resources that failed and why."""
    # A template of more than 51,200 bytes must be in a bucket, as on AWS.
    text = json.dumps(prepared.template).encode()
    template = f"template-{digest(text)[:16]}.json"
    artefacts = prepared.artefacts | {template: text}
    _upload(cloud, artefacts)
    stack = _apply(cloud, prepared.parameters, template)
    resources = cloud.client("cloudformation").describe_stack_resources(StackName=STACK_NAME)
    by_type: dict[str, list[str]] = {}
    for resource in resources["StackResources"]:
        by_type.setdefault(resource["ResourceType"], []).append(resource["PhysicalResourceId"])
    (api_id,) = by_type["AWS::ApiGatewayV2::Api"]
    _set_cors(cloud, api_id, prepared.template, stack)
    _set_expiry(cloud, prepared.template, resources["StackResources"])
    _delete_old_artefacts(cloud, artefacts)
    outputs = {o["OutputKey"]: o["OutputValue"] for o in stack.get("Outputs", [])}
    groups = [_log_group(cloud, name) for name in by_type.get("AWS::Lambda::Function", [])]

    def value(node: dict[str, Any]) -> str | None:
        return outputs.get(node["Output"], "") if set(node) == {"Output"} else None

    jobs = {name: replaced(job, value) for name, job in prepared.jobs.items()}
    shown = {name: value for name, value in outputs.items() if not name.startswith(JOB_OUTPUT)}
    return Deployed(api_id, shown, sorted(set(groups)), jobs)


def _upload(cloud: Cloud, artefacts: dict[str, bytes]) -> None:
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket=ARTEFACTS_BUCKET)  # Succeeds in us-east-1 even if it exists.
    for key, content in artefacts.items():
        s3.put_object(Bucket=ARTEFACTS_BUCKET, Key=key, Body=content)


def _delete_old_artefacts(cloud: Cloud, artefacts: dict[str, bytes]) -> None:
    """Delete the artefacts of former deployments; the functions have copies of their own."""
    s3 = cloud.client("s3")
    for listed in s3.list_objects_v2(Bucket=ARTEFACTS_BUCKET).get("Contents", []):
        if listed["Key"] not in artefacts:
            s3.delete_object(Bucket=ARTEFACTS_BUCKET, Key=listed["Key"])


def _apply(cloud: Cloud, parameters: dict[str, str], template: str) -> dict[str, Any]:
    """Create or update the stack from the uploaded template; return its description."""
    from botocore.exceptions import ClientError

    cloudformation = cloud.client("cloudformation")
    before = _describe(cloud)
    if before and before["StackStatus"].startswith(WORTHLESS):
        cloudformation.delete_stack(StackName=STACK_NAME)
        _wait_for_stack(cloud)
        before = None
    change = cloudformation.update_stack if before else cloudformation.create_stack
    try:
        change(
            StackName=STACK_NAME,
            TemplateURL=f"{cloud.settings.cloud_url}/{ARTEFACTS_BUCKET}/{template}",
            Parameters=[{"ParameterKey": n, "ParameterValue": v} for n, v in parameters.items()],
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
        )
    except ClientError as error:
        message = error.response["Error"]["Message"]
        if before and "No updates are to be performed" in message:
            return before
        raise StackError(f"The emulator refused the template: {message}") from error
    after = _wait_for_stack(cloud)
    if after is None or after["StackStatus"] not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        raise StackError(f"The template could not be deployed: {_failures(cloud)}")
    return after


def _describe(cloud: Cloud) -> dict[str, Any] | None:
    from botocore.exceptions import ClientError

    try:
        found = cloud.client("cloudformation").describe_stacks(StackName=STACK_NAME)["Stacks"]
    except ClientError as error:
        if "does not exist" in error.response["Error"]["Message"]:
            return None
        raise
    return dict(found[0]) if found else None


def _wait_for_stack(cloud: Cloud) -> dict[str, Any] | None:
    """The stack after its last operation has ended, or None if it does not exist."""
    until = time.monotonic() + DEPLOY_SECONDS
    while True:
        stack = _describe(cloud)
        if stack is None or not stack["StackStatus"].endswith("IN_PROGRESS"):
            return stack
        if time.monotonic() > until:
            raise StackError(
                f"The stack is still {stack['StackStatus']} after {DEPLOY_SECONDS:.0f} s; "
                f"see {cloud.log}."
            )
        time.sleep(0.05)


def _failures(cloud: Cloud) -> str:
    """The reasons why the last deployment failed; the events come newest first."""
    events = cloud.client("cloudformation").describe_stack_events(StackName=STACK_NAME)
    reasons: list[str] = []
    for event in events["StackEvents"]:
        status = event["ResourceStatus"]
        if "FAILED" in status:
            reason = event.get("ResourceStatusReason", "no reason given")
            reasons.append(f"{event['LogicalResourceId']}: {reason}")
        started = status in ("CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS")
        if started and event["ResourceType"] == "AWS::CloudFormation::Stack":
            break
    return "; ".join(reversed(reasons)) or f"see {cloud.log}"


def _set_cors(cloud: Cloud, api_id: str, template: dict[str, Any], stack: dict[str, Any]) -> None:
    """Set the template's CORS through the API, because the emulator ignores it in templates."""
    values = {p["ParameterKey"]: p.get("ParameterValue", "") for p in stack.get("Parameters", [])}

    def resolved(value: Any) -> Any:
        if isinstance(value, dict) and set(value) == {"Ref"}:
            return values[value["Ref"]].split(",")
        return value

    for api in of_type(template, "AWS::ApiGatewayV2::Api").values():
        if cors := api.get("CorsConfiguration"):
            cloud.client("apigatewayv2").update_api(
                ApiId=api_id,
                CorsConfiguration={name: resolved(value) for name, value in cors.items()},
            )


def _set_expiry(cloud: Cloud, template: dict[str, Any], deployed: list[dict[str, Any]]) -> None:
    """Set the tables' time to live through the API; the emulator ignores it in templates."""
    names = {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in deployed}
    for logical, table in of_type(template, "AWS::DynamoDB::Table").items():
        if expiry := table.get("TimeToLiveSpecification"):
            cloud.client("dynamodb").update_time_to_live(
                TableName=names[logical], TimeToLiveSpecification=expiry
            )


def _log_group(cloud: Cloud, function: str) -> str:
    configuration = cloud.client("lambda").get_function_configuration(FunctionName=function)
    return configuration.get("LoggingConfig", {}).get("LogGroup") or f"/aws/lambda/{function}"
