"""``jobctl ls``."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from jobctl._clock import now
from jobctl.cli import ls as ls_module
from jobctl.core.transitions import advance, create
from jobctl.stores import open_store
from tests.cli.conftest import DATA, DERIVED, Run, command, environment, hub_on
from tests.stores.support import age

NODE = str(DATA / "node-app-jobs")
NOW_MS = 1791244800000  # 2026-10-06T00:00:00Z


def test_all_files_of_the_original_program_are_listed_newest_first(run: Run) -> None:
    """48 files, 48 lines, in descending order of creation."""
    result = run("ls", "--dir", NODE, "-o", "json")
    jobs = json.loads(result.out)["jobs"]
    created = [job["createdAt"] for job in jobs]
    assert (result.code, len(jobs), result.err) == (0, 48, "")
    assert created == sorted(created, reverse=True)


def test_machine_output_carries_cursor_gone_bad_and_derived(run: Run) -> None:
    """The shape that programs rely on."""
    value = json.loads(run("ls", "--dir", NODE, "-o", "json").out)
    assert set(value) == {"cursor", "jobs", "gone", "bad"}
    assert set(value["jobs"][0]["derived"]) == DERIVED


def test_reading_makes_nothing(run: Run, tmp_path: Path) -> None:
    """A directory that is only read stays as it is."""
    copy = tmp_path / "jobs"
    shutil.copytree(NODE, copy)
    before = sorted(path.name for path in copy.iterdir())
    run("ls", "--dir", str(copy))
    assert sorted(path.name for path in copy.iterdir()) == before


def test_filters_are_or_within_a_flag_and_and_between_flags(run: Run) -> None:
    """Two stages of one type."""
    args = ("--stage", "failed", "--stage", "completed", "--type", "submit_answers")
    lines = run("ls", "--dir", NODE, *args, "-o", "jsonl").out.splitlines()
    jobs = [json.loads(line) for line in lines]
    assert {job["stage"] for job in jobs} == {"failed", "completed"}
    assert {job["type"] for job in jobs} == {"submit_answers"}
    assert len(jobs) == 4


def test_active_limit_and_names(run: Run) -> None:
    """-q prints ids only, as many as --limit says."""
    result = run("ls", "--dir", NODE, "--active", "--limit", "3", "-q")
    assert len(result.out.splitlines()) == 3
    assert all(len(line) == 36 for line in result.out.splitlines())


def test_a_cursor_gets_exactly_the_difference(run: Run, jobs_dir: Path) -> None:
    """What changed since, and what is gone."""
    keep = run("create", "etl").out.strip()
    drop = run("create", "etl").out.strip()
    cursor = json.loads(run("ls", "-o", "json").out)["cursor"]
    new = run("create", "etl").out.strip()
    run("rm", drop)
    value = json.loads(run("ls", "--cursor", cursor, "-o", "json").out)
    assert [job["id"] for job in value["jobs"]] == [new]
    assert value["gone"] == [drop]
    assert keep not in str(value)


def test_bad_files_are_counted_and_named_on_request(run: Run) -> None:
    """The good ones are listed, with exit code 0 all the same."""
    result = run("ls", "--dir", str(DATA / "bad-jobs"), "-q")
    names = {
        "00000000-0000-4000-8000-000000000001",
        "unknown-stage",
        "terminal-escape",
        "rich-markup",
        "script-tag",
        "bad-date",
        "bom",
        "duplicate-keys",
        "lone-surrogate",
        "missing-fields",
        "nan",
    }
    assert (result.code, set(result.out.split())) == (0, names)
    assert result.err == "jobctl: 7 files are no jobs; -v names them\n"
    verbose = run("ls", "--dir", str(DATA / "bad-jobs"), "-q", "-v").err
    assert "torn.json: not JSON" in verbose
    assert "huge-int.json: a number of 5000 digits" in verbose
    assert "bom.json: starts with a byte order mark, which is skipped" in verbose
    assert 'bad-date.json: createdAt: "yesterday" is no time: read as missing' in verbose


def test_an_empty_answer_says_where_it_looked(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The default directory may not exist; a hint points to where jobs lie."""
    monkeypatch.delenv("JOBCTL_DIR", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    result = run("ls")
    assert (result.code, result.out) == (0, "")
    assert result.err == f"jobctl: no jobs in {tmp_path}/state/jobctl/jobs (default)\n"
    shutil.copytree(NODE, tmp_path / "data" / "jobs")
    assert run("ls").err.endswith("(default); try --dir data/jobs\n")


def test_a_named_directory_that_is_missing_is_out_of_reach(run: Run, tmp_path: Path) -> None:
    """Readers exit 5 and make nothing."""
    result = run("ls", "--dir", str(tmp_path / "nowhere"))
    assert (result.code, result.out) == (5, "")
    assert result.err.count("\n") == 1
    assert "nowhere" in result.err
    assert not (tmp_path / "nowhere").exists()


def test_any_unique_start_of_an_id_will_do(run: Run) -> None:
    """One that is not unique, or not there, is exit code 4."""
    assert run("ls", "--dir", NODE, "0b961de6", "-q").out.startswith("0b961de6-0db3")
    assert run("ls", "--dir", NODE, "f", "-q").code == 4
    missing = run("ls", "--dir", NODE, "zzz")
    assert (missing.code, missing.err.count("\n")) == (4, 1)


@pytest.mark.parametrize("columns", [80, 200])
def test_table_looks_as_it_did(run: Run, monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    """Golden files pin the terminal output at two widths."""
    monkeypatch.setattr(ls_module, "columns_of_terminal", lambda: columns)
    monkeypatch.setattr(ls_module, "now_ms", lambda: NOW_MS)
    text = run("ls", "--dir", NODE, "--sort", "id").out
    golden = Path(__file__).parent / "golden" / f"ls-{columns}.txt"
    assert text == golden.read_text()
    assert max(len(line) for line in text.splitlines()) <= columns


def test_a_bad_cursor_is_a_usage_error(run: Run) -> None:
    """One line, exit code 2."""
    result = run("ls", "--dir", NODE, "--cursor", "yesterday")
    assert (result.code, result.err.count("\n")) == (2, 1)


def test_a_cursor_is_given_only_when_all_up_to_it_was_told(run: Run) -> None:
    """What --limit cut was not: whoever resumed would never see it."""
    cut = json.loads(run("ls", "--dir", NODE, "--limit", "47", "-o", "json").out)
    assert (len(cut["jobs"]), cut["cursor"]) == (47, None)
    whole = json.loads(run("ls", "--dir", NODE, "--limit", "48", "-o", "json").out)
    assert (len(whole["jobs"]), whole["cursor"] is None) == (48, False)


def test_deletions_since_a_cursor_are_counted_where_they_are_not_shown(
    run: Run, jobs_dir: Path
) -> None:
    """A table of what is new says nothing of what is gone."""
    drop = run("create", "etl").out.strip()
    cursor = json.loads(run("ls", "-o", "json").out)["cursor"]
    run("rm", drop)
    assert "1 gone since the cursor; -o json names them" in run("ls", "--cursor", cursor).err
    assert run("ls", "--cursor", cursor, "-o", "json").err == ""


def test_a_short_id_is_unique_in_the_store_and_not_on_the_screen_only(
    run: Run, jobs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be typed again as it stands."""
    run("create", "a", "--id", "nightly-2026-01-01")
    run("create", "b", "--id", "nightly-2026-01-02")
    monkeypatch.setattr(ls_module, "columns_of_terminal", lambda: 80)
    shown = run("ls", "--type", "a", "--no-headers").out.split()[0]
    assert run("show", shown).code == 0


def test_the_stage_is_seen_on_the_narrowest_terminal(
    run: Run, jobs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAULTS row 40: at 20 columns the type is left out before the stage is."""
    run("create", "create_session")
    monkeypatch.setattr(ls_module, "columns_of_terminal", lambda: 20)
    lines = run("ls").out.splitlines()
    assert [line.split()[1] for line in lines] == ["STAGE", "pending"]
    assert max(map(len, lines)) <= 20


def test_a_name_that_the_system_refuses_is_out_of_reach(run: Run) -> None:
    """Too long to be asked for."""
    result = run("ls", "--dir", "x" * 300)
    assert (result.code, result.err.count("\n")) == (5, 1)


@pytest.mark.slow
def test_a_hub_is_read_by_its_url(
    run: Run, jobs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same answers, cursors and files in quarantine as in its directory."""
    for id in ("mine-2026-01-01", "mine-2026-01-02", "other"):
        run("create", "a" if id == "other" else "b", "--id", id)
    (jobs_dir / "torn.json").write_text("{")
    age(jobs_dir / "torn.json")  # else it gets its record in a second, between the two
    with hub_on(jobs_dir) as url:
        here, there = (
            json.loads(run("ls", *where, "-o", "json").out) for where in ((), ("--url", url))
        )
        assert [item["name"] for item in here["bad"]] == ["torn.json"]
        assert there["bad"] == here["bad"]
        assert "1 file is no job; -v names them" in run("ls", "--url", url).err
        damaged = run("show", "torn", "--url", url)
        assert (damaged.code, damaged.err.count("\n")) == (5, 1)
        assert "torn.json on ws://" in damaged.err
        assert [job["id"] for job in there["jobs"]] == [job["id"] for job in here["jobs"]]
        assert there["cursor"] == here["cursor"]
        for args in (("oth", "-q"), ("--type", "b", "-q"), ("--stage", "failed", "-q")):
            assert run("ls", "--url", url, *args).out == run("ls", *args).out
        missing = run("ls", "--url", url, "mine")
        assert (missing.code, "mine-2026-01-01, mine-2026-01-02" in missing.err) == (4, True)
        run("rm", "other")
        run("advance", "mine-2026-01-02", "load")
        args = ("--url", url, "--cursor", there["cursor"], "-o", "json")
        news = json.loads(run("ls", *args).out)
        assert [job["id"] for job in news["jobs"]] == ["mine-2026-01-02"]
        assert (news["gone"], news["bad"]) == (["other"], here["bad"])
        monkeypatch.setattr(ls_module, "columns_of_terminal", lambda: 80)
        shown = run("ls", "--url", url, "--stage", "load", "--no-headers").out.split()[0]
        assert shown == "mine-2026-01-02", "a short id is unique on the hub"
        none = run("ls", "--url", url, "--type", "none").err.splitlines()
        assert none == [f"jobctl: no such jobs in {url}", "jobctl: 1 file is no job; -v names them"]


@pytest.mark.parametrize("args", [["ls"], ["show", "j"], ["wait", "j"], ["wait", "--active"]])
def test_a_hub_out_of_reach_is_one_line_at_once(run: Run, args: list[str]) -> None:
    """Exit code 5, without a second try; a directory beside it makes no sense."""
    result = run(*args, "--url", "127.0.0.1:9")
    assert (result.code, result.out, result.err.count("\n")) == (5, "", 1)
    assert "nobody listens there; is 'jobctl serve' running" in result.err
    assert run(*args, "--url", "127.0.0.1:9", "--dir", "/").code == 2


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("faketime") is None, reason="needs faketime")
def test_ages_are_counted_by_the_hubs_clock(jobs_dir: Path) -> None:
    """Or a reader whose clock is ten minutes ahead takes every running job for stalled."""
    with hub_on(jobs_dir) as url:
        store = open_store(jobs_dir, create=True)
        store.create(advance(create("submit_answers", now=now(), id="a1"), "generate", now=now()))
        store.close()

        def ahead(*args: str) -> str:
            prefix = ["faketime", "-f", "+600"]
            return subprocess.run(
                [*prefix, *command(*args, "--url", url)],
                env=environment(), capture_output=True, text=True, check=True,
            ).stdout  # fmt: skip

        for args in (["ls"], ["ls", "--since", "5m"], ["show", "a1"]):
            listed = json.loads(ahead(*args, "-o", "json"))
            job = listed["jobs"][0] if "jobs" in listed else listed
            assert not job["derived"]["stalled"], args
            assert job["derived"]["elapsedMs"] < 60_000
        assert "stalled" not in ahead("ls")
