"""What a table shows is checked before anything is trained for it."""

from pathlib import Path

import pytest

from kdbench.config import FillSettings
from kdbench.errors import InputError
from kdbench.filling.table import fill


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("columns: [dolly, acceptence]", "did you mean 'acceptance'"),
        ("published: [gpt2-xl-to-gpt2-bass]", "did you mean 'gpt2-xl-to-gpt2-base'"),
    ],
)
def test_an_unknown_column_or_group_is_refused_before_any_work(
    line: str, message: str, tmp_path: Path
) -> None:
    file = tmp_path / "table.yaml"
    file.write_text(f"title: x\nteacher: nowhere\nrows: [nowhere]\n{line}\n")
    with pytest.raises(InputError, match=message):
        fill(FillSettings(table=str(file)))
