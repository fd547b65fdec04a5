"""The parameters in the query of POST /predict: read, and documented."""

from typing import Any

from starlette.requests import Request

from clickbait.settings import SWITCH, THRESHOLDS
from clickbait.web.bodies import wrong_fields


def _parameter(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "in": "query",
        "required": False,
        "schema": schema | {"title": name.capitalize()},
        "description": description,
    }


PARAMETERS = [
    _parameter("explain", "add both maps of evidence", {"type": "boolean", "default": False}),
    _parameter(
        "threshold",
        "for this request only: from this probability on it is clickbait",
        {
            "anyOf": [
                {"type": "number", "minimum": THRESHOLDS[0], "maximum": THRESHOLDS[1]},
                {"type": "null"},
            ]
        },
    ),
]
"""Their parameter objects in the OpenAPI document."""


def read(request: Request) -> tuple[bool, float | None]:
    """`explain` and `threshold`; raises BadRequest, which names each invalid one."""
    explain, threshold = False, None
    wrong = []
    if (text := request.query_params.get("explain")) is not None:
        if text.lower() in SWITCH:
            explain = SWITCH[text.lower()]
        else:
            wrong.append(("query.explain", "Input should be true or false"))
    if (text := request.query_params.get("threshold")) is not None:
        threshold = _number(text)
        if threshold is None or not THRESHOLDS[0] <= threshold <= THRESHOLDS[1]:
            low, high = THRESHOLDS
            wrong.append(("query.threshold", f"Input should be a number from {low} to {high}"))
    if wrong:
        raise wrong_fields(wrong)
    return explain, threshold


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
