"""What a reader does in a browser: follow addresses, sort, filter, compare, and press keys."""

import pytest
from made_runs import put_run

import kdbench


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Four students, one of them with a comma in its name."""
    folder = tmp_path_factory.mktemp("routing")
    results = folder / "results"
    for model, scores in {
        "sft": [10, 20, 30, 40],
        "kd": [40, 20, 35, 90],
        "a,b": [5, 5, 5, 5],
        "gkd": [100, 9, 9, 9],
    }.items():
        put_run(results, model, {"dolly": scores, "vicuna": scores[::-1]}, samples=True)
    kdbench.report(results=results, out=folder / "site", baseline="sft")
    return folder / "site"


def students(page):
    return page.locator(".board.shown tbody tr:visible th").all_inner_texts()


def test_an_address_opens_its_page_and_marks_it(site, watched):
    page = watched.open(site)
    assert page.locator("section.page.shown h1").inner_text() == "Leaderboard"
    watched.open(site, "#/run?run=kd/run-1")
    assert page.locator("article.run.shown h2").inner_text() == "kd"
    assert page.locator("nav [aria-current=page]").inner_text() == "Run"
    page.goto(f"{page.url.partition('#')[0]}#/nowhere")
    page.reload()
    assert page.locator("section.page.shown h1").inner_text() == "Leaderboard"


def test_columns_sort_by_number_with_the_keyboard(site, watched):
    page = watched.open(site)
    head = page.locator(".board.shown thead th").nth(1)
    head.locator("button").focus()
    page.keyboard.press("Enter")
    page.locator(".board.shown tbody tr:first-child", has_text="46.25").wait_for()
    assert head.get_attribute("aria-sort") == "descending"
    assert [text.split()[0] for text in students(page)] == ["kd", "gkd", "sft", "a,b"]
    head.locator("button").focus()  # sorting keeps the head, and the focus can stay there
    page.keyboard.press("Enter")
    page.locator(".board.shown tbody tr:first-child", has_text="a,b").wait_for()
    assert head.get_attribute("aria-sort") == "ascending"
    assert [text.split()[0] for text in students(page)] == ["a,b", "sft", "gkd", "kd"]


def test_filter_metric_and_intervals_are_in_the_address(site, watched):
    page = watched.open(site)
    page.get_by_label("Filter rows").fill("KD")
    assert [text.split()[0] for text in students(page)] == ["kd", "gkd"]
    assert page.locator("#board-count").inner_text() == "2 of 4 rows"
    assert page.locator(".board.shown .ci:visible").count() == 0
    page.get_by_label("intervals").check()
    assert page.locator(".board.shown .ci:visible").count() == 2 * 3
    assert page.url.endswith("#/leaderboard?q=KD&ci=1")
    page.locator("#board-tools [name=metric]").select_option("overview")
    assert page.locator(".board.shown").get_attribute("data-board") == "overview"
    page.reload()
    assert page.get_by_label("Filter rows").input_value() == "KD"
    assert page.locator(".board.shown").get_attribute("data-board") == "overview"


def test_two_students_are_compared_and_their_prompts_lead_to_samples(site, watched):
    page = watched.open(site, "#/compare?base=sft/run-1&new=a,b/run-1,kd/run-1&metric=rougeL")
    heads = page.locator(".matrix thead th").all_inner_texts()
    assert heads == ["task", "a,b", "kd"]
    page.get_by_role("button", name="kd").click()
    page.get_by_role("heading", name="kd against sft").wait_for()
    row = page.locator("#compare-result table").nth(1).locator("tbody tr").first
    cells = row.locator("th, td").all_inner_texts()
    assert [cells[place] for place in (0, 1, 6, 7, 9)] == ["Dolly", "+21.25", "25.00", "46.25", "4"]
    page.get_by_label("Order").select_option("gain")
    first = page.locator("#compare-result table").nth(2).locator("tbody tr").first
    first.get_by_text("+50.00").wait_for()
    assert first.locator("a").get_attribute("href") == (
        "#/samples?task=dolly&id=dolly-3&students=sft/run-1,kd/run-1"
    )


def test_three_clicks_lead_from_the_site_to_a_lost_prompt(site, watched):
    page = watched.open(site)
    page.get_by_role("link", name="Compare").click()
    page.locator(".chip", has_text="gkd").click()
    page.get_by_role("heading", name="gkd against sft").wait_for()
    assert page.url.endswith("#/compare?base=sft/run-1&new=gkd/run-1&metric=rougeL")
    link = page.locator("#compare-result table").nth(1).locator("tbody tr").first.locator("a")
    assert link.inner_text() == "dolly-3"  # 40 before, 9 now
    link.click()
    page.wait_for_selector("section.page.shown[data-page=samples]")


def test_keys_choose_pages_and_show_themselves(site, watched):
    page = watched.open(site)
    page.keyboard.press("2")
    page.wait_for_selector("section.page.shown[data-page=compare]")
    page.keyboard.press("?")
    assert page.get_by_role("dialog").get_by_text("open a page").is_visible()
    page.keyboard.press("Escape")
    assert page.get_by_role("dialog").count() == 0
    page.keyboard.press("1")
    page.wait_for_selector("section.page.shown[data-page=leaderboard]")
    page.keyboard.press("/")
    page.keyboard.type("2kd")
    assert page.get_by_label("Filter rows").input_value() == "2kd"


def test_the_theme_is_a_choice_that_stays(site, watched):
    page = watched.open(site)

    def ground():
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    page.get_by_role("button", name="Theme: system").click()
    light = ground()
    page.get_by_role("button", name="Theme: light").click()
    assert ground() != light
    page.reload()
    assert page.get_by_role("button", name="Theme: dark").is_visible()
    assert ground() != light


def test_without_scripts_every_page_is_shown(site, browser):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((site / "index.html").as_uri())
    for section in page.locator("section.page").all():
        assert section.is_visible()
    assert page.locator(".needs-script:visible").count() == 0
    assert page.locator(".board").first.locator(".ci").first.is_visible()
    page.locator("nav a", has_text="Run").click()
    assert page.url.endswith("#/run")
    context.close()
