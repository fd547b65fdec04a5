"""Evaluations of versions on their test images, with links to the mistakes that still exist."""

import json
from typing import Any

import pytest
import requests
from fastapi.testclient import TestClient

from clickbait.settings import CHECKOUT_BASELINE
from clickbait.store.drop_folder import DropFolder
from functions.admin import evaluation_schemas
from tests.samples.drawn import encoded, picture

OLD = "20990101-000000-aaaaaa"
SHIPPED = json.loads((CHECKOUT_BASELINE / "evaluation.json").read_bytes())


def put(cloud: Any, version: str, document: Any) -> None:
    """Store a version's evaluation in the models bucket."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    cloud.s3.put_object(Bucket="models", Key=f"versions/{version}/evaluation.json", Body=body)


def drop(cloud: Any, key: str, data: bytes) -> None:
    cloud.s3.put_object(Bucket="data", Key=key, Body=data)
    DropFolder("data", "table").process(key)


def mistake(cloud: Any, key: str) -> dict[str, Any]:
    """A mistake about the image that the table describes under `key` now."""
    item = cloud.db.get_item(TableName="table", Key={"pk": {"S": "image#"}, "sk": {"S": key}})
    sha256 = item["Item"]["sha256"]["S"]
    return {"file": key, "sha256": sha256, "label": "clickbait_fake", "probability": 0.1}


def test_the_baseline_has_a_whole_evaluation_without_links(admin: TestClient, cloud: Any) -> None:
    answer = admin.get(f"/models/{cloud.baseline}/evaluation")
    assert answer.status_code == 200
    evaluation_schemas.Evaluation.model_validate_json(answer.content, strict=True)
    body = answer.json()
    assert body["version"] == cloud.baseline
    assert body["confusion_matrix"] == SHIPPED["confusion_matrix"]
    assert body["roc"] == SHIPPED["roc"]
    assert len(body["mistakes"]) == 24
    assert {one["url"] for one in body["mistakes"]} == {None}
    # The response has these fields and no more, because a page's types come from the document.
    assert set(body) == set(evaluation_schemas.Evaluation.model_fields)
    assert set(body["mistakes"][0]) == set(evaluation_schemas.Mistake.model_fields)


def test_a_mistake_whose_image_is_in_the_bucket_has_a_link(admin: TestClient, cloud: Any) -> None:
    here, replaced, gone = (f"train/clickbait/{name} é.jpg" for name in ("here", "other", "gone"))
    for seed, key in enumerate((here, replaced, gone)):
        drop(cloud, key, encoded(picture(seed=seed)))
    cloud.version(OLD)
    put(cloud, OLD, SHIPPED | {"mistakes": [mistake(cloud, k) for k in (here, replaced, gone)]})
    drop(cloud, replaced, encoded(picture(seed=9)))
    cloud.s3.delete_object(Bucket="data", Key=gone)
    DropFolder("data", "table").process(gone)

    answer = admin.get(f"/models/{OLD}/evaluation")
    evaluation_schemas.Evaluation.model_validate_json(answer.content, strict=True)
    assert answer.json()["version"] == OLD
    first, second, third = answer.json()["mistakes"]
    assert second["url"] is third["url"] is None
    assert "X-Amz-Expires=300" in first["url"]
    assert requests.get(first["url"], timeout=5).content == encoded(picture(seed=0))


def test_a_version_without_an_evaluation_is_404_with_the_reason(
    admin: TestClient, cloud: Any
) -> None:
    cloud.version(OLD)
    answer = admin.get(f"/models/{OLD}/evaluation")
    assert answer.status_code == 404
    assert f"Version {OLD} has no evaluation.json" in answer.json()["detail"]
    assert "was trained before" in answer.json()["detail"]
    put(cloud, OLD, SHIPPED)
    assert admin.get(f"/models/{OLD}/evaluation").status_code == 200


def test_a_built_in_model_without_an_evaluation_is_404_too(
    admin: TestClient, cloud: Any, tmp_path: Any
) -> None:
    (tmp_path / "metadata.json").write_bytes((CHECKOUT_BASELINE / "metadata.json").read_bytes())
    cloud.set(MODEL_PATH=str(tmp_path))
    answer = admin.get(f"/models/{cloud.baseline}/evaluation")
    assert answer.status_code == 404
    assert "was trained before" in answer.json()["detail"]


def test_an_unknown_version_is_reported_as_unknown(admin: TestClient, cloud: Any) -> None:
    answer = admin.get("/models/20000101-000000-ffffff/evaluation")
    assert answer.status_code == 404
    assert "was trained before" not in answer.json()["detail"]
    assert admin.get("/models/a_b/evaluation").status_code == 422


def test_an_unreadable_evaluation_is_503(admin: TestClient, cloud: Any) -> None:
    cloud.version(OLD)
    put(cloud, OLD, b"{")
    answer = admin.get(f"/models/{OLD}/evaluation")
    assert answer.status_code == 503
    assert "evaluation.json" in answer.json()["detail"]


def test_an_evaluation_without_images_has_the_promised_shape(admin: TestClient, cloud: Any) -> None:
    """As `training.evaluation` writes it: undefined figures are null."""
    nothing = {
        "images": 0,
        "roc": {"auc": None, "reason": "there are not images of both classes", "points": []},
        "mistakes": [],
        "thresholds": [
            one | dict.fromkeys(("precision", "recall", "accuracy", "called"))
            for one in SHIPPED["thresholds"]
        ],
        "reliability": [
            one | {"images": 0, "mean_probability": None, "share_clickbait": None}
            for one in SHIPPED["reliability"]
        ],
        "features": [
            one | {"with_probability": None, "with_label": None, "reason": "0 images"}
            for one in SHIPPED["features"]
        ],
    }
    cloud.version(OLD)
    put(cloud, OLD, SHIPPED | nothing)
    answer = admin.get(f"/models/{OLD}/evaluation")
    evaluation_schemas.Evaluation.model_validate_json(answer.content, strict=True)
    assert answer.json()["roc"]["points"] == answer.json()["mistakes"] == []


@pytest.mark.parametrize("lacking", ["TABLE", "DATA_BUCKET"])
def test_without_stores_the_evaluation_has_no_links(
    admin: TestClient, cloud: Any, lacking: str
) -> None:
    drop(cloud, "train/clickbait/a.jpg", encoded(picture()))
    cloud.version(OLD)
    put(cloud, OLD, SHIPPED | {"mistakes": [mistake(cloud, "train/clickbait/a.jpg")]})
    assert admin.get(f"/models/{OLD}/evaluation").json()["mistakes"][0]["url"]
    cloud.set(**{lacking: ""})
    assert admin.get(f"/models/{OLD}/evaluation").json()["mistakes"][0]["url"] is None
