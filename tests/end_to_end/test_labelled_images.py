"""Labelled images over the running stack: its events, its versioned bucket, and its permissions."""

import httpx
import pytest

from clickbait.keys import id_of
from tests.samples.shipped import SIDE
from tests.waiting import DEADLINE, eventually

from .test_many import drop, finished, name, picture, post_form

__all__ = ["name"]

pytestmark = pytest.mark.end_to_end


def done(answer: httpx.Response) -> dict:
    assert answer.status_code == 200, answer.text
    return answer.json()


def listed(admin: httpx.Client, **query: str) -> list[dict]:
    return done(admin.get("/dataset/images", params=query))["items"]


def test_an_exam_image_is_uploaded_listed_moved_removed_and_restored(admin, name):
    wanted = {"purpose": "training", "folder": "exam", "label": "legitimate"}
    wanted |= {"content_type": "image/jpeg", "names": [f"{name}.jpg"]}
    (form,) = done(admin.post("/uploads", json=wanted))["items"]
    data = picture(77)
    assert post_form(form, data).is_success
    (image,) = eventually(lambda: listed(admin, side="exam", q=name))
    assert (image["key"], image["width"], image["decided"]) == (form["key"], 320, False)
    assert httpx.get(image["url"], trust_env=False, timeout=DEADLINE).content == data

    place = f"/dataset/images/{image['id']}"
    moved = done(admin.patch(place, json={"folder": "train", "label": "clickbait_fake"}))
    assert moved["image"]["key"].startswith("train/clickbait_fake/")
    assert listed(admin, side="exam", q=name) == []
    removed = done(admin.delete(f"/dataset/images/{moved['image']['id']}"))
    assert eventually(lambda: listed(admin, q=name) == [])
    for change in (removed, moved):
        restored = done(admin.post(f"/dataset/changes/{change['change']}/undo"))["image"]
    assert (restored["key"], restored["decided"]) == (image["key"], False)
    assert httpx.get(restored["url"], trust_env=False, timeout=DEADLINE).content == data
    assert done(admin.delete(place))["outcome"] == "removed"


def test_an_image_of_a_batch_is_labelled_and_the_label_taken_back(stack, admin, api, name):
    drop(stack, name, {f"{name}.jpg": picture(78)})
    finished(admin, name)
    review = f"/review/{id_of(f'inbox/{name}/{name}.jpg')}"
    assert api.get(review).status_code == 401
    seen = done(admin.get(review))
    assert (seen["name"], seen["decision"]) == (f"{name}.jpg", None)
    assert len(seen["prediction"]["heatmap"]) == SIDE
    labelled = done(admin.post(review, json={"label": "clickbait_real"}))
    assert labelled["key"] == f"train/clickbait_real/{name}.jpg"
    (image,) = eventually(lambda: listed(admin, q=name))
    assert image["decided"]
    done(admin.post(f"{review}/undo"))
    assert eventually(lambda: listed(admin, q=name) == [])
