"""Nothing that a person chooses vanishes: each file is answered, or named in a list that stays."""

import base64
import re
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.local_stack import ROOT
from tests.samples.drawn import encoded, picture
from tests.waiting import eventually

from .conftest import choose, visit

pytestmark = pytest.mark.end_to_end


def images(count: int) -> list[tuple[str, bytes]]:
    return [(f"{seed}.jpg", encoded(picture((64, 36), seed=seed))) for seed in range(count)]


def strip(page: Page):
    return page.get_by_role("region", name="This session").get_by_role("listitem")


def test_more_images_than_ten_go_on_as_a_batch(page, stack, complaints):
    visit(page, stack, "/classify")
    choose(page, *images(14))
    expect(strip(page).locator(".bait, .real, .unsure")).to_have_count(10)
    # The first that was chosen is on top.
    expect(page.get_by_role("article", name="0.jpg")).to_be_visible()
    expect(page.get_by_text("4 more images chosen.")).to_be_visible()
    page.get_by_role("button", name="Run them as a batch").click()
    rows = page.get_by_role("table").get_by_role("row")
    expect(rows.filter(has_text=re.compile(r"1[0-3]\.jpg"))).to_have_count(4)
    assert complaints == []


def test_five_images_on_the_overview_are_all_classified(page, stack):
    visit(page, stack, "/")
    choose(page, *images(5))
    page.get_by_role("link", name="See all 5 images from this session").click()
    expect(strip(page).locator(".bait, .real, .unsure")).to_have_count(5)


DROP_FOLDER = """({files, broken}) => {
    const file = ([name, type, bytes]) => ({
        isFile: true, isDirectory: false, fullPath: `/trip/${name}`,
        file: (yes, no) => broken.includes(name)
            ? no(new DOMException("gone", "NotReadableError"))
            : yes(new File([new Uint8Array(bytes)], name, {type})),
    });
    const entries = files.map(file);
    const folder = {
        isFile: false, isDirectory: true, fullPath: "/trip",
        createReader: () => ({ readEntries: (yes) => yes(entries.splice(0, 100)) }),
    };
    const data = new DataTransfer();
    data.items.add(new File([], "trip"));
    const event = new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: data });
    Object.defineProperty(event, "dataTransfer", { value: {
        files: data.files, types: ["Files"], items: [{ webkitGetAsEntry: () => folder }],
    }});
    document.querySelector("h1").dispatchEvent(event);
}"""


def test_a_folder_dropped_beside_the_zone_is_answered_file_by_file(page, stack):
    """The browser makes folders only of real drags, so the event is made by hand."""
    visit(page, stack, "/classify")
    jpeg = list(encoded(picture((64, 36))))
    heic = list(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64))
    files = [
        ["a.jpg", "image/jpeg", jpeg],
        [".hidden.jpg", "image/jpeg", jpeg],
        ["photo.heic", "", heic],
        ["Thumbs.db", "", [1, 2, 3]],
        ["readme.txt", "text/plain", [1, 2, 3]],
        ["gone.jpg", "image/jpeg", jpeg],
    ]
    page.evaluate(DROP_FOLDER, {"files": files, "broken": ["gone.jpg"]})
    expect(strip(page)).to_have_count(3)
    expect(page.get_by_role("article", name="a.jpg").locator(".verdict")).to_be_visible()
    for name, why in (
        ("trip/Thumbs.db", "made by the system"),
        ("trip/readme.txt", "not an image"),
        ("trip/gone.jpg", "could not be read"),
    ):
        expect(page.get_by_role("listitem").filter(has_text=name)).to_contain_text(why)
    page.get_by_role("button", name=re.compile("^photo.heic")).click()
    alert = page.get_by_role("article", name="photo.heic").get_by_role("alert")
    expect(alert).to_contain_text("This browser cannot open HEIC images")
    expect(alert.get_by_role("button", name="Try again")).to_have_count(0)


def test_avif_of_any_size_is_sent_as_jpeg_and_the_page_says_so(page, stack):
    visit(page, stack, "/classify")
    data = encoded(picture((64, 36)), "AVIF")
    with page.expect_response(re.compile(r"/predict\?")) as got:
        choose(page, ("small.avif", data))
    assert got.value.json()["image"]["format"] == "JPEG"
    shown = page.get_by_role("article", name="small.avif")
    expect(shown).to_contain_text("Converted from AVIF to JPEG in this browser.")


def test_an_animation_behind_a_long_profile_is_not_reduced_to_a_frame(page, stack):
    noise = Image.effect_noise((500, 300), 80).convert("RGB")
    data = encoded(
        noise, "PNG", save_all=True, append_images=[noise.rotate(90)], icc_profile=bytes(9_000)
    )
    assert data.index(b"acTL") > 4_096 or len(data) > 120_000
    visit(page, stack, "/classify")
    choose(page, ("moving.png", data))
    expect(page.get_by_role("article", name="moving.png").get_by_role("alert")).to_contain_text(
        "Animated image"
    )


DROP = """([selector, kind, content]) => {
    const data = new DataTransfer();
    if (kind === "file") data.items.add(new File([new Uint8Array(content)], "beside.jpg"));
    else {
        data.setData("text/uri-list", content);
        data.setData("text/html", `<img src="${content}">`);
    }
    document.querySelector(selector).dispatchEvent(
        new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: data }));
}"""


def test_a_file_dropped_on_a_page_without_a_zone_can_be_classified(page, stack):
    visit(page, stack, "/monitoring")
    page.evaluate(DROP, ["h1", "file", list(encoded(picture((64, 36))))])
    expect(page.get_by_text("You dropped 1 file here.")).to_be_visible()
    page.get_by_role("button", name="Classify it").click()
    expect(page.get_by_role("article", name="beside.jpg").locator(".verdict")).to_be_visible()


def test_an_image_dragged_from_another_page_is_classified_or_named(page, stack):
    visit(page, stack, "/classify")
    inline = base64.b64encode(encoded(picture((64, 36)))).decode()
    page.evaluate(DROP, [".drop", "image", f"data:image/jpeg;base64,{inline}"])
    expect(page.get_by_role("article", name="dropped.jpg").locator(".verdict")).to_be_visible()
    page.evaluate(DROP, [".drop", "image", "https://example.com/photo.jpg"])
    item = page.get_by_role("listitem").filter(has_text="https://example.com/photo.jpg")
    expect(item).to_contain_text("save the image")


def test_a_file_that_was_deleted_after_it_was_chosen_is_named_as_that(page, stack, tmp_path):
    visit(page, stack, "/classify")
    file = Path(tmp_path / "soon-gone.jpg")
    file.write_bytes((ROOT / "sample.jpg").read_bytes())
    page.evaluate(
        "document.querySelector('input[type=file]').addEventListener('change', (event) => {"
        " event.stopImmediatePropagation(); window.kept = event.target.files; }, { capture: true })"
    )
    choose(page, file)
    eventually(lambda: page.evaluate("window.kept?.length") == 1)
    file.write_bytes(b"changed")
    file.unlink()
    page.evaluate(
        """() => {
            const data = new DataTransfer();
            data.items.add(window.kept[0]);
            document.querySelector(".drop").dispatchEvent(
                new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: data }));
        }"""
    )
    alert = page.get_by_role("article", name="soon-gone.jpg").get_by_role("alert")
    expect(alert).to_contain_text("can no longer read the file")
    expect(alert.get_by_role("button", name="Try again")).to_have_count(0)
