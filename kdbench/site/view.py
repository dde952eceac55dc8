"""`kdbench view`: the site on this machine, rebuilt whenever a result changes."""

import os
import shutil
import signal
import sys
import tempfile
import time
import webbrowser
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from kdbench.config import ReportSettings, ViewSettings
from kdbench.config.draw import VIEW_PORT
from kdbench.config.kinds import given_keys
from kdbench.errors import InputError
from kdbench.site.html import render
from kdbench.site.page import Page
from kdbench.site.pages import make_pages
from kdbench.site.report import footer, title_of
from kdbench.site.served import Served, SiteServer
from kdbench.site.source import read_source
from kdbench.site.write import INDEX, SiteFile, site_files, write_files
from kdbench.store.places import run_folders_in
from kdbench.system.console import say

_SECONDS = 1.0  # between two looks at the results
FileTimes = dict[str, tuple[int, int]]
"""Time and size of each result file."""


def view(settings: ViewSettings) -> None:
    """Serve the site until Ctrl-C.

    Raises:
        InputError: The results folder does not exist, the port is taken, or a key names something
            that the results do not have.
    """
    report = settings.report
    if not report.results.is_dir():
        raise InputError(f"results={report.results}: no such folder")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # `kill` ends it like Ctrl-C
    with tempfile.TemporaryDirectory(prefix="kdbench-view-") as folder:
        site = LiveSite(report, Path(folder))
        site.refresh()
        if site.served.problem and run_folders_in(report.results):
            raise InputError(site.served.problem)
        server = _server(settings)
        server.served = site.served
        server.start()
        try:
            _tell(f"{server.url} shows {report.results}; Ctrl-C ends it")
            if settings.open:
                webbrowser.open(server.url)
            while True:
                time.sleep(_SECONDS)
                if site.refresh():
                    server.served = site.served
                    _tell(site.served.problem or f"refreshed: build {site.served.version}")
        except KeyboardInterrupt:
            _tell("stopped")
        finally:
            server.stop()


def _tell(line: str) -> None:
    """Print a line at once, also into a pipe."""
    say(line)
    sys.stdout.flush()


def _server(settings: ViewSettings) -> SiteServer:
    """A server on the port asked for; on a free one if the default is taken."""
    try:
        return SiteServer(settings.port)
    except InputError:
        if settings.port != VIEW_PORT or "port" in given_keys(settings):
            raise
        return SiteServer(0)


@dataclass
class LiveSite:
    """A site that follows its results.

    Attributes:
        settings: What it shows.
        folder: Folder for its files; each build has a folder of its own, so that a page being
            loaded never sees half of the next one.
        served: The latest build.
    """

    settings: ReportSettings
    folder: Path
    served: Served = field(default_factory=Served)
    _built_from: FileTimes | None = None
    _seen: FileTimes | None = None

    def refresh(self) -> bool:
        """Build the site anew if results have changed since and are not just being written.

        Returns:
            Whether there is something new to serve: a build, or why there is none.
        """
        state = self._files()
        settled = state == self._seen or self._built_from is None
        self._seen = state
        if state == self._built_from or not settled:
            return False
        self._built_from = state
        version = self.served.version + 1
        try:
            files = self._build(version)
        except InputError as error:
            if self.served.files:
                self.served = replace(self.served, problem=str(error))
            else:
                self.served = Served(version, self._waiting(version, str(error)), str(error))
            return True
        self.served = Served(version, files)
        return True

    def _files(self) -> FileTimes:
        """Time and size of the files of results, and of the answers of analyses."""
        answers = self.settings.analyses.glob("*.json")
        times = {str(file): (file.stat().st_mtime_ns, file.stat().st_size) for file in answers}
        return {**result_files(self.settings.results), **times}

    def _build(self, version: int) -> dict[str, Path]:
        source = read_source(self.settings)
        pages = make_pages(source)
        contents = site_files(pages, title_of(source), footer(source), build=version)
        return self._write(version, contents)

    def _waiting(self, version: int, why: str) -> dict[str, Path]:
        """A site that says why there is nothing to show yet."""
        page = Page("waiting", "Waiting for results", render("empty.html.j2", why=why))
        return self._write(version, site_files([page], "kdbench", build=version))

    def _write(self, version: int, contents: Iterator[SiteFile]) -> dict[str, Path]:
        folder = self.folder / str(version)
        shutil.rmtree(folder, ignore_errors=True)
        written = write_files(folder, contents)
        for old in self.folder.iterdir():
            if old.name.isdecimal() and int(old.name) < version - 1:
                shutil.rmtree(old, ignore_errors=True)
        files = {path.relative_to(folder).as_posix(): path for path in written}
        return {**files, INDEX: folder / INDEX}


def result_files(results: Path) -> FileTimes:
    """Time and size of the files that hold results, at any depth: of runs, groups and speeds."""
    times: FileTimes = {}
    for folder, subfolders, names in os.walk(results):
        if "samples" in subfolders:
            subfolders.remove("samples")  # written all the time, and read once a run is complete
        for name in names:
            file = os.path.join(folder, name)
            try:
                status = os.stat(file)
            except OSError:  # replaced or removed at this moment, or a link to nowhere
                continue
            if name.endswith(".json") and not name.startswith("."):
                times[file] = status.st_mtime_ns, status.st_size
    return times
