"""JSON objects with duplicate keys: the last one counts, and a remark names the keys."""

from __future__ import annotations

import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["DuplicateKeys", "parse_json"]

_NAMED = 3  # keys in one line; the rest is counted
_MAX_KEY = 40


class DuplicateKeys:
    """Finds duplicate keys: its `pairs_to_dict` is an ``object_pairs_hook`` of a JSON parser."""

    def __init__(self) -> None:
        self._keys: dict[str, None] = {}

    @property
    def keys(self) -> list[str]:
        """The keys that some object has more than once, in the order in which they were found."""
        return [*self._keys]

    def pairs_to_dict(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        """Return the object, with the last of equal keys."""
        value = dict(pairs)
        if len(value) < len(pairs):
            seen: set[str] = set()
            for key, _ in pairs:
                if key in seen:
                    self._keys[key] = None
                seen.add(key)
        return value

    def remark(self) -> str | None:
        """Return one line that names the keys, or ``None`` if there are none."""
        keys = [key if len(key) <= _MAX_KEY else f"{key[:_MAX_KEY]}…" for key in self._keys]
        if not keys:
            return None
        named = ", ".join(json.dumps(key, ensure_ascii=False) for key in keys[:_NAMED])
        if len(keys) > _NAMED:
            named += f" and {len(keys) - _NAMED} more"
        if len(keys) == 1:
            return f"the key {named} stands twice: the last one counts"
        return f"the keys {named} stand twice: the last one of each counts"


def parse_json(
    text: str, *, parse_constant: Callable[[str], Any] | None = None
) -> tuple[Any, str | None]:
    """Return the JSON value that a user gave, and a remark on duplicate keys, if there are any.

    Raises ValueError and RecursionError, as `json.loads`.
    """
    duplicates = DuplicateKeys()
    value = json.loads(
        text, parse_constant=parse_constant, object_pairs_hook=duplicates.pairs_to_dict
    )
    return value, duplicates.remark()
