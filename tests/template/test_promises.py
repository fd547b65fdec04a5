"""Each promise of the template, one test a promise, on the template or on what SAM makes of it."""

import json
import re
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import pytest

from clickbait.settings import Settings
from clickbait.store import monitoring
from tests.template.conftest import listed, of_type, one, statements, walk

ROOT = Path(__file__).resolve().parents[2]

VISIBLE = "ApproximateNumberOfMessagesVisible"
DOCUMENTATION = {"GET /docs", "GET /redoc", "GET /openapi.json", "GET /docs/{page+}"}


# --- the API -------------------------------------------------------------------------------------


OWN_PAGE = {"Fn::Sub": "https://${SiteDistribution.DomainName}"}


def cors(plain: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The API's CORS where AllowedOrigins is given, and where it is not."""
    body = one(plain["Resources"], "AWS::ApiGatewayV2::Api")["Body"]
    condition, given, own = body["x-amazon-apigateway-cors"]["Fn::If"]
    assert condition == "HasOrigins"
    return given, own


def test_the_stacks_own_page_alone_may_call_unless_origins_are_given(template, plain):
    given, own = cors(plain)
    assert template["Parameters"]["AllowedOrigins"]["Default"] == ""
    joined = {"Fn::Join": ["", {"Ref": "AllowedOrigins"}]}
    assert template["Conditions"]["HasOrigins"] == {"Fn::Not": [{"Fn::Equals": [joined, ""]}]}
    assert own["allowOrigins"] == [OWN_PAGE]
    assert "*" not in json.dumps([given, own])
    assert not given.get("allowCredentials") and not own.get("allowCredentials")


def test_origins_that_are_given_may_call_and_no_other(translate):
    asked = "https://a.example.org,http://localhost:8080"
    given, own = cors(translate(ROOT / "template.yaml", AllowedOrigins=asked))
    assert given["allowOrigins"] == asked.split(",")
    assert given == own | {"allowOrigins": given["allowOrigins"]}


def test_a_page_may_send_the_admins_token(plain):
    for either in cors(plain):
        assert either["allowHeaders"] == ["authorization", "content-type"]
        assert either["allowMethods"] == ["GET", "POST"]


@pytest.mark.parametrize("origin", ["*", "https://*", "https://a.b/path", "null"])
def test_an_origin_that_is_none_is_refused(template, origin):
    pattern = template["Parameters"]["AllowedOrigins"]["AllowedPattern"]
    assert not re.fullmatch(pattern, origin)
    assert re.fullmatch(pattern, "https://page.example.org:8443")
    assert re.fullmatch(pattern, "")


def test_the_page_may_read_the_headers_that_the_api_promises(plain):
    promised = {"x-model-version", "x-processing-time", "x-cold-start", "x-request-id"}
    for either in cors(plain):
        assert promised <= set(either["exposeHeaders"])


def test_the_api_is_throttled(template, plain):
    settings = one(plain["Resources"], "AWS::ApiGatewayV2::Stage")["DefaultRouteSettings"]
    rate, burst = (
        template["Parameters"][settings[name]["Ref"]]
        for name in ("ThrottlingRateLimit", "ThrottlingBurstLimit")
    )
    assert 0 < rate["Default"] <= burst["Default"]
    assert rate["MinValue"] > 0 and burst["MinValue"] > 0


def test_the_api_logs_each_access(resources):
    log = one(resources, "AWS::Serverless::HttpApi")["AccessLogSettings"]
    assert resources[log["DestinationArn"]["Fn::GetAtt"][0]]["Type"] == "AWS::Logs::LogGroup"
    assert {"request_id", "route", "status", "milliseconds"} <= set(json.loads(log["Format"]))


def test_every_documented_route_is_a_route_of_the_api_and_the_rest_is_default(plain):
    body = one(plain["Resources"], "AWS::ApiGatewayV2::Api")["Body"]
    routes = {
        path if path == "$default" else f"{method.upper()} {path}"
        for path, operations in body["paths"].items()
        for method in operations
    }
    document = json.loads((ROOT / "openapi.json").read_text("utf-8"))
    documented = {
        f"{method.upper()} {path}"
        for path, operations in document["paths"].items()
        for method in operations
    }
    assert routes == documented | DOCUMENTATION | {"$default"}


# --- the functions -------------------------------------------------------------------------------


def test_every_function_runs_on_arm64_and_python_3_13(plain):
    for function in of_type(plain["Resources"], "AWS::Lambda::Function").values():
        assert function["Properties"]["Architectures"] == ["arm64"]
        assert function["Properties"]["Runtime"] == "python3.13"


def test_a_function_has_one_full_vcpu(plain):
    for function in of_type(plain["Resources"], "AWS::Lambda::Function").values():
        assert function["Properties"]["MemorySize"] == 1769


def test_a_function_that_the_api_calls_gives_up_before_the_api_does(template, functions):
    default = template["Globals"]["Function"]["Timeout"]
    asked = [
        found["Properties"].get("Timeout", default)
        for found in functions.values()
        if "HttpApi" in {event["Type"] for event in found["Properties"]["Events"].values()}
    ]
    assert len(asked) == 3 and max(asked) < 30


def test_every_function_is_traced(plain):
    for function in of_type(plain["Resources"], "AWS::Lambda::Function").values():
        assert function["Properties"]["TracingConfig"] == {"Mode": "Active"}


ALIASES = {
    "PredictFunction": "PredictFunctionAliaslive",
    "BatchFunction": "BatchFunctionAliaslive",
    "WorkerFunction": "WorkerFunctionAliaslive",
    "AdminFunction": "AdminFunctionAliaslive",
    "RetrainFunction": "RetrainFunctionAliaslive",
}


def test_every_function_has_the_alias_live(plain):
    found = of_type(plain["Resources"], "AWS::Lambda::Alias")
    assert {
        alias["Properties"]["FunctionName"]["Ref"]: it for it, alias in found.items()
    } == ALIASES
    assert {alias["Properties"]["Name"] for alias in found.values()} == {"live"}


def test_the_api_calls_aliases_and_nothing_else(plain):
    body = one(plain["Resources"], "AWS::ApiGatewayV2::Api")["Body"]
    uris = [json.dumps(node["uri"]) for node in walk(body) if "uri" in node]
    called = {alias for uri in uris for alias in ALIASES.values() if alias in uri}
    answering = ("PredictFunction", "BatchFunction", "AdminFunction")
    assert called == {ALIASES[name] for name in answering}
    assert all(any(alias in uri for alias in called) for uri in uris)


def test_messages_events_and_schedules_go_to_the_alias_too(plain):
    rules = of_type(plain["Resources"], "AWS::Events::Rule").values()
    targets = [target["Arn"] for rule in rules for target in rule["Properties"]["Targets"]]
    assert len(targets) == 3
    for target in targets:
        assert target == {"Ref": ALIASES["RetrainFunction"]}
    mappings = of_type(plain["Resources"], "AWS::Lambda::EventSourceMapping").values()
    fed = [mapping["Properties"]["FunctionName"]["Ref"] for mapping in mappings]
    assert sorted(fed) == [ALIASES["RetrainFunction"], ALIASES["WorkerFunction"]]


def test_a_new_version_of_predict_takes_over_gradually_unless_asked_otherwise(plain, translate):
    def deployment(template: dict[str, Any]) -> dict[str, Any]:
        return one(template["Resources"], "AWS::CodeDeploy::DeploymentGroup")

    name = json.dumps(deployment(plain)["DeploymentConfigName"])
    assert "Canary10Percent5Minutes" in name
    at_once = translate(ROOT / "template.yaml", DeploymentType="AllAtOnce")
    assert "AllAtOnce" in json.dumps(deployment(at_once)["DeploymentConfigName"])
    alias = plain["Resources"][ALIASES["PredictFunction"]]
    assert "CodeDeployLambdaAliasUpdate" in alias["UpdatePolicy"]


def test_alarms_on_errors_throttles_duration_and_models_roll_a_deployment_back(plain):
    group = one(plain["Resources"], "AWS::CodeDeploy::DeploymentGroup")
    alarms = group["AlarmConfiguration"]
    guards = {
        plain["Resources"][alarm["Name"]["Ref"]]["Properties"]["MetricName"]
        for alarm in alarms["Alarms"]
    }
    assert alarms["Enabled"]
    assert guards == {"Errors", "Faults", "Throttles", "Duration", "ModelLoadFailure"}
    assert "DEPLOYMENT_STOP_ON_ALARM" in group["AutoRollbackConfiguration"]["Events"]


def test_snapstart_is_a_parameter_and_off_by_default(template, plain):
    for function in of_type(plain["Resources"], "AWS::Lambda::Function").values():
        assert function["Properties"]["SnapStart"] == {"ApplyOn": {"Ref": "SnapStart"}}
    parameter = template["Parameters"]["SnapStart"]
    assert parameter["Default"] == "None"
    assert parameter["AllowedValues"] == ["None", "PublishedVersions"]


@pytest.mark.parametrize("name", ALIASES)
def test_another_value_of_a_parameter_is_a_new_version_too(template, plain, name):
    """CloudFormation replaces a version when its description changes; SAM's id does not move."""
    function = plain["Resources"][name]["Properties"]
    description = version_of(plain, name)["Properties"]["Description"]["Fn::Sub"]
    used = {node["Ref"] for node in walk(function) if "Ref" in node} & set(template["Parameters"])
    assert used == set(re.findall(r"\$\{(\w+)\}", description))
    assert used >= {"LogLevel", "SnapStart"}


def version_of(plain: dict[str, Any], function: str) -> dict[str, Any]:
    (found,) = [
        version
        for version in of_type(plain["Resources"], "AWS::Lambda::Version").values()
        if version["Properties"]["FunctionName"] == {"Ref": function}
    ]
    return found


@pytest.mark.parametrize(
    ("line", "changed", "functions"),
    [
        ("MemorySize: 1769", "MemorySize: 2048", set(ALIASES)),
        ("Timeout: 20", "Timeout: 25", {"PredictFunction", "AdminFunction"}),
        ("Timeout: 29", "Timeout: 25", {"BatchFunction"}),
        ("Timeout: 60", "Timeout: 50", {"RetrainFunction", "WorkerFunction"}),
    ],
)
def test_a_change_of_a_property_is_a_new_version_too(translate, tmp_path, line, changed, functions):
    def versions(file: Path) -> dict[str, str]:
        # Packages of one name: the code is the same.
        resources = translate(file, lambda _: "same")["Resources"]
        found = of_type(resources, "AWS::Lambda::Version")
        return {it["Properties"]["FunctionName"]["Ref"]: name for name, it in found.items()}

    text = (ROOT / "template.yaml").read_text("utf-8")
    (tmp_path / "template.yaml").write_text(text.replace(line, changed), encoding="utf-8")
    before, after = versions(ROOT / "template.yaml"), versions(tmp_path / "template.yaml")
    assert {name for name in ALIASES if before[name] != after[name]} == functions


RUNS = {"MODELS_BUCKET", "DATA_BUCKET", "TABLE", "JOB_QUEUE", "JOB_DEFINITION", "UPLOADS_QUEUE"}
TOLD = {
    "PredictFunction": {"MODELS_BUCKET", "DATA_BUCKET", "TABLE"},
    "BatchFunction": {"MODELS_BUCKET", "DATA_BUCKET", "TABLE", "ACCESS", "ADMIN_SECRET"},
    "WorkerFunction": {"MODELS_BUCKET", "DATA_BUCKET", "TABLE"},
    "AdminFunction": RUNS | {"ACCESS", "ADMIN_SECRET"},
    "RetrainFunction": RUNS | {"MIN_NEW_IMAGES", "QUIET_PERIOD"},
}


@pytest.mark.parametrize("name", TOLD)
def test_a_function_is_told_what_it_needs_and_only_what_the_library_reads(plain, name):
    told = set(plain["Resources"][name]["Properties"]["Environment"]["Variables"])
    own = {"LOG_LEVEL", "POWERTOOLS_SERVICE_NAME", "POWERTOOLS_METRICS_NAMESPACE"}
    assert told == TOLD[name] | own
    assert TOLD[name] <= {name.upper() for name in Settings.model_fields}


@pytest.mark.parametrize(
    ("parameter", "setting"), [("MinNewImages", "min_new_images"), ("QuietPeriod", "quiet_period")]
)
def test_a_parameter_has_the_default_and_the_bounds_of_its_setting(template, parameter, setting):
    field = Settings.model_fields[setting]
    bounds = {
        name: getattr(it, name)
        for it in field.metadata
        for name in ("ge", "le")
        if hasattr(it, name)
    }
    found = template["Parameters"][parameter]
    assert found["Default"] == field.default
    assert {"ge": found["MinValue"], "le": found["MaxValue"]} == bounds


def test_results_are_private_unless_asked_otherwise(template):
    access = template["Parameters"]["Access"]
    assert (access["Default"], access["AllowedValues"]) == ("private", ["private", "public"])


def test_the_admins_token_is_generated_and_needs_no_quoting(resources):
    generated = resources["AdminSecret"]["Properties"]["GenerateSecretString"]
    # No SecretStringTemplate: the secret is the token itself, not JSON around it.
    assert generated == {"PasswordLength": 48, "ExcludePunctuation": True}


# --- the buckets ---------------------------------------------------------------------------------

BUCKETS = ["ModelsBucket", "DataBucket", "SiteBucket"]


def test_these_are_all_the_buckets(resources):
    assert sorted(of_type(resources, "AWS::S3::Bucket")) == sorted(BUCKETS)


@pytest.mark.parametrize("bucket", BUCKETS)
def test_a_bucket_is_private(resources, bucket):
    properties = resources[bucket]["Properties"]
    assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(properties["PublicAccessBlockConfiguration"]) == 4
    (owner,) = properties["OwnershipControls"]["Rules"]
    assert owner == {"ObjectOwnership": "BucketOwnerEnforced"}


@pytest.mark.parametrize("bucket", BUCKETS)
def test_a_bucket_answers_over_tls_only(resources, bucket):
    (policy,) = [
        found["Properties"]
        for found in of_type(resources, "AWS::S3::BucketPolicy").values()
        if found["Properties"]["Bucket"] == {"Ref": bucket}
    ]
    (deny,) = [found for found in statements(policy) if found["Effect"] == "Deny"]
    assert deny["Condition"] == {"Bool": {"aws:SecureTransport": False}}
    assert (deny["Principal"], deny["Action"]) == ("*", "s3:*")
    assert deny["Resource"] == [
        {"Fn::GetAtt": [bucket, "Arn"]},
        {"Fn::Sub": f"${{{bucket}.Arn}}/*"},
    ]


@pytest.mark.parametrize("bucket", BUCKETS)
def test_a_bucket_is_encrypted(resources, bucket):
    (rule,) = resources[bucket]["Properties"]["BucketEncryption"][
        "ServerSideEncryptionConfiguration"
    ]
    assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] in ("AES256", "aws:kms")


@pytest.mark.parametrize("bucket", BUCKETS)
def test_a_bucket_outlives_its_stack(resources, bucket):
    assert resources[bucket]["DeletionPolicy"] == "Retain"
    assert resources[bucket]["UpdateReplacePolicy"] == "Retain"


@pytest.mark.parametrize("bucket", BUCKETS)
def test_a_bucket_is_named_by_the_pattern_that_policies_use(resources, bucket):
    kind = bucket.removesuffix("Bucket").lower()
    name = resources[bucket]["Properties"]["BucketName"]["Fn::Sub"]
    assert name.startswith(f"${{AWS::StackName}}-{kind}-")


def rules(resources: dict[str, Any], bucket: str) -> list[dict[str, Any]]:
    found = resources[bucket]["Properties"]["LifecycleConfiguration"]["Rules"]
    return [rule for rule in found if rule["Status"] == "Enabled"]


@pytest.mark.parametrize("bucket", BUCKETS)
def test_unfinished_uploads_are_dropped(resources, bucket):
    assert any(
        rule.get("AbortIncompleteMultipartUpload", {}).get("DaysAfterInitiation", 99) <= 7
        for rule in rules(resources, bucket)
    )


def test_models_have_versions_and_replaced_ones_go_after_a_month(resources):
    models = resources["ModelsBucket"]["Properties"]
    assert models["VersioningConfiguration"] == {"Status": "Enabled"}
    days = [
        rule["NoncurrentVersionExpiration"]["NoncurrentDays"]
        for rule in rules(resources, "ModelsBucket")
        if "NoncurrentVersionExpiration" in rule and "Prefix" not in rule
    ]
    assert days == [30]


KEPT = [
    "versions/20261122-201500-0a1b2c/model.tflite",
    "champion.json",
    "promotions/2026-11-22T20:15:00-20261122-201500-0a1b2c.json",
    "trained.json",
    "features/0a1b2c.npy",
    "build/source.zip",
]


def test_no_rule_ever_expires_a_live_model(resources):
    """Nor what decides which one is live: only checkpoints go, and those after a week."""
    expired = {
        rule.get("Prefix", ""): rule.get("ExpirationInDays")
        for rule in rules(resources, "ModelsBucket")
        if "ExpirationInDays" in rule or "ExpirationDate" in rule
    }
    assert expired == {"checkpoints/": 7}
    for key in KEPT:
        assert not key.startswith(tuple(expired))


@pytest.mark.parametrize("key", ["versions/1/model.tflite", "champion.json", "trained.json"])
def test_a_replaced_model_can_be_had_back_for_a_month(resources, key):
    days = [
        rule["NoncurrentVersionExpiration"]["NoncurrentDays"]
        for rule in rules(resources, "ModelsBucket")
        if "NoncurrentVersionExpiration" in rule and key.startswith(rule.get("Prefix", ""))
    ]
    assert min(days) == 30


def test_a_users_images_are_gone_after_days_and_no_training_image_ever_is(resources):
    days = {
        rule["Prefix"]: rule["ExpirationInDays"]
        for rule in rules(resources, "DataBucket")
        if "ExpirationInDays" in rule
    }
    assert days == {"uploads/": 1, "inbox/": 7, "results/": 30}


def test_a_page_that_may_call_the_api_may_send_its_forms_to_the_bucket(resources):
    (rule,) = resources["DataBucket"]["Properties"]["CorsConfiguration"]["CorsRules"]
    assert rule["AllowedOrigins"] == {
        "Fn::If": ["HasOrigins", {"Ref": "AllowedOrigins"}, [OWN_PAGE]]
    }
    assert sorted(rule["AllowedMethods"]) == ["GET", "POST"]
    for other in ("ModelsBucket", "SiteBucket"):
        assert "CorsConfiguration" not in resources[other]["Properties"]


def test_nothing_in_the_template_writes_an_object_so_no_deployment_moves_a_champion(plain):
    kinds = {resource["Type"] for resource in plain["Resources"].values()}
    assert not {kind for kind in kinds if kind.startswith(("Custom::", "AWS::CloudFormation::"))}


# --- logs and alarms -----------------------------------------------------------------------------


def test_every_log_is_kept_for_a_set_time(resources, template):
    groups = of_type(resources, "AWS::Logs::LogGroup")
    assert len(groups) == 8
    for group in groups.values():
        assert group["Properties"]["RetentionInDays"] == {"Ref": "LogRetentionDays"}
    assert template["Parameters"]["LogRetentionDays"]["Default"] <= 90


def test_every_function_writes_to_a_log_of_the_template(plain):
    for function in of_type(plain["Resources"], "AWS::Lambda::Function").values():
        group = function["Properties"]["LoggingConfig"]["LogGroup"]["Ref"]
        assert plain["Resources"][group]["Type"] == "AWS::Logs::LogGroup"


@pytest.mark.parametrize(
    ("namespace", "metric", "whose", "statistic"),
    [
        ("AWS/ApiGateway", "5xx", {"Ref": "Api"}, "Sum"),
        ("AWS/Lambda", "Errors", {"Ref": "PredictFunction"}, "Sum"),
        ("AWS/Lambda", "Errors", {"Ref": "RetrainFunction"}, "Sum"),
        ("AWS/Lambda", "Throttles", {"Ref": "PredictFunction"}, "Sum"),
        ("AWS/Lambda", "Duration", {"Ref": "PredictFunction"}, "p95"),
        ("AWS/SQS", VISIBLE, {"Fn::GetAtt": ["UploadsDeadLetters", "QueueName"]}, "Maximum"),
        ("AWS/SQS", VISIBLE, {"Fn::GetAtt": ["InboxDeadLetters", "QueueName"]}, "Maximum"),
        ("Clickbait", "Faults", "predict", "Sum"),
        ("Clickbait", "Faults", "batch", "Sum"),
        ("Clickbait", "Faults", "admin", "Sum"),
        ("Clickbait", "ModelLoadFailure", "predict", "Sum"),
        ("Clickbait", "ModelLoadFailure", "batch", "Sum"),
        ("Clickbait", "ModelLoadFailure", "worker", "Sum"),
        ("Clickbait", "HistoryWriteFailure", "predict", "Sum"),
        ("Clickbait", "HistoryWriteFailure", "batch", "Sum"),
        ("Clickbait", "HistoryWriteFailure", "worker", "Sum"),
        ("Clickbait", "RunsFailed", "retrain", "Sum"),
        ("Clickbait", "Drift", "retrain", "Maximum"),
    ],
)
def test_there_is_an_alarm(resources, namespace, metric, whose, statistic):
    ((alarm, stat),) = [
        (alarm, stat)
        for alarm, watched, stat in watching(resources)
        if (watched["Namespace"], watched["MetricName"]) == (namespace, metric)
        and watched["Dimensions"][0]["Value"] == whose
    ]
    assert stat == statistic
    # No traffic is no alarm, and no news for a deployment.
    assert alarm["TreatMissingData"] == "notBreaching"


def watching(resources: dict[str, Any]) -> list[tuple[dict[str, Any], dict[str, Any], str]]:
    """Each alarm with each metric that it looks at, and with the statistic of it."""
    found = []
    for alarm in of_type(resources, "AWS::CloudWatch::Alarm").values():
        properties = alarm["Properties"]
        if "MetricName" in properties:
            stat = properties.get("Statistic") or properties["ExtendedStatistic"]
            found.append((properties, properties, stat))
        for query in properties.get("Metrics", []):
            if "MetricStat" in query:
                told = query["MetricStat"]
                found.append((properties, told["Metric"], told["Stat"]))
    return found


def test_an_alarm_on_a_sum_adds_all_of_its_metrics_and_one_that_rests_is_no_gap(resources):
    sums = [
        found["Properties"]["Metrics"]
        for found in of_type(resources, "AWS::CloudWatch::Alarm").values()
        if "Metrics" in found["Properties"]
    ]
    assert len(sums) == 2
    for queries in sums:
        (total,) = [query for query in queries if "Expression" in query]
        added = [query for query in queries if "MetricStat" in query]
        # Not a + b, which has no value where one of them has none.
        assert total["Expression"] == f"SUM([{', '.join(query['Id'] for query in added)}])"
        assert total.get("ReturnData", True) and not any(query["ReturnData"] for query in added)
        for query in added:
            (dimension,) = query["MetricStat"]["Metric"]["Dimensions"]
            assert dimension["Value"] == query["Id"]


def test_drift_is_an_alarm_from_where_the_library_calls_it_large(resources):
    alarm = resources["DriftAlarm"]["Properties"]
    assert (alarm["Threshold"], alarm["ComparisonOperator"]) == (
        monitoring.LARGE_DRIFT,
        "GreaterThanOrEqualToThreshold",
    )
    # It is measured once a day: over less than that the alarm would end by itself.
    assert alarm["Period"] == 86_400


def test_alarms_of_a_function_look_at_what_its_alias_does(resources):
    for _, watched, _ in watching(resources):
        if watched["Namespace"] == "AWS/Lambda":
            whose, alias = (found["Value"] for found in watched["Dimensions"])
            assert alias == {"Fn::Sub": f"${{{whose['Ref']}}}:live"}


def test_alarms_name_services_that_there_are(plain, resources):
    services = {
        found["Properties"]["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"]
        for found in of_type(plain["Resources"], "AWS::Lambda::Function").values()
    }
    named = [
        watched["Dimensions"]
        for _, watched, _ in watching(resources)
        if watched["Namespace"] == "Clickbait"
    ]
    assert (
        {dimension["Value"] for (dimension,) in named}
        == services
        == {"predict", "batch", "worker", "admin", "retrain"}
    )


def test_services_that_metrics_sum_up_are_services_that_there_are(functions):
    """GET /metrics asks for them by name, and would be told nothing of another name."""
    predicting = ("PredictFunction", "BatchFunction", "WorkerFunction")
    assert set(monitoring.SERVICES) == {
        functions[name]["Properties"]["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"]
        for name in predicting
    }


def test_metrics_tell_of_every_function_by_its_name(functions):
    assert set(monitoring.FUNCTIONS) == {
        found["Properties"]["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"]
        for found in functions.values()
    }


def test_every_function_may_have_the_memory_that_admin_tells_of_all(plain):
    """GET /metrics answers its own limit for each of them."""
    found = of_type(plain["Resources"], "AWS::Lambda::Function").values()
    assert len({function["Properties"]["MemorySize"] for function in found}) == 1


def test_alarms_cost_what_the_template_says(resources):
    """By the metrics that they look at, each month, idle or not; ten are free in an account."""
    watched = len(watching(resources))
    dollars = (watched - 10) * 0.10
    text = (ROOT / "template.yaml").read_text("utf-8")
    assert f"Here are {watched}: ${dollars:.2f}." in text
    assert watched <= 18


def test_the_library_emits_the_metrics_that_the_alarms_look_at(resources):
    source = "".join(
        file.read_text("utf-8") for file in (ROOT / "layers/clickbait/python").rglob("*.py")
    )
    own = [
        watched["MetricName"]
        for _, watched, _ in watching(resources)
        if watched["Namespace"] == "Clickbait"
    ]
    assert own and all(f'count("{metric}"' in source for metric in own)


def test_an_alarm_is_mailed_only_where_there_is_an_address(resources):
    assert resources["AlarmTopic"]["Condition"] == "HasAlarmEmail"
    for alarm in of_type(resources, "AWS::CloudWatch::Alarm").values():
        assert alarm["Properties"]["AlarmActions"]["Fn::If"][0] == "HasAlarmEmail"


# --- the whole -----------------------------------------------------------------------------------


def test_no_resource_waits_for_itself(plain):
    """The API names the alias, the alias its deployment, the deployment its alarms."""
    resources = plain["Resources"]

    def needs(resource: dict[str, Any]) -> set[str]:
        found = set(listed(resource.get("DependsOn", [])))
        for node in walk(resource):
            if "Ref" in node:
                found.add(node["Ref"])
            if "Fn::GetAtt" in node:
                target = node["Fn::GetAtt"]
                found.add(target[0] if isinstance(target, list) else target.split(".")[0])
            for text in listed(node.get("Fn::Sub", [])):
                if isinstance(text, str):
                    found.update(re.findall(r"\$\{(\w+)", text))
        return found & set(resources)

    TopologicalSorter({name: needs(found) for name, found in resources.items()}).prepare()


def test_every_parameter_has_a_default_and_a_description(template):
    for name, parameter in template["Parameters"].items():
        assert "Default" in parameter and parameter["Description"], name


OUTPUTS = [
    *("SiteUrl", "SiteBucket", "SiteDistribution"),
    *("ApiUrl", "ModelsBucket", "DataBucket", "Table", "AdminSecret"),
    *("PredictFunction", "BatchFunction", "WorkerFunction", "AdminFunction", "RetrainFunction"),
    *("UploadsQueue", "UploadsDeadLetters", "InboxQueue", "InboxDeadLetters"),
    *("JobQueue", "JobDefinition", "TrainingRepository", "TrainingBuild"),
]


@pytest.mark.parametrize("output", OUTPUTS)
def test_the_stack_says_where_its_parts_are(template, output):
    assert template["Outputs"][output]["Description"]
