"""POST /predict-batch for up to ten images, and the app with the routes of uploads and batches."""

import asyncio
import time
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from clickbait import LABELS, errors, observability
from clickbait.errors import Problem
from clickbait.inference.prediction import answer, milliseconds
from clickbait.settings import settings
from clickbait.store import history
from clickbait.store.access_keys import AccessKey
from clickbait.store.live import serving
from clickbait.web import callers
from clickbait.web.app import (
    after_restore,
    create_app,
    documented,
    json_response,
    lambda_handler,
    problem_document,
    request_id_of,
)
from clickbait.web.bodies import MAX_IMAGES, File, images_form
from clickbait.web.queries import Threshold
from functions.batch import batches, uploads

app = create_app(
    "Clickbait Classifier: many images",
    "Ten images in one request, or ten thousand in a batch.",
)
app.include_router(uploads.router)
app.include_router(batches.router)

live = serving()

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
        errors.Unauthorized,
        errors.Forbidden,
        errors.TooManyRequests,
        errors.Unavailable,
    ),
    openapi_extra={"requestBody": IMAGES_BODY},
)
async def predict_batch(
    request: Request,
    key: Annotated[AccessKey | None, Depends(callers.predictor)],
    files: Annotated[list[File], Depends(images_form)],
    threshold: Threshold = None,
) -> Response:
    """Send a form with the images as `files`. Each image gets its own result, in the same order. An
    image that cannot be read gets a problem document and does not affect the others."""
    await callers.count(key, len(files))
    started = time.perf_counter()
    model = live.current().at(threshold)
    config, request_id = settings(), request_id_of(request)
    results: list[dict[str, Any]] = []
    logged: list[tuple[dict[str, Any], history.Entry]] = []
    # One call of the interpreter for each image: one call for ten images took 1.00 to 1.08 times
    # as long as ten calls (six series of 25), and needs ten times the memory.
    for file in files:
        try:
            prediction, appearance = answer(
                model,
                file.data,
                max_bytes=config.max_upload_size,
                with_appearance=bool(config.table),
            )
        except Problem as problem:
            result = {"file": file.name} | problem_document(problem, request_id)
        else:
            result = {"file": file.name} | prediction | {"cached": False}
            logged.append((result, history.Entry(prediction, appearance, request_id)))
        results.append(result)
        await asyncio.sleep(0)  # Lets requests for single images run in between.
    entries = [entry for _, entry in logged]
    rows = await run_in_threadpool(history.log_all, entries, "batch")
    for (result, _), made in zip(logged, rows, strict=True):
        if made:
            result["id"] = made
    labels = [result["prediction"] for result in results if "prediction" in result]
    body = {
        "results": results,
        "totals": {
            "images": len(results),
            "counts": {label: labels.count(label) for label in LABELS},
            "failed": len(results) - len(labels),
            "milliseconds": milliseconds(time.perf_counter() - started),
        },
        "model_version": model.version,
        "threshold": model.threshold,
        "request_id": request_id,
    }
    return json_response(body, {"x-model-version": model.version})


def wake() -> None:
    """After a SnapStart restore: refresh the champion, the token and the clients."""
    live.after_restore()
    callers.forget()


handler = lambda_handler(app)
after_restore(wake)
if observability.IN_LAMBDA:
    live.warm()
