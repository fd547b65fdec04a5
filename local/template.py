"""Turns template.yaml into plain CloudFormation that the emulator can deploy.

Everything here is a pure function of the checkout; nothing is sent anywhere. Differences from AWS:

- The functions' packages come from the environment that runs the emulator, not from the
  dependencies layer.
- The baseline comes from the checkout, not from its layer: each worker unpacks every layer.
- The API's OpenAPI body becomes native routes, because the emulator does not read the body.
"""

import itertools
import json
import os
import re
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local.artefacts import digest, function_zip, layer_zip
from local.batch.definitions import arn
from local.settings import REGION
from ops import StackError

ARTEFACTS_BUCKET = "artefacts"

FROM_CHECKOUT = {"layers/dependencies", "layers/baseline"}
"""Layers that are not deployed, by ContentUri."""

AWS_ONLY_TYPES = (
    "AWS::Batch::",
    "AWS::Budgets::",
    "AWS::CloudFront::",
    "AWS::CodeBuild::",
    "AWS::CodeDeploy::",
    "AWS::EC2::",
    "AWS::ECR::",
)
"""Prefixes of the types of resources that are left out."""

DECIDED = {"HasOrigins": True, "HasPage": False, "PagesCall": True}
"""The template's conditions about pages, as they are here: local.settings always gives the origins
of the page, which CloudFront does not serve."""

BATCH_KINDS = {
    "AWS::Batch::ComputeEnvironment": "compute-environment",
    "AWS::Batch::JobDefinition": "job-definition",
    "AWS::Batch::JobQueue": "job-queue",
}
"""The kinds in AWS Batch's ARNs, for resources whose Ref is their ARN."""

JOB_PROPERTIES = {
    "ContainerProperties": ("Command", "Environment", "JobRoleArn", "LogConfiguration"),
    "JobDefinitionName": (),
    "Parameters": (),
    "RetryStrategy": (),
    "Timeout": (),
}
"""The properties of a job definition, and of its container, that are useful without containers."""

JOB_OUTPUT = "LocalJob"
"""Prefix of the outputs that return the resolved values of a job definition."""

AWS_ONLY_PROPERTIES = (
    "Architectures",
    "DeploymentPreference",  # Shifts traffic gradually, which is useless for one user.
    "RecursiveLoop",
    "SnapStart",
    "Tracing",
    "VpcConfig",
)
"""Properties of functions that are left out."""

ANY_METHOD = "x-amazon-apigateway-any-method"
METHODS = {"get", "put", "post", "delete", "options", "head", "patch", ANY_METHOD}

Template = dict[str, Any]


@dataclass(frozen=True)
class Prepared:
    """A template to deploy, and its artefacts by their key in ARTEFACTS_BUCKET.

    `jobs` has the properties of the job definitions by logical id. Each intrinsic in them is
    replaced by `{"Output": name}`, the name of an output of the template.
    """

    template: Template
    parameters: dict[str, str]
    artefacts: dict[str, bytes]
    jobs: dict[str, Template] = field(default_factory=dict)


def prepare(root: Path, parameters: Mapping[str, str], environment: Mapping[str, str]) -> Prepared:
    """The template and artefacts of the checkout at `root`, ready to deploy.

    `parameters` override the template's defaults; every function also gets `environment`. Raises
    StackError if the template lacks a parameter or cannot be transformed.
    """
    template = read(root / "template.yaml")
    unknown = set(parameters) - set(template.get("Parameters", {}))
    if unknown:
        raise StackError(f"template.yaml has no parameter {', '.join(sorted(unknown))}.")
    artefacts = _localize(template, root, environment)
    plain = replaced(_transform(template, parameters), _decided)
    for part in ("Resources", "Outputs"):
        found = plain.get(part, {})
        plain[part] = {n: it for n, it in found.items() if DECIDED.get(it.get("Condition"), True)}
    for name in DECIDED:
        plain.get("Conditions", {}).pop(name, None)
    for name, api in of_type(plain, "AWS::ApiGatewayV2::Api").items():
        if "Body" in api:
            plain["Resources"].update(_native(name, api))
    outputs = _jobs_as_outputs(plain)
    _without_tls(plain)
    _let_stack_assume_job_roles(plain)
    _with_the_emulators_inserts(plain)
    deployable = _without_aws_only(plain)
    _with_excluded_punctuation(deployable)
    _with_integer_concurrency(deployable, parameters)
    return Prepared(deployable, dict(parameters), artefacts, outputs)


def read(path: Path) -> Template:
    """A template file with its short forms in long form: {"Ref": ...}, {"Fn::GetAtt": [...]}."""
    from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]

    template: Template = json.loads(json.dumps(yaml_parse(path.read_text())))
    return template


def of_type(template: Mapping[str, Any], kind: str) -> dict[str, Template]:
    """The properties of the template's resources of one type, by logical id."""
    resources = template["Resources"].items()
    return {name: it.get("Properties", {}) for name, it in resources if it["Type"] == kind}


def replaced(node: Any, replacement: Callable[[Template], Any]) -> Any:
    """A copy in which each object is its `replacement`, or is searched itself if that is None."""
    if isinstance(node, list):
        return [replaced(item, replacement) for item in node]
    if not isinstance(node, dict):
        return node
    new = replacement(node)
    if new is not None:
        return new
    return {key: replaced(value, replacement) for key, value in node.items()}


def _localize(template: Template, root: Path, environment: Mapping[str, str]) -> dict[str, bytes]:
    """Point a SAM template to artefacts built from `root`, in place; return the artefacts."""
    resources = template["Resources"]
    layers: dict[str, bytes] = {}
    artefacts: dict[str, bytes] = {}

    def address(name: str, content: bytes) -> str:
        key = f"{name}-{digest(content)[:16]}.zip"
        artefacts[key] = content
        return f"s3://{ARTEFACTS_BUCKET}/{key}"

    left_out: set[str] = set()
    for name, properties in of_type(template, "AWS::Serverless::LayerVersion").items():
        folder = properties["ContentUri"].strip("./")
        if folder in FROM_CHECKOUT:
            left_out.add(name)
            del resources[name]
        else:
            layers[name] = layer_zip(root / folder)
            properties["ContentUri"] = address(name, layers[name])
            properties.pop("CompatibleArchitectures", None)
    common = template.setdefault("Globals", {}).setdefault("Function", {})
    common.setdefault("Environment", {}).setdefault("Variables", {}).update(environment)
    functions = of_type(template, "AWS::Serverless::Function").values()
    code = address("functions", function_zip(root, layers))
    for properties in functions:
        properties["CodeUri"] = code
    for properties in (common, *functions):
        for name in AWS_ONLY_PROPERTIES:
            properties.pop(name, None)
        if "Layers" in properties:
            kept = [layer for layer in properties["Layers"] if layer.get("Ref") not in left_out]
            properties["Layers"] = kept
    return artefacts


def _transform(template: Template, parameters: Mapping[str, str]) -> Template:
    """The template after CloudFormation's Serverless transform."""
    from samtranslator.model.exceptions import (  # type: ignore[import-untyped]
        InvalidDocumentException,
    )
    from samtranslator.translator.transform import transform  # type: ignore[import-untyped]

    values: dict[str, Any] = dict(parameters)
    for name, parameter in template.get("Parameters", {}).items():
        # The translator takes a value as it is given: a list must come as one.
        value = parameters.get(name, parameter.get("Default"))
        if "List" in parameter["Type"] and isinstance(value, str):
            values[name] = value.split(",")
    os.environ.setdefault("AWS_DEFAULT_REGION", REGION)
    try:
        plain: Template = transform(template, values, _NoManagedPolicies())
    except InvalidDocumentException as error:
        raise StackError(f"template.yaml cannot be transformed: {error.message}") from error
    return plain


class _NoManagedPolicies:
    """Replaces the translator's query for AWS's managed policies; the template uses none."""

    def load(self) -> dict[str, str]:
        return {}


def _decided(node: Template) -> Any:
    """The value that a DECIDED condition chooses, or None for any other object."""
    if set(node) != {"Fn::If"} or node["Fn::If"][0] not in DECIDED:
        return None
    condition, yes, no = node["Fn::If"]
    return replaced(yes if DECIDED[condition] else no, _decided)


def _native(api: str, properties: Template) -> dict[str, Any]:
    """The integrations and routes of one API; removes its body from `properties`."""
    body = properties.pop("Body")
    for unread in ("FailOnWarnings", "BasePath"):
        properties.pop(unread, None)
    properties.setdefault("Name", body["info"]["title"])
    properties["ProtocolType"] = "HTTP"
    cors = body.get("x-amazon-apigateway-cors") or properties.get("CorsConfiguration")
    if cors:
        properties["CorsConfiguration"] = {k[:1].upper() + k[1:]: v for k, v in cors.items()}

    resources: dict[str, Any] = {}
    for path, operations in body["paths"].items():
        for method, operation in operations.items():
            if method.lower() not in METHODS:
                continue
            integration = operation["x-amazon-apigateway-integration"]
            uri = json.dumps(integration["uri"], sort_keys=True)
            target = f"{api}Integration{digest(uri.encode())[:8]}"
            resources[target] = {
                "Type": "AWS::ApiGatewayV2::Integration",
                "Properties": {
                    "ApiId": {"Ref": api},
                    "IntegrationType": "AWS_PROXY",
                    "IntegrationUri": integration["uri"],
                    "PayloadFormatVersion": integration.get("payloadFormatVersion", "2.0"),
                },
            }
            verb = "ANY" if method.lower() == ANY_METHOD else method.upper()
            key = path if path == "$default" else f"{verb} {path}"
            resources[f"{api}Route{digest(key.encode())[:8]}"] = {
                "Type": "AWS::ApiGatewayV2::Route",
                "Properties": {
                    "ApiId": {"Ref": api},
                    "RouteKey": key,
                    "Target": {"Fn::Join": ["/", ["integrations", {"Ref": target}]]},
                },
            }
    return resources


def _jobs_as_outputs(template: Template) -> dict[str, Template]:
    """The job definitions, with their intrinsics moved to outputs of the template, in place."""
    outputs = template.setdefault("Outputs", {})
    numbers = itertools.count()

    def moved(node: Template) -> Template | None:
        if len(node) != 1 or not next(iter(node)).startswith(("Ref", "Fn::")):
            return None
        name = f"{JOB_OUTPUT}{next(numbers)}"
        outputs[name] = {"Value": node}
        return {"Output": name}

    jobs = {}
    for name, given in of_type(template, "AWS::Batch::JobDefinition").items():
        useful = {
            key: {k: given[key][k] for k in parts if k in given[key]} if parts else given[key]
            for key, parts in JOB_PROPERTIES.items()
            if key in given
        }
        jobs[name] = replaced(useful, moved)
    return jobs


def _without_tls(template: Template) -> None:
    """Remove the policy statements that deny requests without TLS, in place.

    Nothing here uses TLS, so with LOCAL_AUTH they would deny every request.
    """
    for resource in template["Resources"].values():
        document = resource.get("Properties", {}).get("PolicyDocument")
        if document:
            document["Statement"] = [
                statement
                for statement in document["Statement"]
                if "aws:SecureTransport" not in json.dumps(statement.get("Condition"))
            ]


def _let_stack_assume_job_roles(template: Template) -> None:
    """Let local.stack assume the roles of containers, in place.

    It is not an AWS service, so it cannot meet a condition on the source of the service's call.
    """
    for role in of_type(template, "AWS::IAM::Role").values():
        for statement in role["AssumeRolePolicyDocument"]["Statement"]:
            if statement.get("Principal") == {"Service": "ecs-tasks.amazonaws.com"}:
                statement.pop("Condition", None)


def _with_the_emulators_inserts(template: Template) -> None:
    """Replace the right to insert by the one that the emulator checks, in place.

    AWS checks dynamodb:PartiQLInsert for each statement of a batch, with its table. The emulator
    checks the operation's own name, without a table.
    """
    for role in of_type(template, "AWS::IAM::Role").values():
        for policy in role.get("Policies", []):
            for statement in policy["PolicyDocument"]["Statement"]:
                if statement["Action"] == "dynamodb:PartiQLInsert":
                    statement |= {"Action": "dynamodb:BatchExecuteStatement", "Resource": "*"}
                    del statement["Condition"]


def _with_excluded_punctuation(template: Template) -> None:
    """Replace ExcludePunctuation, which the emulator ignores, by ExcludeCharacters, in place."""
    for secret in of_type(template, "AWS::SecretsManager::Secret").values():
        options = secret.get("GenerateSecretString", {})
        if options.get("ExcludePunctuation"):
            excluded = options.get("ExcludeCharacters", "") + string.punctuation
            options["ExcludeCharacters"] = excluded


def _with_integer_concurrency(template: Template, parameters: Mapping[str, str]) -> None:
    """Make each queue's MaximumConcurrency an integer, in place.

    The emulator turns a parameter into a string, and then its poller fails on every queue.
    """
    for source in of_type(template, "AWS::Lambda::EventSourceMapping").values():
        scaling = source.get("ScalingConfig", {})
        concurrency = scaling.get("MaximumConcurrency")
        if isinstance(concurrency, dict):
            name = concurrency["Ref"]
            given = parameters.get(name, template["Parameters"][name]["Default"])
            scaling["MaximumConcurrency"] = int(given)


def _without_aws_only(template: Template) -> Template:
    """Remove AWS_ONLY_TYPES, empty policies and alarms on metric math, which the emulator refuses.

    References to them become literals: AWS Batch's ARNs, or else the resource's name.
    """
    template.pop("Rules", None)  # They check Fargate's sizes.
    resources = template["Resources"]
    gone = {
        name: arn(BATCH_KINDS[resource["Type"]], name) if resource["Type"] in BATCH_KINDS else name
        for name, resource in resources.items()
        if resource["Type"].startswith(AWS_ONLY_TYPES)
        or not resource.get("Properties", {}).get("PolicyDocument", {}).get("Statement", [True])
        or (resource["Type"] == "AWS::CloudWatch::Alarm" and "Metrics" in resource["Properties"])
    }
    for name in gone:
        del resources[name]
    for resource in resources.values():
        resource.pop("UpdatePolicy", None)  # For CodeDeploy.
        if resource["Type"] in ("AWS::Lambda::Version", "AWS::Lambda::LayerVersion"):
            resource.pop("DeletionPolicy", None)  # Else every former version is kept.
        before = resource.pop("DependsOn", [])
        after = [n for n in ([before] if isinstance(before, str) else before) if n not in gone]
        if after:
            resource["DependsOn"] = after
    literal: Template = replaced(template, lambda node: _literal(node, gone))
    return literal


def _literal(node: Template, gone: Mapping[str, str]) -> Any:
    """The literal for a reference to a removed resource, or None for any other object."""
    if set(node) == {"Ref"}:
        return gone.get(node["Ref"])
    if set(node) == {"Fn::GetAtt"}:
        target = node["Fn::GetAtt"]
        name, attribute = target.split(".", 1) if isinstance(target, str) else target
        return _attribute(name, attribute, gone) if name in gone else None
    if set(node) == {"Fn::Sub"} and isinstance(node["Fn::Sub"], str):

        def literal(match: re.Match[str]) -> str:
            name, _, attribute = match[1].partition(".")
            return _attribute(name, attribute, gone) if name in gone else match[0]

        return {"Fn::Sub": re.sub(r"\$\{([^!}][^}]*)\}", literal, node["Fn::Sub"])}
    return None


def _attribute(name: str, attribute: str, gone: Mapping[str, str]) -> str:
    """The literal for an attribute of a removed resource; its ARN is its Ref, if that is an ARN."""
    if not attribute or (attribute.endswith("Arn") and gone[name] != name):
        return gone[name]
    return f"{name}.{attribute}"
