"""Outputs are written through pipes, devices and links."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from kdbench.errors import InputError
from kdbench.system.outputs import is_stream, put_json_output, put_output
from kdbench.tables.write import form_of


def test_a_pipe_gets_the_text_and_stays_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    got: list[str] = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_text()))
    reader.start()
    put_output(pipe, "text\n")
    reader.join()
    assert got == ["text\n"]
    assert pipe.is_fifo()


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    target, link = tmp_path / "folder" / "real.json", tmp_path / "link.json"
    link.symlink_to(target)
    put_json_output(link, {"a": 1})
    assert link.is_symlink()
    assert target.read_text() == '{\n "a": 1\n}\n'


def test_a_dash_is_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    put_output(Path("-"), "text\n")
    assert capsys.readouterr().out == "text\n"
    assert is_stream(Path("-"))
    assert form_of(Path("-"), None) == "terminal"


@pytest.mark.parametrize("name", ["/dev/stdout", "-"])
def test_standard_output_by_name_keeps_the_order_of_what_is_printed(
    name: str, tmp_path: Path
) -> None:
    code = (
        "from pathlib import Path; from kdbench.system.outputs import put_output; "
        f"print('before'); put_output(Path({name!r}), 'text\\n'); print('after')"
    )
    out = tmp_path / "out"
    with out.open("wb") as stream:
        subprocess.run([sys.executable, "-c", code], stdout=stream, check=True)
    assert out.read_text() == "before\ntext\nafter\n"


def test_a_folder_as_output_is_named(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError) as caught:
        put_output(tmp_path, "text")
    assert caught.value.filename == str(tmp_path)
    with pytest.raises(InputError, match="ending"):
        form_of(tmp_path / "x.what", None)
