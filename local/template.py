"""Turns template.yaml into plain CloudFormation that the emulator can deploy.

Everything here is a pure function of the checkout; nothing is sent anywhere. Differences from AWS:

- The functions' packages come from the environment that runs the emulator, not from the
  dependencies layer.
- The baseline comes from the checkout, not from its layer: each worker unpacks every layer.
- The API's OpenAPI body becomes native routes, because the emulator does not read the body.
"""

import hashlib
import json
import os
import re
import string
from collections.abc import Iterator, Mapping
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
    "AWS::CloudFront::",
    "AWS::CodeBuild::",
    "AWS::CodeDeploy::",
    "AWS::EC2::",
    "AWS::ECR::",
)
"""Prefixes of the types of resources that are left out."""

ORIGINS_GIVEN = "HasOrigins"
"""The template's condition for given origins; local.settings always gives them."""

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
    plain = _with_given_origins(_transform(template, parameters))
    _routes_from_bodies(plain["Resources"])
    outputs = _jobs_as_outputs(plain)
    _without_tls(plain["Resources"])
    _let_stack_assume_job_roles(plain["Resources"])
    deployable = _without_aws_only(plain)
    _with_excluded_punctuation(deployable["Resources"])
    _with_integer_concurrency(deployable, parameters)
    return Prepared(deployable, dict(parameters), artefacts, outputs)


def read(path: Path) -> Template:
    """A template file with its short forms in long form: {"Ref": ...}, {"Fn::GetAtt": [...]}."""
    from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]

    template: Template = json.loads(json.dumps(yaml_parse(path.read_text())))
    return template


def _localize(template: Template, root: Path, environment: Mapping[str, str]) -> dict[str, bytes]:
    """Point a SAM template to artefacts built from `root`, in place; return the artefacts."""
    resources = template["Resources"]
    layers: dict[str, bytes] = {}
    left_out: set[str] = set()
    for name, resource in list(resources.items()):
        if resource["Type"] == "AWS::Serverless::LayerVersion":
            folder = resource["Properties"]["ContentUri"].strip("./")
            if folder in FROM_CHECKOUT:
                left_out.add(name)
                del resources[name]
            else:
                layers[name] = layer_zip(root / folder)

    artefacts = {_key(name, content): content for name, content in layers.items()}
    code = function_zip(root, layers)
    common = template.setdefault("Globals", {}).setdefault("Function", {})
    variables = common.setdefault("Environment", {}).setdefault("Variables", {})
    variables.update(environment)
    _localize_function(common, left_out)
    for name, resource in resources.items():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::Serverless::LayerVersion":
            properties["ContentUri"] = f"s3://{ARTEFACTS_BUCKET}/{_key(name, layers[name])}"
            properties.pop("CompatibleArchitectures", None)
        elif resource["Type"] == "AWS::Serverless::Function":
            artefacts[_key("functions", code)] = code
            properties["CodeUri"] = f"s3://{ARTEFACTS_BUCKET}/{_key('functions', code)}"
            _localize_function(properties, left_out)
    return artefacts


def _localize_function(properties: Template, left_out: set[str]) -> None:
    for name in AWS_ONLY_PROPERTIES:
        properties.pop(name, None)
    if "Layers" in properties:
        properties["Layers"] = [
            layer for layer in properties["Layers"] if layer.get("Ref") not in left_out
        ]


def _key(name: str, content: bytes) -> str:
    return f"{name}-{digest(content)[:16]}.zip"


def _transform(template: Template, parameters: Mapping[str, str]) -> Template:
    """What CloudFormation's Serverless transform makes of the template."""
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


def _with_given_origins(node: Any) -> Any:
    """The template with the given origins only: its own page's origin is CloudFront's."""
    if isinstance(node, list):
        return [_with_given_origins(item) for item in node]
    if not isinstance(node, dict):
        return node
    if set(node) == {"Fn::If"} and node["Fn::If"][0] == ORIGINS_GIVEN:
        return node["Fn::If"][1]
    return {key: _with_given_origins(value) for key, value in node.items() if key != ORIGINS_GIVEN}


def _routes_from_bodies(resources: dict[str, Any]) -> None:
    """Turn the routes in each HTTP API's OpenAPI body into resources, in place."""
    for name, resource in list(resources.items()):
        if resource["Type"] == "AWS::ApiGatewayV2::Api" and "Body" in resource["Properties"]:
            resources.update(_native(name, resource["Properties"]))


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
            target = f"{api}Integration{_short(json.dumps(integration['uri'], sort_keys=True))}"
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
            resources[f"{api}Route{_short(key)}"] = {
                "Type": "AWS::ApiGatewayV2::Route",
                "Properties": {
                    "ApiId": {"Ref": api},
                    "RouteKey": key,
                    "Target": {"Fn::Join": ["/", ["integrations", {"Ref": target}]]},
                },
            }
    return resources


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _jobs_as_outputs(template: Template) -> dict[str, Template]:
    """The job definitions, with their intrinsics moved to outputs of the template, in place."""
    outputs = template.setdefault("Outputs", {})
    counted: Iterator[int] = iter(range(1_000_000))

    def moved(node: Any) -> Any:
        if isinstance(node, list):
            return [moved(item) for item in node]
        if not isinstance(node, dict):
            return node
        if len(node) == 1 and next(iter(node)).startswith(("Ref", "Fn::")):
            name = f"{JOB_OUTPUT}{next(counted)}"
            outputs[name] = {"Value": node}
            return {"Output": name}
        return {key: moved(value) for key, value in node.items()}

    jobs = {}
    for name, resource in template["Resources"].items():
        if resource["Type"] == "AWS::Batch::JobDefinition":
            given = resource["Properties"]
            useful = {
                key: {k: given[key][k] for k in parts if k in given[key]} if parts else given[key]
                for key, parts in JOB_PROPERTIES.items()
                if key in given
            }
            jobs[name] = moved(useful)
    return jobs


def _without_tls(resources: dict[str, Any]) -> None:
    """Remove the policy statements that deny requests without TLS, in place.

    Nothing here uses TLS, so with LOCAL_AUTH they would deny every request.
    """
    for resource in resources.values():
        document = resource.get("Properties", {}).get("PolicyDocument")
        if document:
            document["Statement"] = [
                statement
                for statement in document["Statement"]
                if "aws:SecureTransport" not in json.dumps(statement.get("Condition"))
            ]


def _let_stack_assume_job_roles(resources: dict[str, Any]) -> None:
    """Let local.stack assume the roles of containers, in place.

    It is not an AWS service, so it cannot meet a condition on the source of the service's call.
    """
    for resource in resources.values():
        if resource["Type"] == "AWS::IAM::Role":
            for statement in resource["Properties"]["AssumeRolePolicyDocument"]["Statement"]:
                if statement.get("Principal") == {"Service": "ecs-tasks.amazonaws.com"}:
                    statement.pop("Condition", None)


def _with_excluded_punctuation(resources: dict[str, Any]) -> None:
    """Replace ExcludePunctuation, which the emulator ignores, by ExcludeCharacters, in place."""
    for resource in resources.values():
        if resource["Type"] == "AWS::SecretsManager::Secret":
            options = resource["Properties"].get("GenerateSecretString", {})
            if options.get("ExcludePunctuation"):
                excluded = options.get("ExcludeCharacters", "") + string.punctuation
                options["ExcludeCharacters"] = excluded


def _with_integer_concurrency(template: Template, parameters: Mapping[str, str]) -> None:
    """Make each queue's MaximumConcurrency an integer, in place.

    The emulator turns a parameter into a string, and then its poller fails on every queue.
    """
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Lambda::EventSourceMapping":
            scaling = resource["Properties"].get("ScalingConfig", {})
            concurrency = scaling.get("MaximumConcurrency")
            if isinstance(concurrency, dict):
                name = concurrency["Ref"]
                given = parameters.get(name, template["Parameters"][name]["Default"])
                scaling["MaximumConcurrency"] = int(given)


def _without_aws_only(template: Template) -> Template:
    """Remove AWS_ONLY_TYPES, empty policies and alarms on metric math.

    References to them become literals: AWS Batch's ARNs, or else the resource's name.
    """
    template.pop("Rules", None)  # They check Fargate's sizes.
    resources = template["Resources"]
    gone = {
        name: arn(BATCH_KINDS[resource["Type"]], name) if resource["Type"] in BATCH_KINDS else name
        for name, resource in resources.items()
        if resource["Type"].startswith(AWS_ONLY_TYPES)
        or _is_empty_policy(resource)
        or _is_metric_math_alarm(resource)
    }
    for name in gone:
        del resources[name]
    for resource in resources.values():
        resource.pop("UpdatePolicy", None)  # For CodeDeploy.
        if resource["Type"] in ("AWS::Lambda::Version", "AWS::Lambda::LayerVersion"):
            resource.pop("DeletionPolicy", None)  # Else every former version is kept.
    literal: Template = _with_literals(template, gone)
    return literal


def _is_empty_policy(resource: Template) -> bool:
    """Whether the resource is a policy without a statement."""
    return not resource.get("Properties", {}).get("PolicyDocument", {}).get("Statement", [True])


def _is_metric_math_alarm(resource: Template) -> bool:
    """Whether the resource is an alarm on metric math, which the emulator refuses."""
    return resource["Type"] == "AWS::CloudWatch::Alarm" and "Metrics" in resource["Properties"]


def _with_literals(node: Any, gone: Mapping[str, str]) -> Any:
    if isinstance(node, list):
        return [_with_literals(item, gone) for item in node]
    if not isinstance(node, dict):
        return node
    if node.get("Ref") in gone and len(node) == 1:
        return gone[node["Ref"]]
    if set(node) == {"Fn::GetAtt"}:
        target = node["Fn::GetAtt"]
        name, attribute = target.split(".", 1) if isinstance(target, str) else target
        return _attribute(name, attribute, gone) if name in gone else node
    if set(node) == {"Fn::Sub"} and isinstance(node["Fn::Sub"], str):

        def literal(match: re.Match[str]) -> str:
            name, _, attribute = match[1].partition(".")
            return _attribute(name, attribute, gone) if name in gone else match[0]

        return {"Fn::Sub": re.sub(r"\$\{([^!}][^}]*)\}", literal, node["Fn::Sub"])}
    changed = {key: _with_literals(value, gone) for key, value in node.items()}
    if "DependsOn" in changed and "Type" in changed:
        before = changed.pop("DependsOn")
        after = [n for n in ([before] if isinstance(before, str) else before) if n not in gone]
        if after:
            changed["DependsOn"] = after
    return changed


def _attribute(name: str, attribute: str, gone: Mapping[str, str]) -> str:
    """The literal for an attribute of a removed resource; its ARN is its Ref, if that is an ARN."""
    if not attribute or (attribute.endswith("Arn") and gone[name] != name):
        return gone[name]
    return f"{name}.{attribute}"
