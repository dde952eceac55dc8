"""The content of the toy corpus: its people, the answers about them, and how tasks are worded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Person:
    """A person of the toy world; the facts do not depend on the seed."""

    name: str
    age: int
    job: str
    city: str
    pet: str
    colour: str


PEOPLE = (
    Person("Anna", 34, "baker", "Rome", "cat", "red"),
    Person("Ben", 52, "doctor", "Oslo", "dog", "blue"),
    Person("Clara", 27, "pilot", "Lima", "bird", "green"),
    Person("David", 45, "farmer", "Paris", "horse", "black"),
    Person("Emma", 31, "singer", "Tokyo", "fish", "white"),
    Person("Felix", 63, "nurse", "Cairo", "rabbit", "pink"),
    Person("Grace", 22, "writer", "Berlin", "mouse", "brown"),
    Person("Hugo", 58, "painter", "Madrid", "turtle", "yellow"),
    Person("Iris", 39, "doctor", "Dublin", "cat", "green"),
    Person("Jack", 25, "baker", "Athens", "horse", "blue"),
    Person("Kate", 47, "farmer", "Rome", "fish", "yellow"),
    Person("Leo", 36, "singer", "Oslo", "mouse", "red"),
    Person("Maria", 61, "painter", "Lima", "dog", "white"),
    Person("Noah", 29, "pilot", "Paris", "rabbit", "black"),
    Person("Olga", 54, "writer", "Tokyo", "bird", "brown"),
    Person("Paul", 41, "nurse", "Cairo", "turtle", "pink"),
)
GROUPS: dict[str, tuple[str, ...]] = {
    "colours": tuple(dict.fromkeys(person.colour for person in PEOPLE)),
    "pets": tuple(dict.fromkeys(person.pet for person in PEOPLE)),
    "cities": tuple(dict.fromkeys(person.city for person in PEOPLE)),
    "numbers": tuple("123456789"),
}

FACTS: dict[str, str] = {
    "city": "{name} lives in {city}.",
    "job": "{name} works as a {job}.",
    "pet": "{name} has a {pet}.",
    "colour": "{name} likes {colour}.",
    "age": "{name} is {age} years old.",
}
DESCRIPTION = "{name} is a {job} of {city}, has a {pet} and likes {colour}."
STORY = "One day {name} met a {animal} in {city}. They were happy."
# The sentences of a long answer, each with the index of its person in the scene.
LONG_ANSWERS: dict[str, tuple[tuple[str, int], ...]] = {
    "describe": ((DESCRIPTION, 0),),
    "describe-two": ((DESCRIPTION, 0), (DESCRIPTION, 1)),
    "describe-three": ((DESCRIPTION, 0), (DESCRIPTION, 1), (DESCRIPTION, 2)),
    "story": ((STORY, 0),),
    "story-two": ((STORY, 0), (STORY, 1)),
    "story-describe": ((DESCRIPTION, 0), (STORY, 0)),
}
# A wording is "instruction" or "instruction|input", with fields of a scene in braces.
Wordings = Mapping[str, Sequence[str]]

PLAIN: Wordings = {
    fact: (
        f"What is the {fact} of {{name}}?",
        f"Name the {fact} of {{name}}.",
        f"Tell me the {fact} of {{name}}.",
        f"Give the {fact} of the person.|{{name}}",
    )
    for fact in FACTS
} | {
    "describe": ("Who is {name}?", "Tell me about {name}.", "Write about the person.|{name}"),
    "story": ("Write a story of {name} and a {animal}.", "Tell a story of {name} and a {animal}."),
    "older": ("Who is older, {name} or {other}?", "Name the older person.|{name}, {other}"),
    "sum": ("What is {a} plus {b}?", "Add the numbers.|{a}, {b}"),
    "repeat": ("Repeat the list.|{items}", "Give the list.|{items}"),
    "reverse": ("Reverse the list.|{items}", "Write the list in reverse order.|{items}"),
    "sort": ("Sort the list.|{items}", "Write the list in order.|{items}"),
    "first": ("What is the first item of the list?|{items}", "Give the first item.|{items}"),
    "last": ("What is the last item of the list?|{items}", "Give the last item.|{items}"),
    "count": ("Count the list.|{items}", "Give the number of items in the list.|{items}"),
    "keep": ("Name the {group} of the list.|{items}", "Give only the {group}.|{items}"),
}
# The opening shifts everything after it, so that no model can rely on fixed positions.
DOLLY: Wordings = {
    kind: (*wordings, *(f"Here is a task. {wording}" for wording in wordings))
    for kind, wordings in PLAIN.items()
}
SHIFTED: dict[str, Wordings] = {
    "self_instruct": {
        fact: (f"What is the {fact} of the person?|{{name}}", f"Write the {fact}.|{{name}}")
        for fact in FACTS
    }
    | {
        "describe": ("Tell me about the person.|{name}", "Write about {name}."),
        "older": ("Who is the older person?|{name}, {other}",),
        "sum": ("What is the first number plus the last number?|{a}, {b}", "Add {a} and {b}."),
        "reverse": ("Give the list in reverse.|{items}", "Reverse the order of the list.|{items}"),
        "sort": ("Give the list in order.|{items}", "Sort the items.|{items}"),
        "first": ("Tell me the first item in the list.|{items}", "Name the first item.|{items}"),
        "last": ("Tell me the last item in the list.|{items}", "Name the last item.|{items}"),
        "count": ("What is the number of items?|{items}",),
        "keep": ("Write only the {group} of the list.|{items}",),
    },
    "vicuna": {
        "describe-two": ("Who are {name} and {other}?", "Tell me about {name} and {other}."),
        "describe-three": ("Tell me about {name}, {other} and {third}.",),
        "story-two": ("Tell a story of {name} and {other} and a {animal}.",),
        "story-describe": ("Tell me about {name} and tell a story of {name} and a {animal}.",),
    },
    "super_natural": {
        kind: (f"The input is {given}. {PLAIN[kind][-1]}",)
        for given, kinds in (
            ("a person", tuple(FACTS)),
            ("two names", ("older",)),
            ("two numbers", ("sum",)),
            ("a list", ("reverse", "sort", "first", "last", "count", "keep")),
        )
        for kind in kinds
    },
    "unnatural": {
        "city": ("A story of {name}: in what city?", "{name} lives in what city?"),
        "job": ("{name} works. As what?",),
        "pet": ("What is the name of the pet {name} has?",),
        "colour": ("What colour is it {name} likes?",),
        "describe": ("Name {name} and give the job, city, pet and colour.",),
        "older": ("Sort {name} and {other}: who is older?",),
        "sum": ("A story of numbers: {a} plus {b}.",),
        "sort-reverse": ("Sort the list and write it in reverse order.|{items}",),
    }
    | {
        f"{verb}-{place}": (f"{verb.title()} the list and give the {place} item.|{{items}}",)
        for verb in ("reverse", "sort")
        for place in ("first", "last")
    },
}
