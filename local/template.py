"""template.yaml as the emulator takes it: plain CloudFormation, without what a laptop cannot use.

Everything here is a pure function of the checkout; nothing is sent anywhere. What is not as on AWS:
the functions' packages come from the environment that runs the emulator instead of the dependencies
layer, the baseline from the checkout instead of its layer (each worker unpacks a copy of every
layer), and the API's OpenAPI body becomes native routes, because the emulator does not read it.
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
"""Layers that are not deployed, by their ContentUri."""

MEANINGLESS_TYPES = (
    "AWS::Batch::",
    "AWS::CloudFront::",
    "AWS::CodeBuild::",
    "AWS::CodeDeploy::",
    "AWS::EC2::",
    "AWS::ECR::",
)
"""Resources that are left out, by the beginning of their type."""

ORIGINS_GIVEN = "HasOrigins"
"""The template's condition for origins that are given, as local.settings always does."""

BATCH_KINDS = {
    "AWS::Batch::ComputeEnvironment": "compute-environment",
    "AWS::Batch::JobDefinition": "job-definition",
    "AWS::Batch::JobQueue": "job-queue",
}
"""What AWS Batch's ARNs call the resources whose Ref is their ARN."""

OF_A_JOB = {
    "ContainerProperties": ("Command", "Environment", "JobRoleArn", "LogConfiguration"),
    "JobDefinitionName": (),
    "Parameters": (),
    "RetryStrategy": (),
    "Timeout": (),
}
"""What of a job definition is of use without containers, and of its container's properties."""

JOB_OUTPUT = "LocalJob"
"""The beginning of the outputs that bring a job definition's values back resolved."""

MEANINGLESS_PROPERTIES = (
    "Architectures",
    "DeploymentPreference",  # Shifting traffic by the minute, for one user.
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
    """A template to deploy, with the objects that it names in ARTEFACTS_BUCKET by key.

    `jobs` are the properties of its job definitions by logical id; an intrinsic in them has become
    `{"Output": name}`, for the template's output of that name.
    """

    template: Template
    parameters: dict[str, str]
    artefacts: dict[str, bytes]
    jobs: dict[str, Template] = field(default_factory=dict)


def prepare(root: Path, parameters: Mapping[str, str], environment: Mapping[str, str]) -> Prepared:
    """Turn the checkout at `root` into what can be deployed here.

    `parameters` override the template's defaults, `environment` is added to every function's.
    Raises StackError where the template has no such parameter, or cannot be transformed.
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
    _open_to_the_stand_in(plain["Resources"])
    deployable = _without_meaningless(plain)
    _with_passwords_as_asked(deployable["Resources"])
    _with_numbers_of_workers(deployable, parameters)
    return Prepared(deployable, dict(parameters), artefacts, outputs)


def read(path: Path) -> Template:
    """A template file with its short forms spelt out: {"Ref": ...}, {"Fn::GetAtt": [...]}."""
    from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]

    template: Template = json.loads(json.dumps(yaml_parse(path.read_text())))
    return template


def _localize(template: Template, root: Path, environment: Mapping[str, str]) -> dict[str, bytes]:
    """Change a SAM template in place so that it deploys artefacts made from `root`; return them."""
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
    for name in MEANINGLESS_PROPERTIES:
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
    """The translator asks IAM for the ARNs of AWS's policies; the template names none."""

    def load(self) -> dict[str, str]:
        return {}


def _with_given_origins(node: Any) -> Any:
    """A template that lets in the origins it is given: its own page's is CloudFront's."""
    if isinstance(node, list):
        return [_with_given_origins(item) for item in node]
    if not isinstance(node, dict):
        return node
    if set(node) == {"Fn::If"} and node["Fn::If"][0] == ORIGINS_GIVEN:
        return node["Fn::If"][1]
    return {key: _with_given_origins(value) for key, value in node.items() if key != ORIGINS_GIVEN}


def _routes_from_bodies(resources: dict[str, Any]) -> None:
    """Give each HTTP API whose routes are in an OpenAPI body the same as resources, in place."""
    for name, resource in list(resources.items()):
        if resource["Type"] == "AWS::ApiGatewayV2::Api" and "Body" in resource["Properties"]:
            resources.update(_native(name, resource["Properties"]))


def _native(api: str, properties: Template) -> dict[str, Any]:
    """The integrations and routes of one API; `properties` lose the body that they came from."""
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
    """The job definitions, their intrinsics moved into outputs of the template, in place."""
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
                for key, parts in OF_A_JOB.items()
                if key in given
            }
            jobs[name] = moved(useful)
    return jobs


def _without_tls(resources: dict[str, Any]) -> None:
    """Leave out the policies' statements that deny what comes without TLS, in place.

    Nothing here has TLS, and with LOCAL_AUTH nothing would get past them.
    """
    for resource in resources.values():
        document = resource.get("Properties", {}).get("PolicyDocument")
        if document:
            document["Statement"] = [
                statement
                for statement in document["Statement"]
                if "aws:SecureTransport" not in json.dumps(statement.get("Condition"))
            ]


def _open_to_the_stand_in(resources: dict[str, Any]) -> None:
    """Let local.stack assume the roles of containers, in place.

    It is no service of AWS, so it cannot fulfil a condition on what such a service acts for.
    """
    for resource in resources.values():
        if resource["Type"] == "AWS::IAM::Role":
            for statement in resource["Properties"]["AssumeRolePolicyDocument"]["Statement"]:
                if statement.get("Principal") == {"Service": "ecs-tasks.amazonaws.com"}:
                    statement.pop("Condition", None)


def _with_passwords_as_asked(resources: dict[str, Any]) -> None:
    """Say ExcludePunctuation, which the emulator does not read, as ExcludeCharacters, in place."""
    for resource in resources.values():
        if resource["Type"] == "AWS::SecretsManager::Secret":
            asked = resource["Properties"].get("GenerateSecretString", {})
            if asked.get("ExcludePunctuation"):
                kept_out = asked.get("ExcludeCharacters", "") + string.punctuation
                asked["ExcludeCharacters"] = kept_out


def _with_numbers_of_workers(template: Template, parameters: Mapping[str, str]) -> None:
    """Say how many executions a queue may have as a number, in place.

    Of a parameter the emulator makes text, with which its poller fails on every queue.
    """
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Lambda::EventSourceMapping":
            scaling = resource["Properties"].get("ScalingConfig", {})
            asked = scaling.get("MaximumConcurrency")
            if isinstance(asked, dict):
                name = asked["Ref"]
                given = parameters.get(name, template["Parameters"][name]["Default"])
                scaling["MaximumConcurrency"] = int(given)


def _without_meaningless(template: Template) -> Template:
    """Leave out MEANINGLESS_TYPES, and single resources that say nothing or nothing here.

    References to one of them become literals: AWS Batch's ARNs, or else the resource's name.
    """
    template.pop("Rules", None)  # About Fargate's sizes.
    resources = template["Resources"]
    gone = {
        name: arn(BATCH_KINDS[resource["Type"]], name) if resource["Type"] in BATCH_KINDS else name
        for name, resource in resources.items()
        if resource["Type"].startswith(MEANINGLESS_TYPES)
        or _says_nothing(resource)
        or _is_of_metric_math(resource)
    }
    for name in gone:
        del resources[name]
    for resource in resources.values():
        resource.pop("UpdatePolicy", None)  # CodeDeploy's
        if resource["Type"] in ("AWS::Lambda::Version", "AWS::Lambda::LayerVersion"):
            resource.pop("DeletionPolicy", None)  # Or every change of code is kept for ever.
    literal: Template = _with_literals(template, gone)
    return literal


def _says_nothing(resource: Template) -> bool:
    """Whether it is a policy without a statement."""
    return not resource.get("Properties", {}).get("PolicyDocument", {}).get("Statement", [True])


def _is_of_metric_math(resource: Template) -> bool:
    """Whether it is an alarm on a sum of metrics, which the emulator refuses."""
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
    """What a resource that is left out answers; its ARN is that of its Ref where that is one."""
    if not attribute or (attribute.endswith("Arn") and gone[name] != name):
        return gone[name]
    return f"{name}.{attribute}"
