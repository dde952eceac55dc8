"""What the verbs print."""

import sys

from kdbench.comparing.model import Comparison
from kdbench.comparing.outputs.terminal import coloured, terminal


def show(comparison: Comparison) -> None:
    """On a terminal with colours, elsewhere the plain bytes."""
    if not sys.stdout.isatty():
        sys.stdout.write(terminal(comparison))
        return
    from rich.console import Console

    Console(highlight=False).print(coloured(comparison), end="", soft_wrap=True)
