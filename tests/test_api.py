"""Each command as a call of the same name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jobctl import api
from jobctl.cli.commands import COMMANDS
from jobctl.core.filters import Filter
from jobctl.core.log import BOTH, LogLine
from jobctl.errors import Conflict, InvalidId, JobNotFound, LogNotFound, TimedOut
from jobctl.stores import logs_of, open_store
from jobctl.stores.owners import CancelRequest

OF_THE_COMMAND_LINE_ALONE = {"demo", "completion", "config", "help", "js", "token"}


def test_every_command_has_its_call() -> None:
    """By the same name."""
    names = {name.replace("-", "_") for name in COMMANDS} - OF_THE_COMMAND_LINE_ALONE
    assert [name for name in sorted(names) if not callable(getattr(api, name))] == []
    assert names <= set(api.__all__)


def test_a_job_goes_its_way_through_the_calls() -> None:
    """Ids may be cut short as long as they are unique."""
    store = open_store("memory:")
    id = api.create(store, "etl", title="Nightly", stages=["fetch", "load"]).id
    start = id[:8]
    assert api.advance(store, start).stage == "fetch"
    assert api.progress(store, start, 3, 8, "orders.csv").message == "orders.csv"
    assert api.fail(store, start, "no space").error == "no space"
    assert api.retry(store, start).retry_count == 1
    assert api.cancel(store, start).error == "Cancelled by user"
    api.retry(store, start)
    cursor = api.ls(store).cursor()
    assert api.complete(store, start, result={"rows": 3}).result == {"rows": 3}
    assert [job.id for job in api.ls(store, cursor=cursor).jobs] == [id]
    assert api.ls(store, Filter.make(stages=["pending"])).jobs == ()
    assert api.show(store, start).stage == "completed"
    api.rm(store, start)
    with pytest.raises(JobNotFound):
        api.show(store, start)


def test_a_start_of_two_ids_names_them() -> None:
    """So that one can write more of it."""
    store = open_store("memory:")
    api.create(store, id="same-one")
    api.create(store, id="same-two")
    api.create(store, id="same")
    assert api.resolve(store, "same") == "same"
    with pytest.raises(JobNotFound, match="same-one, same-two"):
        api.resolve(store, "same-")


def test_a_whole_id_needs_no_list_of_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list may miss a file that is being replaced, on tmpfs: it must not mean another job."""
    store = open_store("memory:")
    api.create(store, id="same")
    api.create(store, id="same-one")
    monkeypatch.setattr(store, "ids", lambda prefix="": ["same-one"])
    assert api.resolve(store, "same") == "same"
    with pytest.raises(InvalidId):
        api.resolve(store, "../same")


def test_a_file_that_is_no_job_may_be_named_to_be_removed(tmp_path: Path) -> None:
    """What is wrong with it is for its readers to say."""
    (tmp_path / "torn.json").write_text("{")
    os.utime(tmp_path / "torn.json", (0, 0))
    store = open_store(tmp_path)
    assert api.resolve(store, "torn") == "torn"
    store.close()


def test_log_is_returned_as_it_was_kept() -> None:
    """The last lines, and those of a time; an error of its own where there is none."""
    store = open_store("memory:")
    id = api.create(store, "etl").id
    with pytest.raises(LogNotFound, match="only 'jobctl run' keeps"):
        api.logs(store, id)
    kept = logs_of(store)
    assert kept is not None
    writer = kept.log_writer(store.get(id))
    writer.write([LogLine(at, BOTH, b"%d\xff" % at) for at in (1000, 2000, 3000)])
    assert api.logs(store, id[:8]) == b"1000\xff\n2000\xff\n3000\xff\n"
    assert api.logs(store, id, tail=1) == b"3000\xff\n"
    assert api.logs(store, id, since_ms=2000, timestamps=True).startswith(
        b"1970-01-01T00:00:02.000Z 2000"
    )


def test_an_act_is_for_the_attempt_that_it_names() -> None:
    """Another attempt stays as it is; its worker is not asked either."""
    store = open_store("memory:")
    id = api.create(store, "etl").id
    api.fail(store, id, "no")
    with pytest.raises(Conflict, match="is at attempt 1, not 2"):
        api.retry(store, id, attempt=1)
    assert api.retry(store, id, attempt=0).retry_count == 1
    with pytest.raises(Conflict, match="is at attempt 2, not 1"):
        api.cancel(store, id, attempt=0)
    name = store.owners.hold()
    api.advance(store, id, "run", force=True)
    assert store.update(id, lambda job: job.replace(owner=name)).owned_by == name
    with pytest.raises(Conflict, match="is at attempt 2, not 1"):
        api.cancel(store, id, attempt=0, timeout_s=0)
    assert store.owners.take_cancel_requests({id}) == {}
    with pytest.raises(TimedOut):
        api.cancel(store, id, attempt=1, timeout_s=0)
    assert [*store.owners.take_cancel_requests({id})] == [id]


@pytest.mark.parametrize("when", ["before the write", "before the request", "during the wait"])
def test_cancel_spares_an_attempt_that_begins_meanwhile(
    monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """It is bound to its attempt up to the end, not only at the first look."""
    store = open_store("memory:")
    id = api.create(store, "etl").id
    owner = store.owners.hold() if when != "before the write" else None
    dead, request_cancel = store.owners.dead, store.owners.request_cancel
    began: list[str] = []

    def begin_next() -> None:
        if not began:
            began.append(id)
            api.fail(store, id, "no")
            api.retry(store, id)
            if owner is not None:
                own()

    def own() -> None:
        api.advance(store, id, "run", force=True)
        store.update(id, lambda job: job.replace(owner=owner))

    def dead_then() -> frozenset[str]:
        found = dead()
        begin_next()
        return found

    def request_then(name: str, id: str, request: CancelRequest | None = None) -> bool:
        asked.append(request_cancel(name, id, request))
        return asked[-1]

    def slept(seconds: float) -> None:
        begin_next()

    asked: list[bool] = []
    if owner is not None:
        own()
    monkeypatch.setattr(store.owners, "request_cancel", request_then)
    if when == "during the wait":
        monkeypatch.setattr("jobctl.api.time.sleep", slept)
    else:
        monkeypatch.setattr(store.owners, "dead", dead_then)
    with pytest.raises(Conflict, match="is at attempt 2, not 1"):
        api.cancel(store, id, attempt=0, timeout_s=5)
    assert began == [id]
    assert api.show(store, id).active
    assert asked == ([True] if when == "during the wait" else [])
