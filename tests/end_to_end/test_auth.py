"""With LOCAL_AUTH=true the emulator enforces IAM: all works, and each role does only its own.

What a policy allows is also read from the template, in tests/template; here it is tried.
"""

import sys

import pytest
from botocore.exceptions import ClientError

from .conftest import LocalStack, copy_of_the_checkout, eventually
from .test_local_stack import picture

pytestmark = pytest.mark.end_to_end

PROBE = f"""exec {sys.executable} - <<'END'
import os
import boto3
print("identity", boto3.client("sts").get_caller_identity()["Arn"])
bucket = os.environ["MODELS_BUCKET"]
boto3.client("s3").put_object(Bucket=bucket, Key="versions/probe/model.tflite", Body=b"x")
print("put")
try:
    boto3.client("s3").delete_object(Bucket=bucket, Key="versions/probe/model.tflite")
    print("deleted")
except boto3.client("s3").exceptions.ClientError as error:
    print("delete:", error.response["Error"]["Code"])
raise SystemExit(2)
END
"""
"""A training that tries what it may do."""


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A stack that enforces IAM, and whose trainings are PROBE."""
    folder = tmp_path_factory.mktemp("guarded")
    checkout = copy_of_the_checkout(folder / "checkout")
    (checkout / "act.sh").write_text(PROBE)
    stack = LocalStack(folder / "state", checkout, LOCAL_AUTH="true")
    stack.start()
    try:
        yield stack
    finally:
        stack.stop()


def client_of(stack: LocalStack, role: str, service: str):
    """A client that is nothing but the template's role of this name."""
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


def test_predictions_are_answered(guarded):
    with guarded.client() as client:
        answer = client.post("/predict", files={"file": ("a.jpg", picture(), "image/jpeg")})
    assert answer.status_code == 200, answer.text


def test_an_upload_is_taken_in_and_a_bad_one_put_aside(guarded):
    bucket = guarded.description()["outputs"]["DataBucket"]
    s3 = guarded.cloud("s3")
    s3.put_object(Bucket=bucket, Key="train/clickbait_fake/good.jpg", Body=picture())
    s3.put_object(Bucket=bucket, Key="train/clickbait_fake/bad.jpg", Body=b"no image")

    def rejected() -> bool:
        return bool(s3.list_objects_v2(Bucket=bucket, Prefix="rejected/").get("Contents"))

    assert eventually(rejected, 30)
    with guarded.admin() as admin:
        assert eventually(lambda: admin.get("/dataset").json()["images"] == 1, 30)


def test_a_training_runs_as_its_own_role_and_cannot_take_a_version_back(guarded):
    with guarded.admin() as admin:
        answer = admin.post("/retrain", json={})
        assert answer.status_code == 202, answer.text
        run = answer.json()["id"]
        # Only the retrain function ends it: its role is tried too.
        assert eventually(lambda: admin.get(f"/runs/{run}").json()["state"] == "FAILED", 30)
    log = guarded.job_log(run)
    assert "identity arn:aws:sts::000000000000:assumed-role/" in log and "JobRole" in log
    assert "\nput\n" in log
    assert "\ndelete: AccessDenied\n" in log


def test_predict_cannot_write_a_model(guarded):
    models = guarded.description()["outputs"]["ModelsBucket"]
    s3 = client_of(guarded, "PredictRole", "s3")
    assert not denied(s3.list_objects_v2, Bucket=models)
    for key in ("champion.json", "versions/a/model.tflite", "promotions/a.json"):
        assert denied(s3.put_object, Bucket=models, Key=key, Body=b"x"), key
        assert denied(s3.delete_object, Bucket=models, Key=key), key


def test_only_admin_reads_the_secret(guarded):
    secret = guarded.description()["outputs"]["AdminSecret"]
    for role in ("PredictRole", "RetrainRole", "JobRole"):
        secrets = client_of(guarded, role, "secretsmanager")
        assert denied(secrets.get_secret_value, SecretId=secret), role
    admin = client_of(guarded, "AdminRole", "secretsmanager")
    assert not denied(admin.get_secret_value, SecretId=secret)


def test_what_is_live_is_decided_by_trainings_and_the_admin_alone(guarded):
    models = guarded.description()["outputs"]["ModelsBucket"]
    for role, may in (
        ("PredictRole", False),
        ("RetrainRole", False),
        ("JobRole", True),
        ("AdminRole", True),
    ):
        s3 = client_of(guarded, role, "s3")
        # Nothing is replaced: the condition does not hold, and who may not is told that first.
        with pytest.raises(ClientError) as refused:
            s3.put_object(Bucket=models, Key="champion.json", Body=b"{}", IfMatch='"none"')
        assert (refused.value.response["Error"]["Code"] != "AccessDenied") is may, role


def test_images_are_the_users_and_no_training_changes_them(guarded):
    data = guarded.description()["outputs"]["DataBucket"]
    key = "train/clickbait_fake/kept.jpg"
    guarded.cloud("s3").put_object(Bucket=data, Key=key, Body=picture())
    for role in ("PredictRole", "JobRole", "AdminRole"):
        assert denied(client_of(guarded, role, "s3").delete_object, Bucket=data, Key=key), role
    job = client_of(guarded, "JobRole", "s3")
    assert not denied(job.get_object, Bucket=data, Key=key)
    assert denied(job.put_object, Bucket=data, Key=key, Body=b"x")
