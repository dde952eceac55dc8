"""Objects below a URL: listed, read, written and deleted, each try repeated a few times."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn, TypeVar
from urllib.parse import quote, unquote

from kdbench.errors import InputError
from kdbench.system.remote.address import protocol_of
from kdbench.system.secrets import without_logins, without_secrets

T = TypeVar("T")

_PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs"}
_PACKAGES |= dict.fromkeys(("az", "abfs", "adl", "abfss"), "adlfs")
_PACKAGES |= {"http": "aiohttp", "https": "aiohttp", "sftp": "paramiko", "ssh": "paramiko"}
_PACKAGES |= {"smb": "smbprotocol", "oss": "ossfs", "webdav": "webdav4"}
_WEB = ("http", "https")
_READ_ONLY = ("http", "https", "data", "github", "zip", "tar", "gist", "git")
_RENAMES = ("file", "local", "sftp", "ssh", "smb")
"""Protocols whose files appear before they are whole, and which can rename."""

_WAITS = (0.2, 0.8, 2.0, 5.0)  # seconds before each further try
_MARKS = ("ETag", "etag", "md5Hash", "content_md5", "checksum", "ino")
_TIMES = ("LastModified", "last_modified", "updated", "mtime", "created", "modified")


@dataclass(frozen=True)
class StoredObject:
    """An object in a listing.

    Attributes:
        size: Bytes; None if the listing does not tell.
        mark: Changes whenever the content does; None if the listing has nothing of the kind.
    """

    size: int | None
    mark: str | None


class Storage:
    """The objects below a URL, by their path below it.

    Args:
        url: The URL.
        options: Options of the file system, such as `endpoint_url`.
        key: Setting that has the URL, for messages.

    Raises:
        InputError: The protocol is unknown, or its package is not installed.
    """

    def __init__(self, url: str, options: Mapping[str, Any], key: str):
        self.url, self.options, self.key = url, dict(options), key
        self.protocol = protocol_of(url)
        self.shown = without_logins(url)
        self.is_read_only = self.protocol in _READ_ONLY

    @cached_property
    def _fs(self) -> Any:
        try:
            import fsspec

            if self.protocol not in {*fsspec.available_protocols(), *fsspec.registry}:
                raise InputError(
                    f"{self.key}={self.shown}: unknown protocol '{self.protocol}'; known are s3, "
                    "gs, az, http, file and whatever else fsspec knows"
                )
            return fsspec.filesystem(self.protocol, **{"use_listings_cache": False, **self.options})
        except ImportError:
            package = _PACKAGES.get(self.protocol, f"fsspec[{self.protocol}]")
            raise InputError(
                f"{self.key}={self.shown}: {self.protocol}:// needs a package: pip install "
                f"{package}"
            ) from None
        except InputError:
            raise
        except (ValueError, TypeError) as error:
            raise InputError(f"{self.key}={self.shown}: storage_options=: {_line(error)}") from None

    @cached_property
    def _root(self) -> str:
        root: str = self._fs._strip_protocol(self.url)
        return root.rstrip("/")

    def _full(self, path: str) -> str:
        if self.protocol in _WEB:
            path = quote(path)
        return f"{self._root}/{path}" if path else self._root

    def check_address(self) -> None:
        """Check that the URL names a place, and the same one whatever the working folder is.

        Raises:
            InputError: It does not.
        """
        place = self.url.partition("://")[2]
        if self.protocol in ("file", "local") and not place.startswith("/"):
            raise InputError(
                f"{self.key}={self.shown}: needs a whole path, such as {self.protocol}:///disk/kd"
            )
        if not place and self.protocol != "memory":
            raise InputError(f"{self.key}={self.shown}: names no place, as s3://bucket/path does")

    def open(self) -> None:
        """Check that the URL can be listed, with as little traffic as possible.

        Raises:
            InputError: There is no such bucket, no permission, or no answer.
        """
        if self._root.startswith("/") or self.protocol in _RENAMES:  # folders, made when needed
            return
        top = self._full("") if self.protocol in _READ_ONLY else self._root.partition("/")[0]
        try:
            self._tried(lambda: self._fs.ls(top, detail=False))
        except FileNotFoundError:
            what = "page" if self.protocol in _READ_ONLY else "bucket"
            raise InputError(f"{self.key}={self.shown}: no such {what}") from None

    def listing(self, folder: str = "") -> dict[str, StoredObject]:
        """All objects below a folder, by path."""
        root = self._full(folder)
        try:
            found = self._tried(lambda: self._fs.find(root, detail=True))
        except FileNotFoundError:
            return {}
        start = len(self._root) + 1
        entries = {}
        for name, info in found.items():
            stripped = self._fs._strip_protocol(name)
            if stripped.startswith(f"{self._root}/"):
                path = stripped[start:]
                entries[unquote(path) if self.protocol in _WEB else path] = _entry(info)
        return entries

    def entry(self, path: str) -> StoredObject | None:
        """One object as a listing has it; None if there is none."""
        try:
            return _entry(self._tried(lambda: self._fs.info(self._full(path))))
        except FileNotFoundError:
            return None

    def read(self, path: str) -> bytes | None:
        """The content of an object; None if there is none."""
        try:
            content: bytes = self._tried(lambda: self._fs.cat_file(self._full(path)))
        except FileNotFoundError:
            return None
        return content

    def download(self, path: str, file: Path) -> None:
        """Write an object into a file, which must not be in use.

        Raises:
            FileNotFoundError: It is gone.
            InputError: It cannot be read.
        """
        self._tried(lambda: self._fs.get_file(self._full(path), str(file)))

    def upload(self, file: Path, path: str) -> None:
        """Replace an object by a file; it appears as a whole or not at all.

        Raises:
            InputError: It cannot be written.
        """
        self._written(path, lambda target: self._fs.put_file(str(file), target))

    def write(self, path: str, content: bytes) -> None:
        """Replace an object by a content, as `upload` does."""
        self._written(path, lambda target: self._fs.pipe_file(target, content))

    def create(self, path: str, content: bytes) -> bool:
        """Write an object unless it exists, where the store can do that in one step.

        Returns:
            Whether it was written.
        """

        def put() -> None:
            try:
                self._fs.pipe_file(self._full(path), content, mode="create")
            except (NotImplementedError, TypeError):  # the caller reads it back
                self._fs.pipe_file(self._full(path), content)

        try:
            self._make_folder(path)
            self._tried(put, path)
        except FileExistsError:
            return False
        return True

    def delete(self, path: str) -> None:
        """Delete an object, which may be gone already."""
        try:
            self._tried(lambda: self._fs.rm_file(self._full(path)))
        except FileNotFoundError:
            return

    def _written(self, path: str, put: Callable[[str], object]) -> None:
        full = self._full(path)
        if self.protocol not in _RENAMES:
            self._tried(lambda: put(full), path)
            return
        folder, _, name = full.rpartition("/")
        temporary = f"{folder}/.{name}.{time.time_ns()}"

        def put_and_rename() -> None:
            put(temporary)
            self._fs.mv(temporary, full)

        self._make_folder(path)
        self._tried(put_and_rename, path)

    def _make_folder(self, path: str) -> None:
        if self.protocol in ("memory", *_RENAMES):
            folder = self._full(path).rpartition("/")[0]
            self._tried(lambda: self._fs.makedirs(folder, exist_ok=True), path)

    def _tried(self, do: Callable[[], T], written: str | None = None) -> T:
        """Do something, again after a failure that may pass.

        Raises:
            FileNotFoundError: There is no such object.
            FileExistsError: There is such an object.
            InputError: It failed in the end.
        """
        for wait in (*_WAITS, None):
            try:
                return do()
            except (FileNotFoundError, FileExistsError):
                raise
            except (PermissionError, NotImplementedError) as error:
                self._refuse(error, written)
            except Exception as error:  # noqa: BLE001 - each file system has errors of its own
                if wait is None or type(error).__name__ in _FINAL:
                    self._refuse(error, written)
            time.sleep(wait or 0)
        raise AssertionError

    def _refuse(self, error: Exception, written: str | None) -> NoReturn:
        name = type(error).__name__
        if "Credentials" in name or "DefaultCredentials" in name:
            raise InputError(
                f"{self.key}={self.shown}: no credentials; set those of {self.protocol} as for "
                "its other tools, or pass storage_options="
            ) from error
        if isinstance(error, NotImplementedError):
            raise InputError(f"{self.key}={self.shown}: {self.protocol}:// is read only") from error
        place = f"{self.shown}/{written}" if written else self.shown
        doing = "written" if written is not None else "read"
        if isinstance(error, PermissionError):
            raise InputError(f"{place}: no permission: it cannot be {doing}") from error
        again = "run the same command again to resume"
        raise InputError(f"{place}: cannot be {doing}: {_line(error)}; {again}") from error


_FINAL = {"NoCredentialsError", "PartialCredentialsError", "DefaultCredentialsError"}


def _entry(info: Mapping[str, Any]) -> StoredObject:
    size = info.get("size")
    mark = next((str(info[key]) for key in _MARKS if info.get(key)), None)
    changed = next((_time(info[key]) for key in _TIMES if info.get(key)), None)
    # An ETag alone says whether a content is the same; anything else needs the time too.
    is_tag = any(info.get(key) for key in _MARKS[:-1])
    parts = [part for part in (mark, None if is_tag else changed) if part]
    return StoredObject(size, f"{size} {' '.join(parts)}" if parts else None)


def _time(value: Any) -> str:
    """A time as text: some file systems give numbers in a listing, and dates elsewhere."""
    seconds = value.timestamp() if hasattr(value, "timestamp") else value
    return f"{seconds:.6f}" if isinstance(seconds, int | float) else str(seconds)


def _line(error: BaseException) -> str:
    text = " ".join(without_secrets(str(error)).split())[:200]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
