"""The lock files on other machines: aarch64 Linux and macOS on Apple silicon.

`python -m tests.platforms resolve` asks the package index whether every locked package has a wheel
for them; `mark FILE` writes the one difference into a lock file that was resolved here.
"""

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from packaging.markers import default_environment
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]

LOCKS = [
    *("local/requirements.txt", "tests/requirements.txt", "training/requirements.txt"),
    *("ops/requirements.txt", "tests/template/requirements.txt"),
]
"""The lock files that `make up` and `make test` install."""

PYTHON = "3.13"

TENSORFLOW = re.compile(
    r"(?m)^(?:tensorflow==.*\n)?tensorflow-cpu==([\d.]+)(?: *;[^#\n]*?)?( *#.*)?$"
)
"""The lines of a lock file. tensorflow-cpu has wheels for x86-64 alone; elsewhere tensorflow is as
small."""

HERE = "sys_platform == 'linux' and platform_machine == 'x86_64'"
ELSEWHERE = "sys_platform != 'linux' or platform_machine != 'x86_64'"


class Platform(NamedTuple):
    """A machine: pip's names of its wheels, and what markers see on it."""

    tags: tuple[str, ...]
    sys_platform: str
    platform_machine: str


PLATFORMS = {
    "x86-64 Linux": Platform(
        ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux2014_x86_64"),
        *("linux", "x86_64"),
    ),
    "aarch64 Linux": Platform(
        ("manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux2014_aarch64"),
        *("linux", "aarch64"),
    ),
    "macOS on Apple silicon": Platform(("macosx_14_0_arm64",), "darwin", "arm64"),
}


def locked(lock: Path, platform: Platform) -> Iterator[Requirement]:
    """The requirements of a lock file that hold on a platform."""
    environment = {str(name): str(value) for name, value in default_environment().items()}
    environment |= {
        "sys_platform": platform.sys_platform,
        "platform_machine": platform.platform_machine,
    }
    for line in lock.read_text("utf-8").splitlines():
        if text := re.sub(r"(^|\s)(#|--hash=).*|\\$", "", line).strip():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate(environment):
                requirement.marker = None  # pip would read it for this machine.
                yield requirement


def mark(lock: str) -> str:
    """A lock file's text with TensorFlow for each machine."""
    both = rf"tensorflow==\1 ; {ELSEWHERE}\2" + "\n" + rf"tensorflow-cpu==\1 ; {HERE}\2"
    return TENSORFLOW.sub(both, lock)


def resolve(lock: str, platform: Platform) -> str:
    """The packages of a lock file that a platform lacks, in the words of pip; empty if none."""
    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder) / "requirements.txt"
        wanted.write_text("\n".join(map(str, locked(ROOT / lock, platform))), encoding="utf-8")
        tags = [word for tag in platform.tags for word in ("--platform", tag)]
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--no-deps"]
        command += ["--ignore-installed", "--target", folder, "--only-binary=:all:"]
        command += ["--implementation", "cp", "--python-version", PYTHON, *tags, "-r", str(wanted)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stderr


def main(arguments: list[str]) -> int:
    """The exit status."""
    match arguments:
        case ["mark", file]:
            Path(file).write_text(mark(Path(file).read_text("utf-8")), encoding="utf-8")
            return 0
        case ["resolve"]:
            status = 0
            for name, platform in PLATFORMS.items():
                for lock in LOCKS:
                    missing = resolve(lock, platform)
                    print(f"{name}: {lock}: {missing or 'every package has a wheel'}")
                    status |= bool(missing)
            return status
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
