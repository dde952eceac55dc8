"""The vendored files are those that vendor.json lists, and they run under the site's policy."""

import hashlib
import json
from importlib.resources import files

import pytest

VENDOR = files("kdbench.site").joinpath("static", "vendor")
LISTED = json.loads(VENDOR.joinpath("vendor.json").read_text("utf-8"))


def test_every_vendored_file_is_listed_with_its_licence():
    stored = {file.name for file in VENDOR.iterdir()} - {"vendor.json", "README.md"}
    assert {entry["file"] for entry in LISTED} == stored
    assert {entry["licence"] for entry in LISTED} <= {"ISC", "MIT", "Unlicense"}
    for package in {entry["package"] for entry in LISTED}:
        paths = {entry["path"] for entry in LISTED if entry["package"] == package}
        assert any("LICENSE" in path for path in paths), package


@pytest.mark.parametrize("entry", LISTED, ids=lambda entry: entry["file"])
def test_a_vendored_file_is_as_it_was_published(entry):
    content = VENDOR.joinpath(entry["file"]).read_bytes()
    assert hashlib.sha256(content).hexdigest() == entry["sha256"]
    if entry["file"].endswith(".min.js"):
        assert entry["version"] in content[:200].decode()
