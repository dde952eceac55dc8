"""The leaderboard shows the numbers of `kdbench table`, apart by group, with their sources."""

import re
from html.parser import HTMLParser

import pytest
from made_runs import put_run

from kdbench.config import ReportSettings, TableSettings
from kdbench.site.boards import best_rows, make_boards, ordered_metrics
from kdbench.site.leaderboard import leaderboard_page, split_source
from kdbench.site.source import read_source
from kdbench.tables import build_table

SPREAD = [float(n) for n in range(40)]


@pytest.fixture
def results(tmp_path):
    """A best student, one that scores a little less, one that scores far less, and a teacher."""
    folder = tmp_path / "results"
    teacher = {"name": "big", "sha256": "sha of big"}
    near = [score + (0.45 if n % 2 else -0.5) for n, score in enumerate(SPREAD)]
    for model, scores in {
        "best": SPREAD,
        "near": near,
        "far": [score - 20 - n / 100 for n, score in enumerate(SPREAD)],
    }.items():
        put_run(folder, model, {"dolly": scores}, teacher=teacher, samples=model == "best")
    put_run(folder, "big", {"dolly": [score + 50 for score in SPREAD]})
    return folder


def source_of(results, **keys):
    return read_source(ReportSettings(results=results, **keys))


class Rows(HTMLParser):
    """The body rows of the tables of a board: texts of their cells, classes and links."""

    def __init__(self, html, board):
        super().__init__()
        self.rows, self.inside = [], False
        start = html.index(f'data-board="{board}"')
        self.feed(html[start : html.index("</section>", start)])

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append({"text": "", "class": given.get("class", ""), "href": ""})
            self.inside = True
        if tag == "a" and self.inside:
            self.rows[-1][-1]["href"] = given["href"]

    def handle_endtag(self, tag):
        self.inside = self.inside and tag not in ("td", "th")

    def handle_data(self, data):
        if self.inside:
            self.rows[-1][-1]["text"] += data


def rows_of(page, board):
    rows = Rows(str(page.html), board).rows
    return {row[0]["text"].split()[0]: row for row in rows if row}


def test_the_numbers_are_those_of_the_table(results):
    source = source_of(results)
    (board,) = [board for board in make_boards(source) if board.id == "rougeL"]
    table = build_table(
        TableSettings(results=results, tasks=("dolly",), metric="rougeL", published="none")
    )
    by_label = {row.label: row for group in table.groups for row in group.rows}
    assert {row.label: row for group in board.table.groups for row in group.rows} == by_label
    shown = rows_of(leaderboard_page(source), "rougeL")
    for row in table.rows:
        assert shown[row.label][1]["text"].startswith(f"{row.cells[0].value:.2f}")


def test_the_best_average_comes_first_below_the_teachers(results):
    put_run(results, "aaa", {"vicuna": [99.0]})  # without the task: no number, so it is last
    source = source_of(results, tasks=("dolly",))
    html = str(leaderboard_page(source).html)
    assert list(rows_of(leaderboard_page(source), "rougeL"))[1:] == ["big", "best", "near", "far"]
    start = html.index('data-board="rougeL"')
    head = re.search(r'aria-sort="(\w+)"><button type="button">([^<]*)', html[start:])
    assert head
    assert head.groups() == ("descending", "AVG")


def test_where_lower_is_better_the_lowest_comes_first(tmp_path):
    put_run(tmp_path, "a", {"dolly": [2.0, 1.2] * 4}, metric="lm_loss")
    put_run(tmp_path, "b", {"dolly": [1.0, 1.1] * 4}, metric="lm_loss")
    page = leaderboard_page(source_of(tmp_path))
    assert list(rows_of(page, "lm_loss"))[1:] == ["b", "a"]
    assert 'aria-sort="ascending"' in str(page.html)


def test_best_tied_and_worse_are_told_apart_and_a_teacher_is_not_ranked(results):
    shown = rows_of(leaderboard_page(source_of(results)), "rougeL")
    marks = {label: row[1]["class"] for label, row in shown.items()}
    assert marks == {"student": "", "big": "", "best": "best", "near": "tied", "far": ""}
    assert "not significantly different from the best" in shown["near"][1]["text"]
    assert shown["big"][0]["text"].split() == ["big", "teacher"]


def test_where_lower_is_better_the_lowest_is_the_best(tmp_path):
    put_run(tmp_path, "low", {"dolly": [1.0, 2.0] * 4}, metric="lm_loss")
    put_run(tmp_path, "high", {"dolly": [2.0, 1.2] * 4}, metric="lm_loss")
    board = make_boards(source_of(tmp_path))[0]
    (best, of_average) = best_rows(board, 0)
    labels = [row.label for row in board.table.groups[0].rows]
    assert [labels[index] for index in best] == ["low"]
    assert all(row.cells[0].best for row in board.table.groups[0].rows)  # the other one is tied
    assert best == of_average


def test_where_all_students_are_equal_none_is_the_best(tmp_path):
    for model in ("a", "b"):
        put_run(tmp_path, model, {"dolly": [0.0] * 8})
    html = str(leaderboard_page(source_of(tmp_path)).html)
    assert rows_of(leaderboard_page(source_of(tmp_path)), "rougeL")["a"][1]["class"] == ""
    assert "A name leads to its run" in html  # and no number to samples that are not there


def test_a_row_leads_to_its_run_and_a_number_to_its_samples(results):
    shown = rows_of(leaderboard_page(source_of(results)), "rougeL")
    assert shown["best"][0]["href"] == "#/run?run=best/run-1"
    assert shown["best"][1]["href"] == "#/samples?task=dolly&students=best/run-1"
    assert shown["far"][1]["href"] == ""  # it has no samples


def test_published_rows_are_shown_as_asked_and_apart(results):
    def html(**keys):
        return str(leaderboard_page(source_of(results, **keys)).html)

    assert 'class="badge reported"' not in html()
    assert "Published rows are not shown" in html()
    text = html(published="verified")
    assert 'class="badge reported"' in text
    assert "†" not in text
    assert "†" in html(published="all")
    for url in re.findall(r'<a href="(?!#)([^"]*)"', text):
        assert url.startswith(("https://", "http://"))


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        ("A paper, part 2, https://x.org/a", ("A paper, part 2", "https://x.org/a")),
        ("A paper, javascript:alert(1)", ("A paper, javascript:alert(1)", "")),
        ("A paper, https://x.org/ a", ("A paper, https://x.org/ a", "")),
        ("no address", ("no address", "")),
    ],
)
def test_only_web_addresses_become_links(source, parts):
    assert split_source(source) == parts


def test_the_score_comes_first_and_the_overview_second(results):
    more = {"lm_loss": [1.0] * 40, "response_length": [5.0] * 40}
    put_run(results, "rich", {"dolly": SPREAD}, more=more)
    source = source_of(results)
    assert ordered_metrics(source) == ["rougeL", "lm_loss", "response_length"]
    boards = make_boards(source)
    assert [board.id for board in boards] == ["rougeL", "overview", "lm_loss", "response_length"]
    # Neither direction of a length is better; sizes stand at the end.
    assert boards[1].table.columns == ("rougeL ↑", "lm_loss ↓", "parameters ↓")
    assert boards[1].directions == ("higher", "lower", "lower")


def test_a_metric_that_not_every_task_has_shows_its_tasks(results):
    put_run(results, "other", {"sums": [0.5] * 5}, metric="accuracy")
    boards = {board.id: board for board in make_boards(source_of(results))}
    assert boards["accuracy"].tasks == ("sums", None)
    assert boards["rougeL"].tasks == ("dolly", None)
    assert "overview" not in boards or "accuracy" not in boards["overview"].table.columns


def test_how_far_papers_disagree_is_shown_with_reported_rows_only(results):
    plain = leaderboard_page(source_of(results)).html
    assert "How far papers disagree" not in plain
    html = leaderboard_page(source_of(results, published="second_hand")).html
    section = html[html.index("How far papers disagree") :]
    row = next(row for row in section.split("<tr>") if ">GKD<" in row and "GPT-2 XL" in row)
    assert "19.43–26.05 (6.62)" in row  # Super-Natural
    assert "‡" in html


def test_a_row_names_its_run_protocol_and_machine_and_the_test_is_put_in_words(results):
    html = leaderboard_page(source_of(results)).html
    (title,) = set(re.findall(r'<tr[^>]* title="(run best/[^"]*)"', html))
    assert "protocol minillm" in title
    assert "best has the best mean; near is not significantly different from best;" in html
    assert "best is significantly better than far by 20." in html
