"""A training runs on Fargate, in a network that costs nothing, from an image built in the cloud."""

import json
import re
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from ops.deploy import SOURCE_KEY
from tests.template.conftest import of_type, one

ROOT = Path(__file__).resolve().parents[2]

FARGATE = {
    2: range(4_096, 16_384 + 1, 1_024),
    4: range(8_192, 30_720 + 1, 1_024),
    8: range(16_384, 61_440 + 1, 4_096),
}
"""Fargate's sizes: processors and MiB of memory (AWS Batch, ResourceRequirement)."""


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


def test_a_training_is_a_process_on_fargate_for_the_processor_that_tensorflow_has(job):
    container = job["ContainerProperties"]
    assert (job["Type"], job["PlatformCapabilities"]) == ("container", ["FARGATE"])
    assert container["RuntimePlatform"] == {
        "CpuArchitecture": "X86_64",
        "OperatingSystemFamily": "LINUX",
    }
    assert container["Command"] == ["python", "-m", "training.job"]
    assert 21 <= container["EphemeralStorage"]["SizeInGiB"] <= 200


def test_a_training_is_told_where_things_are_and_no_secret(job):
    told = {found["Name"]: found["Value"] for found in job["ContainerProperties"]["Environment"]}
    assert told == {
        "DATA_BUCKET": {"Ref": "DataBucket"},
        "MODELS_BUCKET": {"Ref": "ModelsBucket"},
        "TABLE": {"Ref": "Table"},
    }
    assert "Secrets" not in job["ContainerProperties"]


def test_a_training_is_tried_again_unless_it_says_no_or_there_is_no_image(job):
    retry = job["RetryStrategy"]
    assert retry["Attempts"] == 3
    # The first that matches counts.
    assert retry["EvaluateOnExit"] == [
        {"OnExitCode": "2", "Action": "EXIT"},
        {"OnReason": "CannotPullContainerError*", "Action": "EXIT"},
        {"OnReason": "*", "Action": "RETRY"},
    ]
    assert job["Timeout"] == {"AttemptDurationSeconds": 4 * 3600}


def test_an_end_of_a_training_reaches_the_retrain_function(plain, resources):
    (pattern,) = [
        found["Properties"]["EventPattern"]
        for found in of_type(plain["Resources"], "AWS::Events::Rule").values()
        if "EventPattern" in found["Properties"]
    ]
    assert pattern == {
        "source": ["aws.batch"],
        "detail-type": ["Batch Job State Change"],
        "detail": {
            "jobQueue": [{"Ref": "JobQueue"}],
            "status": ["RUNNING", "SUCCEEDED", "FAILED"],
        },
    }
    assert resources["JobQueue"]["Type"] == "AWS::Batch::JobQueue"


def test_a_training_runs_on_spot_unless_asked_otherwise(template, resources):
    compute = one(resources, "AWS::Batch::ComputeEnvironment")
    assert compute["Type"] == "MANAGED"
    assert compute["ComputeResources"]["Type"] == {"Ref": "TrainingCapacity"}
    capacity = template["Parameters"]["TrainingCapacity"]
    assert capacity["Default"] == "FARGATE_SPOT"
    assert sorted(capacity["AllowedValues"]) == ["FARGATE", "FARGATE_SPOT"]


def test_only_sizes_that_fargate_has_can_be_asked_for(template, resources):
    vcpus, memory = (template["Parameters"][f"Training{name}"] for name in ("Vcpus", "Memory"))
    sizes = list(product(vcpus["AllowedValues"], memory["AllowedValues"]))
    assert (vcpus["Default"], memory["Default"]) in sizes
    condition = rule(template, "FargateHasThatSize")
    for processors, mebibytes in sizes:
        values = {"TrainingVcpus": str(processors), "TrainingMemory": str(mebibytes)}
        assert holds(condition, values) == (mebibytes in FARGATE[processors]), values
    compute = one(resources, "AWS::Batch::ComputeEnvironment")["ComputeResources"]
    assert compute["MaxvCpus"] >= 2 * max(vcpus["AllowedValues"])


# --- the network ---------------------------------------------------------------------------------


def test_nothing_can_call_a_training_and_it_calls_by_tls_only(resources):
    group = one(resources, "AWS::EC2::SecurityGroup")
    assert "SecurityGroupIngress" not in group
    assert not of_type(resources, "AWS::EC2::SecurityGroupIngress")
    (out,) = group["SecurityGroupEgress"]
    assert (out["IpProtocol"], out["FromPort"], out["ToPort"]) == ("tcp", 443, 443)


def test_the_network_costs_nothing(resources):
    """No NAT, no address and no interface that waits by the hour: gateways are free."""
    ours = {found["Type"] for found in resources.values()}
    assert not ours & {"AWS::EC2::NatGateway", "AWS::EC2::EIP", "AWS::EC2::NetworkInterface"}
    endpoints = of_type(resources, "AWS::EC2::VPCEndpoint").values()
    assert {found["Properties"]["VpcEndpointType"] for found in endpoints} == {"Gateway"}
    services = {found["Properties"]["ServiceName"]["Fn::Sub"] for found in endpoints}
    assert {service.rsplit(".", 1)[1] for service in services} == {"s3", "dynamodb"}


def test_a_training_reaches_the_internet_through_an_address_of_its_own(resources, job):
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


def test_a_network_of_ones_own_takes_the_place_of_the_templates(template, resources):
    for name, resource in resources.items():
        if resource["Type"].startswith("AWS::EC2::") and name != "TrainingSecurityGroup":
            assert resource["Condition"] == "MakesVpc", name
    subnets = one(resources, "AWS::Batch::ComputeEnvironment")["ComputeResources"]["Subnets"]
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
def test_subnets_that_are_none_are_refused(template, value):
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
    """`make deploy` takes it for the proof that `latest` is that image."""
    commands = one(resources, "AWS::CodeBuild::Project")["Source"]["BuildSpec"].splitlines()
    pushes = [line.split("docker push ")[1] for line in commands if "docker push" in line]
    assert pushes == ['"$REPOSITORY:latest"', '"$REPOSITORY:$SOURCE"']


def test_the_build_takes_what_deploy_uploads_and_one_at_a_time(resources):
    build = one(resources, "AWS::CodeBuild::Project")
    assert build["Source"]["Type"] == "S3"
    assert build["Source"]["Location"] == {"Fn::Sub": f"${{ModelsBucket}}/{SOURCE_KEY}"}
    assert build["Artifacts"] == {"Type": "NO_ARTIFACTS"}
    assert build["ConcurrentBuildLimit"] == 1
    assert build["Environment"]["PrivilegedMode"] is True


def test_images_are_scanned_and_the_last_three_are_kept(resources):
    repository = one(resources, "AWS::ECR::Repository")
    assert repository["ImageScanningConfiguration"] == {"ScanOnPush": True}
    (kept,) = json.loads(repository["LifecyclePolicy"]["LifecyclePolicyText"])["rules"]
    assert kept["selection"] == {
        "tagStatus": "any",
        "countType": "imageCountMoreThan",
        "countNumber": 3,
    }
    # `latest` has to move.
    assert repository["ImageTagMutability"] == "MUTABLE"


def test_jobs_and_builds_write_to_logs_of_the_template(resources, job):
    log = job["ContainerProperties"]["LogConfiguration"]
    assert log["LogDriver"] == "awslogs"
    assert log["Options"]["awslogs-group"] == {"Ref": "JobLogs"}
    build = one(resources, "AWS::CodeBuild::Project")["LogsConfig"]["CloudWatchLogs"]
    assert build == {"Status": "ENABLED", "GroupName": {"Ref": "BuildLogs"}}
    for group in ("JobLogs", "BuildLogs"):
        assert resources[group]["Type"] == "AWS::Logs::LogGroup"
