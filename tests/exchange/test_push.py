"""The push: a plan without network, and one commit with the Hub's calls recorded."""

from types import SimpleNamespace

import pytest
from huggingface_hub import ModelCard
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError
from typer.testing import CliRunner

from kdbench.cli.verbs import app

REFUSED = SimpleNamespace(headers={}, request=None)


class Hub:
    """The calls of `HfApi` that a push makes, without a network."""

    def __init__(self) -> None:
        self.calls, self.card, self.fault = [], None, None

    def create_repo(self, repo_id, private, exist_ok):
        if self.fault is not None:
            raise self.fault
        self.calls.append(("create", repo_id, private, exist_ok))

    def repo_info(self, repo_id):
        self.calls.append(("info", repo_id))
        return SimpleNamespace(sha="a" * 40)

    def hf_hub_download(self, repo_id, filename, revision):
        self.calls.append(("read", repo_id, filename, revision))
        if self.card is None:
            raise EntryNotFoundError("no such file")
        return self.card

    def create_commit(self, repo_id, operations, commit_message, parent_commit):
        files = {}
        for operation in operations:
            with operation.as_file() as file:
                files[operation.path_in_repo] = file.read()
        self.calls.append(("commit", repo_id, commit_message, parent_commit))
        self.files = files
        return SimpleNamespace(commit_url=f"https://huggingface.co/{repo_id}/commit/1")


@pytest.fixture
def hub(monkeypatch) -> Hub:
    made = Hub()
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: made)
    monkeypatch.setattr("huggingface_hub.get_token", lambda: "hf_secret")
    return made


def run(*words):
    return CliRunner().invoke(app, ["push", "mine", "repo=org/mine", *words])


def test_a_dry_run_lists_files_and_needs_neither_token_nor_network(made, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("the network was asked")

    monkeypatch.setattr("huggingface_hub.HfApi", refuse)
    monkeypatch.setattr("huggingface_hub.get_token", refuse)
    done = run("checkpoint=mine", "--dry-run", "samples=true")
    assert done.exit_code == 0, done.stderr
    assert "private, if it does not exist yet" in done.stdout
    assert "kdbench: results of KD (mine) on Dolly, Vicuna" in done.stdout
    place = f"kdbench/mine/{made.run.name}"
    unwrapped = "".join(done.stdout.split())
    for name in ("README.md", "model.safetensors", f"{place}/run.json", f"{place}/dolly.json"):
        assert name in unwrapped
    assert f"{place}/samples/dolly.prompts.jsonl" in unwrapped
    size = (made.checkpoint / "config.json").stat().st_size
    assert f"  {size} B" in done.stdout


def test_card_results_and_checkpoint_go_in_one_commit(made, hub):
    done = run("checkpoint=mine", "eval_results=dolly:org/bench:a", "license=mit")
    assert (done.exit_code, done.stdout) == (
        0,
        "pushed: https://huggingface.co/org/mine/commit/1\n",
    )
    assert hub.calls[0] == ("create", "org/mine", True, True)
    assert hub.calls[-1][1:] == (
        *("org/mine", "kdbench: results of KD (mine) on Dolly, Vicuna", "a" * 40),
    )
    place = f"kdbench/mine/{made.run.name}"
    own = {path.name for path in made.checkpoint.iterdir()}
    results = {f"{place}/{name}.json" for name in ("run", "dolly", "vicuna")}
    assert set(hub.files) == own | results | {"README.md", ".eval_results/dolly.yaml"}
    weights = (made.checkpoint / "model.safetensors").read_bytes()
    assert hub.files["model.safetensors"] == weights
    card = ModelCard(hub.files["README.md"].decode())
    assert card.data.license == "mit"
    assert "model=org/mine" in card.text
    assert (
        f"huggingface.co/org/mine/tree/main/{place}"
        in hub.files[".eval_results/dolly.yaml"].decode()
    )


def test_the_card_on_the_hub_keeps_what_people_wrote(made, hub, tmp_path):
    assert run().exit_code == 0
    hub.card = str(tmp_path / "remote.md")
    (tmp_path / "remote.md").write_bytes(hub.files["README.md"] + b"\nBy me.\n")
    assert run().exit_code == 0
    assert hub.files["README.md"].endswith(b"\nBy me.\n")
    (tmp_path / "remote.md").write_text("# Mine\n")
    before = len([call for call in hub.calls if call[0] == "commit"])
    refused = run()
    assert refused.exit_code == 2
    assert refused.stderr.splitlines()[-1].startswith(
        "kdbench: org/mine/README.md: was not written by kdbench card"
    )
    assert len([call for call in hub.calls if call[0] == "commit"]) == before
    assert run("overwrite=true").exit_code == 0


def test_without_a_login_it_says_how_to_log_in(made, hub, monkeypatch):
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    done = run()
    assert (done.exit_code, hub.calls) == (2, [])
    assert done.stderr == (
        "kdbench: push needs a login on the Hub: run hf auth login, or set HF_TOKEN\n"
    )


@pytest.mark.parametrize(
    "secret", ["HF_TOKEN=hf_" + "x" * 34, "-----BEGIN OPENSSH PRIVATE KEY-----"]
)
def test_a_file_that_holds_a_secret_is_not_pushed(secret, made, hub):
    (made.checkpoint / "notes.log").write_text(f"mine\n{secret}\n")
    for words in ((), ("--dry-run",)):
        done = run("checkpoint=mine", *words)
        assert done.exit_code == 2
        (line,) = done.stderr.splitlines()
        assert line.startswith("kdbench: mine/notes.log: holds what looks like an access token")
        assert secret not in line
    assert hub.calls == []


def test_a_link_out_of_the_checkpoint_is_not_pushed(made, hub, tmp_path):
    (tmp_path / "private.txt").write_text("mine")
    (made.checkpoint / "inside.log").symlink_to("config.json")
    assert run("checkpoint=mine", "--dry-run").exit_code == 0
    (made.checkpoint / "notes.log").symlink_to(tmp_path / "private.txt")
    done = run("checkpoint=mine")
    assert (done.exit_code, hub.calls) == (2, [])
    assert done.stderr.startswith("kdbench: mine/notes.log: is a link out of checkpoint=")


@pytest.mark.parametrize(
    "fault",
    [
        HfHubHTTPError("403 Forbidden: no rights\nhf_0123456789abcdefghij", response=REFUSED),
        ConnectionError("no network"),
        RuntimeError("what an HTTP library raises"),
    ],
)
def test_a_refusal_of_the_hub_is_one_line(fault, made, hub):
    hub.fault = fault
    done = run()
    assert done.exit_code == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("kdbench: repo=org/mine: ")
    assert "hf_0" not in line


@pytest.mark.parametrize("repo", ["mine", "org/", "a/b/c", "../x/y", "org/mi ne"])
def test_a_repository_is_org_and_name(repo, made):
    done = CliRunner().invoke(app, ["push", "mine", f"repo={repo}", "--dry-run"])
    assert (done.exit_code, done.stdout) == (2, "")
    assert "must be ORG/NAME" in done.stderr
