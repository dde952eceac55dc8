"""The key for files that register parts."""

from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field

from kdbench.config.kinds import ADVANCED, Settings
from kdbench.registry.plugins import plugin_files

Files = Annotated[tuple[Path, ...], BeforeValidator(plugin_files)]


class PluginKeys(Settings, group=ADVANCED):
    """Which files with parts of one's own are loaded; `words.build` loads them."""

    plugins: Files = Field(
        (),
        description="Python files that register metrics, methods, backends, builders, analyses or "
        "prompts; they run when they are loaded, so name only files that you trust",
    )
