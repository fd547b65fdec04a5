"""The manifests in containers/ match the schemas of those who read them, and their promises."""

from pathlib import Path

import pytest
import yaml

FOLDER = Path(__file__).resolve().parents[2] / "containers"


def test_the_kubernetes_objects_are_valid(tool) -> None:
    done = tool("kubernetes-validate", "--strict", "containers/kubernetes.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_compose_file_is_valid(tool) -> None:
    schema = ("--builtin-schema", "vendor.compose-spec")
    done = tool("check-jsonschema", *schema, "containers/compose.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_fargate_stack_is_valid_and_cfn_lint_is_clean(tool) -> None:
    done = tool("cfn-lint", "containers/ecs.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


def documents(name: str) -> dict[str, dict]:
    """The documents of a manifest by their kinds."""
    return {each["kind"]: each for each in yaml.safe_load_all((FOLDER / name).read_text())}


def test_every_container_runs_without_root_on_a_root_file_system_that_is_read_only() -> None:
    dockerfile = (FOLDER / "Dockerfile").read_text()
    assert "\nUSER 65532:65532\n" in dockerfile
    assert "\nSTOPSIGNAL SIGTERM\n" in dockerfile
    pod = documents("kubernetes.yaml")["Deployment"]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"]
    (container,) = pod["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert container["resources"]["limits"].keys() == {"cpu", "memory"}
    services = yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"]
    assert set(services) == {"app1", "app2", "proxy"}
    assert all(each["read_only"] and each["cap_drop"] == ["ALL"] for each in services.values())
    ecs = (FOLDER / "ecs.yaml").read_text()
    assert "ReadonlyRootFilesystem: true" in ecs


def test_the_image_has_the_licences_of_the_weights() -> None:
    """Apache-2.0 asks those who pass derived files on to add its text and the notice."""
    copied = (FOLDER / "Dockerfile").read_text()
    assert "\nCOPY openapi.json LICENSE NOTICE /app/\nCOPY LICENSES /app/LICENSES\n" in copied


def test_each_manifest_asks_the_status_whether_a_server_is_ready() -> None:
    for name in ("Dockerfile", "kubernetes.yaml", "cloud-run.yaml", "ecs.yaml"):
        assert "/status" in (FOLDER / name).read_text(), name


@pytest.mark.parametrize("name", ["kubernetes.yaml", "ecs.yaml", "compose.yaml"])
def test_a_server_gets_longer_to_end_than_it_takes(name: str) -> None:
    from local.serve.worker import STOP_SECONDS

    text = (FOLDER / name).read_text()
    keys = ("terminationGracePeriodSeconds: ", "StopTimeout: ", "stop_grace_period: ")
    (given,) = [text.partition(key)[2].split()[0].rstrip("s") for key in keys if key in text]
    assert int(given) > STOP_SECONDS


def test_the_readme_explains_each_manifest() -> None:
    readme = (FOLDER / "README.md").read_text()
    for file in FOLDER.glob("*.yaml"):
        assert f"`{file.name}`" in readme, file.name
