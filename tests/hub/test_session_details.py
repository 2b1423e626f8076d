"""Sessions with and without the right to details: FAULTS row 65."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobctl.core.codec import to_wire
from jobctl.core.cursor import ZERO, Cursor
from jobctl.core.filters import EVERYTHING, Filter
from jobctl.core.job import Job
from jobctl.core.protocol import Dialect
from jobctl.core.redaction import redact
from tests.hub.world import V1Client, World, subscribe_message

ARGV = ["sh", "-c", "curl hunter2"]
TITLE = "sh -c 'curl hunter2'"
RUN = {"argv": ARGV, "cwd": "/hunter2", "env": {"KEY": "hunter3"}, "stderr": ["hunter2"]}


def with_command(**options: int) -> World:
    """A world of one job without a command and one with it."""
    world = World(**options)
    world.put("a1", title="Nightly load")
    world.put("a2", title=TITLE, run=RUN)
    return world


def jobs_of(client: Any) -> dict[str, Any]:
    """The jobs in the client's last message, by id."""
    message = json.loads(client.messages[-1])
    jobs = message["jobs"] if "jobs" in message else [message["job"]]
    return {job["id"]: job for job in jobs}


@pytest.mark.parametrize("dialect", Dialect)
def test_snapshot_and_update_show_what_the_session_may_see(dialect: Dialect) -> None:
    """In both dialects; the environment goes to nobody."""
    world = with_command()
    full = world.connect(1, dialect=dialect)
    limited = world.connect(2, dialect=dialect, details=False)
    for change in (None, "extract"):
        if change is not None:
            world.put("a2", title=TITLE, run={**RUN, "exitCode": 2}, stage=change)
        world.pump()
        end = {} if change is None else {"exitCode": 2}
        shown = {key: RUN[key] for key in ("argv", "cwd", "stderr")}
        assert jobs_of(full)["a2"]["run"] == {**shown, **end}
        assert jobs_of(full)["a2"]["title"] == TITLE
        assert jobs_of(limited)["a2"]["run"] == end
        assert jobs_of(limited)["a2"]["title"] == "sh"
    assert not any(b"hunter3" in message for message in full.messages)
    assert not any(b"hunter" in message for message in limited.messages)
    assert jobs_of(full).keys() == jobs_of(limited).keys()


def test_sessions_share_messages_only_with_equal_rights() -> None:
    """Equal (since, filter, dialect, details) is computed and encoded once."""
    world = with_command()
    for id in range(1, 7):
        world.connect(id, details=id % 2 == 0)
        world.connect(id + 10, dialect=Dialect.PLAIN, details=id % 2 == 0)
    turns = [world.pump_once(), (world.put("a2", run=RUN), world.pump_once())[1]]
    for turn in turns:
        groups = {outgoing.sessions for outgoing in turn}
        assert groups == {(1, 3, 5), (2, 4, 6), (11, 13, 15), (12, 14, 16)}


@pytest.mark.parametrize("dialect", Dialect)
def test_page_that_is_kept_is_for_equal_rights_only(dialect: Dialect) -> None:
    """Sessions that come one after the other share pages, see `Hub._page`."""
    world = with_command()
    for id, details in enumerate((True, False, True, False)):
        client = world.connect(id, dialect=dialect, details=details)
        world.pump()
        assert ("argv" in jobs_of(client)["a2"]["run"]) == details


@pytest.mark.parametrize("order", [(True, False), (False, True)])
def test_page_that_is_kept_is_for_sessions_of_the_same_kind_only(order: tuple[bool, ...]) -> None:
    """A later session shares it only with equal rights, dialect, filter and digest."""
    world = with_command()
    kinds = [
        (dialect, filter, digest, details)
        for details in order
        for dialect in Dialect
        for filter in (EVERYTHING, Filter.make(ids=["a2"]))
        for digest in (True, False)
    ]
    made: dict[int, set[int]] = {}
    alive: list[Any] = []  # so that no two have the same `id`
    for turn in range(3):
        for number, (dialect, filter, digest, details) in enumerate(kinds):
            session = 100 * turn + number
            world.hub.open(session, dialect, ZERO, filter, digest=digest, details=details)
            while outgoing := list(world.hub.pump()):
                for one in outgoing:
                    assert one.sessions == (session,)
                    alive.append(one.made)
                    made.setdefault(number, set()).add(id(one.made))
                    text = b"".join(one.messages)
                    assert details or b"hunter" not in text
                    assert (dialect is Dialect.V1) == (b"jobs:delta" in text)
                    assert filter is EVERYTHING or b'"a1"' not in text
    assert [len(ids) for ids in made.values()] == [1] * len(kinds)
    assert len(set().union(*made.values())) == len(kinds)


def test_rest_of_a_plain_snapshot_is_redacted_too() -> None:
    """What does not fit into ``jobs:init`` follows by the same rule."""
    world = World(max_page=300)
    for number in range(6):
        world.put(f"a{number}", title=TITLE, run=RUN)
    client = world.connect(1, dialect=Dialect.PLAIN, details=False)
    world.pump()
    world.delete("a3")
    world.put("a4", title=TITLE, run=RUN, stage="completed")
    world.pump()
    assert len(client.jobs) == 6
    assert client.stages["a3"] == "failed", "it was removed"
    assert len(client.messages) > 3
    assert not any(b"hunter" in message for message in client.messages)


def test_subscription_keeps_the_rights_of_its_session() -> None:
    """Another filter or cursor shows no more than before."""
    world = with_command()
    client = world.connect(1, details=False)
    world.pump()
    filter = Filter.make(ids=["a2"])
    client.filter = filter
    world.hub.receive(1, subscribe_message(Cursor("e1", 0, filter.tag), filter))
    world.pump()
    assert client.stages == {"a2": "pending"}
    assert not any(b"hunter" in message for message in client.messages)


def test_digest_is_the_same_for_both_views() -> None:
    """It is over ids and revisions, so each client can prove what it holds."""
    world = with_command()
    clients = [world.connect(1), world.connect(2, details=False)]
    world.pump()
    assert {client.deltas[-1].digest for client in clients} == {world.store.digest()}


@pytest.mark.parametrize("details", [True, False])
def test_reader_with_the_same_rights_resumes(details: bool) -> None:
    """It gets exactly the difference."""
    world = with_command()
    client = world.connect(1, details=details)
    world.pump()
    world.put("a1", title="later")
    world.resume(1, details=details)
    world.pump()
    assert [delta.since for delta in client.deltas] == [0, 2]
    assert list(jobs_of(client)) == ["a1"]


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("subscribes", [True, False])
def test_reader_with_other_rights_than_before_starts_over(before: bool, subscribes: bool) -> None:
    """What it holds is not what it may see now; its cursor is of another epoch."""
    world = with_command()
    client = world.connect(1, details=before)
    world.pump()
    cursor = client.cursor
    if subscribes:
        world.hub.close(1)
        other = world.connect(2, client=client, details=not before)
        world.hub.receive(2, subscribe_message(cursor, EVERYTHING))
    else:
        world.resume(1, details=not before)
        other = client
    world.pump()
    assert other.deltas[-1].since == 0
    assert b"hunter3" not in other.messages[-1]
    assert (b"hunter2" in other.messages[-1]) is not before


@pytest.mark.parametrize("details", [True, False])
def test_cursor_of_the_future_is_held_until_the_store_was_looked_at(details: bool) -> None:
    """Also one of a reader without details: the hub may be behind the directory."""
    world = with_command()
    client = world.connect(1, details=details)
    world.pump()
    ahead = Cursor(client.set.epoch, 3)
    world.hub.receive(1, subscribe_message(ahead, EVERYTHING))
    assert world.hub.sessions[1].held
    client.set.revision = 3
    world.hub.release(1)
    world.put("a1", title="now")
    world.pump()
    assert (client.deltas[-1].since, client.deltas[-1].through) == (3, 3)


@pytest.mark.parametrize("details", [True, False])
def test_jobs_without_a_command_are_encoded_once_for_all(
    details: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A view that nobody uses costs nothing, and one that is used no copy of such jobs."""
    encoded: list[tuple[str, bool]] = []

    def counted(job: Job, *, details: bool = False) -> bytes:
        encoded.append((job.id, details))
        return to_wire(job, details=details)

    monkeypatch.setattr("jobctl.core.jobset.to_wire", counted)
    world = with_command()
    world.connect(1, details=details)
    world.pump()
    assert sorted(encoded) == [("a1", True), ("a2", details)]
    world.connect(2, details=not details)
    world.pump()
    assert sorted(encoded) == [("a1", True), ("a2", False), ("a2", True)]
    world.put("a2", run=RUN)
    world.put("a2", run=RUN)
    world.pump()
    assert encoded.count(("a2", False)) == encoded.count(("a2", True)) == 2


def test_size_of_a_page_tells_nothing_of_what_is_hidden() -> None:
    """Where a page ends depends on what its reader sees, and on nothing else."""
    pages = []
    for secret in ("x", "x" * 5000):
        world = World(max_page=900)
        for number in range(12):
            world.put(f"a{number}", run={"argv": ["sh", secret], "cwd": secret})
        client = world.connect(1, details=False)
        world.pump()
        pages.append([(delta.since, delta.through, delta.more) for delta in client.deltas])
    assert pages[0] == pages[1]
    assert len(pages[0]) > 2


_commands = st.sampled_from([None, {"argv": ARGV, "cwd": "/"}, {"argv": ["x", "y"], "cwd": "/"}])
_steps = st.lists(
    st.tuples(
        st.sampled_from(["put", "put", "delete", "come back", "pump", "pump", "stall", "restart"]),
        st.sampled_from(["a1", "a2", "a3"]),
        _commands,
        st.booleans(),
    ),
    min_size=4,
    max_size=25,
)


@pytest.mark.slow
@settings(max_examples=300)
@given(_steps)
def test_any_change_of_rights_converges(steps: list[tuple[str, str, Any, bool]]) -> None:
    """Whatever happens in between, a client ends with what it may see, and never has seen more."""
    world = World(max_page=600)
    world.feed()
    client: V1Client = world.connect(1, details=False)
    now = False
    for step, id, run, details in steps:
        if step == "put":
            world.put(id, run=run, title=TITLE)
        elif step == "delete" and world.store.get(id) is not None:
            world.delete(id)
        elif step == "come back":
            world.resume(1, details=details)
            now = details
        elif step == "stall" and details:
            world.hub.stall(1)
        elif step == "stall":
            world.hub.recover(1)
        elif step == "restart":
            world.hub = type(world.hub)(max_page=600)
            world.feed()
            world.connect(1, client.cursor, client=client, details=now)
        else:
            world.pump_once()
    world.hub.recover(1)
    world.pump()
    seen = {job.id: redact(job, details=now) for job in world.store}
    assert {job.id: job for job in client.set} == seen
    assert client.cursor != ZERO
