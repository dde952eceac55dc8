"""Make the rows of the skills tasks: `python tasks/skills/make.py`.

All content was written for kdbench. The rows depend only on the seed and on the lists below; the
position of the right option is balanced by the shuffle.
"""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SEED = 7
ROWS = 120  # of a task whose rows are drawn

CAPITALS = """Albania:Tirana Argentina:Buenos_Aires Australia:Canberra Austria:Vienna
Belgium:Brussels Bolivia:La_Paz Brazil:Brasilia Bulgaria:Sofia Canada:Ottawa
Chile:Santiago China:Beijing Colombia:Bogota Croatia:Zagreb Cuba:Havana
Denmark:Copenhagen Ecuador:Quito Egypt:Cairo Estonia:Tallinn Ethiopia:Addis_Ababa
Finland:Helsinki France:Paris Georgia:Tbilisi Germany:Berlin Ghana:Accra Greece:Athens
Hungary:Budapest Iceland:Reykjavik India:New_Delhi Indonesia:Jakarta Iran:Tehran
Iraq:Baghdad Ireland:Dublin Italy:Rome Jamaica:Kingston Japan:Tokyo Jordan:Amman
Kenya:Nairobi Latvia:Riga Lebanon:Beirut Lithuania:Vilnius Malta:Valletta
Mexico:Mexico_City Mongolia:Ulaanbaatar Morocco:Rabat Nepal:Kathmandu Norway:Oslo
Pakistan:Islamabad Peru:Lima Poland:Warsaw Portugal:Lisbon Romania:Bucharest
Russia:Moscow Senegal:Dakar Serbia:Belgrade Slovakia:Bratislava Slovenia:Ljubljana
Spain:Madrid Sweden:Stockholm Syria:Damascus Thailand:Bangkok Tunisia:Tunis
Turkey:Ankara Uganda:Kampala Ukraine:Kyiv Uruguay:Montevideo Venezuela:Caracas
Vietnam:Hanoi Zambia:Lusaka Zimbabwe:Harare"""

OPPOSITES = """hot:cold big:small tall:short fast:slow happy:sad early:late open:closed full:empty
light:dark rich:poor young:old strong:weak wet:dry clean:dirty hard:soft loud:quiet near:far
high:low thick:thin wide:narrow heavy:light deep:shallow sharp:blunt smooth:rough sweet:bitter
first:last true:false right:wrong good:bad new:old safe:dangerous easy:difficult cheap:expensive
brave:cowardly polite:rude awake:asleep alive:dead inside:outside above:below before:after
up:down left:right win:lose buy:sell push:pull love:hate begin:end arrive:leave remember:forget
laugh:cry accept:refuse build:destroy increase:decrease appear:disappear lend:borrow
ancient:modern guilty:innocent public:private simple:complicated tight:loose"""

PLURALS = """mouse:mice:mouses:mousen child:children:childs:childes foot:feet:foots:feets
tooth:teeth:tooths:teeths goose:geese:gooses:geeses man:men:mans:mens woman:women:womans:womens
ox:oxen:oxes:oxs person:people:persones:peoples leaf:leaves:leafs:leafes wolf:wolves:wolfs:wolfes
knife:knives:knifes:knifs wife:wives:wifes:wifs life:lives:lifes:lifs half:halves:halfs:halfes
shelf:shelves:shelfs:shelfes thief:thieves:thiefs:thiefes loaf:loaves:loafs:loafes
city:cities:citys:cityes baby:babies:babys:babyes story:stories:storys:storyes
party:parties:partys:partyes berry:berries:berrys:berryes lady:ladies:ladys:ladyes
box:boxes:boxs:boxen bus:buses:buss:busies class:classes:class's:classies dish:dishes:dishs:dishies
church:churches:churchs:churchies glass:glasses:glassen:glassies watch:watches:watchs:watchies
potato:potatoes:potatos:potaten tomato:tomatoes:tomatos:tomaten hero:heroes:heros:heroen
boy:boys:boies:boyes day:days:daies:dayes key:keys:keies:keyes toy:toys:toies:toyes
dog:dogs:doges:doggen book:books:bookes:booken house:houses:hice:housen tree:trees:treen:treees
fox:foxes:foxs:foxen wish:wishes:wishs:wishies brush:brushes:brushs:brushies
country:countries:countrys:countryes family:families:familys:familyes army:armies:armys:armyes"""

KINDS = {
    "a bird": "sparrow eagle robin owl crow pigeon parrot gull swan hawk",
    "a fish": "salmon trout cod tuna herring carp shark eel sardine pike",
    "a fruit": "apple pear plum cherry banana grape peach mango lemon apricot",
    "a vegetable": "carrot cabbage onion spinach turnip leek broccoli potato celery radish",
    "a tool": "hammer saw drill wrench chisel screwdriver shovel rake pliers axe",
    "a musical instrument": "violin piano flute trumpet guitar drum cello harp clarinet oboe",
    "a piece of clothing": "shirt coat sock glove scarf hat skirt jacket sweater shoe",
    "a piece of furniture": "chair table sofa bed desk wardrobe stool bench cupboard bookcase",
    "a vehicle": "car bus truck bicycle tram taxi van motorcycle train ambulance",
    "an insect": "ant bee wasp beetle mosquito butterfly moth fly cricket grasshopper",
}

DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August"]
MONTHS += ["September", "October", "November", "December"]

NOUNS = """author:authors dog:dogs teacher:teachers king:kings child:children bird:birds
neighbour:neighbours doctor:doctors girl:girls farmer:farmers student:students cat:cats
painter:painters nurse:nurses sailor:sailors"""
PLACES = ["near the houses", "in the gardens", "behind the walls", "next to the trees"]
PLACES_ONE = ["near the house", "in the garden", "behind the wall", "next to the tree"]
VERBS = "sleeps:sleep sings:sing works:work laughs:laugh waits:wait is:are has:have runs:run"
ENDS = {
    "is": "very tired", "has": "a red hat", "are": "very tired", "have": "a red hat",
}  # fmt: skip

LAST_WORDS = """The sun rises in the east and sets in the|west
We opened our umbrellas because it had started to|rain
She cut the bread with a sharp|knife
He unlocked the door with his|key
The baby was hungry and began to|cry
The fire brigade came to put out the|fire
At night the sky was full of|stars
A triangle has three|sides
There are seven days in a|week
There are twelve months in a|year
The dog wagged its|tail
The bird built a nest in the|tree
She brushed her teeth before going to|bed
He was so thirsty that he drank a whole glass of|water
The teacher wrote the answer on the|board
Cows eat grass and give us|milk
Bees make|honey
Hens lay|eggs
A spider has eight|legs
My mother's mother is my|grandmother
The ship sank to the bottom of the|sea
It was so cold that the water in the pond turned to|ice
The opposite of left is|right
Two plus two is|four
One, two, three,|four
Monday, Tuesday,|Wednesday
She put a stamp on the envelope and sent the|letter
The pilot landed the|plane
The judge sent the thief to|prison
After the long winter came the|spring
He lost his glasses and could not|see
The cat chased the|mouse
The king and the|queen
She wore a ring on her|finger
He put on his shoes and|socks
Salt and|pepper
We eat soup with a|spoon
In the library people read|books
The bride and the|groom
The doctor examined the|patient
He paid for the coffee with a ten dollar|bill
She took a picture with her|camera
The farmer milked the|cows
The clock on the wall told the|time
The boys kicked the|ball
They climbed to the top of the|mountain
The musician played the|piano
The train was late, so we waited at the|station
The tailor sewed the button with a needle and|thread
The baker took the bread out of the|oven
He washed his hands with water and|soap
The moon goes around the|Earth
The heart pumps|blood
You hear with your|ears
You smell with your|nose
A year has four|seasons
Ice is frozen|water
The princess lived in a big|castle
The player scored a|goal
We crossed the river over the|bridge"""


def pairs(text: str) -> list[list[str]]:
    """Words of a list, and their parts."""
    return [word.replace("_", " ").split(":") for word in text.split()]


def choice(rng: random.Random, question: str, right: str, wrong: list[str]) -> dict[str, Any]:
    """A row of a choice task, its options shuffled."""
    options = [right, *wrong]
    rng.shuffle(options)
    return {"question": question, "choices": options, "answer": options.index(right)}


def arithmetic(rng: random.Random) -> Iterator[dict[str, Any]]:
    """Sums and differences of numbers up to 20."""
    for _ in range(ROWS):
        a, b = sorted((rng.randint(1, 20), rng.randint(1, 20)), reverse=True)
        sign, result = rng.choice([("+", a + b), ("-", a - b)])
        near = {result + d for d in (-10, -3, -2, -1, 1, 2, 3, 10)} - {result}
        wrong = rng.sample(sorted(n for n in near if n >= 0), 3)
        yield choice(rng, f"{a} {sign} {b} =", str(result), [str(n) for n in wrong])


def larger(rng: random.Random) -> Iterator[dict[str, Any]]:
    """The larger of two numbers below 1000."""
    for _ in range(ROWS):
        a, b = rng.sample(range(2, 1000), 2)
        yield choice(rng, f"{a}, {b}", str(max(a, b)), [str(min(a, b))])


def listed(rng: random.Random, text: str, question: str) -> Iterator[dict[str, Any]]:
    """Pairs, whose wrong options are the right ones of other pairs."""
    known = pairs(text)
    for word, right in known:
        others = sorted({other for _, other in known} - {right, word})
        yield choice(rng, question.format(word), right, rng.sample(others, 3))


def plurals(rng: random.Random) -> Iterator[dict[str, Any]]:
    """Plural forms."""
    for word, right, *wrong in pairs(PLURALS):
        yield choice(rng, f"One {word}, two", right, wrong)


def kinds(rng: random.Random) -> Iterator[dict[str, Any]]:
    """The kind to which a word belongs."""
    for kind, words in KINDS.items():
        for word in words.split():
            a = "An" if word[0] in "aeiou" else "A"
            wrong = rng.sample(sorted(set(KINDS) - {kind}), 3)
            yield choice(rng, f"{a} {word} is", kind, wrong)


def same_kind(rng: random.Random) -> Iterator[dict[str, Any]]:
    """The word that continues a list of words of one kind."""
    for _ in range(ROWS):
        kind, *others = rng.sample(sorted(KINDS), 4)
        *given, right = rng.sample(KINDS[kind].split(), 4)
        wrong = [rng.choice(KINDS[other].split()) for other in others]
        yield choice(rng, ", ".join(given), right, wrong)


def order(rng: random.Random) -> Iterator[dict[str, Any]]:
    """The day or month before or after another."""
    for names, what in ((DAYS, "day"), (MONTHS, "month")):
        for index, name in enumerate(names):
            for word, step in (("after", 1), ("before", -1)):
                right = names[(index + step) % len(names)]
                wrong = rng.sample(sorted(set(names) - {right, name}), 3)
                yield choice(rng, f"The {what} {word} {name} is", right, wrong)


def agreement(rng: random.Random) -> Iterator[dict[str, Any]]:
    """Two sentences, of which one has the right form of the verb."""
    for _ in range(ROWS):
        (one, many), (single, plural) = rng.choice(pairs(NOUNS)), rng.choice(pairs(VERBS))
        noun, right, wrong = rng.choice([(one, single, plural), (many, plural, single)])
        place = rng.choice(PLACES if noun == one else PLACES_ONE)
        end = f" {ENDS[right]}." if right in ENDS else "."
        good, bad = (f"The {noun} {place} {verb}{end}" for verb in (right, wrong))
        yield {"good": good, "bad": bad}


def last_word(_: random.Random) -> Iterator[dict[str, Any]]:
    """A sentence and its last word."""
    for line in LAST_WORDS.splitlines():
        text, word = line.split("|")
        yield {"text": text, "word": word}


def sums(rng: random.Random) -> Iterator[dict[str, Any]]:
    """Sums of numbers up to 10, to be answered in digits."""
    drawn = rng.sample([(a, b) for a in range(1, 11) for b in range(1, 11)], 80)
    for a, b in drawn:
        yield {"question": f"{a} + {b}", "answer": str(a + b)}


def next_number(rng: random.Random) -> Iterator[dict[str, Any]]:
    """The number that continues a sequence of even steps."""
    for _ in range(80):
        start, step = rng.randint(1, 40), rng.choice([1, 1, 2, 5, 10])
        numbers = [start + step * place for place in range(5)]
        yield {"question": ", ".join(map(str, numbers[:4])), "answer": str(numbers[4])}


MAKERS = {
    "arithmetic": arithmetic,
    "larger": larger,
    "capitals": lambda rng: listed(rng, CAPITALS, "The capital of {} is"),
    "opposites": lambda rng: listed(rng, OPPOSITES, "The opposite of {} is"),
    "plurals": plurals,
    "kinds": kinds,
    "same_kind": same_kind,
    "order": order,
    "agreement": agreement,
    "last_word": last_word,
    "sums": sums,
    "next_number": next_number,
}


def rows(name: str) -> list[dict[str, Any]]:
    """The rows of a task, with ids; equal ones are left out.

    They are shuffled, so that the first rows, those of `limit=`, are a sample of all.
    """
    made = MAKERS[name](random.Random(f"{SEED} {name}"))
    distinct = {json.dumps(row): row for row in made}
    rows = [{"id": f"{name}-{index:03}", **row} for index, row in enumerate(distinct.values())]
    random.Random(f"{SEED} order {name}").shuffle(rows)
    return rows


def main() -> None:
    """Write the files next to this one."""
    for name in MAKERS:
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows(name))
        (Path(__file__).parent / f"{name}.jsonl").write_text("".join(lines), "utf-8")


if __name__ == "__main__":
    main()
