"""A judge on a server that times out, refuses, limits, breaks off and talks nonsense."""

import os
import signal
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from made_questions import questions
from scripted_server import FAULTS, Says, Script, ScriptedServer, error, says, with_faults

from kdbench.errors import InputError
from kdbench.judging.asking import ask, unanswered
from kdbench.judging.judgements import Judgements
from kdbench.judging.server import ServerJudge
from kdbench.system.files import LinesFile
from kdbench.system.http import Address

KEY = "not-to-be-seen-1234567890"
START = (
    '{"key": "k", "kind": "score-reference", "try": 1, "model": null, "prompt_tokens": null, '
    '"reply_tokens": 3'
)
SETTINGS = {"temperature": 0, "max_tokens": 9}


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


class Asking:
    """One task that is judged on a server, with pauses that take no time."""

    def __init__(self, file: Path, server: ScriptedServer, count: int = 1, **address: Any):
        self.file, self.questions = LinesFile(file), questions(count)
        self.pauses: list[float] = []
        self.judge = ServerJudge(
            "scripted", Address(server.url, **address), SETTINGS, 4, self._pause
        )

    def _pause(self, seconds: float) -> bool:
        self.pauses.append(seconds)
        return False

    def run(self) -> Judgements:
        known = Judgements([self.file])
        ask("task", unanswered(self.questions, known), self.judge, known, self.file)
        return known

    def statuses(self) -> Counter[str]:
        known = Judgements([self.file])
        finals = [known.final(question) for question in self.questions]
        return Counter(final.status for final in finals if final)


def always(reply: Says) -> Script:
    return lambda number, question: reply


def once(reply: Says) -> Script:
    return lambda number, question: reply if number == 0 else says("Score: 6")


@pytest.mark.parametrize(
    ("part", "pause", "fault"), [(" ", 0.02, "timeout"), (" " * 2**20, 0, "nonsense")]
)
def test_a_body_without_end_is_a_fault(tmp_path: Path, part: str, pause: float, fault: str) -> None:
    endless = Says(body=part, pause=pause)
    with ScriptedServer(once(endless)) as server:
        asking = Asking(tmp_path / "j", server, seconds=0.3)
        assert asking.run().replies == 1
    assert asking.judge.faults == {fault: 1}


def test_a_request_has_the_settings_and_no_key_that_was_not_given(tmp_path: Path) -> None:
    with ScriptedServer() as server:
        Asking(tmp_path / "j", server).run()
    (body,) = server.bodies
    content = "<response-0>\nw \n</response"
    messages = [{"role": "user", "content": content}]
    assert body == {"model": "scripted", "messages": messages, **SETTINGS}
    assert server.keys == [None]


def test_the_key_is_sent_and_stored_nowhere(tmp_path: Path) -> None:
    with ScriptedServer() as server:
        asking = Asking(tmp_path / "j", server, 2, key=KEY, key_env="MINE")
        asking.run()
    assert set(server.keys) == {f"Bearer {KEY}"}
    assert KEY not in (tmp_path / "j").read_text() + repr(asking.judge.__dict__)


def test_a_login_in_a_netrc_file_does_not_take_the_place_of_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with ScriptedServer() as server:
        Asking(tmp_path / "j", server, key=KEY, key_env="MINE").run()
        Asking(tmp_path / "k", server).run()
    assert server.keys == [f"Bearer {KEY}", None]


@pytest.mark.parametrize(
    ("fault", "kind"),
    list(
        zip(
            FAULTS,
            ["rate limit", "server error", "server error", "nonsense", "nonsense", "connection"],
            strict=True,
        )
    ),
)
def test_a_fault_that_passes_is_tried_again_and_counted(
    tmp_path: Path, fault: Says, kind: str
) -> None:
    with ScriptedServer(once(fault)) as server:
        asking = Asking(tmp_path / "j", server)
        asking.run()
    assert asking.judge.faults == {kind: 1}
    assert asking.statuses() == {"scored": 1}
    assert len(server.bodies) == 2


def test_a_server_that_does_not_reply_in_time_is_asked_again(tmp_path: Path) -> None:
    with ScriptedServer(once(Says(hangs=True))) as server:
        asking = Asking(tmp_path / "j", server, seconds=0.2)
        asking.run()
    assert asking.judge.faults == {"timeout": 1}


@pytest.mark.parametrize(
    "body",
    ["null", "[]", "{}", '{"choices": [{}]}', '{"choices": [{"message": 3}]}', "[" * 100_000, "\0"],
)
def test_nonsense_is_never_a_judgement(tmp_path: Path, body: str) -> None:
    with ScriptedServer(once(Says(200, body))) as server:
        asking = Asking(tmp_path / "j", server)
        asking.run()
    assert asking.judge.faults == {"nonsense": 1}


def test_the_server_says_how_long_to_wait(tmp_path: Path) -> None:
    with ScriptedServer(once(error(429, Retry_After="17"))) as server:
        asking = Asking(tmp_path / "j", server)
        asking.run()
    assert asking.pauses == [17]


def test_without_its_word_pauses_double(tmp_path: Path) -> None:
    def script(number: int, question: str) -> Says:
        return error(503, Retry_After="soon") if number < 4 else says("Score: 6")

    with ScriptedServer(script) as server:
        asking = Asking(tmp_path / "j", server)
        asking.run()
    for pause, longest in zip(asking.pauses, (0.5, 1, 2, 4), strict=True):
        assert longest / 2 <= pause <= longest


@pytest.mark.parametrize(
    ("reply", "says_why"),
    [
        (error(401, f"Incorrect API key: {KEY}"), "refuses the key in MINE (HTTP 401)"),
        (error(403), "refuses the key in MINE (HTTP 403)"),
        (error(404, "no such model"), "refuses the request (HTTP 404): no such model"),
        (error(400, f"temperature? {KEY}"), "refuses the request (HTTP 400): temperature? ***"),
        (error(429, "pay", "insufficient_quota"), "the account has no quota left: pay"),
        (error(429, Retry_After="7200"), "asks to wait 7200 s"),
        (Says(302, "", {"Location": "http://example.org"}), "refuses the request (HTTP 302)"),
    ],
)
def test_a_refusal_that_will_not_pass_stops_at_once(
    tmp_path: Path, reply: Says, says_why: str
) -> None:
    with ScriptedServer(always(reply)) as server:
        asking = Asking(tmp_path / "j", server, 50, key=KEY, key_env="MINE")
        with pytest.raises(InputError) as caught:
            asking.run()
    assert says_why in str(caught.value)
    assert KEY not in str(caught.value)
    assert len(server.bodies) <= 8  # those on their way, not all 50
    assert not asking.pauses


def test_a_server_that_wants_a_key_is_told_apart(tmp_path: Path) -> None:
    wants = pytest.raises(InputError, match=r"wants a key .*judge_key_env=")
    with ScriptedServer(always(error(401))) as server, wants:
        Asking(tmp_path / "j", server).run()


def test_nobody_listens(tmp_path: Path) -> None:
    with ScriptedServer() as server:
        url = server.url
    asking = Asking(tmp_path / "j", server, 30)
    with pytest.raises(InputError, match=r"no connection: .*refused"):
        asking.run()
    assert len(asking.pauses) <= (3 + 4) * 6  # given up after three questions, not after thirty
    assert url == asking.judge.address
    assert not (tmp_path / "j").exists()
    with pytest.raises(InputError, match="no connection"):
        asking.judge.check()


def test_one_question_without_a_reply_does_not_hold_up_the_others(tmp_path: Path) -> None:
    def script(number: int, question: str) -> Says:
        return (
            error(500, "poison")
            if question.split() == questions(3)[2].text.split()
            else says("Score: 6")
        )

    with ScriptedServer(script) as server:
        asking = Asking(tmp_path / "j", server, 40)
        with pytest.raises(
            InputError, match=r"1 questions or more got no reply.*poison.*are stored"
        ):
            asking.run()
        assert asking.statuses() == {"scored": 39}
        before = len(server.bodies)
        with pytest.raises(InputError, match="got no reply"):
            asking.run()
    assert len(server.bodies) == before + 7  # only the one, at every try


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        (says(None, refusal="I can't."), "refused"),
        (error(400, "filtered", "content_filter"), "refused"),
        (error(400, "too long", "context_length_exceeded"), "too long"),
        (error(400, "This model's maximum context length is 99 tokens"), "too long"),
    ],
)
def test_what_a_judge_declines_is_stored_and_not_asked_again(
    tmp_path: Path, reply: Says, status: str
) -> None:
    with ScriptedServer(always(reply)) as server:
        asking = Asking(tmp_path / "j", server)
        asking.run()
        asking.run()
    assert asking.statuses() == {status: 1}
    assert len(server.bodies) == 1


@pytest.mark.parametrize("text", ["I like it.", "", None, "Score: 12", "Score: \ud800"])
def test_an_unread_reply_is_asked_for_once_more_with_insistence(
    tmp_path: Path, text: str | None
) -> None:
    with ScriptedServer(once(says(text))) as server:
        asking = Asking(tmp_path / "j", server)
        asking.run()
    first, second = (body["messages"][0]["content"] for body in server.bodies)
    assert second.startswith(first)
    assert second.endswith("Score: N")
    assert asking.statuses() == {"scored": 1}
    assert [line["try"] for line in asking.file.read()] == [1, 2]


def test_a_reply_that_stays_unread_is_stored_and_never_asked_again(tmp_path: Path) -> None:
    with ScriptedServer(always(says("no numbers"))) as server:
        asking = Asking(tmp_path / "j", server, 3)
        asking.run()
        asking.run()
    assert asking.statuses() == {"unparsable": 3}
    assert len(server.bodies) == 6


def test_the_second_try_is_made_even_if_the_first_call_ended_before(tmp_path: Path) -> None:
    with ScriptedServer(once(says("no number"))) as server:
        asking = Asking(tmp_path / "j", server)
        asking.run()
        lines = asking.file.path.read_bytes().splitlines(keepends=True)
        asking.file.path.write_bytes(lines[0])  # as if killed between the two
        asking.run()
    contents = [body["messages"][0]["content"] for body in server.bodies]
    assert contents[1] == contents[2] != contents[0]


def test_equal_questions_are_asked_once(tmp_path: Path) -> None:
    with ScriptedServer() as server:
        asking = Asking(tmp_path / "j", server)
        asking.questions *= 5
        asking.run()
    assert len(server.bodies) == 1


def test_as_many_requests_at_once_as_allowed(tmp_path: Path) -> None:
    together = threading.Barrier(4)  # passes only if four requests are there at once

    def script(number: int, question: str) -> Says:
        together.wait(60)
        return says("Score: 6")

    with ScriptedServer(script) as server:
        Asking(tmp_path / "j", server, 12).run()
    assert server.most == 4


def test_a_model_that_the_server_does_not_list_is_noted(capsys: pytest.CaptureFixture[str]) -> None:
    with ScriptedServer() as server:
        for model in ("scripted", "script"):
            ServerJudge(model, Address(server.url), SETTINGS).check()
    (note,) = capsys.readouterr().err.splitlines()
    assert note.endswith("does not list 'script': did you mean 'scripted'?")
    assert not server.bodies


def test_a_server_without_https_is_not_asked_again_and_again(tmp_path: Path) -> None:
    with ScriptedServer() as server:
        server.url = server.url.replace("http:", "https:")
        asking = Asking(tmp_path / "j", server)
        with pytest.raises(InputError, match=r"no secure connection: .*SSL"):
            asking.run()
    assert not asking.pauses


def test_an_interruption_still_stores_what_is_on_its_way(tmp_path: Path) -> None:
    file, arrived = LinesFile(tmp_path / "j"), threading.Barrier(4)

    def script(number: int, question: str) -> Says:
        if number >= 8:  # four more, while the main thread waits for them
            while len(file.read()) < 8:
                pass
            if arrived.wait(60) == 0:
                os.kill(os.getpid(), signal.SIGINT)
            asking.judge._asking._stop.wait(60)
        return says("Score: 6")

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # which a worker may ignore
    try:
        with ScriptedServer(script) as server:
            asking = Asking(file.path, server, 40)
            with pytest.raises(KeyboardInterrupt):
                asking.run()
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(file.read()) == len(server.bodies) == 12


def test_with_a_tenth_of_faults_nothing_is_lost_and_nothing_asked_twice(tmp_path: Path) -> None:
    with ScriptedServer(with_faults(10)) as server:
        asking = Asking(tmp_path / "j", server, 150)
        asking.run()
        asking.run()
    assert server.faults > 8
    assert asking.judge.faults.total() == server.faults
    assert asking.statuses() == {"scored": 150}
    assert set(server.replied.values()) == {1}
    assert len(asking.file.read()) == 150


def test_a_line_that_a_crash_cut_short_is_asked_again_alone(tmp_path: Path) -> None:
    with ScriptedServer() as server:
        asking = Asking(tmp_path / "j", server, 20)
        asking.run()
        content = asking.file.path.read_bytes()
        asking.file.path.write_bytes(content[:-10])
        asking.run()
    assert len(server.bodies) == 21
    assert len(asking.file.read()) == 20


@pytest.mark.parametrize(
    "line",
    [
        "{}",
        "nonsense",
        '{"key": 3}',
        f'{START}, "status": "scored", "scores": [1]}}',
        f'{START}, "status": "scored", "scores": null}}',
        f'{START}, "status": "scored", "scores": [1, 11]}}',
        f'{START}, "status": "refused", "scores": [1, 2]}}',
        f'{START}, "status": "lost", "scores": null}}',
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "j").write_text(f"{line}\n")
    with pytest.raises(InputError, match=rf"{tmp_path / 'j'}:1: not a"):
        Judgements([LinesFile(tmp_path / "j")])
