"""Who may do what: all that the template allows is in one table here, and nothing else."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from clickbait import keys
from tests.template.conftest import listed, of_type, statements

ROOT = Path(__file__).resolve().parents[2]

DEFINITION = "arn:${AWS::Partition}:batch:${AWS::Region}:${AWS::AccountId}:job-definition/"
DEFINITION += "${AWS::StackName}-training"

CHAMPION = "ModelsBucket/champion.json"
CHECKPOINTS = "ModelsBucket/checkpoints/*"
FEATURES = "ModelsBucket/features/*"
PROMOTIONS = "ModelsBucket/promotions/*"
SOURCE = "ModelsBucket/build/source.zip"
TRAINED = "ModelsBucket/trained.json"
VERSIONS = "ModelsBucket/versions/*"
EXAM = "DataBucket/exam/*"
FEEDBACK = "DataBucket/feedback/*"
REJECTED = "DataBucket/rejected/*"
TRAIN = "DataBucket/train/*"
INBOX = "DataBucket/inbox/*"
RESULTS = "DataBucket/results/*"
UPLOADS = "DataBucket/uploads/*"
REFERENCES = "ModelsBucket/versions/*/reference.json"

TRACES = {"xray:PutTraceSegments": {"*"}, "xray:PutTelemetryRecords": {"*"}}
START = {
    "batch:SubmitJob": {"JobQueue", DEFINITION, f"{DEFINITION}:*"},
    "batch:DescribeJobs": {"*"},
    "batch:ListJobs": {"*"},
}
RUNS = {
    "dynamodb:DeleteItem": {"Table"},
    "dynamodb:GetItem": {"Table"},
    "dynamodb:PutItem": {"Table"},
    "dynamodb:Query": {"Table"},
    "dynamodb:UpdateItem": {"Table"},
}
BATCHES = {
    "dynamodb:GetItem": {"Table"},
    "dynamodb:PutItem": {"Table"},
    "dynamodb:Query": {"Table"},
    "dynamodb:UpdateItem": {"Table"},
}
ROWS = {
    "PredictRole": ["prediction#*"],
    "BatchRole": ["batch#*", "prediction#*"],
    "WorkerRole": ["batch#*", "prediction#*"],
}
"""The partitions of the table that a role may touch, where it is not every one."""


def log(group: str) -> dict[str, set[str]]:
    return {"logs:CreateLogStream": {group}, "logs:PutLogEvents": {group}}


ALLOWED: dict[str, dict[str, set[str]]] = {
    "PredictRole": {
        "s3:GetObject": {CHAMPION, VERSIONS, UPLOADS},
        "s3:ListBucket": {"ModelsBucket", "DataBucket"},
        "dynamodb:PutItem": {"Table"},
        **log("PredictLogs"),
        **TRACES,
    },
    "BatchRole": {
        "s3:GetObject": {CHAMPION, VERSIONS, RESULTS},
        "s3:PutObject": {INBOX, RESULTS, TRAIN, UPLOADS},
        "s3:AbortMultipartUpload": {RESULTS},
        "s3:ListBucket": {"ModelsBucket", "DataBucket"},
        "secretsmanager:GetSecretValue": {"AdminSecret"},
        **BATCHES,
        **log("BatchLogs"),
        **TRACES,
    },
    "WorkerRole": {
        "s3:GetObject": {CHAMPION, VERSIONS, INBOX, RESULTS},
        "s3:PutObject": {RESULTS},
        "s3:AbortMultipartUpload": {RESULTS},
        "s3:ListBucket": {"ModelsBucket", "DataBucket"},
        "sqs:DeleteMessage": {"InboxQueue"},
        "sqs:GetQueueAttributes": {"InboxQueue"},
        "sqs:ReceiveMessage": {"InboxQueue"},
        **BATCHES,
        **log("WorkerLogs"),
        **TRACES,
    },
    "AdminRole": {
        "s3:GetObject": {CHAMPION, PROMOTIONS, VERSIONS, TRAINED, FEEDBACK, REJECTED, TRAIN},
        "s3:PutObject": {CHAMPION, PROMOTIONS, VERSIONS, FEEDBACK, TRAIN},
        "s3:DeleteObject": {FEEDBACK},
        "s3:ListBucket": {"ModelsBucket", "DataBucket"},
        "secretsmanager:GetSecretValue": {"AdminSecret"},
        "cloudwatch:GetMetricData": {"*"},
        "dynamodb:BatchGetItem": {"Table"},
        **RUNS,
        **START,
        **log("AdminLogs"),
        **TRACES,
    },
    "RetrainRole": {
        "s3:GetObject": {TRAIN, TRAINED, CHAMPION, REFERENCES},
        "s3:PutObject": {REJECTED},
        "s3:DeleteObject": {TRAIN},
        "s3:ListBucket": {"ModelsBucket", "DataBucket"},
        "sqs:DeleteMessage": {"UploadsQueue"},
        "sqs:GetQueueAttributes": {"UploadsQueue"},
        "sqs:ReceiveMessage": {"UploadsQueue"},
        "sqs:SendMessage": {"UploadsQueue"},
        **RUNS,
        **START,
        **log("RetrainLogs"),
        **TRACES,
    },
    "JobRole": {
        "s3:GetObject": {
            *(CHAMPION, CHECKPOINTS, FEATURES, PROMOTIONS, TRAINED, VERSIONS),
            *(EXAM, TRAIN),
        },
        "s3:PutObject": {CHAMPION, CHECKPOINTS, FEATURES, PROMOTIONS, TRAINED, VERSIONS},
        "s3:DeleteObject": {CHECKPOINTS},
        "s3:ListBucket": {"ModelsBucket", "DataBucket"},
        "dynamodb:GetItem": {"Table"},
        "dynamodb:UpdateItem": {"Table"},
    },
    "JobExecutionRole": {
        "ecr:BatchCheckLayerAvailability": {"TrainingRepository"},
        "ecr:BatchGetImage": {"TrainingRepository"},
        "ecr:GetAuthorizationToken": {"*"},
        "ecr:GetDownloadUrlForLayer": {"TrainingRepository"},
        **log("JobLogs"),
    },
    "BuildRole": {
        "s3:GetObject": {SOURCE},
        "s3:GetObjectVersion": {SOURCE},
        "s3:GetBucketAcl": {"ModelsBucket"},
        "s3:GetBucketLocation": {"ModelsBucket"},
        "ecr:BatchCheckLayerAvailability": {"TrainingRepository"},
        "ecr:BatchGetImage": {"TrainingRepository"},
        "ecr:CompleteLayerUpload": {"TrainingRepository"},
        "ecr:GetAuthorizationToken": {"*"},
        "ecr:InitiateLayerUpload": {"TrainingRepository"},
        "ecr:PutImage": {"TrainingRepository"},
        "ecr:UploadLayerPart": {"TrainingRepository"},
        **log("BuildLogs"),
    },
}
"""Role -> action -> the resources it may be done to, buckets, tables and queues by logical id."""

ASSUMED_BY = {
    "PredictRole": "lambda",
    "BatchRole": "lambda",
    "WorkerRole": "lambda",
    "AdminRole": "lambda",
    "RetrainRole": "lambda",
    "JobRole": "ecs-tasks",
    "JobExecutionRole": "ecs-tasks",
    "BuildRole": "codebuild",
}

WITHOUT_FINER_RESOURCE = {
    "WriteTraces": set(TRACES),
    "AskForTrainings": {"batch:DescribeJobs", "batch:ListJobs"},
    "ReadMetrics": {"cloudwatch:GetMetricData"},
    "LogInToRepositories": {"ecr:GetAuthorizationToken"},
}
"""Statements that may say Resource '*': IAM has no resource type for these actions."""


def name(resource: Any) -> str:
    """A statement's resource as ALLOWED writes it."""
    match resource:
        case str():
            return resource
        case {"Ref": target}:
            return target
        case {"Fn::GetAtt": [target, "Arn" | "Id"]}:
            return target
        case {"Fn::Sub": str() as text}:
            return re.sub(r"^\$\{(\w+)\.Arn\}", r"\1", text)
    raise AssertionError(f"no resource that this test can read: {resource}")


def allowed(role: dict[str, Any]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for statement in statements(role["Properties"]["Policies"]):
        assert statement["Effect"] == "Allow" and "NotAction" not in statement
        for action in listed(statement["Action"]):
            found.setdefault(action, set()).update(map(name, listed(statement["Resource"])))
    return found


@pytest.mark.parametrize("role", ALLOWED)
def test_a_role_may_do_what_the_table_says_and_nothing_else(resources, role):
    assert allowed(resources[role]) == ALLOWED[role]


def test_the_table_has_every_role_of_the_template(resources, plain):
    assert set(of_type(resources, "AWS::IAM::Role")) == set(ALLOWED) == set(ASSUMED_BY)
    # SAM makes the one that shifts traffic.
    assert set(of_type(plain["Resources"], "AWS::IAM::Role")) == {*ALLOWED, "CodeDeployServiceRole"}


@pytest.mark.parametrize("role", ASSUMED_BY)
def test_a_role_is_for_one_service(resources, role):
    (trust,) = statements(resources[role]["Properties"]["AssumeRolePolicyDocument"])
    assert trust["Principal"] == {"Service": f"{ASSUMED_BY[role]}.amazonaws.com"}
    # Those that run a user's containers do so for other accounts too: only for this one.
    condition = {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
    assert trust.get("Condition") == (None if ASSUMED_BY[role] == "lambda" else condition)


def test_each_function_and_job_has_a_role_of_its_own(functions, resources):
    roles = [found["Properties"]["Role"]["Fn::GetAtt"][0] for found in functions.values()]
    job = resources["JobDefinition"]["Properties"]["ContainerProperties"]
    roles += [job["JobRoleArn"]["Fn::GetAtt"][0], job["ExecutionRoleArn"]["Fn::GetAtt"][0]]
    roles += [resources["TrainingBuild"]["Properties"]["ServiceRole"]["Fn::GetAtt"][0]]
    assert sorted(roles) == sorted(ALLOWED)


def may(action: str, resource: str) -> set[str]:
    """The roles of the table that may do it."""
    return {role for role, actions in ALLOWED.items() if resource in actions.get(action, ())}


def test_predict_writes_nothing_but_a_line_of_the_history():
    """And its own log and traces."""
    writes = set(ALLOWED["PredictRole"]) - {"s3:GetObject", "s3:ListBucket"}
    assert writes == {"dynamodb:PutItem", *log(""), *TRACES}


@pytest.mark.parametrize("role", ALLOWED)
def test_who_is_not_to_touch_runs_is_kept_to_its_own_rows_of_the_table(resources, role):
    found = [
        statement
        for statement in statements(resources[role]["Properties"]["Policies"])
        if any(action.startswith("dynamodb:") for action in listed(statement["Action"]))
    ]
    for statement in found:
        wanted = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ROWS.get(role)}}
        assert statement.get("Condition") == (wanted if role in ROWS else None)
    assert found or role not in ROWS


def test_no_other_statement_has_a_condition(resources):
    for role in ALLOWED:
        for statement in statements(resources[role]["Properties"]["Policies"]):
            assert "Condition" not in statement or set(ROWS) >= {role}
            if "Condition" in statement:
                assert set(map(name, listed(statement["Resource"]))) == {"Table"}


def test_the_rows_that_a_role_may_touch_are_those_that_the_library_writes():
    """A pattern that fits none of them would refuse everything."""
    assert keys.predictions_partition("2026-11-22", 3).startswith(ROWS["PredictRole"][0][:-1])
    for key in (keys.BATCH_PARTITION, keys.rows_partition("a")):
        assert key.startswith(ROWS["WorkerRole"][0][:-1])


def test_nobody_but_the_worker_reads_the_inbox_and_only_the_service_writes_results():
    assert may("s3:GetObject", INBOX) == {"WorkerRole"}
    assert may("s3:PutObject", RESULTS) == {"BatchRole", "WorkerRole"}
    assert may("s3:GetObject", UPLOADS) == {"PredictRole"}


def test_only_admin_and_the_job_make_a_model_live_or_a_version():
    for written in (CHAMPION, PROMOTIONS, VERSIONS):
        assert may("s3:PutObject", written) == {"AdminRole", "JobRole"}


def test_nobody_deletes_a_version_a_promotion_or_the_champion():
    deleted = {key for role in ALLOWED.values() for key in role.get("s3:DeleteObject", ())}
    assert deleted == {CHECKPOINTS, FEEDBACK, TRAIN}
    every = {action for role in ALLOWED.values() for action in role}
    assert not {"s3:DeleteObjectVersion", "dynamodb:DeleteTable"} & every


def test_only_who_asks_for_the_token_reads_the_secret_and_no_other():
    readers = {
        role: found
        for role, actions in ALLOWED.items()
        for action, found in actions.items()
        if action.startswith("secretsmanager:")
    }
    assert readers == {"AdminRole": {"AdminSecret"}, "BatchRole": {"AdminSecret"}}


def test_an_exam_is_only_ever_measured_on():
    touched = {
        role for role, actions in ALLOWED.items() if EXAM in json.dumps(actions, default=list)
    }
    assert touched == {"JobRole"}
    assert not may("s3:PutObject", EXAM) | may("s3:DeleteObject", EXAM)


def test_only_admin_and_retrain_start_trainings_and_keep_runs():
    starting = may("batch:SubmitJob", "JobQueue")
    keeping = may("dynamodb:PutItem", "Table") - set(ROWS)
    assert starting == keeping == {"AdminRole", "RetrainRole"}


def test_a_training_is_submitted_by_the_name_that_the_roles_may_submit(functions, resources):
    definition = resources["JobDefinition"]["Properties"]["JobDefinitionName"]["Fn::Sub"]
    assert DEFINITION.endswith(f"/{definition}")
    for function in ("AdminFunction", "RetrainFunction"):
        told = functions[function]["Properties"]["Environment"]["Variables"]
        assert told["JOB_DEFINITION"] == {"Fn::Sub": definition}
        assert told["JOB_QUEUE"] == {"Ref": "JobQueue"}


def test_no_statement_allows_every_action_of_anything(plain):
    found = [found for found in statements(plain["Resources"]) if found["Effect"] == "Allow"]
    assert found
    for statement in found:
        assert not [action for action in listed(statement["Action"]) if "*" in action]


def test_a_resource_is_everything_only_where_iam_offers_nothing_finer(resources):
    for statement in statements(resources):
        if statement["Effect"] == "Allow" and "*" in listed(statement.get("Resource", [])):
            assert set(listed(statement["Action"])) == WITHOUT_FINER_RESOURCE[statement["Sid"]]


@pytest.mark.parametrize("sid", WITHOUT_FINER_RESOURCE)
def test_each_such_resource_has_its_reason_beside_it(sid):
    lines = (ROOT / "template.yaml").read_text("utf-8").splitlines()
    at = [number for number, line in enumerate(lines) if f"Sid: {sid}" in line]
    assert at and all("'*'" in lines[number - 1] for number in at)
    assert all(lines[number - 1].strip().startswith("# ") for number in at)


def test_no_role_but_codedeploys_has_a_managed_policy(plain):
    with_managed = [
        name
        for name, role in of_type(plain["Resources"], "AWS::IAM::Role").items()
        if role["Properties"].get("ManagedPolicyArns")
    ]
    assert with_managed == ["CodeDeployServiceRole"]


def test_nobody_gets_a_policy_from_elsewhere(plain):
    kinds = {resource["Type"] for resource in plain["Resources"].values()}
    assert not kinds & {"AWS::IAM::Policy", "AWS::IAM::ManagedPolicy", "AWS::IAM::RolePolicy"}
