"""The handler under Lambda's own runtime client."""

import base64
import json

from tests.integration.runtime_api import ROOT, invoked


def test_the_real_runtime_client_gets_a_prediction_and_a_cold_start_once() -> None:
    event = json.loads((ROOT / "events/http-predict.json").read_text())
    sample = (ROOT / "sample.jpg").read_bytes()
    event["body"] = base64.b64encode(sample).decode()
    with invoked("functions.predict.app.handler", [event, event]) as api:
        (_, first), (_, second) = api.responses
    assert first["statusCode"] == second["statusCode"] == 200
    assert json.loads(first["body"])["image"]["bytes"] == len(sample)
    assert (first["headers"]["x-cold-start"], second["headers"]["x-cold-start"]) == (
        "true",
        "false",
    )
