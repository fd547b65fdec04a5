"""Corrections: checked, stored, and added to the training data only by an admin."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from fastapi.testclient import TestClient

from clickbait import aws, youtube
from clickbait.inference.images import sha256
from clickbait.keys import LABEL_OF_FOLDER
from functions.admin import schemas
from functions.admin.feedback import BODY
from tests.samples.drawn import encoded, picture
from tests.samples.video_host import BEST, ID, StandIn, serving

JPEG = encoded(picture())


def give(client: TestClient, data: bytes = JPEG, name: str = "a.jpg", **fields: Any) -> Any:
    fields = {"label": "clickbait"} | fields
    return client.post("/feedback", files={"file": (name, data, "image/jpeg")}, data=fields)


def test_a_correction_waits_and_is_listed_with_a_link_to_its_image(
    admin: TestClient, cloud: Any
) -> None:
    answer = give(admin, prediction="clickbait_real", model_version="20990101-000000-aaaaaa")
    assert answer.status_code == 201
    schemas.FeedbackAnswer.model_validate_json(answer.content, strict=True)
    given = answer.json()
    assert given["label"] == "clickbait_fake"
    assert given["image"]["width"] == 640
    assert given["file_name"] == "a.jpg"
    assert cloud.keys("data") == [f"feedback/{given['id']}"]

    listed = admin.get("/feedback")
    schemas.FeedbackList.model_validate_json(listed.content, strict=True)
    (item,) = listed.json()["items"]
    assert (item["id"], item["at"], item["label"]) == (given["id"], given["at"], given["label"])
    assert item["bytes"] == len(JPEG)
    assert item["prediction"] == "clickbait_real"
    assert item["model_version"] == "20990101-000000-aaaaaa"
    query = parse_qs(urlsplit(item["url"]).query)
    assert query["X-Amz-Expires"] == ["300"]
    assert query["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
    assert given["id"] in urlsplit(item["url"]).path


def test_a_page_may_send_an_unknown_field_empty_as_the_document_says(
    admin: TestClient,
) -> None:
    assert give(admin, prediction="", model_version="").status_code == 201
    (item,) = admin.get("/feedback").json()["items"]
    assert item["prediction"] is None and item["model_version"] is None
    form = BODY["content"]["multipart/form-data"]["schema"]["properties"]
    assert "" in form["prediction"]["enum"]
    taken = re.compile(form["model_version"]["pattern"])
    assert taken.search("") and taken.search("a-1") and not taken.search("../x")


@pytest.mark.parametrize(("kind", "extension"), [("JPEG", "jpg"), ("PNG", "png"), ("WEBP", "webp")])
def test_an_accepted_correction_is_added_to_the_training_data_once(
    admin: TestClient, cloud: Any, kind: str, extension: str
) -> None:
    data = encoded(picture(), kind)
    given = give(admin, data, label="legitimate").json()["id"]
    answer = admin.post(f"/feedback/{given}/accept")
    assert answer.status_code == 200
    schemas.AcceptAnswer.model_validate_json(answer.content, strict=True)
    key = f"train/clickbait_real/feedback-{given}.{extension}"
    assert answer.json()["key"] == key
    assert cloud.keys("data") == [key]
    assert cloud.s3.get_object(Bucket="data", Key=key)["Body"].read() == data
    for decision in ("accept", "reject"):
        assert admin.post(f"/feedback/{given}/{decision}").status_code == 404
    assert cloud.keys("data") == [key]


def test_a_rejected_correction_is_deleted(admin: TestClient, cloud: Any) -> None:
    given = give(admin).json()["id"]
    answer = admin.post(f"/feedback/{given}/reject")
    assert answer.status_code == 200
    schemas.RejectAnswer.model_validate_json(answer.content, strict=True)
    assert cloud.keys("data") == []
    for decision in ("accept", "reject"):
        assert admin.post(f"/feedback/{given}/{decision}").status_code == 404


@pytest.mark.parametrize("decision", ["accept", "reject"])
@pytest.mark.parametrize("unknown", ["x", "20990101-000000-aaaaaaaaaaaa", "..%2Ftrain", "é"])
def test_an_unknown_correction_is_404(admin: TestClient, decision: str, unknown: str) -> None:
    answer = admin.post(f"/feedback/{unknown}/{decision}")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_two_admins_at_the_same_moment_add_one_training_image(
    admin: TestClient, cloud: Any, monkeypatch
) -> None:
    given = give(admin).json()["id"]
    s3 = aws.client("s3")
    delete, answers = s3.delete_object, []

    def second_comes(**what: Any) -> Any:
        """The second admin decides between the first one's copy and deletion."""
        monkeypatch.setattr(s3, "delete_object", delete)
        answers.append(admin.post(f"/feedback/{given}/accept").status_code)
        return delete(**what)

    monkeypatch.setattr(s3, "delete_object", second_comes)
    answers.append(admin.post(f"/feedback/{given}/accept").status_code)
    assert answers == [200, 200]
    assert len(cloud.keys("data", "train/")) == 1
    assert cloud.keys("data", "feedback/") == []


def test_a_correction_that_another_admin_decides_before_the_copy_is_404(
    admin: TestClient, cloud: Any, monkeypatch
) -> None:
    from clickbait.store.feedback import Feedback

    given = give(admin).json()["id"]
    head = Feedback._head

    def late(self: Feedback, id: str) -> Any:
        found = head(self, id)
        cloud.s3.delete_object(Bucket="data", Key=f"feedback/{id}")
        return found

    monkeypatch.setattr(Feedback, "_head", late)
    assert admin.post(f"/feedback/{given}/accept").status_code == 404
    assert cloud.keys("data") == []


def test_the_list_comes_in_pages_oldest_first(admin: TestClient, cloud: Any) -> None:
    ids = [f"2099010{n}-000000-aaaaaaaaaaaa" for n in (3, 1, 5, 2, 4)]
    for one in ids:
        cloud.s3.put_object(Bucket="data", Key=f"feedback/{one}", Body=JPEG)
    seen, cursor = [], None
    while True:
        body = admin.get(
            "/feedback", params={"limit": 2} | ({"cursor": cursor} if cursor else {})
        ).json()
        seen += [item["id"] for item in body["items"]]
        cursor = body["next"]
        if cursor is None:
            break
    assert seen == sorted(ids)


def test_a_foreign_object_has_no_label_and_can_only_be_rejected(
    admin: TestClient, cloud: Any
) -> None:
    one = "20990101-000000-aaaaaaaaaaaa"
    cloud.s3.put_object(Bucket="data", Key=f"feedback/{one}", Body=JPEG)
    cloud.s3.put_object(Bucket="data", Key="feedback/notes.txt", Body=b"x")
    listed = admin.get("/feedback")
    schemas.FeedbackList.model_validate_json(listed.content, strict=True)
    (item,) = listed.json()["items"]
    assert item["label"] is None
    assert admin.post(f"/feedback/{one}/accept").status_code == 409
    assert admin.post(f"/feedback/{one}/reject").status_code == 200


@pytest.mark.parametrize("label", LABEL_OF_FOLDER)
def test_every_name_of_a_label_is_accepted(admin: TestClient, label: str) -> None:
    assert give(admin, label=label).json()["label"] == LABEL_OF_FOLDER[label]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"label": ""}, "label"),
        ({"label": "fake"}, "label"),
        ({"label": "Clickbait"}, "label"),
        ({"prediction": "clickbait"}, "prediction"),
        ({"model_version": "../x"}, "model_version"),
        ({"model_version": "x" * 65}, "model_version"),
        ({"note": "hello"}, "note"),
    ],
)
def test_a_field_that_is_wrong_or_unknown_is_422_and_named(
    admin: TestClient, cloud: Any, fields: dict[str, str], field: str
) -> None:
    answer = give(admin, **fields)
    assert answer.status_code == 422
    assert [e["field"] for e in answer.json()["errors"]] == [field]
    assert cloud.keys("data") == []


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"", 422),
        (JPEG[:3_000], 422),
        (b"GIF89a", 415),
        (JPEG + bytes(4 * 1024 * 1024 + 1 - len(JPEG)), 413),
    ],
)
def test_an_image_is_checked_as_for_a_prediction(
    admin: TestClient, cloud: Any, data: bytes, status: int
) -> None:
    assert give(admin, data).status_code == status
    assert cloud.keys("data") == []


def test_an_image_of_4_mib_is_kept(admin: TestClient) -> None:
    assert give(admin, JPEG + bytes(4 * 1024 * 1024 - len(JPEG))).status_code == 201


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """The stand-in for YouTube, which has the thumbnail of one video."""
    with serving() as host:
        monkeypatch.setattr(youtube, "_public", host.connect)
        host.answers[BEST] = (200, JPEG)
        yield host


def test_the_thumbnail_of_a_video_is_corrected_by_its_address(
    admin: TestClient, cloud: Any, host: StandIn
) -> None:
    body = {"youtube": f"https://youtu.be/{ID}", "label": "clickbait"}
    given = admin.post("/feedback", json=body | {"prediction": "clickbait_real"})
    assert given.status_code == 201
    schemas.FeedbackAnswer.model_validate_json(given.content, strict=True)
    assert given.json()["image"]["sha256"] == sha256(JPEG)
    (item,) = admin.get("/feedback").json()["items"]
    assert item["file_name"] == given.json()["file_name"] == f"YouTube video {ID}"
    assert (item["label"], item["prediction"]) == ("clickbait_fake", "clickbait_real")
    key = admin.post(f"/feedback/{item['id']}/accept").json()["key"]
    assert cloud.s3.get_object(Bucket="data", Key=key)["Body"].read() == JPEG


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({"file": "x", "label": "clickbait"}, 422, "youtube: Field required"),
        ({"youtube": ID}, 422, "label: Field required"),
        ({"youtube": ID, "label": "spam"}, 422, "label: must be one of"),
        ({"youtube": ID, "label": "clickbait", "model_version": "../x"}, 422, "model_version:"),
        ({"youtube": "http://127.0.0.1/x", "label": "clickbait"}, 422, "no address of a YouTube"),
        ({"youtube": "another-one", "label": "clickbait"}, 404, "deleted or private"),
    ],
)
def test_a_video_that_cannot_be_corrected_is_named_and_nothing_is_kept(
    admin: TestClient, cloud: Any, host: StandIn, body: dict[str, str], status: int, says: str
) -> None:
    answer = admin.post("/feedback", json=body)
    assert answer.status_code == status
    assert says in answer.json()["detail"]
    assert cloud.keys("data") == []
    # A request that is wrong by itself is refused before anything is fetched.
    assert (host.asked == []) == (status == 422)


def test_a_correction_fetches_nothing_for_strangers_or_if_the_service_may_not(
    admin: TestClient, client: TestClient, cloud: Any, host: StandIn
) -> None:
    body = {"youtube": ID, "label": "clickbait"}
    assert client.post("/feedback", json=body).status_code == 401
    cloud.set(FETCH_YOUTUBE="false")
    answer = admin.post("/feedback", json=body)
    assert answer.status_code == 501
    assert "FETCH_YOUTUBE is false" in answer.json()["detail"]
    assert host.asked == []


def test_a_body_of_another_type_is_refused(admin: TestClient) -> None:
    answer = admin.post("/feedback", content=JPEG, headers={"content-type": "image/jpeg"})
    assert answer.status_code == 415
    assert "form" in answer.json()["detail"]
    assert admin.post("/feedback", data={"label": "clickbait"}).status_code == 415
    assert admin.post("/feedback", files={"other": JPEG}).status_code == 422


@pytest.mark.parametrize(
    "name", ["../../train/x.jpg", "日本語" * 100 + ".jpg", "a b;c=%0d%0a.jpg", "x" * 2_000]
)
def test_a_file_name_is_returned_and_used_in_no_key(
    admin: TestClient, cloud: Any, name: str
) -> None:
    given = give(admin, name=name)
    assert given.status_code == 201
    assert cloud.keys("data") == [f"feedback/{given.json()['id']}"]
    (item,) = admin.get("/feedback").json()["items"]
    assert item["file_name"] == given.json()["file_name"][:100]
