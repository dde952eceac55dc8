"""Clicks through the pages Fidelity and Cost; their numbers are those of the report."""

import json
import re

import pytest

GAIN = "figure >> nth=0"


@pytest.fixture
def report(sites):
    return json.loads((sites.folder / "report.json").read_text("utf-8"))


def rows_of(report, name, **wanted):
    columns = report[name]
    rows = [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
    return [row for row in rows if all(row[key] == value for key, value in wanted.items())]


def test_the_library_is_loaded_when_a_page_first_draws(sites, watched):
    page = watched.open(sites.folder, "#/leaderboard")
    assert page.evaluate("typeof Plot") == "undefined"
    page.locator('[data-page-link="fidelity"]').click()
    watched.settle()
    assert page.evaluate("typeof Plot") == "object"


def test_every_point_leads_to_its_samples(sites, watched, report):
    page = watched.open(sites.folder, "#/fidelity")
    points = page.locator(GAIN).locator(".plot a")
    named = [point.get_attribute("aria-label") for point in points.all()]
    assert len(named) == len(rows_of(report, "gain"))
    (gain,) = rows_of(report, "gain", task="vicuna", model="noisy")
    numbers = f"{gain['gain']:.2f} [{gain['gain_low']:.2f}, {gain['gain_high']:.2f}]"
    (place,) = [i for i, text in enumerate(named) if "(noisy), Vicuna; " in text]
    assert f"gain {numbers}" in named[place]
    points.nth(place).focus()
    page.keyboard.press("Enter")
    page.wait_for_function("location.hash.startsWith('#/samples')")
    assert re.search(r"task=vicuna&students=noisy/minillm", page.url)
    assert page.locator("section.page.shown h1").inner_text() == "Samples"


def test_a_student_can_be_hidden_and_shown_again(sites, watched):
    page = watched.open(sites.folder, "#/fidelity")
    points = page.locator(GAIN).locator(".plot a")
    all_points = points.count()
    button = page.locator(GAIN).get_by_role("button", name="noisy")
    button.click()
    assert button.get_attribute("aria-pressed") == "false"
    assert points.count() == all_points / 2
    button.click()
    assert points.count() == all_points


def test_a_choice_changes_the_plots_and_the_table_under_them(sites, watched, report):
    page = watched.open(sites.folder, "#/fidelity")
    figure = page.locator("figure", has=page.get_by_role("heading", name="Fidelity by token"))
    figure.locator("summary").click()
    for where, text in (("teacher", "the teacher's text"), ("ref", "the reference")):
        figure.locator("select").select_option(where)
        assert text in figure.locator(".plot").first.get_attribute("aria-label")
        assert text in figure.locator("caption").inner_text()
        known = [row for row in rows_of(report, "by_token", set=where) if row["value"] is not None]
        assert figure.locator("tbody tr").count() == len(known)


def test_the_letters_of_plots_are_text_and_names_are_not_markup(sites, watched):
    page = watched.open(sites.single, "#/fidelity")
    panels = page.locator(GAIN).locator(".panel")
    texts = panels.first.locator(".plot text").all_text_contents()
    # A corner is named only if a point is surely in it; that of the undistilled student is not.
    assert "unfaithful gain" not in texts
    assert any("GKD <b>" in text for text in texts)
    assert page.locator(".plots b").count() == 0


def test_the_frontier_is_named_and_a_point_leads_to_its_run(sites, watched):
    page = watched.open(sites.folder, "#/cost")
    assert page.locator(".plot-note").inner_text().startswith("On the frontier, the cheapest first")
    page.locator("figure .plot a").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_function("location.hash.startsWith('#/run?run=')")
