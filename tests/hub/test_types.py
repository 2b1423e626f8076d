"""What a hub says of the types that its settings name: ``/metrics`` and ``/api/overdue``."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from typing import Any

import pytest
from aiohttp import ClientSession
from prometheus_client.parser import text_string_to_metric_families as parsed

from jobctl._clock import now, now_ms
from jobctl.core import transitions as jobs
from jobctl.core.job import Job
from jobctl.core.jobset import Delta, JobSet
from jobctl.core.pipeline import Pipelines, parse_types
from jobctl.core.times import to_text
from tests.hub.network import Reader, new_job, running_hub, until
from tests.hub.test_http import beats, get, served_as_it_is
from tests.hub.test_metrics import PROMETHEUS_2
from tests.stores.support import plant_owner

HOUR_MS = 3_600_000
DEAD = "1-0123456789ab"
TABLES: dict[str, dict[str, Any]] = {
    "backup": {"expect-every": "1d", "grace": "2h"},
    "etl": {"stalled-after": "10m"},
}


def settings(tables: dict[str, dict[str, Any]] | None = None) -> Pipelines:
    """The pipelines of a hub's settings."""
    given = (TABLES if tables is None else tables).items()
    return Pipelines(parse_types({name: (table, "jobctl.toml") for name, table in given}))


def at_work(id: str, type: str, ago_ms: int = 0, **more: Any) -> Job:
    """A job that began so long ago."""
    when = to_text(now_ms() - ago_ms)
    made = jobs.create(type, now=when, id=id).replace(**more)
    return jobs.advance(made, "load", now=when, force=True)


def done(id: str, type: str, ago_ms: int, took_ms: int = 90_000) -> Job:
    """A job that completed so long ago."""
    return jobs.complete(at_work(id, type, ago_ms + took_ms), now=to_text(now_ms() - ago_ms))


async def values(hub: Any) -> dict[str, float]:
    """The samples of types, without their prefix, as ``NAME{LABELS}``."""
    text = (await get(hub, "/metrics")).body.decode()
    found = {}
    for family in parsed(text):
        for sample in family.samples:
            if sample.name.startswith("jobctl_type_"):
                labels = ",".join(sample.labels[key] for key in sorted(sample.labels))
                found[f"{sample.name.removeprefix('jobctl_type_')}{{{labels}}}"] = sample.value
    return found


async def test_state_of_each_type_that_settings_name(directory, served):
    """By its jobs now; also when nobody is connected."""
    plant_owner(directory, DEAD)
    served.create(at_work("run", "etl"))
    served.create(at_work("slow", "etl", HOUR_MS))
    served.create(at_work("lost", "etl", HOUR_MS, owner=DEAD))
    served.create(done("b1", "backup", 50 * HOUR_MS))
    served.create(jobs.fail(at_work("b2", "backup"), "no", now=now()))
    served.create(jobs.cancel(new_job("c1").replace(type="backup"), now=now()))
    async with running_hub(served, pipelines=settings()) as hub:
        found = await values(hub)
    assert found["jobs{active,etl}"] == 3  # labels by name: state, type
    assert (found["lost_jobs{etl}"], found["stalled_jobs{etl}"]) == (1, 1)
    states = [found[f"jobs{{{state},backup}}"] for state in ("completed", "failed", "cancelled")]
    assert states == [1, 1, 1]
    success_s = found["last_success_timestamp_seconds{backup}"]
    assert success_s == pytest.approx(now_ms() / 1000 - 50 * 3600, abs=60)
    assert found["last_failure_timestamp_seconds{backup}"] == pytest.approx(now_ms() / 1000, abs=60)
    assert found["overdue{backup}"] == 1
    for name in ("last_success_timestamp_seconds{etl}", "overdue{etl}"):
        assert name not in found  # nothing is known; nothing is expected


async def test_no_label_is_of_a_job(served):
    """Whatever types jobs have, the number of series is that of the settings."""
    for number in range(50):
        served.create(jobs.create(f"secret-{number}", now=now(), id=f"a{number}"))
    async with running_hub(served, pipelines=settings()) as hub:
        text = (await get(hub, "/metrics")).body.decode()
        assert "secret" not in text
        few = len(await values(hub))
    async with running_hub(served, pipelines=settings({})) as hub:
        assert await values(hub) == {}
    assert few < 100


async def test_what_ends_while_the_hub_runs_is_counted_once(served):
    """Not what had ended before; another attempt counts again."""
    served.create(done("old", "backup", HOUR_MS))
    async with running_hub(served, pipelines=settings()) as hub:
        before = await values(hub)
        assert before["ended_total{completed,backup}"] == 0
        assert before["duration_seconds_count{backup}"] == 0
        assert before["jobs{completed,backup}"] == 1
        served.create(done("b1", "backup", 0, took_ms=90_000))
        served.create(jobs.fail(at_work("b2", "backup"), "no", now=now()))
        assert (await values(hub))["ended_total{failed,backup}"] == 1
        served.update("b2", lambda job: jobs.retry(job, now=now()))
        served.update("b2", lambda job: jobs.fail(job, "again", now=now()))
        served.update("b1", lambda job: job.replace(labels={"team": "x"}))
        found = await values(hub)
        assert found["ended_total{completed,backup}"] == 1
        assert found["ended_total{failed,backup}"] == 2
        assert found["duration_seconds_count{backup}"] == 1
        assert found["duration_seconds_sum{backup}"] == pytest.approx(90, abs=1)
        assert found["duration_seconds_bucket{60,backup}"] == 0
        assert found["duration_seconds_bucket{120,backup}"] == 1


async def test_what_ends_before_the_first_scrape_is_counted(served):
    """The counters begin with the hub, not with Prometheus."""
    served.create(done("old", "backup", HOUR_MS))
    async with running_hub(served, pipelines=settings()) as hub:
        served.create(done("b1", "backup", 0))
        found = await values(hub)
    assert found["ended_total{completed,backup}"] == 1
    assert found["duration_seconds_count{backup}"] == 1


async def test_counters_stay_and_gauges_fall_when_jobs_are_pruned(served):
    """A counter that fell would look like a restart of the hub."""
    async with running_hub(served, pipelines=settings()) as hub:
        await values(hub)
        served.create(done("b1", "backup", 0))
        assert (await values(hub))["ended_total{completed,backup}"] == 1
        served.remove("b1")
        found = await values(hub)
        assert found["ended_total{completed,backup}"] == 1
        assert found["jobs{completed,backup}"] == 0
        assert "last_success_timestamp_seconds{backup}" not in found


async def test_both_formats_are_valid(served):
    """``promtool check metrics`` has nothing to say; OpenMetrics has the same families."""
    served.create(done("b1", "backup", 50 * HOUR_MS))
    async with running_hub(served, pipelines=settings()) as hub:
        text = (await get(hub, "/metrics")).body
        async with (
            ClientSession() as session,
            session.get(
                f"http://127.0.0.1:{hub.port}/metrics", headers={"Accept": PROMETHEUS_2}
            ) as answer,
        ):
            openmetrics = await answer.text()
    for name in ("jobctl_type_ended", "jobctl_type_duration_seconds", "jobctl_type_overdue"):
        assert f"# TYPE {name}" in openmetrics
    if shutil.which("promtool") is None:
        pytest.skip("needs promtool (prometheus)")
    check = await asyncio.to_thread(
        subprocess.run, ["promtool", "check", "metrics"], input=text, capture_output=True
    )
    assert (check.returncode, check.stdout, check.stderr) == (0, b"", b"")


async def test_overdue_types_are_named(served):
    """As data and as a line; a success takes it back."""
    served.create(done("b1", "backup", 50 * HOUR_MS))
    async with running_hub(served, pipelines=settings()) as hub:
        (item,) = json.loads((await get(hub, "/api/overdue")).body)["overdue"]
        assert (item["type"], item["expectEveryMs"], item["runningSince"]) == (
            "backup", 24 * HOUR_MS, None,
        )  # fmt: skip
        assert item["text"] == "backup is overdue: last success 2d02h ago, expected every 1d"
        served.create(done("b2", "backup", 0))
        assert json.loads((await get(hub, "/api/overdue")).body) == {"overdue": []}
        assert (await get(hub, "/api/overdue?type=x")).status == 400


async def test_overdue_needs_the_right_to_view(served):
    """As all that is about jobs."""
    async with running_hub(served, token=b"0123456789abcdef", pipelines=settings()) as hub:
        assert (await get(hub, "/api/overdue")).status == 401


async def test_what_a_session_has_read_is_known_too(served, writer):
    """The replica is the same, and no message of its own tells a client."""
    async with running_hub(served, pipelines=settings()) as hub, Reader.of_hub(hub.url) as reader:
        writer.create(done("b1", "backup", 50 * HOUR_MS))
        await until(lambda: "b1" in reader.contents)
        assert len(json.loads((await get(hub, "/api/overdue")).body)["overdue"]) == 1


@pytest.mark.slow
async def test_first_look_at_many_jobs_does_not_hold_up_the_loop(served):
    """FAULTS row 27: at 100,000 jobs that settings name."""
    made = [
        done("a", "backup", HOUR_MS).replace(id=f"j{n:06d}", revision=n) for n in range(1, 100_001)
    ]
    replica = JobSet(opaque=True)
    assert replica.apply(Delta("e1", 0, 100_000, tuple(made)))
    async with running_hub(served, pipelines=settings()) as hub:
        hub.server.hub.replace_replica(replica)
        hub.server.status.refresh = served_as_it_is
        gaps: list[float] = []
        beat = asyncio.create_task(beats(gaps))
        for _ in range(30):
            if (await get(hub, "/api/overdue")).status == 200:
                break
        beat.cancel()
        found = await values(hub)
        assert found["jobs{completed,backup}"] == 100_000
        assert sorted(gaps)[-3] < 0.05
