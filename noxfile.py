"""The sessions of a developer: `nox -s tests lint docs bench`.

They run in the environment that started nox (the README makes it), because installing torch a
second time takes longer than all tests.
"""

import hashlib
import json
import sys
import tarfile
import time
from pathlib import Path

import nox

nox.options.default_venv_backend = "none"
nox.options.sessions = ["tests", "lint", "docs"]
nox.needs_version = ">=2024.4"


@nox.session
def tests(session: nox.Session) -> None:
    session.run(sys.executable, "-m", "pytest", "-n", "auto", *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Run the fuzzer with random seeds for a time: `-- SECONDS`, ten minutes by default.

    It writes faults and their inputs to fuzz-failures/, and fails if there are any.
    """
    seconds = int(session.posargs[0]) if session.posargs else 600
    folder = Path("fuzz-failures")
    words = ("-m", "pytest", "-q", "-n", "0", "--hypothesis-profile=fuzz", "tests/fuzz")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        env = {"KDBENCH_FUZZ_FAILURES": str(folder.absolute())}
        session.run(sys.executable, *words, env=env, success_codes=[0, 1])
    if faults := sorted(folder.glob("*.txt")):
        session.error(f"{len(faults)} kinds of faults in {folder}/")


@nox.session
def lint(session: nox.Session) -> None:
    session.run(sys.executable, "-m", "ruff", "check", ".")
    session.run(sys.executable, "-m", "ruff", "format", "--check", ".")
    session.run(sys.executable, "-m", "mypy")
    session.run(sys.executable, "-m", "codespell_lib")
    session.run(str(Path(sys.executable).with_name("lint-imports")), "--no-cache")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation site into site/; `-- serve` serves it on this machine."""
    command = session.posargs or ["build", "--strict"]
    quiet = {"NO_MKDOCS_2_WARNING": "1"}  # an advertisement of mkdocs-material's
    session.run(sys.executable, "-m", "mkdocs", *command, env=quiet)


@nox.session
def screenshots(session: nox.Session) -> None:
    """The pictures of the site in docs/images: `-- results/demo runs/demo`; needs Chromium."""
    env = {"PYTHONPATH": "tests/helpers"}
    session.run(sys.executable, "docs/images/screenshots.py", *session.posargs, env=env)


@nox.session
def vendor(session: nox.Session) -> None:
    """Fetch the site's vendored files again with npm; `git diff` shows what changed."""
    folder = Path("kdbench/site/static/vendor")
    listed = json.loads((folder / "vendor.json").read_text("utf-8"))
    fetched = Path(session.create_tmp())
    for entry in listed:
        archive = f"{entry['package'].strip('@').replace('/', '-')}-{entry['version']}.tgz"
        if not (fetched / archive).exists():
            name = f"{entry['package']}@{entry['version']}"
            session.run("npm", "pack", name, "--pack-destination", str(fetched), external=True)
        with tarfile.open(fetched / archive) as tar:
            member = next(m for m in tar if m.name.partition("/")[2] == entry["path"])
            content = tar.extractfile(member).read()
        (folder / entry["file"]).write_bytes(content)
        entry["sha256"] = hashlib.sha256(content).hexdigest()
    (folder / "vendor.json").write_text(json.dumps(listed, indent=2) + "\n", "utf-8")


@nox.session
def bench(session: nox.Session) -> None:
    """With the peers of the extra `bench`; without names, the benchmarks that need none."""
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "-c", "constraints.txt")
    session.run(*pip, "-e", ".[bench]")
    session.run(sys.executable, "-m", "benchmarks", *session.posargs)
