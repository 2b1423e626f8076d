"""The dashboard learns the same usual durations as ``ls`` and ``show``."""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobctl.cli import formats
from jobctl.core import transitions
from jobctl.core.eta import MAX_LEARNED, MIN_LEARNED, UsualDurations
from jobctl.core.job import Job
from jobctl.core.jobset import Delta, JobSet
from jobctl.core.pipeline import Pipelines, parse_types
from jobctl.core.times import to_ms, to_text
from jobctl.hub.http import _pipelines_value
from tests.original_writes import at

HERE = Path(__file__).parent
PAGE = HERE.parent.parent / "jobctl" / "page"
BEGAN_MS = to_ms(at(0))
KNOWN = Pipelines(
    parse_types({"etl": ({"stages": ["load", "save"], "eta": "30s-2m"}, "jobctl.toml")})
)

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="needs node")


def table_fields() -> frozenset[str]:
    """What the dashboard asks for."""
    text = (PAGE / "dashboard" / "model.js").read_text()
    found = re.search(r"TABLE_FIELDS = \[(.*?)\]", text, re.DOTALL)
    assert found is not None
    return frozenset(re.findall(r'"(\w+)"', found[1]))


class Dashboard:
    """A program of Node with the dashboard's usual durations."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            ["node", HERE / "usual.mjs"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def ask(self, batches: list[list[Any]], asked: list[Any]) -> Any:
        """The bands and texts for the jobs that are asked about, after each batch."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        value = {"batches": batches, "asked": asked, "pipelines": _pipelines_value(KNOWN)}
        self.process.stdin.write(json.dumps(value).encode() + b"\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


@pytest.fixture(scope="module")
def dashboard() -> Iterator[Dashboard]:
    """One for all: it takes a while to start."""
    made = Dashboard()
    yield made
    made.process.communicate(timeout=20)


def received(job: Job, *, details: bool = True) -> dict[str, Any]:
    """The job as the table holds it: some fields, and the facts beside them."""
    replica = JobSet("e1", opaque=True)
    replica.apply(Delta("e1", 0, job.revision or 1, (job,)))
    sent = replica.sent(job.id, fields=table_fields(), details=details)
    facts = json.loads(f"{{{sent.facts}}}").get(job.id)
    derived = {"active": job.active, "lost": False, "facts": facts}
    return json.loads(sent.wire) | {"derived": derived}


def whole(job: Job) -> dict[str, Any]:
    """The job as the job's page holds it: the whole record."""
    replica = JobSet("e1", opaque=True)
    replica.apply(Delta("e1", 0, job.revision or 1, (job,)))
    sent = replica.sent(job.id, details=True)
    return json.loads(sent.wire) | {"derived": {"active": job.active, "lost": False}}


COMMANDS: list[Any] = [
    None, {"argv": ["make", "test"], "cwd": "/"}, {"argv": ["make", "-j4", "test"], "cwd": "/"},
    {"argv": ["make", "lint"], "cwd": "/"}, {"argv": ["./a"], "cwd": "/"}, {"exitCode": 0},
    {"argv": [], "cwd": "/"}, "of another program", {"argv": ["x" * 30, "é" * 10], "cwd": "/"},
]  # fmt: skip


def some_job(chance: random.Random, id: str, *, ends: bool) -> Job:
    """A job of one of few kinds, that took some time."""
    job = transitions.create(
        chance.choice(["etl", "run", "create_session"]), now=to_text(BEGAN_MS), id=id
    )
    job = job.replace(run=chance.choice(COMMANDS))
    if not ends:
        return job
    took_ms = chance.choice([0, 1, chance.randrange(2000), chance.randrange(9_000_000)])
    at_text = to_text(BEGAN_MS + took_ms)
    if chance.random() < 0.1:
        job = transitions.retry(transitions.fail(job, "no", now=at_text), now=at_text)
    end = transitions.fail(job, "no", now=at_text) if chance.random() < 0.1 else None
    return end or transitions.complete(job, now=at_text)


def expected(batches: list[list[Job]], asked: list[Job]) -> list[Any]:
    """What the command line says."""
    usual, answers = UsualDurations(pipelines=KNOWN), []
    for batch in batches:
        usual.take(batch)
        bands = [usual.band(job) for job in asked]
        texts = [formats.eta(job, usual) for job in asked]
        answers.append([[band and [*band], said] for band, said in zip(bands, texts, strict=True)])
    return answers


@pytest.mark.parametrize("seed", range(25))
def test_bands_are_those_of_the_command_line(dashboard: Dashboard, seed: int) -> None:
    """After each change, for few and many jobs of a kind, by the fields of the table alone."""
    chance = random.Random(seed)
    asked = [
        some_job(random.Random(number), f"a{number}", ends=number == 0) for number in range(40)
    ]
    batches: list[list[Job]] = []
    known: list[Job] = []
    revision = 0
    size = chance.choice([1, 8, 60])
    for _ in range(chance.randrange(1, 25)):
        batch = []
        for _ in range(chance.randrange(size) + 1):
            revision += 1
            id = f"j{revision}"
            job = chance.choice(known) if known and chance.random() < 0.1 else None
            if job is not None and any(other.id == job.id for other in batch):
                job = None
            made = (job or some_job(chance, id, ends=True)).replace(revision=revision)
            batch.append(made)
        known += batch
        batches.append(batch)
    shown = [chance.sample(batch, len(batch)) for batch in batches]  # a frame has them in any order
    answers = dashboard.ask(
        [[received(job) for job in batch] for batch in shown], [*map(received, asked)]
    )
    assert answers == expected(batches, asked)
    by_records = dashboard.ask([[*map(whole, batch)] for batch in shown], [*map(whole, asked)])
    assert by_records == answers


def runs_of(argv: list[str], count: int, took_s: int = 60) -> list[Job]:
    """Completed commands."""
    made = []
    for number in range(count):
        job = transitions.create("run", now=at(0), id=f"{argv[0]}{number}")
        job = job.replace(run={"argv": argv, "cwd": "/"}, revision=number + 1)
        made.append(transitions.complete(job, now=at(took_s)))
    return made


def test_commands_are_told_apart_without_their_records(dashboard: Dashboard) -> None:
    """By what the hub says beside the fields: `make test` tells nothing about `make lint`."""
    jobs = runs_of(["make", "test"], MIN_LEARNED)
    asked = [
        transitions.create("run", now=at(0), id="a").replace(
            run={"argv": ["make", target], "cwd": "/"}, revision=9
        )
        for target in ("test", "lint")
    ]
    answers = dashboard.ask([[*map(received, jobs)]], [*map(received, asked)])
    assert answers == [[[[60_000, 60_000], "1m"], [None, ""]]]


def test_without_details_commands_are_not_compared(dashboard: Dashboard) -> None:
    """Their program may not be seen, and nothing of it is in the message."""
    jobs = [received(job, details=False) for job in runs_of(["secret", "word"], MIN_LEARNED)]
    assert "word" not in json.dumps(jobs)
    active = transitions.create("run", now=at(0), id="a")
    hidden = active.replace(run={"argv": ["secret", "word"], "cwd": "/"}, revision=9)
    asked = [received(hidden, details=False), received(active.replace(revision=9))]
    assert dashboard.ask([jobs], asked) == [[[None, ""], [None, ""]]]


def test_only_the_newest_count_in_any_order(dashboard: Dashboard) -> None:
    """The first snapshot may bring the newest first, in several messages."""
    old, new = runs_of(["a"], MAX_LEARNED, 600), runs_of(["b"], MAX_LEARNED, 60)
    new = [
        job.replace(run={"argv": ["a"], "cwd": "/"}, revision=1000 + number)
        for number, job in enumerate(new)
    ]
    asked = old[0].replace(stage="pending", completed_at=None, history=None, id="x")
    middle = MAX_LEARNED // 2
    for order in ([*new, *old], [*new[middle:], *old, *new[:middle]]):
        answers = dashboard.ask([[received(job)] for job in order], [received(asked)])
        assert answers[-1] == [[[60_000, 60_000], "1m"]]
