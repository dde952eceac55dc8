"""Questions to a judge about responses of one word, two words and so on."""

from kdbench.judging.question import Question


def questions(count: int) -> list[Question]:
    """Different questions, in the form that the scripted server grades."""
    texts = [f"<response-0>\n{'w ' * n}\n</response" for n in range(1, count + 1)]
    return [
        Question(f"d{n}", 1, "score", "given", "j", text, f"k{n}") for n, text in enumerate(texts)
    ]
