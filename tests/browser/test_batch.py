"""Many images on the page: a few at once, many as a batch, and a reload during the uploads."""

import csv
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import BrowserContext, Locator, Page, Route, expect

from tests.local_stack import LocalStack
from tests.samples.drawn import encoded, picture
from tests.waiting import DEADLINE

from .conftest import ENGINE, as_admin, choose, sign_in, token_of, violations_in_both, visit

pytestmark = pytest.mark.end_to_end

BATCH_URL = re.compile(r"/batch/[^/]+$")


NOTIFIED = """
    window.notified = [];
    window.hide = () => Object.defineProperty(document, "hidden", { value: true });
    window.Notification = class extends Notification {
        constructor(text, options) {
            super(text, options);
            notified.push(text);
        }
    };
"""
"""Lets a test hide the page, and records the notifications that the page shows."""


def files(count: int, first: int = 0) -> list[tuple[str, bytes]]:
    """Small, different images, with names that a CSV must quote."""
    return [
        (f"=image {n}, {n % 3};.jpg", encoded(picture((320, 180), seed=n)))
        for n in range(first, first + count)
    ]


def batch_of(page: Page) -> str:
    page.wait_for_url(BATCH_URL)
    return page.url.rsplit("/", 1)[1]


def finished(page: Page) -> None:
    expect(page.get_by_role("heading", name="Finished")).to_be_visible()
    expect(page.get_by_role("heading", name="Results")).to_be_visible()


def results(page: Page) -> Locator:
    return page.get_by_role("region", name="Results").get_by_role("table")


def saved(page: Page, to: Path) -> str:
    """The CSV that the browser downloads."""
    with page.expect_download() as got:
        page.get_by_role("button", name="Download CSV").click()
    got.value.save_as(to)
    return to.read_bytes().decode()


def rows_of(stack: LocalStack, batch: str) -> list[dict]:
    with stack.admin() as admin:
        return admin.get(f"/batches/{batch}/results", params={"limit": 1000}).json()["items"]


def test_a_hidden_tab_says_in_its_title_and_notifies_when_a_batch_ends(
    context: BrowserContext, page, stack, complaints
):
    images = files(2, first=60)
    with stack.admin() as admin:
        body = {"files": [name for name, _ in images], "name": "monday"}
        made = admin.post("/batches", json=body).json()

        def send(number: int) -> None:
            form = made["uploads"]["items"][number]
            sent = {"file": ("image.jpg", images[number][1], "image/jpeg")}
            httpx.post(form["url"], data=form["fields"], files=sent, timeout=DEADLINE)

        context.grant_permissions(["notifications"])
        page.add_init_script(NOTIFIED)
        as_admin(page, stack, f"/batch/{made['id']}")
        send(0)
        expect(page).to_have_title(re.compile("^50% · Batch monday"))
        page.get_by_label("Notify me when it ends").check()
        page.evaluate("hide()")
        send(1)
        admin.post(made["start"])
    expect(page).to_have_title(re.compile("^Finished · Batch monday"))
    page.wait_for_function("() => notified.length > 0")
    assert page.evaluate("notified") == ["Finished"]
    page.get_by_role("link", name="All batches").click()
    expect(page).to_have_title(re.compile("^Batch"))
    assert complaints == []


def test_avif_is_sent_as_jpeg_and_heic_is_refused_by_name_in_batches(page, stack):
    heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64)  # Chromium opens none.
    odd = [("small.avif", encoded(picture((64, 36)), "AVIF")), ("photo.heic", heic)]
    why = "This browser cannot open HEIC images. Save the image as JPEG or PNG"
    as_admin(page, stack, "/batch")
    choose(page, *odd, *files(1))
    main = page.get_by_role("main")
    expect(main).to_contain_text("Converted from AVIF to JPEG in this browser.")
    expect(results(page).get_by_role("row").filter(has_text="photo.heic")).to_contain_text(why)
    row = results(page).get_by_role("row").filter(has_text="small.avif")
    expect(row).to_contain_text(re.compile("Clickbait|Legitimate"))

    choose(page, *odd, *files(10))
    batch = batch_of(page)
    expect(main).to_contain_text("1 file could not be uploaded")
    expect(page.get_by_role("listitem").filter(has_text="photo.heic")).to_contain_text(why)
    expect(main).to_contain_text("Converted from AVIF to JPEG in this browser.")
    finished(page)
    (sent,) = [one for one in rows_of(stack, batch) if one["file"] == "small.avif"]
    assert sent["error"] is None


def test_thirty_files_become_a_batch_whose_csv_is_the_apis(page, stack, tmp_path, complaints):
    as_admin(page, stack, "/batch")
    choose(page, *files(29), ("broken.jpg", b"not an image"))
    batch = batch_of(page)
    finished(page)
    with stack.admin() as admin:
        found = admin.get(f"/batches/{batch}/results", params={"format": "csv"})
    assert saved(page, tmp_path / "page.csv").splitlines() == found.text.splitlines()
    assert len(found.text.splitlines()) == 31
    table = results(page)
    expect(table.get_by_role("row")).to_have_count(31)
    broken = table.get_by_role("row").filter(has_text="broken.jpg")
    (row,) = [one for one in rows_of(stack, batch) if one["error"]]
    expect(broken).to_contain_text(row["error"])
    # The thumbnails are kept in this browser.
    expect(table.locator("img").first).to_be_visible()
    assert violations_in_both(page) == []
    assert complaints == []


def test_the_table_sorts_and_filters_and_its_address_keeps_the_view(page, stack):
    as_admin(page, stack, "/batch")
    choose(page, *files(12), ("broken.jpg", b"not an image"))
    batch = batch_of(page)
    finished(page)
    rows = results(page).locator("tbody tr")
    results(page).get_by_role("columnheader", name="Clickbait").get_by_role("button").click()
    texts = rows.locator("td.number").all_inner_texts()
    shown = [float(text.removesuffix("%")) for text in texts if "%" in text]
    found = [one["probability"] for one in rows_of(stack, batch) if one["probability"] is not None]
    assert shown in (
        [round(100 * one, 1) for one in sorted(found)],
        [round(100 * one, 1) for one in sorted(found, reverse=True)],
    )
    page.get_by_role("button", name="Failed", exact=True).click()
    expect(rows).to_have_count(1)
    expect(page).to_have_url(re.compile(r"\?.*failed"))
    page.reload()
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("broken.jpg")


def test_a_reload_in_the_middle_loses_no_file_and_sends_none_twice(page, stack):
    as_admin(page, stack, "/batch")
    page.on("dialog", lambda dialog: dialog.accept())
    taken: Counter[str] = Counter()
    held: list[Route] = []

    def hold_after_ten(route: Route) -> None:
        """Let ten uploads through; the others never end."""
        if sum(taken.values()) < 10:
            taken["before"] += 1
            route.continue_()
        else:
            held.append(route)

    cloud = f"{stack.description()['cloud_url']}/**"
    page.route(cloud, hold_after_ten)
    choose(page, *files(40, first=100))
    batch = batch_of(page)
    page.wait_for_function(
        "() => document.querySelector('main').innerText.match(/Uploaded\\s+10\\b/)"
    )
    assert held, "the uploads were not held"
    page.unroute(cloud)
    page.reload()
    assert batch_of(page) == batch
    finished(page)
    rows = rows_of(stack, batch)
    assert sorted(one["file"] for one in rows) == sorted(name for name, _ in files(40, first=100))
    assert [one["error"] for one in rows if one["error"]] == []
    with stack.admin() as admin:
        logged = admin.get("/predictions", params={"batch": batch, "limit": 100}).json()["items"]
    # A worker on a busy machine may give up the write of a row, but never writes one twice.
    assert Counter(one["sha256"] for one in logged).most_common(1)[0][1] == 1


@pytest.mark.skipif(
    ENGINE == "firefox", reason="Firefox 153 does not report the download of what a page has made"
)
def test_ten_files_are_predicted_at_once_without_a_token(page, stack, tmp_path, complaints):
    visit(page, stack, "/batch")
    with page.expect_response(re.compile("/predict-batch$")) as got:
        choose(page, *files(9, first=200), ("broken.jpg", b"not an image"))
    answers = got.value.json()["results"]
    expect(page.get_by_role("heading", name="Results")).to_be_visible()
    expect(results(page).locator("tbody tr")).to_have_count(10)
    lines = saved(page, tmp_path / "page.csv").splitlines()
    assert lines[0] == (
        "file,prediction,is_clickbait,probability,confidence,uncertain,model_version,error,"
        "threshold,verdict"
    )
    assert len(lines) == 11
    rows = csv.DictReader(lines)
    for answer, row in zip(answers, rows, strict=True):
        assert row["file"].endswith(answer["file"])
        if "probability" in answer:
            assert row["probability"] == str(round(answer["probability"], 4))
    assert complaints == []


def test_the_code_for_a_few_files_names_them_all(page, stack, complaints):
    visit(page, stack, "/batch")
    choose(page, *files(4, first=500))
    page.get_by_text("Use this from code").click()
    for language in ("curl", "Python", "JavaScript"):
        page.get_by_role("button", name=language, exact=True).click()
        code = page.locator(".use-code pre").inner_text()
        assert f"{stack.api_url}/predict-batch" in code
        assert [name for name, _ in files(4, first=500) if name not in code] == []
    assert violations_in_both(page) == []
    assert complaints == []


@pytest.mark.both_engines
def test_more_than_ten_files_need_the_token_and_are_kept_until_then(page, stack, tmp_path):
    visit(page, stack, "/batch")
    choose(page, *files(11, first=300))
    expect(page.get_by_text("Your 11 files are kept here")).to_be_visible()
    page.get_by_role("main").get_by_role("button", name="Sign in").click()
    sign_in(page, token_of(stack))
    batch = batch_of(page)
    finished(page)
    assert len(rows_of(stack, batch)) == 11
    page.get_by_text("Use this from code").click()
    page.get_by_role("button", name="Python", exact=True).click()
    code = page.locator(".use-code pre").inner_text()
    environment = {**os.environ, "TOKEN": token_of(stack)}
    command = [sys.executable, "-c", code]
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, timeout=DEADLINE)
    assert len((tmp_path / "results.csv").read_text().splitlines()) == 12


@pytest.mark.both_engines
def test_an_unknown_batch_gets_the_services_own_words(page, stack):
    as_admin(page, stack, "/batch/no-such-batch")
    with stack.admin() as admin:
        detail = admin.get("/batches/no-such-batch").json()["detail"]
    expect(page.get_by_role("alert")).to_contain_text(detail)
