"""Hooks for Schemathesis: known images and ids, known differences, and a tally."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import strategies as st
from schemathesis.core.failures import Failure
from schemathesis.openapi.checks import UnsupportedMethodResponse
from schemathesis.specs.openapi.checks import EnsureResourceAvailability, RejectedPositiveData

FOLDER = Path(os.environ["CONTRACT_FOLDER"])
"""The runner's folder, with images and known.json, and with the tally."""

KNOWN: dict[str, list[str]] = json.loads((FOLDER / "known.json").read_text())
"""Ids of the stack by the name of their path parameter, and the keys of uploads as `upload`."""

WITHOUT_TOKEN = os.environ.get("CONTRACT_TOKEN", "") == ""

OPAQUE = ("query.cursor", "query.at", "query.batch", "path.image", "path.review")
"""Strings whose grammar a schema cannot express; an invalid one gets a documented 422. Schemathesis
also takes the list `ids` that it posted for the id of what was created, which is then too long."""

ONLY_FINE_TUNING = {
    *("from_scratch", "architecture", "epochs"),
    *("batch_size", "learning_rate", "validation_split"),
}
"""Parameters that a small update does not have: one field of the request forbids others."""

RULES = (
    *("`verdict` and `bom` are for format=csv", "is in the past. Name a later time."),
    "is no address of a YouTube video.",
)
"""Sentences about what a schema cannot express: a field that needs another, the time, and the
grammar of an address."""


def images(kind: str) -> st.SearchStrategy[bytes]:
    files = sorted((FOLDER / "images").glob(f"*.{kind}"))
    return st.sampled_from([file.read_bytes() for file in files])


for kind, extension in {"jpeg": "jpg", "png": "png", "webp": "webp"}.items():
    schemathesis.openapi.media_type(f"image/{kind}", images(extension))
schemathesis.openapi.format("binary", images("*"))


@schemathesis.hook
def flatmap_case(context: Any, case: Any) -> st.SearchStrategy[Any]:
    """Use known ids in three of four valid requests, and write whole floats as integers.

    JSON Schema accepts 8.0 as an integer; the API answers 422.
    """
    if not case.meta or not case.meta.generation.mode.is_positive:
        return st.just(case)
    if case.media_type == "application/json" and isinstance(case.body, dict):
        for name, value in case.body.items():
            if isinstance(value, float) and value.is_integer():
                case.body[name] = int(value)
    named = case.path_parameters or {}
    slots = [(named, name, KNOWN[name]) for name in named if name in KNOWN]
    if isinstance(case.body, dict) and "key" in case.body:
        slots.append((case.body, "key", KNOWN["upload"]))
    if not slots:
        return st.just(case)

    def with_known_ids(places: Iterable[int]) -> Any:
        for (where, name, ids), place in zip(slots, places, strict=True):
            if place % 4:
                where[name] = ids[place % len(ids)]
        return case

    return st.tuples(*(st.integers(0, 999) for _ in slots)).map(with_known_ids)


@schemathesis.hook
def filter_failure(context: Any, failure: Failure, case: Any, response: Any) -> bool:
    """Keep a failure unless it is an intended difference."""
    kept = is_failure(failure, case, response)
    if not kept:
        note(case, let_pass=type(failure).__name__)
    return kept


def is_failure(failure: Failure, case: Any, response: Any) -> bool:
    if isinstance(failure, RejectedPositiveData) and response.status_code == 422:
        answer = response.json()
        if any(rule in answer["detail"] for rule in RULES):
            return False
        fields = [wrong["field"] for wrong in answer.get("errors", [])]
        return not fields or not set(fields) - ONLY_FINE_TUNING <= set(OPAQUE)
    if response.status_code == 431:  # The gateway refuses a head that is too long.
        return "x-request-id" in response.headers
    # HTTP API sends all requests without a route to `predict`, which has its own routes only. So
    # another method of a route is an unknown route.
    if isinstance(failure, UnsupportedMethodResponse):
        return response.status_code != 404
    # Posting to these lists changes things that exist. It creates none with the ids it is given.
    if isinstance(failure, EnsureResourceAvailability):
        return not case.operation.path.startswith(("/dataset/images", "/review"))
    return True


@schemathesis.check
def protected_routes_answer_nobody(ctx: Any, response: Any, case: Any) -> None:
    """Without the token, a protected route answers 401 to every request."""
    same_method = response.request.method == case.operation.method.upper()
    if WITHOUT_TOKEN and same_method and case.operation.definition.raw.get("security"):
        assert response.status_code == 401, f"{response.status_code} without a token"


@schemathesis.hook
def after_call(context: Any, case: Any, response: Any) -> None:
    """Record each response: its status, and whether our functions sent it."""
    note(
        case,
        method=response.request.method,
        positive=bool(case.meta and case.meta.generation.mode.is_positive),
        status=response.status_code,
        ours="x-request-id" in {name.lower() for name in response.headers},
        ms=round(response.elapsed * 1000),
    )


def note(case: Any, **facts: Any) -> None:
    with (FOLDER / "tally.jsonl").open("a") as tally:
        tally.write(json.dumps({"operation": case.operation.label} | facts) + "\n")
