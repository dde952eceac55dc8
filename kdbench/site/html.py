"""Templates become HTML, with everything from outside escaped."""

from functools import cache
from typing import TYPE_CHECKING, Any

from kdbench.text import without_controls

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup


def render(template: str, **values: Any) -> "Markup":
    """A template of this room, filled in.

    Args:
        template: Name of a file in `templates/`.
        values: What it shows; texts are escaped, and lose control and bidi characters.
    """
    from markupsafe import Markup

    text = _environment().get_template(template).render(**values)
    return Markup(text)  # noqa: S704 - the environment escapes


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("kdbench.site"),
        undefined=StrictUndefined,
        autoescape=True,
        finalize=lambda value: without_controls(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
