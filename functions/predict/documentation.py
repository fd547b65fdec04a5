"""`/docs`, `/redoc`, `/openapi.json` and a page for each problem, all without a CDN.

The OpenAPI document does not list these routes. FastAPI writes two of the pages, and is imported
when somebody asks for one of them.
"""

import json
import re
from functools import cache
from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from clickbait.errors import NotFound, Problem

OPENAPI_FILE = Path(__file__).resolve().parents[2] / "openapi.json"
"""One document for all functions: generated, committed, and in the same place in the artefact."""

ASSETS = "/docs/assets"


async def swagger(_: Request) -> Response:
    """Swagger UI from our own files."""
    from fastapi.openapi.docs import get_swagger_ui_html

    return get_swagger_ui_html(
        openapi_url="/openapi.json",
        title=f"{_document()['info']['title']}: API",
        swagger_js_url=f"{ASSETS}/swagger-ui-bundle.js",
        swagger_css_url=f"{ASSETS}/swagger-ui.css",
        swagger_favicon_url=f"{ASSETS}/favicon.png",
    )


async def redoc(_: Request) -> Response:
    """ReDoc from our own files."""
    from fastapi.openapi.docs import get_redoc_html

    return get_redoc_html(
        openapi_url="/openapi.json",
        title=f"{_document()['info']['title']}: API",
        redoc_js_url=f"{ASSETS}/redoc.standalone.js",
        redoc_favicon_url=f"{ASSETS}/favicon.png",
        with_google_fonts=False,
    )


async def openapi(_: Request) -> Response:
    """The committed OpenAPI document."""
    return Response(OPENAPI_FILE.read_bytes(), media_type="application/json")


async def problem_page(request: Request) -> HTMLResponse:
    """The page to which a problem's `type` links."""
    slug = request.path_params["slug"]
    kind = _problem_kinds().get(slug)
    if kind is None:
        raise NotFound(f"No problem is named {slug!r}. /docs lists the problems of each route.")
    when = (kind.__doc__ or "").removeprefix("Raise ").partition("\n\n")[0]
    return HTMLResponse(
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(kind.title)}</title>"
        f"<h1>{escape(kind.title)}</h1><p>The service answers {kind.status} {escape(when)}</p>"
        "<p>The <code>detail</code> of the response says what is wrong and what to do instead. "
        '<a href="/docs">All routes</a></p></html>'
    )


EXAMPLES = {
    "Classify one image": "curl -F file=@image.jpg {url}/predict",
    "With a map of the evidence": "curl -F file=@image.jpg '{url}/predict?explain=true'",
    "Classify up to ten images": "curl -F files=@a.jpg -F files=@b.jpg {url}/predict-batch",
    "Start a training": "curl -X POST -H 'Authorization: Bearer TOKEN' {url}/retrain",
}


def info(url: str, document: dict[str, Any] | None = None) -> dict[str, Any]:
    """The body of `/docs-info`, with examples for the service at `url`.

    `document` is the OpenAPI document of this service if it does not offer all routes.
    """
    document = document or _document()
    return {
        "title": document["info"]["title"],
        "version": document["info"]["version"],
        "documentation": {"swagger": "/docs", "redoc": "/redoc", "openapi": "/openapi.json"},
        "endpoints": [
            {"method": method.upper(), "path": path, "summary": operation.get("summary", "")}
            for path, operations in document["paths"].items()
            for method, operation in operations.items()
        ],
        "examples": [
            {"title": title, "command": command.format(url=url.rstrip("/"))}
            for title, command in EXAMPLES.items()
            if re.sub(r".*{url}(/[\w-]+).*", r"\1", command) in document["paths"]
        ],
    }


@cache
def _document() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(OPENAPI_FILE.read_bytes())
    return document


@cache
def _problem_kinds() -> dict[str, type[Problem]]:
    def tree(kind: type[Problem]) -> list[type[Problem]]:
        return [kind, *(below for sub in kind.__subclasses__() for below in tree(sub))]

    return {kind.slug(): kind for kind in tree(Problem)}


def _assets() -> StaticFiles:
    """The files of Swagger UI and ReDoc, from a package that is not imported for them."""
    package = find_spec("fastapi_offline")
    return StaticFiles(directory=Path(str(package and package.origin)).parent / "static")


ROUTES = [
    Mount(ASSETS, _assets(), name="docs-assets"),
    Route("/docs", swagger),
    Route("/redoc", redoc),
    Route("/openapi.json", openapi),
    Route("/docs/problems/{slug}", problem_page),
]
