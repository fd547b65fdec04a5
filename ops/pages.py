"""The built page as files: what each is and how long it may be kept, here and on AWS alike."""

import json
from dataclasses import dataclass
from pathlib import Path

from ops import StackError

INDEX = "index.html"
"""What answers for every address that is not a file's."""

CONFIG = "config.json"
"""What the page reads of its stack: it is built without knowing one."""

ASSETS = "assets/"
"""Where the build puts what has a digest of its content in its name."""

FOR_EVER = "public, max-age=31536000, immutable"
"""Other content has another name: an asset is never out of date. A year is the most of a cache."""

ASK_FIRST = "no-cache"
"""May be kept, and is used once the server has said that it still holds: what is new shows at once,
and names the new assets."""

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
"""By ending. A machine's own table may differ, and a browser runs no script of a wrong type."""


@dataclass(frozen=True)
class PageFile:
    """One file, and the headers that it is answered with."""

    content: bytes
    type: str
    cache: str


def read(folder: Path) -> dict[str, PageFile]:
    """The files of a built page by their path below `folder`; hidden ones are the build's own.

    Raises StackError where there is no page, or a file whose type nobody knows.
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


def config(api: str, access: str, stack: str) -> PageFile:
    """`config.json`: the API's address, who may read (`private` or `public`), the stack's name."""
    content = json.dumps({"api": api, "access": access, "stack": stack})
    return _page_file(Path(CONFIG), content.encode())


def _page_file(name: Path, content: bytes) -> PageFile:
    if name.suffix not in TYPES:
        raise StackError(f"The page has a file {name}, and TYPES in ops/pages.py no type for it.")
    cache = FOR_EVER if name.as_posix().startswith(ASSETS) else ASK_FIRST
    return PageFile(content, TYPES[name.suffix], cache)
