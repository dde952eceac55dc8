"""The filters of evolved prompts and answers, one case each."""

import pytest

from kdbench.builders.evolution.failures import answer_failure, prompt_failure, says_same
from kdbench.builders.evolution.operators import (
    OPERATORS,
    leaked,
    question_for,
    question_of_sameness,
    written,
)

PARENT = "Name three rivers of Europe."


@pytest.mark.parametrize(
    ("text", "failure"),
    [
        ("Name three rivers of Europe that flow into the Black Sea.", None),
        ("  \n", "empty prompt"),
        ("!?", "empty prompt"),
        ("name three RIVERS, of Europe", "copied prompt"),
        ("Name rivers", "copied prompt"),  # the prompt before the parent
        ("Name three long rivers of Europe.", "no gain"),
        ("Europe of rivers three name three of", "no gain"),  # two more of its own words
        ("I'm sorry, but I cannot change this task for you.", "refusal"),
        ("As an AI language model I have no rivers in mind at all.", "refusal"),
        ("Changed task: name three rivers of Europe that are long", "words of the template"),
        ("Leave everything else of the task and name long rivers", "words of the template"),
        ("The task is to name three long rivers of Europe", "words of the template"),
        # Words that a template shares with anybody's tasks.
        ("Write a short text about three rivers of Europe.", None),
        ("Write a letter that says: I am sorry about the rivers.", None),
    ],
)
def test_prompts(text: str, failure: str | None) -> None:
    assert prompt_failure(text, True, [PARENT, "Name rivers."], 3) == failure


def test_a_cut_prompt() -> None:
    text = "Name three rivers of Europe that flow into the Black"
    assert prompt_failure(text, False, [PARENT], 3) == "cut prompt"
    assert prompt_failure(text, True, [PARENT], 3) is None


def test_a_deeper_prompt_keeps_words_of_its_subject() -> None:
    text = "Write about all the towns on the Rhine in Europe"
    # Of name, three, rivers and europe, one is left; "of" is a function word.
    assert prompt_failure(text, True, [PARENT], 3, 0.25) is None
    assert prompt_failure(text, True, [PARENT], 3, 0.26) == "another subject"
    assert prompt_failure("Sing us a very loud song", True, ["What is it?"], 3, 1) is None


def test_new_words_are_counted_with_their_number() -> None:
    # Four words that the parent lacks: four, and, their, and a second "rivers".
    text = "Name four rivers of Europe and their rivers"
    assert prompt_failure(text, True, ["Name three rivers of Europe"], 4) is None
    assert prompt_failure(text, True, ["Name three rivers of Europe"], 5) == "no gain"


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        ("The Rhine, the Danube and the Elbe.", None),
        ("No.", None),
        ("7", None),
        ("", "empty answer"),
        (" ...\n", "empty answer"),
        ("I cannot answer that.", "refused answer"),
        ("Unfortunately I do not know any rivers.", "refused answer"),
        ("These rivers are unknown to me, sorry about that.", "refused answer"),
        ("The Rhine. " * 40 + "Sorry if that is too long.", None),
        ("It is what it is, and so are we.", "answer of function words"),
        ("name three rivers, of europe", "copied answer"),
    ],
)
def test_answers(answer: str, failure: str | None) -> None:
    assert answer_failure(answer, PARENT) == failure


def test_what_a_model_wrote() -> None:
    assert written("  Changed task: Name {it}.\n") == "Name {it}."
    assert written('"Name a river."') == "Name a river."
    assert written("New Task : “Name a river.”") == "Name a river."
    assert written('"Rhine" and "Elbe"') == '"Rhine" and "Elbe"'
    assert written("Tasks of a mayor") == "Tasks of a mayor"


@pytest.mark.parametrize("operator", OPERATORS)
def test_templates_have_one_place_and_leak_nothing_themselves(operator: str) -> None:
    asked = question_for(operator, "Is {prompt} a word?")
    assert asked.count("Is {prompt} a word?") == 1
    assert leaked(asked, "Is it?") is not None
    assert leaked(asked, asked) is None


def test_the_question_of_sameness_keeps_both_prompts_apart() -> None:
    asked = question_of_sameness("A {prompt}?", "B {parent}?")
    assert asked.index("A {prompt}?") < asked.index("B {parent}?")
    assert says_same("Yes, they do.")
    assert not says_same("No, yes is wrong.")
    assert not says_same("")
