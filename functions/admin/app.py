"""The admin function: models, trainings, labelled images, corrections and monitoring."""

from clickbait import aws
from clickbait.store.live import serving
from clickbait.web import callers
from clickbait.web.app import after_restore, create_app, lambda_handler
from functions.admin import (
    access_keys,
    dataset,
    debug,
    downloads,
    evaluation,
    feedback,
    models,
    monitoring,
    notes,
    predictions,
    review,
    runs,
    threshold,
    trial,
)

app = create_app(
    "Clickbait Classifier: administration",
    "Models and their releases, trainings, labelled images, corrections and monitoring.",
)
SUBJECTS = (
    models,
    notes,
    threshold,
    trial,
    evaluation,
    downloads,
    runs,
    dataset,
    review,
    feedback,
    access_keys,
    predictions,
    monitoring,
    debug,
)

for subject in SUBJECTS:
    app.include_router(subject.router)


def wake() -> None:
    """After a SnapStart restore: drop the clients and the token of the snapshot, and refresh the
    champion."""
    aws.forget_clients()
    serving().after_restore()
    callers.forget()


handler = lambda_handler(app)
after_restore(wake)
