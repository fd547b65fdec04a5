"""Zips of functions and layers; the same files give the same bytes, so names can be digests."""

import hashlib
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time in a zip. With the files' own times, each checkout would give another zip."""

EXCLUDED = {"__pycache__", "Makefile", "README.md"}


def function_zip(root: Path, layers: dict[str, bytes]) -> bytes:
    """`functions/` and `openapi.json`, packed as the makefile does it for AWS.

    The zip also contains a digest of the layers, because a published alias only moves when its
    artefact changes.
    """
    files = {
        f"functions/{name}": path.read_bytes() for name, path in _files(root / "functions")
    } | {"openapi.json": (root / "openapi.json").read_bytes()}
    digests = "".join(f"{digest(layers[name])}  {name}\n" for name in sorted(layers))
    return _zip(files | {"layers.sha256": digests.encode()})


def layer_zip(folder: Path) -> bytes:
    """The files of a layer."""
    return _zip({name: path.read_bytes() for name, path in _files(folder)})


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and not EXCLUDED.intersection(name.parts):
            yield name.as_posix(), path


def _zip(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, files[name])
    return buffer.getvalue()
