"""Pages become files: a folder that opens from disk, or one page that holds everything."""

import base64
import hashlib
import json
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import Any

from kdbench.site.html import render
from kdbench.site.page import Page, value_of
from kdbench.system.files import put_bytes

INDEX = "index.html"
_STYLES = ("site.css",)
_HEAD = ("site.js",)

SiteFile = tuple[str, bytes]
"""Path of a file in the folder of the site, and its bytes."""


def site_files(
    pages: Sequence[Page],
    title: str,
    footer: Sequence[str] = (),
    single_file: bool = False,
    build: int | None = None,
) -> Iterator[SiteFile]:
    """The files of a site, one by one; the page that needs the others comes last.

    Args:
        pages: Its pages, in order.
        title: Title of the site.
        footer: Lines below every page.
        single_file: Whether everything is in the one page.
        build: Number of the build, for a server that tells the page when there is a later one.
    """
    styles = list(dict.fromkeys([*_STYLES, *(file for page in pages for file in page.styles)]))
    scripts = list(dict.fromkeys(file for page in pages for file in page.scripts))
    scripts += ["live.js"] if build is not None else []
    libraries = list(dict.fromkeys(file for page in pages for file in page.libraries))
    data = {name: value for page in pages for name, value in page.data.items()}
    shown: dict[str, Any] = {"pages": pages, "title": title, "footer": footer, "styles": styles}
    shown["build"] = build
    shown |= {"scripts": scripts, "head_scripts": _HEAD, "libraries": libraries}
    if single_file:
        inline = {file: _inline(file) for file in (*styles, *_HEAD, *scripts, *libraries)}
        policy = _policy(
            scripts=[_hash(inline[file]) for file in (*_HEAD, *scripts, *libraries)],
            styles=[_hash(inline[file]) for file in styles],
            live=build is not None,
        )
        texts = {name: _markup(_json(value_of(value))) for name, value in data.items()}
        page = render("index.html.j2", policy=policy, inline=inline, data=texts, **shown)
        yield INDEX, page.encode()
        return
    for file in (*styles, *_HEAD, *scripts, *libraries):
        yield f"static/{file}", static(file)
    for name, value in data.items():
        yield (
            f"data/{name}.js",
            f"kdbench.arrived({_json(name)},{_json(value_of(value))});\n".encode(),
        )
    policy = _policy(
        scripts=["'self'", "file:"], styles=["'self'", "file:"], live=build is not None
    )
    yield INDEX, render("index.html.j2", policy=policy, inline={}, data={}, **shown).encode()


def static(file: str) -> bytes:
    """The bytes of a file in `static/`."""
    return files("kdbench.site").joinpath("static", *PurePosixPath(file).parts).read_bytes()


def _inline(file: str) -> Any:
    text = static(file).decode()
    if "</script" in text.lower() or "</style" in text.lower() or "<!--" in text:
        raise ValueError(f"static/{file} cannot be inlined: it holds an end tag or a comment")
    return _markup(text)


def _markup(text: str) -> Any:
    from markupsafe import Markup

    return Markup(text)  # noqa: S704 - our own file, or JSON without <, > and &


def _json(value: Any) -> str:
    """JSON that can be in a script of an HTML page as well as in a file."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _policy(scripts: Sequence[str], styles: Sequence[str], live: bool) -> str:
    """The content security policy: nothing from elsewhere, and no script but ours.

    Attributes of style are allowed for the sake of pictures in SVG.
    """
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src {' '.join(scripts)}",
            f"style-src {' '.join(styles)}",
            "style-src-attr 'unsafe-inline'",
            "img-src 'self' file: data:",
            "base-uri 'none'",
            "form-action 'none'",
            *(["connect-src 'self'"] if live else []),
        ]
    )


def write_files(folder: Path, contents: Iterator[SiteFile]) -> list[Path]:
    """Write files into a folder, each atomically, and return their paths."""
    written = []
    for name, content in contents:
        put_bytes(folder / name, content)
        written.append(folder / name)
    return written


def remove_stale(folder: Path, earlier: Sequence[str], written: Sequence[Path]) -> None:
    """Delete files of an earlier report that this one does not have, and folders left empty.

    Args:
        folder: Folder of both reports.
        earlier: Names of the earlier one's files, as it listed them.
        written: Paths of this one's files.
    """
    kept = set(written)
    for name in earlier:
        parts = PurePosixPath(name).parts
        file = folder.joinpath(*parts)
        if not parts or name.startswith("/") or file in kept:
            continue
        if file.parent.resolve() != folder.resolve().joinpath(*parts[:-1]):
            continue  # a link leads out of the folder
        if file.is_file() or file.is_symlink():
            file.unlink()
        if file.parent != folder and file.parent.is_dir() and not any(file.parent.iterdir()):
            file.parent.rmdir()
