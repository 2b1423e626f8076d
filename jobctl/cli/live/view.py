"""The list of jobs on a terminal: order, selection, search, one job, and questions."""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterable

from jobctl.cli import formats
from jobctl.cli.job_table.columns import columns_of
from jobctl.cli.job_table.frame import Frame, Key, Row, row_of
from jobctl.cli.job_table.order import Order, Place
from jobctl.cli.job_table.ranks import Standing, standing
from jobctl.cli.job_table.rows import RowFormat, header
from jobctl.cli.live.act import Act
from jobctl.cli.live.detail import Detail
from jobctl.cli.live.help import help_frame, hints
from jobctl.cli.live.question import VOID_MS, Question, refusal
from jobctl.cli.live.search import Search
from jobctl.cli.live.status_line import beside, counts_text, separator
from jobctl.cli.live_view import JobView
from jobctl.cli.text import fit, visible, width
from jobctl.core.job import Job
from jobctl.core.jobset import REMOVED, Delta
from jobctl.core.schedule import Overdue, TypeRuns

__all__ = ["LiveView"]

_NOTICE_MS = 10_000
_MINUTE_MS = 60_000
_CLOCK_BACK_MS = 1000  # a clock that was set back by more makes all ranks old
_HEADER_ROWS, _COUNTS_ROWS = 6, 9  # smallest screens with a header, and with counts of their own

_MOVES = {"up", "k", "down", "j", "pgup", "pgdn", " ", "home", "g", "end", "G"}


class LiveView:
    """Shows the jobs of a `JobView`, trouble first, and answers keys.

    No I/O and no clock: the caller tells of changes by `take` and the like, asks for a `frame`, and
    does the `Act` that `press` returns. With ``refused``, jobs cannot be changed, and this says
    why. Without ``keys`` no key is named. ``expected`` are types of jobs whose successes are all
    seen here; those that are overdue are named.
    """

    def __init__(
        self, view: JobView, *, refused: str = "", keys: bool = True, expected: Iterable[str] = ()
    ) -> None:
        self.view = view
        types = [*expected]
        self._runs = TypeRuns(view.usual.pipelines, types) if types else None
        self._deltas: list[Delta] = []  # that the runs have not taken
        self._overdue: list[Overdue] = []
        self._refused, self._keys = refused, keys
        self._order = Order(view.usual.pipelines, merged=not view.wide)
        self._standings: dict[str, Standing] = {}
        self._counts: Counter[str] = Counter()
        self._due: list[tuple[int, str]] = []  # when standings end
        self._changed: set[str] | None = None  # ids; None stands for all jobs
        self._ranked_ms = 0
        self._ids: list[str] = sorted(view.others)  # that short ids must differ from
        self._known_ids = set(self._ids)
        self._shorts: dict[str, str] = {}
        self._format: RowFormat | None = None
        self._id_size = 0  # of the longest short id that was shown
        self._search = Search()
        self._search_text = ""
        self._typing = False
        self._failures = False
        self._selected: str | None = None
        self._line = 0  # the row of the screen on which the selected job is
        self._top = 0
        self._page = 1
        self._question: Question | None = None
        self._frozen: tuple[list[Place], dict[str, tuple[Job, str]]] | None = None
        self._detail: Detail | None = None
        self._help = False
        self._notice, self._notice_ms = "", 0
        self._next_ms: int | None = None

    # -- what changes -------------------------------------------------------------------------

    def take(self, delta: Delta) -> None:
        """Note what a delta has changed, after the `JobView` has taken it."""
        if self._runs is not None:
            self._deltas.append(delta)
        for item in delta.gone:
            if item.why == REMOVED:
                self._forget(item.id)
        if delta.since == 0:
            self._changed = None
        elif self._changed is not None:
            self._changed.update(job.id for job in delta.jobs)
            self._changed.update(item.id for item in delta.gone)

    def owners_changed(self) -> None:
        """Note that other owners are dead than before."""
        if self._changed is not None:
            self._changed.update(job.id for job in self.view.jobs if job.active)

    def say(self, text: str, now_ms: int) -> None:
        """Show a notice until the next key, for ten seconds at most."""
        self._notice, self._notice_ms = text, now_ms

    def close_all(self) -> None:
        """Go back to the list without a selection, as its last frame is to be."""
        self._close_question()
        self._detail, self._selected, self._notice = None, None, ""
        self._help = self._typing = False
        self._keys = False

    @property
    def detail_id(self) -> str | None:
        """The id of the one job that is shown, or ``None``."""
        return self._detail.id if self._detail is not None else None

    def set_log(self, id: str, lines: list[str], note: str = "") -> None:
        """Set the end of the log of the one job that is shown: untrusted lines."""
        if self._detail is not None and self._detail.id == id:
            self._detail.log, self._detail.log_note = lines, note

    # -- keys ---------------------------------------------------------------------------------

    def press(self, key: Key, now_ms: int) -> Act | None:
        """Take a key; return what to do, if it is not to be done here."""
        self._update(now_ms)
        self._notice = ""
        if self._question is not None:
            return self._answer(key, now_ms)
        if self._typing:
            self._type(key)
        elif self._help:
            self._help = False
        elif self._detail is not None:
            return self._press_in_detail(key, now_ms)
        else:
            return self._press_in_list(key, now_ms)
        return None

    def _press_in_list(self, key: Key, now_ms: int) -> Act | None:
        if key == "q":
            return Act("quit")
        if key in _MOVES:
            self._move(key)
        elif key == "enter":
            if (id := self._chosen()) is not None:
                self._detail = Detail(id)
        elif key in ("c", "r"):
            if (id := self._chosen()) is not None:
                self._ask("cancel" if key == "c" else "retry", id, now_ms)
        elif key == "/":
            self._typing = True
        elif key == "f":
            self._choose(failures=True)
        elif key == "a":
            self._search_text = ""
            self._choose(failures=False)
        elif key == "?":
            self._help = True
        elif key == "esc":
            self._leave_one()
        return None

    def _leave_one(self) -> None:
        """Undo one thing: the search, the choice of failures, or the selection."""
        if self._search_text:
            self._search_text = ""
            self._choose(failures=self._failures)
        elif self._failures:
            self._choose(failures=False)
        else:
            self._selected = None

    def _press_in_detail(self, key: Key, now_ms: int) -> Act | None:
        assert self._detail is not None, "it is shown"
        if key in ("esc", "backspace", "q", "left"):
            self._detail = None
        elif key in ("c", "r"):
            self._ask("cancel" if key == "c" else "retry", self._detail.id, now_ms)
        elif key == "?":
            self._help = True
        else:
            self._detail.press(key)
        return None

    def _type(self, key: Key) -> None:
        """Take a key of the search."""
        if key == "enter":
            self._typing = False
        elif key == "esc":
            self._typing, self._search_text = False, ""
        elif key == "backspace":
            if not self._search_text:
                self._typing = False
            self._search_text = self._search_text[:-1]
        elif key in ("up", "down", "pgup", "pgdn"):
            self._move(key)
            return
        elif len(key) == 1 and key.isprintable():
            self._search_text += key
        self._choose(failures=self._failures)

    def _choose(self, *, failures: bool) -> None:
        """Choose the jobs that are listed: all, or failures, and those that the search finds."""
        self._failures = failures
        self._search.look_for(self._search_text)
        self._fill_order()

    def _move(self, key: Key) -> None:
        places = self._order.places()
        if not places:
            return
        last = len(places) - 1
        at = self._selected_index()
        if at is None:
            at = {"down": -1, "j": -1, "up": 0, "k": 0}.get(key, 0)
        at += {
            "up": -1, "k": -1, "down": 1, "j": 1, "pgup": -self._page, "pgdn": self._page,
            " ": self._page, "home": -last - 1, "g": -last - 1, "end": last + 1, "G": last + 1,
        }[key]  # fmt: skip
        at = min(max(at, 0), last)
        self._selected = places[at][0]
        self._line = min(max(at - self._top, 0), self._page - 1)

    def _chosen(self) -> str | None:
        """Return the selected job; without one select the first."""
        if self._selected_index() is None:
            self._move("home")
        return self._selected

    def _selected_index(self) -> int | None:
        """Return the row of the selected job, or of the parent in whose row it is."""
        id = self._selected
        for _ in range(8):
            if id is None:
                return None
            if (index := self._order.index(id)) is not None:
                return index
            id = self._order.parent(id)
        return None

    # -- questions ----------------------------------------------------------------------------

    def _ask(self, verb: str, id: str, now_ms: int) -> None:
        job = self.view.jobs.get(id)
        if self._refused:
            self.say(self._refused.replace("ID", id), now_ms)
        elif job is None:
            self.say(f"job {id} is gone", now_ms)
        elif reason := refusal(verb, job):
            self.say(reason, now_ms)
        else:
            assert verb in ("cancel", "retry"), "the keys give no other"
            self._question = Question(verb, id, job.retry_count, now_ms)  # type: ignore[arg-type]
            places = self._order.places()
            begin = self._top
            held = {}
            for each, _ in places[begin : begin + 1000]:
                shown = self._order.job(each)
                assert shown is not None, "it has a place"
                held[each] = (shown, self._standings[each].kind)
            self._frozen = places, held

    def _answer(self, key: Key, now_ms: int) -> Act | None:
        question = self._question
        assert question is not None, "it is open"
        self._close_question()
        if key != "y":
            self.say(f"job {question.id} stays as it is", now_ms)
            return None
        return Act(question.verb, question.id, question.attempt)

    def _close_question(self) -> None:
        self._question = self._frozen = None

    # -- the jobs -----------------------------------------------------------------------------

    def _update(self, now_ms: int) -> None:
        """Apply what has changed since the last call, also by the passing of time."""
        view = self.view
        if self._question is not None:
            void = self._question.void(view.jobs.get(self._question.id), now_ms)
            if void:
                self._close_question()
                self.say(void, now_ms)
        if self._notice and not 0 <= now_ms - self._notice_ms < _NOTICE_MS:
            self._notice = ""
        if not view.complete:
            return  # the rows stay as they were until all is read
        if self._changed is None or now_ms < self._ranked_ms - _CLOCK_BACK_MS:
            self._take_all(now_ms)
        changed = self._changed or set()
        while self._due and self._due[0][0] <= now_ms:
            changed.add(heapq.heappop(self._due)[1])
        for id in changed:
            self._take_job(id, now_ms)
        self._changed = set()
        self._ranked_ms = now_ms
        if self._runs is not None:
            for delta in self._deltas:
                self._runs.apply(delta, now_ms)
            self._deltas.clear()
            self._overdue = self._runs.overdue(now_ms, view.dead)

    def _take_all(self, now_ms: int) -> None:
        self._standings.clear()
        self._counts.clear()
        self._due.clear()
        self._changed = set()
        for job in self.view.jobs:
            self._know(job.id)
            if self.view.lists(job):
                self._stand(job, now_ms)
        self._fill_order()

    def _take_job(self, id: str, now_ms: int) -> None:
        job = self.view.jobs.get(id)
        before = self._standings.pop(id, None)
        if before is not None:
            self._counts[before.kind] -= 1
        if job is None or not self.view.lists(job):
            self._order.remove(id)
            return
        self._know(id)
        now = self._stand(job, now_ms, before)
        if self._chooses(job, now):
            self._order.put(job, now.key)
        else:
            self._order.remove(id)

    def _stand(self, job: Job, now_ms: int, before: Standing | None = None) -> Standing:
        found = standing(job, now_ms, self.view.dead, self.view.usual.pipelines)
        self._standings[job.id] = found
        self._counts[found.kind] += 1
        is_noted = before is not None and before.until_ms == found.until_ms
        if found.until_ms is not None and not is_noted:
            heapq.heappush(self._due, (found.until_ms, job.id))
        return found

    def _chooses(self, job: Job, found: Standing) -> bool:
        if self._failures and found.kind not in ("failed", "lost"):
            return False
        return self._search.finds(job)

    def _fill_order(self) -> None:
        jobs = self.view.jobs
        held = ((jobs.get(id), found) for id, found in self._standings.items())
        self._order.replace(
            (job, found.key) for job, found in held if job is not None and self._chooses(job, found)
        )

    def _know(self, id: str) -> None:
        """Add an id that short ids must differ from."""
        if id not in self._known_ids:
            self._known_ids.add(id)
            insort(self._ids, id)
            self._shorts.clear()

    def _forget(self, id: str) -> None:
        """Drop an id that no job has any more: a watch may run for weeks."""
        if id in self._known_ids:
            self._known_ids.discard(id)
            del self._ids[bisect_left(self._ids, id)]
            self._shorts.pop(id, None)

    def _short(self, id: str) -> str:
        short = self._shorts.get(id)
        if short is None:
            at = bisect_left(self._ids, id)
            beside = self._ids[max(at - 1, 0) : at + 2]
            short = self._shorts[id] = formats.short_ids([id], beside, whole=10)[id]
        return short

    # -- frames -------------------------------------------------------------------------------

    def frame(self, columns: int, rows: int, now_ms: int) -> Frame:
        """Return exactly ``rows`` rows of ``columns`` columns."""
        self._update(now_ms)
        self._next_ms = None
        question = self._question_rows(columns, rows)
        room = rows - (len(question) or (1 if rows < _COUNTS_ROWS else 2))
        overdue = self._overdue_rows(columns, rows, now_ms)
        if self._help:
            frame = help_frame(columns, room, refused=self._refused)
        elif self._detail is not None:
            frame = self._detail_frame(self._detail, columns, room, now_ms)
        else:
            frame = overdue + self._list_frame(columns, room - len(overdue), rows, now_ms)
        return frame + (question or self._bottom(columns, rows, now_ms))

    def next_change_ms(self, now_ms: int) -> int | None:
        """Return when the last frame changes by itself; ``None`` if it does not.

        Times of running jobs change together, at whole seconds.
        """
        times = [self._next_ms] if self._next_ms is not None else []
        if self._due:
            times.append(self._due[0][0])
        if self._runs is not None and (due_ms := self._runs.next_overdue_ms(now_ms)) is not None:
            times.append(due_ms)
        if self._question is not None:
            times.append(self._question.asked_ms + VOID_MS)
        if self._notice:
            times.append(self._notice_ms + _NOTICE_MS)
        if self.view.counts_down:
            times.append(now_ms // 1000 * 1000 + 1000)
        return max(min(times), now_ms) if times else None

    def _until(self, at_ms: int | None) -> None:
        """Note until when a part of the frame stays as it is."""
        if at_ms is not None:
            self._next_ms = min(self._next_ms or at_ms, at_ms)

    def _list_frame(self, columns: int, room: int, rows: int, now_ms: int) -> Frame:
        has_header = rows >= _HEADER_ROWS
        room -= has_header
        places = self._order.places()
        if self._frozen is not None:
            places = self._frozen[0]
        self._page = max(room, 1)
        self._scroll(places)
        for id, depth in places[self._top : self._top + room]:
            self._id_size = max(self._id_size, 2 * depth + len(self._short(id)))
        shape = columns_of(columns, wide=self.view.wide, id_size=self._id_size)
        if self._format is None or self._format.columns != shape:
            self._format = RowFormat(shape, self.view.usual)
        frame: Frame = [header(shape)] if has_header else []
        tick_ms = now_ms // 1000 * 1000
        for id, depth in places[self._top : self._top + room]:
            frame.append(self._row(id, depth, columns, tick_ms))
        if not places:
            frame.append(row_of(self._why_empty(), columns, "dim"))
        size = room + has_header
        return frame[:size] + [row_of("", columns)] * (size - len(frame))

    def _overdue_rows(self, columns: int, rows: int, now_ms: int) -> Frame:
        """Return the types that are overdue, as far as there is room above the list."""
        most = min(rows // 6, len(self._overdue))
        texts = [item.describe(now_ms) for item in self._overdue[:most]]
        if texts:
            self._until(now_ms // _MINUTE_MS * _MINUTE_MS + _MINUTE_MS)  # their ages
        if texts and len(self._overdue) > most:
            texts[-1] = f"{len(self._overdue) - most + 1} more types are overdue"
            if most == 1:
                texts[-1] = f"{len(self._overdue)} types are overdue"
        return [row_of(visible(text), columns, "stalled") for text in texts]

    def _row(self, id: str, depth: int, columns: int, now_ms: int) -> Row:
        assert self._format is not None, "made before"
        job, found = self._order.job(id), self._standings.get(id)
        if job is not None and found is not None:
            kind = found.kind
        elif self._frozen is not None and id in self._frozen[1]:
            job, kind = self._frozen[1][id]
        else:
            return row_of(f"{id} is gone", columns, "dim")
        row, until_ms = self._format.row(
            job, kind, depth, self._short(id), now_ms, selected=id == self._selected
        )
        self._until(until_ms)
        return row

    def _scroll(self, places: list[Place]) -> None:
        """Keep the selected job on its row of the screen; the rows above and below are full."""
        if self._frozen is not None:
            ids = [id for id, _ in places]
            at = ids.index(self._selected) if self._selected in ids else None
        else:
            at = self._selected_index()
        if at is None:
            if self._selected is not None and places:  # it is gone: the next one takes its place
                at = min(self._top + self._line, len(places) - 1)
                self._selected = places[at][0]
            else:
                self._top = 0
                return
        elif self._frozen is None:
            self._selected = places[at][0]
        self._line = min(self._line, self._page - 1)
        self._top = min(max(at - self._line, 0), max(len(places) - self._page, 0))
        self._line = at - self._top

    def _why_empty(self) -> str:
        where = visible(self.view.where)
        if not self.view.synced:
            return self.view.waits_for or f"reading {where}"
        if self._search_text:
            return f'nothing found for "{visible(self._search_text)}"'
        if self._failures:
            return "no failed or lost jobs"
        return f"no jobs yet in {where}"

    def _detail_frame(self, detail: Detail, columns: int, rows: int, now_ms: int) -> Frame:
        job = self.view.jobs.get(detail.id)
        if job is None:
            gone = [row_of(fit(f"job {detail.id} is gone", columns), columns)]
            return (gone + [row_of("", columns)] * (rows - 1))[:rows]
        if job.active:
            self._until(now_ms // 1000 * 1000 + 1000)
        return detail.frame(job, columns, rows, now_ms, self.view.dead, self.view.usual)

    # -- the last rows ------------------------------------------------------------------------

    def _question_rows(self, columns: int, rows: int) -> Frame:
        """Return the open question; nothing if there is none."""
        if self._question is None:
            return []
        job = self.view.jobs.get(self._question.id)
        assert job is not None, "the question would be void"
        return self._question.rows(job, self._short(job.id), columns, min(max(rows - 1, 1), 5))

    def _bottom(self, columns: int, rows: int, now_ms: int) -> Frame:
        """Return the last rows: the counts, and the status, a search or a notice."""
        counts = self._counts_row(columns)
        status: Row
        if self._typing:
            prompt = _end_of(f"/{visible(self._search_text)}_", columns)
            found = len(self._order.places())
            status = row_of(beside(prompt, [f"{found} found"], columns), columns, "bold")
        elif self._notice:
            status = row_of(fit(visible(self._notice), columns), columns, "bold")
        else:
            status = self._status_row(columns, now_ms)
            if rows < _COUNTS_ROWS and self.view.is_live and self._counts.total():
                status = counts
        return [status] if rows < _COUNTS_ROWS else [counts, status]

    def _counts_row(self, columns: int) -> Row:
        view = self.view
        counts = Counter(self._counts)
        counts["damaged"] = len(view.bad_files.reasons) + view.bad_files.omitted
        counts["overdue"] = len(self._overdue)
        text = counts_text(counts, columns)
        chosen = ["failures only"] if self._failures else []
        if self._search_text and not self._typing:
            chosen.append(f"/{visible(self._search_text)}")
        text = fit(separator().join([*chosen, text] if text else chosen), columns)
        total = len(self._order.places())
        last = min(self._top + self._page, total)
        where = (f"{self._top + 1}-{last} of {total}", f"{last}/{total}") if total else ()
        hidden = where if total > self._page and self._detail is None else ()
        return row_of(beside(text, hidden, columns), columns)

    def _status_row(self, columns: int, now_ms: int) -> Row:
        text = self.view.state_text(now_ms)
        shown: Iterable[str] = ()
        if self._detail is not None:
            shown = ("Esc back  c cancel  r retry  ? help", "Esc back")
        elif self._help:
            shown = ("any key: back",)
        elif self._keys:
            shown = hints(acts=not self._refused)
        given = tuple(shown)
        room = columns - 2 - min(width(text), columns // 2)
        hint = next((hint for hint in given if width(hint) <= columns - 2 - width(text)), None)
        if hint is None and self.view.is_live:  # the place is cut, and a short hint is seen
            hint = next((hint for hint in given if width(hint) <= room), "")
        text = fit(text, columns - width(hint) - 2) if hint else text
        return row_of(beside(text, [hint or ""], columns), columns, "dim")


def _end_of(text: str, columns: int) -> str:
    """Return the end of the text that fits."""
    while width(text) > columns:
        text = text[max(1, (width(text) - columns) // 2) :]
    return text
