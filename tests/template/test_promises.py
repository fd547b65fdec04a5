"""Each promise of the template, one test a promise, on the template or on what SAM makes of it."""

import json
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import pytest

from clickbait.settings import Settings

ROOT = Path(__file__).resolve().parents[2]

TRACES = {"xray:PutTraceSegments", "xray:PutTelemetryRecords"}
WITHOUT_FINER_RESOURCE = {"WriteTraces": TRACES}
"""Statements that may say Resource '*': IAM has no resource type for these actions."""

DOCUMENTATION = {"GET /docs", "GET /redoc", "GET /openapi.json", "GET /docs/{page+}"}


def walk(node: Any) -> Iterator[Any]:
    """Every mapping below `node`, and itself."""
    if isinstance(node, dict):
        yield node
        node = list(node.values())
    if isinstance(node, list):
        for below in node:
            yield from walk(below)


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def of_type(resources: dict[str, Any], kind: str) -> dict[str, Any]:
    return {name: found for name, found in resources.items() if found["Type"] == kind}


def one(resources: dict[str, Any], kind: str) -> dict[str, Any]:
    (found,) = of_type(resources, kind).values()
    return found["Properties"]


def statements(resources: dict[str, Any]) -> list[dict[str, Any]]:
    return [node for node in walk(resources) if "Effect" in node and "Action" in node]


# --- the API -------------------------------------------------------------------------------------


def test_cors_names_origins_and_never_all_of_them(template, plain):
    body = one(plain["Resources"], "AWS::ApiGatewayV2::Api")["Body"]
    cors = body["x-amazon-apigateway-cors"]
    assert cors["allowOrigins"] == template["Parameters"]["AllowedOrigins"]["Default"].split(",")
    assert "*" not in json.dumps(cors)
    assert not cors.get("allowCredentials")


@pytest.mark.parametrize("origin", ["*", "https://*", "https://a.b/path", "null", ""])
def test_an_origin_that_is_none_is_refused(template, origin):
    pattern = template["Parameters"]["AllowedOrigins"]["AllowedPattern"]
    assert not re.fullmatch(pattern, origin)
    assert re.fullmatch(pattern, "https://page.example.org:8443")


def test_the_page_may_read_the_headers_that_the_api_promises(resources):
    exposed = one(resources, "AWS::Serverless::HttpApi")["CorsConfiguration"]["ExposeHeaders"]
    assert {"x-model-version", "x-processing-time", "x-cold-start", "x-request-id"} <= set(exposed)


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


def test_every_function_gives_up_before_the_api_does(plain):
    for function in of_type(plain["Resources"], "AWS::Lambda::Function").values():
        assert function["Properties"]["Timeout"] < 30


def test_every_function_is_traced(plain):
    for function in of_type(plain["Resources"], "AWS::Lambda::Function").values():
        assert function["Properties"]["TracingConfig"] == {"Mode": "Active"}


def test_the_api_calls_the_alias_live_and_nothing_else(plain):
    body = one(plain["Resources"], "AWS::ApiGatewayV2::Api")["Body"]
    uris = [json.dumps(node["uri"]) for node in walk(body) if "uri" in node]
    (alias,) = of_type(plain["Resources"], "AWS::Lambda::Alias")
    assert plain["Resources"][alias]["Properties"]["Name"] == "live"
    assert uris and all(alias in uri for uri in uris)


def test_a_new_version_takes_over_gradually_unless_asked_otherwise(plain, translate):
    def deployment(template: dict[str, Any]) -> dict[str, Any]:
        return one(template["Resources"], "AWS::CodeDeploy::DeploymentGroup")

    name = json.dumps(deployment(plain)["DeploymentConfigName"])
    assert "Canary10Percent5Minutes" in name
    at_once = translate(ROOT / "template.yaml", DeploymentType="AllAtOnce")
    assert "AllAtOnce" in json.dumps(deployment(at_once)["DeploymentConfigName"])
    (alias,) = of_type(plain["Resources"], "AWS::Lambda::Alias").values()
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
    function = one(plain["Resources"], "AWS::Lambda::Function")
    assert function["SnapStart"] == {"ApplyOn": {"Ref": "SnapStart"}}
    parameter = template["Parameters"]["SnapStart"]
    assert parameter["Default"] == "None"
    assert parameter["AllowedValues"] == ["None", "PublishedVersions"]


def test_another_value_of_a_parameter_is_a_new_version_too(template, plain):
    """CloudFormation replaces a version when its description changes; SAM's id does not move."""
    function = one(plain["Resources"], "AWS::Lambda::Function")
    description = one(plain["Resources"], "AWS::Lambda::Version")["Description"]["Fn::Sub"]
    used = {node["Ref"] for node in walk(function) if "Ref" in node} & set(template["Parameters"])
    assert used == set(re.findall(r"\$\{(\w+)\}", description))


@pytest.mark.parametrize(
    ("line", "changed"), [("MemorySize: 1769", "MemorySize: 2048"), ("Timeout: 20", "Timeout: 25")]
)
def test_a_change_of_a_property_is_a_new_version_too(translate, tmp_path, line, changed):
    def version(file: Path) -> set[str]:
        # Packages of one name: the code is the same.
        resources = translate(file, lambda _: "same")["Resources"]
        return set(of_type(resources, "AWS::Lambda::Version"))

    text = (ROOT / "template.yaml").read_text("utf-8")
    (tmp_path / "template.yaml").write_text(text.replace(line, changed), encoding="utf-8")
    assert version(tmp_path / "template.yaml") != version(ROOT / "template.yaml")


def test_a_function_is_told_only_what_the_library_reads(plain):
    known = {name.upper() for name in Settings.model_fields}
    powertools = {"POWERTOOLS_SERVICE_NAME", "POWERTOOLS_METRICS_NAMESPACE"}
    for function in of_type(plain["Resources"], "AWS::Lambda::Function").values():
        told = set(function["Properties"]["Environment"]["Variables"])
        assert told <= known | powertools
        assert "MODELS_BUCKET" in told


# --- who may do what -----------------------------------------------------------------------------


def test_no_statement_allows_every_action_of_anything(plain):
    allowed = [found for found in statements(plain["Resources"]) if found["Effect"] == "Allow"]
    assert allowed
    for statement in allowed:
        assert not [action for action in listed(statement["Action"]) if "*" in action]


def test_a_resource_is_everything_only_where_iam_offers_nothing_finer(resources):
    for statement in statements(resources):
        if statement["Effect"] == "Allow" and "*" in listed(statement.get("Resource", [])):
            assert set(statement["Action"]) == WITHOUT_FINER_RESOURCE[statement["Sid"]]


def test_each_such_resource_has_its_reason_beside_it():
    lines = (ROOT / "template.yaml").read_text("utf-8").splitlines()
    for sid in WITHOUT_FINER_RESOURCE:
        (at,) = [number for number, line in enumerate(lines) if f"Sid: {sid}" in line]
        assert lines[at - 1].strip().startswith("# ")


def test_predict_may_read_models_write_its_log_and_traces_and_nothing_else(resources):
    role = resources["PredictRole"]["Properties"]
    assert "ManagedPolicyArns" not in role
    allowed = {
        action: json.dumps(statement["Resource"])
        for statement in statements(role["Policies"])
        for action in listed(statement["Action"])
    }
    reading = {"s3:GetObject", "s3:ListBucket"}
    logging = {"logs:CreateLogStream", "logs:PutLogEvents"}
    assert set(allowed) == reading | logging | TRACES
    assert "champion.json" in allowed["s3:GetObject"]
    assert "versions/*" in allowed["s3:GetObject"]
    assert "ModelsBucket" in allowed["s3:ListBucket"]
    assert "PredictLogs" in allowed["logs:PutLogEvents"]


def test_no_role_but_codedeploys_has_a_managed_policy(plain):
    with_managed = [
        name
        for name, role in of_type(plain["Resources"], "AWS::IAM::Role").items()
        if role["Properties"].get("ManagedPolicyArns")
    ]
    assert with_managed == ["CodeDeployServiceRole"]


# --- the buckets ---------------------------------------------------------------------------------

BUCKETS = ["ModelsBucket", "DataBucket"]


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
        if "NoncurrentVersionExpiration" in rule
    ]
    assert days == [30]


def test_no_rule_ever_expires_a_live_model(resources):
    for rule in rules(resources, "ModelsBucket"):
        assert "ExpirationInDays" not in rule and "ExpirationDate" not in rule


def test_a_single_upload_is_gone_after_a_day(resources):
    (rule,) = [rule for rule in rules(resources, "DataBucket") if "ExpirationInDays" in rule]
    assert (rule["Prefix"], rule["ExpirationInDays"]) == ("uploads/", 1)


def test_nothing_in_the_template_writes_an_object_so_no_deployment_moves_a_champion(plain):
    kinds = {resource["Type"] for resource in plain["Resources"].values()}
    assert not {kind for kind in kinds if kind.startswith(("Custom::", "AWS::CloudFormation::"))}


# --- logs and alarms -----------------------------------------------------------------------------


def test_every_log_is_kept_for_a_set_time(resources, template):
    groups = of_type(resources, "AWS::Logs::LogGroup")
    assert len(groups) == 2
    for group in groups.values():
        assert group["Properties"]["RetentionInDays"] == {"Ref": "LogRetentionDays"}
    assert template["Parameters"]["LogRetentionDays"]["Default"] <= 90


def test_every_function_writes_to_a_log_of_the_template(plain):
    for function in of_type(plain["Resources"], "AWS::Lambda::Function").values():
        group = function["Properties"]["LoggingConfig"]["LogGroup"]["Ref"]
        assert plain["Resources"][group]["Type"] == "AWS::Logs::LogGroup"


@pytest.mark.parametrize(
    ("namespace", "metric", "statistic"),
    [
        ("AWS/ApiGateway", "5xx", "Sum"),
        ("AWS/Lambda", "Errors", "Sum"),
        ("AWS/Lambda", "Throttles", "Sum"),
        ("AWS/Lambda", "Duration", "p95"),
        ("Clickbait", "Faults", "Sum"),
        ("Clickbait", "ModelLoadFailure", "Sum"),
    ],
)
def test_there_is_an_alarm(resources, namespace, metric, statistic):
    (alarm,) = [
        found["Properties"]
        for found in of_type(resources, "AWS::CloudWatch::Alarm").values()
        if (found["Properties"]["Namespace"], found["Properties"]["MetricName"])
        == (namespace, metric)
    ]
    assert alarm.get("Statistic", alarm.get("ExtendedStatistic")) == statistic
    # No traffic is no alarm, and no news for a deployment.
    assert alarm["TreatMissingData"] == "notBreaching"


def test_the_library_emits_the_metrics_that_the_alarms_look_at(resources):
    source = "".join(
        file.read_text("utf-8") for file in (ROOT / "layers/clickbait/python").rglob("*.py")
    )
    own = [
        found["Properties"]["MetricName"]
        for found in of_type(resources, "AWS::CloudWatch::Alarm").values()
        if found["Properties"]["Namespace"] == "Clickbait"
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


@pytest.mark.parametrize("output", ["ApiUrl", "PredictFunction", "ModelsBucket", "DataBucket"])
def test_the_stack_says_where_its_parts_are(template, output):
    assert template["Outputs"][output]["Description"]
