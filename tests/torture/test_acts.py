"""Random acts of many clients through two hubs on one directory: none is lost, none counts twice.

Clients are cut off after they have asked, and ask again, with the same request id and mostly of the
other hub. They repeat what was answered, and act on attempts that they saw long ago. The history of
each job, which the store has kept, must then be the acts that were answered with ``jobs:done``, and
each refusal must be right about the job that it shows.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from jobctl.core.acts import MAX_REMEMBERED
from jobctl.hub.tokens import TokenFile, digest_of_token
from jobctl.stores import Store, open_store
from tests.hub.network import HubProcess, running_hub, v1

pytestmark = pytest.mark.slow

CLIENTS, ACTS, JOBS = 8, 40, 6
NAMES = [f"user{number}" for number in range(CLIENTS)]
ENDED = {"completed", "failed"}
LEGAL = {
    "advance": lambda stage: stage not in ENDED,
    "complete": lambda stage: stage not in ENDED,
    "fail": lambda stage: stage not in ENDED,
    "progress": lambda stage: stage not in ENDED,
    "cancel": lambda stage: stage == "pending",
    "retry": lambda stage: stage == "failed",
    "remove": lambda stage: stage in ENDED,
    "create": lambda stage: False,  # the id is taken
}
"""The stages in which each verb is allowed: the sequential model of one job."""
ENTERS = {"advance": None, "complete": "completed", "fail": "failed", "cancel": "failed",
          "retry": "pending", "create": "pending"}  # fmt: skip
"""The stage that each verb enters; ``advance`` names its own."""


class User:
    """One client: it asks until it has an answer, whatever is cut off."""

    def __init__(self, name: str, urls: list[str], seed: int) -> None:
        self.name, self.urls = name, urls
        self.random = random.Random(f"{name} {seed}")
        self.seen: dict[str, int] = {}  # the attempt of each job, when it was seen last
        self.done: list[dict[str, Any]] = []
        self.refused: list[tuple[dict[str, Any], dict[str, Any]]] = []
        self.connection: Any = None
        self.cuts = self.repeats = 0

    async def connect(self) -> Any:
        """The open connection, or a new one to any of the hubs."""
        if self.connection is None:
            headers = {"Authorization": f"Bearer {self.name}-0123456789abcdef"}
            url = self.random.choice(self.urls)
            self.connection = await v1(url, additional_headers=headers).__aenter__()
        return self.connection

    async def ask(self, act: dict[str, Any]) -> dict[str, Any]:
        """Ask until there is an answer; the connection may be cut after each question."""
        while True:
            try:
                connection = await self.connect()
                await connection.send(json.dumps(act))
                if self.random.random() < 0.25:
                    self.cuts += 1
                    await asyncio.sleep(self.random.random() * 0.02)
                    connection.transport.abort()
                while True:
                    message = json.loads(await asyncio.wait_for(connection.recv(), 10))
                    for job in message.get("jobs", ()):
                        if self.random.random() < 0.7:  # else it acts on what it saw before
                            self.seen[job["id"]] = job["retryCount"]
                    if message.get("req") == act["req"] and message.get("code") != "busy":
                        return message
            except (ConnectionClosed, InvalidHandshake, OSError, EOFError):
                self.connection = None
                await asyncio.sleep(0.005)

    def act(self, number: int) -> dict[str, Any]:
        """A random act; most verbs mean one of a few jobs that all clients know."""
        verb = self.random.choice(list(LEGAL))
        req = f"{self.name}-{number}"
        act: dict[str, Any] = {"type": f"jobs:{verb}", "req": req}
        if verb == "create":
            return {**act, "jobType": "etl"}
        act["id"] = self.random.choice([f"j{number}" for number in range(JOBS)])
        if verb == "remove":  # one that nobody else means
            mine = [
                done["id"]
                for done in self.done
                if done["verb"] == "create" and "shared" not in done
            ]
            act["id"] = self.random.choice(mine) if mine else "none"
        act["attempt"] = self.seen.get(act["id"], 0)
        more = {"advance": {"stage": f"s-{req}"}, "fail": {"error": req},
                "progress": {"message": req}}  # fmt: skip
        return {**act, **more.get(verb, {})}

    async def run(self, pause_s: float) -> None:
        """All acts, one after the other, with pauses of up to this length."""
        for number in range(ACTS):
            await asyncio.sleep(self.random.random() * pause_s)
            act = self.act(number)
            answer = await self.ask(act)
            if self.random.random() < 0.2:
                self.repeats += 1
                again = await self.ask(act)
                if answer["type"] == "jobs:done":
                    assert again["type"] == "jobs:done", (act, answer, again)
                    assert again["revision"] >= answer["revision"]
                answer = again  # what was refused may be possible by now
            said = {**act, "verb": act["type"].removeprefix("jobs:"), "by": self.name}
            if answer["type"] == "jobs:done":
                self.done.append({**said, "id": answer["id"]})
            else:
                self.refused.append((said, answer))
        if self.connection is not None:
            await self.connection.close()


@pytest.mark.parametrize("seed", range(3))
async def test_no_act_is_lost_and_none_counts_twice(tmp_path: Path, seed: int) -> None:
    """What the store holds is what was answered, and refusals are right."""
    token_file, directory = tokens_in(tmp_path), tmp_path / "jobs"
    stores = [open_store(directory, create=True, adopt=True) for _ in range(2)]
    options = {"token": TokenFile(token_file), "control": True}
    async with running_hub(stores[0], **options) as one, running_hub(stores[1], **options) as two:
        users = await all_run([one.url, two.url], seed)
    assert sum(user.cuts for user in users) > 20
    assert sum(user.repeats for user in users) > 20
    check(stores[0], users)
    for store in stores:
        store.close()


async def test_hub_that_is_killed_loses_no_act(tmp_path: Path) -> None:
    """Two hubs in processes of their own, killed in the middle of acts and started again."""
    token_file, directory = tokens_in(tmp_path), tmp_path / "jobs"
    store = open_store(directory, create=True, adopt=True)
    hubs = [HubProcess(directory, token_file=token_file) for _ in range(2)]
    kills = 0
    over = asyncio.Event()

    async def kill() -> None:
        nonlocal kills
        while not over.is_set():
            await asyncio.sleep(0.2)
            place = kills % 2
            hubs[place].kill()
            kills += 1
            port = hubs[place].port
            hubs[place] = await asyncio.to_thread(
                HubProcess, directory, port=port, token_file=token_file
            )

    killer = asyncio.create_task(kill())
    try:
        users = await all_run([hub.url for hub in hubs], 7, pause_s=0.15)
    finally:
        over.set()
        await killer
        for hub in hubs:
            hub.kill()
    assert kills > 1
    check(store, users)
    store.close()


def tokens_in(place: Path) -> Path:
    """A token file with all rights for each user."""
    path = place / "tokens"
    path.write_text(
        "".join(
            f"{name} view,details,report,operate,admin "
            f"{digest_of_token(f'{name}-0123456789abcdef'.encode())}\n"
            for name in NAMES
        )
    )
    path.chmod(0o600)
    return path


async def all_run(urls: list[str], seed: int, pause_s: float = 0.0) -> list[User]:
    """All users, after they have done all that they do."""
    users = [User(name, urls, seed) for name in NAMES]
    for number in range(JOBS):
        made = {"type": "jobs:create", "req": f"c{number}", "jobType": "etl", "id": f"j{number}"}
        assert (await users[0].ask(made))["type"] == "jobs:done"
        users[0].done.append({**made, "verb": "create", "by": users[0].name, "shared": True})
    await asyncio.gather(*(user.run(pause_s) for user in users))
    return users


def check(store: Store, users: list[User]) -> None:
    """The history of each job is the acts that were done, and each refusal fits its job."""
    done = [act for user in users for act in user.done]
    removed = {act["id"] for act in done if act["verb"] == "remove"}
    held = {id: store.get(id) for id in store.ids()}
    created = {act["id"] for act in done if act["verb"] == "create"}
    assert held.keys() == created - removed
    for id, job in held.items():
        wanted = Counter(
            (act.get("stage") or ENTERS[act["verb"]], act["by"])
            for act in done
            if act["id"] == id and act["verb"] in ENTERS
        )
        assert job.history is not None
        entered = Counter((entry.stage, (entry.extra or {}).get("by")) for entry in job.history)
        assert len(job.history) < 64, "it is whole"
        assert entered == wanted, id
        assert job.retry_count == sum(a["verb"] == "retry" and a["id"] == id for a in done)
        assert len(job.extra["acts"]) <= MAX_REMEMBERED
    for act, answer in (pair for user in users for pair in user.refused):
        job = answer.get("job")
        if answer["code"] == "gone":
            assert act["id"] == "none" or act["id"] in removed, (act, answer)
            continue
        assert answer["code"] == "conflict", (act, answer)
        assert job["retryCount"] != act["attempt"] or not LEGAL[act["verb"]](job["stage"]), (
            act,
            answer,
        )
