"""Options that mean the same everywhere, sources, settings, and what to do next."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from jobctl._clock import now_ms
from jobctl.cli.commands import COMMANDS
from jobctl.cli.help import TOPICS
from jobctl.config import Settings, user_file
from jobctl.core import transitions as jobs
from jobctl.core.times import to_text
from jobctl.stores import open_store
from tests.cli.conftest import DATA, Run, hub_on, own_settings, stand_in

NODE = str(DATA / "node-app-jobs")
ETL = """
[types.etl]
label = "Nightly load"
stages = [{name = "fetch", label = "Fetching"}, {name = "load", weight = 3}]
eta = "5m-20m"
stalled-after = "10m"
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory to stand in, without a word about jobs from the environment."""
    return stand_in(tmp_path, monkeypatch)


# -- the same flag means the same -----------------------------------------------------------

WORDS = {
    "-o": "-o, --output FORMAT Print table (default), wide, json, jsonl or name.",
    "--no-headers": "Print no header.",
    "-q": "Print ids only.",
    "--time-format": "--time-format FORMAT Print times as relative, iso or local.",
    "--dir": "Directory of the job files.",
    "--url": "Read from this hub; unix:PATH is a Unix socket.",
    "--token-file": "Read the hub's token from this file.",
    "--type": "Only jobs of this type.",
    "--stage": "Only jobs in this stage.",
    "--session": "Only jobs of this session.",
}
READERS = {
    "ls": {*WORDS},
    "watch": {*WORDS} - {"--no-headers"},
    "stats": {*WORDS} - {"-q"},  # which prints the names of groups
    "show": {"-o", "-q", "--time-format", "--dir", "--url", "--token-file"},
    "wait": {*WORDS} - {"--no-headers", "--time-format"},
    "clients": {"-o", "-q", "--no-headers", "--time-format", "--dir", "--url", "--token-file"},
}


@pytest.mark.parametrize("name", sorted(READERS))
def test_readers_take_the_same_options_in_the_same_words(
    run: Run, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """And the same five ways of printing."""
    monkeypatch.setenv("COLUMNS", "200")
    help = re.sub(r"\s+", " ", run(name, "--help").out)
    for option in READERS[name]:
        assert f"{option}" in help
        assert WORDS[option] in help


@pytest.mark.parametrize("name", sorted(READERS))
def test_two_sources_are_a_usage_error(run: Run, jobs_dir: Path, name: str) -> None:
    """By whichever command."""
    ids = ["x"] if name in ("show", "wait") else []
    result = run(name, *ids, "--dir", str(jobs_dir), "--url", "ws://127.0.0.1:1")
    assert (result.code, result.out) == (2, "")
    assert "two sources" in result.err


def test_names_are_what_other_commands_take(run: Run, jobs_dir: Path) -> None:
    """``-o name`` and ``-q`` print ids, and nothing else."""
    run("create", "--id", "a")
    run("create", "--id", "b")
    assert run("ls", "-q").out.split() == run("ls", "-o", "name").out.split()
    assert run("show", "a", "-q").out == run("show", "a", "-o", "name").out == "a\n"
    assert run("cancel", "a", "b", "-o", "name").out == "a\nb\n"
    assert run("wait", "a", "-q").out == ""  # it failed: it did not do what was waited for
    assert run("retry", "a", "b", "-o", "name").out == "a\nb\n"
    assert run("complete", "a", "-o", "name").out == run("watch", "a", "-q").out == "a\n"
    assert run("rm", "a", "b", "-o", "name").out == "a\nb\n"
    assert run("create", "--id", "c", "-q").out == "c\n"


def test_writers_print_what_became_of_a_job(run: Run, jobs_dir: Path) -> None:
    """If they are asked to; one job as an object, several as a list or as lines."""
    created = json.loads(run("create", "etl", "--id", "a", "--stages", "x,y", "-o", "json").out)
    assert (created["id"], created["stage"], created["derived"]["active"]) == ("a", "pending", True)
    assert run("advance", "a").out == ""
    assert json.loads(run("progress", "a", "3/8", "-o", "json").out)["progress"]["done"] == 3
    assert json.loads(run("fail", "a", "why", "-o", "jsonl").out)["error"] == "why"
    assert [job["id"] for job in json.loads(run("retry", "a", "-o", "json").out)["jobs"]] == ["a"]
    run("create", "--id", "b")
    lines = run("cancel", "a", "b", "-o", "jsonl").out.splitlines()
    assert [json.loads(line)["error"] for line in lines] == ["Cancelled by user"] * 2
    half = run("rm", "a", "nobody", "-o", "json")
    assert (half.code, json.loads(half.out)) == (4, {"removed": ["a"]})
    assert json.loads(half.err)["error"]["exitCode"] == 4
    pruned = run("prune", "--older-than", "0", "-o", "json", "-q")
    assert (json.loads(pruned.out), pruned.err) == ({"removed": ["b"]}, "")


def test_wait_tells_all_in_one_object(run: Run, jobs_dir: Path) -> None:
    """Or line by line."""
    run("create", "--id", "a")
    run("create", "--id", "b")
    run("complete", "a")
    run("fail", "b", "why")
    result = run("wait", "a", "b", "-o", "json")
    value = json.loads(result.out)
    assert (result.code, value["met"]) == (3, False)
    error = json.loads(result.err)["error"]
    assert (error["exitCode"], "job b failed" in error["message"]) == (3, True)
    assert {item["id"]: item["verdict"] for item in value["verdicts"]} == {
        "a": "met", "b": "failed",
    }  # fmt: skip
    assert len(run("wait", "a", "b", "-o", "jsonl").out.splitlines()) == 2
    assert "why" in run("wait", "b", "-o", "wide").out


# -- times ----------------------------------------------------------------------------------


def test_times_are_printed_as_asked(
    run: Run, jobs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the option, by the environment, or as each place does."""
    run("create", "--id", "a")
    iso = json.loads(run("show", "a", "-o", "json").out)["createdAt"]
    assert "AGE" in run("ls").out
    assert iso in run("ls", "--time-format", "iso").out
    assert "CREATED" in run("ls", "--time-format", "iso").out
    assert "s ago" in run("show", "a", "--time-format", "relative").out
    assert iso in run("show", "a", "--time-format", "iso").out
    run("complete", "a")
    assert "s ago" in run("watch", "a", "--time-format", "relative").out
    monkeypatch.setenv("JOBCTL_TIME_FORMAT", "iso")
    assert iso in run("ls", "-o", "wide").out
    assert "s ago" in run("show", "a", "--time-format", "relative").out
    monkeypatch.setenv("JOBCTL_TIME_FORMAT", "soon")
    assert run("ls").code == 2


def test_since_and_until_are_times(run: Run, jobs_dir: Path) -> None:
    """Of the last change; a cursor is no time, and a time no cursor."""
    store = open_store(jobs_dir, create=True)
    for id, minutes in (("old", 90), ("mid", 30), ("new", 0)):
        store.create(jobs.create("t", now=to_text(now_ms() - minutes * 60_000), id=id))
    store.close()
    assert run("ls", "--since", "1h", "-q").out.split() == ["new", "mid"]
    assert run("ls", "--until", "10m", "-q").out.split() == ["mid", "old"]
    assert run("ls", "--since", "1h", "--until", "10m", "-q").out.split() == ["mid"]
    assert run("ls", "--since", to_text(now_ms() - 60_000), "-q").out.split() == ["new"]
    assert json.loads(run("ls", "--since", "1h", "-o", "json").out)["cursor"] is None
    assert json.loads(run("ls", "--since", "9h", "-o", "json").out)["cursor"]
    assert run("ls", "--since", "soon").code == 2
    assert "is no time" in run("ls", "--since", "abc:12").err
    assert "not a cursor" in run("ls", "--cursor", "10m").err
    said = run("ls", "--since", "2099-01-01").err
    assert "no such jobs" in said


def test_watch_shows_what_ended_since(run: Run, jobs_dir: Path) -> None:
    """Beside what is active."""
    for id in ("a", "b"):
        run("create", "--id", id)
        run("complete", id)
    store = open_store(jobs_dir)
    old = jobs.create("t", now=to_text(now_ms() - 7_200_000), id="old")
    store.create(jobs.complete(old, now=to_text(now_ms() - 7_200_000)))
    store.close()
    shown = run("watch", "--since", "1h", "--exit-status", "-q").out.split()
    assert sorted(shown) == ["a", "b"]


# -- settings -------------------------------------------------------------------------------


def test_settings_name_the_hub_to_read_from(run: Run, project: Path) -> None:
    """The environment, and the user's own file; a directory that is nearer wins."""
    data = project / "data"
    run("create", "--id", "there", "--dir", str(data))
    with hub_on(data) as url:
        own = own_settings(f'url = "{url}"\n')
        assert run("ls", "-q").out == "there\n"
        assert run("show", "there", "-q").out == "there\n"
        (project / "jobctl.toml").write_text('dir = "other"\n')
        assert run("ls").code == 5  # that directory is not there
        (project / "jobctl.toml").unlink()
        refused = run("create")
        assert (refused.code, refused.out) == (2, "")
        assert "is for reading; name a directory by --dir" in refused.err
        assert run("run", "--", "true").code == 125
        own.write_text(f'url = "{url}"\ndir = "/somewhere"\n')
        assert "two sources" in run("ls").err
        assert run("ls", "-q", "--url", url).out == "there\n"


def test_environment_names_one_source(
    run: Run, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two are a usage error; within a job it is the job's directory."""
    monkeypatch.setenv("JOBCTL_URL", "ws://127.0.0.1:1")
    monkeypatch.setenv("JOBCTL_DIR", NODE)
    assert run("ls").code == 2
    assert "two sources" in run("ls").err
    assert run("ls", "--dir", NODE, "-q").out
    monkeypatch.setenv("JOBCTL_JOB", "x")
    assert run("ls", "-q").out


def test_types_of_ones_own_are_used_throughout(run: Run, project: Path) -> None:
    """By who creates, and by who looks."""
    (project / "jobctl.toml").write_text('dir = "jobs"\n' + ETL)
    assert run("create", "etl", "--id", "a").code == 0
    assert run("advance", "a").code == 0
    job = json.loads(run("show", "a", "-o", "json").out)
    assert (job["stage"], job["stages"]) == ("fetch", ["fetch", "load"])
    assert job["derived"]["etaMs"] == [300_000, 1_200_000]
    shown = run("show", "a").out
    assert "etl (Nightly load)" in shown
    assert "Fetching" in shown
    assert "5m-20m" in shown
    assert run("advance", "a").code == 0
    assert " 25% " in run("ls").out
    (project / "jobctl.toml").write_text('dir = "jobs"\n')
    assert " 66% " in run("ls").out  # who does not define it has the stages from the job


def test_settings_that_are_wrong_are_told(run: Run, project: Path) -> None:
    """A key that nobody knows is doubted; a value that makes no sense ends it."""
    path = project / "jobctl.toml"
    path.write_text('dirr = "x"\n')
    assert "there is no setting dirr; did you mean 'dir'?" in run("ls").err
    assert json.loads(run("ls", "-o", "json").err.splitlines()[0])["note"]
    path.write_text('types.t.eta = "soon"\n')
    broken = run("ls")
    assert (broken.code, broken.err.count("\n")) == (2, 1)
    assert f"{path}: types.t.eta" in broken.err
    assert run("ls", "--help").code == run("help", "ls").code == 0


def test_config_tells_each_value_and_its_source(
    run: Run, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And never the token."""
    own = own_settings('time-format = "iso"\ntoken-file = "t"\n')
    (project / "jobctl.toml").write_text('dir = "jobs"\n' + ETL)
    monkeypatch.setenv("JOBCTL_DURABLE", "1")
    monkeypatch.setenv("JOBCTL_TOKEN", "very-secret")
    result = run("config")
    rows = {line.split()[0]: line for line in result.out.splitlines()}
    assert str(project / "jobs") in rows["dir"]
    assert rows["dir"].endswith(str(project / "jobctl.toml"))
    assert rows["time-format"].endswith(str(own))
    assert re.fullmatch(r"durable +true +\$JOBCTL_DURABLE", rows["durable"])
    assert re.fullmatch(r"url +- +default", rows["url"])
    assert "Nightly load; fetch,load" in rows["types.etl"]
    value = json.loads(run("config", "-o", "json", "--dir", "x").out)
    assert value["settings"]["dir"] == {"value": str(project / "x"), "from": "--dir"}
    assert value["settings"]["token"] == {"value": "(set)", "from": "$JOBCTL_TOKEN"}
    assert [stage["percent"] for stage in value["types"]["etl"]["stages"]] == [0, 25]
    assert value["files"] == [str(project / "jobctl.toml"), str(own)]
    assert "; 5m-20m; stalled after 10m" in rows["types.etl"]
    assert run("config", "--dir", "a", "--url", "ws://b").code == 2
    assert "very-secret" not in result.out + json.dumps(value)


def test_token_file_of_the_users_own_reaches_the_hub(
    run: Run, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by the option; and a flag beats it."""
    monkeypatch.delenv("JOBCTL_TOKEN_FILE", raising=False)
    own_settings('token-file = "token"\nurl = "ws://127.0.0.1:9"\n')
    missing = run("ls")
    assert str(user_file().parent / "token") in missing.err


def test_flags_and_settings_leave_the_environment_alone(
    run: Run, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One run does not affect the next. A flag beats the environment, which beats the files."""
    for name in ("JOBCTL_TOKEN", "JOBCTL_TOKEN_FILE", "JOBCTL_CA"):
        monkeypatch.delenv(name, raising=False)
    own_settings('token-file = "of-settings"\nca = "ca"\nurl = "ws://127.0.0.1:9"\n')
    before = dict(os.environ)
    reads: list[tuple[str, ...]] = [
        ("ls",), ("show", "a"), ("watch",), ("watch", "a"), ("wait", "a"), ("clients",)
    ]  # fmt: skip
    for words in reads:
        flags = ("--token-file", "of-flag", "--ca", "none")
        assert "cannot read a token from of-flag" in run(*words, *flags).err
        assert "of-settings" in run(*words).err
        monkeypatch.setenv("JOBCTL_TOKEN_FILE", "of-environment")
        assert "cannot read a token from of-environment" in run(*words).err
        assert "cannot read a token from of-flag" in run(*words, *flags).err
        monkeypatch.delenv("JOBCTL_TOKEN_FILE")
        assert dict(os.environ) == before


@pytest.mark.parametrize(
    "words",
    [
        ["create", "--id", "b"],
        ["ls"],
        ["ls", "--dir", "x"],
        ["show", "a", "--time-format", "iso"],
        ["progress", "a", "3/8"],
        ["run", "--", "true"],
        ["config"],
        ["prune", "--older-than", "1d", "--dry-run"],
    ],
)
def test_settings_are_read_once(
    run: Run, project: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    """Once per run, however many parts of a command ask for them."""
    own_settings('time-format = "iso"\ndurable = true\n')
    (project / "jobctl.toml").write_text('dir = "x"\n')
    assert run("create", "--id", "a").code == 0
    made: list[Settings] = []
    real = Settings.__init__

    def count(self: Settings, *args: Any) -> None:
        made.append(self)
        real(self, *args)

    monkeypatch.setattr(Settings, "__init__", count)
    assert run(*words).code == 0
    assert len(made) == 1
    monkeypatch.chdir(project.parent)  # whose settings are other ones
    run(*words)
    assert len(made) == 2, "the next run reads them again"


# -- what next ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["lss"], "Did you mean 'ls'?"),
        (["help", "exit-code"], "did you mean 'exit-codes'?"),
        (["show", "nightly-laod"], "did you mean nightly-load?"),
        (["show", "0b961deX"], "did you mean 0b961de6"),
        (["advance", "nightly-load", "lod"], "did you mean 'load'?"),
        (["ls", "--stage", "faild"], "did you mean 'failed'?"),
        (["ls", "--stag", "x"], "--stage"),
        (["show", "nobody-at-all"], "see 'jobctl ls'"),
        (["clients"], "start one: jobctl serve --dir "),
        (["wait", "broken"], "see 'jobctl show broken'"),
        (["watch", "broken", "--exit-status", "-o", "json"], "see 'jobctl show broken'"),
    ],
)
def test_what_was_meant_or_may_be_done_is_said(
    run: Run, jobs_dir: Path, args: list[str], said: str
) -> None:
    """In the same line."""
    run("create", "etl", "--id", "nightly-load", "--stages", "fetch,load")
    run("create", "--id", "0b961de6-0db3")
    run("create", "--id", "broken")
    run("fail", "broken", "why")
    result = run(*args)
    assert said in result.err
    assert result.err.count("\n") == 1


@pytest.mark.parametrize("topic", sorted(TOPICS))
def test_each_topic_fits_the_screen(run: Run, topic: str) -> None:
    """80 columns; and the page about help names it."""
    assert topic not in COMMANDS
    result = run("help", topic)
    assert (result.code, result.err) == (0, "")
    assert max(map(len, result.out.splitlines())) <= 80
    assert topic in run("help", "--help").out
    assert result.out.strip() == TOPICS[topic]


def test_exit_codes_are_those_of_the_errors(run: Run) -> None:
    """Each class's own is on the page."""
    from jobctl import errors

    codes = {
        value.exit_code
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, errors.JobctlError)
    }
    page = run("help", "exit-codes").out
    assert all(re.search(rf"^ +{code}  ", page, re.MULTILINE) for code in codes)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_of_a_command_is_the_commands_help(run: Run, name: str) -> None:
    """By either way."""
    assert run("help", name).out == run(name, "--help").out


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_each_option_is_said_in_one_plain_sentence(
    run: Run, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """It begins with a capital, ends with a full stop, and is short."""
    import typer

    from jobctl.cli.typer_app import build

    group = typer.main.get_command(build([name]))
    for parameter in group.commands[name].params:  # type: ignore[attr-defined]
        said = parameter.help or ""
        assert re.fullmatch(r"[A-Z$/`].{3,75}\.", said), (parameter.name, said)
