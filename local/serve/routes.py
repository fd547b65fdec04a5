"""The routes of all HTTP functions in one app; those that this server cannot serve answer 501.

A server without a bucket, a table or an admin token has no use for the routes that need one. It
answers them with the name of the setting that it lacks, and its documentation leaves them out.
"""

import json
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator
from typing import Any

from fastapi.dependencies.models import Dependant
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route
from starlette.types import ASGIApp, Scope

from clickbait.errors import NotConfigured
from clickbait.settings import settings
from clickbait.web import access
from clickbait.web.app import create_app, json_response
from functions.predict.documentation import OPENAPI_FILE, info
from local.serve.metrics import wants_text

STORES = ("data_bucket", "models_bucket", "table")
NEEDS = {
    "batches": ("data_bucket", "table"),
    "dataset": STORES,
    "debug": (),
    "feedback": ("data_bucket",),
    "keys": ("table",),
    "metrics": ("table",),
    "models": ("models_bucket",),
    "predictions": ("table",),
    "promotions": ("models_bucket",),
    "retrain": (*STORES, "learn_queue", "job_queue", "job_definition"),
    "review": ("data_bucket", "table"),
    "runs": ("table",),
    "threshold": ("models_bucket",),
    "uploads": ("data_bucket",),
}
"""The settings without which routes have nothing to work on, by the first part of their paths. The
routes that are missing here need none."""

Endpoint = Callable[[Request], Awaitable[Response]]


def all_routes(figures: Endpoint) -> tuple[ASGIApp, Collection[str]]:
    """An app with the routes of every function, and the paths that it offers.

    `figures` answers GET /metrics for Prometheus.
    """
    from functions.admin import app as admin
    from functions.batch import app as batch
    from functions.predict import app as predict

    # A slow bucket must delay no request.
    predict.service.live.refreshes_aside = True
    apps = (predict.app, batch.app, admin.app)
    checked = [(route, missing(route)) for app in apps for route in flat(app.routes)]
    refused = [_refusing(route, lacking) for route, lacking in checked if lacking]
    document = offered(json.loads(OPENAPI_FILE.read_bytes()), refused)
    whole = create_app(predict.NAME, predict.SUMMARY, predict.lifespan)
    whole.router.routes = [
        _Figures("/metrics", figures),
        *_documentation(document),
        *predict.app.routes,  # Routes are tried in order, and most requests are for these.
        *refused,
        *batch.app.routes,
        *admin.app.routes,
    ]
    return whole, document["paths"]


def offered(document: dict[str, Any], refused: Iterable[Route]) -> dict[str, Any]:
    """The OpenAPI `document` without the operations of `refused`."""
    gone = {(route.path, method.lower()) for route in refused for method in route.methods or ()}
    paths = {
        path: {method: of for method, of in operations.items() if (path, method) not in gone}
        for path, operations in document["paths"].items()
    }
    return document | {"paths": {path: of for path, of in paths.items() if of}}


def flat(routes: Iterable[BaseRoute]) -> Iterator[BaseRoute]:
    """`routes` with the routes of included routers in their places."""
    for route in routes:
        included = getattr(route, "original_router", None)
        yield from flat(included.routes) if included else (route,)


def missing(route: BaseRoute) -> str:
    """The first setting without which `route` cannot work; "" if this server has all of them."""
    config, path = settings(), getattr(route, "path", "/")
    for name in NEEDS.get(path.split("/")[1], ()):
        if not getattr(config, name):
            return name
    callers = set(_dependencies(getattr(route, "dependant", None)))
    guarded = access.admin in callers or (access.member in callers and config.access == "private")
    return "admin_secret" if guarded and not config.admin_secret else ""


class _Figures(Route):
    """The route of GET /metrics if a request asks for text; any other goes on to the next route."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, more = super().matches(scope)
        if match is Match.FULL and not wants_text(Request(scope)):
            return Match.NONE, {}
        return match, more


def _dependencies(of: Dependant | None) -> Iterator[Any]:
    for each in of.dependencies if of else ():
        yield each.call
        yield from _dependencies(each)


def _refusing(route: BaseRoute, lacking: str) -> Route:
    """A route in the place of `route` that names the setting."""

    async def refuse(_: Request) -> Response:
        raise NotConfigured.without(lacking.upper())

    return Route(route.path, refuse, methods=sorted(route.methods))  # type: ignore[attr-defined]


def _documentation(document: dict[str, Any]) -> list[BaseRoute]:
    async def openapi(_: Request) -> Response:
        return json_response(document)

    async def docs_info(request: Request) -> Response:
        return json_response(info(str(request.base_url), document))

    return [Route("/openapi.json", openapi), Route("/docs-info", docs_info)]
