"""With LOCAL_AUTH=true the emulator enforces IAM: each role can do its own work and no other.

tests/template reads the policies; these tests try them.
"""

import pytest
from botocore.exceptions import ClientError

from tests.local_stack import LocalStack

pytestmark = pytest.mark.end_to_end


def client_of(stack: LocalStack, role: str, service: str):
    """A client with the rights of one of the template's roles."""
    found = stack.cloud("cloudformation").describe_stack_resource(
        StackName="clickbait", LogicalResourceId=role
    )
    name = found["StackResourceDetail"]["PhysicalResourceId"]
    arn = stack.cloud("iam").get_role(RoleName=name)["Role"]["Arn"]
    keys = stack.cloud("sts").assume_role(RoleArn=arn, RoleSessionName="test")["Credentials"]
    return stack.cloud(
        service,
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["SessionToken"],
    )


def denied(call, **arguments) -> bool:
    try:
        call(**arguments)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        assert code in ("AccessDenied", "AccessDeniedException"), code
        return True
    return False


def test_predict_cannot_write_a_model(stack):
    models = stack.description()["outputs"]["ModelsBucket"]
    s3 = client_of(stack, "PredictRole", "s3")
    assert not denied(s3.list_objects_v2, Bucket=models)
    for key in ("champion.json", "versions/a/model.tflite", "promotions/a.json"):
        assert denied(s3.put_object, Bucket=models, Key=key, Body=b"x"), key
        assert denied(s3.delete_object, Bucket=models, Key=key), key


def test_only_functions_that_check_the_token_read_the_secret(stack):
    secret = stack.description()["outputs"]["AdminSecret"]
    for role in ("WorkerRole", "RetrainRole", "LearnRole", "JobRole"):
        secrets = client_of(stack, role, "secretsmanager")
        assert denied(secrets.get_secret_value, SecretId=secret), role
    for role in ("PredictRole", "AdminRole"):
        secrets = client_of(stack, role, "secretsmanager")
        assert not denied(secrets.get_secret_value, SecretId=secret), role


def test_only_trainings_and_the_admin_change_the_live_model(stack):
    models = stack.description()["outputs"]["ModelsBucket"]
    for role, may in (
        ("PredictRole", False),
        ("RetrainRole", False),
        ("JobRole", True),
        ("AdminRole", True),
    ):
        s3 = client_of(stack, role, "s3")
        # The condition does not hold, so nothing is replaced. A role without the right gets
        # AccessDenied before the condition is checked.
        with pytest.raises(ClientError) as refused:
            s3.put_object(Bucket=models, Key="champion.json", Body=b"{}", IfMatch='"none"')
        assert (refused.value.response["Error"]["Code"] != "AccessDenied") is may, role
