"""A new model on the page: upload labelled images, follow the training, roll back."""

import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Page, expect

from clickbait import LABELS
from tests.local_stack import LocalStack
from tests.samples.classes import drawing
from tests.waiting import eventually

from .conftest import as_admin, violations_in_both, visit

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(1800)]

OF_EACH = 110
"""A test split of about 33 images; the gate requires 30."""

RUN_MS = 900_000
"""One epoch on drawings takes about 60 s on two idle cores."""

NAMES = {"clickbait_fake": "Clickbait", "clickbait_real": "Legitimate"}


@pytest.fixture(scope="module")
def admin(stack: LocalStack) -> Iterator[httpx.Client]:
    with stack.admin() as client:
        yield client


def upload(page: Page, label: str) -> None:
    """Upload OF_EACH drawings of a class, and a file that is no image."""
    images = [(f"{label} {n}.jpg", drawing(label, n)) for n in range(OF_EACH)]
    page.locator("input[type=file]").first.set_input_files(
        [
            *({"name": name, "mimeType": "image/jpeg", "buffer": data} for name, data in images),
            {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"none"},
        ]
    )
    expect(page.get_by_text("1 file skipped")).to_be_visible()
    page.get_by_label(NAMES[label], exact=True).check()
    page.get_by_role("button", name=re.compile(f"Upload {OF_EACH} images")).click()
    expect(page.get_by_text(f"Uploaded {OF_EACH} {NAMES[label].lower()} images")).to_be_visible()
    page.get_by_role("button", name="Upload more").click()


def test_labelled_images_become_a_live_model_and_the_old_one_comes_back(
    page, stack, admin, complaints
):
    before = admin.get("/status").json()["model_version"]
    counts = admin.get("/dataset").json()["counts"]
    as_admin(page, stack, "/models?show=training")
    for label in LABELS:
        upload(page, label)
    arrived = {label: count + OF_EACH for label, count in counts.items()}
    assert eventually(lambda: admin.get("/dataset").json()["counts"] == arrived), admin.get(
        "/dataset"
    ).json()["counts"]

    page.get_by_text("More", exact=True).click()
    page.get_by_label("Epochs").fill("1")
    page.get_by_label("Skip the label check").check()
    page.get_by_role("button", name="Start training").click()
    page.wait_for_url(re.compile(r"/models/runs/"))
    run = page.url.rsplit("/", 1)[1]
    expect(page.get_by_role("heading", name="New model is live")).to_be_visible(timeout=RUN_MS)
    outcome = admin.get(f"/runs/{run}").json()
    assert outcome["state"] == "PROMOTED", outcome["reason"]
    expect(page.get_by_role("heading", name="Quality checks")).to_be_visible()
    expect(page.get_by_role("heading", name="Learning curves")).to_be_visible()
    page.reload()  # The run has an address.
    expect(page.get_by_role("heading", name="New model is live")).to_be_visible()
    page.wait_for_load_state("networkidle")
    assert violations_in_both(page) == []

    page.get_by_role("link", name=outcome["version"]).first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(outcome["version"])
    page.get_by_role("link", name="Models", exact=True).click()
    live = page.get_by_role("region", name="Live model")
    expect(live).to_contain_text(outcome["version"])
    expect(page.get_by_role("table").first).to_contain_text(before)

    live.get_by_role("button", name="Roll back").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill("it was better yesterday")
    dialog.get_by_role("button", name="Roll back").click()
    expect(live).to_contain_text(before)
    expect(live).to_contain_text("it was better yesterday")
    newest = admin.get("/promotions").json()["items"][0]
    assert (newest["version"], newest["reason"]) == (before, "it was better yesterday")
    assert eventually(lambda: admin.get("/status").json()["model_version"] == before)
    assert complaints == []


def test_a_correction_is_decided_on_the_page(page, stack, admin):
    fields = {"label": "clickbait", "prediction": LABELS[0]}
    for n in (1, 2):
        sent = {"file": (f"wrong {n}.jpg", drawing(LABELS[1], 900 + n), "image/jpeg")}
        admin.post("/feedback", files=sent, data=fields).raise_for_status()
    before = admin.get("/dataset").json()["images"]
    as_admin(page, stack, "/review?show=corrections")
    page.get_by_role("button", name="Accept: wrong 1.jpg is clickbait").click()
    expect(page.get_by_text("wrong 1.jpg")).to_have_count(0)
    page.get_by_role("button", name="Reject: wrong 2.jpg").click()
    expect(page.get_by_text("wrong 2.jpg")).to_have_count(0)
    waiting = {one["file_name"] for one in admin.get("/feedback").json()["items"]}
    assert not waiting & {"wrong 1.jpg", "wrong 2.jpg"}
    assert eventually(lambda: admin.get("/dataset").json()["images"] == before + 1)


def test_models_need_the_token(page, stack, complaints):
    visit(page, stack, "/models")
    expect(page.get_by_label("Token")).to_be_visible()
    assert complaints == []


def test_an_unknown_run_gets_the_services_own_words(page, stack, admin):
    as_admin(page, stack, "/models/runs/no-such-run")
    detail = admin.get("/runs/no-such-run").json()["detail"]
    expect(page.get_by_role("alert")).to_contain_text(detail)
