"""The page of a sweep in a browser: it draws, sorts and filters, and asks nothing of any network."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from finesweep.results.page.write import write_page
from tests.results.sweeps import EVIL, grid, report, run

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=shutil.which("chromium") or "/usr/bin/chromium")
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of six configurations, with HTML wherever a text can come from."""
    folder = tmp_path_factory.mktemp("page") / "sweep"
    rank = {"full": 0.8, "lora": 0.7, "frozen": 0.2}
    records = grid(folder, lambda strategy, lr: rank[strategy] + (0.1 if lr == "0.001" else 0.0))
    labels = [EVIL, *(f"class {i}" for i in range(23))]  # as many as are shown
    report(
        records[2],
        confusion={"labels": labels, "counts": [[1234 if i == j else 1 for i in range(24)] for j in range(24)]},
    )
    records.append(run(folder, 0.0, "finetune_strategy=dora", "optimizer.lr=1", status="failed", error=EVIL))
    records.append(run(folder, 0.1, f"finetune_strategy={EVIL}", "optimizer.lr=0.00012", name=EVIL))
    return write_page(records, folder)


@pytest.fixture
def page(browser: Browser, file: Path) -> Iterator[Page]:
    """The page, opened; whatever goes wrong in it, or leaves the machine, fails the test."""
    opened = browser.new_page(viewport={"width": 1280, "height": 900})
    wrong: list[str] = []
    opened.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))
    opened.on("request", lambda request: wrong.append(request.url) if not request.url.startswith(LOCAL) else None)
    opened.goto(file.as_uri())
    yield opened
    opened.close()
    assert wrong == []


LOCAL = ("file:", "data:")


def column(page: Page, name: str) -> list[str]:
    """The cells below a heading, of the rows that are seen."""
    heads = page.locator("#board thead button").all_inner_texts()
    at = next(i for i, head in enumerate(heads) if " ".join(head.split()) == name)
    return page.locator(f"#board tbody tr:not([hidden]) td:nth-child({at + 1})").all_inner_texts()


def test_all_figures_are_drawn_and_fit_the_page(page: Page) -> None:
    figures = page.locator(".figure")
    assert figures.count() == 5
    for i in range(5):
        assert figures.nth(i).locator("svg .trace path").count() > 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280


def test_a_click_or_a_key_sorts_and_says_so(page: Page) -> None:
    ranks = column(page, "rank")
    assert ranks == ["1", "2", "3", "4", "5", "6", "7", ""]
    head = page.locator("#board th", has_text="val f1 mean")
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert page.locator("#board th").first.get_attribute("aria-sort") == "none"
    means = column(page, "val f1 mean")
    assert means == [*sorted(means[:-1]), ""]
    head.locator("button").focus()
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    assert column(page, "val f1 mean") == [*sorted(means[:-1], reverse=True), ""]
    page.locator("#board th button", has_text="strategy").click()
    names = column(page, "finetune strategy")
    assert names[1:] == ["dora", "frozen", "frozen", "full", "full", "lora", "lora"]


def test_settings_are_sorted_by_their_size(page: Page) -> None:
    button = page.locator("#board th", has_text="lr").locator("button")
    rates = [*["0.00001"] * 3, "0.00012", *["0.001"] * 3, "1"]
    button.click()
    assert column(page, "optimizer.lr") == rates
    button.click()
    assert column(page, "optimizer.lr") == rates[::-1]


def test_rows_are_filtered_by_words(page: Page) -> None:
    page.fill("#filter", "LORA 0.001")
    assert column(page, "finetune strategy") == ["lora"]
    assert page.inner_text("#count") == "1 of 8 configurations"
    page.fill("#filter", "nothing like it")
    assert column(page, "rank") == []
    page.fill("#filter", "")
    assert page.inner_text("#count") == "8 configurations"


def test_a_chosen_view_is_drawn(page: Page) -> None:
    select = page.get_by_label("Show").first
    assert select.locator("option").all_inner_texts() == [
        "training, seconds", "trainable parameters", "peak memory, MB",
    ]  # fmt: skip
    select.select_option("trainable parameters")
    page.locator(".figure .xtitle", has_text="trainable parameters").wait_for()


def test_the_pointer_shows_the_configuration_as_text(page: Page) -> None:
    dots = page.locator("#figure-1-5 .points path").first
    dots.scroll_into_view_if_needed()
    dots.hover(force=True)
    page.locator("#figure-1-5 .hovertext").first.wait_for()
    assert page.locator("script:not([data-draw])").count() == 2
    assert "<script>" in page.locator("#figure-1-1").inner_text() + page.locator("#figure-1-1").text_content()  # type: ignore[operator]


def test_dark_and_paper_are_readable(page: Page) -> None:
    def colour(of: str, what: str) -> str:
        return str(page.evaluate(f"getComputedStyle(document.querySelector('{of}')).{what}"))

    light = colour("body", "backgroundColor"), colour(".figure text", "fill")
    page.emulate_media(color_scheme="dark")
    dark = colour("body", "backgroundColor"), colour(".figure text", "fill")
    assert not set(light) & set(dark)
    page.emulate_media(color_scheme="dark", media="print")
    assert (colour("body", "backgroundColor"), colour(".figure text", "fill")) == light
    page.set_viewport_size({"width": 1030, "height": 700})
    wide = "[...document.querySelectorAll('table, .main-svg')].every(e => e.getBoundingClientRect().right <= 1030)"
    assert page.evaluate(wide)
