"""/review: what is worth a label, and what happens to the labels that people give."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from fastapi.testclient import TestClient

from clickbait import aws
from clickbait.keys import BATCH_PARTITION, id_of
from clickbait.store import answers, labelled, review
from clickbait.store.feedback import as_metadata
from clickbait.store.results import Row
from clickbait.store.rows import Rows
from functions.admin import data_schemas
from tests.samples.drawn import encoded, picture
from tests.samples.shipped import SIDE
from tests.unit.functions.test_admin_images import drop, patch, settle, state

FAKE, REAL = "clickbait_fake", "clickbait_real"
KEPT = "review/2026-11-25/" + "ab" * 32


@pytest.fixture(autouse=True)
def versioned(cloud: Any) -> None:
    """As the template has the data bucket."""
    enabled = {"Status": "Enabled"}
    cloud.s3.put_bucket_versioning(Bucket="data", VersioningConfiguration=enabled)
    labelled.known_copies.forget()


def put(cloud: Any, key: str, **metadata: str) -> str:
    """Store an image; returns its ETag."""
    data = encoded(picture((64, 64), seed=sum(key.encode())))
    stored = cloud.s3.put_object(
        Bucket="data", Key=key, Body=data, ContentType="image/jpeg", Metadata=as_metadata(metadata)
    )
    return str(stored["ETag"]).strip('"')


def result(
    cloud: Any, batch: str, name: str, probability: float, *, file: str = "", uncertain: bool = True
) -> str:
    """An image of a batch with its row; returns its key."""
    key = f"inbox/{batch}/{name}"
    row = Row(
        name, file or name, "2026-11-26T10:00:00.000+00:00", etag=put(cloud, key), modified="1",
        prediction=FAKE if probability >= 0.5 else REAL, probability=probability,
        confidence=max(probability, 1 - probability), uncertain=uncertain, model_version="v0",
    )  # fmt: skip
    Rows("table", batch).put(row)
    head = {"pk": BATCH_PARTITION, "sk": batch, "created": f"2026-11-26T10:00:00 {batch}"}
    aws.put_item("table", head, "attribute_not_exists(pk)")
    return key


def judged(cloud: Any, **probabilities: float) -> None:
    """Training images, with what the model says of them."""
    keys = {f"train/clickbait/{name}.jpg": p for name, p in probabilities.items()}
    answers.write("models", "v1", {key: (drop(cloud, key), p) for key, p in keys.items()})


def kept(cloud: Any, key: str, probability: float, name: str = "é.jpg") -> None:
    """An image of an unsure prediction."""
    facts = {"file_name": name, "at": "2026-11-25T09:00:00+00:00", "prediction": FAKE}
    facts |= {"probability": f"{probability:.6f}", "threshold": "0.5", "model_version": "v0"}
    put(cloud, key, **facts)


def page(client: TestClient, **query: Any) -> dict[str, Any]:
    answer = client.get("/review", params=query)
    assert answer.status_code == 200, answer.text
    data_schemas.ReviewQueue.model_validate_json(answer.content)
    return dict(answer.json())


def names(client: TestClient, **query: Any) -> list[str]:
    return [item["name"] for item in page(client, **query)["items"]]


def label(client: TestClient, key: str, label: str, status: int = 200) -> dict[str, Any]:
    answer = client.post(f"/review/{id_of(key)}", json={"label": label})
    assert answer.status_code == status, answer.text
    if status == 200:
        data_schemas.ReviewAnswer.model_validate_json(answer.content)
    return dict(answer.json())


def undo(client: TestClient, key: str, status: int = 200) -> dict[str, Any]:
    answer = client.post(f"/review/{id_of(key)}/undo")
    assert answer.status_code == status, answer.text
    return dict(answer.json())


# --- the queue -----------------------------------------------------------------------------------


def test_an_empty_service_has_nothing_to_review(admin: TestClient) -> None:
    assert page(admin) == {"items": [], "count": 0, "next": None}


def test_the_queue_has_unsure_images_nearest_to_the_threshold_first_then_surprising_ones(
    admin: TestClient, cloud: Any
) -> None:
    key = result(cloud, "spring", "near.jpg", 0.49)
    result(cloud, "spring", "sure.jpg", 0.95, uncertain=False)
    result(cloud, "spring", "far.jpg", 0.56)
    judged(cloud, between=0.53, wrong=0.02, doubtful=0.2, right=0.97)
    kept(cloud, KEPT, 0.52)
    assert names(admin) == [
        "near.jpg",
        "é.jpg",
        "between.jpg",
        "far.jpg",
        "wrong.jpg",
        "doubtful.jpg",
    ]
    surprising = names(admin, order="surprising")
    assert surprising == [
        "wrong.jpg",
        "doubtful.jpg",
        "near.jpg",
        "é.jpg",
        "between.jpg",
        "far.jpg",
    ]
    assert names(admin, source="batch") == ["near.jpg", "far.jpg"]
    assert names(admin, source="upload") == ["between.jpg", "wrong.jpg", "doubtful.jpg"]
    assert names(admin, source="prediction") == ["é.jpg"]
    first, prediction, upload, *_ = page(admin)["items"]
    assert requests.get(first.pop("url"), timeout=5).status_code == 200
    assert first == {
        "id": id_of(key), "source": "batch", "name": "near.jpg", "label": None,
        "probability": 0.49, "uncertain": True, "why": "unsure", "model_version": "v0",
        "batch": "spring", "at": "2026-11-26T10:00:00.000+00:00",
    }  # fmt: skip
    assert (prediction["at"], prediction["batch"]) == ("2026-11-25T09:00:00+00:00", None)
    assert (upload["label"], upload["model_version"]) == (FAKE, "v1")


def test_pages_go_through_the_whole_queue_while_it_shrinks(admin: TestClient, cloud: Any) -> None:
    keys = [result(cloud, "b", f"{n}.jpg", 0.5 + n / 1000) for n in range(7)]
    first = page(admin, limit=3)
    label(admin, keys[1], REAL)
    second = page(admin, limit=3, cursor=first["next"])
    third = page(admin, limit=3, cursor=second["next"])
    found = [item["name"] for each in (first, second, third) for item in each["items"]]
    assert found == [f"{n}.jpg" for n in range(7)]
    assert third["next"] is None
    assert (
        admin.get("/review", params={"cursor": first["next"], "order": "surprising"}).status_code
        == 422
    )


def test_images_that_are_gone_or_were_replaced_are_not_in_the_queue(
    admin: TestClient, cloud: Any
) -> None:
    gone = result(cloud, "b", "gone.jpg", 0.5)
    replaced = result(cloud, "b", "replaced.jpg", 0.5)
    result(cloud, "b", "there.jpg", 0.5)
    judged(cloud, moved=0.1, removed=0.1, decided=0.1, stays=0.1)
    cloud.s3.delete_object(Bucket="data", Key=gone)
    cloud.s3.put_object(Bucket="data", Key=replaced, Body=b"another")
    patch(admin, "train/clickbait/moved.jpg", label=REAL)
    patch(admin, "train/clickbait/decided.jpg", label=FAKE)
    admin.delete(f"/dataset/images/{id_of('train/clickbait/removed.jpg')}")
    assert names(admin) == ["there.jpg", "stays.jpg"]


def test_only_the_newest_batches_are_read(
    admin: TestClient, cloud: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(7):
        result(cloud, f"batch-{n}", f"{n}.jpg", 0.5)
    assert sorted(names(admin)) == ["2.jpg", "3.jpg", "4.jpg", "5.jpg", "6.jpg"]
    monkeypatch.setattr(review, "MAX_ROWS", 2)
    assert sorted(names(admin)) == ["5.jpg", "6.jpg"]


def test_one_page_checks_a_bounded_number_of_images(
    admin: TestClient, cloud: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(review, "MAX_CHECKED", 4)
    for n in range(7):
        key = result(cloud, "b", f"{n}.jpg", 0.5 + n / 1000)
        if n < 5:
            cloud.s3.delete_object(Bucket="data", Key=key)
    first = page(admin, limit=2)
    assert first["items"] == [] and first["next"]
    assert [one["name"] for one in page(admin, limit=2, cursor=first["next"])["items"]] == [
        "5.jpg", "6.jpg",
    ]  # fmt: skip


def test_a_file_that_was_uploaded_with_a_form_has_its_own_name(
    admin: TestClient, client: TestClient, cloud: Any
) -> None:
    from clickbait.store.batches import Batches

    batch = Batches("data", "table").create(["holiday/a b.jpg", "dropped.jpg"])
    first = result(cloud, batch, f"00000.{batch[-8:]}", 0.5, file="holiday/a b.jpg")
    # The second file was dropped under its name, so its row has the name of its form.
    second = f"inbox/{batch}/dropped.jpg"
    form = result(cloud, batch, f"00001.{batch[-8:]}", 0.51, file="dropped.jpg")
    body = cloud.s3.get_object(Bucket="data", Key=form)["Body"].read()
    cloud.s3.put_object(Bucket="data", Key=second, Body=body, ContentType="image/jpeg")
    cloud.s3.delete_object(Bucket="data", Key=form)
    assert [(i["id"], i["name"]) for i in page(admin)["items"]] == [
        (id_of(first), "holiday/a b.jpg"),
        (id_of(second), "dropped.jpg"),
    ]
    assert label(admin, first, FAKE)["key"] == "train/clickbait_fake/a b.jpg"
    assert label(admin, second, FAKE)["key"] == "train/clickbait_fake/dropped.jpg"
    assert names(admin) == []


@pytest.mark.parametrize(
    "query",
    ["source=mine", "order=newest", "limit=0", "limit=101", "cursor=x", "cursor=cmV2aWV3OjA"],
)
def test_a_wrong_query_is_422(admin: TestClient, query: str) -> None:
    assert admin.get(f"/review?{query}").status_code == 422


@pytest.mark.parametrize("place", ["x", "2:0.100000000:k", "0:1:k", "0:0.100000000:"])
def test_a_forged_cursor_is_422(admin: TestClient, place: str) -> None:
    from functions.paging import encode_cursor

    cursor = encode_cursor("review all unsure", place)
    assert admin.get("/review", params={"cursor": cursor}).status_code == 422


def test_objects_that_others_put_below_review_are_ignored(admin: TestClient, cloud: Any) -> None:
    put(cloud, KEPT)
    put(cloud, "review/2026-11-25/" + "cd" * 32, probability="nan")
    put(cloud, "review/x.jpg")
    assert names(admin) == []
    assert admin.get(f"/review/{id_of(KEPT)}").status_code == 404


# --- one image -----------------------------------------------------------------------------------


def test_one_image_has_the_live_models_prediction_and_heat_map(
    admin: TestClient, cloud: Any
) -> None:
    for key in (result(cloud, "b", "a.jpg", 0.5), KEPT, "train/clickbait/x.jpg"):
        if key == KEPT:
            kept(cloud, key, 0.5)
        elif key.startswith("train"):
            judged(cloud, x=0.1)
        answer = admin.get(f"/review/{id_of(key)}")
        assert answer.status_code == 200, answer.text
        data_schemas.ReviewImage.model_validate_json(answer.content)
        body = answer.json()
        assert (body["id"], body["decision"]) == (id_of(key), None)
        assert body["prediction"]["model_version"] == cloud.baseline
        assert len(body["prediction"]["heatmap"]) == SIDE
    label(admin, KEPT, REAL)
    decision = admin.get(f"/review/{id_of(KEPT)}").json()["decision"]
    assert (decision["label"], decision["outcome"]) == (REAL, "training")


def test_an_image_that_is_no_longer_one_gets_the_problem_of_predict(
    admin: TestClient, cloud: Any
) -> None:
    key = result(cloud, "b", "a.jpg", 0.5)
    etag = str(cloud.s3.put_object(Bucket="data", Key=key, Body=b"GIF89a")["ETag"]).strip('"')
    row = Row("a.jpg", "a.jpg", "2", etag, "2", FAKE, 0.5, 0.5, uncertain=True, model_version="v")
    Rows("table", "b").put(row)
    assert admin.get(f"/review/{id_of(key)}").status_code == 415


@pytest.mark.parametrize(
    "image",
    [
        "x", "!", id_of("inbox/b/missing.jpg"), id_of("inbox/b/../../train/clickbait/a.jpg"),
        id_of("train/clickbait/a.jpg"), id_of("exam/clickbait/a.jpg"), id_of("feedback/a"),
        id_of("review/2026-11-25/../x"), id_of(KEPT), id_of("rejected/a"), id_of("results/b/x"),
    ],
)  # fmt: skip
def test_an_unknown_image_is_404(admin: TestClient, cloud: Any, image: str) -> None:
    cloud.s3.put_object(Bucket="data", Key="feedback/a", Body=b"x")
    drop(cloud, "train/clickbait/a.jpg")  # The model has not judged it.
    drop(cloud, "exam/clickbait/a.jpg")
    before = cloud.keys("data")
    for answer in (
        admin.get(f"/review/{image}"),
        admin.post(f"/review/{image}", json={"label": FAKE}),
        admin.post(f"/review/{image}/undo"),
    ):
        assert answer.status_code == 404, answer.text
    assert cloud.keys("data") == before


# --- an admin's labels ---------------------------------------------------------------------------


def test_an_admins_label_of_a_batchs_image_trains_and_can_be_taken_back(
    admin: TestClient, cloud: Any
) -> None:
    key = result(cloud, "b", "a.jpg", 0.5)
    answer = label(admin, key, REAL)
    target = "train/clickbait_real/a.jpg"
    assert answer == {"id": id_of(key), "label": REAL, "outcome": "training", "key": target}
    assert names(admin) == []
    assert key in cloud.keys("data")
    settle(cloud, target)
    assert state(cloud)[target][1] == {"decided": "admin"}
    (change,) = admin.get("/dataset/changes").json()["items"]
    assert (change["action"], change["before"], change["key"]) == ("added", None, target)
    assert undo(admin, key) == answer
    assert cloud.keys("data") == [key]
    assert names(admin) == ["a.jpg"]
    undo(admin, key, 404)
    assert label(admin, key, FAKE)["key"] == "train/clickbait_fake/a.jpg"


def test_the_same_label_again_changes_nothing_and_another_one_is_refused(
    admin: TestClient, cloud: Any
) -> None:
    key = result(cloud, "b", "a.jpg", 0.5)
    first = label(admin, key, REAL)
    assert label(admin, key, REAL) == first
    assert "Undo" in label(admin, key, FAKE, 409)["detail"]
    assert cloud.keys("data", "train/") == [first["key"]]
    assert len(admin.get("/dataset/changes").json()["items"]) == 1


@pytest.mark.parametrize(("given", "outcome"), [(REAL, "relabelled"), (FAKE, "confirmed")])
def test_an_admins_label_of_a_training_image_moves_or_confirms_it(
    admin: TestClient, cloud: Any, given: str, outcome: str
) -> None:
    judged(cloud, wrong=0.03)
    key, before = "train/clickbait/wrong.jpg", state(cloud)
    assert names(admin) == ["wrong.jpg"]
    answer = label(admin, key, given)
    assert answer["outcome"] == "training"
    assert list(state(cloud)) == [answer["key"]]
    (change,) = admin.get("/dataset/changes").json()["items"]
    assert change["action"] == outcome
    assert names(admin) == []
    assert label(admin, key, given) == answer
    undo(admin, key)
    assert state(cloud) == before
    assert names(admin) == ["wrong.jpg"]


def test_undoing_the_change_itself_returns_the_image_to_the_queue(
    admin: TestClient, cloud: Any
) -> None:
    keys = [result(cloud, "b", "a.jpg", 0.5), "train/clickbait/x.jpg"]
    judged(cloud, x=0.1)
    for key in keys:
        label(admin, key, REAL)
    assert names(admin) == []
    for change in admin.get("/dataset/changes").json()["items"]:
        assert admin.post(f"/dataset/changes/{change['id']}/undo").status_code == 200
    assert names(admin) == ["a.jpg", "x.jpg"]


def test_a_kept_prediction_is_copied_under_the_name_of_its_file(
    admin: TestClient, cloud: Any
) -> None:
    kept(cloud, KEPT, 0.5, name="../é.JPG")
    assert label(admin, KEPT, FAKE)["key"] == "train/clickbait_fake/é.JPG"
    nameless = KEPT.replace("ab", "cd")
    kept(cloud, nameless, 0.5, name="")
    assert label(admin, nameless, FAKE)["key"] == "train/clickbait_fake/cdcdcdcdcdcd.jpg"


def test_two_files_of_the_same_name_become_two_training_images(
    admin: TestClient, cloud: Any
) -> None:
    first = label(admin, result(cloud, "b", "1.jpg", 0.5), FAKE)
    second = label(admin, result(cloud, "c", "1.jpg", 0.5), FAKE)
    assert first["key"] == "train/clickbait_fake/1.jpg"
    assert second["key"].startswith("train/clickbait_fake/1-")
    assert len(cloud.keys("data", "train/")) == 2


def test_a_label_is_not_taken_back_if_its_image_has_changed_since(
    admin: TestClient, cloud: Any
) -> None:
    key = result(cloud, "b", "a.jpg", 0.5)
    target = label(admin, key, REAL)["key"]
    cloud.s3.put_object(Bucket="data", Key=target, Body=b"another")
    undo(admin, key, 409)
    assert target in cloud.keys("data")


def test_an_image_that_vanishes_while_it_is_labelled_is_404(admin: TestClient, cloud: Any) -> None:
    key = result(cloud, "b", "a.jpg", 0.5)
    left = [lambda: cloud.s3.delete_object(Bucket="data", Key=key)]

    def happen(**_: Any) -> None:
        if left:
            left.pop()()

    cloud.s3.meta.events.register_first("before-call.s3.CopyObject", happen)
    try:
        label(admin, key, REAL, 404)
    finally:
        cloud.s3.meta.events.unregister("before-call.s3.CopyObject", happen)
    assert cloud.keys("data") == []
    assert admin.get("/dataset/changes").json()["items"] == []


def test_two_admins_at_the_same_moment_make_one_training_image(
    admin: TestClient, cloud: Any
) -> None:
    key = result(cloud, "b", "a.jpg", 0.5)
    for service in ("s3", "dynamodb"):
        aws.client(service)

    def ask(given: str) -> int:
        return admin.post(f"/review/{id_of(key)}", json={"label": given}).status_code

    with ThreadPoolExecutor(4) as pool:
        codes = list(pool.map(ask, [REAL] * 4))
    assert 200 in codes and set(codes) <= {200, 409}
    assert cloud.keys("data", "train/") == ["train/clickbait_real/a.jpg"]


def test_a_hundred_labels_at_once_and_a_wrong_id_hinders_no_other(
    admin: TestClient, cloud: Any
) -> None:
    keys = [result(cloud, "b", f"{n}.jpg", 0.5) for n in range(4)]
    ids = [*map(id_of, keys), *(f"x{n}" for n in range(96))]
    answer = admin.post("/review", json={"ids": ids, "label": REAL})
    assert answer.status_code == 200, answer.text
    data_schemas.ReviewAnswers.model_validate_json(answer.content)
    found = answer.json()["items"]
    assert [one["id"] for one in found] == ids
    assert [one["outcome"] for one in found] == ["training"] * 4 + [None] * 96
    assert {one["problem"]["status"] for one in found[4:]} == {404}
    assert len(cloud.keys("data", "train/clickbait_real/")) == 4
    assert names(admin) == []


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/review", {"ids": ["x"]}, "label"), ("/review", {"ids": [], "label": REAL}, "ids"),
        ("/review", {"ids": ["x"] * 101, "label": REAL}, "ids"),
        ("/review/x", {}, "label"), ("/review/x", {"label": "legitimate"}, "label"),
        ("/review/x", {"label": REAL, "why": "x"}, "why"),
    ],
)  # fmt: skip
def test_a_wrong_label_is_422_naming_the_field(
    admin: TestClient, path: str, body: Any, field: str
) -> None:
    answer = admin.post(path, json=body)
    assert answer.status_code == 422
    assert field in answer.json()["errors"][0]["field"]


# --- a member's labels ---------------------------------------------------------------------------


@pytest.fixture
def member(client: TestClient, cloud: Any) -> TestClient:
    """Calls without a token, which is enough if ACCESS is public."""
    cloud.set(ACCESS="public")
    return client


def test_a_members_label_waits_for_an_admin(
    member: TestClient, admin: TestClient, cloud: Any
) -> None:
    key = result(cloud, "b", "a é.jpg", 0.5)
    answer = label(member, key, REAL)
    assert answer["outcome"] == "waiting"
    assert cloud.keys("data", "train/") == []
    assert names(member) == names(admin) == []
    (correction,) = admin.get("/feedback").json()["items"]
    assert answer["key"] == f"feedback/{correction['id']}"
    assert correction["label"] == REAL
    assert correction["file_name"] == "a é.jpg"
    assert (correction["prediction"], correction["model_version"]) == (FAKE, "v0")
    assert admin.post(f"/feedback/{correction['id']}/accept").status_code == 200
    (target,) = cloud.keys("data", "train/")
    assert cloud.s3.head_object(Bucket="data", Key=target)["Metadata"]["decided"] == "admin"
    assert "admin has decided" in undo(member, key, 409)["detail"]


def test_an_admins_label_replaces_one_that_waits(
    member: TestClient, admin: TestClient, cloud: Any
) -> None:
    key = result(cloud, "b", "a.jpg", 0.5)
    label(member, key, REAL)
    assert label(admin, key, FAKE)["outcome"] == "training"
    assert cloud.keys("data") == [key, "train/clickbait_fake/a.jpg"]
    undo(member, key, 401)
    undo(admin, key)
    assert cloud.keys("data") == [key]


def test_a_member_may_take_back_what_still_waits(member: TestClient, cloud: Any) -> None:
    key = result(cloud, "b", "a.jpg", 0.5)
    label(member, key, REAL)
    undo(member, key)
    assert cloud.keys("data") == [key]
    assert names(member) == ["a.jpg"]


def test_only_an_admin_takes_an_admins_label_back(
    member: TestClient, admin: TestClient, cloud: Any
) -> None:
    key = result(cloud, "b", "a.jpg", 0.5)
    label(admin, key, REAL)
    undo(member, key, 401)
    assert cloud.keys("data", "train/") == ["train/clickbait_real/a.jpg"]
    undo(admin, key)


def test_a_member_sees_and_labels_images_of_batches_only(member: TestClient, cloud: Any) -> None:
    result(cloud, "b", "a.jpg", 0.5)
    judged(cloud, x=0.1)
    kept(cloud, KEPT, 0.5)
    assert names(member) == ["a.jpg"]
    for source in ("upload", "prediction"):
        assert member.get(f"/review?source={source}").status_code == 401
    for key in ("train/clickbait/x.jpg", KEPT):
        assert member.get(f"/review/{id_of(key)}").status_code == 401
        label(member, key, REAL, 401)
        undo(member, key, 401)
        found = member.post("/review", json={"ids": [id_of(key)], "label": REAL}).json()["items"]
        assert found[0]["problem"]["status"] == 401
    assert cloud.keys("data", "feedback/") == []


def test_a_decision_is_forgotten_after_its_image(admin: TestClient, cloud: Any) -> None:
    key = result(cloud, "b", "a.jpg", 0.5)
    label(admin, key, REAL)
    found = aws.get_item("table", "decision#", key)
    assert found and found["expires"] > 0
    assert review.DECISION_DAYS > 30
