"""The prepared template deploys the same service, without what only AWS has."""

import io
import json
import zipfile

import pytest

from local.template import ARTEFACTS_BUCKET, prepare
from ops import StackError

TEMPLATE = """
AWSTemplateFormatVersion: '2010-09-09'
Transform: AWS::Serverless-2016-10-31
Parameters:
  AllowedOrigins: {Type: CommaDelimitedList, Default: ''}
  Workers: {Type: Number, Default: 5}
Conditions:
  HasOrigins: !Not [!Equals [!Join ['', !Ref AllowedOrigins], '']]
  HasPage: !Equals [!Ref Page, cloudfront]
  PagesCall: !Or [!Condition HasPage, !Condition HasOrigins]
Globals:
  Function:
    Runtime: python3.13
    Architectures: [x86_64]
    AutoPublishAlias: live
    SnapStart: {ApplyOn: PublishedVersions}
    Layers: [!Ref LibraryLayer, !Ref DependenciesLayer, !Ref BaselineLayer]
    Environment: {Variables: {LOG_LEVEL: INFO, QUEUE: !Ref Queue}}
Resources:
  Api:
    Type: AWS::Serverless::HttpApi
    Properties:
      CorsConfiguration: !If
        - PagesCall
        - AllowMethods: [GET]
          AllowOrigins: &Origins !If
            - HasPage
            - [!Sub 'https://${Site.DomainName}']
            - !Ref AllowedOrigins
        - !Ref AWS::NoValue
  Site: {Type: AWS::CloudFront::Distribution, Condition: HasPage}
  SiteBucket: {Type: AWS::S3::Bucket, Condition: HasPage}
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
    Properties: {ContentUri: layers/clickbait/, CompatibleArchitectures: [x86_64]}
  DependenciesLayer:
    Type: AWS::Serverless::LayerVersion
    Properties: {ContentUri: layers/dependencies/}
  BaselineLayer:
    Type: AWS::Serverless::LayerVersion
    Properties: {ContentUri: layers/baseline/}
  Bucket:
    Type: AWS::S3::Bucket
    DependsOn: TlsPolicy
    Properties:
      Origins: *Origins
  TlsPolicy:
    Type: AWS::S3::BucketPolicy
    Properties:
      Bucket: !Ref Bucket
      PolicyDocument:
        Statement:
          - {Effect: Deny, Principal: '*', Condition: {Bool: {aws:SecureTransport: false}}}
  MessagesPolicy:
    Type: AWS::SQS::QueuePolicy
    Properties:
      PolicyDocument:
        Statement:
          - {Sid: Keep, Effect: Allow, Principal: {Service: s3.amazonaws.com}}
          - {Effect: Deny, Principal: '*', Condition: {Bool: {aws:SecureTransport: false}}}
  Secret:
    Type: AWS::SecretsManager::Secret
    Properties: {GenerateSecretString: {PasswordLength: 48, ExcludePunctuation: true}}
  Mapping:
    Type: AWS::Lambda::EventSourceMapping
    Properties: {ScalingConfig: {MaximumConcurrency: !Ref Workers}}
  Plain: {Type: AWS::CloudWatch::Alarm, Properties: {Namespace: Clickbait, MetricName: Faults}}
  Sum:
    Type: AWS::CloudWatch::Alarm
    Properties: {Metrics: [{Id: both, Expression: 'SUM([a, b])'}]}
  Images: {Type: AWS::ECR::Repository}
  Build: {Type: AWS::CodeBuild::Project, Properties: {Name: !GetAtt Images.RepositoryUri}}
  JobRole:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Statement:
          - Effect: Allow
            Principal: {Service: ecs-tasks.amazonaws.com}
            Action: sts:AssumeRole
            Condition: {StringEquals: {aws:SourceAccount: !Ref AWS::AccountId}}
  Trainings:
    Type: AWS::Batch::JobDefinition
    Properties:
      JobDefinitionName: !Sub ${AWS::StackName}-training
      Type: container
      PlatformCapabilities: [FARGATE]
      RetryStrategy: {Attempts: 3, EvaluateOnExit: [{OnExitCode: '2', Action: EXIT}]}
      ContainerProperties:
        Image: !Sub ${Images.RepositoryUri}:latest
        Command: [python, -m, training.job]
        Environment:
          - {Name: BUCKET, Value: !Ref Bucket}
          - {Name: PLAIN, Value: as it is}
          - {Name: QUEUE, Value: !Ref Queue}
        JobRoleArn: !GetAtt JobRole.Arn
  Queue: {Type: AWS::Batch::JobQueue, Properties: {Priority: 1}}
  Vpc: {Type: AWS::EC2::VPC, Properties: {CidrBlock: 10.0.0.0/16}}
Outputs:
  Cidr: {Value: !GetAtt Vpc.CidrBlock}
  QueueArn: {Value: !GetAtt Queue.JobQueueArn}
  Trainings: {Value: !Ref Trainings}
  Repository: {Value: !Sub 'at ${Images.RepositoryUri}'}
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
    only_there = ("Batch", "CloudFront", "CodeBuild", "CodeDeploy", "EC2", "ECR")
    assert not [kind for kind in kinds if kind.split("::")[1] in only_there]
    (function,) = resources(checkout, "AWS::Lambda::Function").values()
    assert "SnapStart" not in function and function.get("Architectures") != ["x86_64"]
    variables = function["Environment"]["Variables"]
    queue = "arn:aws:batch:us-east-1:000000000000:job-queue/Queue"
    assert variables["QUEUE"] == queue
    outputs = {name: output["Value"] for name, output in template["Outputs"].items()}
    assert outputs["QueueArn"] == queue
    assert outputs["Trainings"].endswith(":job-definition/Trainings")
    assert outputs["Repository"] == {"Fn::Sub": "at Images.RepositoryUri"}
    assert variables["SUBNET"] == {"Fn::Sub": "Vpc.CidrBlock/${AWS::Region}"}
    assert outputs["Cidr"] == "Vpc.CidrBlock"
    assert template["Resources"]["PredictFunction"]["DependsOn"] == ["Bucket"]


def test_the_origins_that_are_given_may_call_and_the_page_of_aws_may_not(checkout):
    (api,) = resources(checkout, "AWS::ApiGatewayV2::Api").values()
    cors = api["CorsConfiguration"]
    assert (cors["AllowOrigins"], cors["AllowMethods"]) == (["http://a", "http://b"], ["GET"])
    (bucket,) = resources(checkout, "AWS::S3::Bucket").values()
    assert bucket["Origins"] == {"Ref": "AllowedOrigins"}
    assert not prepared(checkout).template["Conditions"]


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


def test_a_job_definition_keeps_what_needs_no_container_and_its_values_become_outputs(checkout):
    deployable = prepared(checkout)
    (job,) = deployable.jobs.values()
    assert set(job) == {"JobDefinitionName", "RetryStrategy", "ContainerProperties"}
    assert set(job["ContainerProperties"]) == {"Command", "Environment", "JobRoleArn"}
    outputs = deployable.template["Outputs"]

    def resolved(node):
        return outputs[node["Output"]]["Value"]

    assert resolved(job["JobDefinitionName"]) == {"Fn::Sub": "${AWS::StackName}-training"}
    bucket, plain, queue = (each["Value"] for each in job["ContainerProperties"]["Environment"])
    assert resolved(bucket) == {"Ref": "Bucket"}
    assert plain == "as it is"
    assert resolved(queue).endswith(":job-queue/Queue")
    assert resolved(job["ContainerProperties"]["JobRoleArn"])["Fn::GetAtt"][0] == "JobRole"


def test_nothing_is_denied_for_coming_without_tls(checkout):
    template = prepared(checkout).template
    assert not resources(checkout, "AWS::S3::BucketPolicy")
    assert "DependsOn" not in template["Resources"]["Bucket"]
    (policy,) = resources(checkout, "AWS::SQS::QueuePolicy").values()
    assert [statement["Sid"] for statement in policy["PolicyDocument"]["Statement"]] == ["Keep"]


def test_an_alarm_on_a_sum_is_left_out_because_the_emulator_refuses_it(checkout):
    assert list(resources(checkout, "AWS::CloudWatch::Alarm")) == ["Plain"]


def test_how_many_may_work_on_a_queue_is_a_number_and_not_a_reference_to_one(checkout):
    def concurrency(**parameters):
        template = prepare(checkout, parameters, {}).template
        (mapping,) = [
            resource["Properties"]
            for resource in template["Resources"].values()
            if resource["Type"] == "AWS::Lambda::EventSourceMapping"
        ]
        return mapping["ScalingConfig"]["MaximumConcurrency"]

    assert (concurrency(), concurrency(Workers="7")) == (5, 7)


def test_a_token_has_no_punctuation(checkout):
    (secret,) = resources(checkout, "AWS::SecretsManager::Secret").values()
    assert set(secret["GenerateSecretString"]["ExcludeCharacters"]) >= set("!\"'$&;<>?\\`{|}~")


def test_the_stand_in_may_assume_a_jobs_role(checkout):
    statements = [
        statement
        for role in resources(checkout, "AWS::IAM::Role").values()
        for statement in role["AssumeRolePolicyDocument"]["Statement"]
        if "ecs-tasks.amazonaws.com" in json.dumps(statement["Principal"])
    ]
    assert [statement.get("Condition") for statement in statements] == [None]
