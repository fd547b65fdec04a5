"""Who may do what: one table lists everything that the template allows, and nothing else."""

import re
from pathlib import Path
from typing import Any

import pytest

from clickbait import keys
from tests.template.conftest import listed, of_type, statements

ROOT = Path(__file__).resolve().parents[2]

DEPLOYMENTS = "arn:${AWS::Partition}:codedeploy:${AWS::Region}:${AWS::AccountId}:deploymentgroup:"
DEPLOYMENTS += "${ServerlessDeploymentApplication}/*"
JOBS = "arn:${AWS::Partition}:batch:${AWS::Region}:${AWS::AccountId}:job/*"
DEFINITION = "arn:${AWS::Partition}:batch:${AWS::Region}:${AWS::AccountId}:job-definition/"
DEFINITION += "${AWS::StackName}-training"

ANSWERS = "ModelsBucket/answers.json"
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
REVIEW = "DataBucket/review/*"
TRAIN = "DataBucket/train/*"
INBOX = "DataBucket/inbox/*"
RESULTS = "DataBucket/results/*"
NAMES = "DataBucket/results/*/files.json"
REVIEW = "DataBucket/review/*"
UPLOADS = "DataBucket/uploads/*"
REFERENCES = "ModelsBucket/versions/*/reference.json"
METADATA = "ModelsBucket/versions/*/metadata.json"

TRACES = {"xray:PutTraceSegments": {"*"}, "xray:PutTelemetryRecords": {"*"}}
START = {
    "batch:SubmitJob": {"JobQueue", DEFINITION, f"{DEFINITION}:*"},
    "batch:TerminateJob": {JOBS},
    "batch:ListJobs": {"*"},
    "sqs:SendMessage": {"LearnQueue"},
}
RUNS = {
    "dynamodb:DeleteItem": {"Table"},
    "dynamodb:GetItem": {"Table"},
    "dynamodb:PutItem": {"Table"},
    "dynamodb:Query": {"Table"},
    "dynamodb:UpdateItem": {"Table"},
}
BATCHES = {
    "dynamodb:BatchWriteItem": {"Table"},
    "dynamodb:GetItem": {"Table"},
    "dynamodb:PutItem": {"Table"},
    "dynamodb:Query": {"Table"},
    "dynamodb:UpdateItem": {"Table"},
    "sns:Publish": {"NotifyTopic"},
}
PARTITIONS = {
    "PredictRole": ["prediction#*", "review#*", "key#", "keyuse#*"],
    "BatchRole": ["batch#*", "prediction#*", "key#", "keyuse#*"],
    "WorkerRole": ["reading#", "batch#*", "batch#*", "prediction#*"],
    "LearnRole": ["image#", "lock#retrain", "run#"],
}
"""The partitions of the table that a role may use, if not all of them."""


def log(group: str) -> dict[str, set[str]]:
    return {"logs:CreateLogStream": {group}, "logs:PutLogEvents": {group}}


ALLOWED: dict[str, dict[str, set[str]]] = {
    "PredictRole": {
        "s3:GetObject": {CHAMPION, PROMOTIONS, VERSIONS, UPLOADS},
        "s3:PutObject": {REVIEW},
        "s3:ListBucket": {"ModelsBucket", "DataBucket"},
        "secretsmanager:GetSecretValue": {"AdminSecret"},
        "dynamodb:GetItem": {"Table"},
        "dynamodb:PutItem": {"Table"},
        "dynamodb:UpdateItem": {"Table"},
        **log("PredictLogs"),
        **TRACES,
    },
    "RolloutRole": {
        "lambda:InvokeFunction": {"PredictFunction:*"},
        "secretsmanager:GetSecretValue": {"AdminSecret"},
        "s3:GetObject": {METADATA},
        "codedeploy:PutLifecycleEventHookExecutionStatus": {DEPLOYMENTS},
        **log("RolloutLogs"),
        **TRACES,
    },
    "BatchRole": {
        "s3:GetObject": {CHAMPION, PROMOTIONS, VERSIONS, RESULTS, INBOX},
        "s3:PutObject": {EXAM, INBOX, RESULTS, TRAIN, UPLOADS},
        "s3:AbortMultipartUpload": {RESULTS},
        "s3:ListBucket": {"ModelsBucket", "DataBucket"},
        "secretsmanager:GetSecretValue": {"AdminSecret"},
        **BATCHES,
        **log("BatchLogs"),
        **TRACES,
    },
    "WorkerRole": {
        "s3:GetObject": {CHAMPION, PROMOTIONS, VERSIONS, INBOX, RESULTS},
        "s3:PutObject": {RESULTS, REJECTED},
        "s3:DeleteObject": {INBOX},
        "s3:AbortMultipartUpload": {RESULTS},
        "s3:ListBucket": {"ModelsBucket", "DataBucket"},
        "sqs:DeleteMessage": {"InboxQueue"},
        "sqs:GetQueueAttributes": {"InboxQueue"},
        "sqs:ReceiveMessage": {"InboxQueue"},
        "dynamodb:DeleteItem": {"Table"},
        "dynamodb:PartiQLInsert": {"Table"},
        **BATCHES,
        **log("WorkerLogs"),
        **TRACES,
    },
    "AdminRole": {
        "s3:GetObject": {
            *(ANSWERS, CHAMPION, PROMOTIONS, TRAINED, VERSIONS),
            *(EXAM, FEEDBACK, INBOX, NAMES, REJECTED, REVIEW, TRAIN, UPLOADS),
        },
        "s3:GetObjectVersion": {EXAM, TRAIN},
        "s3:PutObject": {CHAMPION, PROMOTIONS, VERSIONS, EXAM, FEEDBACK, TRAIN},
        "s3:DeleteObject": {EXAM, FEEDBACK, TRAIN},
        "s3:ListBucket": {"ModelsBucket", "DataBucket"},
        "secretsmanager:GetSecretValue": {"AdminSecret"},
        "cloudwatch:GetMetricData": {"*"},
        "sqs:GetQueueAttributes": {"UploadsQueue"},
        "dynamodb:BatchGetItem": {"Table"},
        **RUNS,
        **START,
        **log("AdminLogs"),
        **TRACES,
    },
    "RetrainRole": {
        "s3:GetObject": {EXAM, TRAIN, TRAINED, CHAMPION, PROMOTIONS, METADATA, REFERENCES},
        "s3:PutObject": {REJECTED},
        "s3:DeleteObject": {EXAM, TRAIN},
        "s3:ListBucket": {"ModelsBucket", "DataBucket"},
        "sqs:DeleteMessage": {"UploadsQueue"},
        "sqs:GetQueueAttributes": {"UploadsQueue"},
        "sqs:ReceiveMessage": {"UploadsQueue"},
        **RUNS,
        **START,
        "batch:DescribeJobs": {"*"},
        "sqs:SendMessage": {"UploadsQueue", "LearnQueue"},
        "sns:Publish": {"NotifyTopic"},
        **log("RetrainLogs"),
        **TRACES,
    },
    "LearnRole": {
        "s3:GetObject": {
            *(CHAMPION, VERSIONS, ANSWERS, FEATURES, PROMOTIONS, TRAINED),
            *(EXAM, TRAIN),
        },
        "s3:PutObject": {CHAMPION, VERSIONS, ANSWERS, FEATURES, PROMOTIONS, TRAINED},
        "s3:ListBucket": {"ModelsBucket", "DataBucket"},
        "sqs:DeleteMessage": {"LearnQueue"},
        "sqs:GetQueueAttributes": {"LearnQueue"},
        "sqs:ReceiveMessage": {"LearnQueue"},
        "sqs:SendMessage": {"UploadsQueue"},
        "sns:Publish": {"NotifyTopic"},
        "dynamodb:DeleteItem": {"Table"},
        "dynamodb:GetItem": {"Table"},
        "dynamodb:Query": {"Table"},
        "dynamodb:UpdateItem": {"Table"},
        **log("LearnLogs"),
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
"""Role -> action -> resources, each bucket, table and queue by its logical id."""

ASSUMED_BY = {
    "PredictRole": "lambda",
    "RolloutRole": "lambda",
    "BatchRole": "lambda",
    "WorkerRole": "lambda",
    "AdminRole": "lambda",
    "RetrainRole": "lambda",
    "LearnRole": "lambda",
    "JobRole": "ecs-tasks",
    "JobExecutionRole": "ecs-tasks",
    "BuildRole": "codebuild",
}

WITHOUT_FINER_RESOURCE = {
    "WriteTraces": set(TRACES),
    "FindTrainings": {"batch:ListJobs"},
    "DescribeTrainings": {"batch:DescribeJobs"},
    "ReadMetrics": {"cloudwatch:GetMetricData"},
    "LogInToRepositories": {"ecr:GetAuthorizationToken"},
}
"""The statements with Resource '*': IAM has no resource type for their actions."""


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


def granted(resources: dict[str, Any], role: str) -> list[dict[str, Any]]:
    """The statements of a role's own policies and of the template's managed ones that it has."""
    properties = resources[role]["Properties"]
    managed = [resources[policy["Ref"]] for policy in properties.get("ManagedPolicyArns", [])]
    assert all(policy["Type"] == "AWS::IAM::ManagedPolicy" for policy in managed)
    return statements([properties["Policies"], managed])


def allowed(resources: dict[str, Any], role: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for statement in granted(resources, role):
        assert statement["Effect"] == "Allow" and "NotAction" not in statement
        for action in listed(statement["Action"]):
            found.setdefault(action, set()).update(map(name, listed(statement["Resource"])))
    return found


@pytest.mark.parametrize("role", ALLOWED)
def test_a_role_may_do_what_the_table_says_and_nothing_else(resources, role):
    assert allowed(resources, role) == ALLOWED[role]


def test_the_table_has_every_role_of_the_template(resources, plain):
    assert set(of_type(resources, "AWS::IAM::Role")) == set(ALLOWED) == set(ASSUMED_BY)
    # SAM adds the role that shifts traffic.
    assert set(of_type(plain["Resources"], "AWS::IAM::Role")) == {*ALLOWED, "CodeDeployServiceRole"}


@pytest.mark.parametrize("role", ASSUMED_BY)
def test_a_role_is_for_one_service(resources, role):
    (trust,) = statements(resources[role]["Properties"]["AssumeRolePolicyDocument"])
    assert trust["Principal"] == {"Service": f"{ASSUMED_BY[role]}.amazonaws.com"}
    # Services that run containers do so for every account: only this one may use the role.
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


def test_predict_writes_nothing_but_its_history_and_the_images_it_was_asked_to_keep():
    """And the use of keys, its own log and traces."""
    reads = {"s3:GetObject", "s3:ListBucket", "dynamodb:GetItem", "secretsmanager:GetSecretValue"}
    writes = set(ALLOWED["PredictRole"]) - reads
    assert writes == {
        *("dynamodb:PutItem", "dynamodb:UpdateItem", "s3:PutObject"),
        *log(""),
        *TRACES,
    }
    assert may("s3:PutObject", REVIEW) == {"PredictRole"}


@pytest.mark.parametrize("role", ALLOWED)
def test_a_role_that_may_not_use_runs_is_limited_to_its_partitions_of_the_table(resources, role):
    found = [
        statement
        for statement in granted(resources, role)
        if any(action.startswith("dynamodb:") for action in listed(statement["Action"]))
    ]
    if role not in PARTITIONS:
        assert not any("Condition" in statement for statement in found)
        return
    used = []
    for statement in found:
        assert set(statement["Condition"]) == {"ForAllValues:StringLike"}
        (limit,) = statement["Condition"]["ForAllValues:StringLike"].items()
        assert limit[0] == "dynamodb:LeadingKeys"
        used += limit[1]
    assert used == PARTITIONS[role]


def test_no_other_statement_has_a_condition(resources):
    for role in ALLOWED:
        for statement in granted(resources, role):
            assert "Condition" not in statement or set(PARTITIONS) >= {role}
            if "Condition" in statement:
                assert set(map(name, listed(statement["Resource"]))) == {"Table"}


def test_the_partitions_of_a_role_are_those_that_the_library_writes():
    """A pattern that matches none of them would refuse everything."""
    predictions = keys.predictions_partition("2026-11-22", 3)
    assert predictions.startswith(PARTITIONS["PredictRole"][0][:-1])
    assert keys.review_partition("2026-11-22").startswith(PARTITIONS["PredictRole"][1][:-1])
    assert PARTITIONS["WorkerRole"][0] == keys.READING_PARTITION
    for role in ("PredictRole", "BatchRole"):
        assert PARTITIONS[role][2] == keys.KEY_PARTITION
        assert keys.usage_partition("a").startswith(PARTITIONS[role][3][:-1])
    for key in (keys.BATCH_PARTITION, keys.rows_partition("a")):
        assert key.startswith(PARTITIONS["WorkerRole"][1][:-1])


def test_the_inbox_is_read_by_the_worker_and_for_links_and_only_the_service_writes_results():
    assert may("s3:GetObject", INBOX) == {"AdminRole", "BatchRole", "WorkerRole"}
    assert may("s3:PutObject", RESULTS) == {"BatchRole", "WorkerRole"}
    assert may("s3:GetObject", UPLOADS) == {"AdminRole", "PredictRole"}


def test_only_admin_and_trainings_make_a_model_live_or_a_version():
    for written in (CHAMPION, PROMOTIONS, VERSIONS):
        assert may("s3:PutObject", written) == {"AdminRole", "JobRole", "LearnRole"}


def test_nobody_deletes_a_version_a_promotion_or_the_champion():
    deleted = {key for role in ALLOWED.values() for key in role.get("s3:DeleteObject", ())}
    assert deleted == {CHECKPOINTS, EXAM, FEEDBACK, INBOX, TRAIN}
    every = {action for role in ALLOWED.values() for action in role}
    assert not {"s3:DeleteObjectVersion", "dynamodb:DeleteTable"} & every


def test_only_functions_that_check_the_token_read_the_secret_and_no_other():
    readers = {
        role: found
        for role, actions in ALLOWED.items()
        for action, found in actions.items()
        if action.startswith("secretsmanager:")
    }
    checking = ("AdminRole", "BatchRole", "PredictRole", "RolloutRole")
    assert readers == {role: {"AdminSecret"} for role in checking}


def test_only_an_admin_can_make_or_change_a_key(resources):
    """Anybody may call predict and batch, which read keys and count their use."""
    for role in ("PredictRole", "BatchRole"):
        allowed = {
            (action, place)
            for statement in granted(resources, role)
            for action in listed(statement["Action"])
            for place in statement.get("Condition", {})
            .get("ForAllValues:StringLike", {})
            .get("dynamodb:LeadingKeys", [])
            if place.startswith("key")
        }
        assert allowed == {("dynamodb:GetItem", "key#"), ("dynamodb:UpdateItem", "keyuse#*")}


def test_trainings_read_an_exam_and_only_admins_fill_it():
    """The batch function signs forms for it, for an admin; retrain rejects what is unusable."""
    assert may("s3:GetObject", EXAM) == {"AdminRole", "JobRole", "LearnRole", "RetrainRole"}
    assert may("s3:PutObject", EXAM) == {"AdminRole", "BatchRole"}
    assert may("s3:DeleteObject", EXAM) == {"AdminRole", "RetrainRole"}


def test_only_the_admin_function_reads_what_was_removed():
    assert may("s3:GetObjectVersion", TRAIN) == may("s3:GetObjectVersion", EXAM) == {"AdminRole"}


def test_only_admin_and_retrain_start_trainings_and_keep_runs():
    starting = may("batch:SubmitJob", "JobQueue")
    keeping = may("dynamodb:PutItem", "Table") - set(PARTITIONS)
    assert starting == keeping == {"AdminRole", "RetrainRole"}


def test_a_training_is_submitted_by_the_name_that_the_roles_may_submit(functions, resources):
    definition = resources["JobDefinition"]["Properties"]["JobDefinitionName"]["Fn::Sub"]
    assert DEFINITION.endswith(f"/{definition}")
    for function in ("AdminFunction", "RetrainFunction"):
        variables = functions[function]["Properties"]["Environment"]["Variables"]
        assert variables["JOB_DEFINITION"] == {"Fn::Sub": definition}
        assert variables["JOB_QUEUE"] == {"Ref": "JobQueue"}


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


def test_only_codedeploys_role_has_a_policy_from_elsewhere(resources, plain):
    own = [{"Ref": name} for name in of_type(resources, "AWS::IAM::ManagedPolicy")]
    with_others = [
        name
        for name, role in of_type(plain["Resources"], "AWS::IAM::Role").items()
        if any(arn not in own for arn in role["Properties"].get("ManagedPolicyArns", []))
    ]
    assert with_others == ["CodeDeployServiceRole"]


def test_a_managed_policy_is_shared_and_attached_by_roles_alone(resources, plain):
    """ALLOWED is the whole of it only if a policy does not choose its own roles."""
    attached = [
        arn["Ref"]
        for role in of_type(resources, "AWS::IAM::Role").values()
        for arn in role["Properties"].get("ManagedPolicyArns", [])
    ]
    for name, policy in of_type(resources, "AWS::IAM::ManagedPolicy").items():
        assert attached.count(name) > 1, name
        assert not {"Roles", "Users", "Groups"} & set(policy["Properties"])
    kinds = {resource["Type"] for resource in plain["Resources"].values()}
    assert not kinds & {"AWS::IAM::Policy", "AWS::IAM::RolePolicy"}
