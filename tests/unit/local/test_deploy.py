"""A deployment creates or updates, and says which resource failed and why."""

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError

from local import deploy
from local.deploy import STACK_NAME
from local.template import Prepared
from ops import StackError

PREPARED = Prepared(
    {
        "Resources": {
            "Api": {
                "Type": "AWS::ApiGatewayV2::Api",
                "Properties": {
                    "CorsConfiguration": {
                        "AllowOrigins": {"Ref": "AllowedOrigins"},
                        "AllowMethods": ["GET"],
                    }
                },
            },
            "Table": {
                "Type": "AWS::DynamoDB::Table",
                "Properties": {
                    "TimeToLiveSpecification": {"AttributeName": "expires", "Enabled": True}
                },
            },
        }
    },
    {"AllowedOrigins": "http://a,http://b"},
    {"functions-1.zip": b"new"},
    {"JobDefinition": {"Environment": [{"Name": "B", "Value": {"Output": "LocalJob0"}}]}},
)


def refusal(message: str) -> ClientError:
    return ClientError({"Error": {"Code": "ValidationError", "Message": message}}, "UpdateStack")


class FakeCloud:
    """The emulator as far as a deployment sees it; every client is this one object."""

    def __init__(self, status: str | None = None, ends: str = "COMPLETE", refuses: str = ""):
        self.status, self.ends, self.refuses = status, ends, refuses
        self.calls: list[str] = []
        self.objects = {"functions-0.zip": b"old"}
        self.cors: dict = {}
        self.expiry: dict = {}
        self.log = "cloud.log"
        self.settings = SimpleNamespace(cloud_url="http://cloud")

    def client(self, service: str) -> "FakeCloud":
        return self

    def create_bucket(self, Bucket):
        pass

    def put_object(self, Bucket, Key, Body):
        self.objects[Key] = Body

    def list_objects_v2(self, Bucket):
        return {"Contents": [{"Key": key} for key in list(self.objects)]}

    def delete_object(self, Bucket, Key):
        del self.objects[Key]

    def describe_stacks(self, StackName):
        if self.status is None:
            raise refusal(f"Stack with id {StackName} does not exist")
        parameters = [{"ParameterKey": "AllowedOrigins", "ParameterValue": "http://a,http://b"}]
        outputs = [
            {"OutputKey": "DataBucket", "OutputValue": "data"},
            {"OutputKey": "LocalJob0", "OutputValue": "data too"},
        ]
        return {
            "Stacks": [{"StackStatus": self.status, "Parameters": parameters, "Outputs": outputs}]
        }

    def change(self, verb):
        self.calls.append(verb)
        if self.refuses:
            raise refusal(self.refuses)
        self.status = f"{verb}_{self.ends}"

    def create_stack(self, TemplateURL, **_):
        assert TemplateURL.removeprefix("http://cloud/artefacts/") in self.objects
        self.change("CREATE")

    def update_stack(self, **_):
        self.change("UPDATE")

    def delete_stack(self, StackName):
        self.calls.append("DELETE")
        self.status = None

    def describe_stack_events(self, StackName):
        stack, bucket, function = (
            {"ResourceType": kind, "LogicalResourceId": name, "Timestamp": datetime.now(UTC)}
            for kind, name in (
                ("AWS::CloudFormation::Stack", STACK_NAME),
                ("AWS::S3::Bucket", "DataBucket"),
                ("AWS::Lambda::Function", "PredictFunction"),
            )
        )
        newest_first = [
            function | {"ResourceStatus": "CREATE_FAILED", "ResourceStatusReason": "no zip"},
            bucket | {"ResourceStatus": "CREATE_FAILED", "ResourceStatusReason": "bad name"},
            stack | {"ResourceStatus": "CREATE_IN_PROGRESS"},
            bucket | {"ResourceStatus": "CREATE_FAILED", "ResourceStatusReason": "long ago"},
        ]
        return {"StackEvents": newest_first}

    def describe_stack_resources(self, StackName):
        found = [
            ("Api", "AWS::ApiGatewayV2::Api", "abc"),
            ("Predict", "AWS::Lambda::Function", "predict"),
            ("Table", "AWS::DynamoDB::Table", "stack"),
        ]
        return {
            "StackResources": [
                {"LogicalResourceId": logical, "ResourceType": kind, "PhysicalResourceId": name}
                for logical, kind, name in found
            ]
        }

    def update_time_to_live(self, TableName, TimeToLiveSpecification):
        self.expiry[TableName] = TimeToLiveSpecification

    def update_api(self, ApiId, CorsConfiguration):
        self.cors = CorsConfiguration

    def get_function_configuration(self, FunctionName):
        return {"LoggingConfig": {}}


def test_what_is_not_there_is_created_and_its_outputs_come_back():
    cloud = FakeCloud()
    deployed = deploy.deploy(cloud, PREPARED)
    assert cloud.calls == ["CREATE"]
    assert deployed.api_id == "abc"
    assert deployed.outputs == {"DataBucket": "data"}
    assert deployed.log_groups == ["/aws/lambda/predict"]


def test_what_is_there_is_updated_and_former_artefacts_are_forgotten():
    cloud = FakeCloud("UPDATE_COMPLETE")
    deploy.deploy(cloud, PREPARED)
    assert cloud.calls == ["UPDATE"]
    template = {name for name in cloud.objects if name.startswith("template-")}
    assert len(template) == 1
    assert set(cloud.objects) == template | {"functions-1.zip"}


def test_nothing_to_update_is_no_failure():
    cloud = FakeCloud("CREATE_COMPLETE", refuses="No updates are to be performed.")
    assert deploy.deploy(cloud, PREPARED).api_id == "abc"


def test_a_first_deployment_that_failed_is_made_again():
    cloud = FakeCloud("ROLLBACK_COMPLETE")
    deploy.deploy(cloud, PREPARED)
    assert cloud.calls == ["DELETE", "CREATE"]


def test_a_template_that_is_refused_is_told_in_one_line():
    with pytest.raises(StackError, match=r"refused the template: Unrecognized resource types: \[X"):
        deploy.deploy(FakeCloud(refuses="Unrecognized resource types: [X::Y]"), PREPARED)


def test_a_failed_deployment_names_its_resources_and_not_those_of_an_earlier_one():
    with pytest.raises(StackError) as failure:
        deploy.deploy(FakeCloud(ends="FAILED"), PREPARED)
    assert str(failure.value).endswith("DataBucket: bad name; PredictFunction: no zip")


def test_cors_is_set_through_the_api_with_the_parameters_values():
    cloud = FakeCloud()
    deploy.deploy(cloud, PREPARED)
    assert cloud.cors == {"AllowOrigins": ["http://a", "http://b"], "AllowMethods": ["GET"]}


def test_a_tables_expiry_is_set_through_the_api():
    cloud = FakeCloud()
    deploy.deploy(cloud, PREPARED)
    assert cloud.expiry == {"stack": {"AttributeName": "expires", "Enabled": True}}


def test_a_job_definition_comes_back_with_its_values():
    deployed = deploy.deploy(FakeCloud(), PREPARED)
    assert deployed.jobs == {"JobDefinition": {"Environment": [{"Name": "B", "Value": "data too"}]}}


def test_a_deployment_that_never_ends_is_given_up(monkeypatch):
    clock = iter([0.0, deploy.DEPLOY_SECONDS + 1])
    fake = SimpleNamespace(monotonic=lambda: next(clock), sleep=lambda _: None)
    monkeypatch.setattr(deploy, "time", fake)
    with pytest.raises(StackError, match="still CREATE_IN_PROGRESS"):
        deploy.deploy(FakeCloud(ends="IN_PROGRESS"), PREPARED)
