"""Types that have to succeed regularly: what `ls`, `stats`, `prune` and `config` say of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jobctl._clock import now_ms
from jobctl.core import transitions as jobs
from jobctl.core.times import to_text
from jobctl.stores import open_store
from tests.cli.conftest import Run, hub_on, own_settings

SAID = "jobctl: backup is overdue: last success 2d01h ago, expected every 1d\n"


@pytest.fixture
def world(jobs_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A backup that completed two days ago and failed since, and an etl job that completed."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    own_settings(
        '[types.backup]\nexpect-every = "1d"\ngrace = "2h"\n[types.etl]\nexpect-every = "30d"\n'
    )
    store = open_store(jobs_dir, create=True)
    for id, type, hours, fails in (
        ("b1", "backup", 49, False), ("b2", "backup", 5, True), ("e1", "etl", 49, False),
    ):  # fmt: skip
        end = to_text(now_ms() - hours * 3_600_000 - 60_000)
        job = jobs.create(type, now=to_text(now_ms() - (hours + 1) * 3_600_000), id=id)
        store.create(jobs.fail(job, "no", now=end) if fails else jobs.complete(job, now=end))
    store.close()
    return jobs_dir


def test_ls_and_stats_say_it_after_the_table(run: Run, world: Path) -> None:
    """On standard error, so that standard output has jobs only."""
    for command in ("ls", "stats"):
        result = run(command)
        assert (result.code, result.err) == (0, SAID)
        assert "overdue" not in result.out


@pytest.mark.parametrize("command", ["ls", "stats"])
@pytest.mark.parametrize("through_hub", [False, True], ids=["directory", "hub"])
def test_a_filter_by_type_does_not_hide_that_it_never_ran(
    run: Run, world: Path, command: str, through_hub: bool
) -> None:
    """The time is measured from the oldest job of any type, which the filter leaves out."""
    own_settings('[types.mirror]\nexpect-every = "1d"\n')
    said = "jobctl: mirror is overdue: no success is known, expected every 1d\n"
    assert said in run(command).err
    if through_hub:
        with hub_on(world) as url:
            assert said in run(command, "--type", "mirror", "--url", url).err
    else:
        assert said in run(command, "--type", "mirror").err


@pytest.mark.parametrize(
    "options", [["-o", "json"], ["-o", "jsonl"], ["-o", "name"], ["-q"]], ids=" ".join
)
@pytest.mark.parametrize("command", ["ls", "stats"])
def test_output_for_programs_is_not_disturbed(
    run: Run, world: Path, command: str, options: list[str]
) -> None:
    """Not even on standard error."""
    assert run(command, *options).err == ""


def test_stats_has_it_in_json(run: Run, world: Path) -> None:
    """As a list; null if the filter leaves successes out."""
    (item,) = json.loads(run("stats", "-o", "json").out)["overdue"]
    assert (item["type"], item["expectEveryMs"], item["graceMs"]) == (
        "backup", 86_400_000, 7_200_000,
    )  # fmt: skip
    for options, found in (
        (["--type", "etl"], []), (["--stage", "failed"], None), (["--by", "host"], [item]),
    ):  # fmt: skip
        assert json.loads(run("stats", *options, "-o", "json").out)["overdue"] == found


def test_filter_on_types_chooses_and_other_filters_are_silent(run: Run, world: Path) -> None:
    """Nothing is said that is not so."""
    assert run("ls", "--type", "backup").err == SAID
    assert run("ls", "--limit", "1", "--since", "1h").err.endswith(SAID)
    for options in (["--type", "etl"], ["--stage", "failed"], ["b1"], ["-l", "!team"]):
        assert "overdue" not in run("ls", *options).err
    cursor = json.loads(run("ls", "-o", "json").out)["cursor"]
    assert "overdue" not in run("ls", "--cursor", cursor).err


@pytest.mark.slow
def test_through_a_hub_the_settings_of_the_reader_count(run: Run, world: Path) -> None:
    """As those of types do."""
    with hub_on(world) as url:
        assert run("ls", "--url", url).err == SAID
        assert run("stats", "--url", url).err == SAID
        own_settings("[types.backup]\nlabel = 'x'\n")
        assert run("ls", "--url", url).err == ""


def test_prune_keeps_the_last_success_and_says_so(run: Run, world: Path) -> None:
    """Else `ls` would say that no success is known."""
    result = run("prune", "--older-than", "0", "-y")
    assert result.out.split() == ["b2"]
    assert "2 jobs stay as the last success of a type that is expected regularly" in result.err
    assert run("ls").err == SAID


def test_config_shows_what_is_expected(run: Run, world: Path) -> None:
    """In words, and in milliseconds."""
    assert "expected every 1d, grace 2h" in run("config").out
    types = json.loads(run("config", "-o", "json").out)["types"]
    assert (types["etl"]["expectEveryMs"], types["etl"]["graceMs"]) == (
        30 * 86_400_000, 3 * 86_400_000,
    )  # fmt: skip
