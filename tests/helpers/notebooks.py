"""Execute the notebooks of the documentation.

    python tests/helpers/notebooks.py FOLDER

runs them in a folder in which `kdbench demo` has run, and writes their outputs into docs/notebooks.
What a library prints to stderr, such as progress bars, is left out.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


def executed(files: Sequence[Path], folder: Path) -> list[Any]:
    """The notebooks with the outputs of a new kernel that ran them in a folder, one after another.

    Raises:
        CellExecutionError: A cell raised an error.
    """
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"
    books = [nbformat.read(file, as_version=4) for file in files]
    cells = [cell for book in books for cell in book.cells]
    for number, cell in enumerate(cells):
        cell.id = f"cell-{number}"
    together = nbformat.v4.new_notebook(cells=cells)
    NotebookClient(
        together,
        timeout=300,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        record_timing=False,
    ).execute()
    for cell in together.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if not _is_progress(output)]
    for book in books:
        book.cells, together.cells = (
            together.cells[: len(book.cells)],
            together.cells[len(book.cells) :],
        )
        book.metadata = {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    return books


def _is_progress(output: Any) -> bool:
    """Whether a library, or the display of work that takes long on a slow machine, printed it."""
    return output.get("name") == "stderr" or output.output_type == "display_data"


if __name__ == "__main__":
    for path in NOTEBOOKS:
        (book,) = executed([path], Path(sys.argv[1]))
        nbformat.write(book, path)
