"""A training runs on Fargate, in a network that costs nothing, from an image built on AWS."""

import json
import re
from dataclasses import fields
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from clickbait.settings import Settings
from ops.image import SOURCE_KEY
from tests.template.conftest import of_type, one
from training import job as entry_point

ROOT = Path(__file__).resolve().parents[2]

FARGATE = {
    2: range(4_096, 16_384 + 1, 1_024),
    4: range(8_192, 30_720 + 1, 1_024),
    8: range(16_384, 61_440 + 1, 4_096),
}
"""Fargate's sizes: vCPUs and MiB of memory (AWS Batch, ResourceRequirement)."""


def holds(condition: dict[str, Any], values: dict[str, str]) -> bool:
    """Whether an assertion of the template's rules holds."""
    ((function, parts),) = condition.items()

    def value(part: Any) -> Any:
        return values[part["Ref"]] if isinstance(part, dict) else part

    match function:
        case "Fn::And":
            return all(holds(part, values) for part in parts)
        case "Fn::Or":
            return any(holds(part, values) for part in parts)
        case "Fn::Not":
            return not holds(parts[0], values)
        case "Fn::Equals":
            return bool(value(parts[0]) == value(parts[1]))
        case "Fn::Contains":
            return value(parts[1]) in parts[0]
    raise AssertionError(function)


def rule(template: dict[str, Any], name: str) -> dict[str, Any]:
    (assertion,) = template["Rules"][name]["Assertions"]
    assert assertion["AssertDescription"]
    return assertion["Assert"]


# --- the job -------------------------------------------------------------------------------------


@pytest.fixture
def job(resources) -> dict[str, Any]:
    return resources["JobDefinition"]["Properties"]


def test_a_training_runs_the_command_of_its_image_on_the_image_s_processor(job):
    container = job["ContainerProperties"]
    dockerfile = (ROOT / "training" / "Dockerfile").read_text("utf-8")
    assert f"CMD {json.dumps(container['Command'])}" in dockerfile
    # Docker Hub limits builds that do not log in.
    assert "FROM --platform=linux/amd64 public.ecr.aws/docker/library/python:" in dockerfile
    assert container["RuntimePlatform"]["CpuArchitecture"] == "X86_64"
    assert job["PlatformCapabilities"] == ["FARGATE"]


def test_a_training_gets_the_names_that_it_needs_and_no_secret(job):
    names = {variable["Name"] for variable in job["ContainerProperties"]["Environment"]}
    assert {name.upper() for name in entry_point.NEEDED} == names - {"AWS_DEFAULT_REGION"}
    assert names <= {it.name.upper() for it in fields(Settings)} | {"AWS_DEFAULT_REGION"}
    assert "Secrets" not in job["ContainerProperties"]


def test_a_training_is_retried_unless_it_is_hopeless_or_there_is_no_image(job):
    retry = job["RetryStrategy"]
    assert retry["Attempts"] == entry_point.LAST_ATTEMPT
    # The first rule that matches decides.
    *ends, rest = retry["EvaluateOnExit"]
    assert {"OnExitCode": str(entry_point.HOPELESS), "Action": "EXIT"} in ends
    assert {"OnReason": "CannotPullContainerError*", "Action": "EXIT"} in ends
    assert rest == {"OnReason": "*", "Action": "RETRY"}


@pytest.mark.parametrize("status", ["running", "succeeded", "failed"])
def test_a_state_change_of_a_training_reaches_the_retrain_function(plain, status):
    (pattern,) = [
        found["Properties"]["EventPattern"]
        for found in of_type(plain["Resources"], "AWS::Events::Rule").values()
        if found["Properties"].get("EventPattern", {}).get("source") == ["aws.batch"]
    ]
    sample = ROOT / "events" / f"batch-job-state-change-{status}.json"
    event = json.loads(sample.read_text("utf-8"))
    assert event["source"] in pattern["source"]
    assert event["detail-type"] in pattern["detail-type"]
    assert event["detail"]["status"] in pattern["detail"]["status"]
    # No other queue of the account.
    assert pattern["detail"]["jobQueue"] == [{"Ref": "JobQueue"}]


def test_a_training_runs_on_spot_unless_asked_otherwise(template, resources):
    compute = resources["ComputeEnvironment"]["Properties"]
    assert compute["Type"] == "MANAGED"
    assert compute["ComputeResources"]["Type"] == {"Ref": "TrainingCapacity"}
    assert template["Parameters"]["TrainingCapacity"]["Default"] == "FARGATE_SPOT"


def test_a_training_that_gets_no_spot_machine_gets_another_one_or_is_given_up(resources):
    other = resources["OnDemandEnvironment"]
    assert other["Condition"] == "TrainsOnSpot"
    spot = resources["ComputeEnvironment"]["Properties"]["ComputeResources"]
    assert other["Properties"]["ComputeResources"] == spot | {"Type": "FARGATE"}
    queue = resources["JobQueue"]["Properties"]
    first, (condition, second, nothing) = (
        queue["ComputeEnvironmentOrder"][0],
        queue["ComputeEnvironmentOrder"][1]["Fn::If"],
    )
    assert first == {"Order": 1, "ComputeEnvironment": {"Ref": "ComputeEnvironment"}}
    assert second == {"Order": 2, "ComputeEnvironment": {"Ref": "OnDemandEnvironment"}}
    assert (condition, nothing) == ("TrainsOnSpot", {"Ref": "AWS::NoValue"})
    limits = queue["JobStateTimeLimitActions"]
    assert {limit["Reason"].partition(":")[0] for limit in limits} == {
        "CAPACITY",
        "MISCONFIGURATION",
    }
    for limit in limits:
        assert (limit["State"], limit["Action"]) == ("RUNNABLE", "CANCEL")
        assert limit["MaxTimeSeconds"] == 7_200


def test_only_sizes_that_fargate_offers_are_accepted(template, resources):
    vcpus, memory = (template["Parameters"][f"Training{name}"] for name in ("Vcpus", "Memory"))
    sizes = list(product(vcpus["AllowedValues"], memory["AllowedValues"]))
    assert (vcpus["Default"], memory["Default"]) in sizes
    condition = rule(template, "FargateHasThatSize")
    for processors, mebibytes in sizes:
        values = {"TrainingVcpus": str(processors), "TrainingMemory": str(mebibytes)}
        assert holds(condition, values) == (mebibytes in FARGATE[processors]), values
    compute = resources["ComputeEnvironment"]["Properties"]["ComputeResources"]
    assert compute["MaxvCpus"] >= 2 * max(vcpus["AllowedValues"])


# --- the network ---------------------------------------------------------------------------------


def test_nothing_can_connect_to_a_training_and_it_connects_over_tls_only(resources):
    group = one(resources, "AWS::EC2::SecurityGroup")
    assert "SecurityGroupIngress" not in group
    assert not of_type(resources, "AWS::EC2::SecurityGroupIngress")
    (out,) = group["SecurityGroupEgress"]
    assert (out["IpProtocol"], out["FromPort"], out["ToPort"]) == ("tcp", 443, 443)


def test_the_network_costs_nothing(resources):
    """No NAT, address or interface that costs by the hour: gateway endpoints are free."""
    ours = {found["Type"] for found in resources.values()}
    assert not ours & {"AWS::EC2::NatGateway", "AWS::EC2::EIP", "AWS::EC2::NetworkInterface"}
    endpoints = of_type(resources, "AWS::EC2::VPCEndpoint").values()
    assert {found["Properties"]["VpcEndpointType"] for found in endpoints} == {"Gateway"}
    services = {found["Properties"]["ServiceName"]["Fn::Sub"] for found in endpoints}
    assert {service.rsplit(".", 1)[1] for service in services} == {"s3", "dynamodb"}


def test_a_training_reaches_the_internet_through_its_own_public_address(resources, job):
    assert job["ContainerProperties"]["NetworkConfiguration"] == {"AssignPublicIp": "ENABLED"}
    route = one(resources, "AWS::EC2::Route")
    assert route["GatewayId"] == {"Ref": "TrainingGateway"}
    assert resources["TrainingRouteOut"]["DependsOn"] == "TrainingGatewayAttachment"
    subnets = {
        found["Properties"]["SubnetId"]["Ref"]
        for found in of_type(resources, "AWS::EC2::SubnetRouteTableAssociation").values()
    }
    assert subnets == set(of_type(resources, "AWS::EC2::Subnet"))
    zones = [
        json.dumps(found["Properties"]["AvailabilityZone"])
        for found in of_type(resources, "AWS::EC2::Subnet").values()
    ]
    assert len(set(zones)) == len(zones) == 2


def test_a_users_own_network_replaces_that_of_the_template(template, resources):
    for name, resource in resources.items():
        if resource["Type"].startswith("AWS::EC2::") and name != "TrainingSecurityGroup":
            assert resource["Condition"] == "MakesVpc", name
    subnets = resources["ComputeEnvironment"]["Properties"]["ComputeResources"]["Subnets"]
    assert subnets["Fn::If"][2] == {"Fn::Split": [",", {"Ref": "VpcSubnets"}]}
    group = one(resources, "AWS::EC2::SecurityGroup")
    assert group["VpcId"] == {"Fn::If": ["MakesVpc", {"Ref": "TrainingVpc"}, {"Ref": "VpcId"}]}
    own = {"VpcId": "vpc-0a1b2c3d", "VpcSubnets": "subnet-0a1b2c3d,subnet-4e5f6a7b"}
    condition = template["Conditions"]["MakesVpc"]
    assert holds(condition, {"VpcId": "", "VpcSubnets": ""}) and not holds(condition, own)


@pytest.mark.parametrize("given", [{"VpcId": "vpc-0a1b2c3d"}, {"VpcSubnets": "subnet-0a1b2c3d"}])
def test_a_vpc_without_its_subnets_is_refused(template, given):
    condition = rule(template, "VpcAndItsSubnetsGoTogether")
    nothing = {"VpcId": "", "VpcSubnets": ""}
    assert holds(condition, nothing)
    assert not holds(condition, nothing | given)
    assert holds(condition, {"VpcId": "vpc-0a1b2c3d", "VpcSubnets": "subnet-0a1b2c3d"})


@pytest.mark.parametrize("value", ["subnet-1, subnet-2", "subnet-", "vpc-1", "subnet-1,", "a"])
def test_invalid_subnets_are_refused(template, value):
    pattern = template["Parameters"]["VpcSubnets"]["AllowedPattern"]
    assert not re.fullmatch(pattern, value)
    assert re.fullmatch(pattern, "subnet-0a1b2c3d,subnet-4e5f6a7b")


# --- the image -----------------------------------------------------------------------------------


def test_the_image_is_the_one_that_the_build_pushes(resources, job):
    repository = {"Fn::GetAtt": ["TrainingRepository", "RepositoryUri"]}
    image = job["ContainerProperties"]["Image"]["Fn::Sub"]
    assert image == "${TrainingRepository.RepositoryUri}:latest"
    build = one(resources, "AWS::CodeBuild::Project")
    (variable,) = build["Environment"]["EnvironmentVariables"]
    assert variable == {"Name": "REPOSITORY", "Value": repository}
    assert 'docker push "$REPOSITORY:latest"' in build["Source"]["BuildSpec"]


def test_the_tag_of_the_sources_is_pushed_last(resources):
    """`make deploy` relies on it: if the tag exists, `latest` is that image."""
    commands = one(resources, "AWS::CodeBuild::Project")["Source"]["BuildSpec"].splitlines()
    pushes = [line.split("docker push ")[1] for line in commands if "docker push" in line]
    assert pushes == ['"$REPOSITORY:latest"', '"$REPOSITORY:$SOURCE"']


def test_the_build_reads_what_deploy_uploads_and_only_one_runs_at_a_time(resources):
    build = one(resources, "AWS::CodeBuild::Project")
    assert build["Source"]["Type"] == "S3"
    assert build["Source"]["Location"] == {"Fn::Sub": f"${{ModelsBucket}}/{SOURCE_KEY}"}
    assert build["ConcurrentBuildLimit"] == 1


def test_images_are_scanned_and_the_tag_latest_can_move(resources):
    repository = one(resources, "AWS::ECR::Repository")
    assert repository["ImageScanningConfiguration"] == {"ScanOnPush": True}
    assert repository["ImageTagMutability"] == "MUTABLE"


def test_jobs_and_builds_write_to_logs_of_the_template(resources, job):
    log = job["ContainerProperties"]["LogConfiguration"]
    assert log["LogDriver"] == "awslogs"
    assert log["Options"]["awslogs-group"] == {"Ref": "JobLogs"}
    build = one(resources, "AWS::CodeBuild::Project")["LogsConfig"]["CloudWatchLogs"]
    assert build == {"Status": "ENABLED", "GroupName": {"Ref": "BuildLogs"}}
    for group in ("JobLogs", "BuildLogs"):
        assert resources[group]["Type"] == "AWS::Logs::LogGroup"
