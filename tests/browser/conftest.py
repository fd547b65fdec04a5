"""The page in the system's Chromium, against a real local stack."""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Error,
    Page,
    Playwright,
    Route,
    expect,
    sync_playwright,
)

from tests.local_stack import ROOT, LocalStack
from tests.waiting import eventually

UNWANTED = (
    # The lists below the address bar, which each new window would load in half a second of CPU.
    "WebUIOmniboxPopup",
    "WebUIOmniboxAimPopup",
    # Playwright's own. Chromium reads one list, so this one has to name them again.
    "AimEnabled",
    "AutoDeElevate",
    "AvoidCorsURLLoaderRestartOnRedirect",
    "AvoidUnnecessaryBeforeUnloadCheckSync",
    "BlockOriginHeaderModificationOnRedirect",
    "DestroyProfileOnBrowserClose",
    "DialMediaRouteProvider",
    "GlobalMediaControls",
    "HttpsUpgrades",
    "LensOverlay",
    "MediaRouter",
    "NetworkTimeServiceQuerying",
    "OptimizationHints",
    "PaintHolding",
    "ThirdPartyStoragePartitioning",
    "Translate",
)
"""Features that Chromium goes without."""

QUIET = (
    "--no-sandbox",  # As root, which a build machine is, Chromium starts no other way.
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    f"--disable-features={','.join(UNWANTED)}",
)

WIDE = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}

PATIENCE_SECONDS = 300
"""The one deadline of every wait: far more than an idle machine needs."""

PATIENCE_MS = 1_000 * PATIENCE_SECONDS

expect.set_options(timeout=PATIENCE_MS)

ENGINE = os.environ.get("ENGINE")
"""The one browser of all tests, as in `make test-firefox`."""

AXE = ROOT / "frontend" / "node_modules" / "axe-core" / "axe.min.js"

AT_REST = """async () => {
    const drawn = () => new Promise(requestAnimationFrame);
    await drawn();
    await drawn();
    const ending = (one) => one.effect.getComputedTiming().endTime < Infinity;
    await Promise.allSettled(document.getAnimations().filter(ending).map((one) => one.finished));
}"""
"""Ends once the page has been drawn and no colour or size is on its way to another one."""

COLOUR_RULES = ("color-contrast", "link-in-text-block")
"""The default rules of axe-core whose result depends on colours."""

NETWORK_ERROR = "Failed to load resource"
"""Chromium logs this for every status of 400 or more, even if the page handles it."""

DAMAGED_IMAGE = "Image corrupt or truncated"
"""Firefox logs this for an image that it cannot show, even if the page handles it."""


CALM = {
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
}
"""Firefox asks the internet about its network, unless these settings forbid it."""


OLDEST_FIREFOX = 153
"""The oldest in which these tests have passed. Playwright needs much of what is new in BiDi."""


def firefox(playwright: Playwright) -> Browser | str:
    """A Firefox that runs, or why there is none; `make test-browser` finds or installs it."""
    path = os.environ.get("FIREFOX") or shutil.which("firefox-esr") or shutil.which("firefox")
    if not path:
        return "No Firefox found: run `apt-get install firefox-esr`, or set FIREFOX."
    try:
        started = playwright.firefox.launch(
            channel="moz-firefox",
            executable_path=path,
            firefox_user_prefs=CALM,
            timeout=PATIENCE_MS,
        )
    except Error as error:
        why = str(error).splitlines()[0]
        return f"{path} does not start. Install Debian's firefox-esr, or set FIREFOX. {why}"
    if int(started.version.split(".")[0]) < OLDEST_FIREFOX:
        started.close()
        return f"{path} is older than {OLDEST_FIREFOX}. Install a newer one, or set FIREFOX."
    return started


def chromium() -> str:
    """The browser's path; `make test-browser` finds or installs it."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if not path:
        pytest.fail("No Chromium found: run `make test-browser`, or set CHROMIUM.")
    return path


@pytest.fixture(scope="session")
def browsers() -> Iterator[Callable[[str], Browser | str]]:
    """Chromium and Firefox, each started once, when the first test asks for it."""
    with sync_playwright() as playwright, ExitStack() as running:

        @cache
        def start(engine: str) -> Browser | str:
            if engine == "firefox":
                started = firefox(playwright)
            else:
                started = playwright.chromium.launch(
                    executable_path=chromium(), args=list(QUIET), timeout=PATIENCE_MS
                )
            if not isinstance(started, str):
                running.callback(started.close)
            return started

        yield start


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> str:
    """`chromium`, or `firefox` in the second run of a test that is marked with `both_engines`."""
    return getattr(request, "param", ENGINE or "chromium")


@pytest.fixture
def browser(browsers: Callable[[str], Browser | str], engine: str) -> Browser:
    """A test is skipped without Firefox, also in CI; `make test-firefox` fails."""
    started = browsers(engine)
    if isinstance(started, str):
        missing = pytest.fail if ENGINE else pytest.skip
        missing(started)
    return started


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.definition.get_closest_marker("both_engines") and not ENGINE:
        metafunc.parametrize("engine", ["chromium", "firefox"], indirect=True)


@contextmanager
def new_context(browser: Browser, **options: Any) -> Iterator[BrowserContext]:
    """A browser without cookies or storage, closed at the end."""
    context = browser.new_context(**options)
    context.set_default_timeout(PATIENCE_MS)
    yield context
    context.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    with new_context(browser, viewport=WIDE, accept_downloads=True) as context:
        yield context


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


@pytest.fixture
def complaints(page: Page) -> list[str]:
    """Errors and warnings in the browser's console, and exceptions of the page's code."""
    found: list[str] = []
    page.on("console", lambda line: line.type in ("error", "warning") and found.append(line.text))
    page.on("pageerror", lambda error: found.append(str(error)))
    return found


@pytest.fixture(scope="session")
def prediction(stack: LocalStack) -> str:
    """The id of a prediction in the history."""
    with stack.client() as api:
        content = {"content-type": "image/jpeg"}
        image = (ROOT / "sample.jpg").read_bytes()
        return api.post("/predict", content=image, headers=content).json()["id"]


def token_of(stack: LocalStack) -> str:
    return (stack.state_dir / "admin-token").read_text().strip()


def visit(page: Page, stack: LocalStack, path: str, token: str | None = None) -> None:
    """Open `path`, as an admin if there is a token, and wait until nothing is loading."""
    fragment = f"#token={token}" if token else ""
    page.goto(f"{stack.description()['site_url']}{path}{fragment}")
    page.locator("main h1").wait_for()
    page.wait_for_load_state("networkidle")


def as_admin(page: Page, stack: LocalStack, path: str) -> None:
    visit(page, stack, path, token_of(stack))


def sign_in(page: Page, token: str, *, remember: bool = False) -> None:
    """Fill the dialog, which is open, and wait until it closes."""
    form = page.get_by_role("dialog", name="Sign in")
    form.get_by_label("Token").fill(token)
    form.get_by_label("Remember on this device").set_checked(remember)
    form.get_by_role("button", name="Sign in").click()
    expect(form).to_have_count(0)


def holding(page: Page, pattern: str | re.Pattern[str]) -> list[Route]:
    """Requests that wait until the test lets them go on."""
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route(pattern, hold)
    return held


def first_of(page: Page, held: list[Route]) -> Route:
    """The first request of `holding`, once there is one: they arrive while the page is asked."""
    assert eventually(lambda: page.title() is not None and held), "nothing was requested"
    return held[0]


def choose(page: Page, *files: Path | tuple[str, bytes], folder: bool = False) -> None:
    """Choose files in the page's first file input, or a folder in its second."""
    place = page.locator("input[type=file]").nth(1 if folder else 0)
    place.set_input_files(
        [
            str(one)
            if isinstance(one, Path)
            else {"name": one[0], "mimeType": "image/jpeg", "buffer": one[1]}
            for one in files
        ]
    )


def violations(page: Page, *rules: str) -> list[str]:
    """The violations of axe-core's default rules, or of `rules` alone, with their elements."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text())  # The page's policy forbids adding it as a script.
    page.evaluate(AT_REST)
    options = {"runOnly": list(rules)} if rules else {}
    found = page.evaluate("async (options) => (await axe.run(options)).violations", options)
    return [
        f"{one['id']}: {one['help']}: {[node['html'][:200] for node in one['nodes'][:3]]}"
        for one in found
    ]


def violations_in_both(page: Page) -> list[str]:
    """Those of every rule in light, and of COLOUR_RULES in dark; the page stays in light."""
    found = []
    for scheme, rules in (("dark", COLOUR_RULES), ("light", ())):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        found += [f"{scheme}: {violation}" for violation in violations(page, *rules)]
    return found
