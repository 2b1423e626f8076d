"""The pure modules of the dashboard: by themselves, and beside the same rules in Python."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from jobctl.cli import formats
from jobctl.cli.job_table.order import Order
from jobctl.cli.job_table.ranks import KINDS, standing
from jobctl.core import transitions
from jobctl.core.codec import to_wire
from jobctl.core.fields import BY_ATTRIBUTE
from jobctl.core.job import Job
from jobctl.core.pipeline import Pipelines, parse_types
from jobctl.core.times import to_ms, to_text
from jobctl.hub.http import _pipelines_value
from tests.original_writes import at
from tests.page.test_client import node_tests
from tests.strategies import moved_jobs

HERE = Path(__file__).parent
NOW_MS = to_ms(at(1800))
DEAD = frozenset({"1-0123456789ab"})
KNOWN = Pipelines(
    parse_types(
        {
            "etl": ({"stages": [{"name": "load", "label": "Loading", "weight": 3}, "save"],
                     "stalled-after": "10m"}, "jobctl.toml"),
        }
    )
)  # fmt: skip

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="needs node")


def test_dashboard_in_node() -> None:
    """Addresses, words, order, counts and the last hour."""
    node_tests("--test", "--test-reporter=tap", HERE / "dashboard.test.mjs", cwd=HERE)


class Board:
    """A program of Node with the dashboard's board."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            ["node", HERE / "tell.mjs"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def ask(self, steps: list[dict[str, Any]]) -> Any:
        """What the board says after these changes."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        value = {"steps": steps, "nowMs": NOW_MS, "pipelines": _pipelines_value(KNOWN)}
        self.process.stdin.write(json.dumps(value).encode() + b"\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


@pytest.fixture(scope="module")
def board() -> Iterator[Board]:
    """One for all: it takes a while to start."""
    made = Board()
    yield made
    made.process.communicate(timeout=20)


def sent(job: Job) -> dict[str, Any]:
    """The job as a client holds it."""
    missing = [BY_ATTRIBUTE[name].key for name in job.reading.missing] if job.reading else []
    derived = {"active": job.active, "lost": job.lost(DEAD), "missing": missing}
    return json.loads(to_wire(job, details=True)) | {"derived": derived}


def change(jobs: list[Job], gone: list[str]) -> dict[str, Any]:
    """As client.js reports it."""
    return {"jobs": [sent(job) for job in jobs], "gone": gone}


def strip(job: Job) -> list[str]:
    """The states of the strip's stages, by the symbols of the command line."""
    if not KNOWN.of(job).is_closed:
        return []
    over = job.lost(DEAD)
    words = {"●": "done", "◐": "stopped" if over else "now", "○": "ahead", "✗": "stopped",
             "⊘": "stopped"}  # fmt: skip
    return [words[symbol] for symbol in formats.strip(job, KNOWN.of(job))]


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(job=moved_jobs())
def test_row_says_what_ls_says(board: Board, job: Job) -> None:
    """Kind, percent of the whole, and how long it took."""
    answer = board.ask([change([job], [])])
    at_ms = standing(job, NOW_MS, DEAD, KNOWN)
    elapsed_ms = job.elapsed_ms(NOW_MS)
    told = answer["jobs"][job.id]
    assert told["kind"] == at_ms.kind
    assert told["percent"] == job.percent_of(KNOWN)
    age = formats.ago(job.created_at, NOW_MS)
    assert told["ago"] == ("" if age == "-" else f"{age} ago")
    expected = "" if elapsed_ms is None else formats.duration(elapsed_ms // 1000 * 1000)
    assert told["took"] == expected.replace("0ms", "0s")


IDS = [f"j{number}" for number in range(8)]


def some_job(seed: int) -> Job:
    """A job of one of few ids, in any state, often below another."""
    chance = random.Random(seed)
    id = chance.choice(IDS)
    began = NOW_MS - chance.randrange(1, 200) * 1000
    job = transitions.create(
        chance.choice(["etl", "run", "create_session"]), now=to_text(began), id=id,
        stages=chance.choice([None, ("load", "save")]),
    )  # fmt: skip
    for _ in range(chance.randrange(3)):
        stage = chance.choice(["load", "extract", "analyze"])
        began += chance.randrange(1000)
        job = transitions.advance(job, stage, now=to_text(began), force=True)
    end = chance.randrange(6)
    later = to_text(began + 500)
    if end == 0:
        job = transitions.complete(job, now=later)
    elif end == 1:
        job = transitions.fail(job, "no", now=later)
    elif end == 2:
        job = job.replace(owner="1-0123456789ab")
    parent = chance.choice([*IDS, None, None, None, "unknown"])
    return job.replace(extra={"parent": parent} if parent else {})


@pytest.mark.parametrize("seed", range(60))
def test_rows_stand_as_in_watch(board: Board, seed: int) -> None:
    """Whatever came and went, and whoever is whose parent: as if all had been read at once."""
    chance = random.Random(seed)
    steps = [
        chance.choice(IDS) if chance.random() < 0.2 else some_job(chance.randrange(1 << 30))
        for _ in range(chance.randrange(1, 30))
    ]
    order, kinds = Order(KNOWN), {}
    changes = []
    for step in steps:
        if isinstance(step, str):
            order.remove(step)
            kinds.pop(step, None)
            changes.append(change([], [step]))
            continue
        at_ms = standing(step, NOW_MS, DEAD, KNOWN)
        order.put(step, at_ms.key)
        kinds[step.id] = at_ms.kind
        changes.append(change([step], []))
    answer = board.ask(changes)
    places = [(id, depth, order.job(id)) for id, depth in order.places()]
    expected = [[id, depth, job.stage] for id, depth, job in places if job is not None]
    assert answer["rows"] == expected
    assert answer["fresh"] == expected
    assert answer["counts"] == {kind: Counter(kinds.values())[kind] for kind in KINDS}


@pytest.mark.parametrize("stage", ["pending", "load", "save", "completed", "failed"])
def test_strip_is_that_of_ls(board: Board, stage: str) -> None:
    """Done, here, ahead; and where it stopped."""
    job = transitions.create("etl", now=at(0), id="a", stages=("load", "save"))
    if stage != "pending":
        job = transitions.advance(job, "load", now=at(1))
    if stage == "save":
        job = transitions.advance(job, "save", now=at(2))
    elif stage == "completed":
        job = transitions.complete(job, now=at(2))
    elif stage == "failed":
        job = transitions.fail(job, "no", now=at(2))
    assert board.ask([change([job], [])])["jobs"]["a"]["strip"] == strip(job)
