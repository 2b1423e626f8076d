"""Odd job files: what is made of each field, what is remarked, and what a rewrite keeps."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.core import transitions as jobs
from jobctl.core.codec import encode, parse, parse_trusted, parse_wire, to_wire
from jobctl.core.fields import FIELDS, MAX_RETRIES, HistoryEntry, Steps
from jobctl.core.job import Job
from jobctl.core.lenient import MAX_REMARKS, Guess
from jobctl.core.times import to_ms, to_text
from tests import strategies

FILE_MS = to_ms("2026-11-28T05:30:00.000Z")
FILE = to_text(FILE_MS)
NOW = "2026-11-28T06:00:00.000Z"


def read(text: str | bytes, **options: Any) -> Job:
    """The job in the file ``x.json``."""
    data = text.encode() if isinstance(text, str) else text
    return parse(data, id="x", **{"file_ms": FILE_MS, **options})


def remarks(job: Job) -> list[str]:
    """What is odd about it, as text."""
    return [str(remark) for remark in job.remarks]


def wire(job: Job) -> dict[str, Any]:
    """What readers get."""

    def never(name: str) -> None:
        raise AssertionError(f"{name} on the wire")

    value = json.loads(to_wire(job), parse_constant=never)
    assert isinstance(value, dict)
    return value


# -- only the stage is needed ---------------------------------------------------------------


def test_only_a_stage_is_needed() -> None:
    """The id is the file's name, the type ``job``, and the times are the file's."""
    job = read('{"stage":"load"}')
    assert wire(job) == {
        "id": "x", "type": "job", "sessionId": None, "stage": "load", "createdAt": FILE,
        "updatedAt": FILE, "completedAt": None, "stageStartedAt": None, "error": None,
        "retryCount": 0, "resultSessionId": None, "revision": 0,
    }  # fmt: skip
    assert remarks(job) == []
    assert job.elapsed_ms(FILE_MS + 5000) is None  # nobody knows when it began


def test_a_job_was_not_created_after_what_it_did() -> None:
    """A missing ``createdAt`` is the earliest time that is known."""
    early = "2026-11-27T00:00:00.000Z"
    job = read(f'{{"stage":"completed","completedAt":"{early}"}}')
    assert (job.created_at, job.updated_at) == (early, FILE)
    assert job.ended_ms() == job.latest_end_ms() == to_ms(early)


@pytest.mark.parametrize(
    "text", ['{"stage":"x","id":"x"}', '{"stage":"x","id":["x"]}', '{"stage":"x","id":null}']
)
def test_an_id_inside_that_is_the_files_is_fine(text: str) -> None:
    """Boxed, or null."""
    assert read(text).id == "x"


# -- fields ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "text", "value", "remark"),
    [
        ("progress", "100.00000000000001", 100, "100.00000000000001 is read as 100"),
        ("progress", "140", 100, "140 is read as 100"),
        ("progress", "-3", 0, "-3 is read as 0"),
        ("progress", '{"done":9,"total":8}', Steps(8, 8), "is read as 8 of 8"),
        ("progress", '{"done":-1,"total":8}', Steps(0, 8), "is read as 0 of 8"),
        ("progress", '{"current":3,"total":8}', None, 'ignored (write "progress": {"done": 3'),
        ("progress", '{"done":3,"total":0}', None, "is no progress"),
        ("progress", '"40%"', None, '"40%" is no progress: ignored (write "progress": 40)'),
        ("progress", "[3,8]", None, "[3, 8] is no progress"),
        ("progress", "[]", None, "[] is no progress"),
        ("progress", "true", None, "true is no progress"),
        ("progress", "NaN", None, "NaN is not JSON: read as null"),
        ("retryCount", "null", 0, "null is no whole number: read as 0"),
        ("retryCount", "-1", 0, "-1 is read as 0"),
        ("retryCount", "1e30", MAX_RETRIES, "is read as"),
        ("retryCount", "2.5", 0, "2.5 is no whole number"),
        ("retryCount", "true", 0, "true is no whole number"),
        ("retryCount", '"often"', 0, '"often" is no whole number'),
        ("sessionId", "42", "42", '42 is read as the text "42"'),
        ("sessionId", "1.5", "1.5", '1.5 is read as the text "1.5"'),
        ("sessionId", "{}", None, "an object, not a text: ignored"),
        ("sessionId", "false", None, "true or false, not a text: ignored"),
        ("title", "[]", None, "an empty list, not a text: ignored"),
        ("message", '["a","b"]', None, "a list, not a text: ignored"),
        ("type", "3", "3", '3 is read as the text "3"'),
        ("type", "{}", "job", "an object, not a text: ignored"),
        ("error", '{"message":"disk full","code":28}', "disk full", 'read as "disk full"'),
        ("error", '{"code":28}', '{"code": 28}', "an object, not a text: read as"),
        ("error", "[]", None, "an empty list, not a text: ignored"),
        ("error", "{}", None, "an object, not a text: ignored"),
        ("error", "false", None, "true or false, not a text: ignored"),
        ("error", '["a","b"]', '["a", "b"]', "a list, not a text"),
        ("stages", '"load"', ("load",), '"load" is read as ["load"]'),
        ("stages", "[1,2]", ("1", "2"), 'is read as ["1", "2"]'),
        ("stages", "{}", None, "not a list of texts: ignored"),
        ("stages", "[null]", None, "not a list of texts: ignored"),
        ("stages", "true", None, "not a list of texts: ignored"),
        ("history", "{}", None, "an object, not a list: ignored"),
        ("history", '[{"stage":"a"},3]', (), '{"stage": "a"} and 1 more, no entry with'),
        ("history", "[3]", (), "3, no entry with a stage and a time: left out"),
        ("completedAt", '"soon"', None, 'is no time: read as missing (write "completedAt": "20'),
        ("completedAt", '"2026-02-30T00:00:00Z"', None, "is no time: read as missing"),
        ("completedAt", '"0001-01-01T00:00:00Z"', None, "is no time: read as missing"),
        ("completedAt", "0", None, "is no time: read as missing"),
        ("completedAt", "false", None, "is no time: read as missing"),
        ("createdAt", '"yesterday"', FILE, "is no time: read as missing"),
        ("updatedAt", "null", FILE, None),
        ("completedAt", "1795844080", "2026-11-28T05:34:40.000Z", None),
    ],
)
def test_a_bad_field_never_costs_the_job(
    key: str, text: str, value: object, remark: str | None
) -> None:
    """It is limited, converted, or has its default, with one remark; and a rewrite keeps it."""
    job = read(f'{{"stage":"x","{key}":{text}}}')
    attribute = {field.key: field.attribute for field in FIELDS}[key]
    assert getattr(job, attribute) == value
    said = [item for item in remarks(job) if item.startswith(f"{key}: ")]
    assert len(said) == (1 if remark else 0)
    assert remark is None or remark in said[0]
    wire(job)
    acted = job.replace(result={"n": 1})
    assert f'"{key}": {text}'.encode() in encode(acted)
    again = parse(encode(acted), id="x", file_ms=FILE_MS)
    assert again == acted


def test_lists_with_one_element_are_read_as_it() -> None:
    """R's jsonlite writes every scalar so."""
    job = read(
        '{"id":["x"],"type":["etl"],"stage":["load"],"createdAt":["2026-11-28T05:00:00Z"],'
        '"progress":[40],"error":["boom"],"retryCount":[2],'
        '"history":[{"stage":["load"],"at":["2026-11-28T05:00:00Z"]}]}'
    )
    assert (job.type, job.stage, job.progress, job.error) == ("etl", "load", 40, "boom")
    assert (job.retry_count, job.created_at) == (2, "2026-11-28T05:00:00.000Z")
    assert job.history == (HistoryEntry("load", "2026-11-28T05:00:00.000Z"),)
    assert "lists with one element are read as it: id, type, stage, error" in remarks(job)[0]
    assert read('{"stage":"x","progress":{"done":[3],"total":[8]}}').progress == Steps(3, 8)


def test_a_boxed_object_keeps_its_raw_text() -> None:
    """As every key that an act does not set."""
    text = '{"stage":["load"],"error":{"message":"a\\/b"},"n":12345678901234567.89}'
    data = encode(jobs.report(read(text), now=NOW, message="m"))
    assert b'"error": {"message":"a\\/b"}' in data
    assert b'"n": 12345678901234567.89' in data
    assert b'"stage": ["load"]' in data


@pytest.mark.parametrize("file_ms", [-(10**15), -1, 0, 10**15, 10**17])
def test_a_file_of_any_time_makes_a_job_that_can_be_sent(file_ms: int) -> None:
    """A file system may have times of the year 30000; a wire time has four digits of a year."""
    job = read('{"stage":"x","updatedAt":"2026-11-28 05:29:00"}', file_ms=file_ms)
    assert parse_wire(wire(job)).created_at == job.created_at
    assert len(job.created_at) == len(FILE)
    far = Guess(file_ms, 999_999)
    assert parse_wire(wire(read('{"stage":"x"}', guess=far))).updated_at[-1] == "Z"


def test_remarks_are_bounded() -> None:
    """However much is odd."""
    keys = ",".join(f'"k{n}":1,"k{n}":2' for n in range(100))
    job = read(f'{{"stage":"x",{keys}}}')
    assert len(job.remarks) == MAX_REMARKS + 1
    assert remarks(job)[-1] == f"and {100 - MAX_REMARKS} more remarks"
    (remark,) = remarks(read(f'{{"stage":"x","{"k" * 10_000}":NaN}}'))
    assert len(remark) < 100


def test_an_act_ends_the_remark_on_what_it_sets() -> None:
    """The others stay."""
    job = read('{"stage":"x","progress":140,"sessionId":42}')
    acted = jobs.report(job, now=NOW, done=50)
    assert [remark.key for remark in job.remarks] == ["sessionId", "progress"]
    assert [remark.key for remark in acted.remarks] == ["sessionId"]


# -- syntax ---------------------------------------------------------------------------------


def test_a_byte_order_mark_is_skipped() -> None:
    """And an act drops it, since JSON has none (RFC 8259, section 8.1)."""
    job = read(b'\xef\xbb\xbf{"stage":"x","n":[1]}')
    assert (job.stage, job.extra) == ("x", {"n": [1]})
    assert "byte order mark" in remarks(job)[0]
    data = encode(jobs.report(job, now=NOW, message="m"))
    assert data.startswith(b"{")
    assert b'"n": [1]' in data


def test_the_last_of_duplicate_keys_counts() -> None:
    """At any depth."""
    job = read('{"stage":"x","stage":"y","n":{"a":1,"a":2}}')
    assert (job.stage, job.extra) == ("y", {"n": {"a": 2}})
    assert sorted(remarks(job)) == [
        'the key "a" stands twice: the last one counts',
        'the key "stage" stands twice: the last one counts',
    ]


def test_half_a_surrogate_pair_is_a_replacement_character() -> None:
    """In values and keys; a whole pair is a character."""
    job = read(r'{"stage":"x","message":"a\ud800","n\udfff":{"b\ud800":"\ud83d\ude00"}}')
    assert (job.message, job.extra) == ("a\ufffd", {"n\ufffd": {"b\ufffd": "\U0001f600"}})
    assert wire(job)["message"] == "a\ufffd"
    assert [remark.key for remark in job.remarks] == ["message", "n\ufffd"]
    data = encode(jobs.retry(jobs.fail(job, "e", now=NOW), now=NOW))
    assert rb'"n\udfff": {"b\ud800":"\ud83d\ude00"}' in data


def test_nan_and_infinity_are_null_on_the_wire() -> None:
    """As Python, R and Octave write them; the file keeps them."""
    job = read('{"stage":"x","result":[NaN,{"a":-Infinity}],"loss":Infinity}')
    assert (wire(job)["result"], wire(job)["loss"]) == ([None, {"a": None}], None)
    assert [str(remark) for remark in job.remarks] == [
        "result: NaN is not JSON: read as null",
        "result: -Infinity is not JSON: read as null",
        "loss: Infinity is not JSON: read as null",
    ]
    data = encode(jobs.report(job, now=NOW, message="m"))
    assert b'"result": [NaN,{"a":-Infinity}]' in data
    assert read(data).remarks == job.remarks


@pytest.mark.parametrize(
    "raw", ["12345678901234567.89", "9007199254740993.0", "1e-400", r'"\/"', r'"\u0041"', "-0"]
)
@pytest.mark.parametrize("key", ["n", "revision", "result"])
def test_a_key_that_no_act_sets_keeps_its_text(raw: str, key: str) -> None:
    """Also one that is named as something of ours, and beside odd keys."""
    for odd in ("", ',"progress":NaN,"createdAt":"2026-11-28 05:29:00"'):
        job = read(f'{{"stage":"x","{key}":{raw}{odd}}}')
        assert f'"{key}": {raw}'.encode() in encode(jobs.report(job, now=NOW, message="m"))


# -- times ----------------------------------------------------------------------------------


def test_a_time_without_a_zone_keeps_its_text_and_its_guess() -> None:
    """A rewrite moves the file's time, so a reader afterwards is told the guess."""
    text = (
        '{"stage":"x","createdAt":"2026-11-28 05:29:00","updatedAt":"2026-11-28 05:29:30",'
        '"history":[{"stage":"x","at":"2026-11-28 05:29:00","by":"me"}]}'
    )
    job = read(text)
    assert (job.created_at, job.updated_at) == (
        "2026-11-28T05:29:00.000Z",
        "2026-11-28T05:29:30.000Z",
    )
    assert job.reading is not None
    assert job.reading.guess == Guess(FILE_MS, 0)
    assert any("has no time zone: read as UTC" in remark for remark in remarks(job))
    acted = jobs.complete(job, now=NOW)
    data = encode(acted)
    assert b'"createdAt": "2026-11-28 05:29:00"' in data
    assert b'{"stage":"x","at":"2026-11-28 05:29:00","by":"me"}' in data
    for reader in (parse, parse_trusted):
        again = reader(data, id="x", file_ms=FILE_MS + 86_400_000, guess=job.reading.guess)
        assert again == acted
    far = read(text, file_ms=FILE_MS + 86_400_000, guess=Guess(FILE_MS, -3600))
    assert far.created_at == "2026-11-28T06:29:00.000Z"


def test_a_missing_time_is_written_by_the_first_act() -> None:
    """And so are the id and the type: whoever reads the file then finds a whole job."""
    acted = jobs.advance(read('{"stage":"load"}'), "check", now=NOW)
    data = encode(acted)
    assert json.loads(data) == {
        "id": "x", "type": "job", "stage": "check", "createdAt": FILE, "updatedAt": NOW,
        "stageStartedAt": NOW,
        "history": [
            {"stage": "pending", "at": FILE}, {"stage": "load", "at": FILE},
            {"stage": "check", "at": NOW},
        ],
    }  # fmt: skip
    assert parse_trusted(data, id="x") == acted


def test_the_end_may_be_as_late_as_the_file_where_it_was_guessed() -> None:
    """What is pruned ended long ago for certain."""

    def latest(text: str) -> str:
        ended = read(text).latest_end_ms()
        assert ended is not None
        return to_text(ended)

    assert latest('{"stage":"completed"}') == FILE
    assert latest('{"stage":"completed","completedAt":"2026-01-01 00:00:00"}') == FILE
    known = "2026-01-01T00:00:00.000Z"
    assert latest(f'{{"stage":"completed","completedAt":"{known}"}}') == known
    assert latest(f'{{"stage":"failed","updatedAt":"{known}"}}') == known


def test_a_pending_job_is_never_stalled() -> None:
    """The original's has no ``stageStartedAt``; its worker may come late."""
    old = "2026-01-01T00:00:00.000Z"
    text = f'{{"type":"create_session","stage":"pending","createdAt":"{old}","updatedAt":"{old}"}}'
    assert not read(text).stalled(FILE_MS)
    assert read(text.replace("pending", "extract")).stalled(FILE_MS)


@given(
    st.dictionaries(
        st.sampled_from([field.key for field in FIELDS if field.key not in ("id", "stage")]),
        strategies.json_values,
    )
)
def test_any_values_make_a_job_with_canonical_values(values: dict[str, Any]) -> None:
    """A stage is enough, whatever else there is; and what is written is read back."""
    job = read(json.dumps({"stage": "x", **values}))
    value = wire(job)
    assert to_text(to_ms(value["createdAt"])) == value["createdAt"]
    acted = job.replace(message="m", updated_at=NOW)
    guess = job.reading.guess if job.reading is not None else None
    assert parse(encode(acted), id="x", file_ms=FILE_MS, guess=guess) == acted
