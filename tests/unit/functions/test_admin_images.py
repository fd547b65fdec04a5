"""/dataset/images and /dataset/changes: labelled images listed, changed, removed and restored."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Lock
from typing import Any

import pytest
import requests
from fastapi.testclient import TestClient

from clickbait import aws
from clickbait.keys import id_of
from clickbait.store import answers, changes, labelled
from clickbait.store.drop_folder import DropFolder
from clickbait.store.trained import list_images, mark_trained
from functions.admin import data_schemas
from tests.samples.drawn import encoded, picture

FAKE, REAL = "clickbait_fake", "clickbait_real"
A, B, E = "train/clickbait/a b.jpg", "train/legitimate/deep/b.png", "exam/clickbait_fake/e.jpg"


@pytest.fixture(autouse=True)
def versioned(cloud: Any) -> None:
    """As the template has the data bucket."""
    enabled = {"Status": "Enabled"}
    cloud.s3.put_bucket_versioning(Bucket="data", VersioningConfiguration=enabled)
    labelled.known_copies.forget()


def drop(cloud: Any, key: str, data: bytes | None = None, **metadata: str) -> str:
    """Upload an image and describe it; returns its ETag."""
    if data is None:
        data = encoded(
            picture((120, 80), seed=sum(key.encode())), "PNG" if "png" in key else "JPEG"
        )
    cloud.s3.put_object(
        Bucket="data", Key=key, Body=data, Metadata=metadata, ContentType="image/jpeg"
    )
    DropFolder("data", "table").process(key)
    return str(cloud.s3.head_object(Bucket="data", Key=key)["ETag"]).strip('"')


def settle(cloud: Any, *keys: str) -> None:
    """Deliver the events of these keys."""
    for key in keys:
        DropFolder("data", "table").process(key)


def items(admin: TestClient, **query: Any) -> list[dict[str, Any]]:
    answer = admin.get("/dataset/images", params=query)
    assert answer.status_code == 200, answer.text
    data_schemas.DatasetImages.model_validate_json(answer.content)
    return list(answer.json()["items"])


def keys(admin: TestClient, **query: Any) -> list[str]:
    return [item["key"] for item in items(admin, **query)]


def patch(admin: TestClient, key: str, **change: Any) -> dict[str, Any]:
    answer = admin.patch(f"/dataset/images/{id_of(key)}", json=change)
    assert answer.status_code == 200, answer.text
    data_schemas.ImageChanged.model_validate_json(answer.content)
    return dict(answer.json())


def state(cloud: Any) -> dict[str, Any]:
    """Every labelled object with its bytes and metadata, and its item without the time."""
    found: dict[str, Any] = {}
    for prefix, partition in (("train/", "image#"), ("exam/", "exam#")):
        described = {item["sk"]: item for item in aws.query("table", partition)}
        for key in cloud.keys("data", prefix):
            one = cloud.s3.get_object(Bucket="data", Key=key)
            item = {k: v for k, v in described.pop(key).items() if k != "at"}
            found[key] = (one["Body"].read(), one["Metadata"], one["ContentType"], item)
        assert described == {}
    return found


# --- listing -------------------------------------------------------------------------------------


def test_an_image_is_listed_with_everything_that_is_known_of_it(
    admin: TestClient, cloud: Any
) -> None:
    etag = drop(cloud, A)
    drop(cloud, E)
    mark_trained("models", list_images("data"), list_images("data", "exam/"))
    answers.write("models", "v1", {A: (etag, 0.25)})
    exam, image = items(admin)
    assert exam["key"] == E
    assert (exam["folder"], exam["side"], exam["trained"]) == ("exam", "exam", True)
    assert exam["probability"] is None and not exam["disagrees"]
    assert requests.get(image.pop("url"), timeout=5).status_code == 200
    at, sha256 = image.pop("at"), image.pop("sha256")
    assert at.endswith("+00:00") and len(sha256) == 64
    assert image == {
        "id": id_of(A), "key": A, "name": "a b.jpg", "label": FAKE, "folder": "train",
        "side": "none", "width": 120, "height": 80,
        "bytes": cloud.s3.head_object(Bucket="data", Key=A)["ContentLength"], "format": "JPEG",
        "probability": 0.25, "disagrees": True, "duplicates": [], "trained": True,
        "decided": False, "rejected": None,
    }  # fmt: skip


def test_an_empty_bucket_has_no_images(admin: TestClient) -> None:
    for show in (None, "disagrees", "duplicates", "both_labels", "rejected"):
        assert items(admin, **({"show": show} if show else {})) == []


def test_only_an_admin_gets_links(client: TestClient, cloud: Any) -> None:
    drop(cloud, A)
    cloud.set(ACCESS="public")
    assert [one["url"] for one in items(client)] == [None]


def test_the_side_is_the_one_in_the_manifests_of_the_live_version_and_its_ancestors(
    admin: TestClient, cloud: Any
) -> None:
    shas = {}
    for n, name in enumerate("abcde"):
        drop(cloud, f"train/clickbait/{name}.jpg", encoded(picture(seed=n)))
    for item in items(admin):
        shas[item["name"][0]] = item["sha256"]

    def manifest(version: str, file: str, rows: dict[str, str]) -> None:
        lines = ["file,label,sha256,phash,group,side,reason"]
        lines += [f"x,{FAKE},{shas[name]},0,,{side}," for name, side in rows.items()]
        body = "\n".join(lines).encode()
        cloud.s3.put_object(Bucket="models", Key=f"versions/{version}/{file}", Body=body)

    manifest("20990101-000000-aaaaaa", "manifest.csv", {"c": "test", "a": "test"})
    manifest("20990101-000000-aaaaaa", "ancestors.csv", {"d": "train", "b": "test"})
    cloud.version("20990102-000000-bbbbbb", anchor="20990101-000000-aaaaaa")
    manifest("20990102-000000-bbbbbb", "manifest.csv", {"a": "train", "b": "validation", "e": ""})
    pointer = json.dumps({"version": "20990102-000000-bbbbbb"})
    cloud.s3.put_object(Bucket="models", Key="champion.json", Body=pointer)
    sides = {item["name"][0]: item["side"] for item in items(admin)}
    assert sides == {"a": "train", "b": "validation", "c": "test", "d": "train", "e": "none"}
    assert [one["name"] for one in items(admin, side="train")] == ["a.jpg", "d.jpg"]
    assert [one["name"] for one in items(admin, side="none")] == ["e.jpg"]
    assert items(admin, side="exam") == []


def test_images_are_found_by_label_name_and_what_the_model_says(
    admin: TestClient, cloud: Any
) -> None:
    etags = {key: drop(cloud, key) for key in (A, B, E)}
    answers.write(
        "models", "v1", {A: (etags[A], 0.9), B: (etags[B], 0.9), E: ("of other content", 0.1)}
    )
    assert keys(admin, label=FAKE) == [E, A]
    assert (
        keys(admin, label=REAL) == keys(admin, q="DEEP/B") == keys(admin, show="disagrees") == [B]
    )
    assert keys(admin, q="train") == keys(admin, label=REAL, q="a b") == []
    assert keys(admin, side="exam", label=FAKE) == [E]


def test_copies_name_each_other_and_those_with_both_labels_are_found(
    admin: TestClient, cloud: Any
) -> None:
    same, other = encoded(picture(seed=1)), encoded(picture(seed=2))
    drop(cloud, "train/clickbait/1.jpg", same)
    drop(cloud, "train/clickbait/2.jpg", other)
    drop(cloud, "exam/legitimate/1.jpg", same)
    drop(cloud, "train/clickbait/2 again.jpg", encoded(picture(seed=2), quality=60))
    drop(cloud, "train/clickbait/3.jpg", encoded(picture(seed=3)))
    found = {item["key"]: item["duplicates"] for item in items(admin, show="duplicates")}
    assert found == {
        "exam/legitimate/1.jpg": [id_of("train/clickbait/1.jpg")],
        "train/clickbait/1.jpg": [id_of("exam/legitimate/1.jpg")],
        "train/clickbait/2 again.jpg": [id_of("train/clickbait/2.jpg")],
        "train/clickbait/2.jpg": [id_of("train/clickbait/2 again.jpg")],
    }
    both = ["exam/legitimate/1.jpg", "train/clickbait/1.jpg"]
    assert keys(admin, show="both_labels") == both
    assert keys(admin, show="both_labels", label=REAL) == both[:1]
    patch(admin, both[1], label=REAL)
    moved = {item["key"]: item["duplicates"] for item in items(admin, show="duplicates")}
    assert moved["exam/legitimate/1.jpg"] == [id_of("train/legitimate/1.jpg")]
    assert keys(admin, show="both_labels") == []
    assert admin.delete(f"/dataset/images/{id_of(both[0])}").status_code == 200
    assert "train/legitimate/1.jpg" not in keys(admin, show="duplicates")


def test_rejected_images_are_listed_with_their_reasons(admin: TestClient, cloud: Any) -> None:
    for key in ("train/cats/a.jpg", "train/clickbait/b.jpg", "exam/legitimate/c.jpg"):
        cloud.s3.put_object(Bucket="data", Key=key, Body=b"GIF89a")
        settle(cloud, key)
    exam, cats, fake = items(admin, show="rejected")
    assert (exam["folder"], exam["label"], exam["name"]) == ("exam", REAL, "c.jpg")
    assert (cats["name"], cats["label"]) == ("cats/a.jpg", None)
    assert cats["rejected"]["reason"] == "unknown-label"
    assert (fake["name"], fake["label"], fake["width"]) == ("b.jpg", FAKE, None)
    assert "GIF" in fake["rejected"]["detail"]
    assert requests.get(fake["url"], timeout=5).content == b"GIF89a"
    assert keys(admin, show="rejected", q="B.j") == ["rejected/train/clickbait/b.jpg"]
    assert keys(admin, show="rejected", label=FAKE) == ["rejected/train/clickbait/b.jpg"]
    assert keys(admin, show="rejected", side="exam") == ["rejected/exam/legitimate/c.jpg"]
    assert keys(admin, show="rejected", side="train") == []
    first = admin.get("/dataset/images?show=rejected&limit=2").json()
    rest = admin.get("/dataset/images", params={"show": "rejected", "cursor": first["next"]}).json()
    assert [one["name"] for one in first["items"] + rest["items"]] == [
        "c.jpg",
        "cats/a.jpg",
        "b.jpg",
    ]
    assert rest["next"] is None


@pytest.mark.parametrize("show", [None, "duplicates"])
def test_pages_have_every_image_once_whatever_is_added_in_between(
    admin: TestClient, cloud: Any, show: str | None
) -> None:
    data = encoded(picture())
    named = [f"{folder}/clickbait/{n}.jpg" for folder in ("exam", "train") for n in range(5)]
    for key in named:
        drop(cloud, key, data)
    found: list[str] = []
    query: dict[str, Any] = {"limit": 3} | ({"show": show} if show else {})
    while True:
        page = admin.get("/dataset/images", params=query).json()
        found += [item["key"] for item in page["items"]]
        if page["next"] is None:
            break
        drop(cloud, "exam/clickbait/0.jpg", data)
        query["cursor"] = page["next"]
    assert found == named


def test_a_filter_that_matches_little_ends_the_page_early_with_a_cursor(
    admin: TestClient, cloud: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labelled, "MAX_READ", 2)
    for n in range(5):
        drop(cloud, f"train/clickbait/{n}.jpg", encoded(picture(seed=n)))
    first = admin.get("/dataset/images?q=4").json()
    assert first["items"] == [] and first["next"]
    second = admin.get("/dataset/images", params={"q": "4", "cursor": first["next"]}).json()
    third = admin.get("/dataset/images", params={"q": "4", "cursor": second["next"]}).json()
    assert [one["name"] for one in third["items"]] == ["4.jpg"]


@pytest.mark.parametrize(
    "query",
    [
        "label=clickbait", "side=all", "show=mine", "limit=0", "limit=101", "cursor=x",
        f"q={'x' * 201}", "cursor=Y2hhbmdlczp4",
    ],
)  # fmt: skip
def test_a_wrong_filter_is_422(admin: TestClient, query: str) -> None:
    answer = admin.get(f"/dataset/images?{query}")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"].startswith("query.")


def test_a_damaged_item_of_another_version_is_left_out(admin: TestClient, cloud: Any) -> None:
    drop(cloud, A)
    aws.put_item("table", {"pk": "image#", "sk": "train/clickbait/0.jpg", "label": FAKE})
    assert keys(admin) == [A]


# --- changing ------------------------------------------------------------------------------------


def test_a_relabelled_image_keeps_its_name_and_is_decided(admin: TestClient, cloud: Any) -> None:
    data = encoded(picture())
    drop(cloud, A, data, origin="phone")
    answer = patch(admin, A, label=REAL)
    key = "train/legitimate/a b.jpg"
    assert answer["outcome"] == "relabelled" and answer["problem"] is None
    assert (answer["id"], answer["image"]["id"]) == (id_of(A), id_of(key))
    assert (answer["image"]["label"], answer["image"]["decided"]) == (REAL, True)
    assert requests.get(answer["image"]["url"], timeout=5).content == data
    assert keys(admin) == [key]
    before = state(cloud)
    assert before[key][:3] == (data, {"origin": "phone", "decided": "admin"}, "image/jpeg")
    settle(cloud, A, key)
    assert state(cloud) == before
    (change,) = admin.get("/dataset/changes").json()["items"]
    assert change["id"] == answer["change"]
    assert change["by"].startswith("admin, request ")
    assert (change["action"], change["key"], change["undone"]) == ("relabelled", A, None)
    assert (change["before"]["label"], change["after"]["label"]) == (FAKE, REAL)
    assert (change["before"]["decided"], change["after"]["decided"]) == (False, True)


@pytest.mark.parametrize(
    ("key", "change", "target", "outcome"),
    [
        ("train/clickbait_fake/d/a.jpg", {"label": REAL}, "train/clickbait_real/d/a.jpg",
         "relabelled"),
        ("train/clickbait/a.jpg", {"folder": "exam"}, "exam/clickbait/a.jpg", "moved"),
        ("exam/legitimate/a.jpg", {"folder": "train", "label": FAKE}, "train/clickbait/a.jpg",
         "relabelled"),
        ("train/legitimate/a.jpg", {"label": REAL}, "train/legitimate/a.jpg", "confirmed"),
        ("exam/legitimate/a.jpg", {"folder": "exam"}, "exam/legitimate/a.jpg", "unchanged"),
    ],
)  # fmt: skip
def test_a_change_moves_the_file_and_undoing_it_restores_everything(
    admin: TestClient, cloud: Any, key: str, change: dict[str, Any], target: str, outcome: str
) -> None:
    drop(cloud, key, origin="phone")
    before = state(cloud)
    answer = patch(admin, key, **change)
    assert answer["outcome"] == outcome
    assert list(state(cloud)) == [target] == [answer["image"]["key"]]
    assert answer["image"]["decided"] == ("label" in change)
    assert cloud.s3.head_object(Bucket="data", Key=target)["Metadata"] == {"origin": "phone"} | (
        {"decided": "admin"} if "label" in change else {}
    )
    if outcome == "unchanged":
        assert answer["change"] is None
        assert admin.get("/dataset/changes").json()["items"] == []
        return
    undone = admin.post(f"/dataset/changes/{answer['change']}/undo")
    data_schemas.ChangeUndone.model_validate_json(undone.content)
    assert undone.json()["change"]["undone"]
    assert undone.json()["image"]["key"] == key
    assert state(cloud) == before
    settle(cloud, key, target)
    assert state(cloud) == before
    again = admin.post(f"/dataset/changes/{answer['change']}/undo")
    assert again.status_code == 409 and "undone" in again.json()["detail"]


def test_a_confirmed_label_is_not_confirmed_again(admin: TestClient, cloud: Any) -> None:
    drop(cloud, A)
    assert patch(admin, A, label=FAKE)["outcome"] == "confirmed"
    assert patch(admin, A, label=FAKE)["outcome"] == "unchanged"
    assert len(admin.get("/dataset/changes").json()["items"]) == 1


def test_an_accepted_correction_of_before_counts_as_decided(admin: TestClient, cloud: Any) -> None:
    key = "train/clickbait_real/feedback-20261120-101010-0123456789ab.jpg"
    drop(cloud, key)
    (image,) = items(admin)
    assert image["decided"]


def test_moving_to_the_exam_keeps_whether_an_admin_decided(admin: TestClient, cloud: Any) -> None:
    drop(cloud, A, decided="admin")
    answer = patch(admin, A, folder="exam")
    assert answer["image"]["decided"] and answer["image"]["side"] == "exam"


def test_another_image_of_the_same_name_is_never_replaced(admin: TestClient, cloud: Any) -> None:
    drop(cloud, "train/clickbait/001.jpg", encoded(picture(seed=1)))
    other = encoded(picture(seed=2))
    drop(cloud, "train/legitimate/001.jpg", other)
    answer = patch(admin, "train/clickbait/001.jpg", label=REAL)
    key = answer["image"]["key"]
    assert key.startswith("train/legitimate/001-") and key.endswith(".jpg")
    assert state(cloud)["train/legitimate/001.jpg"][0] == other
    assert admin.post(f"/dataset/changes/{answer['change']}/undo").status_code == 200
    assert keys(admin) == ["train/clickbait/001.jpg", "train/legitimate/001.jpg"]


def test_the_same_image_under_the_other_label_becomes_one(admin: TestClient, cloud: Any) -> None:
    data = encoded(picture())
    drop(cloud, "train/clickbait/1.jpg", data)
    drop(cloud, "train/legitimate/1.jpg", data)
    assert patch(admin, "train/clickbait/1.jpg", label=REAL)["outcome"] == "relabelled"
    assert keys(admin) == ["train/legitimate/1.jpg"]


def test_a_removed_image_is_gone_and_can_be_restored_as_it_was(
    admin: TestClient, cloud: Any
) -> None:
    drop(cloud, A, origin="phone", decided="admin")
    drop(cloud, E)
    before = state(cloud)
    removed = admin.delete(f"/dataset/images/{id_of(A)}")
    data_schemas.ImageChanged.model_validate_json(removed.content)
    assert (removed.json()["outcome"], removed.json()["image"]) == ("removed", None)
    assert keys(admin) == [E]
    settle(cloud, A)
    assert keys(admin) == [E]
    (change,) = admin.get("/dataset/changes").json()["items"]
    assert (change["action"], change["after"]) == ("removed", None)
    undone = admin.post(f"/dataset/changes/{change['id']}/undo").json()
    assert undone["image"]["key"] == A
    assert state(cloud) == before
    settle(cloud, A)
    assert state(cloud) == before


def test_what_s3_deleted_for_good_cannot_be_restored(admin: TestClient, cloud: Any) -> None:
    drop(cloud, A)
    change = admin.delete(f"/dataset/images/{id_of(A)}").json()["change"]
    for one in cloud.s3.list_object_versions(Bucket="data")["Versions"]:
        cloud.s3.delete_object(Bucket="data", Key=A, VersionId=one["VersionId"])
    answer = admin.post(f"/dataset/changes/{change}/undo")
    assert answer.status_code == 409 and "week" in answer.json()["detail"]


def test_a_change_is_not_undone_over_a_later_one(admin: TestClient, cloud: Any) -> None:
    drop(cloud, A)
    first = patch(admin, A, label=REAL)
    second = patch(admin, first["image"]["key"], folder="exam")
    answer = admin.post(f"/dataset/changes/{first['change']}/undo")
    assert answer.status_code == 409 and "later changes" in answer.json()["detail"]
    assert admin.post(f"/dataset/changes/{second['change']}/undo").status_code == 200
    assert admin.post(f"/dataset/changes/{first['change']}/undo").status_code == 200
    assert keys(admin) == [A]


def test_undoing_replaces_no_image_that_came_in_between(admin: TestClient, cloud: Any) -> None:
    drop(cloud, A)
    change = patch(admin, A, label=REAL)["change"]
    removal = admin.delete(f"/dataset/images/{id_of('train/legitimate/a b.jpg')}").json()["change"]
    other = encoded(picture(seed=99))
    drop(cloud, A, other)
    drop(cloud, "train/legitimate/a b.jpg", other)
    for one in (change, removal):
        answer = admin.post(f"/dataset/changes/{one}/undo")
        assert answer.status_code == 409, answer.text
    assert state(cloud)[A][0] == other


@pytest.mark.parametrize(
    "image",
    [
        "x", "!", "%00", id_of("train/clickbait/missing.jpg"), id_of("feedback/a"), id_of("train/"),
        id_of("train/cats/a.jpg"), id_of("train/clickbait/"), id_of("train/clickbait/../../x.jpg"),
        id_of("train/clickbait/._hidden.jpg"), id_of("rejected/train/clickbait/a.jpg"),
        id_of("inbox/b/a.jpg"), id_of(A) + "=", id_of("") or "_", "train%2Fclickbait%2Fa b.jpg",
    ],
)  # fmt: skip
def test_an_unknown_image_is_404_and_nothing_happens(
    admin: TestClient, cloud: Any, image: str
) -> None:
    drop(cloud, A)
    for key in ("feedback/a", "inbox/b/a.jpg", "rejected/train/clickbait/a.jpg"):
        cloud.s3.put_object(Bucket="data", Key=key, Body=b"x")
    before = cloud.keys("data")
    for answer in (
        admin.patch(f"/dataset/images/{image}", json={"label": REAL}),
        admin.delete(f"/dataset/images/{image}"),
    ):
        assert answer.status_code == 404, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
    assert cloud.keys("data") == before
    assert list(aws.query("table", "changing#")) == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "label"), ({"label": None}, "label"), ({"label": "clickbait"}, "label"),
        ({"folder": "inbox"}, "folder"), ({"label": REAL, "key": "x"}, "key"), ([], "body"),
    ],
)  # fmt: skip
def test_a_wrong_change_is_422_naming_the_field(
    admin: TestClient, cloud: Any, body: Any, field: str
) -> None:
    drop(cloud, A)
    answer = admin.patch(f"/dataset/images/{id_of(A)}", json=body)
    assert answer.status_code == 422
    assert field in answer.json()["errors"][0]["field"]


@pytest.mark.parametrize("change", ["x", "20261126-101502-123456-a1b2c3", "..%2Fx", "é"])
def test_an_unknown_change_cannot_be_undone(admin: TestClient, change: str) -> None:
    assert admin.post(f"/dataset/changes/{change}/undo").status_code == 404


def test_a_name_that_is_too_long_for_its_new_folder_is_refused(
    admin: TestClient, cloud: Any
) -> None:
    key = f"train/clickbait/{'d/' * 450}{'n' * 1024}"[:1020] + ".jpg"
    drop(cloud, key)
    answer = admin.patch(f"/dataset/images/{id_of(key)}", json={"label": REAL})
    assert answer.status_code == 409 and "too long" in answer.json()["detail"]
    assert keys(admin) == [key]
    assert admin.get("/dataset/changes").json()["items"] == []


# --- many at once --------------------------------------------------------------------------------


def bulk(admin: TestClient, ids: list[str], **change: Any) -> list[dict[str, Any]]:
    answer = admin.post("/dataset/images", json={"ids": ids, **change})
    assert answer.status_code == 200, answer.text
    data_schemas.ImagesChanged.model_validate_json(answer.content)
    return list(answer.json()["items"])


def test_a_hundred_images_are_changed_at_once_and_a_wrong_one_hinders_no_other(
    admin: TestClient, cloud: Any
) -> None:
    named = [f"train/clickbait/{n:02}.jpg" for n in range(8)]
    data = encoded(picture((32, 32)))
    for key in named:
        drop(cloud, key, data)
    missing = [id_of(f"train/clickbait/missing {n}.jpg") for n in range(91)]
    ids = [*map(id_of, named), "x", *missing]
    found = bulk(admin, ids, label=REAL)
    assert [one["id"] for one in found] == ids
    assert [one["outcome"] for one in found] == ["relabelled"] * 8 + [None] * 92
    assert {one["problem"]["status"] for one in found[8:]} == {404}
    assert len(keys(admin, label=REAL)) == 8
    moved = [one["image"]["id"] for one in found[:3]]
    assert [one["outcome"] for one in bulk(admin, moved, remove=True)] == ["removed"] * 3
    assert len(keys(admin)) == 5


def test_the_same_id_twice_is_changed_once(admin: TestClient, cloud: Any) -> None:
    drop(cloud, A)
    (one,) = bulk(admin, [id_of(A), id_of(A)], folder="exam")
    assert one["outcome"] == "moved"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"label": REAL}, "ids"), ({"ids": [], "label": REAL}, "ids"),
        ({"ids": ["x"] * 101, "label": REAL}, "ids"), ({"ids": ["x"]}, "label"),
        ({"ids": ["x"], "remove": True, "label": REAL}, "remove"),
        ({"ids": ["x"], "remove": False}, "remove"), ({"ids": ["x" * 1401], "label": REAL}, "ids"),
    ],
)  # fmt: skip
def test_a_wrong_change_of_many_is_422(admin: TestClient, body: Any, field: str) -> None:
    answer = admin.post("/dataset/images", json=body)
    assert answer.status_code == 422
    assert field in answer.json()["errors"][0]["field"]


# --- who did what --------------------------------------------------------------------------------


def test_changes_are_listed_newest_first_in_pages(admin: TestClient, cloud: Any) -> None:
    drop(cloud, A)
    made = []
    key = A
    for label in (REAL, FAKE, REAL):
        answer = patch(admin, key, label=label)
        key = answer["image"]["key"]
        made.append(answer["change"])
    first = admin.get("/dataset/changes?limit=2")
    data_schemas.Changes.model_validate_json(first.content)
    rest = admin.get("/dataset/changes", params={"cursor": first.json()["next"]}).json()
    found = [one["id"] for one in [*first.json()["items"], *rest["items"]]]
    assert found == made[::-1]
    for query in ("limit=101", "cursor=x", "cursor=Y2hhbmdlczp4"):
        assert admin.get(f"/dataset/changes?{query}").status_code == 422
    expires = aws.get_item("table", "change#", made[0])["expires"]
    assert 364 * 86_400 < expires - time.time() < 366 * 86_400


def test_the_figures_of_the_data_set_follow_a_change_at_once(admin: TestClient, cloud: Any) -> None:
    drop(cloud, A)
    drop(cloud, B)
    mark_trained("models", list_images("data"))
    patch(admin, A, label=REAL)
    body = admin.get("/dataset").json()
    assert body["counts"] == {FAKE: 0, REAL: 2}
    assert body["waiting"]["images"] == 1
    assert [one["trained"] for one in items(admin)] == [False, True]
    patch(admin, "train/legitimate/a b.jpg", folder="exam")
    assert admin.get("/dataset").json()["images"] == 1


# --- two at a time, and killed in between --------------------------------------------------------


def test_of_two_admins_who_change_an_image_one_succeeds(
    admin: TestClient, cloud: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop(cloud, A)
    for service in ("s3", "dynamodb"):
        aws.client(service)
    write, one_at_a_time = aws._write, Lock()

    def atomic(*given: Any, **more: Any) -> Any:
        # DynamoDB checks a condition and writes in one step. moto does not, between threads.
        with one_at_a_time:
            return write(*given, **more)

    monkeypatch.setattr(aws, "_write", atomic)

    def ask(body: dict[str, Any]) -> int:
        return admin.patch(f"/dataset/images/{id_of(A)}", json=body).status_code

    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(ask, [{"label": REAL}, {"folder": "exam"}] * 4))
    assert codes.count(200) == 1
    assert set(codes) == {200, 404} or set(codes) == {200, 404, 409} or set(codes) == {200, 409}
    assert len(cloud.keys("data")) == len(keys(admin)) == 1
    assert len(admin.get("/dataset/changes").json()["items"]) == 1


def test_an_image_that_is_replaced_during_a_change_is_not_deleted(
    admin: TestClient, cloud: Any
) -> None:
    drop(cloud, A)
    new = encoded(picture(seed=50))
    left = [lambda: cloud.s3.put_object(Bucket="data", Key=A, Body=new)]

    def happen(**_: Any) -> None:
        if left:
            left.pop()()

    cloud.s3.meta.events.register_first("before-call.s3.DeleteObject", happen)
    try:
        answer = admin.patch(f"/dataset/images/{id_of(A)}", json={"label": REAL})
    finally:
        cloud.s3.meta.events.unregister("before-call.s3.DeleteObject", happen)
    assert answer.status_code == 409, answer.text
    assert cloud.s3.get_object(Bucket="data", Key=A)["Body"].read() == new


class Killed(BaseException):
    """The process ends here."""


@contextmanager
def killed_at(monkeypatch: pytest.MonkeyPatch, step: str) -> Iterator[None]:
    """Run the block, which dies just before the n-th call `service.Operation:n`."""
    service, _, operation = step.partition(".")
    operation, _, nth = operation.partition(":")
    left = [int(nth or 1)]

    def die(**_: Any) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise Killed

    event, events = f"before-call.{service}.{operation}", aws.client(service).meta.events
    events.register_first(event, die)
    try:
        with monkeypatch.context() as patched:
            patched.setattr(changes.Changes, "_release", lambda *_: None)  # Nothing runs any more.
            with pytest.raises(Killed):
                yield
    finally:
        events.unregister(event, die)


@contextmanager
def after_the_lease(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with clock_moved(monkeypatch, changes.LEASE_SECONDS + 1):
        yield


@contextmanager
def clock_moved(monkeypatch: pytest.MonkeyPatch, seconds: float) -> Iterator[None]:
    moved = time.time() + seconds
    with monkeypatch.context() as patched:
        patched.setattr(changes.time, "time", lambda: moved)
        yield


STEPS = {
    "relabelled": ["s3.CopyObject", "s3.HeadObject:3", "dynamodb.PutItem:3", "s3.DeleteObject",
                   "dynamodb.DeleteItem"],
    "removed": ["dynamodb.PutItem:2", "s3.DeleteObject", "dynamodb.DeleteItem"],
}  # fmt: skip


@pytest.mark.parametrize(("what", "step"), [(w, s) for w, steps in STEPS.items() for s in steps])
def test_a_change_that_is_killed_loses_nothing_and_ends_well_when_it_is_repeated(
    admin: TestClient, cloud: Any, monkeypatch: pytest.MonkeyPatch, what: str, step: str
) -> None:
    drop(cloud, A)
    before = state(cloud)
    store = changes.Changes("data", "table")

    def change() -> changes.Changed:
        return store.move(A, "admin", REAL) if what == "relabelled" else store.remove(A, "admin")

    with killed_at(monkeypatch, step):
        change()
    assert cloud.s3.list_object_versions(Bucket="data")["Versions"]
    answer = admin.patch(f"/dataset/images/{id_of(A)}", json={"label": REAL})
    assert answer.status_code == 409 and "Try again" in answer.json()["detail"]
    with after_the_lease(monkeypatch):
        done = change()
    assert done.outcome == what
    assert len(cloud.keys("data")) == (what == "relabelled")
    (recorded,) = admin.get("/dataset/changes").json()["items"]
    assert recorded["id"] == done.change
    settle(cloud, A, "train/legitimate/a b.jpg")
    assert len(keys(admin)) == len(cloud.keys("data"))
    assert admin.post(f"/dataset/changes/{recorded['id']}/undo").status_code == 200
    assert state(cloud) == before


def test_a_clock_that_is_set_back_keeps_no_image_from_being_changed(
    cloud: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop(cloud, A)
    store = changes.Changes("data", "table")
    with clock_moved(monkeypatch, 3_600), killed_at(monkeypatch, "s3.DeleteObject"):
        store.remove(A, "admin")
    assert store.remove(A, "admin").outcome == "removed"


@pytest.mark.parametrize("step", [step for steps in STEPS.values() for step in steps[:-1]])
def test_a_killed_change_can_be_undone_without_repeating_it(
    cloud: Any, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    drop(cloud, A)
    before = state(cloud)
    store = changes.Changes("data", "table")
    with killed_at(monkeypatch, step):
        store.move(A, "admin", REAL)
    with after_the_lease(monkeypatch):
        for recorded in store.page(10, None)[0]:
            store.undo(recorded["id"], "admin")
    settle(cloud, A, "train/legitimate/a b.jpg")
    assert state(cloud) == before


@pytest.mark.parametrize("step", ["s3.CopyObject", "s3.DeleteObject", "dynamodb.UpdateItem"])
def test_undoing_that_is_killed_ends_well_when_it_is_repeated(
    cloud: Any, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    drop(cloud, A)
    before = state(cloud)
    store = changes.Changes("data", "table")
    made = str(store.move(A, "admin", REAL).change)
    with killed_at(monkeypatch, step):
        store.undo(made, "admin")
    with after_the_lease(monkeypatch):
        store.undo(made, "admin")
    assert state(cloud) == before
