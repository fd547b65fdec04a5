"""trained: content and label are what a run has examined; each change of one is news."""

import json
from collections.abc import Iterator

import pytest

from clickbait import aws
from clickbait.store.trained import (
    Listing,
    News,
    Trained,
    digest,
    list_images,
    mark_trained,
    read_trained,
)
from tests.cloud import cloud_in_memory

ETAGS = {"a": "1", "b": "2", "c": "3"}
IMAGES = {"train/clickbait/a": "1", "train/clickbait/b": "2", "train/legitimate/c": "3"}


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with cloud_in_memory("data", "models", sharing=monkeypatch):
        yield


def put(key: str, body: str, bucket: str = "data") -> None:
    aws.client("s3").put_object(Bucket=bucket, Key=key, Body=body.encode())


def after(images: Listing = IMAGES, exam: Listing | None = None) -> Trained:
    """The stored record after a run that examined `images`."""
    mark_trained("models", images, exam or {})
    return read_trained("models")


def test_the_images_of_the_last_run_are_no_news(cloud: None) -> None:
    trained = after(IMAGES, {"exam/legitimate/x": "9"})
    assert trained.news(IMAGES, {"exam/legitimate/x": "9"}) == News()
    assert trained.unseen(IMAGES) == []


def test_a_renamed_image_is_no_news(cloud: None) -> None:
    trained = after()
    renamed = {f"{key} again.jpg": etag for key, etag in IMAGES.items()}
    aliased = {key.replace("clickbait/", "clickbait_fake/"): e for key, e in IMAGES.items()}
    for images in (renamed, aliased, IMAGES | renamed):
        assert trained.news(images, {}) == News()


def test_new_moved_and_removed_images_and_a_changed_exam_set_are_news(cloud: None) -> None:
    exam = {"exam/legitimate/x": "8", "exam/clickbait/y": "9"}
    trained = after(IMAGES, exam)
    images = {"train/legitimate/a": "1", "train/clickbait/b": "2", "train/clickbait/d": "4"}
    news = trained.news(images, {"exam/clickbait/x": "8", "exam/clickbait/y": "9"})
    assert news == News(new=1, moved=1, removed=1, exam=1, total=4)
    assert trained.unseen(images) == ["train/clickbait/d", "train/legitimate/a"]
    assert str(news) == (
        "1 new image, 1 relabelled image, 1 removed image and 1 changed exam image"
    )
    assert trained.news(IMAGES, {}).exam == 2


def test_an_image_moved_to_the_exam_set_counts_once(cloud: None) -> None:
    trained = after()
    news = trained.news({k: e for k, e in IMAGES.items() if e != "3"}, {"exam/legitimate/c": "3"})
    assert news == News(removed=1, exam=1, total=1)


def test_an_image_moved_there_and_back_is_news_each_time(cloud: None) -> None:
    moved = IMAGES | {"train/clickbait/c": "3"}
    del moved["train/legitimate/c"]
    after()
    assert after(moved).news(IMAGES, {}) == News(moved=1, total=1)


def test_a_copy_with_the_other_label_is_news(cloud: None) -> None:
    both = IMAGES | {"train/legitimate/a copy": "1"}
    trained = after()
    assert trained.news(both, {}) == News(moved=1, total=1)
    assert trained.unseen(both) == ["train/legitimate/a copy"]
    assert after(both).news(IMAGES, {}) == News(moved=1, total=1)


def test_the_exam_set_is_news_only_after_a_run_reported_one(cloud: None) -> None:
    mark_trained("models", IMAGES)
    exam = {"exam/legitimate/x": "9"}
    assert read_trained("models").news(IMAGES, exam) == News()
    mark_trained("models", IMAGES, exam)
    mark_trained("models", IMAGES)
    assert read_trained("models").news(IMAGES, {}) == News(exam=1, total=1)


def test_a_rejected_image_is_examined_and_left_out_until_it_changes(cloud: None) -> None:
    mark_trained("models", IMAGES, {}, rejected=["train/clickbait/b", "train/clickbait/gone"])
    more = IMAGES | {"train/clickbait/d": "4"}
    trained = read_trained("models")
    assert trained.unseen(more) == ["train/clickbait/d"]
    assert trained.left_out(more) == {"train/clickbait/b"}
    assert trained.left_out({"train/clickbait/renamed": "2"}) == {"train/clickbait/renamed"}
    assert trained.left_out({"train/legitimate/b": "2", "train/clickbait/b": "5"}) == set()


def test_a_rejection_lasts_over_later_runs_until_one_takes_it_back(cloud: None) -> None:
    mark_trained("models", IMAGES, {}, rejected=["train/clickbait/b"])
    assert after().left_out(IMAGES) == {"train/clickbait/b"}
    mark_trained("models", IMAGES, {}, rejected=[])
    assert read_trained("models").left_out(IMAGES) == set()
    mark_trained("models", IMAGES, {}, rejected=["train/clickbait/b"])
    after({"train/legitimate/b": "2"})
    assert after().left_out(IMAGES) == set(), "it lay in the other folder meanwhile"


def test_the_list_of_etags_of_version_0_1_0_is_read(cloud: None) -> None:
    """It has no labels and names images that are gone, so only new content is news."""
    put("trained.json", json.dumps(["1", "3", "long gone"]), "models")
    trained = read_trained("models")
    assert trained.news(IMAGES, {"exam/legitimate/x": "9"}) == News(new=1, total=1)
    assert trained.unseen(IMAGES) == ["train/clickbait/b"]
    moved = {"train/legitimate/a": "1"}
    assert trained.news(moved, {}) == News()
    assert after(moved).news({"train/clickbait/a": "1"}, {}) == News(moved=1, total=1)


@pytest.mark.parametrize(
    "damaged", ["", "{", "null", "7", '{"train": {}}', '{"train": 1, "exam": null, "rejected": {}}']
)
def test_after_damage_all_images_are_new_and_the_next_run_mends_it(
    cloud: None, damaged: str
) -> None:
    put("trained.json", damaged, "models")
    assert read_trained("models").news(IMAGES, {}) == News(new=3, total=3)
    assert after().news(IMAGES, {}) == News()


def test_before_the_first_run_all_images_are_new(cloud: None) -> None:
    assert read_trained("models").unseen(IMAGES) == sorted(IMAGES)
    assert str(read_trained("models").news(IMAGES, {})) == "3 new images"
    assert str(News()) == "no new image"


def test_a_listing_and_its_digest_follow_names_contents_and_labels(cloud: None) -> None:
    for key in (
        "train/clickbait/a.jpg",
        "train/clickbait/._b.jpg",
        "train/x.jpg",
        "exam/clickbait/c",
    ):
        put(key, key)
    before = list_images("data")
    assert list(before) == ["train/clickbait/a.jpg"]
    assert list(list_images("data", "exam/")) == ["exam/clickbait/c"]
    assert digest(before) == digest(list_images("data"))
    put("train/clickbait/a.jpg", "other content")
    assert digest(before) != digest(list_images("data"))
    (etag,) = before.values()
    assert digest(before) != digest({"train/legitimate/a.jpg": etag})
