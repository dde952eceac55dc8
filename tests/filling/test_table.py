"""What a table shows is checked before anything is trained for it."""

import re
from pathlib import Path

import pytest
import yaml

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


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ({"rows": [{"train": {"recipe": "toy/kdd"}}]}, r"row 1 (toy/kdd): recipe=toy/kdd: "),
        (
            {"rows": [{"checkpoint": "x"}, {"label": "A", "train": {"method": "kd", "tem": 1}}]},
            "row 2 (A): unknown key 'tem' of method=kd",
        ),
        ({"rows": [{"train": {"method": "kd", "epochs": 1, "steps": 1}}]}, "row 1 (kd): give epo"),
        ({"train": {"steps": "three"}, "rows": [{"train": {"method": "kd"}}]}, "row 1 (kd): steps"),
        ({"evaluate": {"limit": "two"}}, "evaluate: limit=two: "),
        ({"evaluate": {"limt": 2}}, "evaluate: unknown key 'limt': did you mean 'limit'"),
    ],
)
def test_a_fault_below_a_section_names_file_and_section(
    values: dict[str, object], place: str, tmp_path: Path
) -> None:
    file = tmp_path / "table.yaml"
    file.write_text(yaml.safe_dump({"title": "x", "teacher": "nowhere", **values}))
    with pytest.raises(InputError, match=re.escape(f"{file}: {place}")):
        fill(FillSettings(table=str(file), dry_run=True))
