"""MkDocs hooks that turn the pages of the repository, as a code host shows them, into a site.

They bring in the files outside docs/ that a page links to and point the links at them. They rewrite
what Python-Markdown reads differently: info strings of several words, and lists without a blank
line before them. In `api.md` they replace `<!-- api: MODULE -->` by the module's docstrings. A
notebook becomes a page with its stored outputs.
"""

import json
import posixpath
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
_FENCED = re.compile(r"^(```|~~~).*?^\1[ \t]*$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)\s#]+)(?=[)#])")
_INFO = re.compile(r"^(```\w+) .*$", re.MULTILINE)
_TIGHT_LIST = re.compile(r"^(?![-*] |\d+\. |[ \t|#>]|$)(.*)\n(?=[-*] |1\. )", re.MULTILINE)
_API = re.compile(r"^<!-- api: ([\w.]+) -->$", re.MULTILINE)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add every file outside docs/ that a page of the site links to, directly or through others."""
    for file in [file for file in files if file.src_uri.endswith(".ipynb")]:
        path = Path(str(file.abs_src_path))
        page = File.generated(config, f"{file.src_uri[:-6]}.md", content=_notebook(path))
        files.append(page)
    waiting = [file.src_uri for file in files.documentation_pages()]
    while waiting:
        page = waiting.pop()
        text = _FENCED.sub("", _source(page).read_text("utf-8"))
        for link in _LINK.findall(text):
            target = _target(page, link)
            if files.get_file_from_path(target) is None:
                path = _source(target)
                if not path.is_file():
                    raise PluginError(f"{page}: no file for the link '{link}'")
                file = File.generated(config, target, abs_src_path=str(path))
                files.append(file)
                if file.is_documentation_page():
                    waiting.append(target)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """The text of a page as the site needs it."""
    here = page.file.src_uri

    def relative(link: re.Match[str]) -> str:
        return posixpath.relpath(_target(here, link[1]), posixpath.dirname(here) or ".")

    markdown = _outside_fences(markdown, lambda text: _LINK.sub(relative, text))
    markdown = _outside_fences(markdown, lambda text: _TIGHT_LIST.sub(r"\1\n\n", text))
    markdown = _INFO.sub(r"\1", markdown)
    return _API.sub(r"::: \1", markdown)


def _notebook(path: Path) -> str:
    """The Markdown of a notebook: its texts, its code, and its outputs in their richest form."""
    cells = json.loads(path.read_text("utf-8"))["cells"]
    parts = [part for cell in cells for part in _cell(cell)]
    return "\n\n".join([*parts, f"[Download this notebook]({path.name})"]) + "\n"


def _cell(cell: dict[str, Any]) -> Iterator[str]:
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        yield source
        return
    yield f"```python\n{source}\n```"
    for output in cell["outputs"]:
        data = output.get("data", {})
        if "text/html" in data:
            # Blank lines would end the block of HTML.
            lines = "".join(data["text/html"]).splitlines()
            html = "\n".join(line for line in lines if line.strip())
            html = html.replace(' border="1" class="dataframe"', "")  # the site's own style
            yield f'<div class="output">\n{html}\n</div>'
        else:
            text = "".join(output.get("text") or data.get("text/plain") or "").rstrip()
            yield f"```text\n{text}\n```"


def _outside_fences(markdown: str, change: Callable[[str], str]) -> str:
    fences = [match.span() for match in _FENCED.finditer(markdown)]
    parts, end = [], 0
    for start, stop in fences:
        parts += [change(markdown[end:start]), markdown[start:stop]]
        end = stop
    return "".join([*parts, change(markdown[end:])])


def _source(uri: str) -> Path:
    """The file of a page of the site; pages of docs/ are at its top."""
    inside = ROOT / "docs" / uri
    notebook = inside.with_suffix(".ipynb")
    if uri.endswith(".md") and notebook.exists():
        return notebook
    return inside if inside.exists() else ROOT / uri


def _target(page: str, link: str) -> str:
    """Where the site has what a link of a page means in the repository."""
    folder = _source(page).parent.relative_to(ROOT).as_posix()
    path = posixpath.normpath(posixpath.join(folder, unquote(link)))
    if path == "README.md":  # the README and the home page say the same
        return path
    return path.removeprefix("docs/")
