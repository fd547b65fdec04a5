"""Model versions: list them, show one, promote one, and the history of promotions."""

import json
import re
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import UTC, datetime
from functools import lru_cache
from itertools import chain, islice
from pathlib import Path as FilePath
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from fastapi.responses import Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from clickbait import errors
from clickbait.errors import BadRequest, Conflict, NotFound, Problem
from clickbait.settings import settings
from clickbait.store import version_notes
from clickbait.store.registry import (
    VERSION_NAME,
    Pointer,
    Registry,
    baseline_version,
    is_promotion,
)
from clickbait.store.runs import ENDED
from clickbait.store.version_notes import Note
from clickbait.web.access import PROTECTED, Admin, Member
from clickbait.web.app import documented, json_request, json_response
from clickbait.web.bodies import json_body
from functions.admin import stores
from functions.paging import (
    DEFAULT_LIMIT,
    MAX_LIMIT,
    Cursor,
    Limit,
    decode_cursor,
    encode_cursor,
    page,
)

router = APIRouter()

READERS = 16
"""Versions read at a time. Each takes a call to S3, 20 ms."""

CACHED = 1_000
"""Versions whose metadata this process caches. Metadata never changes, and takes 10 KB without the
golden images."""

RUNS_SEARCHED = 300
"""The most runs that are searched for those that trained the versions of a page. The search begins
on the day of the newest of them: no run trains a version before it begins."""

LAST_DAY = 99_999_999
"""As eight digits, the greatest: a version that was named by hand need not have a true date."""

DATED = re.compile(r"\d{8}-\d{6}-[0-9a-f]{6}")
"""The names of versions of a training: when it was trained, and digits of the model's hash."""

MAX_SEARCH = 100

FIGURES = (
    "accuracy", "precision", "recall", "f1", "auc", "brier", "loss", "expected_calibration_error",
)  # fmt: skip
"""Metrics in a list of versions."""

GAP_IN_TIME = re.compile(r"(?<=\d) (?=\d\d:?\d\d$)")
"""The space in place of the `+` of a time zone. In a query string, `+` means a space."""

Version = Annotated[str, Path(pattern=f"^{VERSION_NAME.pattern}$", description="a version's name")]


def _sentence(text: str) -> str:
    """`text` without white space at its ends. The schema limits the text as it was sent."""
    if len(stripped := text.strip()) < LEAST_REASON:
        raise ValueError(f"the minimum is {LEAST_REASON} characters, without spaces at the ends")
    return stripped


LEAST_REASON = 3
Reason = Annotated[
    str, StringConstraints(min_length=LEAST_REASON, max_length=500), AfterValidator(_sentence)
]


class Promotion(BaseModel):
    """Why a version is promoted, and whether the checks are overridden."""

    model_config = ConfigDict(extra="forbid")

    reason: Reason = Field(description="why, in a sentence; it is shown in the release history")
    force: bool = Field(
        False, description="promote a version that the gate rejected, or has not judged"
    )


@router.get(
    "/models",
    summary="Versions of the model, newest first",
    responses=documented("Models", errors.BadRequest, *PROTECTED),
)
def models(
    _: Member,
    q: Annotated[
        str, Query(max_length=MAX_SEARCH, description="text in the version or its name")
    ] = "",
    starred: Annotated[bool, Query(description="only those with a star")] = False,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Response:
    """Each version with its metrics. The built-in model, the baseline, is one of them.

    `gate` compares it with the model that was live before, on the same images. The `metrics` are
    of its own test images: those of two versions do not compare.
    """
    before = decode_cursor("models", cursor)
    shipped = shipped_version()
    live, stored = shipped, set()
    if settings().models_bucket:
        registry = stores.registry()
        stored = set(registry.versions())
        live = live_version(registry.pointer())
    notes = _notes()
    names = [
        name
        for name in sorted(stored | {shipped}, reverse=True)
        if _matches(name, notes.get(name, Note()), q, starred)
    ]
    rest = [name for name in names if before is None or name < before]
    with ThreadPoolExecutor(READERS) as pool:
        items = list(pool.map(_summary, rest[:limit]))
    runs = _runs_of({item["version"] for item in items})
    items = [
        item
        | {"live": item["version"] == live, "run": None, "gate": None}
        | asdict(notes.get(item["version"], Note()))
        | _briefly(runs.get(item["version"], {}))
        for item in items
    ]
    following = encode_cursor("models", rest[limit - 1]) if len(rest) > limit else None
    return json_response(page(items, following) | {"total": len(names)})


@router.get(
    "/models/{version}",
    summary="One version",
    responses=documented("Model", errors.NotFound, errors.BadRequest, *PROTECTED),
)
def model(_: Member, version: Version) -> Response:
    """How the version was trained and measured, when it was live, and the gate's decision."""
    metadata = metadata_of(version)
    pointer, promotions = None, []
    if settings().models_bucket:
        registry = stores.registry()
        pointer = registry.pointer()
        promotions = list(registry.promotions(version=version))
    return json_response(
        {
            "version": version,
            **asdict(_note_of(version)),
            "live": version == live_version(pointer),
            "threshold": threshold_of(metadata, pointer),
            "source": _source(version),
            "run": _runs_of({version}).get(version, {}).get("id"),
            "metadata": {k: v for k, v in metadata.items() if k != "metrics"},
            "metrics": metadata.get("metrics") or {},
            "promotions": promotions,
            "gate": _gate(version),
        }
    )


@router.post(
    "/models/{version}/promote",
    summary="Make a version live, or roll back to it",
    responses=documented(
        "PromotionAnswer", errors.NotFound, errors.Conflict, errors.BadRequest, *PROTECTED
    ),
    openapi_extra=json_request("Promotion"),
)
def promote(
    by: Admin, version: Version, promotion: Annotated[Promotion, Depends(json_body(Promotion))]
) -> Response:
    """A version that has been live before, or the baseline, goes live at once: a roll-back.

    Any other needs `force`, because the gate rejected it or has not judged it. Every version is
    first loaded and checked on its golden images. All processes use it within half a minute.
    """
    registry = stores.registry()
    pointer = registry.pointer()
    if version == live_version(pointer) and not (pointer and pointer.problem):
        last = next(filter(is_promotion, registry.promotions()), None)
        return json_response({"changed": False, "version": version, "promotion": last})
    metadata_of(version)
    known = version == shipped_version() or registry.was_live(version)
    gate = None if known else _gate(version)
    if not known and not promotion.force:
        raise Conflict(
            f"Version {version} has never been live{_objection(gate)} "
            'To promote it anyway, send {"force": true, "reason": "..."}.',
            gate=gate,
        )
    record = registry.promote(
        version,
        by=by,
        reason=promotion.reason,
        forced=not known,
        gate=gate,
        baseline=settings().model_folder,
        expected=pointer,
    )
    return json_response({"changed": True, "version": version, "promotion": record})


@router.get(
    "/promotions",
    summary="Release history: which model was live when, and who decided",
    responses=documented("Promotions", errors.BadRequest, *PROTECTED),
)
def promotions(
    _: Member,
    at: Annotated[
        str | None,
        Query(max_length=40, description="only up to this time (ISO 8601; UTC without a zone)"),
    ] = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Response:
    """Newest first. `live` is the version that was live at `at`, by default now.

    A record whose `change` is "threshold" is of a new threshold, for the same version.
    """
    before = decode_cursor("promotions", cursor) or ""
    if before:
        try:
            datetime.fromisoformat(before)
        except ValueError as error:
            raise BadRequest("Invalid cursor. Use `next` from the previous page.") from error
    until = _moment(at)
    if not settings().models_bucket:
        return json_response({"live": _first(shipped_version())} | page([], None))
    registry = stores.registry()
    rest = list(islice(registry.promotions(until, before=before), limit + 1))
    following = encode_cursor("promotions", rest[limit - 1]["at"]) if len(rest) > limit else None
    return json_response({"live": _live_at(registry, until)} | page(rest[:limit], following))


def _live_at(registry: Registry, until: datetime | None) -> dict[str, Any]:
    """The promotion of the version that was live at a time, by default now."""
    earlier = registry.promotions(until)
    newest = next(earlier, None)
    if newest is None:
        oldest = deque(registry.promotions() if until else (), maxlen=1)
        return _first((oldest[0]["previous"] if oldest else None) or shipped_version())
    # Without a promotion by then, only the threshold of the first version was changed.
    live = next(filter(is_promotion, chain([newest], earlier)), _first(newest["version"]))
    return live | {"threshold": newest.get("threshold")}


def _first(version: str) -> dict[str, Any]:
    """The version that was live before the first promotion, which nobody decided."""
    return {"version": version} | dict.fromkeys(("at", "by", "reason", "threshold"))


def _moment(at: str | None) -> datetime | None:
    if at is None:
        return None
    try:
        moment = datetime.fromisoformat(GAP_IN_TIME.sub("+", at))
    except ValueError as error:
        raise BadRequest(
            f"query.at: {at!r} is not a time. Write it as 2026-11-22T10:00:00Z.",
            errors=[{"field": "query.at", "message": str(error)}],
        ) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def shipped_version() -> str:
    """The version of the built-in model."""
    return baseline_version(settings().model_folder)


def live_version(pointer: Pointer | None) -> str:
    """The version that is live by the registry; the built-in model if it names none."""
    return (pointer.version if pointer else "") or shipped_version()


def threshold_of(metadata: dict[str, Any], pointer: Pointer | None) -> float:
    """The threshold at which a version serves: the one that an admin set, or its own."""
    own = float(metadata["threshold"])
    return own if pointer is None or pointer.threshold is None else pointer.threshold


def _source(version: str) -> str:
    return "baseline" if version == shipped_version() else "run"


def metadata_of(version: str) -> dict[str, Any]:
    """A version's metadata without its golden images; raises NotFound or InvalidModel."""
    config = settings()
    if version == shipped_version():
        return _shipped_metadata(config.model_folder)
    if not config.models_bucket:
        raise NotFound(f"There is no version {version}; GET /models lists them.")
    return _stored_metadata(config.models_bucket, version)


@lru_cache(1)
def _shipped_metadata(folder: FilePath) -> dict[str, Any]:
    return _without_golden(json.loads((folder / "metadata.json").read_bytes()))


@lru_cache(CACHED)
def _stored_metadata(_: str, version: str) -> dict[str, Any]:
    return _without_golden(stores.registry().metadata(version))


def _without_golden(metadata: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in metadata.items() if name != "golden"}


def _summary(version: str) -> dict[str, Any]:
    """A version in a list. If its metadata cannot be read, it has an `error` instead."""
    try:
        metadata, error = metadata_of(version), None
    except Problem as problem:
        metadata, error = {}, problem.detail
    metrics = metadata.get("metrics") or {}
    return {
        "version": version,
        "source": _source(version),
        "training_date": metadata.get("training_date"),
        "architecture": metadata.get("architecture"),
        "images": {
            side: metadata.get(f"{name}_images")
            for side, name in (("train", "training"), ("validation",) * 2, ("test",) * 2)
        },
        "metrics": {name: metrics.get(name) for name in FIGURES},
        "error": error,
    }


def _notes() -> dict[str, Note]:
    table = settings().table
    return version_notes.read(table) if table else {}


def _note_of(version: str) -> Note:
    table = settings().table
    return version_notes.get(table, version) if table else Note()


def _matches(version: str, note: Note, text: str, starred: bool) -> bool:
    """True if one of the names has the text and, if `starred`, the version has a star."""
    names = f"{version}\n{note.name or ''}".casefold()
    return (note.starred or not starred) and text.strip().casefold() in names


def _briefly(run: dict[str, Any]) -> dict[str, Any]:
    """The fields of a version in a list that its run knows; {} without one."""
    if not run:
        return {}
    gate = run["gate"] and {name: run["gate"][name] for name in run["gate"] if name != "checks"}
    return {"run": run["id"], "gate": gate}


def _runs_of(versions: set[str]) -> dict[str, dict[str, Any]]:
    """`id` and `gate` of the run that trained each of `versions`, if RUNS_SEARCHED has it."""
    found = {version: _trained_by[version] for version in versions if version in _trained_by}
    wanted = versions - {shipped_version()} - found.keys()
    dated = all(map(DATED.fullmatch, wanted))
    day = min(int(max(wanted)[:8]) + 1, LAST_DAY) if wanted and dated else 0
    cursor = f"{day:08}-000000-000000" if day else None
    left = RUNS_SEARCHED
    while wanted and left > 0 and settings().table:
        runs, cursor = stores.runs().page(MAX_LIMIT, cursor)
        for run in runs:
            if (version := run.get("version")) in wanted:
                wanted.discard(version)
                found[version] = {"id": run["id"], "gate": run.get("gate")}
                if run["state"] in ENDED:
                    _trained_by[version] = found[version]
        left -= len(runs)
        if cursor is None:
            break
    return found


_trained_by: dict[str, dict[str, Any]] = {}
"""`id` and `gate` of the run that trained each version, as far as found. An ended run never
changes."""


def _gate(version: str) -> dict[str, Any] | None:
    """The gate's decision in the run that trained a version; None if it is not known."""
    gate: dict[str, Any] | None = _runs_of({version}).get(version, {}).get("gate")
    return gate


def _objection(gate: dict[str, Any] | None) -> str:
    if not gate:
        return ", and the gate has not judged it."
    return f". The gate's decision: {str(gate.get('reason') or 'none').rstrip('.')}."
