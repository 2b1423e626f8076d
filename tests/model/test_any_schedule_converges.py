"""The star property: any schedule converges.

The plain run draws a few schedules; ``HYPOTHESIS_PROFILE=deep`` draws many more.
"""

from __future__ import annotations

import os
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule, run_state_machine_as_test

from jobctl.stores import refresh
from tests.model.kit import lock_is_busy
from tests.model.schedule import AnySchedule, changes, ids

PLENTY = os.environ.get("HYPOTHESIS_PROFILE") == "deep"
EXAMPLES = 5000 if PLENTY else 120

garbage = st.sampled_from([b"", b"{", b"null", b'{"id": "zz"}', b"\xff\xfe"])
deaths = st.tuples(st.integers(1, 8), st.sampled_from(["before", "amid", "after"]))


class AnyScheduleOnDisk(AnySchedule):
    """The same over a directory, which can be killed in, edited, damaged, restored."""

    kind = "directory"

    @rule(id=ids, fields=changes, death=deaths)
    def killed_while_writing(self, id: str, fields: dict[str, Any], death: tuple[int, str]) -> None:
        before = self.disk.jobs.get(id)

        def write() -> None:
            if id in self.disk.jobs:
                self.disk.update(id, **fields)
            else:
                self.disk.create(id, **fields)

        if self.disk.killed(*death, write, {id}):
            after = self.disk.jobs.get(id)
            assert after == before or (after is not None and after[1] == fields["stage"]), "I4"

    @rule(id=ids, death=deaths)
    def killed_while_removing(self, id: str, death: tuple[int, str]) -> None:
        before = self.disk.jobs.get(id)
        if self.disk.killed(*death, lambda: self.disk.remove(id), {id}):
            assert self.disk.jobs.get(id) in (before, None), "I4"

    @rule(death=deaths)
    def killed_while_compacting(self, death: tuple[int, str]) -> None:
        self.disk.killed(*death, self.disk.compact, set())

    @rule(death=deaths)
    def hub_killed_while_looking(self, death: tuple[int, str]) -> None:
        if self.disk.killed(*death, partial(refresh, self.disk.hub_store), set()):
            self.restart_hub()

    @rule()
    def look(self) -> None:
        """The hub's watching of files, or its rescan."""
        refresh(self.disk.hub_store)

    @rule()
    def ring_while_the_lock_is_busy(self) -> None:
        """FAULTS row 63: what the hub cannot give a revision now is served, or waited for."""
        with lock_is_busy():
            self.ring()
        # Files without a revision stand under one that had another state before.
        self.history.pop((self.hub.replica.epoch, self.hub.replica.revision), None)

    @rule(id=ids, fields=changes, by_rename=st.booleans())
    def foreign_write(self, id: str, fields: dict[str, Any], by_rename: bool) -> None:
        self.disk.foreign_write(id, by_rename=by_rename, **fields)

    @rule(id=ids)
    def foreign_unlink(self, id: str) -> None:
        self.disk.foreign_unlink(id)

    @rule(id=ids, data=garbage)
    def corrupt(self, id: str, data: bytes) -> None:
        self.disk.corrupt(id, data)

    @rule()
    def take_copy(self) -> None:
        self.disk.take_copy()

    @precondition(lambda self: self.disk.copy is not None)
    @rule()
    def restore_copy(self) -> None:
        self.disk.restore_copy()

    @invariant()
    def disk_holds_what_was_acknowledged(self) -> None:
        """I4, I6: the files are the state, and each is whole or known to be bad."""
        assert self.disk.lying() == (self.disk.jobs, self.disk.bad)

    def teardown(self) -> None:
        self.faults_stop()
        self.disk.create("tidy", stage="pending")
        assert self.disk.litter() <= {"changes.new", "mark.new"}, "I9: a few names, reused"
        self.disk.close()


def _run(machine: type[AnySchedule], examples: int) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.slow
def test_any_schedule_converges_in_memory():
    """Writes, lost and repeated rings, stalls, cuts, resumes, restarts, filters, tiny pages."""
    _run(AnySchedule, EXAMPLES)


@pytest.mark.slow
@pytest.mark.timeout(3600 if PLENTY else 60)
def test_any_schedule_converges_on_disk(monkeypatch):
    """All of that over a directory amid kills, foreign edits, damage, restores, compactions."""
    monkeypatch.setattr("jobctl.stores.directory.log_rewrite.MAX_TOMBSTONES", 2)
    for module in ("index", "lookup", "read", "scan"):  # or each deletion takes a second
        monkeypatch.setattr(f"jobctl.stores.directory.{module}.TORN_GRACE_S", 0.0)
    _run(AnyScheduleOnDisk, EXAMPLES)
