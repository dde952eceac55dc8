"""Generation by lm-eval's models: their requests, and what is refused."""

import hashlib
import importlib.util
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from answering import samples

import kdbench
from kdbench.checkpoint import find_checkpoint, served_model
from kdbench.errors import InputError
from kdbench.generate import Options, Row, Sample
from kdbench.generate.choice import choose_backend
from kdbench.generate.hf import HFBackend
from kdbench.generate.lm_eval import LMEvalBackend
from kdbench.generate.lm_eval.models import check_protocol, find_kind
from kdbench.protocol import get_protocol
from kdbench.toy.models import World

PROMPTS = ["a b c", "Reverse the list: 1 2 3 4 5 6 7 8", "x", "the the the", "Who is it? " * 4]
FREE = {"no_repeat_ngram_size": 0, "max_prompt_tokens": None, "max_new_tokens": 9}

api = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("aiohttp", "tenacity", "requests")),
    reason="lm-eval's client of servers needs aiohttp, tenacity and requests",
)


def local(world: World, protocol: Any, **options: Any) -> LMEvalBackend:
    given = Options(dtype="float32", device="cpu", argument="hf", **options)
    return LMEvalBackend(find_checkpoint(str(world.teacher)), protocol, given)


@pytest.mark.parametrize("ngram", [0, 2])
def test_greedy_texts_of_lm_evals_hf_equal_those_of_hf(world: World, ngram: int) -> None:
    protocol = get_protocol("greedy", {"max_new_tokens": 16, "no_repeat_ngram_size": ngram})
    hf = HFBackend(find_checkpoint(str(world.teacher)), protocol, Options("float32", "cpu", 8))
    ours = local(world, protocol, batch_size=2)
    texts = {key: sample.output for key, sample in samples(ours, PROMPTS).items()}
    assert texts == {key: sample.output for key, sample in samples(hf, PROMPTS).items()}
    assert ours.batch_size == 2
    facts = ours.facts()
    assert facts.parameters == sum(weight.numel() for weight in hf.model.parameters())
    assert (facts.dtype, facts.engine) == ("float32", "lm_eval 0.4.13")
    assert ours.model.num_parameters() == facts.parameters
    assert "_lm" not in vars(ours)


def test_a_sample_of_lm_evals_hf_does_not_depend_on_the_batch(world: World) -> None:
    protocol = get_protocol("minillm", {"max_new_tokens": 12, "seeds": (10, 20)})
    ours = local(world, protocol, batch_size=8)
    generated = samples(ours, PROMPTS)
    assert samples(ours, PROMPTS[3:1:-1]) == {
        k: v for k, v in generated.items() if k[0] in PROMPTS[2:4]
    }
    assert len({sample.output for sample in generated.values()}) > len(PROMPTS)
    stopped = samples(ours, PROMPTS, ("e",))
    assert any("e" in sample.output for sample in generated.values())
    assert not any("e" in sample.output for sample in stopped.values())


def test_a_cut_prompt_is_asked_as_the_text_of_its_tokens(world: World) -> None:
    protocol = get_protocol("greedy", {"max_new_tokens": 4, "max_prompt_tokens": 5})
    ours = local(world, protocol)
    encoded = ours.encode(PROMPTS[1], "")
    assert encoded.cut
    text = ours._requested[encoded.ids]
    assert PROMPTS[1].startswith(text)
    assert tuple(ours.tokenizer(text, add_special_tokens=False)["input_ids"]) == encoded.ids


class Fake(BaseHTTPRequestHandler):
    """An OpenAI-compatible server whose answers depend on the request."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(asked)  # type: ignore[attr-defined]
        digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:8]
        choice: dict[str, Any] = {"index": 0, "text": f"answer {digest}"}
        if "messages" in asked:
            choice = {"index": 0, "message": {"content": asked["messages"][0]["content"].upper()}}
        if asked.get("prompt") == ["broken"] or asked["model"] == "broken":
            self.send_response(500)
            self.end_headers()
            return
        body = json.dumps({"choices": [choice]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Any]:
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Fake)
    httpd.asked = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=httpd.serve_forever)
    thread.start()
    yield httpd
    httpd.shutdown()
    thread.join()
    httpd.server_close()


def served(server: Any, protocol: Any, name: str = "local-completions", **more: Any) -> Any:
    url = f"http://127.0.0.1:{server.server_port}/v1/completions"
    options = {"base_url": url, "max_retries": 1, **more}
    choose_backend(f"lm_eval:{name}", options)
    given = Options(argument=name, engine=options)
    return LMEvalBackend(served_model("org/served", f"lm_eval:{name}"), protocol, given)


@api
def test_a_server_is_asked_by_tokens_and_each_row_has_its_own_seed(
    server: Any, world: World
) -> None:
    protocol = get_protocol("minillm", {**FREE, "max_prompt_tokens": 4, "seeds": (10, 20)})
    ours = served(server, protocol, tokenizer=str(world.teacher), num_concurrent=3)
    generated = samples(ours, PROMPTS, ("\n",))
    assert len({sample.output for sample in generated.values()}) == len(generated)
    asked = server.asked
    assert {request["model"] for request in asked} == {"org/served"}
    assert len({request["seed"] for request in asked}) == len(generated)
    whole = ours.tokenizer(PROMPTS[1], add_special_tokens=False)["input_ids"]
    assert sum(request["prompt"] == [whole[:4]] for request in asked) == 2
    for request in asked:
        assert (request["max_tokens"], request["temperature"], request["top_p"]) == (9, 1.0, 1.0)
        assert "\n" in request["stop"]
        assert not {"top_k", "no_repeat_ngram_size", "do_sample"} & set(request)
    assert samples(ours, PROMPTS[:1], ("\n",)) == {
        key: sample for key, sample in generated.items() if key[0] == PROMPTS[0]
    }
    assert ours.model is None
    assert ours.facts().engine == "lm_eval 0.4.13"


@api
def test_without_a_tokenizer_a_server_is_asked_by_text(server: Any) -> None:
    protocol = get_protocol("greedy", {"max_prompt_tokens": None})
    samples(served(server, protocol, tokenizer_backend="none"), PROMPTS[:1])
    (asked,) = server.asked
    assert asked["prompt"] == PROMPTS[0]
    assert asked["temperature"] == 0


@api
def test_a_chat_server_is_asked_by_messages(server: Any) -> None:
    protocol = get_protocol("chat", {"seeds": (1,), "max_new_tokens": 5})
    url = f"http://127.0.0.1:{server.server_port}/v1/chat/completions"
    ours = served(server, protocol, "local-chat-completions", base_url=url)
    generated = samples(ours, ["hello there"])
    assert generated["hello there", 1].output == "HELLO THERE"
    assert server.asked[0]["messages"] == [{"role": "user", "content": "hello there"}]


@api
def test_a_failing_server_gives_a_one_line_error(server: Any) -> None:
    protocol = get_protocol("greedy", {"max_prompt_tokens": None})
    ours = served(server, protocol, tokenizer_backend="none")
    server.shutdown()
    server.server_close()
    with pytest.raises(InputError, match="backend=lm_eval:local-completions: no answer: "):
        samples(ours, PROMPTS[:1])


@pytest.mark.parametrize(
    ("name", "base", "fields", "options", "line"),
    [
        ("dummy", "minillm", {}, {}, "no n-gram rule; pass no_repeat_ngram_size=0"),
        ("dummy", "minillm", FREE, {}, "pass temperature=0, or name .*seed_key=NAME"),
        ("dummy", "greedy", {}, {}, "prompts cannot be cut without a tokenizer"),
        ("local-completions", "minillm", {}, {}, "no_repeat_ngram_size=0"),
        ("local-completions", "minillm", FREE, {}, "to send prompts as tokens"),
        ("local-completions", "chat", {}, {}, "a chat template needs backend_options=tokenizer"),
        ("local-chat-completions", "minillm", FREE, {}, "pass protocol=chat"),
        (
            "sglang",
            "minillm",
            {"no_repeat_ngram_size": 0},
            {},
            "does not know how to seed this model",
        ),
    ],
)
def test_unsupported_requests_are_refused(
    name: str, base: str, fields: dict, options: dict, line: str
) -> None:
    if name == "sglang" and not importlib.util.find_spec("sglang"):
        pytest.importorskip("ray", reason="lm-eval's sglang model needs ray to be imported")
    given = Options(argument=name, engine=options)
    with pytest.raises(InputError, match=line):
        LMEvalBackend(served_model("m", "b"), get_protocol(base, fields), given)


@pytest.mark.parametrize(
    ("argument", "options", "line"),
    [
        ("lm_eval", {}, "needs a model of lm-eval: backend=lm_eval:NAME"),
        ("lm_eval:local-completion", {}, "did you mean 'local-completions'"),
        ("lm_eval:local-completions", {"base_ulr": "x"}, "did you mean 'base_url'"),
        ("lm_eval:hf", {"batch_size": 3}, "kdbench sets it; use batch_size="),
        ("hf:fast", {}, "backend=…:fast: this backend takes no argument after a colon"),
        ("hf", {"fast": True}, "backend_options=fast=…: this backend takes no options"),
    ],
)
def test_wrong_arguments_are_refused(argument: str, options: dict, line: str) -> None:
    with pytest.raises(InputError, match=line):
        choose_backend(argument, options)


def test_options_that_do_not_affect_texts_are_not_in_the_identity() -> None:
    def identity(**options: Any) -> str:
        return choose_backend("lm_eval:local-completions", options).identity

    url = "http://a/v1/completions"
    assert identity(base_url=url, num_concurrent=9, auth_token="secret") == identity(base_url=url)
    assert identity(base_url=url) != identity(base_url="http://b/v1/completions")
    chosen = choose_backend("lm_eval:local-completions", {"auth_token": "secret"})
    assert chosen.recorded == {}


def test_dummy_is_evaluated_and_described(world: World, tmp_path: Path) -> None:
    evaluation = kdbench.evaluate(
        model="org/some-model",
        data=world.data,
        tasks="dolly",
        limit=3,
        protocol="greedy",
        max_prompt_tokens=None,
        backend="lm_eval:dummy",
        results=tmp_path,
    )
    result = evaluation.results["dolly"]
    assert evaluation.run.parent.name == "org__some-model"
    assert result.metrics["lm_loss"].reason == "needs the model"
    assert result.metrics["response_length"].value is None
    record = json.loads((evaluation.run / "run.json").read_text("utf-8"))
    assert record["model"]["sha256"] is None
    assert record["backend"]["engine"] == "lm_eval 0.4.13"
    assert record["backend"]["name"] == "lm_eval:dummy"


@api
def test_a_server_compared_with_a_served_teacher(server: Any, world: World, tmp_path: Path) -> None:
    """From the command line, with a comma list of options; token metrics are null with a reason."""
    url = f"http://127.0.0.1:{server.server_port}/v1/completions"
    options = f"base_url={url},tokenizer={world.teacher},num_concurrent=4"
    given = ["model=small", "teacher=large", f"data={world.data}", "tasks=dolly", "limit=3"]
    given += ["seeds=1,2", "no_repeat_ngram_size=0", f"results={tmp_path}"]
    given += ["backend=lm_eval:local-completions", f"backend_options={options}"]
    command = [sys.executable, "-m", "kdbench", "eval", *given]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    assert "Requesting API" not in done.stderr
    (file,) = tmp_path.glob("small/*/dolly.json")
    metrics = json.loads(file.read_text("utf-8"))["metrics"]
    assert "does not show probabilities" in metrics["rkl@student"]["reason"]
    assert metrics["rougeL"]["value"] is not None
    assert len(server.asked) == 12
    again = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert "0 samples generated" in again.stdout


def test_rows_with_a_special_stop_are_generated_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """lm-eval decodes without special tokens, so a row must not go on behind such a stop."""
    protocol = get_protocol("greedy", FREE)
    backend = local(world, protocol, batch_size=2)
    sizes: list[int] = []

    def answers(rows: Any, until: Any) -> list[Sample]:
        sizes.append(len(rows))
        return [Sample(row.document, row.seed, "") for row in rows]

    monkeypatch.setattr(backend, "_answers", answers)
    rows = [Row(text, 0, backend.encode(text, text).ids) for text in PROMPTS[:2]]
    for until in ((), ("\n",), ("<|pad|>",)):
        assert len(list(backend.generate(rows, until))) == 2
    assert sizes == [2, 2, 1, 1]


def test_an_end_token_behind_the_prompt_is_refused(world: World) -> None:
    from tokenizers.processors import TemplateProcessing

    backend = local(world, get_protocol("greedy", {**FREE, "add_bos": True}))
    tokenizer = backend.tokenizer
    pairs = [(name, tokenizer.convert_tokens_to_ids(name)) for name in ("<|bos|>", "<|eos|>")]
    for template, bad in (("<|bos|> $A", False), ("<|bos|> $A <|eos|>", True)):
        tokenizer._tokenizer.post_processor = TemplateProcessing(
            single=template, special_tokens=pairs
        )
        if bad:
            with pytest.raises(InputError, match="use add_bos=false or backend=hf"):
                backend.encode("a b", "a b")
        else:
            assert backend.encode("a b", "a b").ids[0] == tokenizer.bos_token_id


def test_a_server_with_its_own_template_takes_no_other() -> None:
    protocol = get_protocol("chat", {"chat_template": "rag"})
    with pytest.raises(InputError, match="the server has a chat template of its own"):
        check_protocol(find_kind("local-chat-completions"), protocol, {})
