"""The notebooks of the documentation run, and the outputs stored in them are of their code.

The outputs are those of the models of `kdbench demo`, which take minutes to train. Here the same
code runs on the tiny toy world, so that numbers and texts differ, but not what kind of output a
cell has, nor its columns and rows.
"""

import json
import re
import shutil
from pathlib import Path

import pytest

pytest.importorskip("ipykernel")
notebooks = pytest.importorskip("notebooks")

ROOT = Path(__file__).parents[2]


def shape(output):
    """The form of an output: its kinds, and the text without numbers and values of cells."""
    data = output.get("data", {"text/plain": output.get("text", "")})
    html = "".join(data.get("text/html", ""))
    heads = re.findall(r"<th[^>]*>([^<]*)</th>", html)
    return sorted(data), [re.sub(r"\d+", "0", head) for head in heads]


def test_the_notebooks_run_and_their_outputs_have_the_form_of_the_stored_ones(tmp_path, world):
    (tmp_path / "runs" / "demo").mkdir(parents=True)
    for name in ("student", "teacher", "data"):
        shutil.copytree(getattr(world, name), tmp_path / "runs" / "demo" / name)
    books = notebooks.executed(
        notebooks.NOTEBOOKS, tmp_path
    )  # one kernel, which imports torch once
    assert len(books) == 2
    for file, new in zip(notebooks.NOTEBOOKS, books, strict=True):
        stored = json.loads(file.read_text("utf-8"))["cells"]
        assert [cell.source for cell in new.cells] == ["".join(cell["source"]) for cell in stored]
        for cell, before in zip(new.cells, stored, strict=True):
            if cell.cell_type == "code":
                outputs = [*map(shape, cell.outputs)]
                assert outputs == [*map(shape, before["outputs"])], cell.source


@pytest.mark.parametrize("file", notebooks.NOTEBOOKS, ids=lambda file: file.stem)
def test_a_notebook_names_no_machine_and_holds_no_error(file):
    text = file.read_text("utf-8")
    assert not re.findall(r"(?<![\w.])/(?:work|tmp|home|root|Users|mnt|opt)/\S*", text)
    assert '"output_type": "error"' not in text
    assert '"name": "stderr"' not in text
    assert len(text) < 100_000
    counts = [c["execution_count"] for c in json.loads(text)["cells"] if c["cell_type"] == "code"]
    assert counts == list(range(1, len(counts) + 1))
