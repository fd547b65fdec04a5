"""A training runs here as a process with its own role; the stack keeps its jobs, state and code.

The tests run in order on one stack, whose checkout they change and which they end in three ways.
"""

import json
import signal
import stat
import sys
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from local.batch.jobs import NO_CAPACITY
from tests.local_stack import ROOT, LocalStack, copy_of_the_checkout
from tests.waiting import eventually

from .test_auth import client_of, denied

pytestmark = pytest.mark.end_to_end

SAMPLE = (ROOT / "sample.jpg").read_bytes()

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
"""A training that tries out its rights."""


@pytest.fixture(scope="module")
def acting(tmp_path_factory):
    """A stack that enforces IAM and whose trainings run `act.sh`."""
    folder = tmp_path_factory.mktemp("acting")
    checkout = copy_of_the_checkout(folder / "checkout")
    with LocalStack(folder / "state", checkout, LOCAL_AUTH="true") as stack:
        yield stack


def act(stack: LocalStack, script: str) -> None:
    (stack.checkout / "act.sh").write_text(script)


def start_a_run(stack: LocalStack) -> str:
    with stack.admin() as admin:
        # The API answers 409 until the end of the job before has been reported.
        response = eventually(
            lambda: (
                (sent := admin.post("/retrain", json={"method": "fine_tuning"})).status_code == 202
                and sent
            )
        )
        assert response, admin.get("/runs").text
        return response.json()["id"]


def ended(stack: LocalStack, run: str) -> dict:
    """The run after it has ended."""
    states = ("PROMOTED", "REJECTED", "FAILED", "CANCELLED")
    with stack.admin() as admin:

        def found() -> dict | None:
            body = admin.get(f"/runs/{run}").json()
            return body if body["state"] in states else None

        body = eventually(found)
    assert body, stack.job_log(run)
    return body


def test_the_admins_token_is_in_a_file_for_its_user_alone(acting):
    token = acting.state_dir / "admin-token"
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    assert token.read_text().strip().isalnum()
    with acting.client() as anybody:
        assert anybody.post("/retrain", json={}).status_code == 401


def subscribed(stack: LocalStack) -> str:
    """The URL of a new queue that gets the messages to the owner."""
    sqs = stack.cloud("sqs")
    queue = sqs.create_queue(QueueName="owner")["QueueUrl"]
    found = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": found["QueueArn"],
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})
    topic = stack.description()["outputs"]["NotifyTopic"]
    stack.cloud("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=found["QueueArn"])
    return queue


def test_a_job_runs_and_its_end_reaches_the_run_and_the_owner(acting):
    queue = subscribed(acting)
    act(acting, "echo table $TABLE run $RUN_ID; exit 2")
    run = start_a_run(acting)
    body = ended(acting, run)
    assert body["state"] == "FAILED" and body["reason"]
    message = eventually(
        lambda: acting.cloud("sqs").receive_message(QueueUrl=queue).get("Messages")
    )
    assert message, "the role may not publish, or the topic has no such subscriber"
    sent = json.loads(message[0]["Body"])
    assert sent["Subject"] == "Training failed"
    assert sent["Message"].startswith(f"{body['reason']}\n\nThe run is {run}.")
    log = acting.job_log(run)
    assert "-m training.job: attempt 1" in log and "attempt 2" not in log
    printed = f"table {acting.description()['outputs']['Table']} run {run}"
    assert printed in log
    groups = acting.cloud("logs").describe_log_groups(logGroupNamePrefix="/aws/batch/")["logGroups"]
    (group,) = [each["logGroupName"] for each in groups]

    def lines() -> list[str]:
        events = acting.cloud("logs").filter_log_events(logGroupName=group)["events"]
        return [event["message"] for event in events]

    assert eventually(lambda: printed in lines()), lines()


def test_retrain_follows_a_run_to_its_end(acting):
    act(acting, "exit 0")
    output = acting.operate("retrain", "--method", "fine_tuning", status=1)
    assert output.startswith("run 2") and "FAILED: " in output.splitlines()[-1]


def cancel(stack: LocalStack, run: str) -> dict:
    with stack.admin() as admin:
        answer = admin.post(f"/runs/{run}/cancel")
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_run_is_cancelled_while_it_waits_and_while_it_trains_and_the_next_one_starts(acting):
    (acting.state_dir / NO_CAPACITY).touch()
    waits = start_a_run(acting)
    assert cancel(acting, waits)["state"] == "CANCELLED"
    (acting.state_dir / NO_CAPACITY).unlink()

    act(acting, "exec sleep 100000")
    trains = start_a_run(acting)
    assert in_attempt(acting, trains, 1)
    assert cancel(acting, trains)["reason"].startswith("Cancelled by admin")

    act(acting, "exit 2")
    assert ended(acting, start_a_run(acting))["state"] == "FAILED"
    assert ended(acting, waits)["state"] == ended(acting, trains)["state"] == "CANCELLED"
    assert "-m training.job" not in acting.job_log(waits)
    assert "attempt 2" not in acting.job_log(trains)


def test_a_training_runs_as_its_own_role_and_cannot_delete_a_version(acting):
    act(acting, PROBE)
    run = start_a_run(acting)
    # Only the retrain function ends the run, so its role is tried too.
    assert ended(acting, run)["state"] == "FAILED"
    log = acting.job_log(run)
    assert "identity arn:aws:sts::000000000000:assumed-role/" in log and "JobRole" in log
    assert "\nput\n" in log
    assert "\ndelete: AccessDenied\n" in log


def test_an_upload_is_described_and_a_bad_one_is_set_aside(acting):
    bucket = acting.description()["outputs"]["DataBucket"]
    s3 = acting.cloud("s3")
    s3.put_object(Bucket=bucket, Key="train/clickbait_fake/good.jpg", Body=SAMPLE)
    s3.put_object(Bucket=bucket, Key="train/clickbait_fake/bad.jpg", Body=b"no image")

    def rejected() -> bool:
        return bool(s3.list_objects_v2(Bucket=bucket, Prefix="rejected/").get("Contents"))

    assert eventually(rejected)
    with acting.admin() as admin:
        assert eventually(lambda: admin.get("/dataset").json()["images"] == 1)


def test_no_training_and_no_prediction_changes_the_users_images(acting):
    data = acting.description()["outputs"]["DataBucket"]
    key = "train/clickbait_fake/kept.jpg"
    acting.cloud("s3").put_object(Bucket=data, Key=key, Body=SAMPLE)
    for role in ("PredictRole", "JobRole"):  # The admin's function removes images on request.
        assert denied(client_of(acting, role, "s3").delete_object, Bucket=data, Key=key), role
    job = client_of(acting, "JobRole", "s3")
    assert not denied(job.get_object, Bucket=data, Key=key)
    assert denied(job.put_object, Bucket=data, Key=key, Body=b"x")


def test_dead_letters_go_back_to_their_queue_by_one_command(acting):
    """The retrain function accepts and ignores these test events of S3."""
    sqs = acting.cloud("sqs")
    dead = acting.description()["outputs"]["UploadsDeadLetters"]
    for number in range(12):
        sqs.send_message(QueueUrl=dead, MessageBody=f'{{"Event": "s3:TestEvent", "n": {number}}}')
    assert acting.operate("replay").startswith("12 messages moved to ")
    assert acting.operate("replay").startswith("0 messages moved to ")


@pytest.fixture(scope="module")
def stubborn(acting) -> str:
    """A run whose job does not react to SIGTERM and would never end."""
    act(acting, "trap '' TERM; sleep 100000 & while :; do sleep 0.1; done")
    return start_a_run(acting)


def in_attempt(stack: LocalStack, run: str, number: int) -> bool:
    """Whether the job of a run has begun this attempt before the deadline."""
    return eventually(lambda: f"attempt {number}" in stack.job_log(run))


def promote_a_copy_of_the_baseline(stack: LocalStack) -> str:
    """Put the baseline into the models bucket under another name and make it the champion."""
    baseline = stack.checkout / "layers" / "baseline" / "baseline"
    metadata = json.loads((baseline / "metadata.json").read_text())
    version = "20300101-000000-" + metadata["model_version"].rsplit("-", 1)[-1]
    metadata["model_version"] = version
    bucket = stack.description()["outputs"]["ModelsBucket"]
    s3 = stack.cloud("s3")
    for name, body in (
        (f"versions/{version}/model.tflite", (baseline / "model.tflite").read_bytes()),
        (f"versions/{version}/metadata.json", json.dumps(metadata).encode()),
        ("champion.json", json.dumps({"version": version}).encode()),
    ):
        s3.put_object(Bucket=bucket, Key=name, Body=body)
    return version


def failures_to_load(stack: LocalStack) -> float:
    """The sum in CloudWatch of a metric that the function prints as a log line."""
    now = datetime.now(UTC)
    statistics = stack.cloud("cloudwatch").get_metric_statistics(
        Namespace="Clickbait/clickbait",
        MetricName="ModelLoadFailure",
        Dimensions=[{"Name": "service", "Value": "predict"}],
        StartTime=now - timedelta(hours=1),
        EndTime=now + timedelta(minutes=1),
        Period=60,
        Statistics=["Sum"],
    )
    return sum(point["Sum"] for point in statistics["Datapoints"])


def test_ctrl_c_ends_everything_and_the_next_start_has_the_state_the_job_and_new_code(
    acting, stubborn
):
    assert in_attempt(acting, stubborn, 1)
    champion = promote_a_copy_of_the_baseline(acting)
    assert acting.stop(signal.SIGINT) == 0
    assert eventually(lambda: not acting.processes()), acting.processes()
    for url in (acting.site_url, acting.api_url):
        with pytest.raises(httpx.ConnectError):
            httpx.get(url, trust_env=False)
    assert not (acting.state_dir / "stack.json").exists()
    output = acting.refused(CLOUD_PORT="1025")
    assert output.count("\n") == 1
    assert str(acting.cloud_port) in output

    app = acting.checkout / "functions" / "predict" / "app.py"
    app.write_text(app.read_text().replace('NAME = "Clickbait Classifier"', 'NAME = "Changed"'))
    acting.start()
    with acting.client() as client:
        assert client.get("/").json()["name"] == "Changed"
        assert client.get("/model-info").headers["x-model-version"] == champion


def test_after_kill_9_the_next_start_has_a_changed_layer_and_counts_a_broken_champion(
    acting, stubborn
):
    assert in_attempt(acting, stubborn, 2)
    library = acting.checkout / "layers/clickbait/python/clickbait/__init__.py"
    library.write_text(library.read_text().replace('VERSION = "', 'VERSION = "9.9.'))
    bucket = acting.description()["outputs"]["ModelsBucket"]
    acting.cloud("s3").put_object(Bucket=bucket, Key="champion.json", Body=b'{"version": "none"}')
    acting.stop(signal.SIGKILL)
    assert eventually(lambda: not acting.processes()), acting.processes()
    acting.start()
    with acting.client() as client:
        assert client.get("/").json()["version"].startswith("9.9.")
    assert eventually(lambda: failures_to_load(acting) > 0), "no metric came of the log line"


def test_a_job_that_was_interrupted_three_times_fails_and_says_why(acting, stubborn):
    assert in_attempt(acting, stubborn, 3)
    assert acting.stop(signal.SIGTERM) == 0
    assert eventually(lambda: not acting.processes()), acting.processes()
    acting.start()
    assert ended(acting, stubborn)["state"] == "FAILED"
    assert "Spot" in acting.job_log(stubborn)


def test_sigterm_leaves_no_process_behind(acting):
    assert acting.stop(signal.SIGTERM) == 0
    assert acting.processes() == set()
