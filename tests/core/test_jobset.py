"""The one read and the one apply: the delta rules, one by one."""

from __future__ import annotations

from typing import Any

import pytest

from jobctl.core import transitions as jobs
from jobctl.core.codec import parse
from jobctl.core.cursor import ZERO, Cursor
from jobctl.core.filters import EVERYTHING, Filter
from jobctl.core.job import Job
from jobctl.core.jobset import DAMAGED, Delta, Gone, JobSet, joined, version_hash
from jobctl.core.protocol import delta_message
from tests.strategies import T0

EXTRACT = Filter(stages=frozenset({"extract"}))
ETL = Filter(types=frozenset({"etl"}))
ACTIVE = Filter(active=True)


def job(id: str, revision: int, **fields: Any) -> Job:
    """A job as of a revision."""
    made = jobs.create("etl", now=T0, id=id)
    return made.replace(revision=revision, **fields)


def filled(*changes: Job | Gone, epoch: str = "e1", max_tombstones: int = 4096) -> JobSet:
    """A set that saw these changes, one by one."""
    made = JobSet(epoch, max_tombstones=max_tombstones)
    for change in changes:
        if isinstance(change, Gone):
            made.delete(change.id, change.revision)
        else:
            made.put(change)
    return made


def ids(delta: Delta) -> list[str]:
    """The jobs of a delta, in its order."""
    return [item.id for item in delta.jobs]


def gone(delta: Delta) -> list[str]:
    """What a delta takes away, in its order."""
    return [item.id for item in delta.gone]


def at(revision: int, filter: Filter = EVERYTHING, epoch: str = "e1") -> Cursor:
    """The cursor of a reader under the filter."""
    return Cursor(epoch, revision, filter.tag)


# -- one read ---------------------------------------------------------------------------------


def test_a_first_snapshot_is_all_that_is_there() -> None:
    """In the order of change; deletions are nothing to one who holds nothing."""
    source = filled(job("a", 1), job("b", 2), job("c", 3), job("a", 4), Gone("b", 5))
    delta = source.since(ZERO)
    assert (delta.epoch, delta.since, delta.through, delta.more) == ("e1", 0, 5, False)
    assert (ids(delta), gone(delta)) == (["c", "a"], [])


def test_a_read_is_what_changed_since() -> None:
    """Each job once, in its newest version; deletions as well."""
    source = filled(job("a", 1), job("b", 2), job("a", 3), job("a", 4), Gone("b", 5))
    delta = source.since(at(2))
    assert (delta.since, delta.through) == (2, 5)
    assert [(item.id, item.revision) for item in delta.jobs] == [("a", 4)]
    assert delta.gone == (Gone("b", 5),)


def test_a_read_of_nothing_new_is_empty() -> None:
    """And says nothing; the reader stays where it is."""
    delta = filled(job("a", 1)).since(at(1))
    assert (delta.since, delta.through, ids(delta), bool(delta)) == (1, 1, [], False)


def test_an_empty_delta_moves_the_reader_all_the_same() -> None:
    """Rule 1: everything up to through was sent, also when the filter let nothing pass."""
    source = filled(job("a", 1), job("b", 2, stage="extract"), job("a", 3))
    delta = source.since(at(2, EXTRACT), EXTRACT)
    assert (delta.jobs, delta.gone, delta.since, delta.through) == ((), (), 2, 3)


def test_a_deleted_job_that_returns_is_a_job() -> None:
    """Its tombstone is superseded."""
    source = filled(job("a", 1), Gone("a", 2), job("a", 3))
    assert (ids(source.since(at(1))), gone(source.since(at(1)))) == (["a"], [])
    assert (len(source), [item.id for item in source]) == (1, ["a"])


# -- rule 2: gone -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("filter", "before", "after"),
    [
        (EXTRACT, {"stage": "extract"}, {"stage": "analyze"}),
        (ACTIVE, {"stage": "extract"}, {"stage": "completed"}),
        (ETL, {"type": "etl"}, {"type": "other"}),
        (Filter(sessions=frozenset({"s"})), {"session_id": "s"}, {"session_id": None}),
    ],
    ids=["stage", "active", "type", "session"],
)
def test_a_job_that_leaves_the_filter_is_gone(
    filter: Filter, before: dict[str, Any], after: dict[str, Any]
) -> None:
    """To whoever stood before the change, and to nobody else."""
    source = filled(job("a", 1, **before), job("a", 2, **after), job("a", 3, **after))
    assert gone(source.since(at(1, filter), filter)) == ["a"]
    assert gone(source.since(at(2, filter), filter)) == []
    assert gone(source.since(ZERO, filter)) == []


def test_a_job_is_gone_only_if_a_field_of_the_filter_changed() -> None:
    """Rule 2: another field's change is no news to a reader that never held it."""
    source = filled(
        job("a", 1, type="other"), job("b", 2), job("a", 3, type="other", stage="extract")
    )
    delta = source.since(at(2, ETL), ETL)
    assert (delta.jobs, delta.gone, delta.through) == ((), (), 3)


def test_a_deletion_goes_to_all_but_filters_on_other_ids() -> None:
    """Nobody knows what the job was when it went."""
    source = filled(job("a", 1), job("b", 2), Gone("a", 3))
    assert gone(source.since(at(2, EXTRACT), EXTRACT)) == ["a"]
    mine, other = Filter(ids=frozenset({"a"})), Filter(ids=frozenset({"b"}))
    assert gone(source.since(at(2, mine), mine)) == ["a"]
    assert gone(source.since(at(2, other), other)) == []


def test_where_versions_were_merged_every_field_may_have_changed() -> None:
    """In between the job may have left the filter and come back to what it was not."""
    upstream = filled(job("a", 1, type="other"))
    replica = JobSet()
    assert replica.apply(upstream.since(ZERO))
    upstream.put(job("b", 2))
    assert replica.apply(upstream.since(replica.cursor))
    upstream.put(job("a", 3, type="etl"))
    upstream.put(job("a", 4, type="other"))
    assert replica.apply(upstream.since(replica.cursor))
    assert gone(replica.since(at(3, ETL), ETL)) == ["a"]


@pytest.mark.parametrize(
    ("merged", "told"), [(None, ["a"]), ({"a"}, ["a"]), ({"b"}, []), (set(), [])]
)
def test_a_delta_says_which_versions_it_merged(merged: set[str] | None, told: list[str]) -> None:
    """Of the others, a replica knows which fields changed, as the source does."""
    replica = filled(job("a", 1, type="other"), job("b", 2))
    newer = (job("a", 3, type="other", stage="extract"),)
    merged_ids = frozenset(merged) if merged is not None else None
    assert replica.apply(Delta("e1", 2, 3, newer, merged=merged_ids))
    assert gone(replica.since(at(2, ETL), ETL)) == told


def test_a_delta_alone_is_filtered_on_the_safe_side() -> None:
    """Whoever has only the delta calls every job that does not match gone."""
    source = filled(
        job("a", 1), job("b", 2), job("a", 3), job("b", 4, stage="extract"), Gone("c", 5)
    )
    delta = source.since(at(2)).filtered(EXTRACT)
    assert (ids(delta), gone(delta), delta.through) == (["b"], ["a", "c"], 5)
    assert gone(source.since(ZERO).filtered(EXTRACT)) == []
    other = source.since(at(2)).filtered(Filter(ids=frozenset({"z"})))
    assert (other.jobs, other.gone, other.through) == ((), (), 5)


def test_a_new_job_is_gone_for_nobody() -> None:
    """Rule 2: nobody held it. Else each new job would be told to all who asked for others."""
    source = filled(job("a", 1), job("b", 2, type="other"), job("b", 3, type="other"))
    delta = source.since(at(1, ETL), ETL)
    assert (delta.jobs, delta.gone, delta.through) == ((), (), 3)


def test_a_job_that_returned_as_another_is_gone_for_those_who_knew_it() -> None:
    """Those who stood before its deletion, since its tombstone is superseded; not those after."""
    source = filled(job("a", 1), job("b", 2), Gone("a", 3), job("c", 4), job("a", 5, type="other"))
    assert gone(source.since(at(2, ETL), ETL)) == ["a"]
    assert gone(source.since(at(3, ETL), ETL)) == []


# -- resets -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cursor",
    [
        ZERO,
        Cursor("e2", 2),
        Cursor("e1", 4),
        Cursor("e1", 2**53 - 1),
        Cursor("e1", 2, EXTRACT.tag),
    ],
    ids=["zero", "another epoch", "the future", "the far future", "another filter"],
)
def test_a_cursor_that_says_nothing_here_is_reset(cursor: Cursor) -> None:
    """FAULTS row 31: in the open, with since = 0 and all that there is."""
    source = filled(job("a", 1), job("b", 2), Gone("a", 3))
    delta = source.since(cursor)
    assert (delta.since, delta.through, ids(delta), gone(delta)) == (0, 3, ["b"], [])
    assert delta


def test_a_reset_clears_first() -> None:
    """What the reader held of another epoch is not there any more."""
    replica = filled(job("x", 7), epoch="e0")
    assert replica.apply(filled(job("a", 1)).since(replica.cursor))
    assert (replica.epoch, [item.id for item in replica], replica.revision) == ("e1", ["a"], 1)
    assert gone(replica.since(at(0))) == []


def test_a_reset_of_an_empty_set_is_still_a_reset() -> None:
    """Nothing is an answer too."""
    replica = filled(job("x", 7), epoch="e0")
    assert replica.apply(JobSet("e1").since(replica.cursor))
    assert (len(replica), replica.cursor) == (0, Cursor("e1", 0))


# -- one apply --------------------------------------------------------------------------------


def test_a_gap_is_refused() -> None:
    """And nothing is done."""
    source = filled(job("a", 1), job("b", 2), job("c", 3))
    replica = filled(job("a", 1))
    assert not replica.apply(source.since(at(2)))
    assert (replica.cursor, len(replica)) == (at(1), 1)


def test_a_delta_is_applied_once() -> None:
    """The second time it does not continue us."""
    source = filled(job("a", 1), job("b", 2))
    replica = filled(job("a", 1))
    delta = source.since(at(1))
    assert replica.apply(delta)
    source.delete("b", 3)
    assert replica.apply(source.since(replica.cursor))
    assert not replica.apply(delta)
    assert [item.id for item in replica] == ["a"]


def test_a_delta_of_another_epoch_is_refused() -> None:
    """Also one that begins where we stand."""
    replica = filled(job("a", 1))
    assert not replica.apply(Delta("e2", 1, 2, (job("a", 2),)))
    assert replica.cursor == at(1)


def test_a_deletion_before_its_job_in_one_delta_is_no_deletion() -> None:
    """The changes of a delta are taken in their order, whichever list they stand in."""
    replica = filled(job("a", 1))
    assert replica.apply(
        Delta("e1", 1, 5, (job("a", 5), job("b", 3)), (Gone("a", 4), Gone("b", 2)))
    )
    assert sorted(item.id for item in replica) == ["a", "b"]


# -- tombstones and the floor -----------------------------------------------------------------


def test_dropped_tombstones_raise_the_floor() -> None:
    """A cursor below it gets a reset, one at it the difference."""
    source = filled(
        *(job(f"j{n}", n) for n in range(1, 8)),
        *(Gone(f"j{n}", 10 + n) for n in range(1, 6)),
        max_tombstones=2,
    )
    assert source.floor == 13
    assert source.since(at(12)).since == 0
    delta = source.since(at(13))
    assert (delta.since, gone(delta)) == (13, ["j4", "j5"])
    assert len(source) == 2


def test_only_deletions_raise_the_floor() -> None:
    """However many versions a job had: a reader of long ago gets its newest."""
    source = filled(*(job("a", n) for n in range(1, 10_000)), max_tombstones=2)
    assert source.floor == 0
    delta = source.since(at(1))
    assert (delta.since, [item.revision for item in delta.jobs]) == (1, [9999])


def test_the_order_stays_as_short_as_what_it_orders() -> None:
    """Superseded lines go, so that memory and reads cost what is there."""
    source = filled(*(job(f"j{n % 3}", n) for n in range(1, 10_000)))
    assert source.changed_since(0) <= 2 * 3 + 64
    assert source.changed_since(9999) == 0


def test_a_load_with_tombstones_resumes_whoever_the_source_would() -> None:
    """So a hub that starts again resets nobody."""
    source = filled(job("a", 1), job("b", 2), job("c", 3), Gone("a", 4))
    copy = JobSet()
    assert copy.apply(source.since(ZERO, tombstones=True))
    delta = copy.since(at(2))
    assert (delta.since, ids(delta), gone(delta)) == (2, ["c"], ["a"])


def test_the_floor_travels_with_the_load() -> None:
    """What the source has forgotten, its copy does not know either."""
    source = filled(
        job("a", 1), *(Gone(f"x{n}", n) for n in range(2, 8)), job("b", 8), max_tombstones=2
    )
    copy = JobSet()
    assert copy.apply(source.since(ZERO, tombstones=True))
    assert copy.floor == source.floor > 1
    assert copy.since(at(1)).since == 0


def test_a_later_floor_travels_with_an_update() -> None:
    """The copy's tombstones may outlive the source's, but promises are kept to the stricter."""
    copy = filled(job("a", 1))
    assert copy.apply(Delta("e1", 1, 9, (), (Gone("a", 9),), floor=5))
    assert copy.floor == 5
    assert copy.since(at(3)).since == 0


# -- rule 3: pages ----------------------------------------------------------------------------


def pages(source: JobSet, filter: Filter = EVERYTHING, *, limit: int) -> list[Delta]:
    """A whole snapshot, page by page."""
    got = [source.since(ZERO, filter, limit=limit)]
    while got[-1].more:
        cursor, snapshot_start = got[-1].cursor(filter), got[-1].snapshot_start
        got.append(source.since(cursor, filter, limit=limit, snapshot_start=snapshot_start))
    return got


def test_pages_are_bounded_and_follow_each_other() -> None:
    """In ascending revision; the last says that it is the last."""
    source = filled(*(job(f"j{n}", n, message="x" * 50) for n in range(1, 21)))
    size = len(source.wire("j1"))
    got = pages(source, limit=5 * size + 20)
    assert len(got) == 4
    assert [delta.since for delta in got] == [0, *(delta.through for delta in got[:-1])]
    assert [id for delta in got for id in ids(delta)] == [f"j{n}" for n in range(1, 21)]
    for delta in got:
        assert sum(len(source.wire(id)) for id in ids(delta)) <= 5 * size + 20


def test_one_job_always_fits() -> None:
    """Or a reader would never pass it."""
    source = filled(*(job(f"j{n}", n) for n in range(1, 4)))
    got = pages(source, limit=1)
    assert [ids(delta) for delta in got] == [["j1"], ["j2"], ["j3"]]


@pytest.mark.parametrize("bound", [{"limit": 1}, {"max_examined": 1}], ids=["limit", "looks"])
@pytest.mark.parametrize("filter", [EVERYTHING, ETL], ids=["all", "etl"])
def test_jobs_that_share_a_revision_share_a_page(bound: dict[str, int], filter: Filter) -> None:
    """FAULTS row 63: no cursor names a place between them, so the rest would be lost."""
    source = filled(job("a", 1), job("b", 2), *(job(f"c{number}", 3) for number in range(4)))
    source.put(job("d", 4))
    read, page = [], source.since(ZERO, filter, **bound)
    read.append(ids(page))
    while page.more:
        page = source.since(
            page.cursor(filter), filter, snapshot_start=page.snapshot_start, **bound
        )
        read.append(ids(page))
    assert [page for page in read if page] == [["a"], ["b"], ["c0", "c1", "c2", "c3"], ["d"]]


def test_joined_pages_say_what_one_delta_would() -> None:
    """The newest word on each id; where several pages speak of one, versions were merged."""
    first = Delta("e1", 2, 5, (job("a", 3), job("b", 4)), (Gone("c", 5),), True, 1, frozenset("b"))
    second = Delta("e1", 5, 9, (job("c", 7),), (Gone("a", 6),), False, 2, frozenset("d"))
    whole = joined([first, second])
    assert (whole.since, whole.through, whole.more, whole.floor) == (2, 9, False, 2)
    assert (ids(whole), gone(whole)) == (["b", "c"], ["a"])
    assert whole.merged == frozenset("abcd")
    assert joined([first]) is first
    assert joined([first._replace(merged=None), second]).merged is None


def test_deletions_fill_pages_too() -> None:
    """Ten thousand of them are no single message."""
    source = filled(job("a", 1), *(Gone(f"x{n:04}", n) for n in range(2, 102)))
    delta = source.since(at(1), limit=260)
    assert (len(delta.gone), delta.more) == (10, True)


def test_a_filter_that_lets_little_pass_takes_few_pages() -> None:
    """What is not sent costs nothing, and the reader moves over it."""
    source = filled(*(job(f"j{n}", n) for n in range(1, 100)), job("last", 100, stage="extract"))
    (delta,) = pages(source, EXTRACT, limit=1000)
    assert (ids(delta), delta.through) == (["last"], 100)


def test_a_reader_is_not_reset_while_it_pages_its_snapshot() -> None:
    """The floor is checked against where the snapshot began, or it would be so for ever."""
    source = filled(*(job(f"j{n}", n) for n in range(1, 11)), max_tombstones=1)
    for n in range(1, 6):
        source.delete(f"j{n}", 10 + n)
    first = source.since(ZERO, limit=1)
    assert (ids(first), first.more, source.floor > first.through) == (["j6"], True, True)
    assert (
        source.since(first.cursor(), limit=1, snapshot_start=first.snapshot_start).since
        == first.through
    )
    assert source.since(first.cursor(), limit=1).since == 0


def test_what_a_reader_cannot_hold_yet_is_not_gone() -> None:
    """Deleted before the snapshot began: it was never sent. Deleted since: it may have been."""
    source = filled(job("a", 1), job("b", 2), job("c", 3), Gone("b", 4))
    first = source.since(ZERO, limit=1)
    assert ids(first) == ["a"]
    source.delete("a", 5)
    second = source.since(first.cursor(), snapshot_start=first.snapshot_start)
    assert (ids(second), gone(second)) == (["c"], ["a"])


def test_a_job_that_left_before_the_page_ends_is_gone_with_it() -> None:
    """Though its newest version comes after the page, where nobody would ask when it left.

    Otherwise a reader that lags by more than one page keeps it for ever.
    """
    source = filled(job("a", 1, stage="extract"), job("b", 2, stage="extract"))
    source.put(job("a", 3, stage="analyze"))
    source.put(job("b", 4, stage="extract", message="m"))
    source.put(job("c", 5, stage="extract"))
    source.put(job("a", 6, stage="analyze", message="m"))
    first = source.since(at(2, EXTRACT), EXTRACT, limit=500)
    assert (ids(first), first.through, first.more) == (["b"], 4, True)
    second = source.since(first.cursor(EXTRACT), EXTRACT, limit=500)
    assert ids(second) == ["c"]
    assert gone(first) + gone(second) == ["a"]
    assert all(first.since < item.revision <= first.through for item in first.gone)


def test_more_than_a_page_of_gone_is_a_reset() -> None:
    """To start over is shorter than to name them all."""
    source = filled(*(job(f"j{n}", n, stage="extract") for n in range(1, 101)))
    for n in range(1, 101):
        source.put(job(f"j{n}", 100 + n, stage="analyze"))
    assert len(source.since(at(100, EXTRACT), EXTRACT, limit=3000).gone) == 100
    assert source.since(at(100, EXTRACT), EXTRACT, limit=300).since == 0


@pytest.mark.parametrize("filter", [EVERYTHING, EXTRACT, ACTIVE, Filter(ids=frozenset({"last"}))])
def test_pages_may_be_bounded_by_the_work_for_them(filter: Filter) -> None:
    """Some are empty then, and together they are what one is."""
    source = filled(*(job(f"j{n}", n) for n in range(1, 100)), job("last", 100, stage="extract"))
    whole, found, cursor, snapshot_start = source.since(ZERO, filter), list[str](), ZERO, 0
    for _ in range(20):
        page = source.since(
            cursor, filter, limit=10_000, max_examined=7, snapshot_start=snapshot_start
        )
        assert len(page.jobs) <= 7
        found, cursor, snapshot_start = found + ids(page), page.cursor(filter), page.snapshot_start
        if not page.more:
            break
    assert (found, cursor) == (ids(whole), whole.cursor(filter))


def test_who_lags_further_than_a_page_may_look_is_reset() -> None:
    """What is gone would have to be looked for to the very head."""
    source = filled(*(job(f"j{n}", n, stage="extract") for n in range(1, 21)))
    assert source.since(at(10, EXTRACT), EXTRACT, max_examined=10).since == 10
    assert source.since(at(9, EXTRACT), EXTRACT, max_examined=10).since == 0
    assert source.since(at(9), max_examined=10).since == 9


def test_a_reader_that_pages_slowly_is_not_reset_for_what_it_was_told() -> None:
    """Each page says all that is gone, so the tombstones before it may be forgotten."""
    source = filled(*(job(f"j{n}", n, stage="extract") for n in range(1, 21)), max_tombstones=1)
    delta = source.since(ZERO, EXTRACT, limit=100)
    held, head = set(ids(delta)), 20
    while delta.more:
        for _ in range(2):
            head += 1
            source.delete(f"j{head - 20}", head)
        since = delta.cursor(EXTRACT)
        delta = source.since(since, EXTRACT, limit=100, snapshot_start=delta.snapshot_start)
        assert delta.since == since.revision
        held = (held | set(ids(delta))) - set(gone(delta))
    assert source.floor > 20
    assert held == {item.id for item in source}


def test_a_replica_passes_on_that_it_moved() -> None:
    """Rule 1, through another: also over revisions that burned."""
    replica = filled(job("a", 1))
    assert replica.apply(Delta("e1", 1, 9))
    assert replica.since(at(1)).through == 9


def test_a_job_without_a_command_has_one_encoding_for_all_readers() -> None:
    """And one with a command has two, each made once, until the job changes."""
    command = {"argv": ["sh", "-c", "x"], "cwd": "/", "env": {"KEY": "secret"}}
    source = filled(job("a", 1), job("b", 2, run=command))
    assert source.wire("a") is source.wire("a", details=True)
    for details in (True, False):
        assert source.wire("b", details=details) is source.wire("b", details=details)
        assert (b"argv" in source.wire("b", details=details)) is details
        assert b"secret" not in source.wire("b", details=details)
    source.put(job("b", 3, run={**command, "exitCode": 2}))
    for details in (True, False):
        assert b'"exitCode":2' in source.wire("b", details=details)
    source.delete("b", 4)
    with pytest.raises(KeyError):
        source.wire("b")
    assert source.digest() == filled(job("a", 1)).digest()


def test_a_page_encodes_each_job_once() -> None:
    """And once more when it has changed."""
    source = filled(job("a", 1))
    assert source.wire("a") is source.wire("a")
    source.put(job("a", 2))
    assert b'"revision":2' in source.wire("a")
    for id in ("b", "x"):
        source.delete("b", 3)
        with pytest.raises(KeyError):
            source.wire(id)


def test_digest_stands_for_the_present_versions_only() -> None:
    """A job's older version and a deleted job leave no trace in it."""
    walked, fresh = JobSet("e"), JobSet("e")
    for revision, id in enumerate(["a", "b", "a", "c", "a"], 1):
        walked.put(job(id, revision))
    walked.delete("b", 6)
    for id, revision in (("c", 4), ("a", 5)):
        fresh.put(job(id, revision))
    assert (
        walked.digest() == fresh.digest() == f"{version_hash('a', 5) ^ version_hash('c', 4):016x}"
    )


def test_a_page_counts_what_is_odd_in_its_files() -> None:
    """The message that has both is as large as asked for."""
    replica = JobSet("e", opaque=True)
    keys = ",".join(f'"k{n}":NaN' for n in range(20))
    for number in range(20):
        job = parse(f'{{"stage":"x",{keys}}}'.encode(), id=f"a{number}", revision=number + 1)
        assert len(job.remarks) == 20
        replica.put(job)
    delta = replica.since(ZERO, limit=10_000)
    assert 1 < len(delta.jobs) < 10
    wires = [replica.wire(job.id) for job in delta.jobs]
    assert len(delta_message(delta, 0, wires)) < 10_300


def test_gone_says_why() -> None:
    """A deletion, a damaged file and a filter are different things to whoever waits for a job."""
    source = filled(job("a", 1), job("b", 2), job("c", 3), job("d", 4))
    source.delete("a", 5)
    source.delete("b", 6, DAMAGED + "not JSON")
    source.put(job("c", 7, stage="extract"))
    chosen = Filter.make(stages=["load"])
    start = Cursor("e1", 4, chosen.tag)
    assert [(item.id, item.why) for item in source.since(start, chosen).gone] == [
        ("a", "removed"),
        ("b", "damaged: not JSON"),
        ("c", "filtered"),
    ]
    copy = JobSet(source.epoch)
    assert copy.apply(source.since(ZERO, tombstones=True))
    whole = copy.since(Cursor("e1", 4)).gone
    assert [(item.id, item.damage) for item in whole] == [("a", None), ("b", "not JSON")]
    source.put(job("b", 8))
    source.delete("b", 9)
    assert source.since(Cursor("e1", 8)).gone == (Gone("b", 9),)
