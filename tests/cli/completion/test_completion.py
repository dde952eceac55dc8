"""Completion: the words that can come next, asked as each shell asks."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from outcomes import run

from kdbench.cli.app import helps
from kdbench.cli.completion.entry import complete
from kdbench.cli.completion.scripts import SCRIPTS
from kdbench.store.folder import RunFolder

ROOT = Path(__file__).parents[3]


def words(line: str) -> list[str]:
    """What zsh and fish offer after the words of a line; a last space begins a new word."""
    lines = complete(["words", *line.split(" ")], helps)
    return [line.partition("\t")[0] for line in lines]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with checkpoints, runs, a baseline and files of awkward names."""
    for name in ("runs/demo/student", "runs/demo/teacher", "with space", ".hidden"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("runs/demo/small.gguf", "runs/demo/notes.txt", "keys.yaml", "bad\x1bname"):
        (tmp_path / name).write_text("")
    for name in ("GKD/minillm-1", "GKD/minillm-2", "deep/SFT/minillm-3"):
        RunFolder(tmp_path / "results" / name).write_run({})
    (tmp_path / "baselines/gates").mkdir(parents=True)
    (tmp_path / "baselines/gates/main.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ev", ["eval"]),
        ("--v", ["--version"]),
        ("help pl", ["plan"]),
        ("completion ", ["bash", "zsh", "fish"]),
        ("metrics acceptance", ["acceptance"]),
        ("eval m --dtype ", ["auto", "float32", "bfloat16", "float16"]),
        ("eval m dtype=f", ["dtype=float32", "dtype=float16"]),
        ("eval m --dtype=b", ["--dtype=bfloat16"]),
        ("eval m add_bos=", ["add_bos=true", "add_bos=false"]),
        ("eval m tasks=dolly,v", ["tasks=dolly,vicuna"]),
        ("eval m --tasks dolly,v", ["dolly,vicuna"]),
        ("eval m max_new", ["max_new_tokens="]),
        ("eval m --max-new", ["--max-new-tokens="]),
        ("eval m --no-add", ["--no-add-bos"]),
        ("eval m limit=3 lim", []),  # given already
        ("eval runs/demo/", ["runs/demo/small.gguf", "runs/demo/student/", "runs/demo/teacher/"]),
        ("eval m config=k", ["config=keys.yaml"]),
        ("eval m teacher=runs/demo/t", ["teacher=runs/demo/teacher/"]),
        ("eval m protocol=", ["protocol=minillm", "protocol=greedy", "protocol=chat"]),
        ("eval m backend=v", ["backend=vllm"]),
        ("train method=gk", ["method=gkd"]),
        ("train method=gkd student_", ["student_fraction=", "student_quantization="]),
        ("train method=sft student_", ["student_quantization="]),
        ("train toy/gk", ["toy/gkd"]),
        ("fill toy-b", ["toy-builders"]),
        ("doctor ", ["eval", "train"]),
        ("doctor train met", ["method="]),
        ("doctor eval m skip=over", ["skip=overlap"]),
        ("analyses teacher_h", ["teacher_hacking"]),
        ("analyse teacher_h", ["teacher_hacking"]),
        ("analyse teacher_hacking orac", ["oracle="]),
        ("analyse teacher_hacking steps=3 st", ["start_steps=", "student="]),
        ("compare ma", ["main", "markdown="]),
        ("compare base=G", ["base=GKD", "base=GKD/minillm-1", "base=GKD/minillm-2"]),
        ("compare main de", ["deep/SFT"]),
        ("compare main SF", ["SFT"]),
        ("show results=results/deep S", ["SFT"]),
        ("ls ba", ["baselines"]),
        ("table columns=dolly,A", ["columns=dolly,AVG"]),
        ("eval model=", ["model=baselines/", "model=results/", "model=runs/", "model=with space/"]),
        ("nonsense x", []),
        ("eval m --limit 1 limit=2 --dev", ["--device="]),
    ],
)
def test_the_words_that_can_come_next(place: Path, line: str, expected: list[str]) -> None:
    assert words(line) == expected


def test_every_verb_completes_its_keys(place: Path) -> None:
    for name, verb in helps.items():
        if verb.settings:
            line = f"{name} eval " if name == "doctor" else f"{name} "
            assert "config=" in words(f"{line}con"), name
            assert f"{line.split(maxsplit=1)[0]}" in words(name[:2])


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("kdbench ev", ["eval "]),
        ("kdbench eval model=runs/d", ["runs/demo/"]),
        ("kdbench eval model=wi", ["with\\ space/"]),
        ("kdbench eval m dtype=bf", ["bfloat16 "]),
        ("kdbench eval m tasks=dolly,v", ["dolly,vicuna "]),
        ("kdbench eval 'runs/de", ["runs/demo/"]),
        ("kdbench eval m --dry", ["--dry-run "]),
        ("kdbench eval m backend_o", ["backend_options="]),
    ],
)
def test_bash_gets_what_follows_the_last_of_its_breaks(
    place: Path, line: str, expected: list[str]
) -> None:
    assert complete(["bash", " \t\n\"'><=;|&(:", line], helps) == expected


def test_bash_without_breaks_at_equals_gets_the_whole_word(place: Path) -> None:
    assert complete(["bash", " \t\n", "kdbench eval m dtype=bf"], helps) == ["dtype=bfloat16 "]
    assert complete([], helps) == complete(["other"], helps) == []


def test_a_hostile_name_is_not_offered(place: Path) -> None:
    assert words("eval m card=b") == ["card=baselines/"]


@pytest.fixture
def program(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """`kdbench` in the path."""
    folder = tmp_path_factory.mktemp("bin")
    file = folder / "kdbench"
    file.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m kdbench "$@"\n')
    file.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def shell(name: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed")
    return subprocess.run([path, *arguments], capture_output=True, text=True, check=False)


@pytest.mark.usefixtures("program")
def test_bash_completes(place: Path) -> None:
    script = (
        "source <(kdbench completion bash)\n"
        "COMP_LINE='kdbench eval model=runs/demo/s'; COMP_POINT=${#COMP_LINE}\n"
        "COMP_WORDS=(kdbench eval model = runs/demo/s); COMP_CWORD=4\n"
        "_kdbench; printf '[%s]' \"${COMPREPLY[@]}\"; complete -p kdbench"
    )
    done = shell("bash", "--norc", "-c", script)
    assert done.stdout.startswith("[runs/demo/small.gguf ][runs/demo/student/]complete ")
    assert "-F _kdbench kdbench" in done.stdout
    assert done.stderr == ""


@pytest.mark.usefixtures("program")
def test_fish_completes(place: Path) -> None:
    done = shell(
        "fish",
        "--no-config",
        "-c",
        "kdbench completion fish | source; complete -C 'kdbench eval m dtype=bf'",
    )
    assert done.stdout == "dtype=bfloat16\n"


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_scripts_have_no_syntax_errors(name: str, tmp_path: Path) -> None:
    printed = run(["completion", name])
    assert printed.out == SCRIPTS[name]
    (tmp_path / "script").write_text(printed.out)
    assert shell(name, "-n", str(tmp_path / "script")).returncode == 0


def test_the_shell_is_that_of_the_user_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/usr/bin/fish")
    assert run(["completion"]).out == SCRIPTS["fish"]
    monkeypatch.delenv("SHELL")
    for arguments in ([], ["tcsh"], ["bash", "zsh"]):
        refused = run(["completion", *arguments])
        assert refused.code == 2
        assert len(refused.err.splitlines()) == 1


def test_completion_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from kdbench.cli.verbs import main\n"
        "sys.argv = ['kdbench', '__complete', 'words', *sys.argv[1:]]\n"
        "try:\n"
        "    main()\n"
        "finally:\n"
        "    print(*{'torch', 'transformers', 'numpy', 'pandas', 'lm_eval'} & set(sys.modules),"
        " file=sys.stderr)\n"
    )
    for line in ("eval m metrics=", "train method=gkd ", "compare a ", "fill "):
        done = subprocess.run(
            [sys.executable, "-c", code, *line.split(" ")],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stderr.split() == [], line
        assert done.stdout
