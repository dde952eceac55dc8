"""A teacher with another tokenizer in the loss, against TRL's trainer of GOLD and by hand."""

from types import SimpleNamespace

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from kdbench.errors import InputError
from kdbench.methods.gold import GOLD
from kdbench.methods.uld import ULD
from kdbench.training import Batch, Example, Match, Rollout, Term, Triple
from kdbench.training.aligned import AlignedView
from kdbench.training.compiled import ChunkCompiler
from kdbench.training.loss import distillation_loss
from kdbench.views.reading import Reader
from kdbench.views.tokenizers import vocabulary_size
from kdbench.views.view import ModelView
from tests.views.test_alignment import LETTERS, PIECES, bytes_tokenizer

# The same end token as that of the letters, as TRL matches tokens by their names.
PAIRS = bytes_tokenizer([("a", "b"), ("b", "c"), ("ab", "c"), ("c", "a")], end="<end>")
TEXTS = ["abcab", "cab", "caabcb"]


def llama(tokenizer, seed):
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=vocabulary_size(tokenizer),
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=64,
        initializer_range=0.2,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=0,
    )
    return LlamaForCausalLM(config).eval().double()


def rows_of(tokenizer, texts=TEXTS, ended=True):
    rows = []
    for number, text in enumerate(texts):
        ids = [*encode(tokenizer, text), *([tokenizer.eos_token_id] if ended else [])]
        prompt = tuple(encode(tokenizer, "ba"))
        example = Example(f"row-{number}", prompt, tuple(ids))
        rows.append(Rollout(example.id, prompt, tuple(ids), "student", example=example))
    return rows


def encode(tokenizer, text):
    return tokenizer(text, add_special_tokens=False)["input_ids"]


class World:
    """A student and a teacher of different tokenizers."""

    def __init__(self, student=LETTERS, teacher=PAIRS, way="first", positions=None, texts=TEXTS):
        self.rows = rows_of(student, texts)
        prompts = {row.id: tuple(encode(teacher, "ba")) for row in self.rows}
        ends = frozenset({student.eos_token_id})
        self.reader = Reader(student, teacher, prompts, ends, positions)
        self.student = ModelView(llama(student, 1), vocabulary_size(student))
        own = ModelView(llama(teacher, 2).requires_grad_(False), vocabulary_size(teacher))
        self.teacher = AlignedView(own, self.reader, way)
        self.views = {"student": self.student, "teacher": self.teacher}
        self.notes = {}

    def begin(self, objective):
        context = SimpleNamespace(
            views=self.views,
            device="cpu",
            note=lambda name, value: self.notes.setdefault(name, []).append(value),
        )
        objective.begin(context)
        return objective

    def loss(self, objective, rows=None, chunk=None, per="sequence", amounts=None, **given):
        terms, batch = [Term(objective, per=per)], Batch(self.rows if rows is None else rows)
        return distillation_loss(terms, batch, self.views, amounts, chunk=chunk, **given).value

    def whole_logits(self, side):
        """All logits, padded on the right, with the tokens and the response's mask."""
        tokenizer = self.reader.student if side == "student" else self.reader.teacher
        model = self.views[side].bare
        rows = [[*row.prompt_ids, *row.response_ids] for row in rows_of(tokenizer)]
        ids = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.long)
        labels = torch.full_like(ids, -100)
        for number, row in enumerate(rows):
            ids[number, : len(row)] = torch.tensor(row)
            first = len(encode(tokenizer, "ba"))
            labels[number, first : len(row)] = torch.tensor(row[first:])
        return model(ids).logits, ids, labels


def gold(way, **keys):
    (term,) = GOLD(place=way, **keys).triple().terms
    return term.objective


def offsets(tokenizer):
    """TRL's byte offsets of the response's tokens; those of the prompt are 0."""
    rows = []
    for text in TEXTS:
        spans, place = [(0, 0)] * len(encode(tokenizer, "ba")), 0
        for token in encode(tokenizer, text):
            size = len(tokenizer.decode([token]).encode())
            spans.append((place, place + size))
            place += size
        rows.append([*spans, (len(text), len(text))])
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[(0, 0)] * (longest - len(row))] for row in rows])


def of_trl(**keys):
    trainer = pytest.importorskip("trl.experimental.gold.gold_trainer")
    config = SimpleNamespace(
        uld_crossentropy_weight=0.0,
        uld_distillation_weight=1.0,
        uld_student_temperature=1.0,
        uld_teacher_temperature=1.0,
        uld_skip_student_eos=False,
        uld_skip_teacher_eos=False,
        use_extended_uld=True,
        uld_token_merge_strategy="bayesian",
        uld_use_hybrid_loss=True,
        beta=0.5,
        **keys,
    )
    return trainer.ULDLoss(config, LETTERS, PAIRS)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["gold", "uld"])
def test_the_loss_of_last_tokens_equals_trls(kind):
    world = World(way="last")
    if kind == "gold":
        objective = gold("last")
    else:
        (_, term) = ULD(matching="text").triple().terms
        objective = term.objective
        objective.way = "last"
    world.begin(objective)
    theirs = of_trl()
    theirs.use_hybrid_loss = kind == "gold"
    given = [world.whole_logits(side) for side in ("student", "teacher")]
    (student, ids, labels), (teacher, own_ids, own_labels) = given
    expected = theirs(
        student, teacher, labels, own_labels, ids, own_ids, offsets(LETTERS), offsets(PAIRS)
    )
    value = world.loss(objective)
    # TRL's logarithm of a probability is at least that of 1e-8.
    assert float(value.detach()) == pytest.approx(float(expected.detach()), abs=2e-6)
    model = world.student.bare
    ours = torch.autograd.grad(value, model.lm_head.weight)[0]
    other = torch.autograd.grad(expected, model.lm_head.weight)[0]
    torch.testing.assert_close(ours.double(), other.double(), atol=2e-6, rtol=1e-4)


@pytest.mark.filterwarnings("ignore")
def test_the_merge_of_first_tokens_equals_trls_on_the_right_positions():
    world = World(way="first")
    objective = world.begin(gold("first"))
    theirs = of_trl()
    theirs.token_merge_strategy = "observed"
    means = []
    for number, text in enumerate(TEXTS):
        merged = []
        for side in ("student", "teacher"):
            logits, ids, labels = world.whole_logits(side)
            tokenizer = world.reader.student if side == "student" else world.reader.teacher
            first = len(encode(tokenizer, "ba"))
            size = int((labels[number] != -100).sum())
            probs = logits[number, first - 1 : first + size - 1].softmax(-1)
            merged.append((probs, ids[number, first : first + size].tolist()))
        s_off, t_off = (
            offsets(tokenizer)[number][len(encode(tokenizer, "ba")) :].tolist()
            for tokenizer in (LETTERS, PAIRS)
        )
        sizes = len(encode(LETTERS, text)) + 1, len(encode(PAIRS, text)) + 1
        groups = theirs._align_by_byte_offsets(s_off[: sizes[0]], t_off[: sizes[1]])
        sides = [
            theirs._merge_probabilities_with_alignment_groups(probs, own, tokens)
            for (probs, tokens), own in zip(merged, groups, strict=True)
        ]
        means.append(theirs._compute_hybrid_uld_loss(*sides))
    expected = float(torch.stack(means).mean().detach())
    assert float(world.loss(objective).detach()) == pytest.approx(expected, abs=2e-6)


@pytest.mark.parametrize("way", ["first", "last"])
@pytest.mark.parametrize("others", ["sorted", "bucket"])
def test_groups_stay_whole_in_chunks_and_micro_batches(way, others):
    world = World(way=way)
    objective = world.begin(gold(way, others=others))
    whole = world.loss(objective, chunk=1000, per="token")
    weights = [*world.student.bare.parameters()]
    expected = torch.autograd.grad(whole, weights)
    for chunk in (1, 3, 5):
        value = world.loss(objective, chunk=chunk, per="token")
        torch.testing.assert_close(value, whole, atol=1e-6, rtol=0)  # logits are float32
        found = torch.autograd.grad(value, weights)
        for gradient, other in zip(found, expected, strict=True):
            torch.testing.assert_close(gradient, other, atol=1e-6, rtol=1e-4)
    tokens = [sum(len(row.response_ids) for row in world.rows)]
    parts = [
        world.loss(objective, rows, 2, "token", tokens) for rows in (world.rows[:1], world.rows[1:])
    ]
    torch.testing.assert_close(sum(parts), whole, atol=1e-6, rtol=0)


@pytest.mark.parametrize("others", ["sorted", "bucket"])
def test_groups_compile(others):
    world = World()
    objective = world.begin(gold("first", others=others))
    plain = world.loss(objective, chunk=4, per="token")
    compiler = ChunkCompiler(enabled=True, backend="aot_eager")
    compiled = world.loss(objective, chunk=4, per="token", compiler=compiler)
    torch.testing.assert_close(compiled, plain, atol=1e-6, rtol=0)
    head = world.student.bare.lm_head.weight
    gradients = [torch.autograd.grad(value, head)[0] for value in (compiled, plain)]
    torch.testing.assert_close(*gradients, atol=1e-6, rtol=1e-4)
    assert not compiler.failures


def test_a_group_of_two_tokens_by_hand():
    world = World(texts=["ab"])
    for others in ("sorted", "bucket"):
        objective = world.begin(gold("first", others=others, matched_weight=0.25))
        student, teacher = (
            view.bare(torch.tensor([[*encode(tok, "ba"), *encode(tok, "ab"), tok.eos_token_id]]))
            .logits[0, len(encode(tok, "ba")) - 1 : -1]
            .softmax(-1)
            for view, tok in ((world.student, LETTERS), (world.teacher, PAIRS))
        )
        (b,) = encode(LETTERS, "b")
        # The student says `a` and `b`, the teacher `ab` in one token; both end.
        pairs = [(teacher[0], student[0] * student[1, b]), (teacher[1], student[2])]
        classes = world.reader.classes
        assert len(classes.student_ids) == vocabulary_size(LETTERS) == 257
        ours, theirs = torch.tensor(classes.student_ids), torch.tensor(classes.teacher_ids)
        losses = []
        for number, (p, q) in enumerate(pairs):
            matched_p, matched_q = p[theirs], q[ours]
            if others == "bucket" and number == 0:  # the text `ab`, or another
                text = PAIRS.convert_tokens_to_ids("ab")
                (a,) = encode(LETTERS, "a")
                matched_p, matched_q = (torch.stack([one, 1 - one]) for one in (p[text], q[a]))
            elif others == "bucket":
                matched_p = torch.cat([matched_p, (1 - matched_p.sum())[None]])
                matched_q = torch.cat([matched_q, matched_q.new_full((1,), 1e-37)])
            m = (matched_p + matched_q) / 2
            kl = [(x * (x / m).log()).sum() for x in (matched_p, matched_q)]
            jsd = (kl[0] + kl[1]) / 2
            losses.append(jsd if others == "bucket" else 0.25 * jsd)  # the student has no others
        value = float(world.loss(objective).detach())
        assert value == pytest.approx(float(sum(losses).detach() / 2), abs=1e-7)


def test_what_has_no_counterpart_is_left_out_and_counted():
    # A byte of a character, cut by a length limit: the teacher can only read U+FFFD.
    world = World(LETTERS, PIECES, texts=["ab", "ca"])
    cut = encode(LETTERS, "aé")[:-1]
    world.rows[0] = Rollout("row-0", world.rows[0].prompt_ids, tuple(cut), "student")
    batch = Batch(world.rows)
    reading = world.reader.read(batch, "first")
    assert reading.spans[0] == (0, 1)
    assert reading.spans[1][0] == len(cut)  # the second row begins
    objective = world.begin(gold("first"))
    assert torch.isfinite(world.loss(objective))
    tokens = len(batch.targets)
    assert world.notes["alignment/left_out"] == [pytest.approx(1 / tokens)]


def test_a_teacher_reads_as_far_as_it_has_positions():
    world = World(positions=4)
    reading = world.reader.read(Batch(world.rows), "first")
    assert max(len(row.prompt_ids + row.response_ids) for row in reading.batch.rollouts) == 4
    whole = World().reader.read(Batch(world.rows), "first")
    assert 0 < len(reading.spans) < len(whole.spans)


def test_the_end_of_a_prompt_in_the_responses_first_token_is_read_once():
    student = bytes_tokenizer(
        [("a", "c")], end="<end>"
    )  # the prompt ends in a, and `ac` is a token
    prompt, whole = encode(student, "ba"), encode(student, "bacb")
    row = Rollout("row", tuple(whole[:1]), tuple(whole[1:]), "dataset")
    row = Rollout(**{**vars(row), "example": Example("row", tuple(prompt), row.response_ids)})
    reader = Reader(student, LETTERS, {"row": tuple(encode(LETTERS, "ba"))}, frozenset())
    reading = reader.read(Batch([row]), "first")
    (own,) = reading.batch.rollouts
    assert LETTERS.decode([*own.prompt_ids, *own.response_ids]) == "bacb"
    assert (reading.spans, reading.own) == (((1, 2),), ((1, 2),))


def test_positions_of_equal_number_are_those_of_the_shorter_response():
    world = World(way="index", texts=["abcab"])
    (_, term) = ULD().triple().terms
    objective = world.begin(term.objective)
    reading = world.reader.read(Batch(world.rows), "index")
    count = len(encode(PAIRS, "abcab")) + 1
    assert reading.spans == reading.own == tuple((n, n + 1) for n in range(count))
    student, teacher = (
        view.bare(torch.tensor([[*encode(tok, "ba"), *encode(tok, "abcab"), tok.eos_token_id]]))
        .logits[0, len(encode(tok, "ba")) - 1 : -1][:count]
        .softmax(-1)
        for view, tok in ((world.student, LETTERS), (world.teacher, PAIRS))
    )
    p, q = (side.sort(dim=-1, descending=True).values for side in (teacher, student))
    distances = (p[:, : q.shape[1]] - q).abs().sum(-1) + p[:, q.shape[1] :].sum(-1)
    value = float(world.loss(objective).detach())
    assert value == pytest.approx(float(distances.mean().detach()), abs=1e-7)


def test_only_objectives_that_bridge_are_given_another_tokenizer():
    bridging = GOLD().triple()
    assert bridging.bridges == "first"
    assert Triple(Match()).bridges is None
    assert Triple([Term(Match()), *bridging.terms]).bridges is None
    assert Triple([*GOLD(place="last").triple().terms, *bridging.terms]).bridges is None
    assert ULD().triple().bridges == "index"
    world = World()
    with pytest.raises(InputError, match="another tokenizer"):
        world.teacher.scalars("log_prob", Batch(world.rows))
