"""POST /predict for one image, and routes about the service: status, model, documentation."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from cachetools import LRUCache
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from clickbait import VERSION, errors, observability, youtube
from clickbait.errors import InvalidModel, Unavailable
from clickbait.inference import images
from clickbait.inference.classifier import Classifier
from clickbait.inference.prediction import Answer, answer, milliseconds
from clickbait.settings import settings
from clickbait.store import history, presigned, unsure
from clickbait.store.live import serving
from clickbait.web import callers
from clickbait.web.app import (
    after_restore,
    complete,
    documented,
    json_response,
    lambda_handler,
    request_id_of,
)
from clickbait.web.bodies import File, content_type, image_body
from functions.predict import documentation, queries
from functions.predict.routes import ROUTES, route

NAME = "Clickbait Classifier"
SUMMARY = (
    "How likely is a thumbnail to be clickbait? A calibrated probability, and where in the image "
    "the evidence lies."
)


class Service:
    """The state that one process keeps between requests."""

    def __init__(self) -> None:
        self.live = serving()
        self.cache: LRUCache[tuple[str, str, float, bool], Answer] | None = None
        if size := settings().cache_size:
            self.cache = LRUCache(size)
        self.started = time.monotonic()

    def wake(self) -> None:
        """After a SnapStart restore: reset the clock, and refresh the champion and clients."""
        self.started = time.monotonic()
        self.live.after_restore()


service = Service()


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[None]:
    service.live.warm()
    unsure.prepare()
    yield


JSON = "application/json"
IMAGE_SCHEMA = {"type": "string", "format": "binary"}
IMAGE_BODY = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {"type": "object", "required": ["file"], "properties": {"file": IMAGE_SCHEMA}}
        },
        **{media_type: {"schema": IMAGE_SCHEMA} for media_type in images.MEDIA_TYPES},
        JSON: {
            "schema": {
                "type": "object",
                "additionalProperties": False,
                "minProperties": 1,
                "maxProperties": 1,
                "properties": {
                    "key": {
                        "type": "string",
                        "pattern": f"^{presigned.UPLOAD_KEY.pattern}$",
                        "description": "the key of a form from POST /uploads",
                    },
                    "youtube": {
                        "type": "string",
                        "minLength": 1,
                        "maxLength": youtube.MAX_ADDRESS,
                        "description": "the id or the address of a YouTube video, whose thumbnail "
                        "is fetched",
                    },
                },
            }
        },
    },
}


@route(
    "POST",
    "/predict",
    "Classify one image",
    documented(
        "PredictionAnswer",
        errors.PayloadTooLarge,
        errors.UnsupportedFormat,
        errors.NotFound,
        errors.BadRequest,
        errors.Unauthorized,
        errors.Forbidden,
        errors.TooManyRequests,
        errors.NotConfigured,
        errors.BadGateway,
        errors.Unavailable,
    ),
    parameters=queries.PARAMETERS,
    body=IMAGE_BODY,
)
async def predict(request: Request) -> Response:
    """Send a form with the image as `file`, the image itself with its content type, the `key` of
    an uploaded image, or the address of a YouTube video as `youtube`."""
    caller = await callers.predictor(request)
    explain, threshold = queries.read(request)
    if content_type(request) == JSON:
        from functions.predict import elsewhere

        image = await elsewhere.read(request)
        await callers.count(caller, 1)  # Before a thumbnail is fetched.
        file, upload = File("", await run_in_threadpool(image.image)), image.key or ""
    else:
        file, upload = await image_body(request), ""
        await callers.count(caller, 1)
    # No thread, because decoding and inference keep one core busy, and a worker has one core.
    prediction, appearance = classify(service.live.current().at(threshold), file.data, explain)
    request_id = request_id_of(request)
    keeper = unsure.unsure()
    kept = keeper.keep(file.data, prediction, file.name)
    stored = keeper.key(prediction) or upload
    row = history.log(
        prediction, "predict", request_id=request_id, appearance=appearance, key=stored
    )
    if kept and observability.IN_LAMBDA:
        kept.result()  # Lambda stops every thread once the answer is out.
    headers = {"x-model-version": prediction["model_version"]}
    place = {"id": row} if row else {}
    return json_response(prediction | {"request_id": request_id} | place, headers)


def classify(model: Classifier, data: bytes, explain: bool) -> Answer:
    """The prediction for one image, from the cache if the model has seen the same bytes before at
    the same threshold."""
    started = time.perf_counter()
    key = (images.sha256(data), model.version, model.threshold, explain)
    cached = service.cache.get(key) if service.cache is not None else None
    if cached is not None:
        total = milliseconds(time.perf_counter() - started)
        timing = {"decode": 0.0, "inference": 0.0, "total": total}
        return Answer(cached.prediction | {"timing_ms": timing, "cached": True}, cached.appearance)
    config = settings()
    new = answer(
        model,
        data,
        explain,
        config.max_upload_size,
        key[0],
        with_appearance=bool(config.table),
    )
    new.prediction["cached"] = False
    if service.cache is not None:
        service.cache[key] = new
    return new


@route("GET", "/", "Name, status, version and links", documented("ServiceAnswer"))
async def root(_: Request) -> Response:
    """The name of the service, whether a model is ready, and links to the other routes."""
    links = {"docs": "/docs", "status": "/status", "model": "/model-info", "predict": "/predict"}
    try:
        service.live.current()
        status = "ready"
    except (InvalidModel, Unavailable):
        status = "unavailable"
    return json_response(
        {"name": NAME, "status": status, "version": VERSION, "description": SUMMARY, "links": links}
    )


@route("GET", "/status", "Ready or not", documented("StatusAnswer", errors.Unavailable))
async def status(request: Request) -> Response:
    """200 with the live model, or 503 with Retry-After. If the model is not the one that was
    promoted last, the status is "degraded", and `problem` says why."""
    model = service.live.current()
    problem = service.live.problem or None
    return json_response(
        {
            "status": "degraded" if problem else "ready",
            "problem": problem,
            "model_version": model.version,
            "threshold": model.threshold,
            "model_since": datetime.fromtimestamp(service.live.since, UTC).isoformat(
                timespec="seconds"
            ),
            "uptime_seconds": round(time.monotonic() - service.started, 1),
            "cold_start": request.state.cold_start,
        },
        {"x-model-version": model.version},
    )


@route("GET", "/system-check", "Check each dependency", documented("SystemCheckAnswer"))
async def system_check(_: Request) -> Response:
    """Classifies the model's golden images, and reads the models bucket if there is one."""
    checks = [_check("model", lambda: service.live.current().check_golden())]
    if service.live.registry:
        # In a thread, because a bucket that does not answer must not delay other requests.
        checks.append(await run_in_threadpool(_check, "models bucket", _check_champion))
    healthy = all(check["ok"] for check in checks)
    return json_response({"status": "ok" if healthy else "degraded", "checks": checks})


def _check_champion() -> None:
    """Raises InvalidModel if the live model is not the one that was promoted last."""
    service.live.refresh()
    if service.live.problem:
        raise InvalidModel(service.live.problem)


def _check(name: str, check: Callable[[], Any]) -> dict[str, Any]:
    started = time.perf_counter()
    try:
        check()
        ok, detail = True, "ok"
    except (InvalidModel, Unavailable) as problem:
        ok, detail = False, problem.detail
    return {
        "name": name,
        "ok": ok,
        "milliseconds": milliseconds(time.perf_counter() - started),
        "detail": detail,
    }


@route(
    "GET",
    "/model-info",
    "The live model's metadata",
    documented("ModelInfoAnswer", errors.Unavailable),
)
async def model_info(_: Request) -> Response:
    """How the live model was trained and evaluated: all of its metadata except golden images.

    `threshold` is the model's own; `threshold_in_use` may have been set by an admin.
    """
    model = service.live.current()
    metadata = {name: value for name, value in model.metadata.items() if name != "golden"}
    band = metadata["uncertain_band"]
    # Older metadata lacks the promise; the band then ends there (inference.calibration).
    known = {"uncertain_band": {"promise": band["high"]} | band}
    in_use = known | {"threshold_in_use": model.threshold}
    return json_response(metadata | in_use, {"x-model-version": model.version})


@route("GET", "/docs-info", "List the documentation and all routes", documented("DocsInfoAnswer"))
async def docs_info(request: Request) -> Response:
    """Every route with its summary, and commands to try, for programs and for people."""
    return json_response(documentation.info(str(request.base_url)))


app = Starlette(routes=[*documentation.ROUTES, *ROUTES], lifespan=lifespan)
complete(app)
handler = lambda_handler(app)
after_restore(service.wake)
if observability.IN_LAMBDA:
    if settings().table:
        history.writer()
    unsure.prepare()
    service.live.warm()  # INIT has a full core, whatever the memory size.
