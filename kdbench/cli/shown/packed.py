"""What `kdbench pack` answers."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from kdbench.cli.answer import VerbAnswer
from kdbench.system.console import say

if TYPE_CHECKING:
    from kdbench.filling.packing import PackedTable


def packed_answer(packed: "PackedTable") -> VerbAnswer:
    """The answer of `pack`.

    Args:
        packed: The pack that was written.
    """

    def show() -> None:
        for line in packed.text.splitlines():
            say(line)

    def document() -> dict[str, Any]:
        return {**asdict(packed), "file": str(packed.file)}

    return VerbAnswer(show, document)
