"""Training runs: started with checked parameters, one at a time, and listed."""

import json
from typing import Any

import pytest
import requests
from botocore.exceptions import ClientError
from fastapi.testclient import TestClient

from clickbait import LABELS, aws
from clickbait.keys import RUN_PARTITION
from clickbait.store.drop_folder import DropFolder
from clickbait.store.runs import Parameters, Runs
from functions.admin import runs, schemas
from tests.samples.drawn import encoded, picture

LIMITS = {
    "epochs": (1, 200),
    "batch_size": (1, 512),
    "learning_rate": (1e-6, 0.1),
    "validation_split": (0.05, 0.5),
}


FINE = {"method": "fine_tuning"}
"""Parameters of a run that needs no images to be requested."""


def end(cloud: Any, run: str) -> None:
    cloud.runs.advance(run, "REJECTED", "The gate said no.")
    cloud.runs.on_job_ended({"jobName": run, "status": "SUCCEEDED"})


def test_a_run_is_started_and_returned(admin: TestClient) -> None:
    answer = admin.post("/retrain", json={"epochs": 3, "architecture": "cnn"})
    assert answer.status_code == 202
    schemas.Run.model_validate_json(answer.content, strict=True)
    run = answer.json()
    assert run["state"] == "QUEUED"
    assert run["trigger"] == "admin"
    assert run["parameters"] == {
        "epochs": 3,
        "architecture": "cnn",
        "from_scratch": False,
        "skip_label_check": False,
    }
    assert answer.headers["x-request-id"] in run["reason"]
    assert answer.headers["location"] == f"/runs/{run['id']}"
    assert admin.get(answer.headers["location"]).json() == run


@pytest.mark.parametrize(
    ("method", "status", "said"),
    [
        ("fine_tuning", "STARTING", True),
        ("fine_tuning", "RUNNABLE", False),
        ("small_update", "STARTING", False),
    ],
)
def test_a_queued_run_says_what_its_job_prepares(
    admin: TestClient,
    cloud: Any,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    status: str,
    said: bool,
) -> None:
    upload(cloud, 25)
    run = admin.post("/retrain", json={"method": method}).json()
    job = {"status": status, "statusReason": "Installing TensorFlow: minute 2 of about 5."}
    monkeypatch.setattr(Runs, "_jobs_named", lambda *_: [job])
    answer = admin.get(f"/runs/{run['id']}").json()
    assert answer["reason"] == (job["statusReason"] if said else run["reason"])
    cloud.runs.advance(run["id"], "RUNNING", "Training.")
    assert admin.get(f"/runs/{run['id']}").json()["reason"] == "Training."


def test_a_queued_run_is_shown_although_aws_batch_does_not_answer(
    admin: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = admin.post("/retrain", json=FINE).json()

    def refuse(*_: Any) -> None:
        raise ClientError({"Error": {"Code": "TooManyRequestsException"}}, "ListJobs")

    monkeypatch.setattr(Runs, "_jobs_named", refuse)
    assert admin.get(f"/runs/{run['id']}").json() == run


def upload(cloud: Any, of_each: int) -> None:
    for label in LABELS:
        for n in range(of_each):
            key = f"train/{label}/{n}.jpg"
            cloud.s3.put_object(Bucket="data", Key=key, Body=key.encode())


@pytest.mark.parametrize("body", [b"", b" ", b"{}"])
def test_a_run_without_parameters_has_the_defaults(
    admin: TestClient, cloud: Any, body: bytes
) -> None:
    upload(cloud, 25)
    answer = admin.post("/retrain", content=body)
    assert answer.status_code == 202
    run = answer.json()
    assert run["method"] == "small_update"
    assert "there are 50 images of your own" in run["method_reason"]


def test_too_few_images_for_a_small_update_are_409_and_start_nothing(
    admin: TestClient, cloud: Any
) -> None:
    upload(cloud, 20)
    answer = admin.post("/retrain", json={"method": "small_update"})
    assert answer.status_code == 409
    assert answer.json()["detail"].endswith("Upload 10 more images.")
    assert admin.get("/runs").json()["count"] == 0
    assert admin.post("/retrain", json={"epochs": 3}).json()["method"] == "fine_tuning"


def test_a_small_update_with_parameters_of_fine_tuning_is_422(admin: TestClient) -> None:
    answer = admin.post("/retrain", json={"method": "small_update", "epochs": 3})
    assert answer.status_code == 422
    assert "has no epochs" in answer.json()["detail"]


def test_only_one_run_starts_at_a_time_and_409_names_it(admin: TestClient, cloud: Any) -> None:
    first = admin.post("/retrain", json=FINE).json()["id"]
    second = admin.post("/retrain", json=FINE)
    assert second.status_code == 409
    assert first in second.json()["detail"]
    assert second.json()["run"] == first
    end(cloud, first)
    assert admin.post("/retrain", json=FINE).status_code == 202


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"epoch": 3}, "epoch"),
        ({"architecture": "resnet"}, "architecture"),
        ({"epochs": "3"}, "epochs"),
        ({"epochs": 1.5}, "epochs"),
        ({"from_scratch": 1}, "from_scratch"),
        ({"skip_label_check": "true"}, "skip_label_check"),
        *(({name: low * 0.99}, name) for name, (low, _) in LIMITS.items() if low < 1),
        *(({name: high * 1.01}, name) for name, (_, high) in LIMITS.items() if high < 1),
        *(({name: low - 1}, name) for name, (low, _) in LIMITS.items() if low == 1),
        *(({name: high + 1}, name) for name, (_, high) in LIMITS.items() if high > 1),
    ],
)
def test_an_unknown_or_absurd_parameter_is_422_and_named(
    admin: TestClient, body: dict[str, Any], field: str
) -> None:
    answer = admin.post("/retrain", json=body)
    assert answer.status_code == 422
    assert [e["field"] for e in answer.json()["errors"]] == [field]
    assert admin.get("/runs").json()["count"] == 0


@pytest.mark.parametrize("end_of_range", [0, 1])
def test_parameters_at_their_limits_are_accepted(admin: TestClient, end_of_range: int) -> None:
    body = {name: limits[end_of_range] for name, limits in LIMITS.items()}
    assert admin.post("/retrain", json=body).status_code == 202


def test_several_wrong_parameters_are_all_named(admin: TestClient) -> None:
    answer = admin.post("/retrain", json={"epochs": 0, "colour": 1}).json()
    assert {e["field"] for e in answer["errors"]} == {"epochs", "colour"}


def test_the_list_is_newest_first_in_pages_and_without_logs(admin: TestClient, cloud: Any) -> None:
    started = []
    for n in range(5):
        run = cloud.runs.request("admin", Parameters(), f"number {n}")["id"]
        cloud.runs.report(run, log=["a line"], epoch=1)
        end(cloud, run)
        started.append(run)
    seen, cursor = [], None
    while True:
        params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        answer = admin.get("/runs", params=params)
        schemas.RunList.model_validate_json(answer.content, strict=True)
        seen += [run["id"] for run in answer.json()["items"]]
        assert not any("log" in run for run in answer.json()["items"])
        cursor = answer.json()["next"]
        if cursor is None:
            break
    # Runs of the same second are in the order of their random parts.
    assert seen == sorted(started, reverse=True)
    assert admin.get(f"/runs/{started[0]}").json()["log"] == ["a line"]


def test_an_ended_run_has_its_reason_in_a_sentence(admin: TestClient, cloud: Any) -> None:
    run = admin.post("/retrain", json=FINE).json()["id"]
    end(cloud, run)
    body = admin.get(f"/runs/{run}").json()
    assert (body["state"], body["reason"]) == ("REJECTED", "The gate said no.")
    assert set(body["times"]) == {"QUEUED", "REJECTED"}


def test_a_run_is_cancelled_by_an_admin_and_again_without_harm(
    admin: TestClient, cloud: Any
) -> None:
    run = admin.post("/retrain", json=FINE).json()["id"]
    answer = admin.post(f"/runs/{run}/cancel")
    assert answer.status_code == 200
    schemas.Run.model_validate_json(answer.content, strict=True)
    body = answer.json()
    request = answer.headers["x-request-id"]
    assert (body["state"], body["reason"]) == (
        "CANCELLED",
        f"Cancelled by admin, request {request}.",
    )
    assert admin.post(f"/runs/{run}/cancel").json() == body == admin.get(f"/runs/{run}").json()
    assert admin.post("/runs/20990101-000000-aaaaaa/cancel").status_code == 404


def test_a_run_that_has_ended_is_409_and_says_how(admin: TestClient, cloud: Any) -> None:
    run = admin.post("/retrain", json=FINE).json()["id"]
    end(cloud, run)
    answer = admin.post(f"/runs/{run}/cancel")
    assert answer.status_code == 409
    detail = f"Run {run} has ended already, as REJECTED, so it cannot be cancelled."
    assert answer.json()["detail"] == detail


def test_images_whose_labels_are_doubted_have_links(admin: TestClient, cloud: Any) -> None:
    """`label_check` as `training.labels` writes it."""
    here, gone = "train/clickbait/a.jpg", "train/legitimate/gone.jpg"
    cloud.s3.put_object(Bucket="data", Key=here, Body=encoded(picture()))
    DropFolder("data", "table").process(here)
    check = {
        "rejected": True,
        "reason": "The live model disagrees with 97 % of 30 new labels: are the folders swapped?",
        "warning": "",
        "images": 30,
        "contradicted": 29,
        "classes": {
            label: {"images": 15, "contradicted": 14}
            for label in ("clickbait_real", "clickbait_fake")
        },
        "own_error": None,
        "worst": [
            {"key": here, "label": "clickbait_fake", "probability": 0.01},
            {"key": gone, "label": "clickbait_real", "probability": 0.98},
        ],
    }
    run = admin.post("/retrain", json=FINE).json()["id"]
    cloud.runs.advance(run, "REJECTED", check["reason"], label_check=check)
    answer = admin.get(f"/runs/{run}")
    schemas.Run.model_validate_json(answer.content, strict=True)
    body = answer.json()["label_check"]
    first, second = body["worst"]
    assert requests.get(first.pop("url"), timeout=5).content == encoded(picture())
    assert second.pop("url") is None
    assert body == check
    listed = admin.get("/runs")
    schemas.RunList.model_validate_json(listed.content, strict=True)
    assert listed.json()["items"][0]["label_check"] == check


def test_an_unknown_run_is_404_and_a_name_too_long_422(admin: TestClient) -> None:
    assert admin.get("/runs/20990101-000000-aaaaaa").status_code == 404
    assert admin.get(f"/runs/{'a' * 65}").status_code == 422


def put_runs(count: int) -> list[str]:
    """Runs of `count` days, the odd ones promoted, the others failed; their ids, newest first."""
    ids = [f"202601{day:02}-000000-{day:06}" for day in range(1, count + 1)]
    for day, run in enumerate(ids, 1):
        item = {"pk": RUN_PARTITION, "sk": run, "state": ("FAILED", "PROMOTED")[day % 2]}
        fields = {"reason": f"It ended on day {day:02}.", "version": f"{run[:8]}-000500-abcdef"}
        aws.put_item("table", item | {name: json.dumps(it) for name, it in fields.items()})
    return ids[::-1]


def test_runs_are_found_by_their_state_and_text_in_pages(admin: TestClient) -> None:
    every = put_runs(25)

    def found(**query: Any) -> list[str]:
        ids, cursor = [], ""
        while cursor is not None:
            body = admin.get("/runs", params=query | ({"cursor": cursor} if cursor else {})).json()
            ids += [run["id"] for run in body["items"]]
            cursor = body["next"]
        return ids

    failed = [run for run in every if int(run[6:8]) % 2 == 0]
    assert found(state="FAILED", limit=5) == failed
    assert found(state="FAILED", q="DAY 04") == ["20260104-000000-000004"]
    assert found(q="20260107-000500") == ["20260107-000000-000007"]
    assert found(q=" 000000-000012") == ["20260112-000000-000012"]
    assert found(q="none of them") == found(state="QUEUED") == []
    assert admin.get("/runs?state=DONE").status_code == 422


def test_a_search_reads_no_more_than_its_limit_and_goes_on(
    admin: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = put_runs(7)
    monkeypatch.setattr(runs, "MAX_LIMIT", 2)
    monkeypatch.setattr(runs, "SEARCHED", 4)
    first = admin.get("/runs", params={"q": "day 01"}).json()
    assert first["items"] == [] and first["next"]
    second = admin.get("/runs", params={"q": "day 01", "cursor": first["next"]}).json()
    assert [run["id"] for run in second["items"]] == every[-1:]
    assert second["next"] is None
