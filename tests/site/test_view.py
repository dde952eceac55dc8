"""`kdbench view` serves the site to this machine's browser alone, and follows the results."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys

import pytest
from made_runs import put_run

from kdbench.config import ReportSettings, ViewSettings
from kdbench.errors import InputError
from kdbench.site.served import Served, SiteServer
from kdbench.site.view import LiveSite, view


@pytest.fixture
def server(tmp_path):
    (tmp_path / "index.html").write_text("<p>page</p>", "utf-8")
    (tmp_path / "secret.txt").write_text("secret", "utf-8")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.js").write_text("kdbench", "utf-8")
    server = SiteServer(0)
    files = {name: tmp_path / name for name in ("index.html", "data/a.js")}
    server.served = Served(3, files, "")
    server.start()
    yield server
    server.stop()


def ask(server, path, method="GET", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    host = headers.pop("Host", f"127.0.0.1:{server.server_port}")
    connection.putrequest(method, path, skip_host=True)
    for name, value in {"Host": host, **headers}.items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer, body


def test_the_files_of_the_site_are_served(server):
    for path, body in {"/": b"<p>page</p>", "/data/a.js?x=1": b"kdbench"}.items():
        answer, content = ask(server, path)
        assert (answer.status, content) == (200, body)
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert ask(server, "/data/a.js")[0].headers["Content-Type"].startswith("text/javascript")
    assert json.loads(ask(server, "/live.json")[1]) == {"version": 3, "problem": ""}


def test_head_has_no_body(server):
    answer, body = ask(server, "/", "HEAD")
    assert (answer.status, body, answer.headers["Content-Length"]) == (200, b"", "11")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_nothing_can_be_changed(method, server):
    assert ask(server, "/", method)[0].status == 501


@pytest.mark.parametrize(
    "path",
    [
        "/secret.txt",
        "/../secret.txt",
        "/data/../secret.txt",
        "/%2e%2e/secret.txt",
        "/data/..%2fsecret.txt",
        "//etc/passwd",
        "/data/",
        "/data",
        "/%00",
        "/index.html/",
    ],
)
def test_nothing_else_is_served(path, server):
    answer, body = ask(server, path)
    assert (answer.status, body) == (404, b"no such file\n")


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1", "localhost:1", ""]
)
def test_a_name_that_was_rebound_to_this_machine_gets_no_answer(host, server):
    answer, body = ask(server, "/", Host=host)
    assert (answer.status, body) == (403, b"unknown host\n")
    assert ask(server, "/", Host=f"localhost:{server.server_port}")[0].status == 200


def test_a_page_elsewhere_cannot_load_the_data_as_a_script(server):
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    assert ask(server, "/data/a.js", **headers)[0].status == 403
    assert ask(server, "/", **headers)[0].status == 403
    visit = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert ask(server, "/", **visit)[0].status == 200  # a link in a chat, say
    assert ask(server, "/data/a.js", **visit)[0].status == 403


def test_a_taken_port_is_one_line(server):
    with pytest.raises(InputError, match=rf"^port={server.server_port}: .*; port=0 chooses a free"):
        SiteServer(server.server_port)


def test_it_listens_on_this_machine_only(server):
    assert server.server_address[0] == "127.0.0.1"


# Following the results


@pytest.fixture
def live(tmp_path):
    results = tmp_path / "results"
    results.mkdir()
    return LiveSite(ReportSettings(results=results), tmp_path / "site")


def page(live):
    return live.served.files["index.html"].read_text("utf-8")


def settled(live):
    """Look twice: what has just changed may still be being written."""
    return [live.refresh(), live.refresh()]


def test_a_site_waits_for_the_first_run_and_then_shows_it(live):
    live.folder.mkdir()
    assert live.refresh()
    assert "no results; run kdbench eval" in page(live)
    assert 'data-build="1"' in page(live)
    assert settled(live) == [False, False]
    put_run(live.settings.results, "kd", {"dolly": [1, 2]})
    assert settled(live) == [False, True]
    assert live.served.version == 2
    assert live.served.problem == ""
    assert 'data-page="leaderboard"' in page(live)
    assert 'data-build="2"' in page(live)
    assert settled(live) == [False, False]


def test_a_link_to_itself_does_not_end_it(live):
    live.folder.mkdir()
    put_run(live.settings.results, "kd", {"dolly": [1, 2]})
    (live.settings.results / "loop.json").symlink_to("loop.json")
    assert live.refresh()
    assert live.served.problem == ""


def test_a_broken_result_keeps_the_last_site_and_says_so(live):
    live.folder.mkdir()
    folder = put_run(live.settings.results, "kd", {"dolly": [1, 2]})
    assert live.refresh()
    good = (folder / "dolly.json").read_text("utf-8")
    (folder / "dolly.json").write_text("{broken", "utf-8")
    assert settled(live) == [False, True]
    assert (live.served.version, "dolly.json: not JSON" in live.served.problem) == (1, True)
    assert 'data-page="leaderboard"' in page(live)
    (folder / "dolly.json").write_text(good, "utf-8")
    assert settled(live) == [False, True]
    assert live.served.problem == ""


def test_old_builds_are_deleted_but_not_the_one_that_a_page_may_be_loading(live):
    live.folder.mkdir()
    for number in range(3):
        put_run(live.settings.results, f"kd{number}", {"dolly": [1, 2]})
        settled(live)
    assert {folder.name for folder in live.folder.iterdir()} == {"2", "3"}


def test_wrong_settings_end_it_at_once(tmp_path):
    put_run(tmp_path, "kd", {"dolly": [1, 2]})
    with pytest.raises(InputError, match=r"^results=nowhere: no such folder"):
        view(ViewSettings(results="nowhere"))
    with pytest.raises(InputError, match=r"^baseline=kdd: did you mean 'kd'"):
        view(ViewSettings(results=tmp_path, baseline="kdd"))


def test_view_takes_the_keys_of_a_report(tmp_path):
    settings = ViewSettings(results=tmp_path, score="lm_loss", port=0, price=2.0)
    assert settings.report == ReportSettings(results=tmp_path, score="lm_loss", price=2.0)
    assert settings.report.model_fields_set == {"results", "score", "price"}


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_kill_end_it_cleanly(ending, tmp_path):
    put_run(tmp_path, "kd", {"dolly": [1, 2]})
    command = [sys.executable, "-m", "kdbench", "view", f"results={tmp_path}", "port=0"]
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "TMPDIR": str(temporary)},
        # Tests may run in the background of a shell, which makes their children ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    line = process.stdout.readline()
    assert line.startswith("http://127.0.0.1:")
    port = int(line.split("/")[2].split(":")[1])
    with socket.create_connection(("127.0.0.1", port), timeout=10):
        pass
    process.send_signal(ending)
    output, _ = process.communicate(timeout=30)
    assert (process.returncode, output) == (0, "stopped\n")
    assert list(temporary.iterdir()) == []
