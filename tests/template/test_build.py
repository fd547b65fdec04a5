"""`sam build` makes what Lambda can run: complete, for its processor, small, new when changed."""

import base64
import json
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.template.conftest import make

ROOT = Path(__file__).resolve().parents[2]

MAX_UNZIPPED = 150_000_000
"""Bytes of a function and its layers; Lambda itself refuses 250 MB."""

AARCH64 = 183
"""ELF's number of the processor (e_machine)."""

IN_LAMBDA_ALREADY = ("boto3", "botocore", "s3transfer", "urllib3")
NEVER_THERE = ("tensorflow", "keras", "ml_dtypes", "google", "tqdm", "pytest", "pip")

FUNCTIONS = [
    *("PredictFunction", "BatchFunction", "WorkerFunction"),
    *("AdminFunction", "RetrainFunction"),
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
def version(built, translate, tool):
    """The id of the version that deploying an artefact publishes, with the layers as in `built`."""

    def published(artefact: Path) -> str:
        # `sam deploy` names a package by this digest.
        script = "import sys; from samcli.lib.utils.hash import dir_checksum as digest; "
        done = tool("python", "-c", script + "print(digest(sys.argv[1]))", artefact)
        assert done.returncode == 0, done.stderr
        package = {artefact.name: done.stdout.strip()}
        found = translate(
            built / "template.yaml", lambda folder: package.get(folder.name, "unchanged")
        )["Resources"]
        (name,) = [
            name
            for name, it in found.items()
            if it["Type"] == "AWS::Lambda::Version"
            and it["Properties"]["FunctionName"] == {"Ref": artefact.name}
        ]
        return name

    return published


# --- what is in it -------------------------------------------------------------------------------


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
        assert struct.unpack_from("<H", head, 18) == (AARCH64,), file
        assert "cpython-" not in file.name or "cpython-313-" in file.name, file


def test_the_layer_leaves_out_what_lambda_has_and_what_nothing_imports(built):
    there = {path.name for path in (built / "DependenciesLayer" / "python").iterdir()}
    assert not there & {*IN_LAMBDA_ALREADY, *NEVER_THERE, "bin"}
    assert not list((built / "DependenciesLayer").rglob("tests"))


def test_nothing_built_names_this_machine(built):
    """Its paths in bytecode would make two machines' builds differ, and tell where they were."""
    for name in BUILT:
        for file in files(built / name):
            assert str(built).encode() not in file.read_bytes(), file


def test_bytecode_is_never_checked_against_its_source(built):
    compiled = [file for name in BUILT for file in files(built / name) if file.suffix == ".pyc"]
    if not compiled:
        pytest.skip("no python3.13 on this machine: built without bytecode")
    for file in compiled:
        # PEP 552: bit 0 says that a hash is there, bit 1 that it is to be checked.
        assert struct.unpack_from("<I", file.read_bytes(), 4) == (1,), file
        assert ".cpython-313." in file.name


# --- it is enough --------------------------------------------------------------------------------

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


@pytest.fixture(scope="module")
def shipped(built, checkout, tmp_path_factory):
    """Run a script with what is shipped for a function and nothing else; what it printed last.

    The same makefile builds the dependencies layer, here for this machine.
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
def test_what_is_shipped_is_all_that_a_handler_needs_to_start(shipped, functions, name):
    assert shipped(name, IMPORT, functions[name]["Properties"]["Handler"]) == []


def test_what_is_shipped_is_all_that_a_prediction_needs(shipped):
    found = shipped("PredictFunction", CALL, ROOT / "sample.jpg")
    assert found["outside"] == []
    assert set(found["status"].values()) == {200}, found["status"]
    assert found["answer"]["statusCode"] == 200, found["answer"]
    body = found["answer"]["body"]
    if found["answer"]["isBase64Encoded"]:
        body = base64.b64decode(body)
    assert 0 <= json.loads(body)["probability"] <= 1


# --- it is new when it changed -------------------------------------------------------------------


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_same_sources_are_the_same_version(built, checkout, version, tmp_path, name):
    artefact = tmp_path / name
    make(checkout / "functions", f"build-{name}", f"ARTIFACTS_DIR={artefact}")
    assert version(artefact) == version(built / name)


@pytest.mark.parametrize("file", ONE_BYTE)
def test_one_byte_changed_in_layers_is_a_new_version_of_each(
    built, checkout, version, tmp_path, file
):
    copy = tmp_path / "checkout"
    shutil.copytree(checkout, copy, ignore=shutil.ignore_patterns(".aws-sam", "__pycache__"))
    with (copy / file).open("ab") as changed:
        changed.write(b"\n")
    for name in FUNCTIONS:
        artefact = tmp_path / name
        make(copy / "functions", f"build-{name}", f"ARTIFACTS_DIR={artefact}")
        assert version(artefact) != version(built / name)


def test_sam_builds_anew_what_changed_in_layers_alone(built, checkout, tool):
    """Its cache would not: that looks at functions/ only."""
    before = (built / "PredictFunction" / "layers.sha256").read_text("utf-8")
    changed = checkout / ONE_BYTE[0]
    original = changed.read_bytes()
    changed.write_bytes(original + b"\n")
    try:
        done = tool("sam", "build", "--build-dir", "again", "PredictFunction", folder=checkout)
    finally:
        changed.write_bytes(original)
    assert done.returncode == 0, done.stderr
    after = (checkout / "again" / "PredictFunction" / "layers.sha256").read_text("utf-8")
    assert before != after
