"""Cheap replacements for parts of `typing`, `hashlib`, `pathlib` and `importlib`.

Every command pays for what it imports: `typing` 2 ms, `hashlib` 2 ms, `pathlib` 3 ms, each class of
`collections.namedtuple` 0.1 ms; Python itself starts in 8 ms. Modules that the fast commands need
import these names from here, and a type checker sees the originals::

    TYPE_CHECKING = False
    if TYPE_CHECKING:
        from typing import NamedTuple
    else:
        from jobctl._stdlib import NamedTuple
"""

from __future__ import annotations

try:
    from _blake2 import blake2b  # which is what hashlib.blake2b is
except ImportError:
    from hashlib import blake2b
try:
    from _sha2 import sha256  # type: ignore[import-not-found, unused-ignore]  # Python 3.12 and later
except ImportError:
    try:
        from _sha256 import sha256  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        from hashlib import sha256

import sys
from _collections import _tuplegetter  # type: ignore[import-not-found, unused-ignore]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

__all__ = ["Annotated", "NamedTuple", "Protocol", "blake2b", "import_module", "sha256", "tidy"]


class Annotated:
    """`typing.Annotated` with one piece of metadata, under the same attribute names."""

    __slots__ = ("__metadata__", "__origin__")

    def __init__(self, origin: Any, metadata: Any) -> None:
        self.__origin__, self.__metadata__ = origin, (metadata,)

    def __class_getitem__(cls, parts: tuple[Any, Any]) -> Annotated:
        return cls(*parts)


class Protocol:
    """`typing.Protocol` for classes that are not used with ``isinstance``."""


class _Tuple(tuple):  # type: ignore[type-arg]
    """The base of all named tuples; ``_defaults`` are the defaults of the last fields."""

    __slots__ = ()
    _fields: tuple[str, ...] = ()
    _defaults: tuple[Any, ...] = ()
    _required = 0

    def __new__(cls, *values: Any, **named: Any) -> Any:
        missing = len(cls._fields) - len(values)
        if named:
            rest = []
            for name in cls._fields[len(values) :]:
                if name in named:
                    rest.append(named.pop(name))
                elif name in cls._field_defaults:
                    rest.append(cls._field_defaults[name])
                else:
                    raise TypeError(f"{cls.__name__}() lacks {name!r}")
            if named:
                raise TypeError(f"{cls.__name__}() has no {next(iter(named))!r}, or has it twice")
            values = (*values, *rest)
        elif missing:
            if not 0 < missing <= len(cls._defaults):
                raise TypeError(f"{cls.__name__}() takes {', '.join(cls._fields)}")
            values += cls._defaults[-missing:]
        return tuple.__new__(cls, values)

    _field_defaults: dict[str, Any] = {}  # noqa: RUF012  # each class has its own

    @classmethod
    def _make(cls, values: Any) -> Any:
        return cls(*values)

    def _asdict(self) -> dict[str, Any]:
        return dict(zip(self._fields, self, strict=True))

    def _replace(self, **changes: Any) -> Any:
        values = [changes.pop(name, value) for name, value in zip(self._fields, self, strict=True)]
        if changes:
            raise ValueError(f"{type(self).__name__} has no {next(iter(changes))!r}")
        return tuple.__new__(type(self), values)

    def __repr__(self) -> str:
        told = ", ".join(f"{name}={value!r}" for name, value in self._asdict().items())
        return f"{type(self).__name__}({told})"

    def __getnewargs__(self) -> tuple[Any, ...]:
        return tuple(self)


class _Maker(type):
    def __new__(mcls, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> Any:
        if not bases:
            return type.__new__(mcls, name, bases, body)
        fields = tuple(body["__annotations__"])
        defaults = {field: body[field] for field in fields if field in body}
        assert fields[len(fields) - len(defaults) :] == tuple(defaults), "defaults come last"
        body |= {field: _tuplegetter(place, None) for place, field in enumerate(fields)}
        body |= {
            "__slots__": (),
            "__match_args__": fields,
            "_fields": fields,
            "_field_defaults": defaults,
            "_defaults": tuple(defaults.values()),
        }
        return type(name, (_Tuple,), body)


class NamedTuple(metaclass=_Maker):
    """`typing.NamedTuple`, in its class form."""


def import_module(name: str) -> ModuleType:
    """`importlib.import_module` for an absolute name."""
    __import__(name)
    return sys.modules[name]


def tidy(path: str) -> str:
    """Return the path as `pathlib` shows it: without ``.`` and double slashes; ``..`` stays."""
    names = [name for name in path.split("/") if name not in ("", ".")]
    return ("/" if path.startswith("/") else "") + "/".join(names) or "."
