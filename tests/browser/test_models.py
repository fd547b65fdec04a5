"""A new model on the page: upload labelled images, see what they brought, roll back."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from playwright.sync_api import Page, Route, expect

from clickbait import LABELS
from local.batch.jobs import NO_CAPACITY
from tests.local_stack import LocalStack
from tests.samples.classes import drawing, framed
from tests.waiting import eventually

from .conftest import ENGINE, as_admin, violations_in_both, visit

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


@pytest.mark.skipif(ENGINE == "firefox", reason="Playwright cannot choose a folder in Firefox 153")
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
    better = page.get_by_role(
        "heading", name=re.compile(r"^Better on your \d+ images: \d+% right, before \d+%")
    )
    expect(better).to_be_visible()
    outcome = admin.get(page.url.replace(stack.description()["site_url"] + "/models", "")).json()
    assert (outcome["state"], outcome["method"]) == ("PROMOTED", "small_update"), outcome
    main = page.get_by_role("main")
    expect(main).to_contain_text(f"Right on {outcome['gate']['own']['candidate']['right']} of")
    expect(main).to_contain_text(
        re.compile(r"Unsure about \d+% of these images, before about \d+%")
    )
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
    row = page.get_by_role("row").filter(has_text=outcome["version"]).first
    expect(row).to_contain_text(re.compile(r"\d% right, before \d+%on your \d+ images"))
    expect(row).to_contain_text(re.compile(r"\d%, before \d+%"))
    expect(row).to_contain_text("images, in turn")
    row.get_by_role("button", name=re.compile("^Roll back: ")).click()
    expect(dialog).to_contain_text(re.compile(r"Better on your \d+ images: \d+% right, before"))
    expect(dialog).to_contain_text(re.compile(r"Unsure about \d+%"))
    assert violations_in_both(page) == []
    dialog.get_by_role("button", name="Cancel").click()
    # The older version is "before", also if it was picked last.
    visit(page, stack, f"/models?compare={outcome['version']},{before}")
    expect(page.get_by_role("region", name="Comparison")).to_contain_text("Better on your")
    newest = admin.get("/promotions").json()["items"][0]
    assert (newest["version"], newest["reason"]) == (before, "it was better yesterday")
    assert eventually(lambda: admin.get("/status").json()["model_version"] == before)
    assert complaints == []


@pytest.mark.both_engines
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


@pytest.mark.both_engines
def test_models_need_the_token(page, stack, complaints):
    visit(page, stack, "/models")
    expect(page.get_by_role("main").get_by_role("button", name="Sign in")).to_be_visible()
    assert complaints == []


@pytest.mark.both_engines
def test_an_unknown_run_gets_the_services_own_words(page, stack, admin):
    as_admin(page, stack, "/models/runs/no-such-run")
    detail = admin.get("/runs/no-such-run").json()["detail"]
    expect(page.get_by_role("alert")).to_contain_text(detail)


MANY = 1_000
ON_PAGE = 50
UNSURE = "It says 'unsure' much more often: about 55% of your images, before about 18%."


def version(n: int) -> dict[str, Any]:
    """The summary of one of MANY versions; the newest is unsure much more often."""
    figures = {"images": 60, "auc": 0.8, "brier": 0.2}
    after = figures | {"right": 43, "accuracy": 43 / 60, "unsure": 0.55}
    before = figures | {"right": 39, "accuracy": 0.65, "unsure": 0.18}
    gate = {"passed": True, "reason": "", "champion": "20260101-000000-aaaaaa"}
    gate |= {"own": {"candidate": after, "champion": before}}
    day = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=n)
    return {
        **{"version": f"{day:%Y%m%d-%H%M%S}-{n:06x}", "name": None, "starred": False},
        **{"live": False, "source": "run", "run": f"{day:%Y%m%d-%H%M%S}-aaaaaa", "error": None},
        **{"training_date": day.isoformat(), "architecture": "efficientnet_lite0"},
        "images": {"train": 39, "validation": 12, "test": 9},
        "metrics": {"accuracy": {"value": 0.9, "low": 0.8, "high": 0.95}},
        "gate": gate | {"warnings": [UNSURE] if n == MANY - 1 else []},
    }


def many_versions(page: Page, stack: LocalStack) -> list[str]:
    """The page gets MANY versions in place of the stack's, found and in pages as the service has
    them. Returns their names, newest first."""
    every = [version(n) for n in reversed(range(MANY))]

    def answer(route: Route) -> None:
        query = {
            name: value[0] for name, value in parse_qs(urlsplit(route.request.url).query).items()
        }
        found = [one for one in every if query.get("q", "") in one["version"]]
        start, limit = int(query.get("cursor", 0)), int(query.get("limit", 20))
        items = found[start : start + limit]
        following = str(start + limit) if start + limit < len(found) else None
        body = {"items": items, "count": len(items), "next": following, "total": len(found)}
        route.fulfill(json=body, headers={"access-control-allow-origin": "*"})

    api = re.escape(stack.description()["api_url"])
    page.route(re.compile(rf"{api}/models\?"), answer)
    return [one["version"] for one in every]


def test_a_thousand_versions_are_found_and_back_keeps_the_place(page, stack, complaints):
    names = many_versions(page, stack)
    as_admin(page, stack, "/models")
    table = page.get_by_role("region", name="Table of versions")
    rows = table.locator("tbody tr")
    expect(page.get_by_text("1,000 versions")).to_be_visible()
    expect(rows).to_have_count(ON_PAGE)
    assert page.evaluate("document.body.scrollHeight") < 100 * ON_PAGE
    newest = rows.first
    expect(newest).to_contain_text("72% right, before 65%")
    expect(newest).to_contain_text("on your 60 images")
    expect(newest).to_contain_text("55%, before 18%")
    expect(newest).to_contain_text("much more often")
    expect(rows.nth(1)).not_to_contain_text("much more often")
    expect(page.get_by_role("main")).not_to_contain_text("points")
    assert violations_in_both(page) == []

    page.get_by_role("link", name="Older versions").click()
    expect(rows.first).to_contain_text(names[ON_PAGE])
    link = rows.nth(40).get_by_role("link", name=names[ON_PAGE + 40])
    link.scroll_into_view_if_needed()
    assert page.evaluate("scrollY") > 0
    link.click()
    expect(page.get_by_role("heading", name=f"Version {names[ON_PAGE + 40]}")).to_be_visible()
    page.go_back()
    expect(rows.first).to_contain_text(names[ON_PAGE])
    expect(link).to_be_in_viewport()  # 3,000 px from the top
    page.go_back()
    expect(rows.first).to_contain_text(names[0])

    page.get_by_role("searchbox").fill(names[700])
    expect(page.get_by_text("1 version found")).to_be_visible()
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text(names[700])
    page.reload()  # A search has an address.
    expect(page.get_by_role("searchbox")).to_have_value(names[700])
    expect(rows).to_have_count(1)
    page.goto(f"{stack.description()['site_url']}/data?show=model")
    page.get_by_text("change").click()
    page.get_by_role("searchbox").fill(names[700])
    expect(page.get_by_role("link", name=names[700])).to_be_visible()
    assert violations_in_both(page) == []


def test_a_version_gets_a_name_and_a_star(page, stack, admin, complaints):
    shipped = admin.get("/models").json()["items"][-1]["version"]
    as_admin(page, stack, f"/models/versions/{shipped}")
    page.get_by_role("button", name="Name this version").click()
    page.get_by_label("Name of this version").fill("As it was shipped")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("main").locator("strong").first).to_have_text("As it was shipped")
    star = page.get_by_role("button", name=f"Star {shipped}")
    star.click()
    expect(star).to_have_attribute("aria-pressed", "true")
    assert violations_in_both(page) == []
    page.goto(f"{stack.description()['site_url']}/models?show=versions&find=shipped")
    page.get_by_label("Starred only").check()
    expect(page.get_by_text("1 version found")).to_be_visible()
    row = page.get_by_role("region", name="Table of versions").locator("tbody tr")
    expect(row).to_have_count(1)
    expect(row).to_contain_text("As it was shipped")
    row.get_by_role("button", name=f"Star {shipped}").click()
    expect(page.get_by_text("0 versions found")).to_be_visible()
    assert admin.patch(f"/models/{shipped}", json={"name": None}).json()["name"] is None
    assert complaints == []


def test_runs_are_found_by_their_state(page, stack, complaints):
    as_admin(page, stack, "/models?show=training")
    page.get_by_label("State").select_option("EVALUATING")
    expect(page.get_by_text("No run found")).to_be_visible()
    page.get_by_role("searchbox").fill("no such run")
    page.wait_for_url(re.compile("find=no"))
    expect(page.get_by_text("No run found")).to_be_visible()
    assert violations_in_both(page) == []
    assert complaints == []
