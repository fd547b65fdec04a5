"""A new model on the page: upload labelled images, see what they brought, roll back."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect

from clickbait import LABELS
from local.batch.jobs import NO_CAPACITY
from tests.local_stack import LocalStack
from tests.samples.classes import drawing, framed
from tests.waiting import eventually

from .conftest import as_admin, violations_in_both, visit

pytestmark = pytest.mark.end_to_end

OF_EACH = 30
"""Labelled images of each class: few enough for a small update, and enough for a clear decision."""

FOLDERS = {"clickbait_fake": "Clickbait", "clickbait_real": "legitimate"}
"""Folders that tell the labels, in any case."""


@pytest.fixture(scope="module")
def admin(stack: LocalStack) -> Iterator[httpx.Client]:
    with stack.admin() as client:
        yield client


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with both classes inside, another subfolder, and a file that is no image."""
    mine = tmp_path / "mine"
    for label, name in FOLDERS.items():
        (mine / name).mkdir(parents=True)
        for n in range(OF_EACH):
            (mine / name / f"{label} {n}.jpg").write_bytes(framed(label, n))
    (mine / "maybe").mkdir()
    (mine / "maybe" / "unsure.jpg").write_bytes(framed(LABELS[0], 999))
    (mine / FOLDERS[LABELS[0]] / "notes.txt").write_text("none")
    return mine


def test_a_folder_becomes_a_better_model_and_the_old_one_comes_back(
    page, stack, admin, folder, complaints
):
    before = admin.get("/status").json()["model_version"]
    counts = admin.get("/dataset").json()["counts"]
    as_admin(page, stack, "/models?show=training")
    page.locator("input[type=file]").nth(1).set_input_files(folder)
    expect(page.get_by_text("mine/maybe (1 file)")).to_be_visible()
    expect(page.get_by_text(f"{OF_EACH} clickbait images")).to_be_visible()
    page.get_by_text("2 files skipped").click()
    expect(page.get_by_text("mine/legitimate/notes.txt")).to_be_visible()
    assert violations_in_both(page) == []
    page.get_by_role("button", name=f"Upload {2 * OF_EACH} images").click()
    uploaded = f"Uploaded {OF_EACH} clickbait and {OF_EACH} legitimate images"
    expect(page.get_by_text(uploaded)).to_be_visible()
    arrived = {label: count + OF_EACH for label, count in counts.items()}
    assert eventually(lambda: admin.get("/dataset").json()["counts"] == arrived), admin.get(
        "/dataset"
    ).json()["counts"]

    page.get_by_label("Follow my labels").check()
    page.get_by_role("button", name="Start training").click()
    page.wait_for_url(re.compile(r"/models/runs/"))
    better = page.get_by_role("heading", name=re.compile(r"^Better on your images: \d"))
    expect(better).to_be_visible()
    outcome = admin.get(page.url.replace(stack.description()["site_url"] + "/models", "")).json()
    assert (outcome["state"], outcome["method"]) == ("PROMOTED", "small_update"), outcome
    main = page.get_by_role("main")
    expect(main).to_contain_text(f"Right on {outcome['gate']['own']['candidate']['right']} of")
    expect(main).to_contain_text("On thumbnails of the kind it was shipped for:")
    expect(main).to_contain_text("Small update")
    expect(page.get_by_role("heading", name="Quality checks")).to_be_visible()
    page.reload()  # The run has an address.
    expect(better).to_be_visible()
    page.wait_for_load_state("networkidle")
    assert violations_in_both(page) == []

    page.get_by_role("button", name="Roll back").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill("it was better yesterday")
    dialog.get_by_role("button", name="Roll back").click()
    expect(main).to_contain_text("No longer live")
    page.get_by_role("link", name="Models", exact=True).click()
    live = page.get_by_role("region", name="Live model")
    expect(live).to_contain_text(before)
    expect(live).to_contain_text("it was better yesterday")
    expect(page.get_by_role("table").first).to_contain_text(outcome["version"])
    newest = admin.get("/promotions").json()["items"][0]
    assert (newest["version"], newest["reason"]) == (before, "it was better yesterday")
    assert eventually(lambda: admin.get("/status").json()["model_version"] == before)
    assert complaints == []


def test_a_training_that_waits_is_cancelled_on_its_page(page, stack, admin, complaints):
    no_capacity = stack.state_dir / NO_CAPACITY
    no_capacity.touch()
    # A 409 until a run that new images started has ended.
    asked = eventually(
        lambda: (
            (sent := admin.post("/retrain", json={"method": "fine_tuning"})).status_code == 202
            and sent
        )
    )
    assert asked, admin.get("/runs").text
    as_admin(page, stack, f"/models{asked.headers['location']}")
    page.get_by_role("button", name="Cancel training").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("The live model stays")
    assert violations_in_both(page) == []
    dialog.get_by_role("button", name="Keep training").click()
    expect(page.get_by_role("heading", name="Waiting for a machine")).to_be_visible()
    page.get_by_role("button", name="Cancel training").click()
    dialog.get_by_role("button", name="Cancel training").click()
    expect(page.get_by_role("heading", name="Training cancelled")).to_be_visible()
    expect(page.get_by_role("main")).to_contain_text("Cancelled by admin, request ")
    expect(page.get_by_role("button", name="Cancel training")).to_have_count(0)
    no_capacity.unlink()
    assert admin.get(asked.headers["location"]).json()["state"] == "CANCELLED"
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
