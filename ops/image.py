"""The image that trains: which files are in it, and its build on AWS."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ops.archive import zipped

SOURCE_KEY = "build/source.zip"
"""The object of the models bucket that the template's build reads; its role can read no other."""

IMAGE_SOURCES = ("training", "layers/clickbait/python", "layers/baseline/baseline")
"""The folders that training/Dockerfile may copy from, without hidden files and Python's cache."""

NOT_IN_IMAGE = "training/students"
"""This folder stays out of the image: no training reads its 7 MB. Dockerfile.dockerignore names it
as well."""


def build(session: Any, outputs: Mapping[str, str], files: Mapping[str, bytes]) -> str | None:
    """Start the build of an image of `files`; return its id, or None if `latest` is that image.

    The build tags its image with the digest of the files. A failed build leaves no tag, so the next
    deployment tries again.
    """
    digest = digest_of(files)
    if digest in _tags_of_latest(session.client("ecr"), outputs["TrainingRepository"]):
        return None
    upload = session.client("s3").put_object(
        Bucket=outputs["ModelsBucket"], Key=SOURCE_KEY, Body=archive(files, digest)
    )
    started = session.client("codebuild").start_build(
        projectName=outputs["TrainingBuild"], sourceVersion=upload["VersionId"]
    )
    return str(started["build"]["id"])


def files(root: Path) -> dict[str, bytes]:
    """The files of the training image, sorted by their path below `root`."""
    found = (file for source in IMAGE_SOURCES for file in _visible(root / source))
    kept = (file for file in found if not file.is_relative_to(root / NOT_IN_IMAGE))
    return {file.relative_to(root).as_posix(): file.read_bytes() for file in sorted(kept)}


def digest_of(files: Mapping[str, bytes]) -> str:
    """SHA-256 of the files' names and contents; an archive's times and modes do not count."""
    lines = (f"{name}\0{hashlib.sha256(content).hexdigest()}\n" for name, content in files.items())
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def archive(files: Mapping[str, bytes], digest: str) -> bytes:
    """A zip of the files, with their digest as the file that the template's build reads."""
    return zipped({**files, "digest": digest.encode()})


def _tags_of_latest(ecr: Any, uri: str) -> list[str]:
    """All tags of the image that trainings use; none before the first build."""
    repository = uri.partition("/")[2]
    try:
        images = ecr.describe_images(repositoryName=repository, imageIds=[{"imageTag": "latest"}])
    except ecr.exceptions.ImageNotFoundException:
        return []
    return list(images["imageDetails"][0].get("imageTags", []))


def _visible(folder: Path) -> Iterator[Path]:
    """The files below a folder, without hidden ones (such as an environment) and Python's cache."""
    for path in folder.iterdir():
        if path.name.startswith(".") or path.name == "__pycache__":
            continue
        if path.is_dir():
            yield from _visible(path)
        else:
            yield path
