"""Keys that take a URL in place of a folder: s3://bucket/prefix, or any other of fsspec."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field
from pydantic.fields import FieldInfo

from kdbench.config.kinds import ADVANCED, OptionMap, Settings, types_in
from kdbench.errors import InputError
from kdbench.system.remote.address import protocol_of, url_of
from kdbench.system.remote.hooks import fetch_results, open_mirror
from kdbench.system.secrets import without_logins

FolderKeys = Mapping[str, Literal["read", "write"]]
"""The keys of a verb that can be URLs, and whether the verb writes there."""

_NOT_PLACES = ("http", "https", "hf")  # of keys that take other things than paths too


class StorageKeys(Settings, group=ADVANCED):
    """How a folder is reached that a key names as a URL.

    A verb names the keys of its folders that can be URLs, and whether it writes there.
    """

    __places__: ClassVar[FolderKeys] = {"results": "read"}

    storage_options: OptionMap = Field(
        {},
        description="Options of fsspec for a folder that is a URL, as in endpoint_url=https://…; "
        "better keep passwords in the environment",
    )
    work: Path | None = Field(
        None,
        description="Folder of the local copies of folders that are URLs (default: "
        "$KDBENCH_REMOTE_CACHE, else the user's cache)",
    )


def with_mirrors(
    kind: type[Settings], values: Mapping[str, object], fields: Mapping[str, FieldInfo]
) -> dict[str, object]:
    """The values of keys, with a folder of this machine in place of each URL.

    Args:
        kind: Class of the settings.
        values: Values by key.
        fields: The fields of the class by key.

    Raises:
        InputError: A key takes no URL, or what it names cannot be reached.
    """
    urls = {key: url for key, value in values.items() if (url := _url(value, fields[key]))}
    if not urls:
        for key in ("storage_options", "work"):
            if values.get(key) and issubclass(kind, StorageKeys):
                raise InputError(f"{key}= needs a folder that is a URL, as in results=s3://…")
        return dict(values)
    places = kind.__places__ if issubclass(kind, StorageKeys) else {}
    for key, url in urls.items():
        if key not in places:
            takes = f"; {' and '.join(f'{name}=' for name in places)} can be one" if places else ""
            raise InputError(
                f"{key}={without_logins(url)}: must be a path on this machine, not a URL{takes}"
            )
    return {**values, **_opened(urls, places, values)}


def _opened(
    urls: Mapping[str, str], places: Mapping[str, str], values: Mapping[str, object]
) -> dict[str, str]:
    keys = StorageKeys.model_validate(
        {key: values[key] for key in ("storage_options", "work") if values.get(key) is not None}
    )
    opened = {}
    for key, url in urls.items():
        writes = places[key] == "write"
        folder = open_mirror(key, url, keys.storage_options, keys.work, writes)
        if not writes:
            fetch_results(folder)
        opened[key] = str(folder)
    return opened


def mirrored(key: str, place: Path, options: Mapping[str, Any], work: Path | None) -> Path:
    """A folder of a file's key that may be a URL: itself, or the folder of its mirror.

    Raises:
        InputError: It cannot be reached.
    """
    url = url_of(place)
    return place if url is None else open_mirror(key, url, options, work, writes=True)


def _url(value: object, field: FieldInfo) -> str | None:
    """The URL in the value of a key for a path; other keys have URLs of their own."""
    kinds = types_in(field.annotation)
    url = url_of(value) if Path in kinds else None
    if url is None or (str in kinds and protocol_of(url) in _NOT_PLACES):
        return None
    return url
