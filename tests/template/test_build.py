"""`sam build` builds what Lambda can run: complete, small, for its processor, new if it changed."""

import base64
import json
import os
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from copy import deepcopy
from importlib import metadata
from pathlib import Path

import pytest
import yaml

from tests.template.conftest import make

ROOT = Path(__file__).resolve().parents[2]

MAX_UNZIPPED = 150_000_000
"""Bytes of a function and its layers; Lambda itself refuses 250 MB."""

X86_64 = 62
"""ELF's number of the processor (e_machine)."""

NEWEST = {b"GLIBC_2": 34, b"GLIBCXX_3.4": 29, b"CXXABI_1.3": 13}
"""Newest symbol versions of the C and C++ libraries of Amazon Linux 2023 (glibc 2.34, GCC 11). A
wheel's tag is no proof: LiteRT's for arm64 says manylinux_2_27 and needs GLIBCXX_3.4.30."""

NEVER_THERE = ("tensorflow", "keras", "ml_dtypes", "google", "tqdm", "pytest", "pip")

FUNCTIONS = [
    *("PredictFunction", "RolloutFunction", "BatchFunction", "WorkerFunction"),
    *("AdminFunction", "RetrainFunction", "LearnFunction"),
]
BUILT = [*FUNCTIONS, "LibraryLayer"]

ONE_BYTE = [
    "layers/clickbait/python/clickbait/__init__.py",
    "layers/dependencies/requirements.txt",
    "layers/baseline/baseline/metadata.json",
]


def files(folder: Path) -> Iterator[Path]:
    assert folder.is_dir(), folder
    return (file for file in sorted(folder.rglob("*")) if file.is_file())


def size(folder: Path) -> int:
    return sum(file.stat().st_size for file in files(folder))


@pytest.fixture(scope="module")
def versions(built, translate, tool) -> Callable[[Path], dict[str, str]]:
    """A function of a folder of artefacts: the ids of the versions that deploying them publishes.

    The layers are those of `built`.
    """
    # `sam deploy` names a package by this digest.
    script = """import json, sys; from samcli.lib.utils.hash import dir_checksum
print(json.dumps({name: dir_checksum(f"{sys.argv[1]}/{name}") for name in sys.argv[2:]}))"""

    def published(artefacts: Path) -> dict[str, str]:
        done = tool("python", "-c", script, artefacts, *FUNCTIONS)
        assert done.returncode == 0, done.stderr
        packages = json.loads(done.stdout)
        found = translate(
            built / "template.yaml", lambda folder: packages.get(folder.name, "unchanged")
        )["Resources"]
        return {
            version["Properties"]["FunctionName"]["Ref"]: name
            for name, version in found.items()
            if version["Type"] == "AWS::Lambda::Version"
        }

    return published


@pytest.fixture(scope="module")
def published(built, versions) -> dict[str, str]:
    """The versions of the functions as built."""
    return versions(built)


# --- contents ------------------------------------------------------------------------------------


def test_these_are_all_the_functions(functions):
    assert list(functions) == FUNCTIONS


def test_the_artefact_holds_the_handler_the_document_and_the_digests_of_layers(built, functions):
    for name, function in functions.items():
        module, _ = function["Properties"]["Handler"].rsplit(".", 1)
        assert (built / name / module.replace(".", "/")).with_suffix(".py").is_file()
        document = (ROOT / "openapi.json").read_bytes()
        assert (built / name / "openapi.json").read_bytes() == document
        listed = (built / name / "layers.sha256").read_text("utf-8")
        assert all(path.removeprefix("layers/") in listed for path in ONE_BYTE)


def test_the_built_template_has_no_anchors_which_cloudformation_does_not_read(built):
    events = yaml.parse((built / "template.yaml").read_text("utf-8"))
    assert not [event for event in events if getattr(event, "anchor", None)]


def test_the_library_layer_holds_every_module_of_the_library(built):
    def modules(folder: Path) -> set[str]:
        return {file.relative_to(folder).as_posix() for file in folder.rglob("*.py")}

    library = modules(ROOT / "layers" / "clickbait" / "python")
    assert modules(built / "LibraryLayer" / "python") == library
    assert {"clickbait/web/app.py", "clickbait/store/live.py"} < library


def test_function_and_layers_fit_in_their_budget(built, functions):
    layers = [built / "LibraryLayer", built / "DependenciesLayer", ROOT / "layers" / "baseline"]
    for name in functions:
        total = size(built / name) + sum(size(layer) for layer in layers)
        assert total <= MAX_UNZIPPED, f"{total / 1e6:.0f} MB"


def test_every_binary_is_for_lambdas_processor(built):
    binaries = [file for file in files(built / "DependenciesLayer") if ".so" in file.suffixes]
    assert len(binaries) > 20
    for file in binaries:
        head = file.read_bytes()[:20]
        assert head[:4] == b"\x7fELF", file
        assert struct.unpack_from("<H", head, 18) == (X86_64,), file
        assert "cpython-" not in file.name or "cpython-313-" in file.name, file


def test_no_binary_needs_newer_c_libraries_than_lambda_has(built):
    binaries = [file for file in files(built / "DependenciesLayer") if ".so" in file.suffixes]
    for file in binaries:
        content = file.read_bytes()
        for family, newest in NEWEST.items():
            needed = re.findall(re.escape(family) + rb"\.(\d+)", content)
            assert max(map(int, needed), default=0) <= newest, (file, family, needed)


def test_the_layer_leaves_out_packages_that_nothing_imports(built):
    there = {path.name for path in (built / "DependenciesLayer" / "python").iterdir()}
    assert not there & {*NEVER_THERE, "bin"}
    assert not list((built / "DependenciesLayer").rglob("tests"))


def test_the_layer_has_the_boto3_that_is_tested_and_the_services_that_are_called(built):
    """The runtime has a boto3 too, which changes without notice; the layer's comes before it."""
    python = built / "DependenciesLayer" / "python"
    for package in ("boto3", "botocore"):
        assert (python / f"{package}-{metadata.version(package)}.dist-info").is_dir()
    described = {path.name for path in (python / "botocore" / "data").iterdir() if path.is_dir()}
    assert described == called()


def called() -> set[str]:
    """The services that functions have clients for."""
    sources = [*(ROOT / "functions").rglob("*.py"), *(ROOT / "layers/clickbait").rglob("*.py")]
    text = "".join(file.read_text("utf-8") for file in sources)
    return set(re.findall(r"client\(\s*\"([a-z0-9-]+)\"", text))


def test_nothing_built_names_this_machine(built):
    """Paths in bytecode would make the builds of two machines differ, and reveal their folders."""
    for name in BUILT:
        for file in files(built / name):
            assert str(built).encode() not in file.read_bytes(), file


def test_every_module_has_bytecode_that_is_never_checked_against_its_source(built):
    found = [file for name in BUILT for file in files(built / name)]
    compiled = [file for file in found if file.suffix == ".pyc"]
    if not compiled:
        pytest.skip("no python3.13 on this machine: built without bytecode")
    assert len(compiled) == len([file for file in found if file.suffix == ".py"])
    for file in compiled:
        # PEP 552: bit 0 means that there is a hash, bit 1 that Python checks it.
        assert struct.unpack_from("<I", file.read_bytes(), 4) == (1,), file
        assert ".cpython-313." in file.name


# --- it runs -------------------------------------------------------------------------------------

CALL = """
import base64, json, sys
from functions.predict.app import handler

class Context:
    aws_request_id = "request"

def call(method, path, body=b"", headers={}):
    event = {
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "",
        "headers": {"host": "api", **headers}, "isBase64Encoded": True,
        "body": base64.b64encode(body).decode(),
        "requestContext": {"requestId": "request", "stage": "$default", "http": {
            "method": method, "path": path, "sourceIp": "127.0.0.1", "userAgent": "test",
            "protocol": "HTTP/1.1"}},
    }
    return handler(event, Context())

paths = ["/", "/docs", "/redoc", "/openapi.json", "/docs-info", "/status", "/model-info"]
status = {path: call("GET", path)["statusCode"] for path in paths}
image = open(sys.argv[1], "rb").read()
answer = call("POST", "/predict", image, {"content-type": "image/jpeg"})
where = {name: getattr(module, "__file__", None) or "" for name, module in sys.modules.items()}
outside = sorted(name for name, file in where.items() if "site-packages" in file)
print(json.dumps({"status": status, "answer": answer, "outside": outside}))
"""


IMPORT = """
import importlib, json, sys
module, handler = sys.argv[1].rsplit(".", 1)
assert callable(getattr(importlib.import_module(module), handler))
where = {name: getattr(module, "__file__", None) or "" for name, module in sys.modules.items()}
print(json.dumps(sorted(name for name, file in where.items() if "site-packages" in file)))
"""


CLIENTS = """
import json, os, sys
os.environ["AWS_DEFAULT_REGION"] = "us-east-1"
from clickbait import aws
clients = [aws.client(name) for name in sys.argv[1].split()]
print(json.dumps([sys.modules["boto3"].__file__, len(clients)]))
"""


@pytest.fixture(scope="module")
def shipped(built, checkout, tmp_path_factory):
    """A function that runs a script with nothing but a function's artefact and its layers.

    It returns the last line of the output, as JSON. The layer's makefile builds the dependencies
    for this machine.
    """
    layer = tmp_path_factory.mktemp("layer")
    make(
        checkout / "layers" / "dependencies",
        *("build-DependenciesLayer", "PLATFORM=host", f"ARTIFACTS_DIR={layer}"),
        f"INSTALLER={sys.executable} -m pip",
    )

    def run(function: str, script: str, argument: object) -> object:
        paths = [built / function, built / "LibraryLayer" / "python", layer / "python"]
        done = subprocess.run(
            # -S: without this environment's own packages.
            [sys.executable, "-S", "-c", script, str(argument)],
            cwd=layer,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": os.pathsep.join(map(str, paths)),
                "PYTHONDONTWRITEBYTECODE": "1",
                "MODEL_PATH": str(ROOT / "layers" / "baseline" / "baseline"),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_handler_starts_with_its_artefact_and_its_layers_alone(shipped, functions, name):
    assert shipped(name, IMPORT, functions[name]["Properties"]["Handler"]) == []


def test_the_shipped_boto3_has_a_client_of_each_service(shipped):
    services = called()
    file, clients = shipped("PredictFunction", CLIENTS, " ".join(services))
    assert "site-packages" not in file and clients == len(services) > 5


def test_a_prediction_needs_its_artefact_and_its_layers_alone(shipped):
    found = shipped("PredictFunction", CALL, ROOT / "sample.jpg")
    assert found["outside"] == []
    assert set(found["status"].values()) == {200}, found["status"]
    assert found["answer"]["statusCode"] == 200, found["answer"]
    body = found["answer"]["body"]
    if found["answer"]["isBase64Encoded"]:
        body = base64.b64decode(body)
    assert 0 <= json.loads(body)["probability"] <= 1


# --- it is new if it changed ---------------------------------------------------------------------


def build_functions(checkout: Path, artefacts: Path) -> Path:
    """Build every function of a checkout with its makefile alone; return their folder."""
    for name in FUNCTIONS:
        make(checkout / "functions", f"build-{name}", f"ARTIFACTS_DIR={artefacts / name}")
    return artefacts


def test_the_same_sources_are_the_same_versions(checkout, published, versions, tmp_path):
    assert versions(build_functions(checkout, tmp_path)) == published


@pytest.mark.parametrize("layer", ["LibraryLayer", "DependenciesLayer"])
def test_a_layer_that_is_built_again_is_the_same_bit_for_bit(checkout, built, tmp_path, layer):
    """Otherwise each deployment would upload 30 MB and publish new versions of all functions."""
    folder = {"LibraryLayer": "clickbait", "DependenciesLayer": "dependencies"}[layer]
    make(checkout / "layers" / folder, f"build-{layer}", f"ARTIFACTS_DIR={tmp_path}")
    again = {file.relative_to(tmp_path): file.read_bytes() for file in files(tmp_path)}
    first = {file.relative_to(built / layer): file.read_bytes() for file in files(built / layer)}
    assert again.keys() == first.keys()
    assert [name for name in first if again[name] != first[name]] == []


@pytest.mark.parametrize("file", ONE_BYTE)
def test_one_byte_changed_in_layers_is_a_new_version_of_each_function(
    checkout, published, versions, tmp_path, file
):
    copy = tmp_path / "checkout"
    shutil.copytree(checkout, copy, ignore=shutil.ignore_patterns(".aws-sam", "__pycache__"))
    with (copy / file).open("ab") as changed:
        changed.write(b"\n")
    after = versions(build_functions(copy, tmp_path / "built"))
    assert set(after) == set(FUNCTIONS)
    assert all(after[name] != published[name] for name in FUNCTIONS)


def test_sam_builds_again_if_only_layers_changed(checkout, template, tool, tmp_path):
    """The function's own folder is unchanged, so no cache may answer for it."""
    copy = tmp_path / "checkout"
    shutil.copytree(checkout, copy, ignore=shutil.ignore_patterns(".aws-sam", "__pycache__"))
    # One function without its layers: their own builds take most of the time.
    alone = {"PredictFunction": deepcopy(template["Resources"]["PredictFunction"])}
    properties = alone["PredictFunction"]["Properties"]
    kept = {name: properties[name] for name in ("CodeUri", "Handler")}
    alone["PredictFunction"]["Properties"] = kept | {"Runtime": "python3.13"}
    (copy / "template.yaml").write_text(
        json.dumps({"Transform": template["Transform"], "Resources": alone}), encoding="utf-8"
    )

    def digests() -> str:
        done = tool("sam", "build", folder=copy)
        assert done.returncode == 0, done.stderr
        built = copy / ".aws-sam" / "build" / "PredictFunction"
        return (built / "layers.sha256").read_text("utf-8")

    before = digests()
    with (copy / ONE_BYTE[0]).open("ab") as changed:
        changed.write(b"\n")
    assert digests() != before
