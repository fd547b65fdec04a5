"""The promises of the template: what keeps it safe and cheap, and in step with the code."""

import json
import re
from collections.abc import Callable
from copy import deepcopy
from dataclasses import fields
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import pytest

from clickbait import keys
from clickbait.settings import Settings, SettingsError
from clickbait.store import monitoring
from ops.recover import KEPT
from tests.template.conftest import listed, of_type, one, statements, walk
from tests.template.test_permissions import ALLOWED

ROOT = Path(__file__).resolve().parents[2]

OWN_METRICS = {"Fn::Sub": "Clickbait/${AWS::StackName}"}

UNWATCHED = {"rollout"}
"""The hook of deployments has no metrics and no alarm: if it fails, so does the deployment."""

DOCUMENTATION = {"GET /docs", "GET /redoc", "GET /openapi.json", "GET /docs/{page+}"}


# --- the API -------------------------------------------------------------------------------------


OWN_PAGE = {"Fn::Sub": "https://${SiteDistribution.DomainName}"}


def cors(plain: dict[str, Any]) -> dict[str, Any]:
    """The API's CORS if any page may call; if none may, there is none."""
    body = one(plain["Resources"], "AWS::ApiGatewayV2::Api")["Body"]
    condition, settings, without = body["x-amazon-apigateway-cors"]["Fn::If"]
    assert (condition, without) == ("PagesCall", {"Ref": "AWS::NoValue"})
    return settings


def test_the_stacks_own_page_may_call_and_the_origins_that_are_given(template, translate):
    given = "https://a.example.org,http://localhost:8080"
    settings = cors(translate(ROOT / "template.yaml", AllowedOrigins=given))
    both = {"Fn::Join": [",", [OWN_PAGE, {"Fn::Join": [",", given.split(",")]}]]}
    with_page = {"Fn::If": ["HasOrigins", {"Fn::Split": [",", both]}, [OWN_PAGE]]}
    assert settings["allowOrigins"] == {"Fn::If": ["HasPage", with_page, given.split(",")]}
    assert "*" not in json.dumps(settings) and not settings.get("allowCredentials")
    joined = {"Fn::Join": ["", {"Ref": "AllowedOrigins"}]}
    assert template["Parameters"]["AllowedOrigins"]["Default"] == ""
    assert template["Conditions"]["HasOrigins"] == {"Fn::Not": [{"Fn::Equals": [joined, ""]}]}


def test_without_a_page_nothing_refers_to_cloudfront(template, resources):
    """CloudFront refuses new accounts; Page=none must leave all of it out."""
    assert template["Conditions"]["HasPage"] == {"Fn::Equals": [{"Ref": "Page"}, "cloudfront"]}
    of_page = {name for name, it in resources.items() if it.get("Condition") == "HasPage"}
    assert of_page >= {n for n, it in resources.items() if "CloudFront" in it["Type"]}
    for name, it in (resources | template["Outputs"]).items():
        text = json.dumps(it).replace(json.dumps(OWN_PAGE), "")  # only where there is a page: CORS
        if it.get("Condition") != "HasPage":
            assert not [
                other for other in of_page if f'"{other}"' in text or f"{{{other}" in text
            ], name


def test_a_page_may_send_the_admin_token_to_every_route(plain):
    operations = json.loads((ROOT / "openapi.json").read_text("utf-8"))["paths"].values()
    methods = {method.upper() for path in operations for method in path}
    settings = cors(plain)
    assert {"authorization", "content-type"} <= set(settings["allowHeaders"])
    assert set(settings["allowMethods"]) == methods


@pytest.mark.parametrize("origin", ["*", "https://*", "https://a.b/path", "null"])
def test_an_invalid_origin_is_refused(template, origin):
    pattern = template["Parameters"]["AllowedOrigins"]["AllowedPattern"]
    assert not re.fullmatch(pattern, origin)
    assert re.fullmatch(pattern, "https://page.example.org:8443")
    assert re.fullmatch(pattern, "")


def test_the_page_may_read_the_headers_that_the_api_promises(plain):
    promised = {"x-model-version", "x-processing-time", "x-cold-start", "x-request-id"}
    assert promised <= set(cors(plain)["exposeHeaders"])


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


def test_every_function_runs_on_the_platform_that_its_dependencies_are_built_for(plain):
    makefile = (ROOT / "layers" / "dependencies" / "Makefile").read_text("utf-8")
    (python,) = re.findall(r"--python-version ([\d.]+)", makefile)
    (machine,) = set(re.findall(r"--platform manylinux[\d_]+_(\w+64)", makefile))
    architecture = {"aarch64": "arm64", "x86_64": "x86_64"}[machine]
    for function in of_type(plain["Resources"], "AWS::Lambda::Function").values():
        assert function["Properties"]["Architectures"] == [architecture]
        assert function["Properties"]["Runtime"] == f"python{python}"
    for layer in of_type(plain["Resources"], "AWS::Lambda::LayerVersion").values():
        assert layer["Properties"]["CompatibleArchitectures"] == [architecture]
        assert layer["Properties"]["CompatibleRuntimes"] == [f"python{python}"]


def test_a_function_that_the_api_calls_gives_up_before_the_api_does(template, functions):
    default = template["Globals"]["Function"]["Timeout"]
    asked = [
        found["Properties"].get("Timeout", default)
        for found in functions.values()
        if "HttpApi" in {event["Type"] for event in found["Properties"].get("Events", {}).values()}
    ]
    assert len(asked) == 3 and max(asked) < 30


ALIASES = {
    "PredictFunction": "PredictFunctionAliaslive",
    "RolloutFunction": "RolloutFunctionAliaslive",
    "BatchFunction": "BatchFunctionAliaslive",
    "WorkerFunction": "WorkerFunctionAliaslive",
    "AdminFunction": "AdminFunctionAliaslive",
    "RetrainFunction": "RetrainFunctionAliaslive",
    "LearnFunction": "LearnFunctionAliaslive",
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
    targets.remove({"Ref": "AlarmTopic"})  # the rule of a failed build
    assert len(targets) == 3
    for target in targets:
        assert target == {"Ref": ALIASES["RetrainFunction"]}
    mappings = of_type(plain["Resources"], "AWS::Lambda::EventSourceMapping").values()
    fed = [mapping["Properties"]["FunctionName"]["Ref"] for mapping in mappings]
    fed_by_queues = ("LearnFunction", "RetrainFunction", "WorkerFunction")
    assert sorted(fed) == [ALIASES[name] for name in fed_by_queues]


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


def test_codedeploy_asks_the_hook_about_the_new_version_before_traffic_moves(plain):
    (update,) = [
        alias["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"]
        for alias in of_type(plain["Resources"], "AWS::Lambda::Alias").values()
        if "UpdatePolicy" in alias
    ]
    assert update["BeforeAllowTrafficHook"] == {"Ref": "RolloutFunction"}
    hook = plain["Resources"]["RolloutFunction"]["Properties"]
    # AWSCodeDeployRoleForLambda, the role's policy, allows only functions of these names.
    (policy,) = plain["Resources"]["CodeDeployServiceRole"]["Properties"]["ManagedPolicyArns"]
    assert policy.endswith("/AWSCodeDeployRoleForLambda")
    name = hook["FunctionName"]["Fn::Sub"]
    assert name == "CodeDeployHook_${AWS::StackName}_predict"
    longest = name.replace("${AWS::StackName}", "x" * 28)  # ops.target.STACK_NAME
    assert len(longest) <= 64
    asked = hook["Environment"]["Variables"]["NEW_VERSION"]["Ref"]
    assert plain["Resources"][asked]["Properties"]["FunctionName"] == {"Ref": "PredictFunction"}
    # Before CodeDeploy gives up, and in time for three starts of the new version.
    predict = plain["Resources"]["PredictFunction"]["Properties"]["Timeout"]
    assert 3 * predict <= hook["Timeout"] < 3_600


def test_snapstart_which_costs_when_idle_is_off_by_default(template, plain):
    for name, function in of_type(plain["Resources"], "AWS::Lambda::Function").items():
        own = {"ApplyOn": {"Ref": "SnapStart"}} if name == "PredictFunction" else None
        assert function["Properties"].get("SnapStart") == own
    assert template["Parameters"]["SnapStart"]["Default"] == "None"


def test_traces_which_cost_more_than_all_else_are_off_by_default(template):
    assert template["Globals"]["Function"]["Tracing"] == {"Ref": "Tracing"}
    assert template["Parameters"]["Tracing"]["Default"] == "PassThrough"


@pytest.mark.parametrize("name", ALIASES)
def test_another_value_of_a_parameter_is_a_new_version_too(template, plain, name):
    """CloudFormation replaces a version when its description changes; SAM's id does not move."""
    function = plain["Resources"][name]["Properties"]
    description = version_of(plain, name)["Properties"]["Description"]["Fn::Sub"]
    used = {node["Ref"] for node in walk(function) if "Ref" in node} & set(template["Parameters"])
    assert used == set(re.findall(r"\$\{(\w+)\}", description))
    assert "LogLevel" in used


def version_of(plain: dict[str, Any], function: str) -> dict[str, Any]:
    (found,) = [
        version
        for version in of_type(plain["Resources"], "AWS::Lambda::Version").values()
        if version["Properties"]["FunctionName"] == {"Ref": function}
    ]
    return found


@pytest.fixture(scope="module")
def versions(translate, tmp_path_factory) -> Callable[[dict[str, Any]], dict[str, str]]:
    """A function of a template that returns the id of each function's version."""
    file = tmp_path_factory.mktemp("changed") / "template.yaml"

    def found(template: dict[str, Any]) -> dict[str, str]:
        file.write_text(json.dumps(template), encoding="utf-8")
        # Packages of one name: the code is the same.
        resources = translate(file, lambda _: "same")["Resources"]
        published = of_type(resources, "AWS::Lambda::Version")
        return {it["Properties"]["FunctionName"]["Ref"]: name for name, it in published.items()}

    return found


@pytest.fixture(scope="module")
def unchanged(template, versions) -> dict[str, str]:
    return versions(template)


@pytest.mark.parametrize("name", ["", *ALIASES])
def test_a_change_of_a_property_is_a_new_version_too(template, versions, unchanged, name):
    """Of one function's property for that function, of a global one for all functions."""
    changed = deepcopy(template)
    if name:
        changed["Resources"][name]["Properties"]["Timeout"] = 25
    else:
        changed["Globals"]["Function"]["MemorySize"] *= 2
    after = versions(changed)
    different = {it for it in ALIASES if unchanged[it] != after[it]}
    assert different == ({name} if name else set(ALIASES))


def variables(functions: dict[str, Any], name: str) -> set[str]:
    """The names of a function's own environment variables."""
    return set(functions[name]["Properties"]["Environment"]["Variables"])


@pytest.mark.parametrize("name", ALIASES)
def test_every_variable_of_a_function_is_a_setting_of_the_library(template, functions, name):
    own = {"LOG_LEVEL", "POWERTOOLS_SERVICE_NAME", "POWERTOOLS_METRICS_NAMESPACE"}
    own |= {"NEW_VERSION"} if name == "RolloutFunction" else set()
    common = set(template["Globals"]["Function"]["Environment"]["Variables"])
    given = variables(functions, name) | common
    assert own < given <= own | {it.name.upper() for it in fields(Settings)}


@pytest.mark.parametrize(
    ("variable", "action"),
    [
        ("ADMIN_SECRET", "secretsmanager:GetSecretValue"),
        ("JOB_DEFINITION", "batch:SubmitJob"),
        ("JOB_QUEUE", "batch:SubmitJob"),
        ("NOTIFY_TOPIC", "sns:Publish"),
        ("TABLE", "dynamodb:UpdateItem"),
    ],
)
def test_a_function_gets_the_name_of_a_resource_if_it_may_use_it(functions, variable, action):
    for name, function in functions.items():
        (role, _) = function["Properties"]["Role"]["Fn::GetAtt"]
        assert (variable in variables(functions, name)) is (action in ALLOWED[role]), name


@pytest.mark.parametrize(
    ("parameter", "setting"),
    [
        ("MinNewImages", "min_new_images"),
        ("QuietPeriod", "quiet_period"),
        ("KeepUnsure", "keep_unsure"),
    ],
)
def test_a_parameter_has_the_default_and_the_bounds_of_its_setting(template, parameter, setting):
    found = template["Parameters"][parameter]
    assert found["Default"] == getattr(Settings(), setting)
    low, high = found["MinValue"], found["MaxValue"]
    for value in (low, high):
        assert getattr(Settings.from_environment({setting.upper(): str(value)}), setting) == value
    for value in (low - 1, high + 1):
        with pytest.raises(SettingsError, match=setting.upper()):
            Settings.from_environment({setting.upper(): str(value)})


def test_results_are_private_unless_asked_otherwise(template):
    assert template["Parameters"]["Access"]["Default"] == "private"


def test_the_admin_token_is_long_and_needs_no_quoting(resources):
    generated = resources["AdminSecret"]["Properties"]["GenerateSecretString"]
    assert generated["PasswordLength"] >= 32 and generated["ExcludePunctuation"] is True
    # The secret is the token itself, not JSON around it.
    assert "SecretStringTemplate" not in generated


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
    assert resources[bucket]["DeletionPolicy"] == "RetainExceptOnCreate"
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


def expiring(resources: dict[str, Any], bucket: str) -> set[str]:
    """The prefixes of a bucket whose current objects a rule deletes."""
    return {
        rule.get("Prefix", "")
        for rule in rules(resources, bucket)
        if "ExpirationInDays" in rule or "ExpirationDate" in rule
    }


def test_no_rule_deletes_a_model_or_the_record_of_which_one_is_live(resources):
    assert expiring(resources, "ModelsBucket") == {keys.CHECKPOINTS}


@pytest.mark.parametrize("key", [f"{keys.VERSIONS}1/model.tflite", keys.CHAMPION, keys.TRAINED])
def test_a_replaced_model_can_be_restored_for_a_month(resources, key):
    versioning = resources["ModelsBucket"]["Properties"]["VersioningConfiguration"]
    assert versioning == {"Status": "Enabled"}
    days = [
        rule["NoncurrentVersionExpiration"]["NoncurrentDays"]
        for rule in rules(resources, "ModelsBucket")
        if "NoncurrentVersionExpiration" in rule and key.startswith(rule.get("Prefix", ""))
    ]
    assert min(days) == 30


def test_a_users_images_and_results_expire_and_training_images_never_do(resources):
    assert expiring(resources, "DataBucket") == {
        *(keys.UPLOADS, keys.INBOX, keys.RESULTS, keys.REVIEW, keys.FEEDBACK, keys.REJECTED),
    }


def test_images_of_batches_are_deleted_when_the_api_says_so(resources):
    rules = resources["DataBucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    (days,) = (rule["ExpirationInDays"] for rule in rules if rule.get("Prefix") == keys.INBOX)
    assert days == keys.INBOX_DAYS


@pytest.mark.parametrize(
    ("prefix", "days"),
    [(keys.TRAIN, 7), (keys.EXAM, 7), (keys.UPLOADS, 1), (keys.INBOX, 1), (keys.RESULTS, 1)],
)
def test_a_deleted_image_can_be_restored_for_a_week_and_is_gone_then(resources, prefix, days):
    versioning = resources["DataBucket"]["Properties"]["VersioningConfiguration"]
    assert versioning == {"Status": "Enabled"}
    kept = [
        rule["NoncurrentVersionExpiration"]["NoncurrentDays"]
        for rule in rules(resources, "DataBucket")
        if "NoncurrentVersionExpiration" in rule and prefix.startswith(rule.get("Prefix", ""))
    ]
    assert min(kept) == days


def test_a_page_that_may_call_the_api_may_send_its_forms_to_the_bucket(resources):
    condition, rules, without = resources["DataBucket"]["Properties"]["CorsConfiguration"]["Fn::If"]
    assert (condition, without) == ("PagesCall", {"Ref": "AWS::NoValue"})
    (rule,) = rules["CorsRules"]
    api = resources["Api"]["Properties"]["CorsConfiguration"]["Fn::If"][1]
    assert rule["AllowedOrigins"] == api["AllowOrigins"]
    assert sorted(rule["AllowedMethods"]) == ["GET", "POST"]
    for other in ("ModelsBucket", "SiteBucket"):
        assert "CorsConfiguration" not in resources[other]["Properties"]


def test_no_resource_writes_an_object_so_no_deployment_changes_the_champion(plain):
    kinds = {resource["Type"] for resource in plain["Resources"].values()}
    assert not {kind for kind in kinds if kind.startswith(("Custom::", "AWS::CloudFormation::"))}


# --- logs and alarms -----------------------------------------------------------------------------


def test_every_log_expires(resources):
    for group in of_type(resources, "AWS::Logs::LogGroup").values():
        assert group["Properties"]["RetentionInDays"] == {"Ref": "LogRetentionDays"}


def test_every_function_writes_to_a_log_of_the_template(plain):
    for function in of_type(plain["Resources"], "AWS::Lambda::Function").values():
        group = function["Properties"]["LoggingConfig"]["LogGroup"]["Ref"]
        assert plain["Resources"][group]["Type"] == "AWS::Logs::LogGroup"


def test_an_idle_service_raises_no_alarm(resources):
    for alarm in of_type(resources, "AWS::CloudWatch::Alarm").values():
        assert alarm["Properties"]["TreatMissingData"] == "notBreaching"


def test_every_dead_letter_queue_has_an_alarm(resources):
    watched = [
        metric["Dimensions"][0]["Value"]
        for _, metric in watching(resources)
        if metric["MetricName"] == "ApproximateNumberOfMessagesVisible"
    ]
    redrives = [
        queue["Properties"]["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"][0]
        for queue in of_type(resources, "AWS::SQS::Queue").values()
        if "RedrivePolicy" in queue["Properties"]
    ]
    assert watched and sorted(queue["Fn::GetAtt"][0] for queue in watched) == sorted(redrives)


def watching(resources: dict[str, Any]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Each alarm's properties with each metric that it watches."""
    found = []
    for alarm in of_type(resources, "AWS::CloudWatch::Alarm").values():
        properties = alarm["Properties"]
        if "MetricName" in properties:
            found.append((properties, properties))
        for query in properties.get("Metrics", []):
            if "MetricStat" in query:
                found.append((properties, query["MetricStat"]["Metric"]))
    return found


def test_an_alarm_on_a_sum_adds_all_of_its_metrics_even_if_one_has_no_value(resources):
    sums = [
        found["Properties"]["Metrics"]
        for found in of_type(resources, "AWS::CloudWatch::Alarm").values()
        if "Metrics" in found["Properties"]
    ]
    assert sums
    for queries in sums:
        (total,) = [query for query in queries if "Expression" in query]
        added = [query for query in queries if "MetricStat" in query]
        # Not a + b, which has no value if one of them has none.
        ids = ", ".join(query["Id"] for query in added)
        assert total["Expression"] in (f"SUM([{ids}])", f"MAX([{ids}])")
        assert total.get("ReturnData", True) and not any(query["ReturnData"] for query in added)
        for query in added:
            whose = json.dumps(query["MetricStat"]["Metric"]["Dimensions"][0]["Value"])
            assert query["Id"] in whose.lower()


def test_drift_raises_an_alarm_from_the_threshold_of_the_library(resources):
    alarm = resources["DriftAlarm"]["Properties"]
    assert (alarm["Threshold"], alarm["ComparisonOperator"]) == (
        monitoring.LARGE_DRIFT,
        "GreaterThanOrEqualToThreshold",
    )
    # Drift is measured once a day: over a shorter period the alarm would end by itself.
    assert alarm["Period"] == 86_400


def test_an_alarm_of_a_function_watches_its_alias(resources):
    for _, watched in watching(resources):
        if watched["Namespace"] == "AWS/Lambda":
            whose, alias = (found["Value"] for found in watched["Dimensions"])
            assert alias == {"Fn::Sub": f"${{{whose['Ref']}}}:live"}


def test_alarms_cover_the_services_that_exist_and_no_other(plain, resources):
    services = {
        found["Properties"]["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"]
        for found in of_type(plain["Resources"], "AWS::Lambda::Function").values()
    }
    named = [
        watched["Dimensions"]
        for _, watched in watching(resources)
        if watched["Namespace"] == OWN_METRICS
    ]
    assert {dimension["Value"] for (dimension,) in named} == services - UNWATCHED


def test_metrics_sum_up_the_services_that_predict(functions):
    """GET /metrics asks CloudWatch for them by name; an unknown name has no data."""
    predicting = ("PredictFunction", "BatchFunction", "WorkerFunction")
    assert set(monitoring.SERVICES) == {
        functions[name]["Properties"]["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"]
        for name in predicting
    }


def test_metrics_report_every_function_by_its_name(functions):
    assert (
        set(monitoring.FUNCTIONS)
        == {
            found["Properties"]["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"]
            for found in functions.values()
        }
        - UNWATCHED
    )


def test_every_function_has_the_same_memory(plain):
    """GET /metrics reports the admin function's limit for each of them."""
    found = of_type(plain["Resources"], "AWS::Lambda::Function").values()
    assert len({function["Properties"]["MemorySize"] for function in found}) == 1


def test_alarms_cost_what_the_template_says(resources):
    """Each metric that an alarm watches costs by the month; ten are free in an account."""
    watched = len(watching(resources))
    dollars = (watched - 10) * 0.10
    text = (ROOT / "template.yaml").read_text("utf-8")
    assert f"Here are {watched}: ${dollars:.2f}." in text


def test_without_an_address_only_the_alarms_of_a_deployment_exist_which_are_free(plain):
    """Any other would cost as much and reach nobody."""
    group = one(plain["Resources"], "AWS::CodeDeploy::DeploymentGroup")
    guards = {alarm["Name"]["Ref"] for alarm in group["AlarmConfiguration"]["Alarms"]}
    alarms = of_type(plain["Resources"], "AWS::CloudWatch::Alarm")
    always = {name for name, alarm in alarms.items() if "Condition" not in alarm}
    assert always == guards and len(always) <= 10
    conditions = {alarms[name]["Condition"] for name in set(alarms) - always}
    assert conditions == {"HasAlarmEmail"}


def test_the_library_emits_the_metrics_that_the_alarms_watch(resources):
    source = "".join(
        file.read_text("utf-8") for file in (ROOT / "layers/clickbait/python").rglob("*.py")
    )
    own = [
        watched["MetricName"]
        for _, watched in watching(resources)
        if watched["Namespace"] == OWN_METRICS
    ]
    assert own and all(f'count("{metric}"' in source for metric in own)


def test_every_function_has_an_alarm_on_its_errors_and_every_queue_on_its_oldest_message(
    resources, functions
):
    """A function whose import is broken emits no metric of its own."""
    names = [
        watched["Dimensions"][0]["Value"]["Ref"]
        for _, watched in watching(resources)
        if (watched["Namespace"], watched["MetricName"]) == ("AWS/Lambda", "Errors")
    ]
    service = {n: it["Properties"]["Environment"]["Variables"] for n, it in functions.items()}
    watched_by_nobody = {
        n for n, it in service.items() if it["POWERTOOLS_SERVICE_NAME"] in UNWATCHED
    }
    assert sorted(names) == sorted(set(functions) - watched_by_nobody)
    aged = [
        watched["Dimensions"][0]["Value"]["Fn::GetAtt"][0]
        for _, watched in watching(resources)
        if watched["MetricName"] == "ApproximateAgeOfOldestMessage"
    ]
    queues = of_type(resources, "AWS::SQS::Queue")
    dead = [it["Properties"].get("RedrivePolicy") for it in queues.values()]
    targets = {it["deadLetterTargetArn"]["Fn::GetAtt"][0] for it in dead if it}
    assert sorted(aged) == sorted(set(queues) - targets)


def test_the_end_of_trainings_and_batches_is_mailed_only_if_asked_for(template, resources):
    assert template["Parameters"]["NotifyEmail"]["Default"] == ""
    subscription = resources["NotifySubscription"]
    assert subscription["Condition"] == "HasNotifyEmail"
    assert subscription["Properties"] == {
        "TopicArn": {"Ref": "NotifyTopic"},
        "Protocol": "email",
        "Endpoint": {"Ref": "NotifyEmail"},
    }
    assert "Properties" not in resources["NotifyTopic"], "nobody else is subscribed"


def test_an_alarm_is_mailed_only_if_there_is_an_address(resources):
    assert resources["AlarmTopic"]["Condition"] == "HasAlarmEmail"
    for alarm in of_type(resources, "AWS::CloudWatch::Alarm").values():
        actions = alarm["Properties"]["AlarmActions"]
        if "Condition" not in alarm:
            condition, actions, nothing = actions["Fn::If"]
            assert (condition, nothing) == ("HasAlarmEmail", {"Ref": "AWS::NoValue"})
        assert actions == [{"Ref": "AlarmTopic"}]
        ends = alarm["Properties"]["OKActions"]
        assert ends == alarm["Properties"]["AlarmActions"], "also that it is over"


def test_a_bill_that_surprises_is_mailed(template, resources):
    budget = resources["Budget"]
    assert budget["Condition"] == "HasAlarmEmail"
    limit = budget["Properties"]["Budget"]["BudgetLimit"]
    assert limit == {"Amount": {"Ref": "MonthlyBudget"}, "Unit": "USD"}
    kinds = budget["Properties"]["NotificationsWithSubscribers"]
    assert [it["Notification"]["NotificationType"] for it in kinds] == ["ACTUAL", "FORECASTED"]
    for it in kinds:
        assert it["Subscribers"] == [
            {"SubscriptionType": "EMAIL", "Address": {"Ref": "AlarmEmail"}}
        ]


def test_a_failed_build_of_the_training_image_is_mailed(resources):
    rule = resources["BuildFailed"]
    assert rule["Condition"] == resources["AlarmTopicPolicy"]["Condition"] == "HasAlarmEmail"
    detail = rule["Properties"]["EventPattern"]["detail"]
    assert detail["project-name"] == [{"Ref": "TrainingBuild"}]
    assert {"FAILED", "FAULT", "TIMED_OUT"} <= set(detail["build-status"])
    (target,) = rule["Properties"]["Targets"]
    assert target["Arn"] == {"Ref": "AlarmTopic"}
    publish = resources["AlarmTopicPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert {it["Principal"]["Service"] for it in publish} == {
        "cloudwatch.amazonaws.com",
        "events.amazonaws.com",
    }


def test_lambda_lets_the_debounce_timer_ring_through_a_long_upload(plain):
    """A function that sends to its own queue is ended after some 16 rounds, unless it may."""
    function = plain["Resources"]["RetrainFunction"]["Properties"]
    assert function["RecursiveLoop"] == "Allow"


def test_what_recover_imports_is_what_a_deleted_stack_leaves(resources):
    kept = {n for n, r in resources.items() if r.get("DeletionPolicy") == "RetainExceptOnCreate"}
    assert {it.logical for it in KEPT} == kept
    for it in KEPT:
        assert resources[it.logical]["Type"] == it.kind
        name = resources[it.logical]["Properties"][it.name_property]
        assert (name.get("Fn::Sub") or f"${{{name['Ref']}}}") == it.name
        for key, value in it.needed.items():
            assert resources[it.logical]["Properties"][key] == value


# --- the whole -----------------------------------------------------------------------------------


def test_no_resource_waits_for_itself(plain):
    """The API refers to the alias, the alias to its deployment, and that to its alarms."""
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


def test_the_stack_has_the_outputs_that_the_rooms_read(template):
    sources = [*(ROOT / "ops").glob("*.py"), *(ROOT / "local").rglob("*.py")]
    text = "".join(file.read_text("utf-8") for file in sources)
    read = set(re.findall(r"""outputs(?:\[|\.get\()["'](\w+)["']""", text))
    assert {"ApiUrl", "SiteUrl", "AdminSecret"} <= read <= set(template["Outputs"])
    assert all(output["Description"] for output in template["Outputs"].values())
