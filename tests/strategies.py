"""Hypothesis generators: jobs with odd text and foreign keys, moves, filters, schedules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from jobctl.core import times
from jobctl.core import transitions as jobs
from jobctl.core.codec import parse_wire
from jobctl.core.filters import Filter
from jobctl.core.job import Job
from jobctl.core.pipeline import BUILT_IN, CANCELLED, COMPLETED, FAILED, PENDING

Move = Callable[[Job], Job]

T0 = "2026-01-01T00:00:00.000Z"
TYPES = (*BUILT_IN, "etl")
STAGES = (PENDING, "extract", "analyze", "generate", "finalize", COMPLETED, FAILED)
SESSIONS = (None, "s1", "s2")

ids = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}", fullmatch=True)
few_ids = st.sampled_from(["a1", "a2", "b1", "b2", "c1"])

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.sampled_from(
    [
        "\x00\x1b[2J\x1b]0;owned\x07\x9b31m",
        "\u202egnp.exe\u2066\u2069",
        "e\u0301\u00e9 \U0001f469\u200d\U0001f680 \u2028\u2029\ufeff",
        "[/x] [bold]</script><img src=x onerror=alert(1)>",
        '\\u0041 \\ " \r\n\t',
        "\ufffe\uffff\U0010ffff",
    ]
)
"""Any text that UTF-8 can hold, with what terminals, browsers and parsers stumble over."""

numbers = (
    st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([0, -1, 2**53, 2**63, 10**300, -0.0, 1e-300, 1.7976931348623157e308])
)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)
clock_times = st.integers(31_536_000_000, 4_102_444_800_000).map(times.to_text)
"""Times as jobctl writes them; those before 1971 stand for none."""
times = clock_times | st.sampled_from(
    ["2026-01-01T00:00:00Z", "2026-01-01T01:30:00.5+01:30", "2026-12-31T23:59:59.123456789-05:00"]
)

odd_clock_times = st.sampled_from(
    [f"2026-01-01T00:{minute:02d}:00.000Z" for minute in (0, 1, 2, 3, 29, 31)]
    + ["0001-01-01T00:00:00.000Z", "1970-01-01T00:00:00.000Z", "9999-12-31T23:59:59.000Z"]
    + ["2026-06-01T00:00:00.000Z"]
)
"""Few times, so that some are equal, with placeholders and one in the future."""

foreign_keys = st.dictionaries(
    text.filter(lambda key: key not in _OWN_KEYS and key != "revision"), json_values, max_size=3
)
"""What other programs keep in the same file."""

_steps = st.fixed_dictionaries(
    {"done": st.integers(0, 10**9) | st.floats(0, 1e9), "total": st.integers(1, 10**9)}
)
_OPTIONAL: dict[str, st.SearchStrategy[Any]] = {
    "sessionId": st.none() | text,
    "completedAt": st.none() | times,
    "stageStartedAt": st.none() | times,
    "error": st.none() | text,
    "retryCount": st.integers(0, 2**53 - 1),
    "resultSessionId": st.none() | text,
    "title": st.none() | text,
    "message": st.none() | text,
    "progress": st.none() | _steps | st.integers(0, 100) | st.floats(0, 100),
    "stages": st.none() | st.lists(text, max_size=5),
    "history": st.none()
    | st.lists(st.fixed_dictionaries({"stage": text, "at": times}), max_size=4),
    "result": json_values,
    "labels": st.none() | st.dictionaries(text, text, max_size=3),
    "cancelled": json_values,
    "acknowledged": json_values,
    "host": json_values,
    "user": json_values,
}
_OWN_KEYS = {"id", "type", "stage", "createdAt", "updatedAt", *_OPTIONAL}

runs = json_values | st.fixed_dictionaries(
    {"argv": st.lists(text, min_size=1, max_size=4), "cwd": text},
    optional={
        "env": st.dictionaries(text, text, max_size=2),
        "exact": st.booleans(),
        "exitCode": st.integers(0, 255),
        "signal": text,
        "durationMs": st.integers(0, 10**9),
        "maxRssBytes": st.integers(0, 10**15),
        "cpuMs": st.integers(0, 10**9),
        "stderr": st.lists(text, max_size=3),
        "ok": st.lists(st.integers(0, 255), max_size=3),
        "timeoutMs": st.integers(0, 10**9),
        "later": json_values,
    },
)
"""What the key ``run`` may hold: a command, or anything that another program puts there."""


@st.composite
def job_values(draw: st.DrawFn, **fixed: Any) -> dict[str, Any]:
    """A job as the JSON object of a file: any that shall be accepted, in any order of keys."""
    value = draw(
        st.fixed_dictionaries(
            {
                "id": ids,
                "type": st.sampled_from(TYPES) | text,
                "stage": st.sampled_from(STAGES) | text.filter(bool),
                "createdAt": times,
                "updatedAt": times,
            },
            optional=_OPTIONAL,
        )
    )
    value |= draw(foreign_keys) | fixed
    return dict(draw(st.permutations(list(value.items()))))


def stored_jobs(**fixed: Any) -> st.SearchStrategy[Job]:
    """Any job that a file may hold."""
    return job_values(**fixed).map(parse_wire)


labels = st.none() | st.dictionaries(
    st.sampled_from(["team", "app/name"]), st.sampled_from(["data", "a b=c", ""]), max_size=2
)


@st.composite
def new_jobs(draw: st.DrawFn) -> Job:
    """A job as jobctl creates it: built in, free, or with stages of its own."""
    return jobs.create(
        draw(st.sampled_from(TYPES)),
        now=T0,
        id=draw(few_ids),
        session_id=draw(st.sampled_from(SESSIONS)),
        title=draw(st.none() | text),
        stages=draw(st.none() | st.just(["fetch", "clean", "load"])),
        labels=draw(labels),
    )


stages = st.sampled_from([*STAGES, "fetch", "clean", "load", "launching rockets"])


@st.composite
def moves(draw: st.DrawFn) -> Move:
    """A transition, legal or not."""
    now = draw(clock_times)
    done, total = draw(st.integers(0, 100)), draw(st.none() | st.integers(1, 100))
    stage, message, force = draw(st.none() | stages), draw(st.none() | text), draw(st.booleans())
    result = draw(st.none() | json_values)
    kinds: list[Move] = [
        lambda job: jobs.advance(job, stage, now=now, force=force),
        lambda job: jobs.report(job, now=now, done=done, total=total, message=message),
        lambda job: jobs.complete(job, now=now, result=result),
        lambda job: jobs.fail(job, message or "", now=now),
        lambda job: jobs.retry(job, now=now),
        lambda job: jobs.cancel(job, now=now, by="anna", reason=message),
    ]
    return draw(st.sampled_from(kinds))


schedules = st.lists(moves(), max_size=12)
"""What may happen to one job, one after the other."""


def _few(values: tuple[str, ...]) -> st.SearchStrategy[frozenset[str]]:
    return st.just(frozenset()) | st.frozensets(st.sampled_from(values), min_size=1, max_size=2)


filters = st.builds(
    Filter,
    ids=st.just(frozenset()) | st.frozensets(few_ids, min_size=1, max_size=3),
    types=_few(TYPES),
    stages=_few((*STAGES, CANCELLED)),
    sessions=_few(("s1", "s2")),
    active=st.booleans(),
    labels=_few(("team=data", "team!=data", "app/name", "!team", "team=a b=c")),
)


@st.composite
def moved_jobs(draw: st.DrawFn) -> Job:
    """A job with a history, as programs leave it that write no history, or retry it themselves."""
    entry = st.fixed_dictionaries(
        {"stage": st.sampled_from(STAGES), "at": odd_clock_times},
        optional={"attempt": st.integers(0, 3) | st.sampled_from([None, "1", 1.5, True])},
    )
    history = draw(st.none() | st.lists(entry, max_size=6))
    told = st.fixed_dictionaries(
        {},
        optional={
            "at": odd_clock_times, "by": st.sampled_from(["anna", "", 3]),
            "reason": text, "attempt": st.integers(0, 3), "note": text,
        },
    )  # fmt: skip
    says = st.none() | st.booleans() | told | st.just([])
    owned = st.sampled_from([None, "4711-0123456789ab", "somebody", 5])
    fixed: dict[str, Any] = {
        "history": history, "stage": draw(st.sampled_from(STAGES)),
        "retryCount": draw(st.integers(0, 3)),
        "createdAt": draw(odd_clock_times), "updatedAt": draw(odd_clock_times),
        "completedAt": draw(st.none() | odd_clock_times),
        "stageStartedAt": draw(st.none() | odd_clock_times),
        "error": draw(st.none() | st.sampled_from(["boom", "Cancelled by user"])),
        "cancelled": draw(says), "acknowledged": draw(says), "owner": draw(owned),
        "stages": draw(st.none() | st.sampled_from([[], ["extract"], ["fetch", "analyze"]])),
    }  # fmt: skip
    return parse_wire(draw(job_values(**fixed)))
