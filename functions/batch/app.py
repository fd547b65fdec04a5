"""Up to ten images in one request, each with its own answer; and the routes for many more."""

import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.responses import Response

from clickbait import LABELS, errors, observability
from clickbait.errors import Problem, Unavailable
from clickbait.inference.classifier import Classifier
from clickbait.inference.prediction import answer, milliseconds, told
from clickbait.settings import settings
from clickbait.store import history, presigned
from clickbait.store.live import LiveModel
from clickbait.store.registry import Registry
from clickbait.web import access
from clickbait.web.app import (
    after_restore,
    create_app,
    documented,
    json_response,
    lambda_handler,
    problem_response,
    request_id_of,
)
from functions.batch import bulk
from functions.batch.forms import MAX_IMAGES, File, files_of

app = create_app(
    "Clickbait Classifier: many images",
    "Ten images in one request, or ten thousand by way of the bucket.",
)
app.include_router(bulk.router)

live = LiveModel(
    settings().model_folder,
    Registry(settings().models_bucket) if settings().models_bucket else None,
)

IMAGES_BODY = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["files"],
                "additionalProperties": False,
                "properties": {
                    "files": {
                        "type": "array",
                        "minItems": 1,
                        "maxItems": MAX_IMAGES,
                        "items": {"type": "string", "format": "binary"},
                    }
                },
            }
        }
    },
}


@app.post(
    "/predict-batch",
    summary="Classify up to ten images",
    responses=documented(
        "PredictBatchAnswer",
        errors.PayloadTooLarge,
        errors.UnsupportedFormat,
        errors.BadRequest,
        errors.Unavailable,
    ),
    openapi_extra={"requestBody": IMAGES_BODY},
)
async def predict_batch(
    request: Request, files: Annotated[list[File], Depends(files_of)]
) -> Response:
    """Send a form with the images as `files`. Each has its own result, in their order; one that
    cannot be read has its problem there, and the others have their answers."""
    started = time.perf_counter()
    model = live.current()
    results, logged = [], []
    with ThreadPoolExecutor(1) as waiting:  # The log is written while the next image is predicted.
        for file in files:
            one = result(model, file.data, request_id_of(request))
            if "prediction" in one:
                looks = one.get("features")
                logged.append(
                    waiting.submit(
                        history.log,
                        one,
                        "batch",
                        request_id=request_id_of(request),
                        looks=looks,
                    )
                )
            results.append({"file": file.name} | told(one))
            await asyncio.sleep(0)  # Whoever waits for one image gets a turn between these.
        await asyncio.gather(*map(asyncio.wrap_future, logged))
    named = [one["prediction"] for one in results if "prediction" in one]
    body = {
        "results": results,
        "totals": {
            "images": len(results),
            "counts": {label: named.count(label) for label in LABELS},
            "failed": len(results) - len(named),
            "milliseconds": milliseconds(time.perf_counter() - started),
        },
        "model_version": model.version,
        "request_id": request_id_of(request),
    }
    return json_response(body, {"x-model-version": model.version})


def result(model: Classifier, data: bytes, request_id: str) -> dict[str, Any]:
    """The answer for one image as /predict gives it, or the problem document that it would give.

    One call of the interpreter an image: one call for ten took 1.00 to 1.08 times as long as ten
    calls (`loadtest/batch_call.py`, six times 25 rounds), and needs ten times the memory.
    """
    try:
        config = settings()
        made = answer(model, data, max_bytes=config.max_upload_size, looks=bool(config.table))
        return made | {"cached": False}
    except Problem as problem:
        document: dict[str, Any] = json.loads(bytes(problem_response(problem, request_id).body))
        return document


def warm() -> None:
    """Load the model before the first request; where there is none yet, requests say so."""
    try:
        live.current()
    except Unavailable as problem:
        observability.logger.error("no model", reason=problem.detail)


def wake() -> None:
    """After a SnapStart restore: the clients, the token and the pointer of the snapshot are
    stale."""
    live.after_restore()
    access.token.forget()
    presigned.forget_signer()
    history.writer.cache_clear()


handler = lambda_handler(app)
after_restore(wake)
if observability.IN_LAMBDA:
    warm()
