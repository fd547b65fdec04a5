"""The files of the built page, with their types and cache times, for AWS and for this machine."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops import StackError

INDEX = "index.html"
"""Served at every address that is not the address of a file."""

CONFIG = "config.json"
"""The page reads its stack from this file, because it is built without knowing one."""

ASSETS = "assets/"
"""The build puts files here whose names contain a digest of their content."""

FOR_EVER = "public, max-age=31536000, immutable"
"""For assets, which never go out of date: other content has another name. A year is the maximum."""

ASK_FIRST = "no-cache"
"""The browser may keep the file, but must revalidate it before each use. So a new index.html, which
names the new assets, is visible at once."""

TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/vnd.microsoft.icon",
    ".jpg": "image/jpeg",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
}
"""By extension. The system's own table may differ, and browsers refuse scripts of a wrong type."""


@dataclass(frozen=True)
class PageFile:
    """One file with its content type and its Cache-Control header."""

    content: bytes
    type: str
    cache: str


def read(folder: Path) -> dict[str, PageFile]:
    """The files of a built page by their path below `folder`, without hidden ones.

    Raises StackError if there is no page, or if TYPES lacks the type of a file.
    """
    if not (folder / INDEX).is_file():
        raise StackError(
            f"The page is not built: {folder / INDEX} is missing. `make up` builds it before it "
            "starts, and `make site` builds it alone."
        )
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    names = [path.relative_to(folder) for path in found]
    return {
        name.as_posix(): _page_file(name, path.read_bytes())
        for name, path in zip(names, found, strict=True)
        if not any(part.startswith(".") for part in name.parts)
    }


def config(
    api: str,
    access: str,
    stack: str,
    shown: Sequence[str] | None = None,
    predictions: str = "open",
) -> PageFile:
    """`config.json`: the API's address, who may read (`private` or `public`), the stack's name, the
    paths of the pages that are `shown` if not all are, and who may predict (`open` or `keys`)."""
    content: dict[str, Any] = {
        "api": api,
        "access": access,
        "stack": stack,
        "predictions": predictions,
    }
    if shown is not None:
        content["pages"] = list(shown)
    return _page_file(Path(CONFIG), json.dumps(content).encode())


def _page_file(name: Path, content: bytes) -> PageFile:
    if name.suffix not in TYPES:
        raise StackError(
            f"The page's file {name} has no content type: add it to TYPES in ops/pages.py."
        )
    cache = FOR_EVER if name.as_posix().startswith(ASSETS) else ASK_FIRST
    return PageFile(content, TYPES[name.suffix], cache)
