"""The routes of this function, each with its entry in the OpenAPI document.

They are Starlette's: a person waits for this function's cold start, and importing FastAPI takes as
long as all the rest of it (loadtest/README.md).
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from inspect import cleandoc
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

Endpoint = Callable[[Request], Awaitable[Response]]

ROUTES: list[BaseRoute] = []
OPERATIONS: dict[str, dict[str, Any]] = {}
"""The document's `paths` object."""


def route(
    method: str,
    path: str,
    summary: str,
    responses: dict[int | str, dict[str, Any]],
    *,
    parameters: Sequence[dict[str, Any]] = (),
    body: dict[str, Any] | None = None,
) -> Callable[[Endpoint], Endpoint]:
    """A decorator that adds a route, with its docstring as the description.

    `parameters` and `body` are the parameters and the requestBody of the operation object.
    """

    def add(endpoint: Endpoint) -> Endpoint:
        added = Route(path, endpoint, methods=[method])
        added.methods = {method}  # Starlette adds HEAD to GET; the gateway has no such routes.
        ROUTES.append(added)
        name = getattr(endpoint, "__name__", "")
        OPERATIONS.setdefault(path, {})[method.lower()] = {
            "summary": summary,
            "description": cleandoc(endpoint.__doc__ or ""),
            "operationId": re.sub(r"\W", "_", f"{name}{path}") + f"_{method.lower()}",
            **({"parameters": list(parameters)} if parameters else {}),
            "responses": {str(code): response for code, response in responses.items()},
            **({"requestBody": body} if body else {}),
        }
        return endpoint

    return add
