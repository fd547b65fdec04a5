"""The hook of a deployment: a new version of predict gets traffic only if it predicts correctly.

CodeDeploy calls it before it moves traffic. Alarms alone prove nothing about a version that nobody
calls during the canary.
"""

import base64
import gc
import json
import math
import os
from typing import Any

from clickbait import aws
from clickbait.inference import images
from clickbait.observability import logger
from clickbait.settings import settings
from clickbait.store.registry import METADATA, Registry

TOLERANCE = 0.15
"""Largest difference from a stored probability, in log odds. The shipped model gives its golden
images 0.006, where no fault moves the probability itself by much: with red and blue swapped, or
mirrored, the log odds of one of them move by 0.19."""


class Unfit(Exception):
    """Raise if the new version must not get traffic; the text is the reason."""


def handler(event: dict[str, Any], context: Any) -> dict[str, str]:
    """Check the version NEW_VERSION and report to CodeDeploy: Succeeded, or Failed, which rolls
    the deployment back. Return the same with the reason.

    An event without a DeploymentId, from a person who calls the function, is not reported.
    """
    status, reason = "Succeeded", ""
    try:
        check(os.environ["NEW_VERSION"])
    except Unfit as error:
        status, reason = "Failed", str(error)
    except Exception as error:  # Without a report, CodeDeploy would wait for an hour.
        logger.exception("the new version could not be checked")
        status, reason = "Failed", f"It could not be checked: {aws.reason(error)}"
    if reason:
        logger.error("the new version must not get traffic", reason=reason)
    if "DeploymentId" in event:
        aws.client("codedeploy").put_lifecycle_event_hook_execution_status(
            deploymentId=event["DeploymentId"],
            lifecycleEventHookExecutionId=event["LifecycleEventHookExecutionId"],
            status=status,
        )
    return {"status": status, "reason": reason}


def check(version: str) -> None:
    """Ask a version of predict, by its ARN, for a system check and for predictions of the golden
    images of its live model. Raises Unfit."""
    checks = _ask(version, "GET", "/system-check")["checks"]
    broken = [f"{it['name']}: {it['detail']}" for it in checks if not it["ok"]]
    if broken:
        raise Unfit(f"Its system check says: {'; '.join(broken)}")
    model = _ask(version, "GET", "/status")["model_version"]
    for png, expected in golden(metadata_of(model)):
        found = _ask(version, "POST", "/predict", png)
        if found["model_version"] != model:
            raise Unfit(f"Its model changed from {model} to {found['model_version']}. Try again.")
        if not abs(log_odds(found["probability"]) - log_odds(expected)) <= TOLERANCE:
            raise Unfit(
                f"It predicts {found['probability']:.4f} for a golden image of model {model}, "
                f"whose metadata has {expected:.4f} (tolerance {TOLERANCE} in log odds)."
            )


def log_odds(probability: float) -> float:
    return math.log(probability / (1 - probability))


def metadata_of(model: str) -> dict[str, Any]:
    """The metadata of a live model: the baseline's, or that of its version in the bucket."""
    config = settings()
    baseline: dict[str, Any] = json.loads((config.model_folder / METADATA).read_bytes())
    if model == baseline["model_version"]:
        return baseline
    return Registry(config.models_bucket).metadata(model)


def golden(metadata: dict[str, Any]) -> list[tuple[bytes, float]]:
    """The golden images of a model, as PNG, and their probabilities.

    A golden image is the input of a model, and so passes through the steps of a request unchanged.
    One whose edges look like bars is left out, because a request would lose them. Raises Unfit if
    none is left.
    """
    stored = [
        (base64.b64decode(one["png"]), float(one["probability"])) for one in metadata["golden"]
    ]
    whole = [one for one in stored if images.read(one[0]).trimmed is None]
    if not whole:
        raise Unfit(f"Model {metadata['model_version']} has no golden image without bars.")
    return whole


def _authorization() -> dict[str, str]:
    """The header with the admin token, if predictions need a key."""
    config = settings()
    if config.predict_access == "open":
        return {}
    secret = aws.client("secretsmanager").get_secret_value(SecretId=config.admin_secret)
    return {"authorization": f"Bearer {secret['SecretString'].strip()}"}


def _ask(version: str, method: str, path: str, png: bytes = b"") -> Any:
    """The JSON that the version answers to a request through the API. Raises Unfit for others."""
    event = {
        "version": "2.0",
        "routeKey": f"{method} {path}",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"host": "rollout", "content-type": "image/png"} | _authorization(),
        "requestContext": {
            "requestId": "rollout",
            "stage": "$default",
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
                "userAgent": "rollout",
            },
        },
        "body": base64.b64encode(png).decode(),
        "isBase64Encoded": True,
    }
    answer = aws.patient_client("lambda").invoke(
        FunctionName=version, Payload=json.dumps(event).encode()
    )
    payload = answer["Payload"].read().decode(errors="replace")
    if answer.get("FunctionError"):
        raise Unfit(f"It ends with an error at {method} {path}: {payload[:500]}")
    try:
        response = json.loads(payload)
        status, body = response["statusCode"], response["body"]
        if status == 200:
            return json.loads(body)
    except (ValueError, KeyError, TypeError) as error:
        raise Unfit(f"It answers {method} {path} with {payload[:500]}") from error
    raise Unfit(f"It answers {method} {path} with {status}: {str(body)[:500]}")


# `functions` turned garbage collection off for the imports; it starts here.
gc.freeze()
gc.enable()
