"""Other machines: their lock files, and what a machine without Python or Node is answered."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.platforms import LOCKS, PLATFORMS, ROOT, locked, mark

DEBIAN = 'ID=debian\nVERSION_ID="13"\n'
UBUNTU = 'ID=ubuntu\nVERSION_ID="26.04"\n'
LINUX, WSL, MACOS = "Linux 6.12", "Linux 6.6.87-microsoft-standard-WSL2", "Darwin 24.6.0"


@pytest.mark.parametrize("platform", PLATFORMS)
def test_each_machine_trains_with_the_same_tensorflow_from_the_package_that_it_has(platform):
    """`make test-platforms` asks the index for every wheel, which takes minutes."""
    lock = ROOT / "training" / "requirements.txt"
    found = {
        it.name: str(it.specifier) for it in locked(lock, PLATFORMS[platform]) if "flow" in it.name
    }
    (version,) = found.values()
    name = "tensorflow-cpu" if platform == "x86-64 Linux" else "tensorflow"
    assert found == {name: version}
    assert f"tensorflow-cpu{version} " in lock.read_text("utf-8")


@pytest.mark.parametrize("lock", LOCKS)
def test_every_line_of_a_lock_file_names_one_version(lock):
    for platform in PLATFORMS.values():
        found = list(locked(ROOT / lock, platform))
        assert len(found) > 20 and all(str(it.specifier).startswith("==") for it in found)
        assert len({it.name for it in found}) == len(found)


def test_marking_a_lock_file_again_changes_nothing():
    text = "six==1.17.0  # via x\ntensorflow-cpu==2.21.0    # via y\ntermcolor==3.3.0\n"
    once = mark(text)
    assert once.count("tensorflow==2.21.0 ; ") == 1 and once.count("# via y") == 2
    resolved_again = "".join(line for line in once.splitlines(True) if "flow==" not in line)
    assert mark(once) == once == mark(resolved_again)
    assert (ROOT / "training/requirements.txt").read_text() == mark(
        (ROOT / "training/requirements.txt").read_text()
    )


# --- what is missing -----------------------------------------------------------------------------


def program(folder: Path, name: str, answer: str) -> None:
    file = folder / name
    file.write_text(f"#!/bin/sh\necho '{answer}'\n", encoding="utf-8")
    file.chmod(0o755)


def asked(folder: Path, *arguments: str, release: str = DEBIAN, kernel: str = LINUX) -> str:
    """The output of `local/needs.sh` on a machine with the programs of `folder`; empty if it is
    content."""
    for name in ("sh", "awk", "basename"):
        (folder / name).symlink_to(f"/usr/bin/{name}")
    (folder / "os-release").write_text(release, encoding="utf-8")
    environment = {
        "PATH": str(folder),
        "OS_RELEASE": str(folder / "os-release"),
        "KERNEL": kernel,
    }
    done = subprocess.run(
        [ROOT / "local" / "needs.sh", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode == 1) == bool(done.stderr), done
    return done.stderr


@pytest.mark.parametrize(
    ("release", "kernel", "advice"),
    [
        (DEBIAN, LINUX, "apt-get install python3 python3-venv, or uv python install 3.13"),
        (UBUNTU, LINUX, "add-apt-repository ppa:deadsnakes/ppa"),
        (UBUNTU, WSL, "inside of WSL"),
        ("", MACOS, "brew install python@3.13"),
        ("ID=nixos\n", LINUX, 'PYTHON="$(uv python find 3.13)"'),
    ],
)
def test_a_machine_with_another_python_alone_gets_the_command_for_one(
    tmp_path, release, kernel, advice
):
    program(tmp_path, "python3", "Python 3.14")
    said = asked(tmp_path, "python", "", release=release, kernel=kernel)
    assert said.startswith("Python 3.11, 3.12 or 3.13 is needed, and Python 3.14 was found")
    assert advice in said and len(said.splitlines()) == 1


def test_a_python_without_venv_is_named(tmp_path):
    (tmp_path / "python3.13").write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    (tmp_path / "python3.13").chmod(0o755)
    said = asked(tmp_path, "python", "python3.13", release=UBUNTU)
    assert said.startswith("python3.13 has no venv") and "apt-get install python3.13-venv" in said


@pytest.mark.parametrize(
    ("found", "content"),
    [
        *((version, True) for version in ("20.19.0", "20.20.1", "24.0.0", "100.1.0")),
        *((version, False) for version in ("20.9.9", "18.20.8", "9.99.0", "")),
    ],
)
def test_node_is_compared_number_by_number(tmp_path, found, content):
    if found:
        program(tmp_path, "node", found)
        program(tmp_path, "npm", "10")
    said = asked(tmp_path, "node", "20.19")
    assert (said == "") is content
    if not content:
        assert said.startswith("Node 20.19 or newer with npm is needed, and ")
        assert (f"Node {found} was found" if found else "none was found") in said


def test_a_node_without_npm_is_not_enough(tmp_path):
    program(tmp_path, "node", "24.1.0")
    assert "apt-get install nodejs npm" in asked(tmp_path, "node", "20.19")


@pytest.mark.parametrize("target", ["up", "test"])
def test_what_is_missing_is_said_before_anything_is_downloaded(target):
    """make brings prerequisites up to date from left to right."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    (first,) = re.findall(rf"(?m)^{target}: (\S+)", makefile)
    (recipe,) = re.findall(r"(?m)^needs:\n((?:\t.*\n)+)", makefile)
    assert first == "needs" and "needs.sh python" in recipe and "needs.sh node" in recipe
