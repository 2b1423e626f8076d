"""Job files of other programs: read what is there, and remark on what is odd.

Only an object with a ``stage`` is needed. Every other key has a default, and one bad value never
costs the job: `parse_leniently` replaces, limits or ignores it and adds a `Remark`. Canonical files
never come here (see codec.py), so this module is imported when the first odd file is read.

| key | what is understood besides the canonical form |
| --- | --- |
| scalars | a list with one element, as R's jsonlite writes it |
| texts | numbers, as their text; ``error`` also an object with a ``message``, or any JSON |
| times | see instants.py; missing ones are the file's modification time |
| ``retryCount`` | limited to 0 … `MAX_RETRIES`; anything else is 0 |
| ``progress`` | limited to 0 … 100, or to ``total``; anything else is ignored |
| ``stages`` | one text is a list with one element; numbers are texts |
| ``labels`` | numbers, true and false as their texts; other values are left out |
| ``history`` | entries without a stage or a time are left out |
| syntax | a byte order mark, duplicate keys, lone surrogates, NaN and Infinity |
"""

from __future__ import annotations

import json
import re

from jobctl.core.duplicate_keys import DuplicateKeys
from jobctl.core.fields import (
    BY_ATTRIBUTE,
    FIELDS,
    MAX_RETRIES,
    HistoryEntry,
    Steps,
    Unfit,
    integer,
    number,
)
from jobctl.core.instants import LAST_MS, Zone, Zoneless, read_time, zone_of
from jobctl.core.times import to_text
from jobctl.errors import InvalidJob

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, NamedTuple

    Say = Callable[[str], None]
else:
    from jobctl._stdlib import NamedTuple

__all__ = ["Guess", "Reading", "Remark", "decode", "entry_of", "fit", "labels_in"]

MAX_REMARKS = 20
_EXAMPLE = '{"stage": "load"}'
_MAX_ERROR = 1000
_MAX_KEY = 60
_SURROGATES = re.compile("[\ud800-\udfff]")
_TIMES = ("createdAt", "updatedAt", "completedAt", "stageStartedAt")
_TEXTS = ("sessionId", "resultSessionId", "title", "message")
_SCALARS = ("id", "type", "stage", "error", "retryCount", "progress", *_TIMES, *_TEXTS)
_KINDS = {dict: "an object", list: "a list", str: "a text", bool: "true or false"}


class Remark(NamedTuple):
    """Something odd in a job's file that did not cost the job. ``key`` is ``""`` for the file."""

    key: str
    text: str

    def __str__(self) -> str:
        return f"{self.key}: {self.text}" if self.key else self.text


class Guess(NamedTuple):
    """What guessed times rest on, so that all readers of a file guess alike.

    ``file_ms`` is the file's modification time when its content was first recorded. ``offset_s`` is
    what the clock of its zone-less times is ahead of UTC, or ``None`` if it has no such times.
    """

    file_ms: int
    offset_s: int | None = None


class Reading(NamedTuple):
    """How an odd file was read.

    ``guess`` is what the ``guessed`` attributes rest on: times without a zone, and those that are
    ``missing``.
    """

    remarks: tuple[Remark, ...] = ()
    guess: Guess | None = None
    guessed: frozenset[str] = frozenset()
    missing: frozenset[str] = frozenset()

    def without(self, changed: Iterable[str]) -> Reading:
        """Return what still holds after these attributes were changed."""
        keys = {BY_ATTRIBUTE[name].key for name in changed if name in BY_ATTRIBUTE}
        return self._replace(
            remarks=tuple(remark for remark in self.remarks if remark.key not in keys),
            guessed=self.guessed.difference(changed),
            missing=self.missing.difference(changed),
        )


# -- syntax ---------------------------------------------------------------------------------


class _Constant:
    """NaN or Infinity, which JSON does not have."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


def decode(
    text: str, *, parse_int: Callable[[str], int], parse_float: Callable[[str], float]
) -> tuple[dict[str, Any], list[Remark]]:
    """Return the object in the text, without what JSON does not have; `InvalidJob`, ValueError.

    The last one of duplicate keys counts. NaN and Infinity become ``None``, and lone surrogates
    U+FFFD. The text's depth must be limited already.
    """
    remarks: list[Remark] = []
    duplicates = DuplicateKeys()
    if text.startswith("\ufeff"):
        text = text[1:]
        remarks.append(Remark("", "starts with a byte order mark, which is skipped"))

    constants: list[_Constant] = []

    def constant(name: str) -> _Constant:
        constants.append(_Constant(name))
        return constants[-1]

    values = json.JSONDecoder(
        object_pairs_hook=duplicates.pairs_to_dict,
        parse_int=parse_int,
        parse_float=parse_float,
        parse_constant=constant,
    ).decode(text)
    if not isinstance(values, dict):
        kind = _KINDS.get(type(values), "a number" if values is not None else "null")
        raise InvalidJob(f"{kind}, not a JSON object: write {_EXAMPLE}")
    remarks += [
        Remark("", f"the key {_shown(key)} stands twice: the last one counts")
        for key in duplicates.keys
    ]
    if constants or "\\u" in text:
        values = {_whole(key): _cleaned(key, item, remarks) for key, item in values.items()}
    return values, remarks


def _cleaned(key: str, value: Any, remarks: list[Remark]) -> Any:
    """Return the value of a key without NaN, Infinity and lone surrogates."""
    constants: list[str] = []
    surrogates = bool(_SURROGATES.search(key))

    def clean(item: Any) -> Any:
        nonlocal surrogates
        if isinstance(item, str):
            if _SURROGATES.search(item):
                surrogates = True
                return _whole(item)
            return item
        if isinstance(item, _Constant):
            constants.append(item.name)
            return None
        if isinstance(item, dict):
            return {clean(name): clean(inner) for name, inner in item.items()}
        if isinstance(item, list):
            return [clean(inner) for inner in item]
        return item

    value = clean(value)
    key = _whole(key)
    if len(key) > _MAX_KEY:
        key = key[: _MAX_KEY - 1] + "…"
    remarks += [
        Remark(key, f"{name} is not JSON: read as null") for name in dict.fromkeys(constants)
    ]
    if surrogates:
        remarks.append(Remark(key, "half of a surrogate pair is no character: read as U+FFFD"))
    return value


def _whole(text: str) -> str:
    return _SURROGATES.sub("\ufffd", text) if not text.isascii() else text


# -- fields ---------------------------------------------------------------------------------


def fit(
    values: dict[str, Any],
    *,
    id: str,
    file_ms: int,
    guess: Guess | None = None,
    remarks: Iterable[Remark] = (),
) -> tuple[dict[str, Any], Reading]:
    """Return the attributes of the job in the object, and how it was read; raise `InvalidJob`.

    ``file_ms`` is the file's modification time. With a ``guess`` of an earlier reading of the same
    content, guessed times are those of that reading.
    """
    said = list(remarks)
    boxed = [key for key in _SCALARS if _unboxed(values.get(key)) is not values.get(key)]
    if boxed:
        values = values | {key: values[key][0] for key in boxed}
        said.append(Remark("", f"lists with one element are read as it: {', '.join(boxed)}"))

    def sayer(key: str) -> Say:
        return lambda text: said.append(Remark(key, text))

    got: dict[str, Any] = {"id": _id(values, id, sayer("id"))}
    got["stage"] = _stage(values)
    if type(values["stage"]) is not str:
        sayer("stage")(f"{_shown(values['stage'])} is read as the text {_shown(got['stage'])}")
    kind = _text(values.get("type"), sayer("type"))
    got["type"] = "job" if kind is None else kind
    for key in _TEXTS:
        got[_ATTRIBUTES[key]] = _text(values.get(key), sayer(key))
    got["error"] = _error(values.get("error"), sayer("error"))
    got["retry_count"] = _retries(values, sayer("retryCount"))
    got["progress"] = _progress(values.get("progress"), sayer("progress"))
    got["stages"] = _stages(values.get("stages"), sayer("stages"))
    got["labels"] = _labels(values.get("labels"), sayer("labels"))
    for key in ("result", "owner", "run", "host", "user", "cancelled", "acknowledged"):
        got[key] = values.get(key)
    times = _Times(values, sayer, guess or Guess(file_ms), fixed=guess is not None)
    got |= times.attributes()
    got["history"] = times.history(values.get("history"))
    if len(said) > MAX_REMARKS:
        said[MAX_REMARKS:] = [Remark("", f"and {len(said) - MAX_REMARKS} more remarks")]
    return got, Reading(
        tuple(said), times.guess(), frozenset(times.guessed), frozenset(times.missing)
    )


_ATTRIBUTES = {field.key: field.attribute for field in FIELDS}


def _id(values: dict[str, Any], id: str, say: Say) -> str:
    given = values.get("id")
    if given is None:
        return id
    text = _as_text(given)
    if text is None:
        say(f"{_kind(given)} is no id: the file's name counts")
    elif text != id:
        raise InvalidJob(
            f"the id inside is {_shown(text)}, but the file's name is {_shown(id + '.json')}: "
            "make them equal, or leave the key id out",
            id=id,
        )
    elif given != text:
        say(f"{_shown(given)} is read as the text {_shown(text)}")
    return id


def _stage(values: dict[str, Any]) -> str:
    if "stage" not in values:
        other = next((key for key in values if key.lower() == "stage"), None)
        what = f", only {_shown(other)}" if other is not None else ""
        raise InvalidJob(f'no "stage"{what}: add one, such as "stage": "load"')
    stage = _as_text(values["stage"])
    if not stage:
        raise InvalidJob(
            f'no "stage", only {_shown(values["stage"])}: write a text, such as "stage": "load"'
        )
    return stage


def _text(value: Any, say: Say) -> str | None:
    """Return a text, or the text of a number; ``None`` for anything else."""
    if value is None or type(value) is str:
        return value
    text = _as_text(value)
    if text is not None:
        say(f"{_shown(value)} is read as the text {_shown(text)}")
    elif value != []:  # what PHP writes for an empty object
        say(f"{_kind(value)}, not a text: ignored")
    else:
        say("an empty list, not a text: ignored")
    return text


def _error(value: Any, say: Say) -> str | None:
    """Return the text of an error: that of an object's ``message``, else all of it as JSON."""
    if value is None or isinstance(value, str) or value in ({}, [], False):
        return _text(value, say)
    text = _as_text(value)
    if text is None and isinstance(value, dict):
        texts = (_as_text(_unboxed(value.get(key))) for key in ("message", "error", "msg"))
        text = next((found for found in texts if found), None)
    if text is None:
        text = json.dumps(value, ensure_ascii=False)
        if len(text) > _MAX_ERROR:
            text = text[: _MAX_ERROR - 1] + "…"
    say(f"{_kind(value)}, not a text: read as {_shown(text)}")
    return text


def _retries(values: dict[str, Any], say: Say) -> int:
    value = values.get("retryCount", 0)
    if type(value) is int and 0 <= value <= MAX_RETRIES:
        return value
    try:
        if isinstance(value, bool):
            raise Unfit("not a whole number")
        count = integer(value)
    except Unfit:
        say(f"{_shown(value)} is no whole number: read as 0")
        return 0
    limited = min(max(count, 0), MAX_RETRIES)
    if limited != count:
        say(f"{_shown(value)} is read as {limited}")
    return limited


def _progress(value: Any, say: Say) -> Steps | float | None:
    """Return progress within its limits; ``None`` for what is no progress."""
    if value is None:
        return None
    try:
        given = _steps(value) if isinstance(value, dict) else _count(value)
    except (Unfit, KeyError):
        steps = isinstance(value, dict)
        form = '"progress": {"done": 3, "total": 8}' if steps else '"progress": 40'
        say(f"{_shown(value)} is no progress: ignored (write {form})")
        return None
    if isinstance(given, Steps):
        found = given._replace(done=min(max(given.done, 0), given.total))
        if found != given:
            say(f"{_shown(value)} is read as {found.done} of {found.total}")
        return found
    limited = min(max(given, 0), 100)
    if limited != given:
        say(f"{_shown(value)} is read as {limited}")
    return limited


def _steps(value: dict[str, Any]) -> Steps:
    done, total = (_count(_unboxed(value[key])) for key in ("done", "total"))
    if total <= 0:
        raise Unfit("not above 0")
    extra = {key: item for key, item in value.items() if key not in ("done", "total")} or None
    return Steps(done, total, extra)


def _count(value: Any) -> float:
    if isinstance(value, bool):
        raise Unfit("not a number")
    return number(value)


def _stages(value: Any, say: Say) -> tuple[str, ...] | None:
    if value is None:
        return None
    items = [value] if isinstance(value, (str, int, float)) else value
    texts = [_as_text(_unboxed(item)) for item in items] if isinstance(items, list) else [None]
    found = tuple(text for text in texts if text is not None)
    if isinstance(value, bool) or len(found) < len(texts):
        say('not a list of texts: ignored (write "stages": ["load", "check"])')
        return None
    if list(found) != value:
        say(f"{_shown(value)} is read as {_shown(list(found))}")
    return found


def labels_in(value: Any) -> dict[str, str] | None:
    """Return the labels in any value, as `fit` reads them."""
    return _labels(value, lambda _text: None)


def _labels(value: Any, say: Say) -> dict[str, str] | None:
    """Return the labels; numbers, true and false are read as their texts."""
    if value is None or value == []:  # what PHP writes for an empty object
        return None
    if not isinstance(value, dict):
        say(f'{_kind(value)}, not an object: ignored (write "labels": {{"team": "data"}})')
        return None
    found: dict[str, str] = {}
    odd = []
    for key, item in value.items():
        inner = _unboxed(item)
        text = json.dumps(inner) if isinstance(inner, bool) else _as_text(inner)
        if text is not None:
            found[key] = text
        if text != item:
            odd.append(key)
    if odd:
        said = "read as texts" if len(found) == len(value) else "read as texts, or left out"
        say(f"values that are no texts, of {_shown(odd)}: {said}")
    return found


# -- times ----------------------------------------------------------------------------------


class _Times:
    """The times of one file. All zone-less ones are of one zone, so they are read together."""

    def __init__(
        self,
        values: dict[str, Any],
        sayer: Callable[[str], Say],
        guess: Guess,
        *,
        fixed: bool,
    ) -> None:
        self._sayer = sayer
        self._given = {key: values.get(key) for key in _TIMES}
        self._found = {key: read_time(value) for key, value in self._given.items()}
        self._file_ms = min(max(guess.file_ms, 0), LAST_MS - 1)  # a year has four digits
        self._zone: Zone | None = None
        self.guessed: set[str] = set()
        self.missing: set[str] = set()
        history = values.get("history")
        entries = history if isinstance(history, list) else []
        entered = [read_time(item.get("at")) for item in entries if isinstance(item, dict)]
        self._entered_zoneless = [found for found in entered if type(found) is Zoneless]
        zoneless = [found for found in self._found.values() if type(found) is Zoneless]
        zoneless += self._entered_zoneless
        if zoneless:
            if fixed and guess.offset_s is not None:
                self._zone = Zone(guess.offset_s, "as when the file was first seen")
            else:
                self._zone = zone_of(max(zoneless), self._file_ms)

    def guess(self) -> Guess | None:
        """Return what the guessed times rest on; ``None`` if all were known."""
        if not self.guessed and self._zone is None:
            return None
        return Guess(self._file_ms, self._zone.offset_s if self._zone is not None else None)

    def attributes(self) -> dict[str, str | None]:
        """Return the four times of the job as canonical text."""
        instants = {key: self._instant(key) for key in _TIMES}
        known = [ms for ms in instants.values() if ms is not None]
        if instants["createdAt"] is None:
            # A job was not created after what it has done.
            instants["createdAt"] = min([self._file_ms, *known])
            self.missing.add("created_at")
        if instants["updatedAt"] is None:
            instants["updatedAt"] = max([self._file_ms, *known])
            self.missing.add("updated_at")
        self.guessed |= self.missing
        return {
            _ATTRIBUTES[key]: to_text(ms) if ms is not None else None
            for key, ms in instants.items()
        }

    def _instant(self, key: str) -> int | None:
        found, given = self._found[key], self._given[key]
        say = self._sayer(key)
        if found is None:
            if given is not None:
                say(
                    f"{_shown(given)} is no time: read as missing "
                    f'(write "{key}": "2026-11-28T09:30:00Z")'
                )
            return None
        if isinstance(found, Zoneless):
            assert self._zone is not None, "there is a zone-less time"
            self.guessed.add(_ATTRIBUTES[key])
            say(f"{_shown(given)} has no time zone: read as {self._zone} ({self._zone.basis})")
            return self._zone.instant(found)
        return found

    def history(self, value: Any) -> tuple[HistoryEntry, ...] | None:
        """Return the history, without the entries that cannot be read."""
        say = self._sayer("history")
        if value is None:
            return None
        if not isinstance(value, list):
            say(f"{_kind(value)}, not a list: ignored")
            return None
        offset_s = self._zone.offset_s if self._zone is not None else None
        found = [entry_of(item, offset_s) for item in value]
        entries = [entry for entry in found if entry is not None]
        if left_out := len(found) - len(entries):
            first = _shown(value[found.index(None)])
            others = f" and {left_out - 1} more" if left_out > 1 else ""
            say(f"{first}{others}, no entry with a stage and a time: left out")
        if self._entered_zoneless:
            say(f"times without a zone: read as {self._zone}")
        return tuple(entries)


def entry_of(value: Any, offset_s: int | None) -> HistoryEntry | None:
    """Return an entry of a history; ``None`` if it lacks a stage or a time.

    ``offset_s`` is what the clock of zone-less times is ahead of UTC.
    """
    if not isinstance(value, dict):
        return None
    stage, at = _as_text(_unboxed(value.get("stage"))), read_time(value.get("at"))
    if isinstance(at, Zoneless):
        at = at.ms - offset_s * 1000 if offset_s is not None else None
    if stage is None or at is None:
        return None
    extra = {key: item for key, item in value.items() if key not in ("stage", "at")}
    return HistoryEntry(stage, to_text(at), extra or None)


# -- values ---------------------------------------------------------------------------------


def _unboxed(value: Any) -> Any:
    """Return the element of a list with one element; any other value as it is."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _as_text(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return json.dumps(value)
    return None


def _kind(value: Any) -> str:
    return _KINDS.get(type(value), "a number")


def _shown(value: Any) -> str:
    """Return the value as short ASCII text."""
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
