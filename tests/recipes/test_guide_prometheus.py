"""README's scrape configuration and alert rules, checked and run by promtool, and by a hub."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from prometheus_client.parser import text_string_to_metric_families as parsed

from jobctl._clock import now
from jobctl.core import transitions as jobs
from jobctl.core.pipeline import Pipelines, parse_types
from jobctl.stores import open_store
from tests.hub.network import running_hub
from tests.recipes.guide import block

CONFIG, RULES = (block("Prometheus", "yaml", number) for number in (0, 1))
ALERTS = re.findall(r"- alert: (\w+)", RULES)

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="needs promtool (Debian: prometheus)"
)


def promtool(*args: str, cwd: Path) -> str:
    """What it prints; the test fails if it finds a mistake."""
    done = subprocess.run(
        ["promtool", *args], cwd=cwd, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def series(name: str, values: str, **labels: str) -> dict[str, str]:
    """One input series of a rule test."""
    shown = ",".join(f'{key}="{value}"' for key, value in {"job": "jobctl", **labels}.items())
    return {"series": f"{name}{{{shown}}}", "values": values}


def alert(name: str, at: str, *expected: dict[str, Any]) -> dict[str, Any]:
    """What has to fire at a time: nothing, or alerts with these labels and this summary."""
    return {"alertname": name, "eval_time": at, "exp_alerts": list(expected)}


def fired(summary: str, **labels: str) -> dict[str, Any]:
    """An alert that fires."""
    return {
        "exp_labels": {"job": "jobctl", **labels},
        "exp_annotations": {"summary": summary},
    }


UP = series("up", "1x120")
# Every test: the series, one sample a minute, and what fires when.
CASES: dict[str, tuple[list[dict[str, str]], list[dict[str, Any]]]] = {
    "a failure is told for 15 minutes": (
        [UP, series("jobctl_type_last_failure_timestamp_seconds", "_x10 600x110", type="etl"),
         series("jobctl_type_last_failure_timestamp_seconds", "-99999x120", type="old")],
        [alert("JobFailed", "9m"),
         alert("JobFailed", "10m", fired("A job of type etl failed", type="etl")),
         alert("JobFailed", "24m", fired("A job of type etl failed", type="etl")),
         alert("JobFailed", "25m")],
    ),
    "a lost job that is reaped within a minute is not told": (
        [UP, series("jobctl_type_lost_jobs", "0x5 1 0x5 2x20", type="etl")],
        [alert("JobLost", "6m"), alert("JobLost", "8m"),
         alert("JobLost", "14m", fired("Lost jobs of type etl: 2", type="etl"))],
    ),
    "a stalled job is told after five minutes": (
        [UP, series("jobctl_type_stalled_jobs", "0x5 1x20 0x20", type="etl")],
        [alert("JobStalled", "10m"),
         alert("JobStalled", "12m", fired("Stalled jobs of type etl: 1", type="etl")),
         alert("JobStalled", "30m")],
    ),
    "an overdue type is told until it succeeds": (
        [UP, series("jobctl_type_overdue", "0x5 1x20 0x20", type="backup"),
         series("jobctl_type_overdue", "0x60", type="etl")],
        [alert("JobTypeOverdue", "5m"),
         alert("JobTypeOverdue", "8m", fired(
             "No job of type backup completed in time", type="backup")),
         alert("JobTypeOverdue", "30m")],
    ),
    "a hub that is down, and one that nobody scrapes": (
        [series("up", "1x5 0x20 1x5 _x30")],
        [alert("JobctlHubDown", "5m"), alert("JobctlHubDown", "9m"),
         alert("JobctlHubDown", "12m", fired(
             "The hub cannot be read, so no other alert of jobctl can fire")),
         alert("JobctlHubDown", "28m"),
         alert("JobctlHubDown", "45m", fired(
             "The hub cannot be read, so no other alert of jobctl can fire"))],
    ),
    "all is well": (
        [UP, series("jobctl_type_lost_jobs", "0x60", type="etl"),
         series("jobctl_type_stalled_jobs", "0x60", type="etl"),
         series("jobctl_type_overdue", "0x60", type="etl")],
        [alert(name, "30m") for name in ALERTS],
    ),
}  # fmt: skip


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with the files under the names that README gives them."""
    for text in (CONFIG, RULES):
        name = Path(text.splitlines()[0].removeprefix("# ")).name
        (tmp_path / name).write_text(text.replace("/etc/prometheus", str(tmp_path)))
    (tmp_path / "jobctl.token").write_text("0123456789abcdef")
    return tmp_path


def test_there_are_five_alerts() -> None:
    """The cases below are about all of them."""
    assert len(ALERTS) == len(set(ALERTS)) == 5
    tried = {
        each["alertname"] for _, checks in CASES.values() for each in checks if each["exp_alerts"]
    }
    assert tried == set(ALERTS)


@needs_promtool
def test_promtool_finds_no_mistake(place: Path) -> None:
    """In the rules, nor in the configuration that names them."""
    assert "5 rules found" in promtool("check", "rules", "jobctl.rules.yml", cwd=place)
    assert "SUCCESS" in promtool("check", "config", "prometheus.yml", cwd=place)


@needs_promtool
@pytest.mark.parametrize("case", CASES)
def test_alerts_fire_when_they_should(place: Path, case: str) -> None:
    """And not before, nor afterwards."""
    given, checks = CASES[case]
    test = {
        "rule_files": ["jobctl.rules.yml"],
        "evaluation_interval": "1m",
        "tests": [{"interval": "1m", "input_series": given, "alert_rule_test": checks}],
    }
    (place / "case.yml").write_text(json.dumps(test))  # JSON is YAML
    assert "SUCCESS" in promtool("test", "rules", "case.yml", cwd=place)


async def test_a_hub_has_the_metrics_that_the_rules_name(tmp_path: Path) -> None:
    """For a scraper that shows the token as the configuration has it."""
    store = open_store(tmp_path / "jobs", create=True)
    store.create(jobs.fail(jobs.create("etl", now=now(), id="f"), "no", now=now()))
    tables = {"etl": ({"expect-every": "1d", "stalled-after": "10m"}, "jobctl.toml")}
    wanted = set(re.findall(r"jobctl_type_\w+", RULES))
    try:
        async with (
            running_hub(
                store, token=b"0123456789abcdef", pipelines=Pipelines(parse_types(tables))
            ) as hub,
            ClientSession(headers={"Authorization": "Bearer 0123456789abcdef"}) as session,
            session.get(f"http://127.0.0.1:{hub.port}/metrics") as answer,
        ):
            assert answer.status == 200
            text = await answer.text()
    finally:
        await asyncio.to_thread(store.close)
    found = {sample.name: sample.labels for family in parsed(text) for sample in family.samples}
    assert wanted <= set(found)
    assert {found[name]["type"] for name in wanted} == {"etl"}
