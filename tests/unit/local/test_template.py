"""The prepared template deploys the same service, without what only AWS has."""

import io
import json
import zipfile

import pytest

from local import StackError
from local.template import ARTEFACTS_BUCKET, prepare

TEMPLATE = """
AWSTemplateFormatVersion: '2010-09-09'
Transform: AWS::Serverless-2016-10-31
Parameters:
  AllowedOrigins: {Type: CommaDelimitedList, Default: 'http://localhost:1'}
Globals:
  Function:
    Runtime: python3.13
    Architectures: [arm64]
    AutoPublishAlias: live
    SnapStart: {ApplyOn: PublishedVersions}
    Layers: [!Ref LibraryLayer, !Ref DependenciesLayer, !Ref BaselineLayer]
    Environment: {Variables: {LOG_LEVEL: INFO, QUEUE: !Ref Queue}}
Resources:
  Api:
    Type: AWS::Serverless::HttpApi
    Properties: {CorsConfiguration: {AllowOrigins: !Ref AllowedOrigins, AllowMethods: [GET]}}
  PredictFunction:
    Type: AWS::Serverless::Function
    DependsOn: [Vpc, Bucket]
    Properties:
      CodeUri: functions/
      Handler: functions.predict.app.handler
      DeploymentPreference: {Type: Canary10Percent5Minutes}
      Environment: {Variables: {SUBNET: !Sub '${Vpc.CidrBlock}/${AWS::Region}'}}
      Events:
        Status: {Type: HttpApi, Properties: {ApiId: !Ref Api, Method: GET, Path: /status}}
        Predict: {Type: HttpApi, Properties: {ApiId: !Ref Api, Method: POST, Path: /predict}}
        Any: {Type: HttpApi, Properties: {ApiId: !Ref Api, Method: ANY, Path: '/x/{proxy+}'}}
        Unknown: {Type: HttpApi, Properties: {ApiId: !Ref Api}}
  LibraryLayer:
    Type: AWS::Serverless::LayerVersion
    Properties: {ContentUri: layers/clickbait/, CompatibleArchitectures: [arm64]}
  DependenciesLayer:
    Type: AWS::Serverless::LayerVersion
    Properties: {ContentUri: layers/dependencies/}
  BaselineLayer:
    Type: AWS::Serverless::LayerVersion
    Properties: {ContentUri: layers/baseline/}
  Bucket: {Type: AWS::S3::Bucket}
  Queue: {Type: AWS::Batch::JobQueue, Properties: {Priority: 1}}
  Vpc: {Type: AWS::EC2::VPC, Properties: {CidrBlock: 10.0.0.0/16}}
Outputs:
  Cidr: {Value: !GetAtt Vpc.CidrBlock}
"""


@pytest.fixture
def checkout(tmp_path):
    files = {
        "template.yaml": TEMPLATE,
        "openapi.json": "{}",
        "functions/predict/app.py": "handler = None\n",
        "functions/Makefile": "build:\n",
        "functions/predict/__pycache__/app.pyc": "old",
        "layers/clickbait/python/clickbait/__init__.py": "",
        ".venv/lib/heavy.py": "",
        ".git/HEAD": "",
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    return tmp_path


def prepared(checkout):
    return prepare(checkout, {"AllowedOrigins": "http://a,http://b"}, {"MODEL_PATH": "/model"})


def resources(checkout, kind):
    found = prepared(checkout).template["Resources"]
    return {k: r["Properties"] for k, r in found.items() if r["Type"] == kind}


def contents(checkout, name):
    (content,) = [v for k, v in prepared(checkout).artefacts.items() if k.startswith(name)]
    return zipfile.ZipFile(io.BytesIO(content)).namelist()


def test_the_function_is_its_package_and_the_api_description_and_nothing_else(checkout):
    expected = ["functions/predict/app.py", "layers.sha256", "openapi.json"]
    assert contents(checkout, "functions-") == expected
    assert contents(checkout, "LibraryLayer-") == ["python/clickbait/__init__.py"]
    assert len(prepared(checkout).artefacts) == 2


def test_packages_and_baseline_come_from_the_environment_not_from_layers(checkout):
    (layer,) = resources(checkout, "AWS::Lambda::LayerVersion").values()
    (function,) = resources(checkout, "AWS::Lambda::Function").values()
    assert layer["Content"]["S3Bucket"] == ARTEFACTS_BUCKET
    assert len(function["Layers"]) == 1
    assert function["Environment"]["Variables"]["MODEL_PATH"] == "/model"
    assert function["Environment"]["Variables"]["LOG_LEVEL"] == "INFO"


def test_what_only_aws_has_is_left_out_and_references_to_it_become_literals(checkout):
    template = prepared(checkout).template
    kinds = {resource["Type"] for resource in template["Resources"].values()}
    assert not [k for k in kinds if k.startswith(("AWS::Batch", "AWS::CodeDeploy", "AWS::EC2"))]
    (function,) = resources(checkout, "AWS::Lambda::Function").values()
    assert "SnapStart" not in function and function.get("Architectures") != ["arm64"]
    variables = function["Environment"]["Variables"]
    assert variables["QUEUE"] == "Queue"
    assert variables["SUBNET"] == {"Fn::Sub": "Vpc.CidrBlock/${AWS::Region}"}
    assert template["Outputs"]["Cidr"]["Value"] == "Vpc.CidrBlock"
    assert template["Resources"]["PredictFunction"]["DependsOn"] == ["Bucket"]


def test_every_route_of_the_api_is_a_resource_of_its_own(checkout):
    routes = resources(checkout, "AWS::ApiGatewayV2::Route")
    keys = {route["RouteKey"] for route in routes.values()}
    assert keys == {"GET /status", "POST /predict", "ANY /x/{proxy+}", "$default"}
    (name,) = resources(checkout, "AWS::ApiGatewayV2::Integration")
    assert {json.dumps(route["Target"]) for route in routes.values()} == {
        json.dumps({"Fn::Join": ["/", ["integrations", {"Ref": name}]]})
    }
    (api,) = resources(checkout, "AWS::ApiGatewayV2::Api").values()
    assert "Body" not in api and api["ProtocolType"] == "HTTP"
    assert set(api["CorsConfiguration"]) >= {"AllowOrigins", "AllowMethods"}


@pytest.mark.parametrize(
    "changed", ["functions/predict/app.py", "layers/clickbait/python/clickbait/__init__.py"]
)
def test_a_change_of_code_or_of_a_layer_alone_publishes_a_new_version(checkout, changed):
    def version():
        (name,) = resources(checkout, "AWS::Lambda::Version")
        return name

    before = version()
    assert version() == before
    (checkout / changed).write_text("changed = True\n")
    assert version() != before


def test_a_parameter_that_the_template_does_not_have_is_refused(checkout):
    with pytest.raises(StackError, match="no parameter Colour"):
        prepare(checkout, {"Colour": "red"}, {})
