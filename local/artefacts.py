"""Zips of functions and layers; the same files give the same bytes, so names can be digests."""

import hashlib
from pathlib import Path

from ops.archive import zipped

EXCLUDED = {"__pycache__", "Makefile", "README.md"}


def function_zip(root: Path, layers: dict[str, bytes]) -> bytes:
    """`functions/` and `openapi.json`, packed as the makefile does it for AWS.

    The zip also contains a digest of the layers, because a published alias only moves when its
    artefact changes.
    """
    files = {f"functions/{name}": data for name, data in _files(root / "functions").items()}
    files["openapi.json"] = (root / "openapi.json").read_bytes()
    digests = "".join(f"{digest(layers[name])}  {name}\n" for name in sorted(layers))
    return zipped(files | {"layers.sha256": digests.encode()})


def layer_zip(folder: Path) -> bytes:
    """The files of a layer."""
    return zipped(_files(folder))


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not EXCLUDED.intersection(path.relative_to(folder).parts)
    }
