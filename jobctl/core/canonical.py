"""JSON as jobctl writes it: compact, UTF-8, and numbers as JavaScript prints them."""

from __future__ import annotations

import json
import re
from json.encoder import encode_basestring

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

__all__ = ["compact", "short_exponents"]


def compact(value: Any) -> str:
    """Return the value as JSON without spaces.

    Raises ValueError for NaN and infinity, and TypeError for what is not JSON.
    """
    return short_exponents("".join(_parts(value, 0)))


def short_exponents(text: str) -> str:
    """Replace Python's ``1e-07`` and ``1e-05`` by JavaScript's ``1e-7`` and ``0.00001``."""
    return _EXPONENT.sub(_shortened, text) if "e-0" in text else text


def _shortened(match: re.Match[str]) -> str:
    whole, digits, power = match.group(2, 3, 4)
    if power is None:
        return match[0]
    if power == "5":
        return f"0.0000{whole}{digits or ''}"
    return f"{whole}{'.' + digits if digits else ''}e-{power}"


_EXPONENT = re.compile(r'("(?:[^"\\]++|\\.)*+")|(?<![0-9.])([0-9])(?:\.([0-9]+))?e-0([5-9])')


def _no_json(value: Any) -> NoReturn:
    raise TypeError(f"{type(value).__name__} is no JSON value")


if json.encoder.c_make_encoder is not None:  # type: ignore[attr-defined]
    # One for all: `json.dumps` makes another one for each call, at half of what the call costs.
    _parts = json.encoder.c_make_encoder(  # type: ignore[attr-defined]
        None, _no_json, encode_basestring, None, ":", ",", False, False, False
    )
else:

    def _parts(value: Any, _: int) -> list[str]:
        return [json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))]
