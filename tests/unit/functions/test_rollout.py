"""A new version of predict gets traffic only if it predicts a golden image correctly."""

import base64
import io
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from botocore.exceptions import ClientError

from clickbait import aws
from clickbait.errors import InvalidModel
from clickbait.inference import prediction
from clickbait.settings import settings
from functions.predict import app as predict
from functions.rollout import app
from tests.cloud import cloud_in_memory
from tests.samples.drawn import encoded, picture
from tests.unit.functions.conftest import METADATA

DEPLOYMENT = {"DeploymentId": "d-1", "LifecycleEventHookExecutionId": "hook-1"}
VERSION = "arn:aws:lambda:us-east-1:123456789012:function:predict:7"


class Cloud:
    """Stand-ins for CodeDeploy, and for Lambda: version 7 is the predict function of this process.

    `change` may replace its answers.
    """

    def __init__(self) -> None:
        self.reports: list[dict[str, str]] = []
        self.asked: list[str] = []
        self.change: Callable[[str, dict[str, Any]], dict[str, Any]] = lambda _, answer: answer

    def put_lifecycle_event_hook_execution_status(self, **report: str) -> None:
        self.reports.append(report)

    def invoke(self, FunctionName: str, Payload: bytes) -> dict[str, Any]:
        assert FunctionName == VERSION
        event = json.loads(Payload)
        self.asked.append(event["routeKey"])
        context = SimpleNamespace(aws_request_id="1")
        found = {"Payload": predict.handler(event, context)}
        found = self.change(event["routeKey"], found)
        return found | {"Payload": io.BytesIO(json.dumps(found["Payload"]).encode())}


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Cloud:
    created = Cloud()
    monkeypatch.setattr(aws, "client", {"codedeploy": created}.__getitem__)
    monkeypatch.setattr(aws, "patient_client", {"lambda": created}.__getitem__)
    monkeypatch.setenv("NEW_VERSION", VERSION)
    monkeypatch.setattr(predict.service, "cache", None)
    return created


def refused(cloud: Cloud) -> str:
    """The reason for which a deployment is rolled back."""
    answer = app.handler(DEPLOYMENT, None)
    (report,) = cloud.reports
    assert report["status"] == answer["status"] == "Failed"
    return answer["reason"]


def test_a_version_that_predicts_correctly_gets_traffic(cloud: Cloud) -> None:
    assert app.handler(DEPLOYMENT, None) == {"status": "Succeeded", "reason": ""}
    (report,) = cloud.reports
    assert report == {
        "deploymentId": "d-1",
        "lifecycleEventHookExecutionId": "hook-1",
        "status": "Succeeded",
    }
    assert cloud.asked == ["GET /system-check", "GET /status", "POST /predict", "POST /predict"]


@pytest.mark.parametrize("axis", [1, 2], ids=["mirrored", "blue for red"])
def test_a_version_that_prepares_images_wrongly_is_refused(cloud: Cloud, monkeypatch, axis) -> None:
    """The model passes its own check: only a request shows it."""
    right = prediction.images.model_input

    def wrong(image: Any, size: int) -> Any:
        return np.flip(right(image, size), axis)

    monkeypatch.setattr(prediction.images, "model_input", wrong)
    reason = refused(cloud)
    assert reason.startswith("It predicts 0.") and "(tolerance 0.15 in log odds)" in reason


def test_a_version_whose_model_fails_its_own_check_is_refused(cloud: Cloud, monkeypatch) -> None:
    def broken(_: Any) -> None:
        raise InvalidModel("Golden image 0 differs.")

    monkeypatch.setattr("clickbait.inference.classifier.Classifier.check_golden", broken)
    assert refused(cloud) == "Its system check says: model: Golden image 0 differs."


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"Payload": {"errorMessage": "No module"}, "FunctionError": "Unhandled"}, "No module"),
        ({"Payload": {"statusCode": 503, "body": "no model"}}, "with 503: no model"),
        ({"Payload": {"statusCode": 200, "body": "<html>"}}, "<html>"),
        ({"Payload": None}, "null"),
    ],
)
@pytest.mark.parametrize("route", ["GET /system-check", "GET /status", "POST /predict"])
def test_a_version_that_answers_anything_else_is_refused(
    cloud: Cloud, route: str, answer: dict[str, Any], expected: str
) -> None:
    cloud.change = lambda asked, usual: answer if asked == route else usual
    reason = refused(cloud)
    assert route in reason and expected in reason


def test_a_fault_of_aws_is_reported_without_names_of_accounts(cloud: Cloud, monkeypatch) -> None:
    def denied(**_: Any) -> None:
        error = {"Code": "AccessDenied", "Message": f"not authorized to invoke {VERSION}"}
        raise ClientError({"Error": error}, "Invoke")

    monkeypatch.setattr(cloud, "invoke", denied)
    reason = refused(cloud)
    assert reason == "It could not be checked: AccessDenied: not authorized to invoke (hidden)"


def test_a_hook_that_fails_itself_still_reports(cloud: Cloud, monkeypatch) -> None:
    """CodeDeploy would wait an hour for it."""
    monkeypatch.delenv("NEW_VERSION")
    assert "NEW_VERSION" in refused(cloud)


def test_a_person_who_calls_it_gets_the_answer_and_nothing_is_reported(cloud: Cloud) -> None:
    assert app.handler({}, None) == {"status": "Succeeded", "reason": ""}
    assert cloud.reports == []


def test_the_live_version_of_the_bucket_is_checked_by_its_own_golden_images(monkeypatch) -> None:
    monkeypatch.setenv("MODELS_BUCKET", "models")
    settings.cache_clear()
    with cloud_in_memory("models"):
        mine = {"model_version": "20261126-120000-abcdef", "golden": []}
        key = f"versions/{mine['model_version']}/metadata.json"
        aws.client("s3").put_object(Bucket="models", Key=key, Body=json.dumps(mine))
        assert app.metadata_of(mine["model_version"]) == mine
        assert app.metadata_of(METADATA["model_version"]) == METADATA
    settings.cache_clear()


def golden(probability: float, png: bytes) -> dict[str, Any]:
    return {"png": base64.b64encode(png).decode(), "probability": probability}


def test_a_golden_image_whose_edges_look_like_bars_is_left_out() -> None:
    """A request would lose them."""
    barred = picture().resize((224, 224))
    barred.paste(0, (0, 0, 224, 30))
    barred.paste(0, (0, 194, 224, 224))
    bars, whole = encoded(barred, "PNG"), encoded(picture(), "PNG")
    stored = [golden(0.99, bars), golden(0.6, whole)]
    assert app.golden({"golden": stored, "model_version": "1"}) == [(whole, 0.6)]
    with pytest.raises(app.Unfit, match="no golden image without bars"):
        app.golden({"golden": stored[:1], "model_version": "1"})
