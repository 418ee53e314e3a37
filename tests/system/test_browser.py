import dataclasses
import os
import shutil

import pytest
from full_report import HOSTILE, full_report

from glu_lib.analysis.flips import TaskFlips
from glu_lib.analysis.item_texts import Item
from glu_lib.report.explorer import render_items
from glu_lib.report.page import render_page

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = os.environ.get("GLU_CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        pytest.skip(f"no Chromium: set GLU_CHROMIUM, or install one of {', '.join(BROWSERS)}")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    report_data = full_report()
    rows = [{**row, "model": HOSTILE} for row in report_data.rows if row["model"] == "nano"]
    path = tmp_path_factory.mktemp("report") / "index.html"
    path.write_text(render_page(dataclasses.replace(report_data, rows=[*report_data.rows, *rows])), encoding="utf-8")
    return path.as_uri()


@pytest.fixture(scope="module")
def visit(browser, address):
    """Opens the page at a width; what went wrong or was asked for stands in the page's `seen`."""
    pages = []

    def open_page(width, **options):
        page = browser.new_page(viewport={"width": width, "height": 900}, **options)
        pages.append(page)
        page.seen = []
        page.on("console", lambda message: page.seen.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: page.seen.append(f"error: {error}"))
        page.on("request", lambda request: page.seen.append(request.url) if request.url != address else None)
        page.goto(address)
        if options.get("java_script_enabled", True):
            drawn(page, width)
        return page

    yield open_page
    for page in pages:
        page.close()


@pytest.fixture(scope="module")
def desktop(visit):
    """One page for all tests that leave it as it was."""
    return visit(1280, color_scheme="light")


def drawn(page, width):
    page.wait_for_function("width => document.documentElement.dataset.drawn === String(width)", arg=width)


def overflow(page):
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


@pytest.mark.parametrize("width", [1280, 400])
def test_every_figure_is_drawn_without_error_request_or_overflow(visit, desktop, width):
    page = desktop if width == 1280 else visit(width)
    assert page.seen == []
    assert overflow(page) == 0
    empty = page.eval_on_selector_all(
        ".plot",
        "plots => plots.filter(p => p.querySelectorAll('svg .mark-symbol path, svg .mark-rect path').length < 2)"
        ".map(p => p.dataset.figure)",
    )
    assert empty == []
    assert page.locator(".plot svg").count() == page.locator("figure").count() > 20
    clipped = page.eval_on_selector_all(
        ".plot svg text",
        "all => all.map(t => [t.textContent, t.getBoundingClientRect()])"
        ".filter(([, r]) => r.width && (r.right > innerWidth + 1 || r.left < -1)).map(([text]) => text)",
    )
    assert clipped == []
    wider = page.eval_on_selector_all(
        ".plot svg", "all => all.filter(s => s.getBoundingClientRect().right > innerWidth + 1).length"
    )
    assert wider == 0


def test_figures_follow_the_width(visit):
    page = visit(1000)
    page.set_viewport_size({"width": 400, "height": 900})
    drawn(page, 400)
    assert overflow(page) == 0
    assert page.seen == []


def test_hostile_names_are_shown_as_text(desktop):
    page = desktop
    assert page.evaluate("window.hacked") is None
    assert page.locator("main img").count() == 0
    assert page.get_by_text(f"{HOSTILE}: change of each task's score").count() > 0


def test_the_theme_changes_by_keyboard_and_figures_follow(visit):
    page = visit(1280, color_scheme="light")
    ink = "getComputedStyle(document.querySelector('.plot svg text')).fill"
    paper = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ink), page.evaluate(paper)
    button = page.locator("#theme")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Tab")
    assert button.evaluate("b => b === document.activeElement")
    page.keyboard.press("Enter")
    assert button.get_attribute("aria-pressed") == "true"
    dark = page.evaluate(ink), page.evaluate(paper)
    assert all(before != after for before, after in zip(light, dark, strict=True))
    page.reload()
    drawn(page, 1280)
    assert page.evaluate(paper) == dark[1]
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert page.evaluate(paper) == light[1]


def test_the_system_s_dark_theme_is_taken_and_paper_is_light(visit):
    page = visit(1280, color_scheme="dark")
    paper = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(paper) != "rgb(255, 255, 255)"
    page.emulate_media(media="print")
    assert page.evaluate(paper) == "rgb(255, 255, 255)"


def test_print_opens_the_tables_and_closes_them_again(desktop):
    page = desktop
    closed = page.locator("details:not([open])").count()
    assert closed > 20
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert page.locator("details:not([open])").count() == closed


@pytest.mark.parametrize(
    ("figure", "series", "faded"),
    [
        ("change-llama1b-ppm", "boolq", 12),  # lines: 13 tasks but one
        ("models", "llama1b", 13 + 7),  # per panel one line; nano and its hostile namesake share seven more panels
        ("aligned-prefill-llama1b-ppm-nvidia-test-gpu", "plain width", 6),
    ],
)
def test_a_click_on_the_legend_lets_the_other_series_fade(desktop, figure, series, faded):
    plot = desktop.locator(f"[data-figure={figure}]")
    lines = f"[...document.querySelectorAll('[data-figure={figure}] .mark-line path')]"
    count = f"{lines}.filter(line => Number(line.getAttribute('opacity')) < 0.5).length"
    assert desktop.evaluate(count) == 0
    # The drawing takes the click, not its text.
    plot.get_by_text(series, exact=True).click(force=True)
    desktop.wait_for_function(f"faded => {count} >= faded", arg=faded, timeout=5000)
    plot.get_by_text(series, exact=True).click(force=True)
    desktop.wait_for_function(f"() => {count} === 0", timeout=5000)


def test_a_point_says_what_it_is(desktop):
    page = desktop
    page.locator("[data-figure=slopes-llama1b-ppm] .mark-symbol path").first.hover()
    tooltip = page.locator("#vg-tooltip-element")
    tooltip.wait_for(state="visible")
    assert "95 % from" in tooltip.inner_text()


def test_a_cross_at_the_edge_says_that_a_score_has_collapsed(desktop):
    page = desktop
    plot = page.locator("[data-figure=perplexity-llama3b-ppm]")
    assert plot.get_by_text("collapsed", exact=True).count() == 1
    plot.locator("g.role-mark.mark-symbol path").last.hover()
    tooltip = page.locator("#vg-tooltip-element")
    tooltip.wait_for(state="visible")
    text = tooltip.inner_text()
    assert "wikitext" in text
    assert "> 1e60" in text
    assert text.endswith("–")  # no p is known


@pytest.mark.parametrize(("button", "beginning"), [("SVG", b"<svg"), ("PNG", b"\x89PNG")])
def test_a_figure_can_be_saved(desktop, button, beginning):
    page = desktop
    figure = page.locator("#slopes-llama1b-ppm")
    with page.expect_download() as download:
        figure.get_by_role("button", name=button).click()
    content = download.value.path().read_bytes()
    assert content.startswith(beginning)
    assert b"var(--" not in content
    assert download.value.suggested_filename == f"slopes-llama1b-ppm.{button.lower()}"


def test_without_javascript_the_tables_are_there(visit):
    page = visit(1280, java_script_enabled=False)
    assert page.locator("table.wide").first.is_visible()
    assert page.get_by_text("JavaScript draws this figure; its numbers").first.is_visible()
    assert not page.locator("#theme").is_visible()


def flipped(number, right, *, options=(), answers, prompt):
    return Item(f"{HOSTILE} {number}", HOSTILE, prompt, 0, options, answers, right)


@pytest.fixture(scope="module")
def explorer(browser, tmp_path_factory):
    """The item explorer at a width; errors and requests stand in the page's `seen`."""
    levels = ((0, 4.0), (20, 3.2), (40, 2.4))
    options = [
        flipped(
            number,
            (True, True, False) if number % 2 else (False, True, True),
            options=(f" {HOSTILE}", " west"),
            answers=((-0.1, -2.0), (-0.2, -1.5), (-3.0, "-inf")),
            prompt=f"where is number {number} ? {HOSTILE}",
        )
        for number in range(90)
    ]
    texts = [flipped(0, (True, None, False), answers=(HOSTILE, None, ""), prompt=None)]
    name = f"choices {HOSTILE}"
    found = [
        TaskFlips("nano", None, name, "acc", levels, (0, 45, 45), (0, 0, 45), tuple(options)),
        TaskFlips("nano", None, "texts", "exact_match", levels, (0, 0, 0), (0, 0, 1), tuple(texts), HOSTILE),
    ]
    path = tmp_path_factory.mktemp("items") / "items.html"
    path.write_text(render_items(found, title=HOSTILE), encoding="utf-8")
    pages = []

    def open_page(width):
        page = browser.new_page(viewport={"width": width, "height": 900})
        pages.append(page)
        page.seen = []
        page.on("console", lambda message: page.seen.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: page.seen.append(f"error: {error}"))
        page.on("request", lambda request: page.seen.append(request.url) if request.url != path.as_uri() else None)
        page.goto(path.as_uri())
        return page

    yield open_page
    for page in pages:
        page.close()


@pytest.mark.parametrize("width", [1280, 400])
def test_the_item_explorer_shows_hostile_texts_as_texts(explorer, width):
    page = explorer(width)
    page.get_by_role("button", name="Show more (51 left)").click()
    page.get_by_role("button", name="Show more (11 left)").click()
    assert page.locator(".item").count() == 91
    assert page.evaluate("window.hacked") is None
    assert page.locator("img").count() == 0
    assert page.locator(".item .prompt").first.inner_text() == f"where is number 0 ? {HOSTILE}"
    assert page.locator(".texts td").all_inner_texts() == [HOSTILE, "–", "(empty)"]
    assert overflow(page) == 0
    assert page.seen == []


def test_items_are_filtered_by_task_level_change_and_words(explorer):
    page = explorer(1280)
    said = page.locator("#found")
    assert said.inner_text() == "91 items found."
    page.select_option("#task", "0")
    assert said.inner_text() == "90 items found."
    page.select_option("#level", "p20")
    assert said.inner_text() == "45 items found."
    page.select_option("#change", "lost")
    assert said.inner_text() == "0 items found."
    page.select_option("#level", "p40")
    page.fill("#search", "NUMBER 7")
    assert said.inner_text() == "13 items found."  # the odd numbers with a 7
    assert page.locator(".item .flips").first.inner_text() == "lost at p40"
    page.get_by_role("button", name="p20: 45 gained, 0 lost").click()
    assert said.inner_text() == "45 items found."
    assert page.input_value("#search") == ""


def test_the_likeliest_option_is_bold_and_answers_say_right_or_wrong(explorer):
    page = explorer(1280)
    item = page.locator(".item").first
    assert item.locator(".best").all_inner_texts() == ["−0.10", "−0.20", "−3.00"]
    assert item.locator("td").last.inner_text() == "−∞"
    marks = item.locator("thead [role=img]")
    assert [marks.nth(place).get_attribute("aria-label") for place in range(3)] == ["wrong", "right", "right"]
