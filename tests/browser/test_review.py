"""Review on the page: 20 images by keys, undo, the grid, a lost network, and rows of a batch."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.local_stack import LocalStack
from tests.samples.drawn import encoded, picture
from tests.waiting import eventually

from .conftest import NETWORK_ERROR, PHONE, as_admin, choose, violations_in_both

pytestmark = pytest.mark.end_to_end

FAKE, REAL = "clickbait_fake", "clickbait_real"
OPTIONS = ".thumbs [role=option]"
PICTURE = "main article img"


@pytest.fixture
def unsure_batch(stack: LocalStack) -> Callable[[str, int, float], list[str]]:
    """Make a batch of drawn images about which the model is unsure; returns their names.

    The images of a batch stay together in the queue: their probabilities begin at `lowest`.
    """

    def make(batch: str, images: int, lowest: float) -> list[str]:
        s3, table = stack.cloud("s3"), stack.cloud("dynamodb")
        outputs = stack.description()["outputs"]
        # Names that no other batch has, because a label keeps the name of its file.
        names = [f"{batch} {n:02}.jpg" for n in range(images)]
        first = sum(map(ord, batch))
        for n, name in enumerate(names):
            data = encoded(picture((320, 180), seed=first + n))
            s3.put_object(Bucket=outputs["DataBucket"], Key=f"inbox/{batch}/{name}", Body=data)
        with stack.admin() as admin:
            assert eventually(
                lambda: admin.get(f"/batches/{batch}").json().get("done") == images
            ), admin.get(f"/batches/{batch}").json()
        # The model is sure about every drawing, so its rows are made unsure, in the order of names.
        for n, name in enumerate(names):
            table.update_item(
                TableName=outputs["Table"],
                Key={"pk": {"S": f"batch#{batch}"}, "sk": {"S": name}},
                UpdateExpression="SET probability = :p, uncertain = :u",
                ExpressionAttributeValues={
                    ":p": {"N": f"{lowest + n / 2000}"},
                    ":u": {"BOOL": True},
                },
            )
        return names

    return make


def labels_of(stack: LocalStack, names: list[str]) -> dict[str, str]:
    """The labels under which `names` are training images now."""
    bucket = stack.description()["outputs"]["DataBucket"]
    listed = stack.cloud("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket)
    keys = [one["Key"].split("/") for page in listed for one in page.get("Contents", [])]
    return {key[2]: key[1] for key in keys if key[0] == "train" and key[2] in names}


def become(stack: LocalStack, wanted: dict[str, str], names: list[str]) -> None:
    assert eventually(lambda: labels_of(stack, names) == wanted), labels_of(stack, names)


def open_queue(page: Page, stack: LocalStack, view: str = "") -> None:
    as_admin(page, stack, f"/review?source=batch{view}")


def shown(page: Page, name: str) -> None:
    expect(page.get_by_role("article", name=name, exact=True)).to_be_visible()


def skip_to(page: Page, name: str) -> None:
    """Skip what other tests have left in the queue."""
    article = page.get_by_role("main").get_by_role("article")
    while (current := article.get_attribute("aria-label") or "") != name:
        page.keyboard.press("Space")
        expect(article).not_to_have_attribute("aria-label", current)


def test_twenty_images_are_reviewed_by_keys_and_steps_are_undone(
    page, stack, unsure_batch, complaints
):
    names = unsure_batch("keys", 22, 0.5)
    open_queue(page, stack)
    for n in range(20):
        shown(page, names[n])  # The nearest to the threshold come first.
        page.keyboard.press("1" if n % 2 == 0 else "2")
    shown(page, names[20])
    page.keyboard.press("Space")
    shown(page, names[21])
    expect(page.get_by_text("20 reviewed, 1 skipped")).to_be_visible()
    wanted = {name: (FAKE, REAL)[n % 2] for n, name in enumerate(names[:20])}
    become(stack, wanted, names)

    page.keyboard.press("z")
    shown(page, names[20])
    page.keyboard.press("z")
    shown(page, names[19])
    page.keyboard.press("z")
    shown(page, names[18])
    become(stack, {name: wanted[name] for name in names[:18]}, names)
    page.keyboard.press("2")
    page.keyboard.press("2")
    become(stack, wanted | {names[18]: REAL}, names)

    # The heat map is signed, and can be hidden.
    expect(page.locator("main canvas")).to_be_visible()
    expect(page.get_by_text("against clickbait", exact=True)).to_be_visible()
    page.keyboard.press("h")
    expect(page.locator("main canvas")).to_have_count(0)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.keyboard.press("1")  # Keys of the page do nothing behind a dialog.
    page.keyboard.press("Escape")
    shown(page, names[20])
    assert violations_in_both(page) == []
    page.set_viewport_size(PHONE)
    for button in ("Clickbait", "Legitimate", "Skip", "Undo"):
        expect(page.get_by_role("button", name=re.compile(f"^{button}"))).to_be_in_viewport(ratio=1)
    expect(page.locator(PICTURE)).to_be_in_viewport(ratio=1)
    expect(page.locator(".verdict")).to_be_in_viewport(ratio=1)
    assert violations_in_both(page) == []
    assert complaints == []


def test_many_are_labelled_at_once_and_undone_at_once(page, stack, unsure_batch, complaints):
    names = unsure_batch("grid", 12, 0.55)
    open_queue(page, stack, "&show=grid")
    mine = page.locator(OPTIONS, has_text="grid ")
    expect(mine).to_have_count(12)
    mine.nth(1).click()
    mine.nth(8).click(modifiers=["Shift"])
    mine.nth(3).click()
    expect(page.get_by_text(re.compile("^7 of"))).to_be_visible()
    assert violations_in_both(page) == []
    page.get_by_role("button", name=re.compile("^Legitimate")).click()
    expect(mine).to_have_count(5)
    left = [names[n] for n in (0, 3, 9, 10, 11)]
    become(stack, {name: REAL for name in names if name not in left}, names)
    page.get_by_role("button", name=re.compile("^Undo")).click()
    expect(mine).to_have_count(12)
    become(stack, {}, names)

    # By keys. The seven are first now, and selected; the arrows move, and space selects.
    page.keyboard.press("Escape")
    mine.first.click()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    expect(page.get_by_text(re.compile("^2 of"))).to_be_visible()
    page.keyboard.press("1")
    expect(mine).to_have_count(10)
    become(stack, dict.fromkeys(names[1:3], FAKE), names)
    expect(mine.first).to_be_focused()
    assert complaints == []


def test_a_lost_network_loses_no_decision(page, stack, unsure_batch):
    names = unsure_batch("network", 4, 0.6)
    open_queue(page, stack)
    skip_to(page, names[0])
    expect(page.locator(PICTURE)).to_be_visible()
    page.context.set_offline(True)
    for name in names[:3]:
        shown(page, name)
        page.keyboard.press("1")
    expect(page.get_by_text("3 labels not saved yet")).to_be_visible()
    expect(page.get_by_role("alert").first.get_by_role("button", name="Try again")).to_be_visible()
    assert labels_of(stack, names) == {}
    page.context.set_offline(False)
    become(stack, dict.fromkeys(names[:3], FAKE), names)
    expect(page.get_by_text("labels not saved yet")).to_have_count(0)
    # The image that came up meanwhile heals too.
    expect(page.get_by_role("alert")).to_have_count(0)
    expect(page.locator("main canvas")).to_be_visible()


def test_rows_of_a_batch_are_confirmed_corrected_and_undone(page, stack, unsure_batch, complaints):
    names = unsure_batch("rows", 3, 0.65)
    as_admin(page, stack, "/batch/rows")
    row = page.get_by_role("row", name=names[0])
    row.get_by_role("button", name=re.compile("is clickbait$")).click()
    expect(row).to_contain_text("The next training uses it.")
    become(stack, {names[0]: FAKE}, names)
    other = page.get_by_role("row", name=names[1])
    other.get_by_role("button", name=re.compile("^Confirm")).click()
    become(stack, {names[0]: FAKE, names[1]: REAL}, names)
    expect(other.get_by_role("button", name="Undo")).to_be_focused()
    assert violations_in_both(page) == []
    page.reload()  # What was decided is known to the service.
    expect(row).to_contain_text("The next training uses it.")
    row.get_by_role("button", name="Undo").click()
    become(stack, {names[1]: REAL}, names)
    expect(row.get_by_role("button", name=re.compile("is clickbait$"))).to_be_visible()
    assert complaints == []


def test_an_empty_queue_says_what_fills_it_and_old_links_to_corrections_arrive(
    page, stack, complaints
):
    as_admin(page, stack, "/review?source=prediction")
    expect(page.get_by_text("Nothing to review")).to_be_visible()
    expect(page.get_by_text("KEEP_UNSURE")).to_be_visible()
    assert violations_in_both(page) == []
    page.get_by_role("button", name="Show all sources").click()
    expect(page).to_have_url(re.compile("/review$"))
    as_admin(page, stack, "/models?show=corrections")
    expect(page).to_have_url(re.compile(r"/review\?show=corrections$"))
    expect(page.get_by_role("heading", name="Corrections to review")).to_be_visible()
    assert [one for one in complaints if NETWORK_ERROR not in one] == []


def test_a_few_images_without_a_batch_are_labelled_with_their_bytes(page, stack, complaints):
    as_admin(page, stack, "/batch")
    choose(page, *((f"few {n}.jpg", encoded(picture((320, 180), seed=7000 + n))) for n in (1, 2)))
    row = page.get_by_role("row", name="few 1.jpg")
    row.get_by_role("button", name=re.compile("is clickbait$")).click()
    expect(row).to_contain_text("The next training uses it.")
    corrections = "train/clickbait_fake/feedback-"
    s3, bucket = stack.cloud("s3"), stack.description()["outputs"]["DataBucket"]
    listed = s3.list_objects_v2(Bucket=bucket, Prefix=corrections).get("Contents", [])
    newest = max(listed, key=lambda one: one["LastModified"])["Key"]
    row.get_by_role("button", name="Undo").click()
    expect(row.get_by_role("button", name=re.compile("is clickbait$"))).to_be_visible()
    assert eventually(lambda: s3.list_objects_v2(Bucket=bucket, Prefix=newest)["KeyCount"] == 0), (
        newest
    )
    expect(row).not_to_contain_text("Not saved")
    assert complaints == []


def test_rows_of_a_batch_that_the_page_uploaded_are_labelled(page, stack, complaints):
    names = [f"mañana {n:02}.jpg" for n in range(11)]
    as_admin(page, stack, "/batch")
    choose(page, *((name, encoded(picture(seed=7100 + n))) for n, name in enumerate(names)))
    page.wait_for_url(re.compile(r"/batch/[^/]+$"))
    row, other = (page.get_by_role("row", name=name) for name in names[:2])
    row.get_by_role("button", name=re.compile("is clickbait$")).click()
    other.get_by_role("button", name=re.compile("^Confirm")).click()
    for labelled in (row, other):
        expect(labelled.get_by_role("status")).to_have_text("The next training uses it.")
    found = labels_of(stack, names)
    assert found[names[0]] == FAKE, found
    assert set(found) == set(names[:2]), found

    page.reload()
    for labelled in (row, other):
        expect(labelled).to_contain_text("The next training uses it.")
    row.get_by_role("button", name="Undo").click()
    become(stack, {names[1]: found[names[1]]}, names)
    row.get_by_role("button", name=re.compile("is legitimate$")).click()
    become(stack, {names[0]: REAL, names[1]: found[names[1]]}, names)
    expect(row.get_by_role("status")).to_have_text("The next training uses it.")
    assert complaints == []
