"""Model versions: the list, the live one, and promotions."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Barrier
from typing import Any

import pytest
from fastapi.testclient import TestClient

from clickbait import aws
from clickbait.keys import RUN_PARTITION
from clickbait.store.registry import Registry
from clickbait.store.runs import Parameters
from functions.admin import models, schemas
from tests.samples import small
from tests.unit.functions.conftest import BASELINE
from tests.waiting import DEADLINE

OLD, NEW = "20990101-000000-aaaaaa", "20990102-000000-bbbbbb"
GATE = {"passed": False, "reason": "The AUC may be 0.09 lower than the champion's."}


def promote(admin: TestClient, version: str, **body: Any) -> Any:
    return admin.post(f"/models/{version}/promote", json={"reason": "a test of it"} | body)


def live(cloud: Any) -> str:
    pointer = Registry("models").pointer()
    return pointer.version if pointer else BASELINE


def run_of(cloud: Any, version: str, gate: dict[str, Any] | None = GATE) -> str:
    """A version, the run that trained it, and the gate's decision in that run."""
    run = cloud.runs.request("admin", Parameters(), "a test")["id"]
    if gate:
        cloud.runs.advance(run, "REJECTED", gate["reason"], gate=gate, version=version)
    else:
        cloud.runs.report(run, version=version)
    cloud.runs.on_job_ended({"jobName": run, "status": "SUCCEEDED"})
    cloud.version(version)
    return str(run)


def test_the_list_has_every_version_newest_first_and_the_baseline_is_one(
    admin: TestClient, cloud: Any
) -> None:
    run = run_of(cloud, OLD)
    cloud.version(NEW)
    cloud.s3.put_object(Bucket="models", Key="versions/20990103-000000-cccccc/model.tflite")
    answer = admin.get("/models")
    schemas.Models.model_validate_json(answer.content, strict=True)
    items = answer.json()["items"]
    assert [item["version"] for item in items] == [NEW, OLD, BASELINE]
    assert [item["live"] for item in items] == [False, False, True]
    assert [item["source"] for item in items] == ["run", "run", "baseline"]
    assert [item["run"] for item in items] == [None, run, None]
    assert [item["gate"] for item in items] == [None, GATE, None]
    assert items[2]["architecture"] == "efficientnet_lite0"
    assert items[2]["images"]["train"] > 1_000
    assert items[2]["metrics"]["auc"]["low"] < items[2]["metrics"]["auc"]["value"]
    assert items[2]["metrics"]["expected_calibration_error"]["after"] > 0
    assert items[2]["training_date"]


def test_the_list_has_the_gate_s_comparison_without_its_checks(
    admin: TestClient, cloud: Any
) -> None:
    figures = {"images": 60, "right": 43, "accuracy": 0.72, "unsure": 0.2}
    own = {"candidate": figures, "champion": figures | {"right": 39}}
    run_of(cloud, NEW, GATE | {"own": own, "checks": [{"name": "brier, own"}]})
    first = admin.get("/models").json()["items"][0]
    assert first["gate"] == GATE | {"own": own}
    assert admin.get(f"/models/{NEW}").json()["gate"]["checks"] == [{"name": "brier, own"}]


def test_a_run_that_goes_on_is_asked_again_for_its_gate(admin: TestClient, cloud: Any) -> None:
    run = cloud.runs.request("admin", Parameters(), "a test")["id"]
    cloud.version(NEW)
    cloud.runs.report(run, version=NEW)
    assert admin.get("/models").json()["items"][0]["gate"] is None
    cloud.runs.advance(run, "REJECTED", GATE["reason"], gate=GATE)
    first = admin.get("/models").json()["items"][0]
    assert (first["run"], first["gate"]) == (run, GATE)


def test_the_run_of_an_old_version_is_found_behind_many_newer_runs(
    admin: TestClient, cloud: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "RUNS_SEARCHED", 3)
    monkeypatch.setattr(models, "MAX_LIMIT", 1)
    for n in range(9):
        put_run(f"2026010{n + 1}-000000-00000{n}", f"2026010{n + 1}-000500-aaaaaa")
    cloud.version("20260103-000500-aaaaaa")
    put_run(
        "20260104-000500-ffffff", "20260104-000500-bbbbbb"
    )  # A small update has its run's time.
    cloud.version("20260104-000500-bbbbbb")
    found = {it["version"]: it["run"] for it in admin.get("/models").json()["items"]}
    assert found["20260103-000500-aaaaaa"] == "20260103-000000-000002"
    run = admin.get("/models/20260104-000500-bbbbbb").json()["run"]
    assert run == "20260104-000500-ffffff"


@pytest.mark.parametrize("name", ["99999999-000000-aaaaaa", "by-hand"])
def test_a_version_that_was_named_by_hand_is_listed(
    admin: TestClient, cloud: Any, name: str
) -> None:
    cloud.version(name)
    found = {it["version"]: it["run"] for it in admin.get("/models").json()["items"]}
    assert found[name] is None


def put_run(run: str, version: str) -> None:
    fields = {"reason": "It is live.", "version": version, "gate": GATE}
    item = {"pk": RUN_PARTITION, "sk": run, "state": "PROMOTED"}
    aws.put_item("table", item | {name: json.dumps(value) for name, value in fields.items()})


def test_a_version_whose_metadata_is_broken_does_not_take_the_list_down(
    admin: TestClient, cloud: Any
) -> None:
    cloud.s3.put_object(Bucket="models", Key=f"versions/{OLD}/metadata.json", Body=b"{")
    broken, baseline = admin.get("/models").json()["items"]
    assert OLD in broken["error"]
    assert baseline["error"] is None


def test_the_list_comes_in_pages_that_leave_nothing_out(admin: TestClient, cloud: Any) -> None:
    for n in range(5):
        cloud.version(f"20990101-00000{n}-aaaaaa")
    seen, cursor, pages = [], "", 0
    while cursor is not None:
        page = admin.get("/models", params={"limit": 2} | ({"cursor": cursor} if cursor else {}))
        body = page.json()
        assert body["count"] == len(body["items"]) <= 2
        seen += [item["version"] for item in body["items"]]
        cursor, pages = body["next"], pages + 1
    assert seen == [*(f"20990101-00000{n}-aaaaaa" for n in (4, 3, 2, 1, 0)), BASELINE]
    assert pages == 3


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/models?limit=0", "limit"),
        ("/models?limit=101", "limit"),
        ("/models?limit=all", "limit"),
        ("/models?cursor=nonsense", "cursor"),
        ("/models?cursor=é", "cursor"),
        ("/models?cursor=", "cursor"),
        ("/runs?cursor=bW9kZWxzOng", "cursor"),
        ("/feedback?cursor=bW9kZWxzOng", "cursor"),
        ("/promotions?cursor=bW9kZWxzOng", "cursor"),
        ("/promotions?at=yesterday", "at"),
    ],
)
def test_a_bad_limit_cursor_or_time_is_422_and_named(
    admin: TestClient, path: str, field: str
) -> None:
    answer = admin.get(path)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == f"query.{field}"
    assert f"query.{field}" in answer.json()["detail"]


def test_a_cursor_that_was_tampered_with_is_422(admin: TestClient, cloud: Any) -> None:
    cloud.version(NEW)
    cursor = admin.get("/models?limit=1").json()["next"]
    assert admin.get("/models", params={"cursor": cursor}).status_code == 200
    for other in (cursor + "!", "!" + cursor, cursor + "====", cursor[:-1] + "\n"):
        assert admin.get("/models", params={"cursor": other}).status_code == 422


def test_limits_of_1_and_100_are_accepted(admin: TestClient) -> None:
    assert admin.get("/models?limit=1").status_code == 200
    assert admin.get("/models?limit=100").status_code == 200


def test_one_version_shows_how_it_was_trained_and_judged(admin: TestClient, cloud: Any) -> None:
    run = run_of(cloud, NEW)
    answer = admin.get(f"/models/{NEW}")
    schemas.Model.model_validate_json(answer.content, strict=True)
    body = answer.json()
    assert body["run"] == run
    assert body["gate"] == GATE
    assert not body["live"]
    assert body["promotions"] == []
    assert body["metadata"]["recipe"]["architecture"] == body["metadata"]["architecture"]
    assert "golden" not in body["metadata"]
    assert body["metrics"]["auc"]["value"] > 0.8


def test_the_baseline_is_shown_like_any_version(admin: TestClient) -> None:
    body = admin.get(f"/models/{BASELINE}").json()
    assert body["source"] == "baseline"
    assert body["live"]
    assert body["gate"] is None


@pytest.mark.parametrize("method", ["get", "post"])
def test_an_unknown_version_is_404(admin: TestClient, method: str) -> None:
    path = "/models/20000101-000000-ffffff"
    if method == "get":
        answer = admin.get(path)
    else:
        answer = admin.post(f"{path}/promote", json={"reason": "to see", "force": True})
    assert answer.status_code == 404
    assert "20000101-000000-ffffff" in answer.json()["detail"]


def test_a_name_that_no_version_can_have_is_422(admin: TestClient) -> None:
    assert admin.get("/models/a_b").status_code == 422
    assert admin.get(f"/models/{'a' * 65}").status_code == 422


def test_a_version_that_the_gate_rejected_goes_live_only_by_force_with_a_reason(
    admin: TestClient, cloud: Any
) -> None:
    run_of(cloud, NEW)
    refused = promote(admin, NEW)
    assert refused.status_code == 409
    assert GATE["reason"].rstrip(".") in refused.json()["detail"]
    assert "force" in refused.json()["detail"]
    assert refused.json()["gate"] == GATE
    assert live(cloud) == BASELINE
    assert admin.post(f"/models/{NEW}/promote", json={"force": True}).status_code == 422
    assert live(cloud) == BASELINE
    answer = promote(admin, NEW, force=True, reason="the exam set is old")
    assert answer.status_code == 200
    schemas.PromotionAnswer.model_validate_json(answer.content, strict=True)
    body = answer.json()
    assert body["changed"]
    assert body["promotion"]["forced"]
    assert body["promotion"]["reason"] == "the exam set is old"
    assert body["promotion"]["previous"] == BASELINE
    assert body["promotion"]["gate"] == GATE
    assert body["promotion"]["by"] == f"admin, request {answer.headers['x-request-id']}"
    assert live(cloud) == NEW


def test_a_version_that_no_gate_has_judged_needs_force_too(admin: TestClient, cloud: Any) -> None:
    cloud.version(NEW)
    run_of(cloud, OLD, gate=None)
    for version in (NEW, OLD):
        refused = promote(admin, version)
        assert refused.status_code == 409
        assert "the gate has not judged it" in refused.json()["detail"]


def test_rolling_back_needs_no_force(admin: TestClient, cloud: Any) -> None:
    for version in (OLD, NEW):
        cloud.version(version)
        assert promote(admin, version, force=True).status_code == 200
    for version in (OLD, BASELINE, NEW, BASELINE):
        answer = promote(admin, version, reason="back")
        assert answer.status_code == 200, answer.text
        assert not answer.json()["promotion"]["forced"]
        assert live(cloud) == version


def test_force_is_not_recorded_if_it_was_not_needed(admin: TestClient, cloud: Any) -> None:
    cloud.version(NEW)
    promote(admin, NEW, force=True)
    assert not promote(admin, BASELINE, force=True).json()["promotion"]["forced"]


def test_promoting_the_live_version_changes_nothing(admin: TestClient, cloud: Any) -> None:
    answer = promote(admin, BASELINE)
    assert answer.status_code == 200
    assert answer.json() == {"changed": False, "version": BASELINE, "promotion": None}
    cloud.version(NEW)
    first = promote(admin, NEW, force=True).json()
    again = promote(admin, NEW, force=True).json()
    assert not again["changed"]
    assert again["promotion"] == first["promotion"]
    assert len(cloud.keys("models", "promotions/")) == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "reason"),
        ({"reason": "ab"}, "reason"),
        ({"reason": "   ab   "}, "reason"),
        ({"reason": "x" * 501}, "reason"),
        ({"reason": 12345}, "reason"),
        ({"reason": "because", "force": "yes"}, "force"),
        ({"reason": "because", "Force": True}, "Force"),
        ([], "body"),
    ],
)
def test_a_field_that_is_wrong_missing_or_unknown_is_422_and_named(
    admin: TestClient, body: Any, field: str
) -> None:
    answer = admin.post(f"/models/{BASELINE}/promote", json=body)
    assert answer.status_code == 422
    assert [e["field"] for e in answer.json()["errors"]] == [field]
    assert f"{field}: " in answer.json()["detail"]


@pytest.mark.parametrize("reason", ["abc", "x" * 500])
def test_a_reason_of_3_and_of_500_characters_is_accepted(admin: TestClient, reason: str) -> None:
    assert promote(admin, BASELINE, reason=reason).status_code == 200


def test_a_body_that_is_not_json_or_too_large_is_refused(admin: TestClient) -> None:
    path = f"/models/{BASELINE}/promote"
    broken = admin.post(path, content=b"{reason")
    assert broken.status_code == 422
    assert "JSON" in broken.json()["detail"]
    assert admin.post(path, content=b"\xff{").status_code == 422
    large = admin.post(path, content=b" " * (64 * 1024 + 1))
    assert large.status_code == 413
    assert large.json()["limit"] == 64 * 1024
    assert admin.post(path, content=b'{"reason": "abc"}'.ljust(64 * 1024)).status_code == 200


def test_a_version_that_does_not_match_its_metadata_never_goes_live(
    admin: TestClient, cloud: Any
) -> None:
    cloud.version(NEW, model=b"no model")
    answer = promote(admin, NEW, force=True)
    assert answer.status_code == 503
    assert answer.json()["type"] == "/docs/problems/invalid-model"
    assert live(cloud) == BASELINE


def test_one_of_two_simultaneous_promotions_wins_and_the_other_is_409(
    admin: TestClient, cloud: Any, monkeypatch
) -> None:
    for version in (OLD, NEW):
        cloud.version(version)
    both = Barrier(2)
    load = Registry.load

    def together(self: Registry, version: str) -> Any:
        both.wait(DEADLINE)  # Both have read the pointer and neither has written it.
        return load(self, version)

    monkeypatch.setattr(Registry, "load", together)
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda v: promote(admin, v, force=True), (OLD, NEW)))
    assert sorted(a.status_code for a in answers) == [200, 409]
    won = next(a for a in answers if a.status_code == 200).json()["version"]
    assert live(cloud) == won
    lost = next(a for a in answers if a.status_code == 409).json()
    assert lost["type"] == "/docs/problems/conflict"
    assert len(cloud.keys("models", "promotions/")) == 1


def test_a_decision_on_a_pointer_that_has_changed_since_is_409(
    admin: TestClient, cloud: Any, monkeypatch
) -> None:
    for version in (OLD, NEW):
        cloud.version(version)
    history, came = Registry.promotions, []

    def another_comes(self: Registry, *at: Any, **more: str) -> Any:
        promotions = list(history(self, *at, **more))
        if more and not came:  # The route asks whether the version was live.
            came.append(OLD)
            self.promote(OLD, by="another", reason="first", expected=None)
        return iter(promotions)

    monkeypatch.setattr(Registry, "promotions", another_comes)
    assert promote(admin, NEW, force=True).status_code == 409
    assert live(cloud) == OLD


def test_the_history_says_which_model_was_live_when_and_who_decided(
    admin: TestClient, cloud: Any
) -> None:
    before = datetime.now(UTC).isoformat()
    assert admin.get("/promotions").json()["live"]["version"] == BASELINE
    first = promote(admin, cloud.version(OLD), force=True, reason="first").json()["promotion"]
    second = promote(admin, cloud.version(NEW), force=True, reason="second").json()["promotion"]

    now = admin.get("/promotions")
    schemas.Promotions.model_validate_json(now.content, strict=True)
    assert now.json()["items"] == [second, first]
    assert now.json()["live"] == second | {"threshold": None}

    then = admin.get("/promotions", params={"at": first["at"]}).json()
    assert then["items"] == [first]
    assert (then["live"]["version"], then["live"]["reason"]) == (OLD, "first")

    at_first = admin.get("/promotions", params={"at": before}).json()
    assert at_first["items"] == []
    assert at_first["live"] == {"version": BASELINE} | dict.fromkeys(
        ("at", "by", "reason", "threshold")
    )

    page = admin.get("/promotions", params={"limit": 1}).json()
    assert page["items"] == [second]
    rest = admin.get("/promotions", params={"limit": 1, "cursor": page["next"]}).json()
    assert (rest["items"], rest["next"]) == ([first], None)

    assert [p["reason"] for p in admin.get(f"/models/{OLD}").json()["promotions"]] == ["first"]


def test_a_time_is_accepted_in_any_zone_and_with_the_plus_that_a_query_loses(
    admin: TestClient, cloud: Any
) -> None:
    promote(admin, cloud.version(NEW), force=True)
    for at in (
        "2999-01-01T00:00:00Z",
        "2999-01-01T00:00:00%2B01:00",
        "2999-01-01T00:00:00+01:00",
        "2999-01-01",
        "2999-01-01T00:00:00",
    ):
        answer = admin.get(f"/promotions?at={at}")
        assert answer.status_code == 200, at
        assert answer.json()["live"]["version"] == NEW
    assert admin.get("/promotions?at=2000-01-01").json()["live"]["version"] == BASELINE


DAMAGES: dict[str, bytes | None] = {
    "half JSON": b'{"version": "2099',
    "nowhere": b'{"version": "20980101-000000-ffffff"}',
    "deleted": None,
}


@pytest.mark.parametrize("damage", [*DAMAGES, "no model"])
def test_every_route_goes_on_with_the_version_that_serves_if_the_bucket_is_damaged(
    admin: TestClient, cloud: Any, damage: str
) -> None:
    def publish(version: str) -> None:
        cloud.version(version, small.MODEL, **small.metadata(version))

    publish(OLD)
    assert promote(admin, OLD, force=True).status_code == 200

    def break_it() -> None:
        if damage == "no model":
            publish(NEW)
            assert promote(admin, NEW, force=True).status_code == 200
            cloud.s3.delete_object(Bucket="models", Key=f"versions/{NEW}/model.tflite")
        elif (body := DAMAGES[damage]) is None:
            cloud.s3.delete_object(Bucket="models", Key="champion.json")
        else:
            cloud.s3.put_object(Bucket="models", Key="champion.json", Body=body)

    def shown() -> list[str]:
        return [m["version"] for m in admin.get("/models").json()["items"] if m["live"]]

    break_it()
    assert shown() == [OLD]
    assert admin.get(f"/models/{OLD}").json()["live"]
    for route in ("/promotions", "/dataset/images", "/review", "/dataset", "/runs", "/metrics"):
        assert admin.get(route).status_code == 200, route
    threshold = admin.put("/threshold", json={"threshold": 0.3, "reason": "a test"})
    assert (threshold.status_code, threshold.json()["version"]) == (200, OLD)
    assert shown() == [OLD]
    break_it()
    # The version that serves in place of the damage can be promoted, which mends the pointer.
    repaired = promote(admin, OLD)
    assert (repaired.status_code, repaired.json()["changed"]) == (200, True), repaired.text
    assert repaired.json()["promotion"]["threshold"] == 0.3
    assert promote(admin, OLD).json()["changed"] is False
    break_it()
    back = promote(admin, BASELINE)
    assert (back.status_code, back.json()["promotion"]["previous"]) == (200, OLD), back.text
    assert shown() == [BASELINE]
    listed = admin.get("/promotions").json()
    assert listed["live"]["version"] == BASELINE
    assert all(record["previous"] for record in listed["items"])
