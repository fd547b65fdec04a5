"""GET /review/decisions: what was decided about the rows of a batch."""

from typing import Any

from fastapi.testclient import TestClient

from clickbait import LABELS
from clickbait.keys import id_of
from clickbait.store.results import Row
from clickbait.store.rows import Rows, now
from functions.admin import data_schemas
from tests.samples.drawn import encoded, picture


def put(cloud: Any, batch: str, name: str) -> str:
    """An image of a batch with its row; returns its id."""
    key = f"inbox/{batch}/{name}"
    data = encoded(picture((120, 80), seed=sum(key.encode())))
    etag = cloud.s3.put_object(Bucket="data", Key=key, Body=data)["ETag"].strip('"')
    row = Row(
        name, name, now(), etag, "2026-11-26", LABELS[1], 0.6, 0.6, True, "20260101-000000-abcdef"
    )
    Rows("table", batch).put(row)
    return id_of(key)


def decisions(admin: TestClient, batch: str, **query: Any) -> dict[str, Any]:
    answer = admin.get("/review/decisions", params={"batch": batch, **query})
    assert answer.status_code == 200, answer.text
    data_schemas.ReviewDecisions.model_validate_json(answer.content)
    return dict(answer.json())


def test_decisions_of_a_batch_come_in_pages_and_leave_with_an_undo(
    admin: TestClient, cloud: Any
) -> None:
    enabled = {"Status": "Enabled"}
    cloud.s3.put_bucket_versioning(Bucket="data", VersioningConfiguration=enabled)
    ids = [put(cloud, "spring", f"{n}.jpg") for n in range(3)]
    other = put(cloud, "summer", "0.jpg")
    for one in (*ids, other):
        assert admin.post(f"/review/{one}", json={"label": LABELS[0]}).status_code == 200
    first = decisions(admin, "spring", limit=2)
    second = decisions(admin, "spring", limit=2, cursor=first["next"])
    found = first["items"] + second["items"]
    assert [one["id"] for one in found] == ids
    assert {(one["label"], one["outcome"]) for one in found} == {(LABELS[0], "training")}
    assert second["next"] is None
    assert admin.post(f"/review/{ids[1]}/undo").status_code == 200
    assert [one["id"] for one in decisions(admin, "spring")["items"]] == [ids[0], ids[2]]
    assert decisions(admin, "autumn") == {"items": [], "count": 0, "next": None}
