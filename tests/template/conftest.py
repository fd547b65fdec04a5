"""The template for its tests: parsed, translated by SAM and built, each once."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

ROOT = Path(__file__).resolve().parents[2]
TOOLS = [ROOT / ".venv-ops" / "bin", ROOT / ".venv-template" / "bin"]
"""The environment that deploys, and the one that checks."""

BUILT_FROM = ("template.yaml", "samconfig.toml", "openapi.json", "functions", "layers")
"""The sources of `sam build`; the tests build a copy of these alone."""

Tool = Callable[..., "subprocess.CompletedProcess[str]"]
Template = dict[str, Any]


class NoManagedPolicies:
    """The names of AWS's managed policies; this template uses none of them."""

    def load(self) -> dict[str, str]:
        return {}


@pytest.fixture(scope="session")
def template() -> Template:
    """template.yaml with its short forms spelt out: {"Ref": ...}, {"Fn::GetAtt": [...]}."""
    return parse(ROOT / "template.yaml")


@pytest.fixture(scope="session")
def resources(template: Template) -> dict[str, Any]:
    return template["Resources"]


@pytest.fixture(scope="session")
def functions(resources: dict[str, Any]) -> dict[str, Any]:
    """Each function by its logical id, without the globals."""
    return of_type(resources, "AWS::Serverless::Function")


@pytest.fixture(scope="session")
def translate() -> Callable[..., Template]:
    """A function of a template file and parameters that returns SAM's plain CloudFormation."""
    return _translate


@pytest.fixture(scope="session")
def plain(translate: Callable[..., Template]) -> Template:
    """The plain CloudFormation of template.yaml with every parameter at its default."""
    return translate(ROOT / "template.yaml")


@pytest.fixture(scope="session")
def tool() -> Tool:
    """A function that runs a tool in a folder and returns its status and its output."""

    def run(
        name: str, *arguments: object, folder: Path = ROOT
    ) -> "subprocess.CompletedProcess[str]":
        found = [tools / name for tools in TOOLS if (tools / name).exists()]
        assert found, f"{name} is not installed: `make test-template` installs it"
        return subprocess.run(
            [found[0], *map(str, arguments)],
            cwd=folder,
            env=tool_environment(),
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources, to build and to change."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in BUILT_FROM:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    return folder


@pytest.fixture(scope="session")
def built(checkout: Path, tool: Tool) -> Path:
    """The result of `sam build`: a folder for each function and built layer, and a template."""
    done = tool("sam", "build", folder=checkout)
    assert done.returncode == 0, done.stderr
    return checkout / ".aws-sam" / "build"


def make(folder: Path, *arguments: object) -> None:
    """Run make in a folder directly, as sam does after its preparations."""
    subprocess.run(
        ["make", "--silent", "-C", folder, *map(str, arguments)],
        env=tool_environment(),
        check=True,
    )


def tool_environment() -> dict[str, str]:
    """This environment without the options of a `make` around the tests, with the tools on PATH."""
    of_make = {"MAKEFLAGS", "MAKELEVEL", "MFLAGS", "PYTHONPATH"}
    return {name: value for name, value in os.environ.items() if name not in of_make} | {
        "PATH": os.pathsep.join([*map(str, TOOLS), os.environ["PATH"]]),
        "SAM_CLI_TELEMETRY": "0",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def parse(file: Path) -> Template:
    return json.loads(_as_json(file.read_text("utf-8")))


@cache
def _as_json(text: str) -> str:
    """The template, which takes a second to read, as JSON; JSON itself as it is."""
    return text if text.startswith("{") else json.dumps(yaml_parse(text))


def of_type(resources: dict[str, Any], kind: str) -> dict[str, Any]:
    """Logical id -> resource, for the resources of one type."""
    return {name: found for name, found in resources.items() if found["Type"] == kind}


def one(resources: dict[str, Any], kind: str) -> dict[str, Any]:
    """The properties of the only resource of a type."""
    (found,) = of_type(resources, kind).values()
    return found["Properties"]


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


def statements(resources: Any) -> list[dict[str, Any]]:
    """Every statement of a policy below `resources`."""
    return [node for node in walk(resources) if "Effect" in node and "Action" in node]


def _translate(file: Path, digest: Callable[[Path], str] = str, **parameters: str) -> Template:
    """Translate; `digest` names the package of a folder by its content, as `sam package` does."""
    template = parse(file)
    for resource in template["Resources"].values():
        for key in ("CodeUri", "ContentUri"):
            if key in resource.get("Properties", {}):
                folder = file.parent / resource["Properties"][key]
                resource["Properties"][key] = f"s3://packages/{digest(folder).strip('/')}"
    values: dict[str, Any] = {}
    for name, parameter in template["Parameters"].items():
        value = parameters.get(name, parameter["Default"])
        values[name] = value.split(",") if "List" in parameter["Type"] else value
    environment = pytest.MonkeyPatch()
    with environment.context() as patch:
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        return transform(template, values, NoManagedPolicies())
