"""Limits on a YAML file, checked before it is read: a parser may die of a file without them."""

from pathlib import Path

from kdbench.errors import InputError

_DEPTH = 100
_NODES = 1_000_000  # aliases count as all that they stand for


def top_keys(path: Path) -> list[str]:
    """Return the keys at the top of a YAML file, without building its values.

    Raises:
        InputError: The file is not YAML, is nested too deeply, or grows too large when its aliases
            are replaced.
    """
    import yaml

    keys: list[str] = []
    sizes: dict[str, int] = {}
    open_nodes: list[tuple[str | None, int]] = []
    size, at_key = 0, True
    try:
        for event in yaml.parse(path.read_text("utf-8-sig"), Loader=yaml.SafeLoader):
            depth = len(open_nodes)
            if isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
                open_nodes.append((event.anchor, size))
                size += 1
                if depth >= _DEPTH:
                    raise InputError(f"{path}: nested more than {_DEPTH} levels deep")
            elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
                anchor, before = open_nodes.pop()
                if anchor:
                    sizes[anchor] = size - before
                depth = len(open_nodes)
            elif isinstance(event, yaml.AliasEvent):
                size += sizes.get(str(event.anchor), 1)
            elif isinstance(event, yaml.ScalarEvent):
                size += 1
                if depth == 1 and at_key:
                    keys.append(event.value)
            else:
                continue
            if depth == 1:
                at_key = not at_key if _is_whole(event) else at_key
            if size > _NODES:
                raise InputError(f"{path}: holds more than {_NODES} values, aliases included")
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"{path}: not YAML: {reason}") from None
    return keys


def _is_whole(event: object) -> bool:
    """Return whether a key or value ends with this event."""
    import yaml

    return not isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent)
