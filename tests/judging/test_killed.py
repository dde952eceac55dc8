"""A judge run that is killed: no reply that came is lost, and none of them is asked for again."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
from made_questions import questions
from scripted_server import Says, ScriptedServer, with_faults

from kdbench.judging.asking import ask, unanswered
from kdbench.judging.judgements import Judgements
from kdbench.judging.server import ServerJudge
from kdbench.system.files import LinesFile
from kdbench.system.http import Address

ASKED, AT_ONCE, KILLED_AT = 200, 8, (50, 110)
PROGRAM = """
import json, sys
from kdbench.judging.asking import ask, unanswered
from kdbench.system.http import Address
from kdbench.judging.judgements import Judgements
from kdbench.judging.question import Question
from kdbench.judging.server import ServerJudge
from kdbench.system.files import LinesFile
from pathlib import Path

url, path, at_once, asked = sys.argv[1:]
file = LinesFile(Path(path))
known = Judgements([file])
judge = ServerJudge("scripted", Address(url), {}, int(at_once), lambda seconds: False)
questions = [Question(**fields) for fields in json.loads(Path(asked).read_text())]
ask("task", unanswered(questions, known), judge, known, file)
"""


def test_killed_twice_nothing_is_lost_and_nothing_asked_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    file = LinesFile(tmp_path / "judge.jsonl")
    asked = questions(ASKED)
    (tmp_path / "asked").write_text(json.dumps([asdict(question) for question in asked]))
    faulty, running = with_faults(10), []
    stored_at_kill: list[set[str]] = []

    def script(number: int, question: str) -> Says:
        if number in KILLED_AT:
            os.kill(running[-1].pid, signal.SIGKILL)
            running[-1].wait()
            stored_at_kill.append({line["key"] for line in file.read()})
        return faulty(number, question)

    with ScriptedServer(script) as server:
        for _ in KILLED_AT:
            words = [server.url, str(file.path), str(AT_ONCE), str(tmp_path / "asked")]
            running.append(subprocess.Popen([sys.executable, "-c", PROGRAM, *words]))
            assert running[-1].wait() == -signal.SIGKILL
        known = Judgements([file])
        judge = ServerJudge("scripted", Address(server.url), {}, AT_ONCE, lambda seconds: False)
        ask("task", unanswered(asked, known), judge, known, file)

    keys = [line["key"] for line in file.read()]
    assert sorted(keys) == sorted(question.key for question in asked)  # each once
    assert len(stored_at_kill[0]) > 20
    # Only what was on its way at a kill came twice; what was stored was not asked again.
    assert sum(count > 1 for count in server.replied.values()) <= len(KILLED_AT) * AT_ONCE
    by_text = {question.text: question.key for question in asked}
    sent = [by_text[body["messages"][0]["content"]] for body in server.bodies]
    for number, stored in zip(KILLED_AT, stored_at_kill, strict=True):
        assert not stored & set(sent[number + 1 :])
