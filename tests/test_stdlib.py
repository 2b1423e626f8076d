"""The named tuple that costs little to import, against the standard library's."""

from __future__ import annotations

import copy
import hashlib
import pickle
import typing
from pathlib import Path
from typing import Any

import pytest

from jobctl import _stdlib as lean


class Light(lean.NamedTuple):
    """Ours."""

    a: int
    b: str = "b"
    c: tuple[int, ...] | None = None

    @property
    def double(self) -> int:
        """Twice a."""
        return 2 * self.a


class Real(typing.NamedTuple):
    """The original."""

    a: int
    b: str = "b"
    c: tuple[int, ...] | None = None


@pytest.mark.parametrize(
    ("args", "named"),
    [
        ((1,), {}),
        ((1, "x"), {}),
        ((1, "x", (2,)), {}),
        ((), {"a": 1}),
        ((1,), {"c": (3,)}),
        ((1,), {"c": (3,), "b": "x"}),
        ((), {"c": None, "b": "x", "a": 0}),
    ],
)
def test_what_the_original_takes_gives_the_same(args: tuple[Any, ...], named: Any) -> None:
    """By place and by name, with defaults."""
    ours, theirs = Light(*args, **named), Real(*args, **named)
    assert ours == theirs
    assert (ours.a, ours.b, ours.c) == (theirs.a, theirs.b, theirs.c)
    assert ours._asdict() == theirs._asdict()
    assert repr(ours) == repr(theirs).replace("Real", "Light")
    assert ours._replace(b="y") == theirs._replace(b="y")
    assert ours.double == 2 * theirs.a
    assert hash(ours) == hash(theirs)


@pytest.mark.parametrize(
    ("args", "named"),
    [((), {}), ((1, "x", None, 4), {}), ((), {"b": "x"}), ((1,), {"a": 1}), ((1,), {"d": 1})],
)
def test_what_the_original_refuses_is_refused(args: tuple[Any, ...], named: Any) -> None:
    """Too few, too many, unknown, twice."""
    for kind in (Light, Real):
        with pytest.raises(TypeError):
            kind(*args, **named)


def test_it_is_a_value() -> None:
    """It cannot be changed, and survives copies and pickles as what it is."""
    value = Light(1, "x")
    with pytest.raises(AttributeError):
        value.a = 2  # type: ignore[misc]
    with pytest.raises(AttributeError):
        value.d = 2  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="has no 'd'"):
        value._replace(d=1)
    for same in (copy.copy(value), pickle.loads(pickle.dumps(value)), Light._make([1, "x", None])):
        assert type(same) is Light
        assert same == value
    match value:
        case Light(a, b=b):
            assert (a, b) == (1, "x")


def test_hashes_are_those_of_hashlib() -> None:
    """Cursors, logs and digests of other releases depend on it."""
    assert lean.sha256(b"x").digest() == hashlib.sha256(b"x").digest()
    assert (
        lean.blake2b(b"x", digest_size=3).digest() == hashlib.blake2b(b"x", digest_size=3).digest()
    )


@pytest.mark.parametrize(
    "path",
    ["", ".", "./", "a", "./a/", "a//b/./c", "../a/..", "/", "/.", "/a/../b//", "./.", "~/a b"],
)
def test_paths_are_shown_as_pathlib_shows_them(path: str) -> None:
    """Names of directories stand in messages and in other programs' settings."""
    assert lean.tidy(path) == str(Path(path))
