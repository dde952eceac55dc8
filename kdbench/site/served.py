"""The HTTP server of `kdbench view`: read-only, on this machine, for this machine's browser."""

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from kdbench.errors import InputError
from kdbench.site.write import INDEX

ADDRESS = "127.0.0.1"
STATE = "live.json"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
}
_OUR_PAGES = ("same-origin", "none")  # of Sec-Fetch-Site; "none" is the address bar


@dataclass(frozen=True)
class Served:
    """What the server serves.

    Attributes:
        version: Number of the build; the page loads anew when it changes.
        files: The site's files by name; nothing else can be asked for.
        problem: Why the last build failed, in one line; empty if it did not.
    """

    version: int = 0
    files: Mapping[str, Path] = field(default_factory=dict, repr=False)
    problem: str = ""


class SiteServer(ThreadingHTTPServer):
    """A server of one site, whose content can be replaced while it runs.

    Args:
        port: Port on 127.0.0.1; 0 chooses a free one.

    Raises:
        InputError: The port is in use, or may not be used.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int):
        self.served = Served()
        try:
            super().__init__((ADDRESS, port), _Handler)
        except OSError as error:
            reason = error.strerror or str(error)
            raise InputError(f"port={port}: {reason}; port=0 chooses a free one") from None
        self.hosts = {f"{name}:{self.server_port}" for name in (ADDRESS, "localhost")}

    @property
    def url(self) -> str:
        """The address of the site."""
        return f"http://{ADDRESS}:{self.server_port}/"

    def start(self) -> None:
        """Serve in the background until `stop`."""
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.1}).start()

    def stop(self) -> None:
        """Stop serving and free the port."""
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: SiteServer
    server_version, sys_version = "kdbench", ""
    protocol_version = "HTTP/1.1"
    timeout = 30  # seconds that a connection may be idle

    def do_GET(self) -> None:
        """Answer with a file of the site."""
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        """Answer with the headers of a file of the site."""
        self._answer(with_body=False)

    def log_message(self, *_: object) -> None:
        """Print nothing."""

    def _answer(self, with_body: bool) -> None:
        # A page elsewhere can make a browser ask here, under a name of its own (DNS rebinding) or
        # with a script tag. Neither gets an answer.
        if self.headers.get("Host", "").lower() not in self.server.hosts:
            return self._refuse(HTTPStatus.FORBIDDEN, "unknown host", with_body)
        if self.headers.get("Sec-Fetch-Site", "none") not in _OUR_PAGES and not self._is_visit():
            return self._refuse(HTTPStatus.FORBIDDEN, "asked by another site", with_body)
        served = self.server.served
        name = unquote(urlsplit(self.path).path).removeprefix("/") or INDEX
        if name == STATE:
            state = {"version": served.version, "problem": served.problem}
            return self._send(HTTPStatus.OK, ".json", json.dumps(state).encode(), with_body)
        file = served.files.get(name)
        try:
            content = file.read_bytes() if file is not None else None
        except FileNotFoundError:  # the site was replaced meanwhile
            content = None
        if content is None:
            return self._refuse(HTTPStatus.NOT_FOUND, "no such file", with_body)
        return self._send(HTTPStatus.OK, PurePosixPath(name).suffix, content, with_body)

    def _is_visit(self) -> bool:
        """Whether a link elsewhere leads to the page itself, which a reader may follow."""
        return self.headers.get("Sec-Fetch-Mode") == "navigate" and self.path == "/"

    def _refuse(self, status: HTTPStatus, reason: str, with_body: bool) -> None:
        self._send(status, ".txt", f"{reason}\n".encode(), with_body)

    def _send(self, status: HTTPStatus, suffix: str, content: bytes, with_body: bool) -> None:
        self.send_response(status)
        self.send_header("Content-Type", _TYPES.get(suffix, "text/plain; charset=utf-8"))
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("X-Frame-Options", "DENY")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.end_headers()
        if with_body:
            self.wfile.write(content)
