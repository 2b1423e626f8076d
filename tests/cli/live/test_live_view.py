"""The rules of the live view: order, selection, search, questions."""

from __future__ import annotations

import time

import pytest

from jobctl.cli.live import Act
from jobctl.cli.live.question import VOID_MS
from jobctl.cli.text import width
from jobctl.core.eta import UsualDurations
from jobctl.core.job import Job
from jobctl.core.pipeline import Pipelines, parse_types
from jobctl.core.times import to_text
from jobctl.core.transitions import advance, complete, create, fail, report, retry
from jobctl.reader.status import Status
from tests.cli.live.jobs import DEAD, NOW_MS, Shown, some_jobs

HOUR_MS = 3_600_000


def at(ago_ms: int) -> str:
    """A time before now."""
    return to_text(NOW_MS - ago_ms)


def pending(id: str, ago_ms: int = 5000, **values: str) -> Job:
    """A job that waits."""
    return create("etl", now=at(ago_ms), id=id, **values)  # type: ignore[arg-type]


def running(id: str, ago_ms: int = 5000, type: str = "etl", **values: str) -> Job:
    """A job at work."""
    stages = ("load", "save") if type == "etl" else None
    job = create(type, now=at(ago_ms), id=id, stages=stages, **values)  # type: ignore[arg-type]
    return advance(job, now=at(ago_ms))


def failed(id: str, ago_ms: int = 5000, **values: str) -> Job:
    """A job that failed then."""
    return fail(running(id, ago_ms + 1000, **values), "it broke", now=at(ago_ms))


def done(id: str, ago_ms: int = 5000) -> Job:
    """A job that completed then."""
    return complete(running(id, ago_ms + 1000), now=at(ago_ms))


# -- order ------------------------------------------------------------------------------------


def test_trouble_comes_first_and_what_ended_last() -> None:
    """Failed and lost, stalled, running, pending, ended; each newest first."""
    shown = Shown(
        [
            done("aaaaaaa1", 1000),
            done("aaaaaaa2", 500),
            pending("bbbbbbb1"),
            running("ccccccc1", 9000),
            running("ccccccc2", 8000),
            running("ddddddd1", 70_000, type="create_session"),
            failed("eeeeeee1", 3000),
            running("eeeeeee2", 2000).replace(owner=DEAD),
            failed("aaaaaaa3", 25 * HOUR_MS),
        ]
    )
    shown.die(DEAD)
    assert shown.ids() == [
        "eeeeeee2", "eeeeeee1", "ddddddd1", "ccccccc2", "ccccccc1", "bbbbbbb1",
        "aaaaaaa2", "aaaaaaa1", "aaaaaaa3",
    ]  # fmt: skip


def test_of_500_jobs_with_68_failures_the_first_screen_has_failures() -> None:
    """Nobody has to look for them."""
    jobs = [failed(f"f{n:07}", 1000 * n) for n in range(68)]
    jobs += [done(f"d{n:07}", 10 * n) for n in range(432)]
    rows = Shown(jobs).text()[1:-2]
    assert all("failed" in row for row in rows)


def test_a_failure_is_trouble_for_a_day() -> None:
    """Time alone moves it, at the time that the view named."""
    shown = Shown([failed("failed01", 23 * HOUR_MS), running("running1", 2 * HOUR_MS)])
    assert shown.ids() == ["failed01", "running1"]
    while shown.ids() == ["failed01", "running1"]:
        due_ms = shown.live.next_change_ms(shown.now_ms)
        assert due_ms is not None
        assert shown.now_ms < due_ms <= NOW_MS + HOUR_MS
        shown.now_ms = due_ms
    assert shown.now_ms == NOW_MS + HOUR_MS
    assert shown.ids() == ["running1", "failed01"]


def test_a_lost_job_is_trouble_for_a_day_or_until_it_is_acknowledged() -> None:
    """Then it is listed with the stalled jobs, or with those that have ended."""
    lost = running("lostold1", 25 * HOUR_MS).replace(owner=DEAD)
    noted = running("lostack1", 5000).replace(owner=DEAD, acknowledged={"attempt": 0})
    stalled = running("stalled1", 70_000, type="create_session")
    shown = Shown([lost, noted, stalled, running("running1", 10), failed("failed01", HOUR_MS)])
    shown.die(DEAD)
    assert shown.ids() == ["failed01", "stalled1", "lostold1", "running1", "lostack1"]


def test_a_job_stalls_by_itself() -> None:
    """And nothing is repainted before."""
    shown = Shown([running("running1", 1000), running("slowjob1", 50_000, type="create_session")])
    assert shown.ids() == ["running1", "slowjob1"]
    shown.now_ms += 10_001
    assert shown.ids() == ["slowjob1", "running1"]
    assert "stalled: " not in shown.text()[2]
    assert "stalled" in shown.text()[1]
    assert "1 running · 1 stalled" in shown.text()[-2]


def test_changes_of_a_job_do_not_accumulate() -> None:
    """A job may report its progress for days: when it stalls is noted once for each stage."""
    job = running("slowjob1", 1000, type="create_session")
    shown = Shown([job])
    for percent in range(100):
        shown.put(job.replace(progress=percent))
        shown.ids()
    assert len(shown.live._due) == 1


def test_a_child_that_failed_brings_its_family_to_the_top() -> None:
    """Below its parent, as everywhere."""
    parent = running("parent01", 9000)
    child = failed("child001", 10).replace(extra={"parent": "parent01"})
    other = running("child002", 20).replace(extra={"parent": "parent01"})
    shown = Shown([running("alone001", 100), parent, child, other])
    assert shown.ids() == ["parent01", "child001", "child002", "alone001"]
    assert "  child001" in shown.text()[2]


def test_all_jobs_are_listed_and_since_limits_the_ended_ones() -> None:
    """There is no more "53 more" that nobody can reach."""
    jobs = [done("ended001", HOUR_MS), done("ended002", 3 * HOUR_MS), running("running1")]
    assert Shown(jobs).ids() == ["running1", "ended001", "ended002"]
    assert Shown(jobs, since_ms=NOW_MS - 2 * HOUR_MS).ids() == ["running1", "ended001"]


def test_new_shows_what_starts_from_now_on() -> None:
    """Jobs that were made since, and attempts that began since."""
    old = failed("retried1", 60_000)
    shown = Shown([running("running1"), done("ended001"), old], new_since_ms=NOW_MS)
    assert shown.ids() == []
    shown.put(retry(old, now=to_text(NOW_MS + 10)), pending("newjob01", -20))
    assert sorted(shown.ids()) == ["newjob01", "retried1"]


def test_a_removed_job_leaves_the_list() -> None:
    """And the counts."""
    shown = Shown([running("running1"), done("ended001")])
    shown.remove("running1")
    assert shown.ids() == ["ended001"]
    assert shown.text()[-2].split() == ["1", "completed"]


def test_everything_comes_again_without_an_empty_screen_in_between() -> None:
    """A reset in pages: the rows stay until all is read."""
    shown = Shown([running("running1"), failed("failed01")])
    whole = shown.jobs.since(shown.jobs.cursor._replace(revision=0))
    first = whole._replace(since=0, through=1, jobs=whole.jobs[:1], more=True)
    rest = whole._replace(since=1, jobs=whole.jobs[1:])
    shown.frame()
    shown._take(first)
    assert shown.ids() == ["failed01", "running1"]
    shown._take(rest)
    assert shown.ids() == ["failed01", "running1"]


def test_a_type_that_did_not_succeed_in_time_is_named_above_the_list() -> None:
    """From the moment on at which it is overdue, until it succeeds."""
    every = {"etl": "1h", "never": "2h"}
    tables = {type: {"expect-every": text, "grace": "0s"} for type, text in every.items()}
    types = parse_types({type: (table, "f") for type, table in tables.items()})
    shown = Shown(
        [done("done0001", HOUR_MS - 1000)],
        usual=UsualDurations(pipelines=Pipelines(types)),
        expected=["etl", "never"],
    )
    assert "overdue" not in "".join(shown.text())
    due_ms = shown.live.next_change_ms(shown.now_ms)
    assert due_ms is not None
    assert due_ms <= NOW_MS + 1001
    shown.now_ms = due_ms
    assert shown.text()[0].startswith("etl is overdue: last success 1h00m ago, expected every 1h")
    assert "1 overdue" in shown.text()[-2]
    shown.now_ms += 2 * HOUR_MS
    assert [row.split()[0] for row in shown.text(80, 24)[:2]] == ["etl", "never"]
    assert shown.text(80, 8)[0].startswith("2 types are overdue")
    shown.put(done("done0002", -2 * HOUR_MS))
    assert "never is overdue" in shown.text()[0]
    assert "etl is overdue" not in "".join(shown.text())


# -- the last rows ----------------------------------------------------------------------------


def test_the_counts_are_of_each_kind() -> None:
    """Each job is of one kind."""
    shown = Shown(
        [
            *(running(f"running{n}") for n in range(3)),
            running("stalled1", 70_000, type="create_session"),
            running("lostjob1").replace(owner=DEAD),
            failed("failed01"),
            failed("failed02", 48 * HOUR_MS),
            *(done(f"done{n:04}") for n in range(480)),
        ]
    )
    shown.die(DEAD)
    expected = "3 running · 1 stalled · 1 lost · 2 failed · 480 completed"
    assert shown.text()[-2].startswith(expected)


def test_one_is_said_as_one_and_nothing_as_nothing() -> None:
    """No "0 failed"."""
    assert Shown([pending("pending1")]).text()[-2].split() == ["1", "pending"]
    empty = Shown().text()
    assert empty[1].startswith("no jobs yet in /home/ada")
    assert empty[-2].strip() == ""


def test_the_state_and_the_keys_are_in_the_last_row() -> None:
    """As room permits."""
    shown = Shown([pending("pending1")])
    assert shown.text(100)[-1].startswith("live: /home/ada/.local/state/jobctl (no hub)")
    assert shown.text(100)[-1].endswith("? help")
    assert shown.text(40)[-1].endswith("? help")
    shown.view.take_status(Status("error", "hub", "ws://h", "nobody listens", 2.5), NOW_MS)
    assert shown.text(20, 4)[-1].startswith("error: ws://h")
    assert shown.live.next_change_ms(NOW_MS) == NOW_MS + 1000


# -- selection --------------------------------------------------------------------------------


def test_the_selection_stays_on_its_job_while_the_order_changes() -> None:
    """And on its row of the screen, where that is possible."""
    shown = Shown(some_jobs(60))
    shown.frame()
    shown.press("j", "j", "j", "j", "j")
    before = shown.selected()
    row = shown.text().index(before)
    shown.put(failed("newfail1", 0))
    assert shown.selected() == before
    assert shown.text().index(before) in (row, row + 1)
    assert shown.press("home") is None
    assert "newfail1" in shown.selected()


def test_without_a_selection_the_top_is_shown() -> None:
    """So that new trouble is seen."""
    shown = Shown(some_jobs(60))
    assert shown.selected() == ""
    shown.put(failed("newfail1", 0))
    assert "newfail1" in shown.text()[1]


@pytest.mark.parametrize(
    ("keys", "row"),
    [
        (["j"], 0), (["down", "down"], 1), (["j", "j", "k"], 0), (["pgdn"], 21), (["end"], 59),
        (["G", "g"], 0), (["end", "pgup"], 59 - 21), (["home", "up"], 0), (["G", "j"], 59),
    ],
)  # fmt: skip
def test_keys_move_the_selection(keys: list[str], row: int) -> None:
    """Never beyond the ends; the selected row is on the screen."""
    shown = Shown(some_jobs(60))
    places = [id for id, _ in shown.live._order.places()]
    shown.frame()
    order = shown.ids(rows=100)
    shown.frame()
    for key in keys:
        shown.press(key)
        shown.frame()
    assert order[row] in shown.selected(), (row, places)


def test_a_selected_job_that_is_removed_gives_way_to_its_neighbour() -> None:
    """The selection does not jump to the top."""
    shown = Shown([running(f"running{n}", 1000 * n) for n in range(5)])
    shown.frame()
    shown.press("j", "j", "j")
    assert "running2" in shown.selected()
    shown.remove("running2")
    assert "running3" in shown.selected()


# -- choosing ---------------------------------------------------------------------------------


def test_f_shows_failures_only_and_a_all_again() -> None:
    """Lost jobs have failed too, as far as their users can tell."""
    shown = Shown([failed("failed01"), running("lostjob1").replace(owner=DEAD), done("done0001")])
    shown.die(DEAD)
    shown.press("f")
    assert sorted(shown.ids()) == ["failed01", "lostjob1"]
    assert shown.text()[-2].startswith("failures only · ")
    shown.put(failed("failed02"))
    assert "failed02" in shown.ids()
    shown.press("a")
    assert "done0001" in shown.ids()


@pytest.mark.parametrize(
    "text", ["one00", "ETL2", "zürich", "part 7", "it broke", "team=data", "etl2 zürich"]
)
def test_the_search_looks_at_what_people_know(text: str) -> None:
    """Id, type, title, message, error, labels; with each character, in either case."""
    job = create("etl2", now=at(5000), id="one00001", title="Zürich", labels={"team": "data"})
    job = report(
        advance(job, "load", now=at(5000), force=True), now=at(10), done=1, message="part 7"
    )
    job = job.replace(error="it broke")
    shown = Shown([job, running("other001", title="Bern")])
    shown.press("/", *text)
    assert shown.ids() == ["one00001"]
    assert shown.text()[-1].startswith(f"/{text}_")
    assert shown.text()[-1].endswith("1 found")
    shown.press("enter")
    assert shown.ids() == ["one00001"]
    assert shown.press("esc") is None
    assert shown.ids() == ["one00001", "other001"]


def test_esc_clears_a_search_that_is_being_typed() -> None:
    """And so does erasing it; ``q`` is a character there."""
    shown = Shown([running("running1"), running("other001", title="quartz")])
    assert shown.press("/", "q", "u") is None
    assert shown.ids() == ["other001"]
    shown.press("backspace", "x")
    assert shown.ids() == []
    assert 'nothing found for "qx"' in shown.text()[1]
    shown.press("esc")
    assert sorted(shown.ids()) == ["other001", "running1"]
    assert shown.press("q") == Act("quit")


def test_a_job_that_comes_to_match_is_listed() -> None:
    """The search goes on while jobs change."""
    job = running("running1")
    shown = Shown([job])
    shown.press("/", *"half", "enter")
    assert shown.ids() == []
    shown.put(report(job, now=at(0), done=50, message="half"))
    assert shown.ids() == ["running1"]


# -- one job ----------------------------------------------------------------------------------


def test_enter_shows_one_job_live_with_the_end_of_its_log() -> None:
    """Esc, backspace and q lead back."""
    job = running("running1", title="Export")
    shown = Shown([job, running("other001", 9000)])
    shown.press("j", "enter")
    assert shown.live.detail_id == "running1"
    text = "\n".join(shown.text())
    assert "title           Export" in text
    assert "timeline" in text
    shown.live.set_log("other001", ["not mine"])
    shown.live.set_log("running1", [f"line {n}" for n in range(100)], "12 kB")
    shown.put(fail(job, "it\nbroke", now=at(0)))
    rows = shown.text()
    assert "log: 12 kB" in "\n".join(rows)
    assert rows[-3].startswith("line 99")
    assert any("it\\nbroke" in row for row in rows)
    for key in ("esc", "backspace", "q"):
        assert shown.press(key) is None
        assert shown.live.detail_id is None
        shown.press("enter")
    shown.remove("running1")
    assert "is gone" in shown.text()[0]


def test_help_names_the_keys_and_any_key_leaves_it() -> None:
    """Also ``q``, which ends nothing here."""
    shown = Shown([running("running1")])
    shown.press("?")
    assert any("search" in row for row in shown.text())
    assert shown.press("q") is None
    assert shown.ids() == ["running1"]


# -- questions --------------------------------------------------------------------------------


def test_a_question_names_the_job_and_only_y_acts() -> None:
    """Id, title and command; the act belongs to the attempt that was seen."""
    job = running("running1", title="Nightly").replace(
        run={"argv": ["make", "-j", "all"], "cwd": "/"}
    )
    for key in ("n", "enter", "Y", "esc", "q", "j", "c", " "):
        shown = Shown([job])
        assert shown.press("c") is None
        asked = "".join(shown.text()[-2:])
        for part in ("Cancel running1", '"Nightly"', "make -j all", "[y/N]"):
            assert part in asked
        assert shown.press(key) is None
        assert "stays as it is" in shown.text()[-1]
        assert shown.press("y") is None
    shown = Shown([job])
    assert shown.press("c", "y") == Act("cancel", "running1", 0)
    again = retry(failed("failed01"), now=at(500))
    shown = Shown([fail(again, "again", now=at(100))])
    assert shown.press("r", "y") == Act("retry", "failed01", 1)


def test_a_question_is_void_when_the_attempt_has_moved_on() -> None:
    """The ``y`` was meant for the attempt before."""
    job = failed("failed01")
    shown = Shown([job])
    shown.press("r")
    shown.put(fail(retry(job, now=at(10)), "again", now=at(5)))
    assert shown.press("y") is None
    assert "[y/N]" not in "".join(shown.text())


def test_a_question_is_void_when_the_job_has_ended_or_is_gone() -> None:
    """There is nothing to cancel."""
    job = running("running1")
    shown = Shown([job])
    shown.press("c")
    shown.put(complete(job, now=at(0)))
    assert "has ended: completed" in shown.text()[-1]
    assert shown.press("y") is None
    shown = Shown([job])
    shown.press("c")
    shown.remove("running1")
    assert "is gone" in shown.text()[-1]
    assert shown.press("y") is None


def test_a_question_is_void_after_ten_seconds() -> None:
    """Whoever comes back to the desk does not press ``y`` for something old."""
    shown = Shown([running("running1")])
    shown.press("c")
    shown.now_ms += VOID_MS - 1
    assert "[y/N]" in "".join(shown.text())
    assert shown.live.next_change_ms(shown.now_ms) == NOW_MS + VOID_MS
    shown.now_ms += 1
    assert shown.press("y") is None
    assert "[y/N]" not in "".join(shown.text())


def test_the_rows_stand_still_while_a_question_is_open() -> None:
    """Then they take the places that they have by now."""
    shown = Shown([running("running1", 1000), running("running2", 2000), done("done0001")])
    shown.frame()
    shown.press("j", "j", "c")
    shown.put(failed("newfail1", 0), fail(running("running1", 1000), "broke", now=at(0)))
    shown.remove("done0001")
    for row, id in zip(shown.text()[1:4], ("running1", "running2", "done0001"), strict=True):
        assert id in row
    assert "running2" in shown.selected()
    shown.press("n")
    assert sorted(shown.ids()[:2]) == ["newfail1", "running1"]
    assert "running2" in shown.selected()


def test_what_cannot_be_done_is_not_asked() -> None:
    """And it is said why."""
    shown = Shown([done("done0001")])
    assert shown.press("c") is None
    assert "job done0001 has ended: completed" in shown.text()[-1]
    shown.press("r")
    assert "job done0001 has not failed" in shown.text()[-1]
    shown.now_ms += 10_000
    assert shown.text()[-1].startswith("live: ")


def test_read_only_refuses_without_a_question() -> None:
    """In the list and in the view of one job; the keys are not offered."""
    shown = Shown([running("running1")], refused="read-only")
    for keys in (["c"], ["r"], ["enter", "c"]):
        assert shown.press(*keys, "y") is None
        shown.press("esc", *keys)
        assert shown.text()[-1].strip() == "read-only"
        shown.press("esc")
    assert "cancel" not in shown.text(200)[-1]


def test_the_clock_may_be_set_back() -> None:
    """What stalled by a clock that was wrong has not stalled."""
    shown = Shown([running("running1", 50_000, type="create_session")])
    shown.now_ms += 20_000
    assert "1 stalled" in shown.text()[-2]
    shown.now_ms -= 15_000
    assert "1 running" in shown.text()[-2]


# -- small screens, and hostile texts ---------------------------------------------------------

_SIZES = ((1, 1), (2, 1), (3, 3), (5, 2), (6, 1), (7, 5), (8, 2), (10, 3), (18, 4), (500, 1))
_HOSTILE = ("\x1b[2J\u202e", "東京" * 150, "W" * 300, "a\u0301" * 90, "👩‍👩‍👧" * 40)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("text", _HOSTILE)
@pytest.mark.parametrize("size", _SIZES)
def test_each_screen_is_full_and_no_row_is_wider(size: tuple[int, int], text: str) -> None:
    """On the smallest screens too a question, a job, and the list end, and fit."""
    columns, rows = size
    for keys in ((), ("j",), ("j", "c"), ("j", "enter"), ("j", "enter", "c"), ("?",), ("/", "x")):
        shown = Shown([running("aaaaaaaa1", title=text), running("bbbbbbbb2", title=text)])
        shown.press(*keys)
        shown.live.set_log("bbbbbbbb2", [text], text)
        for frame in (shown.frame(columns, rows), shown.frame(80, 24), shown.frame(columns, rows)):
            assert len(frame) in (rows, 24)
        lines = shown.text(columns, rows)
        assert max(map(width, lines)) <= columns
        assert "\x1b" not in "".join([*lines, *shown.text()])
        if keys[-1:] == ("c",):
            assert "]" in "".join(lines)


def test_a_job_that_is_gone_has_one_row_on_a_screen_of_one() -> None:
    """The frame has as many rows as the screen."""
    shown = Shown([running("aaaaaaaa1")])
    shown.press("enter")
    shown.remove("aaaaaaaa1")
    assert len(shown.frame(80, 1)) == 1


def test_a_log_of_long_lines_is_wrapped_as_far_as_it_is_shown() -> None:
    """300 lines of 10,000 characters take a small part of a second, and the last one is seen."""
    shown = Shown([running("aaaaaaaa1")])
    shown.press("enter")
    shown.live.set_log("aaaaaaaa1", ["東" * 10_000] * 300 + ["the end"])
    began_s = time.thread_time()
    frames = shown.text(80, 24), shown.text(40, 12)
    assert time.thread_time() - began_s < 1
    assert frames[0][-3].strip() == "the end"
    shown.press("end")
    assert "the end" in "".join(shown.text(40, 12))


@pytest.mark.parametrize(
    ("keys", "hint"), [("", "? help"), ("?", "any key: back"), ("\r", "? help")]
)
def test_a_long_path_hides_no_hint(keys: str, hint: str) -> None:
    """The path is cut: which key leads on matters more."""
    shown = Shown([running("ccccccc1")])
    where = "/var/lib/" + "a-long-name/" * 8
    shown.view.take_status(Status("open", "directory", where), NOW_MS)
    shown.press(*["enter" if key == "\r" else key for key in keys])
    last = shown.text(80)[-1]
    assert last.endswith(hint)
    assert last.startswith("live: /var/lib/a-long")
    assert "…" in last


def test_an_error_goes_before_the_title_where_there_is_room_for_one() -> None:
    """At 80 columns the title alone told nothing of what had happened."""
    shown = Shown([failed("aaaaaaa1", title="Orders of April and of May")])
    assert "it broke" in shown.text(80)[1]
    assert "Orders" not in shown.text(80)[1]
    assert "Orders of April and…: it broke" in shown.text(200)[1]


def test_ids_of_removed_jobs_are_forgotten() -> None:
    """A watch may run for weeks beside a hub that prunes."""
    shown = Shown([running("ccccccc1")])
    for number in range(100):
        shown.put(done(f"done-{number:03}-x"))
        shown.frame()
        shown.remove(f"done-{number:03}-x")
    shown.frame()
    assert shown.ids() == ["ccccccc1"]
    assert shown.live._ids == ["ccccccc1"]
    assert set(shown.live._shorts) == {"ccccccc1"}
