"""What lands in train/ reaches the retrain function and what lands in inbox/ a worker; nothing on
the way loses or leaks it."""

import json
import re

import pytest

from clickbait import keys
from functions.batch import worker
from tests.template.conftest import listed, of_type, one, statements

FED = {"UploadsQueue": "RetrainFunction", "InboxQueue": "WorkerFunction"}
DEAD = {"UploadsQueue": "UploadsDeadLetters", "InboxQueue": "InboxDeadLetters"}
QUEUES = [*DEAD, *DEAD.values()]
DAY = 86_400


def test_these_are_all_the_queues(resources):
    assert sorted(of_type(resources, "AWS::SQS::Queue")) == sorted(QUEUES)


def test_the_bucket_tells_each_queue_of_its_folder(resources):
    """Of train/ also what leaves it; S3 refuses folders that overlap for one kind of event."""
    told = resources["DataBucket"]["Properties"]["NotificationConfiguration"]
    assert list(told) == ["QueueConfigurations"]
    found = []
    for each in told["QueueConfigurations"]:
        (rule,) = each["Filter"]["S3Key"]["Rules"]
        assert rule["Name"] == "prefix"
        found.append((each["Event"], rule["Value"], each["Queue"]["Fn::GetAtt"][0]))
    assert sorted(found) == [
        ("s3:ObjectCreated:*", "inbox/", "InboxQueue"),
        ("s3:ObjectCreated:*", "train/", "UploadsQueue"),
        ("s3:ObjectRemoved:*", "train/", "UploadsQueue"),
    ]
    assert keys.INBOX == "inbox/"


@pytest.mark.parametrize("queue", FED)
def test_a_queue_takes_messages_before_the_bucket_is_told_to_send_them(resources, queue):
    """S3 sends a test message at once, and CloudFormation fails where the queue refuses it."""
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
    # By pattern: !GetAtt DataBucket.Arn would wait for a bucket that waits for this policy.
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


@pytest.mark.parametrize("queue", FED)
def test_a_message_that_fails_five_times_is_kept_for_two_weeks(resources, queue):
    redrive = resources[queue]["Properties"]["RedrivePolicy"]
    assert redrive == {
        "deadLetterTargetArn": {"Fn::GetAtt": [DEAD[queue], "Arn"]},
        "maxReceiveCount": 5,
    }
    assert resources[DEAD[queue]]["Properties"]["MessageRetentionPeriod"] == 14 * DAY


def test_the_worker_knows_which_try_is_the_last(resources):
    """What it gives up on that try has a row; after it a message would be gone without one."""
    redrive = resources["InboxQueue"]["Properties"]["RedrivePolicy"]
    assert redrive["maxReceiveCount"] == worker.LAST_TRY


@pytest.mark.parametrize("queue", FED)
def test_a_message_stays_hidden_for_six_times_the_functions_timeout(resources, functions, queue):
    timeout = functions[FED[queue]]["Properties"]["Timeout"]
    assert resources[queue]["Properties"]["VisibilityTimeout"] >= 6 * timeout


def mapping_of(plain, queue: str):
    (found,) = [
        mapping["Properties"]
        for mapping in of_type(plain["Resources"], "AWS::Lambda::EventSourceMapping").values()
        if mapping["Properties"]["EventSourceArn"] == {"Fn::GetAtt": [queue, "Arn"]}
    ]
    return found


@pytest.mark.parametrize(("queue", "window"), [("UploadsQueue", 5), ("InboxQueue", 1)])
def test_one_bad_message_does_not_bring_back_the_others_of_its_batch(plain, queue, window):
    mapping = mapping_of(plain, queue)
    assert mapping["FunctionName"] == {"Ref": f"{FED[queue]}Aliaslive"}
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["BatchSize"] == 10
    assert mapping["MaximumBatchingWindowInSeconds"] == window


NEW_ACCOUNT = 10
"""Executions at a time in an account that has asked for no more."""


def test_uploads_and_batches_leave_room_for_predictions(plain, template):
    assert mapping_of(plain, "UploadsQueue")["ScalingConfig"] == {"MaximumConcurrency": 2}
    workers = mapping_of(plain, "InboxQueue")["ScalingConfig"]["MaximumConcurrency"]
    assert workers == {"Ref": "WorkerConcurrency"}
    parameter = template["Parameters"]["WorkerConcurrency"]
    # Lambda takes 2 to 1,000.
    assert (parameter["MinValue"], parameter["MaxValue"]) == (2, 1_000)
    assert NEW_ACCOUNT - 2 - parameter["Default"] >= 3
    for function in of_type(plain["Resources"], "AWS::Lambda::Function").values():
        assert "ReservedConcurrentExecutions" not in function["Properties"]


def test_the_clock_rings_every_quarter_of_an_hour_and_once_a_day(plain, template):
    rules = of_type(plain["Resources"], "AWS::Events::Rule").values()
    clocks = {
        json.dumps(rule["Properties"]["ScheduleExpression"]): json.loads(target["Input"])
        for rule in rules
        for target in rule["Properties"]["Targets"]
        if "ScheduleExpression" in rule["Properties"]
    }
    assert clocks == {
        '"rate(15 minutes)"': {"source": "schedule", "action": "reconcile"},
        '{"Ref": "TrainingSchedule"}': {"source": "schedule", "action": "daily"},
    }
    schedule = template["Parameters"]["TrainingSchedule"]
    assert schedule["Default"] == "cron(0 3 * * ? *)"
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
    assert (table["DeletionPolicy"], table["UpdateReplacePolicy"]) == ("Retain", "Retain")
    backups = table["Properties"]["PointInTimeRecoverySpecification"]
    assert backups == {"PointInTimeRecoveryEnabled": True}
