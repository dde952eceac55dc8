"""An engine behind a server: the same training, and every fault in one line."""

import json
import shutil
import socket
import threading
from dataclasses import asdict
from pathlib import Path

import pytest
import scripted_engine
import torch
from safetensors.torch import load_file

import kdbench
from kdbench.protocol import Protocol
from kdbench.training.rollouts import EngineStart
from kdbench.training.rollouts.served import TOKEN, check_server, request
from kdbench.training.rollouts.server import EngineHost, RolloutServer, ServerSettings, main

FEW = {
    "method": "gkd",
    "student_fraction": 1.0,
    "steps": 3,
    "batch_size": 4,
    "limit": 12,
    "learning_rate": 1e-2,
    "max_new_tokens": 6,
    "validation_limit": 4,
    "validation_samples": 1,
    "select": "last",
    "log_every": 1,
    "save_every": 1,
    "device": "cpu",
    "rollout_backend": "scripted",
}


@pytest.fixture
def server():
    scripted_engine.EVENTS.clear()
    serving = RolloutServer(ServerSettings(port=0))
    thread = threading.Thread(target=serving.serve_forever, daemon=True)
    thread.start()
    yield serving
    serving.shutdown()
    thread.join()
    serving.engine.close()
    serving.server_close()


def url(server) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}"


def run(world, out: Path, **settings: object):
    both = {"student": str(world.student), "teacher": str(world.teacher), "data": world.data}
    return kdbench.train(**{**FEW, **both, "out": out, **settings})


def same_weights(first: Path, other: Path) -> bool:
    ours, theirs = (load_file(folder / "model.safetensors") for folder in (first, other))
    return all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_server_trains_the_student_that_an_engine_beside_it_does(world, tmp_path, server) -> None:
    beside = run(world, tmp_path / "beside")
    scripted_engine.EVENTS.clear()
    served = run(world, tmp_path / "served", rollout_server=url(server) + "/")
    assert same_weights(beside.checkpoint, served.checkpoint)
    (start,) = [value for kind, value in scripted_engine.EVENTS if kind == "start"]
    assert start.protocol.max_new_tokens == 6
    assert [value for kind, value in scripted_engine.EVENTS if kind == "update"] == [1, 2]
    assert served.card["rollouts"] == {**beside.card["rollouts"], "server": True}
    assert served.card["training"] == beside.card["training"]
    assert server.engine.state()["engine"] is None  # it was told to stop
    assert not start.folder.exists()


def test_a_fault_of_the_engine_is_one_line_and_the_run_goes_on_from_its_state(
    world, tmp_path, server, monkeypatch
) -> None:
    sample = scripted_engine.ScriptedEngine.sample

    def broken(self, rows):
        if ("update", 2) in scripted_engine.EVENTS:
            raise kdbench.InputError("the engine is out of memory")
        return sample(self, rows)

    monkeypatch.setattr(scripted_engine.ScriptedEngine, "sample", broken)
    with pytest.raises(kdbench.InputError, match=r"rollout_server=http.*out of memory") as error:
        run(world, tmp_path / "run", rollout_server=url(server))
    assert "\n" not in str(error.value)
    monkeypatch.undo()
    scripted_engine.EVENTS.clear()
    resumed = run(world, tmp_path / "run", rollout_server=url(server))
    assert resumed.steps == 1
    undisturbed = run(world, tmp_path / "undisturbed")
    assert same_weights(resumed.checkpoint, undisturbed.checkpoint)


def test_a_password_is_asked_for(server, monkeypatch) -> None:
    server.token = "secret"
    with pytest.raises(kdbench.InputError, match=f"set {TOKEN} to the password"):
        check_server(url(server))
    monkeypatch.setenv(TOKEN, "other")
    with pytest.raises(kdbench.InputError, match="password"):
        request(url(server), "PUT", "/files/config.json", b"{}", "run")
    monkeypatch.setenv(TOKEN, "secret")
    check_server(url(server))


def test_a_run_whose_server_is_taken_is_told_so(server) -> None:
    request(url(server), "PUT", "/files/config.json", b"{}", "first")
    request(url(server), "PUT", "/files/config.json", b"{}", "second")
    with pytest.raises(kdbench.InputError, match="another run has taken the server"):
        request(url(server), "PUT", "/weights/1", b"", "first")
    with pytest.raises(kdbench.InputError, match="another run has taken the server"):
        request(url(server), "POST", "/sample", b'{"rows": []}', "first")
    with pytest.raises(kdbench.InputError, match="no engine is running"):
        request(url(server), "POST", "/sample", b'{"rows": []}', "second")


@pytest.mark.parametrize("name", ["..", ".hidden", "%2e%2e%2fx", "a%00b"])
def test_a_file_stays_in_its_folder(server, name) -> None:
    with pytest.raises(kdbench.InputError, match="no name of a file"):
        request(url(server), "PUT", f"/files/{name}", b"x", "run")


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"rows": 3}', b'{"rows": [{"seed": 1}]}', b"{}"])
def test_a_broken_request_is_refused_and_the_server_goes_on(server, body) -> None:
    request(url(server), "PUT", "/files/config.json", b"{}", "run")
    for what in ("start", "sample"):
        with pytest.raises(kdbench.InputError, match="not understood"):
            request(url(server), "POST", f"/{what}", body, "run")
    with pytest.raises(kdbench.InputError, match="not understood"):
        request(url(server), "PUT", "/weights/x", b"", "run")
    with pytest.raises(kdbench.InputError, match="nothing is at"):
        request(url(server), "PUT", "/x", b"", "run")
    assert request(url(server), "GET", "/state")["run"] == "run"


def test_code_of_a_student_needs_permission(server) -> None:
    request(url(server), "PUT", "/files/config.json", b"{}", "run")
    body = json.dumps({"backend": "scripted", "start": {"trust_remote_code": True}}).encode()
    with pytest.raises(kdbench.InputError, match="start with trust_remote_code=true"):
        request(url(server), "POST", "/start", body, "run")


def test_a_server_for_other_machines_needs_a_password(monkeypatch, capsys) -> None:
    monkeypatch.delenv(TOKEN, raising=False)
    assert main(["host=0.0.0.0", "port=0"]) == 2
    assert f"set {TOKEN} to a password" in capsys.readouterr().err
    assert main(["prt=1"]) == 2
    assert "port" in capsys.readouterr().err


def test_a_server_of_another_kind_is_recognised(monkeypatch, server) -> None:
    monkeypatch.setattr(
        "kdbench.training.rollouts.server.EngineHost.state", lambda self: ["no", "object"]
    )
    with pytest.raises(kdbench.InputError, match="is no rollout server of kdbench"):
        check_server(url(server))


@pytest.mark.parametrize("sent", [b"", b"PUT /files/x HTTP/1.0\r\nContent-Length: 9\r\n\r\nhalf"])
def test_a_caller_that_falls_silent_does_not_keep_the_others_out(server, monkeypatch, sent) -> None:
    monkeypatch.setattr("kdbench.training.rollouts.server._RolloutHandler.timeout", 0.2)
    with socket.create_connection(server.server_address[:2]) as silent:
        silent.sendall(sent)
        check_server(url(server))
        answer = silent.makefile("rb").read()
    assert not sent or b"did not arrive" in answer


def test_a_size_that_is_no_size_is_none(server) -> None:
    with socket.create_connection(server.server_address[:2]) as other:
        other.sendall(b"POST /sample HTTP/1.0\r\nContent-Length: -1\r\n\r\n")
        assert b" 409 " in other.makefile("rb").readline()


def test_a_crash_of_the_engine_is_said_to_the_training(server, monkeypatch, capsys) -> None:
    def broken(self, given):
        raise RuntimeError("CUDA error: an illegal\nmemory access")

    monkeypatch.setattr("kdbench.training.rollouts.server.EngineHost.sample", broken)
    request(url(server), "PUT", "/files/config.json", b"{}", "run")
    with pytest.raises(kdbench.InputError, match="the engine failed: CUDA error: an illegal mem"):
        request(url(server), "POST", "/sample", b"{}", "run")
    assert "Traceback" in capsys.readouterr().err
    check_server(url(server))


def test_an_engine_that_is_started_again_ends_first(world, tmp_path) -> None:
    scripted_engine.EVENTS.clear()
    start = {
        **asdict(EngineStart(tmp_path, Protocol("task", max_new_tokens=4), (0,))),
        "folder": None,
    }
    host = EngineHost()
    for file in world.student.iterdir():
        if file.is_file():
            shutil.copy(file, host.place_of("run", file.name))
    for _ in range(2):
        host.start(json.loads(json.dumps({"backend": "scripted", "start": start})))
    host.close()
    kinds = [kind for kind, _ in scripted_engine.EVENTS]
    assert kinds == ["start", "close", "start", "close"]
