"""How folders are named in output: a mirror by the URL that it stands for."""

_urls: dict[str, str] = {}


def show_as(folder: str, url: str) -> None:
    """From now on, name a folder by a URL.

    Args:
        folder: Absolute path of the folder.
        url: What to show in its place.
    """
    _urls[folder] = url


def with_urls(text: str) -> str:
    """A text in which folders are named by their URLs."""
    for folder, url in _urls.items():
        text = text.replace(folder, url)
    return text
