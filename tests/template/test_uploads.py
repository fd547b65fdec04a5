"""Objects in train/ reach the retrain function and those in inbox/ a worker; none is lost. Requests
for small updates reach the learn function."""

import json
import re
from pathlib import Path

import pytest

from clickbait import keys
from clickbait.store import runs
from functions.batch import worker
from tests.template.conftest import listed, of_type, one, statements

ROOT = Path(__file__).resolve().parents[2]

FED = {"UploadsQueue": "RetrainFunction", "InboxQueue": "WorkerFunction"}
"""The queues of the bucket's events, and the function that each feeds."""
FEEDING = FED | {"LearnQueue": "LearnFunction"}
DEAD = {
    "UploadsQueue": "UploadsDeadLetters",
    "InboxQueue": "InboxDeadLetters",
    "LearnQueue": "LearnDeadLetters",
}
QUEUES = [*DEAD, *DEAD.values()]
DAY = 86_400


def test_these_are_all_the_queues(resources):
    assert sorted(of_type(resources, "AWS::SQS::Queue")) == sorted(QUEUES)


def test_the_bucket_notifies_each_queue_of_its_folder(resources):
    """For labelled images also of deletions. S3 refuses overlapping folders for a kind of event."""
    notifications = resources["DataBucket"]["Properties"]["NotificationConfiguration"]
    assert list(notifications) == ["QueueConfigurations"]
    found = []
    for each in notifications["QueueConfigurations"]:
        (rule,) = each["Filter"]["S3Key"]["Rules"]
        assert rule["Name"] == "prefix"
        found.append((each["Event"], rule["Value"], each["Queue"]["Fn::GetAtt"][0]))
    assert sorted(found) == [
        ("s3:ObjectCreated:*", keys.EXAM, "UploadsQueue"),
        ("s3:ObjectCreated:*", keys.INBOX, "InboxQueue"),
        ("s3:ObjectCreated:*", keys.TRAIN, "UploadsQueue"),
        ("s3:ObjectRemoved:*", keys.EXAM, "UploadsQueue"),
        ("s3:ObjectRemoved:*", keys.TRAIN, "UploadsQueue"),
    ]


@pytest.mark.parametrize("queue", FED)
def test_a_queue_accepts_messages_before_the_bucket_is_configured_to_send_them(resources, queue):
    """S3 sends a test message at once, and CloudFormation fails if the queue refuses it."""
    assert f"{queue}Policy" in listed(resources["DataBucket"]["DependsOn"])


@pytest.mark.parametrize("queue", FED)
def test_only_this_accounts_bucket_of_this_stack_may_send(resources, queue):
    policy = resources[f"{queue}Policy"]["Properties"]
    assert policy["Queues"] == [{"Ref": queue}]
    (allow,) = [found for found in statements(policy) if found["Effect"] == "Allow"]
    assert allow["Principal"] == {"Service": "s3.amazonaws.com"}
    assert (allow["Action"], allow["Resource"]) == (
        "sqs:SendMessage",
        {"Fn::GetAtt": [queue, "Arn"]},
    )
    source = allow["Condition"]["ArnLike"]["aws:SourceArn"]["Fn::Sub"]
    assert allow["Condition"]["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
    # By pattern: the bucket depends on this policy, so !GetAtt DataBucket.Arn would be circular.
    bucket = resources["DataBucket"]["Properties"]["BucketName"]["Fn::Sub"]
    pattern = re.escape(source.removeprefix("arn:${AWS::Partition}:s3:::")).replace(r"\*", ".*")
    assert re.fullmatch(pattern, bucket)
    assert not re.fullmatch(
        pattern, resources["ModelsBucket"]["Properties"]["BucketName"]["Fn::Sub"]
    )


@pytest.mark.parametrize("queue", QUEUES)
def test_a_queue_answers_over_tls_only(resources, queue):
    (deny,) = [
        statement
        for policy in of_type(resources, "AWS::SQS::QueuePolicy").values()
        if policy["Properties"]["Queues"] == [{"Ref": queue}]
        for statement in statements(policy)
        if statement["Effect"] == "Deny"
    ]
    assert deny["Condition"] == {"Bool": {"aws:SecureTransport": False}}
    assert (deny["Principal"], deny["Action"]) == ("*", "sqs:*")
    assert deny["Resource"] == {"Fn::GetAtt": [queue, "Arn"]}


@pytest.mark.parametrize("queue", QUEUES)
def test_a_queue_is_encrypted(resources, queue):
    assert resources[queue]["Properties"]["SqsManagedSseEnabled"] is True


@pytest.mark.parametrize("queue", DEAD)
def test_a_message_that_keeps_failing_is_kept_for_as_long_as_sqs_can(resources, queue):
    redrive = resources[queue]["Properties"]["RedrivePolicy"]
    assert redrive["deadLetterTargetArn"] == {"Fn::GetAtt": [DEAD[queue], "Arn"]}
    assert resources[DEAD[queue]]["Properties"]["MessageRetentionPeriod"] == 14 * DAY


def test_the_worker_knows_which_attempt_is_the_last(resources):
    """It writes a row when it gives an image up; later the message is gone without one."""
    redrive = resources["InboxQueue"]["Properties"]["RedrivePolicy"]
    assert redrive["maxReceiveCount"] == worker.LAST_TRY


@pytest.mark.parametrize("queue", FED)
def test_a_message_stays_hidden_for_six_times_the_functions_timeout(resources, functions, queue):
    timeout = functions[FED[queue]]["Properties"]["Timeout"]
    assert resources[queue]["Properties"]["VisibilityTimeout"] >= 6 * timeout


def test_an_update_that_was_killed_is_tried_again_when_it_cannot_run_any_more(resources, functions):
    """Also by `Runs.settle`, which waits for UPDATE_SECONDS. Messages are never throttled, because
    one run has the lease, so six times the timeout would only be a long wait."""
    timeout = functions["LearnFunction"]["Properties"]["Timeout"]
    queue = resources["LearnQueue"]["Properties"]
    assert queue["VisibilityTimeout"] >= 2 * timeout
    assert timeout < runs.UPDATE_SECONDS
    assert queue["RedrivePolicy"]["maxReceiveCount"] == runs.ATTEMPTS


def mapping_of(plain, queue: str):
    (found,) = [
        mapping["Properties"]
        for mapping in of_type(plain["Resources"], "AWS::Lambda::EventSourceMapping").values()
        if mapping["Properties"]["EventSourceArn"] == {"Fn::GetAtt": [queue, "Arn"]}
    ]
    return found


@pytest.mark.parametrize("queue", FEEDING)
def test_a_failed_message_does_not_bring_back_the_others_of_its_batch(plain, queue):
    mapping = mapping_of(plain, queue)
    assert mapping["FunctionName"] == {"Ref": f"{FEEDING[queue]}Aliaslive"}
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


NEW_ACCOUNT = 10
"""Concurrent executions of an account without an increased limit."""


def test_uploads_and_batches_leave_room_for_predictions(plain, template):
    uploads = mapping_of(plain, "UploadsQueue")["ScalingConfig"]["MaximumConcurrency"]
    workers = mapping_of(plain, "InboxQueue")["ScalingConfig"]["MaximumConcurrency"]
    default = template["Parameters"][workers["Ref"]]["Default"]
    one_update = 1  # Only one run has the lease.
    assert NEW_ACCOUNT - uploads - default - one_update >= 2
    for function in of_type(plain["Resources"], "AWS::Lambda::Function").values():
        assert "ReservedConcurrentExecutions" not in function["Properties"]


def test_the_schedules_send_the_events_that_the_function_is_tested_with(plain):
    targets = [
        json.loads(target["Input"])
        for rule in of_type(plain["Resources"], "AWS::Events::Rule").values()
        for target in rule["Properties"]["Targets"]
        if "ScheduleExpression" in rule["Properties"]
    ]
    samples = (ROOT / "events").glob("schedule-*.json")
    expected = [json.loads(sample.read_text("utf-8")) for sample in samples]
    assert sorted(targets, key=str) == sorted(expected, key=str)


def test_the_default_schedule_matches_its_pattern(template):
    schedule = template["Parameters"]["TrainingSchedule"]
    assert re.fullmatch(schedule["AllowedPattern"], schedule["Default"])


# --- the table -----------------------------------------------------------------------------------


def test_the_table_has_the_keys_that_the_library_uses_and_forgets_what_expires(resources):
    table = one(resources, "AWS::DynamoDB::Table")
    assert [(key["AttributeName"], key["KeyType"]) for key in table["KeySchema"]] == [
        ("pk", "HASH"),
        ("sk", "RANGE"),
    ]
    assert {found["AttributeType"] for found in table["AttributeDefinitions"]} == {"S"}
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expires", "Enabled": True}


def test_the_table_costs_nothing_when_idle_and_outlives_its_stack(resources):
    (table,) = of_type(resources, "AWS::DynamoDB::Table").values()
    assert table["Properties"]["BillingMode"] == "PAY_PER_REQUEST"
    assert (table["DeletionPolicy"], table["UpdateReplacePolicy"]) == (
        "RetainExceptOnCreate",
        "Retain",
    )
    backups = table["Properties"]["PointInTimeRecoverySpecification"]
    assert backups == {"PointInTimeRecoveryEnabled": True}
