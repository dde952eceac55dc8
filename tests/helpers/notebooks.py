"""Execute the notebooks of the documentation.

    python tests/helpers/notebooks.py FOLDER

runs them in a folder in which `kdbench demo` has run, and writes their outputs into docs/notebooks.
What a library prints to stderr, such as progress bars, is left out.
"""

import os
import sys
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


def executed(file: Path, folder: Path) -> Any:
    """The notebook with the outputs of a new kernel that ran in a folder.

    Raises:
        CellExecutionError: A cell raised an error.
    """
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"
    book = nbformat.read(file, as_version=4)
    client = NotebookClient(
        book,
        timeout=300,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        record_timing=False,
    )
    client.execute()
    for cell in book.cells:
        if cell.cell_type == "code":
            cell.outputs = [o for o in cell.outputs if o.get("name") != "stderr"]
    book.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return book


if __name__ == "__main__":
    for path in NOTEBOOKS:
        nbformat.write(executed(path, Path(sys.argv[1])), path)
