"""The wire: what is built is read back, and what nobody should send is refused by name."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.core.codec import parse, to_wire
from jobctl.core.cursor import MAX_REVISION, ZERO, Cursor
from jobctl.core.filters import EVERYTHING, Filter
from jobctl.core.jobset import Delta, Gone
from jobctl.core.protocol import (
    Ack,
    BadFiles,
    Ping,
    Pong,
    Subscribe,
    bad_files_message,
    close_reason_with_retry,
    delta_message,
    init_message,
    parse_from_hub,
    parse_query,
    pong_message,
    query_of,
    retry_after_s,
    update_message,
)
from jobctl.core.transitions import create
from jobctl.errors import ProtocolError, UsageError
from jobctl.hub.messages import parse_from_client
from tests.hub.world import subscribe_message

NOW = "2025-01-01T00:00:00.000Z"
JOB = create("etl", now=NOW, id="a1", title="naïve \u2028 ☃ </script>").replace(revision=3)

texts = st.text(min_size=1, max_size=8)
filters = st.builds(
    Filter,
    ids=st.frozensets(st.from_regex(r"[a-z0-9_][a-z0-9._-]{0,5}", fullmatch=True), max_size=3),
    types=st.frozensets(texts, max_size=3),
    stages=st.frozensets(texts, max_size=3),
    sessions=st.frozensets(texts, max_size=3),
    active=st.booleans(),
)
epochs = st.from_regex(r"[A-Za-z0-9-]{1,12}", fullmatch=True)
cursors = st.builds(
    Cursor,
    epochs,
    st.integers(0, MAX_REVISION),
    st.from_regex(r"([0-9a-f]{6})?", fullmatch=True),
)


def wire(**changes: object) -> bytes:
    """A good delta with some fields changed."""
    value = json.loads(delta_message(Delta("e1", 1, 4, (JOB,), (Gone("b", 4),)), 1, [to_wire(JOB)]))
    return json.dumps({**value, **changes}).encode()


def test_delta_is_read_as_it_was_built():
    """Jobs, deletions and the interval come over unchanged; a gone id counts at ``through``."""
    delta = Delta("e1", 2, 4, (JOB,), (Gone("b", 4),), more=True)
    assert parse_from_hub(delta_message(delta, 2, [to_wire(JOB)])) == delta


def test_reasons_come_over_and_unknown_ones_are_none():
    """A hub of 0.1.0 says none, and a newer one may say others."""
    reasons = ("removed", "filtered", 'damaged: no "stage", \xfc')
    items = tuple(Gone(f"g{number}", 4, why) for number, why in enumerate(reasons))
    read = parse_from_hub(delta_message(Delta("e1", 2, 4, (), items), 2, []))
    assert isinstance(read, Delta)
    assert read.gone == items
    for why in (None, {"b": 1}, {"b": "moved"}):
        read = parse_from_hub(wire(why=why))
        assert isinstance(read, Delta)
        assert read.gone == (Gone("b", 4, ""),)


def test_delta_may_start_at_the_clients_own_revision():
    """The hub has looked further in silence than the client was told of."""
    delta = Delta("e1", 3, 4)
    read = parse_from_hub(delta_message(delta, 1, []))
    assert isinstance(read, Delta)
    assert (read.since, read.through) == (1, 4)


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "jobs:other"},
        {"epoch": 1},
        {"since": -1},
        {"since": 1.0},
        {"since": True},
        {"since": 5},
        {"through": MAX_REVISION + 1},
        {"through": None},
        {"more": 0},
        {"jobs": {}},
        {"jobs": [1]},
        {"jobs": [{"id": "a1"}]},
        {"gone": [1]},
        {"gone": None},
        {"through": 2},  # the job in it has revision 3
    ],
)
def test_delta_that_is_none_is_refused(changes):
    """A client trusts no peer: what does not make sense ends in `ProtocolError`, not in a state."""
    assert isinstance(parse_from_hub(wire()), Delta)
    with pytest.raises(ProtocolError):
        parse_from_hub(wire(**changes))


@pytest.mark.parametrize("data", ["", "nul", "[]", "7", b"\xff", "[" * 50_000, '{"type":[]}'])
def test_text_that_is_no_message_is_refused_at_both_ends(data):
    """Neither end falls over what is not even an object."""
    for read in (parse_from_hub, parse_from_client):
        with pytest.raises(ProtocolError):
            read(data)


def test_plain_messages_hold_the_jobs_as_they_are():
    """Init and update are JSON around jobs that are encoded already."""
    assert [job["title"] for job in json.loads(init_message([to_wire(JOB)]))["jobs"]] == [JOB.title]
    assert json.loads(init_message([])) == {"type": "jobs:init", "jobs": []}
    assert json.loads(update_message(to_wire(JOB)))["job"]["revision"] == 3


@given(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text())
def test_ping_comes_back_as_it_was(at):
    """Whatever scalar a client measures with, the pong has it, or the ping is refused."""
    try:
        ping = parse_from_client(json.dumps({"type": "jobs:ping", "at": at}))
    except ProtocolError:
        assert at in (float("inf"), float("-inf"))
        return
    assert ping == Ping(at)
    assert parse_from_hub(pong_message(at)) == Pong(at)


@pytest.mark.parametrize("at", ["NaN", "1e999", "[]", "{}", "[" * 500 + "]" * 500])
def test_ping_that_could_not_come_back_is_refused(at):
    """An answer has to be JSON as others read it."""
    with pytest.raises(ProtocolError):
        parse_from_client(f'{{"type":"jobs:ping","at":{at}}}')


@given(st.integers(0, MAX_REVISION))
def test_ack_is_read(through):
    """Every revision that exists can be acknowledged."""
    assert parse_from_client(f'{{"type":"jobs:ack","through":{through}}}') == Ack(through)


@pytest.mark.parametrize("through", ["-1", "9007199254740992", "1.0", "true", '"1"', "null"])
def test_ack_of_no_revision_is_refused(through):
    """A number that JSON readers do not agree on is no revision."""
    with pytest.raises(ProtocolError, match="revision"):
        parse_from_client(f'{{"type":"jobs:ack","through":{through}}}')


@given(cursors, filters)
def test_subscription_is_read_as_it_was_built(cursor, filter):
    """By message and by query, cursor and filter come over unchanged."""
    wanted = Subscribe(cursor, filter)
    read = parse_from_client(subscribe_message(cursor, filter))
    assert (read, read.filter.tag) == (wanted, filter.tag)
    assert parse_query(query_of(cursor, filter)) == wanted


def test_empty_query_asks_for_everything_from_the_start():
    """The plainest client says nothing and gets all."""
    assert parse_query("") == Subscribe(ZERO, EVERYTHING)
    assert query_of(ZERO, EVERYTHING) == ""


@pytest.mark.parametrize("since", ["", "x", "-1", "e1:-1", "e1:1:zz", "e1:9007199254740992", "7"])
def test_cursor_that_cannot_be_read_is_no_cursor(since):
    """Its bearer is not refused, but reset (FAULTS row 31)."""
    assert parse_query(f"since={since}").cursor == ZERO
    read = parse_from_client(json.dumps({"type": "jobs:subscribe", "since": since}))
    assert read == Subscribe(ZERO, EVERYTHING)


def test_query_may_repeat_a_field_and_asks_for_active():
    """Same field: or; different fields: and."""
    read = parse_query("type=a&type=b&stage=extract&active=1&unknown=7")
    assert read.filter == Filter.make(types=["a", "b"], stages=["extract"], active=True)
    assert not parse_query("active=0").filter.active


@pytest.mark.parametrize("query", ["id=..%2Fx", "id=", "&".join(["id=a"] * 1001)])
def test_bad_query_is_a_usage_error(query):
    """The shell answers it with 400."""
    with pytest.raises((UsageError, ValueError)):
        parse_query(query)


@given(st.text(max_size=200), st.floats(0, 9999))
def test_close_reason_says_when_to_reconnect(text, seconds):
    """The reason fits into a close frame; clients of this version and of 0.1.0 read the time."""
    reason = close_reason_with_retry(text, seconds)

    assert len(reason.encode()) <= 123
    assert retry_after_s(reason) == round(seconds, 1)
    old = re.search(r"come back in ([0-9]{1,4}(?:\.[0-9]{1,3})?) s\Z", reason)  # as 0.1.0 does
    assert old is not None
    assert float(old[1]) == round(seconds, 1)


def test_close_reason_of_an_old_hub_is_understood():
    """The reason that a hub of jobctl 0.1.0 sends still spreads the reconnects of its clients."""
    assert retry_after_s("the hub goes away; come back in 2.5 s") == 2.5


@pytest.mark.parametrize(
    "reason",
    [
        "",
        "too many messages",
        "others come in; come back",
        "the session failed; retry-after=3",
        "retry-after=",
        "retry-after=-1",
        "retry-after=nan",
        "retry-after=1e3",
        "retry-after=.5",
        "retry-after=5.",
        "retry-after=1.2.3",
        "retry-after=1_0",
        "retry-after=\u0663",
        "retry-after=\u00b2",
        "retry-after=10000",
        "come back in  s",
        "come back in 2.5 s or later",
    ],
)
def test_other_reasons_say_no_time(reason):
    """A reason without a usable number leaves the wait to the client's own backoff."""
    assert retry_after_s(reason) is None


def test_largest_and_negative_waits_stay_in_range():
    """A wait out of range is limited, so that every client can read the reason."""
    assert retry_after_s(close_reason_with_retry("x", -1)) == 0
    assert retry_after_s(close_reason_with_retry("x", 1e9)) == 9999.9


def test_a_delta_says_what_is_odd_in_files() -> None:
    """Beside the jobs, so that no key of a job is taken for it; left out where nothing is."""
    data = b'{"stage":"x","progress":140,"updatedAt":"2026-01-01T00:00:00Z","odd":["mine"]}'
    odd = parse(data, id="odd").replace(revision=4)
    message = delta_message(Delta("e1", 1, 4, (odd, JOB)), 1, [to_wire(odd), to_wire(JOB)])
    said = ["progress: 140 is read as 100"]
    assert json.loads(message)["odd"] == {"odd": {"remarks": said, "missing": ["createdAt"]}}
    read = parse_from_hub(message)
    assert isinstance(read, Delta)
    assert [[str(remark) for remark in job.remarks] for job in read.jobs] == [said, []]
    assert [job.elapsed_ms(10**13) is None for job in read.jobs] == [True, False]
    assert read.jobs[0].extra == {"odd": ["mine"]}
    assert b'"odd"' not in delta_message(Delta("e1", 1, 4, (JOB,)), 1, [to_wire(JOB)])
    for strange in (b"[]", b'{"odd":[3],"b":4}', b'{"odd":{"remarks":[3],"missing":["x",3]}}'):
        value = json.loads(message) | {"odd": json.loads(strange)}
        read = parse_from_hub(json.dumps(value))
        assert isinstance(read, Delta)
        assert read.jobs[0].remarks == ()


def test_files_in_quarantine_fit_into_a_message():
    """Those that do not are counted; names and reasons may hold anything."""
    reasons = {f"é{number}.json": "x" * 50 for number in range(40)}
    message = bad_files_message(reasons, 1000)
    assert 900 < len(message) <= 1000
    read = parse_from_hub(message)
    assert isinstance(read, BadFiles)
    assert read.omitted == 40 - len(read.reasons) > 20
    assert list(read.reasons) == sorted(reasons)[: len(read.reasons)]
    assert parse_from_hub(bad_files_message({}, 1000)) == BadFiles({})
    for odd in ('{"type":"jobs:bad"}', '{"type":"jobs:bad","files":{},"omitted":-1}'):
        with pytest.raises(ProtocolError, match="quarantine"):
            parse_from_hub(odd)
