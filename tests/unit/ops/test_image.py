"""The files of the training image: all that it needs, and the same ones give the same archive."""

import os
from pathlib import Path

import pytest

from ops import image

ROOT = Path(__file__).resolve().parents[3]


def test_the_image_contains_training_the_library_and_the_baseline():
    files = image.files(ROOT)
    assert {
        "training/Dockerfile",
        "training/job.py",
        "training/requirements.txt",
        "training/baseline/weights.npz",
        "layers/clickbait/python/clickbait/store/registry.py",
        "layers/baseline/baseline/model.tflite",
    } <= set(files)
    assert sum(map(len, files.values())) < 50e6


def test_the_image_does_not_contain_the_students():
    assert (ROOT / image.NOT_IN_IMAGE).is_dir()
    files = image.files(ROOT)
    assert not [name for name in files if name.startswith(f"{image.NOT_IN_IMAGE}/")]
    ignored = (ROOT / "training" / "Dockerfile.dockerignore").read_text("utf-8")
    assert image.NOT_IN_IMAGE in ignored.splitlines()


def test_everything_that_the_dockerfile_copies_is_there():
    lines = (ROOT / "training" / "Dockerfile").read_text("utf-8").splitlines()
    copied = [
        source.strip("/")
        for line in lines
        if line.startswith("COPY ") and "--from" not in line
        for source in [word for word in line.split()[1:] if not word.startswith("--")][:-1]
    ]
    assert copied
    files = image.files(ROOT)
    for name in copied:
        assert any(file == name or file.startswith(f"{name}/") for file in files), name


@pytest.fixture
def sources(tmp_path) -> Path:
    for folder in image.IMAGE_SOURCES:
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "one.py").write_text("1")
    (tmp_path / "training" / "Dockerfile").write_text("FROM scratch")
    return tmp_path


def test_the_same_files_are_the_same_archive_whenever_and_wherever(sources):
    before = image.files(sources)
    for file in sources.rglob("*.py"):
        os.utime(file, (0, 0))
    for left_behind in ("training/.venv/bin/python", "training/__pycache__/one.cpython-311.pyc"):
        (sources / left_behind).parent.mkdir(parents=True, exist_ok=True)
        (sources / left_behind).write_text("left behind")
    after = image.files(sources)
    digest = image.digest_of(before)
    assert image.digest_of(after) == digest
    assert image.archive(before, digest) == image.archive(after, digest)


@pytest.mark.parametrize("change", ["content", "name", "more", "less"])
def test_any_change_of_a_file_is_another_image(sources, change):
    before = image.digest_of(image.files(sources))
    file = sources / "training" / "one.py"
    match change:
        case "content":
            file.write_text("2")
        case "name":
            file.rename(file.with_name("other.py"))
        case "more":
            file.with_name("more.py").write_text("")
        case "less":
            file.unlink()
    assert image.digest_of(image.files(sources)) != before
