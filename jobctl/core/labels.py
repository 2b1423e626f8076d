"""Labels: short key-value pairs of a job, and the selectors that filters match them with.

The syntax is that of kubectl, with more characters allowed. A selector is one requirement:

| selector | selects the jobs |
| --- | --- |
| ``k=v``, ``k==v`` | whose label ``k`` is ``v`` |
| ``k!=v`` | whose label ``k`` is not ``v``, or that have no such label |
| ``k`` | that have the label ``k`` |
| ``!k`` | that do not have it |

Several requirements, also separated by commas, must all be met.
"""

from __future__ import annotations

import re
from functools import lru_cache

from jobctl.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["MAX_LABELS", "check_labels", "parse_labels", "parse_selectors", "selects"]

MAX_LABELS = 32
"""Maximum number of labels that a job is given."""
_MAX_KEY = 128
_MAX_VALUE = 256

_KEY = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_./-]{0,126}[A-Za-z0-9_])?")
_KEY_FORM = f"1 to {_MAX_KEY} ASCII letters, digits, '.', '_', '-' or '/', as team or app/name"


def parse_labels(texts: Iterable[str]) -> dict[str, str] | None:
    """Parse texts such as ``team=data``; ``None`` if there are none.

    Raises `UsageError` for what is not a label, and for a key that has two values.
    """
    labels: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"{_shown(text)} is no label", hint="write KEY=VALUE")
        if labels.get(key, value) != value:
            raise UsageError(f"the label {_shown(key)} is given two values")
        labels[key] = value
    return check_labels(labels)


def check_labels(labels: Mapping[str, str] | None) -> dict[str, str] | None:
    """Return valid labels as a new object, ``None`` if there are none; `UsageError` otherwise."""
    if not labels:
        return None
    if len(labels) > MAX_LABELS:
        raise UsageError(f"{len(labels)} labels, over the {MAX_LABELS} that a job may have")
    given: Iterable[tuple[object, object]] = labels.items()
    for key, value in given:
        if not isinstance(key, str) or not _KEY.fullmatch(key):
            raise UsageError(f"{_shown(key)} is not the key of a label", hint=_KEY_FORM)
        if not isinstance(value, str):
            raise UsageError(f"the label {key} is not a text: {_shown(value)}")
        if why := _why_no_value(value):
            raise UsageError(f"the label {key} {why}: {_shown(value)}")
    return dict(labels)


def _why_no_value(value: str) -> str:
    """Return why this cannot be the value of a label, or an empty string."""
    if len(value) > _MAX_VALUE:
        return f"has {len(value)} characters, over the {_MAX_VALUE} allowed"
    if not value.isprintable() or value != value.strip():
        return "has a control character, or a space at its start or end"
    if "," in value:
        return "has a comma, which separates selectors"
    return "begins with '=': write KEY=VALUE" if value.startswith("=") else ""


def parse_selectors(texts: Iterable[str]) -> frozenset[str]:
    """Return the requirements in canonical form; `UsageError` for a text that is none."""
    return frozenset(_canonical(part.strip()) for text in texts for part in text.split(","))


def selects(requirements: Iterable[str], labels: Mapping[str, str] | None) -> bool:
    """Whether the labels meet all of the canonical requirements."""
    for text in requirements:
        key, wanted, met = _parsed(text)
        value = labels.get(key) if labels else None
        if ((value is not None) if wanted is None else (value == wanted)) is not met:
            return False
    return True


@lru_cache(maxsize=1024)
def _parsed(text: str) -> tuple[str, str | None, bool]:
    """Return the key, the value (``None`` for any), and whether it must be so or must not."""
    if text.startswith("!"):
        return text[1:], None, False
    key, equals, value = text.partition("=")
    if not equals:
        return key, None, True
    return (key[:-1], value, False) if key.endswith("!") else (key, value, True)


def _canonical(text: str) -> str:
    """Return a requirement in its one form; `UsageError` if it is none."""
    key, equals, value = text.partition("=")
    sign = "!" if key.endswith("!") and equals else ""
    if equals:
        key = key.removesuffix("!").rstrip()
        value = (value if sign else value.removeprefix("=")).lstrip()
        # Files of other programs may have labels that we would not write.
        if _is_key(key) and len(value) <= _MAX_VALUE:
            return f"{key}{sign}={value}"
    else:
        sign = "!" if key.startswith("!") else ""
        key = key.removeprefix("!").lstrip()
        if _is_key(key):
            return sign + key
    raise UsageError(
        f"{_shown(text)} selects no labels", hint="write KEY=VALUE, KEY!=VALUE, KEY or !KEY"
    )


def _is_key(key: str) -> bool:
    return 0 < len(key) <= _MAX_KEY and "!" not in key and key.isprintable() and "(" not in key


def _shown(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
