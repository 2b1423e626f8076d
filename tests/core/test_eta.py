"""How long jobs usually take."""

from __future__ import annotations

from jobctl import api
from jobctl.core import transitions as jobs
from jobctl.core.eta import MAX_LEARNED, MIN_LEARNED, UsualDurations
from jobctl.core.job import Job
from jobctl.core.times import to_text
from jobctl.stores import open_store

START_MS = 1_767_225_600_000


def ended(number: int, took_s: float, type: str = "create_session", **more: object) -> Job:
    """A completed job that took so long."""
    made = jobs.create(type, now=to_text(START_MS), id=f"j{number}")
    done = jobs.complete(made, now=to_text(START_MS + round(took_s * 1000)))
    return done.replace(**more)


def running(type: str = "create_session") -> Job:
    """A job of the type that has not ended."""
    return jobs.create(type, now=to_text(START_MS), id="r")


def test_the_band_of_the_type_counts_until_enough_are_known() -> None:
    """Then it is the median and the 90th percentile."""
    usual = UsualDurations(ended(number, 10 + number) for number in range(MIN_LEARNED - 1))
    assert usual.band(running()) == (30_000, 120_000)
    usual.take([ended(99, 1000)])
    low, high = usual.band(running()) or (0, 0)
    assert low == 12_000
    assert 13_000 < high < 1_000_000
    assert usual.band(running("unknown")) is None
    assert usual.band(ended(1, 1)) is None


def test_failed_and_retried_jobs_say_nothing() -> None:
    """Nor does one that is told twice say more."""
    failed = [
        jobs.fail(running().replace(id=f"f{n}"), "x", now=to_text(START_MS + 1)) for n in range(9)
    ]
    retried = [ended(number, 1, retry_count=1) for number in range(9)]
    same = [ended(1, 1)] * 9
    assert UsualDurations([*failed, *retried, *same]).band(running()) == (30_000, 120_000)


def test_the_newest_count() -> None:
    """What a job takes changes with the program."""
    usual = UsualDurations(ended(number, 5) for number in range(MAX_LEARNED))
    usual.take(ended(1000 + number, 50) for number in range(MAX_LEARNED))
    assert usual.band(running()) == (50_000, 50_000)


def command(*argv: str) -> dict[str, object]:
    return {"run": {"argv": [*argv], "cwd": "/"}}


def test_commands_of_one_program_are_of_one_kind() -> None:
    """By program and first argument; what others run says nothing about it."""
    usual = UsualDurations(
        ended(n, took_s, "run", **command(*argv))
        for took_s, argv in (
            (1, ("make", "-j4", "test", "A=1")),
            (60, ("make", "all")),
            (9, ("ls",)),
        )
        for n in range(int(took_s) * 100, int(took_s) * 100 + MIN_LEARNED)
    )

    def band(*argv: str) -> object:
        return usual.band(running("run").replace(**command(*argv)))

    assert band("make", "test", "-k") == (1_000, 1_000)
    assert band("make", "all") == (60_000, 60_000)
    assert band("ls") == (9_000, 9_000)
    assert band("ls", "-l") == (9_000, 9_000)
    assert band("make") is None
    assert usual.band(running("run")) is None
    assert usual.band(running("run").replace(run={"exitCode": 0})) is None


def test_a_store_is_asked_for_what_changed_lately() -> None:
    """Not for all that it has ever held."""
    store = open_store("memory:")
    for number in range(api.RECENT):
        store.create(ended(number, 5))
    for number in range(api.RECENT):
        store.create(ended(1000 + number, 50))
    assert api.usual(store).band(running()) == (50_000, 50_000)
    assert UsualDurations(store.since(api.ZERO).jobs[:10]).band(running()) == (5_000, 5_000)
