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
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local import StackError
from local.artefacts import digest, function_zip, layer_zip
from local.settings import REGION

ARTEFACTS_BUCKET = "artefacts"

FROM_CHECKOUT = {"layers/dependencies", "layers/baseline"}
"""Layers that are not deployed, by their ContentUri."""

MEANINGLESS_TYPES = ("AWS::Batch::", "AWS::CloudFront::", "AWS::CodeDeploy::", "AWS::EC2::")
"""Resources that are left out, by the beginning of their type."""

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
    """A template to deploy, with the objects that it names in ARTEFACTS_BUCKET by key."""

    template: Template
    parameters: dict[str, str]
    artefacts: dict[str, bytes]


def prepare(root: Path, parameters: Mapping[str, str], environment: Mapping[str, str]) -> Prepared:
    """Turn the checkout at `root` into what can be deployed here.

    `parameters` override the template's defaults, `environment` is added to every function's.
    Raises StackError where the template has no such parameter, or cannot be transformed.
    """
    template = _read(root / "template.yaml")
    unknown = set(parameters) - set(template.get("Parameters", {}))
    if unknown:
        raise StackError(f"template.yaml has no parameter {', '.join(sorted(unknown))}.")
    artefacts = _localize(template, root, environment)
    plain = _transform(template, parameters)
    _routes_from_bodies(plain["Resources"])
    return Prepared(_without_meaningless(plain), dict(parameters), artefacts)


def _read(path: Path) -> Template:
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


def _without_meaningless(template: Template) -> Template:
    """Leave out MEANINGLESS_TYPES; references to one of them become its name as a literal."""
    resources = template["Resources"]
    gone = {n for n, r in resources.items() if r["Type"].startswith(MEANINGLESS_TYPES)}
    for name in gone:
        del resources[name]
    for resource in resources.values():
        resource.pop("UpdatePolicy", None)  # CodeDeploy's
        if resource["Type"] in ("AWS::Lambda::Version", "AWS::Lambda::LayerVersion"):
            resource.pop("DeletionPolicy", None)  # Or every change of code is kept for ever.
    literal: Template = _with_literals(template, gone)
    return literal


def _with_literals(node: Any, gone: set[str]) -> Any:
    if isinstance(node, list):
        return [_with_literals(item, gone) for item in node]
    if not isinstance(node, dict):
        return node
    if node.get("Ref") in gone and len(node) == 1:
        return node["Ref"]
    if set(node) == {"Fn::GetAtt"}:
        target = node["Fn::GetAtt"]
        parts = target.split(".", 1) if isinstance(target, str) else target
        return ".".join(parts) if parts[0] in gone else node
    if set(node) == {"Fn::Sub"} and isinstance(node["Fn::Sub"], str):

        def literal(match: re.Match[str]) -> str:
            return match[1] if match[1].split(".")[0] in gone else match[0]

        return {"Fn::Sub": re.sub(r"\$\{([^!}][^}]*)\}", literal, node["Fn::Sub"])}
    changed = {key: _with_literals(value, gone) for key, value in node.items()}
    if "DependsOn" in changed and "Type" in changed:
        before = changed.pop("DependsOn")
        after = [n for n in ([before] if isinstance(before, str) else before) if n not in gone]
        if after:
            changed["DependsOn"] = after
    return changed
