"""The committed answers about filled tables are those of the committed results."""

from pathlib import Path

import pytest
import yaml

from kdbench.analyses import analyses
from kdbench.analyses.core.run import analyse
from kdbench.config.fill import parse_with_changes
from kdbench.reports.conclusions import markdown_table
from kdbench.store.conclusions import read_conclusion

ROOT = Path(__file__).parents[2]
WHICH = yaml.safe_load((ROOT / "docs/which-method.yaml").read_text("utf-8"))
CALLS = {
    "toy-all/seeds": {
        "stored": "results/toy-all",
        "rows": ",".join(WHICH["tables"]["toy"]["rows"]),
    },
    "toy-all-answers/generalization": {"stored": "results/toy-all-answers"},
    "smollm2-135m/seeds": {"stored": "results/smollm2-135m"},
    "smollm2-135m-skills/generalization": {"stored": "results/smollm2-135m-skills"},
    "gemma3-270m/second_family": {
        "stored": "results/smollm2-135m",
        "other": "results/gemma3-270m",
    },
}


@pytest.mark.parametrize("place", CALLS)
def test_a_stored_answer_is_that_of_the_stored_results(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    name = place.rpartition("/")[2]
    words = [f"{key}={value}" for key, value in {**CALLS[place], "results": tmp_path}.items()]
    analyse(parse_with_changes(analyses.get(name), words))
    stored = read_conclusion(ROOT / f"results/analyses/{place}.json")
    again = read_conclusion(tmp_path / f"{name}.json")
    assert again.sentences == stored.sentences
    assert [*map(markdown_table, again.tables)] == [*map(markdown_table, stored.tables)]
