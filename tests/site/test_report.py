"""A report is a site that opens from disk, with figures and numbers next to it."""

import json
import re
from html.parser import HTMLParser

import pytest
from made_runs import put_run

import kdbench
from kdbench.errors import InputError
from kdbench.site.report import make_report

VOID = {"meta", "link", "input", "br", "hr", "img"}


class Tags(HTMLParser):
    """The tags of a page, those that were left open, and what it loads."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.loaded, self.links, self.ids = [], [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.tags.append(tag)
        self.open += [] if tag in VOID else [tag]
        self.ids += [given["id"]] if "id" in given else []
        if tag == "a":
            self.links.append(given["href"])
        else:
            self.loaded += [given[key] for key in ("src", "href") if key in given]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture
def results(tmp_path):
    folder = tmp_path / "results"
    put_run(folder, "sft", {"dolly": [10, 20, 30], "vicuna": [9, 9, 9]}, method="SFT")
    put_run(folder, "kd", {"dolly": [20, 40, 60], "vicuna": [6, 9, 3]}, method="<b>&KD</b>")
    return folder


def written(out):
    return {file.relative_to(out).as_posix() for file in out.rglob("*") if file.is_file()}


def test_a_report_needs_no_teacher(results, tmp_path):
    report = kdbench.report(results=results, out=tmp_path / "out")
    assert report.findings is None
    assert report.why_no_findings.startswith("no student was compared with a teacher; run kdbench")
    page = (tmp_path / "out" / "index.html").read_text("utf-8")
    assert "no student was compared with a teacher" in page
    assert not (tmp_path / "out" / "figures").exists()
    numbers = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))
    assert numbers["files"] == sorted(written(tmp_path / "out") - {"report.json"})


def test_the_page_is_whole_and_names_in_it_are_text(results, tmp_path):
    kdbench.report(results=results, out=tmp_path / "out")
    text = (tmp_path / "out" / "index.html").read_text("utf-8")
    tags = Tags(text)
    assert tags.open == []
    assert "b" not in tags.tags
    assert "&lt;b&gt;&amp;KD&lt;/b&gt;" in text
    assert len(tags.ids) == len(set(tags.ids))
    for file in tags.loaded:
        assert file == "data:," or (tmp_path / "out" / file).is_file()
    assert all(link.startswith("#") for link in tags.links)


def test_every_link_within_the_site_leads_to_a_page(results, tmp_path):
    kdbench.report(results=results, out=tmp_path / "out")
    tags = Tags((tmp_path / "out" / "index.html").read_text("utf-8"))
    pages = {link.removeprefix("#/").split("?")[0] for link in tags.links if link != "#main"}
    assert {f"/{name}" for name in pages} <= set(tags.ids)
    assert "#/run?run=kd/run-1" in tags.links


def test_every_table_has_a_caption_and_every_header_a_scope(results, tmp_path):
    kdbench.report(results=results, out=tmp_path / "out")
    text = (tmp_path / "out" / "index.html").read_text("utf-8")
    assert text.count("<table") == text.count("<caption") > 0
    assert re.findall(r"<th(?![^>]*\bscope=)[ >]", text) == []


def test_a_single_file_holds_everything(results, tmp_path):
    report = kdbench.report(results=results, out=tmp_path / "out", single_file=True)
    assert written(tmp_path / "out") == {"index.html", "report.json"}
    assert [file.name for file in report.named_files] == ["index.html", "report.json"]
    text = report.named_files[0].read_text("utf-8")
    assert Tags(text).loaded == ["data:,"]
    inlined = re.search(r'<script type="application/json" id="data-compare">(.*?)</script>', text)
    assert "<" not in inlined[1]
    labels = {run["label"] for run in json.loads(inlined[1])["runs"]}
    assert labels == {"SFT (sft)", "<b>&KD</b> (kd)"}


def test_the_policy_allows_nothing_from_elsewhere(results, tmp_path):
    for single in (False, True):
        out = tmp_path / str(single)
        kdbench.report(results=results, out=out, single_file=single)
        (policy,) = re.findall(
            r'Content-Security-Policy" content="([^"]*)"', (out / "index.html").read_text("utf-8")
        )
        rules = dict(rule.split(" ", 1) for rule in policy.replace("&#39;", "'").split("; "))
        assert rules["default-src"] == rules["form-action"] == "'none'"
        assert "unsafe" not in rules["script-src"] + rules["style-src"]
        assert "http" not in policy
        assert ("sha256-" in rules["script-src"]) == single


def test_stale_files_go_and_foreign_files_stay(results, tmp_path):
    out = tmp_path / "out"
    kdbench.report(results=results, out=out)
    assert (out / "static" / "site.js").exists()
    for mine in ("notes.txt", "data/mine.js", "static/mine.css"):
        (out / mine).write_text("mine", "utf-8")
    kdbench.report(results=results, out=out, single_file=True)
    assert written(out) == {
        *("index.html", "report.json"),
        *("notes.txt", "data/mine.js", "static/mine.css"),
    }


def test_files_of_the_first_reports_are_stale(results, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "gain.png").write_text("old", "utf-8")
    (out / "mine.png").write_text("mine", "utf-8")
    (out / "report.json").write_text('{"schema": 1, "gain": {}}', "utf-8")
    kdbench.report(results=results, out=out)
    assert not (out / "gain.png").exists()
    assert (out / "mine.png").exists()


@pytest.mark.parametrize("name", ["../victim", "/victim", "link/victim", "", "."])
def test_a_list_of_files_cannot_name_others(name, results, tmp_path):
    out, outside = tmp_path / "out", tmp_path / "outside"
    out.mkdir()
    outside.mkdir()
    victims = [tmp_path / "victim", outside / "victim"]
    for victim in victims:
        victim.write_text("mine", "utf-8")
    (out / "link").symlink_to(outside)
    name = name.replace("/victim", str(victims[0])) if name == "/victim" else name
    (out / "report.json").write_text(json.dumps({"schema": 1, "files": [name, 3]}), "utf-8")
    kdbench.report(results=results, out=out)
    assert all(victim.exists() for victim in victims)


def test_a_report_json_of_another_tool_is_not_believed(results, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "gain.png").write_text("mine", "utf-8")
    (out / "report.json").write_text("not JSON", "utf-8")
    kdbench.report(results=results, out=out)
    assert (out / "gain.png").exists()


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"results": "nowhere"}, "results=nowhere: no such folder"),
        ({"results": "."}, "results=.: no results; run kdbench eval"),
        ({"tasks": ("doly",)}, "tasks=doly: did you mean 'dolly'"),
        ({"out": __file__}, f"out={__file__}: exists and is not a folder"),
        ({"out": "-"}, "out=-: a report is a folder of files"),
        ({"out": ""}, "out=: must not be empty"),
        ({"baseline": "stf"}, "baseline=stf: did you mean 'sft'"),
    ],
)
def test_bad_settings_are_one_line_and_write_nothing(keys, message, results, tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    with pytest.raises(InputError, match=f"^{re.escape(message)}"):
        kdbench.report(**{"results": results, "out": tmp_path / "out", **keys})
    assert not (tmp_path / "out").exists()


def test_a_chosen_metric_that_cannot_be_drawn_is_an_error_and_a_default_is_a_note(tmp_path):
    results = tmp_path / "results"
    teacher = {"name": "big", "sha256": "t"}
    put_run(results, "sft", {"dolly": [1, 2, 3]}, method="SFT", teacher=teacher)
    report = kdbench.report(results=results, out=tmp_path / "out")
    assert "fidelity=acceptance@student: these runs have no such metric" in report.why_no_findings
    with pytest.raises(InputError, match=r"^fidelity=fkl: these runs have no such metric"):
        kdbench.report(results=results, out=tmp_path / "out", fidelity="fkl")


def test_a_baseline_without_a_teacher_serves_the_other_pages(tmp_path):
    results = tmp_path / "results"
    teacher = {"name": "big", "sha256": "t"}
    scores = {"dolly": [1, 2, 3]}
    put_run(results, "sft", scores, method="SFT")
    more = {"acceptance@student": [0.1, 0.2, 0.3]}
    put_run(results, "kd", scores, method="KD", teacher=teacher, more=more)
    report = kdbench.report(results=results, out=tmp_path / "out", baseline="SFT")
    assert "gains: the baseline sft/run-1 was not compared with a teacher" in (
        report.findings.left_out
    )


def test_a_dry_run_lists_what_is_written(tmp_path):
    from kdbench.config import ReportSettings
    from kdbench.site.dry_run import plan_report

    results = tmp_path / "results"
    teacher = {"name": "big", "sha256": "t"}
    more = {"acceptance@student": [0.1, 0.2, 0.3]}
    put_run(results, "sft", {"dolly": [1, 2, 3]}, method="SFT", teacher=teacher, more=more)
    for single in (False, True):
        settings = ReportSettings(results=results, out=tmp_path / str(single), single_file=single)
        facts = [fact for section in plan_report(settings) for fact in section.facts]
        planned = {fact.value.split(",")[0] for fact in facts if fact.name == "writes"}
        assert not settings.out.exists()
        assert planned == set(map(str, make_report(settings).named_files))


def test_the_footer_says_when_the_results_were_made(results, tmp_path):
    from kdbench.config import ReportSettings
    from kdbench.site.report import footer
    from kdbench.site.source import read_source
    from kdbench.version import __version__

    put_run(results, "late", {"dolly": [1, 2, 3]}, created="2026-11-28T10:00:00+00:00")
    source = read_source(ReportSettings(results=results))
    assert footer(source) == [f"kdbench {__version__}; results of 2026-11-02 to 2026-11-28"]
