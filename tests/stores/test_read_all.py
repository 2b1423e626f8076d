"""`read_all`: a read to its end, over the pages that a store answers in (FAULTS row 63)."""

from __future__ import annotations

import pytest

from jobctl.core.cursor import ZERO, Cursor
from jobctl.core.jobset import Delta, JobSet
from jobctl.errors import StoreError
from jobctl.stores import read_all
from jobctl.stores.memory import MemoryStore
from tests.stores.support import messages, new, with_message


class Pages(MemoryStore):
    """A store whose answers hold one job at a time."""

    def since(self, cursor: Cursor, limit: int | None = None, *, snapshot_start: int = 0) -> Delta:
        return super().since(cursor, 1, snapshot_start=snapshot_start)


def test_read_all_makes_one_delta_of_the_pages() -> None:
    """All jobs, in order, from zero and from a cursor; deletions and merged ids as well."""
    store = Pages()
    for id in "abc":
        store.create(new(id))
    delta = read_all(store)
    assert ([job.id for job in delta.jobs], delta.more, delta.since) == (["a", "b", "c"], False, 0)
    assert delta.cursor() == store.head()
    store.update("a", with_message("1"))
    store.remove("b")
    store.update("c", with_message("2"))
    later = read_all(store, delta.cursor())
    assert (later.since, later.through) == (delta.through, store.head().revision)
    assert messages(later) == {"a": "1", "c": "2"}
    assert [item.id for item in later.gone] == ["b"]
    replica = JobSet()
    assert replica.apply(delta)
    assert replica.apply(later)
    assert {job.id for job in replica} == {"a", "c"}


def test_read_all_starts_over_where_it_cannot_go_on() -> None:
    """A read that never ends from a cursor is a reset; one that never ends is an error."""

    class Stuck(MemoryStore):
        stuck_at_zero = False
        reads = 0

        def since(
            self, cursor: Cursor, limit: int | None = None, *, snapshot_start: int = 0
        ) -> Delta:
            self.reads += 1
            if cursor == ZERO and not self.stuck_at_zero:
                return super().since(cursor)
            return Delta(self._set.epoch, cursor.revision, cursor.revision, more=True)

    store = Stuck()
    store.create(new("a"))
    delta = read_all(store, store.head())
    assert (delta.since, {job.id for job in delta.jobs}, delta.more) == (0, {"a"}, False)
    store.stuck_at_zero = True
    store.reads = 0
    with pytest.raises(StoreError, match="changes faster than it can be read"):
        read_all(store)
    assert store.reads < 500
