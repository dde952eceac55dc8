"""Reported rows under columns of any metric: judges' grades, costs, and what a note quotes."""

from kdbench.config import TableSettings
from kdbench.tables import build_table


def reported(tmp_path, setting, columns, tasks=("dolly", "self_instruct", "vicuna"), **settings):
    """The reported rows of a setting by label, from the bundled file."""
    keys = {"published": "verified", **settings}
    built = TableSettings(
        results=tmp_path, settings=(setting,), columns=columns, tasks=tasks, **keys
    )
    (group,) = build_table(built, ()).groups
    return {row.label: row for row in group.rows}


def numbers(row):
    return [None if cell is None else round(cell.value, cell.decimals) for cell in row.cells]


def test_relative_cost_divides_by_the_sft_row_of_the_same_source(tmp_path):
    rows = reported(
        tmp_path, "llama2-7b-to-sheared-llama-2.7b", ("dolly", "relative_cost"), ("dolly",)
    )
    costs = {label: numbers(row)[1] for label, row in rows.items() if row.cells[1] is not None}
    assert costs == {  # as the paper prints them
        "SFT (DA-KD paper)": 1.00,
        "KD (KL) (DA-KD paper)": 2.24,
        "KD (RKL) (DA-KD paper)": 2.25,
        "SeqKD (DA-KD paper)": 2.54,
        "GKD (DA-KD paper)": 6.50,
        "DistiLLM (DA-KD paper)": 3.40,
        "DA-KD (DA-KD paper)": 1.69,
    }


def test_a_judges_grades_are_columns_of_their_own(tmp_path):
    rows = reported(
        tmp_path, "gpt2-xl-to-gpt2-base", ("dolly:judge", "self_instruct:judge", "vicuna:judge")
    )
    wasd = rows["WASD (WASD paper)"]
    assert numbers(wasd) == [37.84, 20.90, 25.07]
    assert wasd.note.endswith("judge: GPT-4")
    # Judges of different papers differ, so no grade is the best.
    assert not any(cell.best for row in rows.values() for cell in row.cells)
    assert set(rows) == {f"{name} (WASD paper)" for name in ("ABKD", "CSD", "AMiD", "WASD")}


def test_the_mean_of_grades_needs_every_task(tmp_path):
    rows = reported(tmp_path, "gpt2-xl-to-gpt2-base", ("judge", "dolly:judge"), published="all")
    assert numbers(rows["WASD (WASD paper)"]) == [round((37.84 + 20.90 + 25.07) / 3, 2), 37.84]
    assert numbers(rows["MiniLLM"]) == [None, 44.7]  # Dolly alone


def test_second_hand_shows_what_a_note_quotes_but_nothing_from_memory(tmp_path):
    def shown(published):
        rows = reported(
            tmp_path, "gpt2-xl-to-gpt2-base", ("unnatural", "dolly:judge"), published=published
        )
        return {label: row.cells for label, row in rows.items()}

    verified, second_hand, everything = map(shown, ("verified", "second_hand", "all"))
    assert set(verified) < set(second_hand)
    assert set(second_hand) <= set(everything)
    assert "SeqKD" not in verified
    unnatural, judge = second_hand["SeqKD"]
    assert (unnatural.value, unnatural.second_hand, judge.value) == (18.8, True, 41.2)
    # The cell of KD is from memory, its grade is from a note.
    assert [cell and cell.value for cell in second_hand["KD"]] == [None, 40.3]
    assert everything["KD"][0].unverified
    cells = [cell for row in verified.values() for cell in row if cell is not None]
    assert not any(cell.second_hand or cell.unverified for cell in cells)
    assert not any(cell.unverified for row in second_hand.values() for cell in row if cell)
