"""Jobs as bytes: what is accepted, what is refused and why, and that nothing is lost on the way."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.core import codec
from jobctl.core import transitions as jobs
from jobctl.core.codec import (
    MAX_DEPTH,
    MAX_DIGITS,
    MAX_JOB_BYTES,
    encode,
    parse,
    parse_trusted,
    parse_wire,
    to_wire,
)
from jobctl.core.fields import FIELDS
from jobctl.core.job import Job
from jobctl.core.opaque import OpaqueJob, as_opaque
from jobctl.errors import IllegalTransition, InvalidJob
from tests import strategies

DATA = Path(__file__).parents[1] / "data"
T0 = "2026-01-01T00:00:00.000Z"
MINIMAL = {"id": "a1", "type": "etl", "stage": "pending", "createdAt": T0, "updatedAt": T0}


@pytest.fixture(autouse=True)
def _compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fast way is open from the first file on."""
    monkeypatch.setattr(codec, "_files_first", 0)


def test_the_first_files_are_read_the_long_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """To the same value: most commands read one file, and compile nothing for it."""
    data = encode(jobs.create("etl", now=T0, id="a1", title="t"))
    monkeypatch.setattr(codec, "_files_first", 2)
    monkeypatch.setattr(codec, "_compiled", None)
    read = [(parse(data, id="a1"), codec._compiled is not None) for _ in range(4)]
    assert [compiled for _, compiled in read] == [False, False, True, True]
    assert len({job for job, _ in read}) == 1


def file_with(key: str, value: str) -> bytes:
    """A job file with one more key, its value as written."""
    return json.dumps(MINIMAL).encode()[:-1] + f', "{key}": {value}}}'.encode()


def pretty_with(key: str, value: str) -> bytes:
    """The same, laid out as jobctl would, so that the fast way is tried."""
    whole = encode(jobs.create("etl", now=T0, id="a1"))
    return whole[: whole.rindex(b"\n}")] + f',\n  "{key}": {value}\n}}\n'.encode()


def reason(data: bytes, id: str = "a1") -> str:
    """Why the bytes are no job."""
    with pytest.raises(InvalidJob) as caught:
        parse(data, id=id)
    assert caught.value.id == id
    assert caught.value.reason.isascii()
    assert caught.value.reason.isprintable()
    assert len(caught.value.reason) < 200
    return caught.value.reason


def outcome(data: bytes, id: str, *, strictly: bool) -> Any:
    """What a reader makes of the bytes: the job in full, or nothing."""
    with pytest.MonkeyPatch.context() as patch:
        if strictly:
            patch.setattr(codec, "_usual", lambda text: None)
            patch.setattr(codec, "_quick", lambda text: None)
        try:
            return json.loads(to_wire(parse(data, id=id)))
        except InvalidJob:
            return None


# -- nothing is lost --------------------------------------------------------------------------


@pytest.mark.slow
@given(strategies.job_values())
def test_what_is_written_is_read_back(value: dict[str, Any]) -> None:
    """I8: parse(serialize(x)) == x for every accepted x, and the bytes come again."""
    data = json.dumps(value, ensure_ascii=False).encode()
    job = parse(data, id=value["id"])
    written = encode(job)
    again = parse(written, id=job.id)
    assert again == job
    assert encode(again) == written


@pytest.mark.slow
@given(strategies.job_values())
def test_what_a_foreign_file_says_is_what_we_say(value: dict[str, Any]) -> None:
    """Every key, known or not, with its value; the keys we lack come as null, 0 or not at all."""
    job = parse(json.dumps(value).encode(), id=value["id"])
    told = json.loads(encode(job))
    for key, given_value in value.items():
        if given_value is not None or key in told:
            assert told[key] == given_value
    for key in told.keys() - value.keys():
        assert told[key] == (0 if key == "retryCount" else None)


@pytest.mark.slow
@given(strategies.stored_jobs(), st.integers(0, 2**53 - 1))
def test_the_wire_carries_the_whole_job_and_its_revision(job: Job, revision: int) -> None:
    """In compact JSON that reads back as the same value."""
    job = job.replace(revision=revision)
    wire = to_wire(job, details=True)
    assert b"\n" not in wire
    assert parse_wire(json.loads(wire)) == job


@pytest.mark.parametrize(
    "path", sorted((DATA / "node-app-jobs").iterdir()), ids=lambda path: path.stem
)
def test_files_of_the_original_program_come_back_byte_for_byte(path: Path) -> None:
    """All of them, by the fast way; a move keeps the keys in their places."""
    data = path.read_bytes()
    job = parse(data, id=path.stem)
    assert encode(job) == data
    moved = json.loads(encode(jobs.report(job, now=T0, message="m") if job.active else job))
    before = json.loads(data)
    changed = {"updatedAt": moved["updatedAt"], "message": "m"} if job.active else {}
    assert moved == before | changed
    assert list(moved)[: len(before) - len(job.extra)] == [
        key for key in before if key not in job.extra
    ]


def test_the_files_of_the_original_program_are_there() -> None:
    """All forty-eight, or the test above tests nothing."""
    assert len(list((DATA / "node-app-jobs").iterdir())) == 48


def test_the_file_format() -> None:
    """Two spaces, camelCase, the original's keys always, ours when they are set, no revision."""
    job = jobs.create("etl", now=T0, id="a1", title="Nightly ✓").replace(revision=7)
    assert encode(jobs.report(job, now=T0, done=3, total=8)).decode() == (
        "{\n"
        '  "id": "a1",\n'
        '  "type": "etl",\n'
        '  "sessionId": null,\n'
        '  "stage": "pending",\n'
        f'  "createdAt": "{T0}",\n'
        f'  "updatedAt": "{T0}",\n'
        '  "completedAt": null,\n'
        f'  "stageStartedAt": "{T0}",\n'
        '  "error": null,\n'
        '  "retryCount": 0,\n'
        '  "resultSessionId": null,\n'
        '  "title": "Nightly ✓",\n'
        '  "progress": {\n    "done": 3,\n    "total": 8\n  },\n'
        '  "history": [\n    {\n      "stage": "pending",\n'
        f'      "at": "{T0}"\n    }}\n  ]\n'
        "}\n"
    )


def test_a_revision_in_a_file_is_no_news_and_no_error() -> None:
    """Foreign rewrites carry old ones, or nonsense; the store alone knows."""
    for text in ("7", "-1", '"x"', "null", "1e99", "[]"):
        assert parse(file_with("revision", text), id="a1", revision=3).revision == 3


# -- what an act does not set keeps its bytes --------------------------------------------------

ODD_VALUES = st.sampled_from(
    [
        "12345678901234567.89", "9007199254740993.0", "1e-400", "1E5", "-0", "0.10", "1" * 400,
        r'"\/ \u00e9 \u0041"', '"é"', '{ "a" : [1 ,2],"b":{}}', "[\n\n1]", "null", "true",
        '{"revision": 1.0}', '"\\\\\\""', '{\n  "x": 1,\n  "y": "z"\n}',
    ]
)  # fmt: skip
ODD_FIELDS = {
    "sessionId": [r'"s\u0031"', "null", '"s1"'],
    "createdAt": ['"2026-01-01T01:30:00.5+01:30"', r'"2026-01-01T00:00:00\u005a"'],
    "updatedAt": ['"2026-01-01T00:00:00Z"'],
    "completedAt": ["null", '"2026-01-01T00:00:00.123456789-05:00"'],
    "stageStartedAt": ["null", '"2026-01-01T00:00:00Z"'],
    "error": ["null", r'"\/"'],
    "retryCount": ["0", "3.0", '"2"', "1.00"],
    "resultSessionId": [r'"\u00e9"', "null"],
    "title": [r'"a\/b"', "null"],
    "message": [r'"\u00fc"', '"ü"', "null"],
    "progress": ["50.0", "5e1", '{"done": 1.50, "total": 3.00, "unit": 1e-400}', "null"],
    "stages": ["null", r'["fetch" , "cl\u0065an"]'],
    "history": [
        "null",
        "[]",
        r'[{"at":"2026-01-01T00:00:00Z", "stage":"p\u0065nding", "n": 1e-400}]',
        '[{"stage":"a","at":"2026-01-01T00:00:00Z"},\n{"stage":"b","at":"2026-01-01T00:00:00Z"}]',
    ],
    "result": ["1.50", r'{"a":"\/"}', "null"],
    "owner": ['"1-0123456789ab"', r'"\u0031"', '{"pid": 1.0}'],
    "run": ["null", '{"argv": ["x"],"cwd": "\\/"}'],
}


@st.composite
def foreign_files(draw: st.DrawFn) -> dict[str, str]:
    """The raw text of each key, in any order: what other programs may write, and we can read."""
    raw = {"id": draw(st.sampled_from(['"a1"', r'"\u00611"']))}
    raw["type"] = draw(st.sampled_from(['"etl"', r'"et\u006c"', '"create_session"']))
    raw["stage"] = draw(st.sampled_from(['"pending"', '"fetch"', r'"fail\u0065d"', '"completed"']))
    for key, values in ODD_FIELDS.items():
        if key in ("createdAt", "updatedAt") or draw(st.booleans()):
            raw[key] = draw(st.sampled_from(values))
    for key in draw(st.lists(st.sampled_from(["revision", "x", "y z", "é"]), unique=True)):
        raw[key] = draw(ODD_VALUES)
    return dict(draw(st.permutations(list(raw.items()))))


def written_as(raw: dict[str, str], layout: tuple[str, str, str]) -> bytes:
    """The file, with what stands before each key, after it, and at the end."""
    before, colon, end = layout
    return ("{" + ",".join(f'{before}"{k}"{colon}{v}' for k, v in raw.items()) + end + "}").encode()


@pytest.mark.slow
@given(
    foreign_files(),
    st.sampled_from([("\n  ", ": ", "\n"), ("", ":", ""), ("\t", " :\r\n", " ")]),
    strategies.schedules,
)
def test_what_no_act_sets_keeps_its_bytes(
    raw: dict[str, str], layout: tuple[str, str, str], schedule: list[strategies.Move]
) -> None:
    """Known keys and foreign ones, in their order, through every rewrite."""
    first = job = parse(written_as(raw, layout), id="a1")
    set_by_acts: set[str] = set()
    for move in schedule:
        try:
            after = move(job)
        except (IllegalTransition, InvalidJob):
            continue
        set_by_acts |= {
            field.key
            for field in FIELDS
            if getattr(after, field.attribute) != getattr(job, field.attribute)
        }
        data = encode(after)
        job = parse(data, id="a1")
        assert job == after.replace(revision=0)
        text, kept = data.decode(), [key for key in raw if key not in set_by_acts]
        for key in kept:
            assert f'\n  "{key}": {raw[key]}' in text
        assert [key for key in json.loads(text) if key in kept] == kept
    assert job.extra == first.extra


def test_an_entry_of_the_history_keeps_the_keys_of_others() -> None:
    """In their bytes, when an act adds an entry."""
    old = '{"at": "2026-01-01T00:00:00Z", "stage": "pending", "by": "m\\u0065", "n": 1e-400}'
    job = parse(file_with("history", f"[{old}]"), id="a1")
    written = encode(jobs.advance(job, "load", now=T0)).decode()
    assert old in written
    assert parse(written.encode(), id="a1").timeline()[0].extra == {"by": "me", "n": 0.0}


def test_a_new_key_comes_in_at_its_place() -> None:
    """After those that stand before it in a new file, wherever the foreign ones are."""
    data = (
        b'{"x": 1, "updatedAt": "%s", "id": "a1", "stage": "a", "type": "etl", "createdAt": "%s"}'
    )
    job = parse(data % (T0.encode(), T0.encode()), id="a1")
    told = json.loads(encode(jobs.report(job, now=T0, done=1, message="m")))
    assert [*told] == ["x", "updatedAt", "message", "progress", "id", "stage", "type", "createdAt"]


def test_a_key_that_stands_twice_stays_so() -> None:
    """Together, so that whoever sets the key replaces both."""
    lines = codec._members_in('{"a": 1, "b": 2, "a" : 3}')
    assert lines == {"a": 'a": 1,\n  "a": 3', "b": 'b": 2'}


def test_a_foreign_revision_is_kept_in_the_file_alone() -> None:
    """It is not taken for ours, and nobody else is told of it."""
    job = parse(file_with("revision", "12.50"), id="a1", revision=3)
    assert b'"revision": 12.50' in encode(jobs.report(job, now=T0, message="m"))
    assert json.loads(to_wire(job))["revision"] == 3
    assert job.extra == {}


@pytest.mark.parametrize("at", range(2))
def test_the_wire_carries_canonical_values(at: int) -> None:
    """Whatever the file says, and in either layout."""
    raw = '[1.50, "\\/\\u00e9", 9007199254740993.0]'
    job = parse((file_with, pretty_with)[at]("x", raw), id="a1")
    assert b'"x":[1.5,"/\xc3\xa9",9007199254740992.0]' in to_wire(job)


def test_a_file_that_indentation_makes_too_large_is_written_without() -> None:
    """But its numbers stay: only blanks between values go."""
    raw = "[" + ",".join(["1.50"] * 21_000) + "]"
    data = file_with("x", raw.replace(",", ",\n      ")[:-1] + "\n]")
    job = jobs.report(parse(data, id="a1"), now=T0, message="a  b " + "m" * 20_000)
    written = encode(job)
    assert raw.encode() in written
    assert len(written) <= MAX_JOB_BYTES
    assert parse(written, id="a1") == job


@pytest.mark.slow
@given(strategies.stored_jobs(), st.integers(0, 2**53 - 1))
def test_a_job_may_hold_its_wire_form_alone(job: Job, revision: int) -> None:
    """It is the same job, and sends what it holds."""
    job = parse(encode(job), id=job.id, revision=revision)
    opaque = as_opaque(job)
    assert to_wire(opaque) == to_wire(job)
    names = ("id", "type", "stage", "session_id", "created_at", "owned_by", "revision", "active")
    assert [getattr(opaque, name) for name in names] == [getattr(job, name) for name in names]
    assert (opaque.run, opaque.history, opaque.extra) == (job.run, job.history, job.extra)
    slim = OpaqueJob(job).whole()
    assert slim == job
    assert slim.replace(message="m") == job.replace(message="m")
    assert to_wire(slim.replace(revision=1)) == to_wire(job.replace(revision=1))
    assert parse(encode(slim), id=job.id, revision=revision) == job


@pytest.mark.slow
@given(strategies.stored_jobs(), strategies.runs, st.integers(0, 2**53 - 1))
def test_bytes_of_our_own_are_read_as_all_others(job: Job, run: Any, revision: int) -> None:
    """They only cost less."""
    data = encode(job.replace(run=run))
    own, any_ = (one(data, id=job.id, revision=revision) for one in (parse_trusted, parse))
    assert (own, own.source) == (any_, any_.source)
    assert to_wire(own) == to_wire(any_)


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"{", b"\xff", file_with("x", "1e999"), file_with("x", "[" * 101)],
)
def test_what_cannot_be_our_own_is_refused_as_usual(data: bytes) -> None:
    """Also where a digest vouches for it: somebody may have made both."""
    with pytest.raises(InvalidJob):
        parse_trusted(data, id="a1")
    with pytest.raises(InvalidJob):
        parse_trusted(file_with("x", "1"), id="other")


# -- the fast way and the strict one ----------------------------------------------------------


_HOSTILE = [b"", b"\\ud800", b"NaN", b"1e999", b"\xff", b"\xef\xbb\xbf", b"\x00", b'"', b"{", b"]"]
_HOSTILE += [b"-0", b"1.0", b"9" * 5000, b'"id":"a1",', b" ", b"\n", b"\\u0041", b"[" * 101]


@st.composite
def almost_files(draw: st.DrawFn) -> tuple[str, bytes]:
    """A job file with a piece cut out, doubled, or replaced by something hostile."""
    job = draw(strategies.stored_jobs(id="a1"))
    data = encode(job)
    start = draw(st.integers(0, len(data)))
    end = draw(st.integers(start, min(len(data), start + 40)))
    hostile = st.sampled_from(_HOSTILE)
    return job.id, data[:start] + draw(hostile | st.just(data[start:end] * 2)) + data[end:]


@pytest.mark.slow
@given(almost_files())
def test_the_fast_way_accepts_what_the_strict_one_does(case: tuple[str, bytes]) -> None:
    """And finds the same value; nobody can tell which was taken."""
    id, data = case
    assert outcome(data, id, strictly=False) == outcome(data, id, strictly=True)


@pytest.mark.parametrize("make", [file_with, pretty_with])
@pytest.mark.parametrize("sign", ["", "-"])
def test_the_length_of_a_number_is_bounded_alike_in_any_layout(make: Any, sign: str) -> None:
    """A layout that looks like ours is not trusted (it was, between 1,000 and 4,300 digits)."""
    long = sign + "9" * MAX_DIGITS
    assert parse(make("x", long), id="a1").extra == {"x": int(long)}
    assert reason(make("x", long + "9")).startswith(f"a number of {MAX_DIGITS + 1} digits")


@pytest.mark.parametrize("make", [file_with, pretty_with])
def test_the_depth_is_bounded_alike_in_any_layout(make: Any) -> None:
    """To the level; brackets within strings are no levels."""
    deepest = "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1)
    encode(parse(make("x", deepest), id="a1"))
    assert reason(make("x", f"[{deepest}]")).startswith("nested over 100 deep")
    in_text = '"' + '[{\\"' * 1000 + '"'
    encode(parse(make("x", in_text), id="a1"))


# -- refused, with a reason (FAULTS row 58) ---------------------------------------------------


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("deep", "nested over 100 deep: keep such data as a text, or in another file"),
        ("empty", 'empty: write one JSON object, such as {"stage": "load"}'),
        ("huge-int", "a number of 5000 digits, over 4300: write it as a text"),
        (
            "id-mismatch",
            (
                'the id inside is "somebody-else", but the file\'s name is "id-mismatch.json": '
                "make them equal, or leave the key id out"
            ),
        ),
        (
            "latin1",
            'not UTF-8 at byte 244: write the file as UTF-8 (Python: encoding="utf-8")',
        ),
        ("not-an-object", 'a list, not a JSON object: write {"stage": "load"}'),
        (
            "torn",
            (
                "not JSON: Unterminated string starting at line 7 column 3 "
                '(write one object, such as {"stage": "load"})'
            ),
        ),
    ],
)
def test_each_bad_file_is_refused_for_its_reason(name: str, why: str) -> None:
    """In words that go into one line of a terminal, and say what to write instead."""
    assert reason((DATA / "bad-jobs" / f"{name}.json").read_bytes(), name) == why


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ('{"stage": "x"}'.encode("utf-16"), "UTF-16, not UTF-8: write the file as UTF-8"),
        (b"{'stage': 'x'}", "not JSON: Expecting property name enclosed in double quotes"),
        (b'{"stage": "x"}\n{"stage": "y"}', "not JSON: Extra data at line 2 column 1"),
        (b'"text"', "a text, not a JSON object"),
        (b"3", "a number, not a JSON object"),
        (b"null", "null, not a JSON object"),
        (b"{}", 'no "stage": add one, such as "stage": "load"'),
        (b'{"Stage": "x"}', 'no "stage", only "Stage": add one'),
        (b'{"stage": null}', 'no "stage", only null: write a text, such as "stage": "load"'),
        (b'{"stage": ""}', 'no "stage", only "": write a text'),
        (b'{"stage": {}}', 'no "stage", only {}: write a text'),
        (b'{"stage": true}', 'no "stage", only true: write a text'),
        (b'{"stage": "x", "id": "A1"}', 'the id inside is "A1", but the file\'s name is "a1.json"'),
        (b'{"stage": "x", "id": 1}', 'the id inside is "1", but the file\'s name is "a1.json"'),
    ],
)
def test_what_is_no_job_is_told_its_author(data: bytes, why: str) -> None:
    """What is wrong, and a form that would do."""
    assert reason(data).startswith(why)


@pytest.mark.parametrize(
    "name",
    [
        "00000000-0000-4000-8000-000000000001",
        "rich-markup",
        "script-tag",
        "terminal-escape",
        "unknown-stage",
    ],
)
def test_hostile_text_is_no_reason_to_refuse(name: str) -> None:
    """It is text: whoever shows it makes it harmless."""
    job = parse((DATA / "bad-jobs" / f"{name}.json").read_bytes(), id=name)
    assert parse(encode(job), id=name) == job


@pytest.mark.parametrize("make", [file_with, pretty_with])
@pytest.mark.parametrize(
    ("bomb", "why"),
    [
        ("[" * 10**5 + "]" * 10**5, "nested over 100 deep"),
        ('{"a":' * 40_000, "nested over 100 deep"),
        ("9" * 5000, "a number of 5000 digits"),
        ("1e999", "the number 1e999 is too large"),
        ("-1e999", "the number -1e999 is too large"),
        ('"' + '\\"' * 10**5, "not JSON: "),
    ],
    ids=lambda value: value[:12] if isinstance(value, str) else None,
)
def test_json_bombs_are_refused(make: Any, bomb: str, why: str) -> None:
    """FAULTS row 58; how fast follows from the bounds below, whatever the machine."""
    assert reason(make("x", bomb)).startswith(why)


def test_too_many_bytes_are_refused_before_any_parser_sees_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """FAULTS row 58: the work is bounded by 256 KiB of input."""

    def never(*_: object, **__: object) -> NoReturn:
        raise AssertionError("a parser was asked")

    data = file_with("x", '"' + "x" * MAX_JOB_BYTES + '"')
    monkeypatch.setattr(codec, "_STRICT", never)
    monkeypatch.setattr(codec, "_scan", never)
    monkeypatch.setattr(codec, "_check_depth", never)
    assert reason(data).startswith(f"{len(data)} bytes, over the 262144 allowed")


def test_too_deep_a_file_is_refused_before_any_parser_sees_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """FAULTS row 58: no parser recurses further than our bound."""

    def never(*_: object, **__: object) -> NoReturn:
        raise AssertionError("a parser was asked")

    monkeypatch.setattr(codec, "_STRICT", never)
    monkeypatch.setattr(codec, "_scan", never)
    assert reason(file_with("x", "[" * 10**5)).startswith("nested over 100 deep")


@pytest.mark.parametrize(
    "text",
    ['"' + '\\"' * 1000, '"' + "a" * 1000, '"' + "\\\\" * 1000 + "\\", '"a" "b" "' + "c" * 1000],
)
def test_the_depth_is_found_in_one_pass(text: str) -> None:
    """FAULTS row 58: the strings lie side by side, an open one reaches to the end.

    So no character is looked at twice. A search that fails on the open string begins anew at each
    quote in it: 240 KB cost three minutes.
    """
    found = list(codec._STRING.finditer(text))
    assert found[-1].end() == len(text)
    assert sum(match.end() - match.start() for match in found) >= len(text) - 2


# -- what cannot be written -------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {"message": "\ud800"},
        {"message": "x" * MAX_JOB_BYTES},
        {"result": float("nan")},
        {"result": 10**5000},
        {"result": {1: 2}},
        {"stage": ""},
        {"retry_count": -1},
        {"created_at": "yesterday"},
        {"id": "../x"},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_a_value_that_would_not_survive_is_not_written(fields: dict[str, Any]) -> None:
    """The bytes are read back before anybody is shown them; the error is ours."""
    job = jobs.create("etl", now=T0, id="a1").replace(**fields)
    with pytest.raises(InvalidJob):
        encode(job)


def test_a_value_that_is_nested_too_deep_is_not_written() -> None:
    """Whoever writes it would not be able to read it again."""
    deep: Any = []
    for _ in range(MAX_DEPTH):
        deep = [deep]
    with pytest.raises(InvalidJob):
        encode(jobs.create("etl", now=T0, id="a1").replace(result=deep))


@pytest.mark.parametrize("value", [None, [], "a1", {}, {"id": 1}, {"id": "../x"}, {"id": "a1"}])
def test_a_wire_message_without_a_job_is_refused(value: object) -> None:
    """A hub may be anything."""
    with pytest.raises(InvalidJob):
        parse_wire(value)


class Signalled(BaseException):
    """Stands for what a signal's handler raises: Ctrl-C, say."""


@pytest.mark.parametrize("act", ["read", "write", "send", "take"])
def test_signal_is_swallowed_nowhere(act: str) -> None:
    """FAULTS row 37: whatever Python is called within, a handler may run there, and raise."""
    job = jobs.create("etl", now=strategies.T0, id="a1", title="t", stages=["x", "y"])
    data, wire = encode(job), json.loads(to_wire(job))
    acts = {
        "read": lambda: parse(data, id="a1"),
        "write": lambda: encode(job),
        "send": lambda: to_wire(job),
        "take": lambda: parse_wire(wire),
    }
    calls = 0

    def count(frame: FrameType, event: str, _: object) -> None:
        nonlocal calls
        calls += event == "call"

    def strike(frame: FrameType, event: str, _: object) -> None:
        nonlocal left
        left -= event == "call"
        if left == 0 and event == "call":
            raise Signalled

    for _ in range(100):  # whatever is only done for the first files
        acts[act]()
    sys.setprofile(count)
    try:
        acts[act]()
    finally:
        sys.setprofile(None)
    assert calls > 0
    for at in range(1, calls):  # the last is `setprofile`'s own way out
        left, struck = at, False
        sys.setprofile(strike)
        try:
            acts[act]()
        except Signalled:
            struck = True
        finally:
            sys.setprofile(None)
        assert struck, f"call {at} of {calls} swallowed it"


def test_change_of_one_foreign_key_keeps_the_text_of_the_others() -> None:
    """A number with many digits, an escape, and a key that stands twice."""
    text = (
        '{"id": "a", "stage": "load", "n": 1.00000000000000000000001, "mine": "\\u0041", '
        '"twice": 1, "twice": 2, "gone": [1], "acts": ["old"]}'
    )
    job = parse(text.encode(), id="a")
    extra = {key: value for key, value in job.extra.items() if key != "gone"}
    written = encode(job.replace(extra={**extra, "acts": ["new"], "more": {"b": 1}})).decode()
    for kept in ('"n": 1.00000000000000000000001', '"mine": "\\u0041"', '"twice": 1', '"twice": 2'):
        assert kept in written
    assert "gone" not in written
    assert parse(written.encode(), id="a").extra == {**extra, "acts": ["new"], "more": {"b": 1}}
