"""What the completion scripts are told: ``jobctl __complete``."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from jobctl import create, fail, open_store
from jobctl.cli import dynamic_completion as module
from jobctl.cli.dynamic_completion import KINDS, candidates
from jobctl.core.codec import MAX_JOB_BYTES
from jobctl.core.job import check_id
from jobctl.core.pipeline import BUILT_IN, CANCELLED, FAILED, Pipeline
from jobctl.errors import InvalidId
from jobctl.hub import running
from jobctl.hub.discovery import announced
from jobctl.stores import read_all
from tests.cli.conftest import DATA, command, environment, run_process
from tests.cli.shells import put_job

NOW = "2026-10-04T01:19:13.817Z"
TYPES = sorted(BUILT_IN)
STAGES = [*BUILT_IN["create_session"].names(), FAILED, CANCELLED]


def values(kind: str, directory: Path, prefix: str = "", *arguments: str) -> list[str]:
    """The candidates, without the words for people."""
    found = candidates([kind, "--dir", str(directory), "--", prefix, *arguments])
    return [value for value, _ in found]


def test_ids_are_those_of_the_filter_newest_first(tmp_path: Path) -> None:
    """All, the active ones, or the failed ones."""
    put_job(tmp_path, "done", age_s=1, stage="completed")
    put_job(tmp_path, "broken", age_s=2, stage="failed")
    put_job(tmp_path, "young", age_s=0)
    put_job(tmp_path, "old", age_s=3, stage="pending")
    assert values("ids", tmp_path) == ["young", "done", "broken", "old"]
    assert values("active", tmp_path) == ["young", "old"]
    assert values("failed", tmp_path) == ["broken"]


def test_the_words_are_stage_and_title_or_else_type(tmp_path: Path) -> None:
    """What tells one job from another."""
    put_job(tmp_path, "a", age_s=0, title="Every night")
    put_job(tmp_path, "b", age_s=1, title=None)
    put_job(tmp_path, "c", age_s=2, title="x" * 200)
    words = [words for _, words in candidates(["ids", "--dir", str(tmp_path), "--", ""])]
    assert words[:2] == ["load  Every night", "load  nightly"]
    assert words[2].startswith("load  xxx")
    assert len(words[2]) < 120


def test_a_prefix_is_exact(tmp_path: Path) -> None:
    """Case counts, and nothing is a pattern."""
    for id in ("Alpha", "alpha", "a.b", "axb"):
        put_job(tmp_path, id)
    assert values("ids", tmp_path, "Al") == ["Alpha"]
    assert values("ids", tmp_path, "a.") == ["a.b"]
    assert values("ids", tmp_path, "*") == []


def test_what_is_on_the_line_is_not_offered_again(tmp_path: Path) -> None:
    """Neither for its id nor for a start that means it; a start of two means neither."""
    for age_s, id in enumerate(("apple", "apricot", "banana")):
        put_job(tmp_path, id, age_s=age_s)
    assert values("ids", tmp_path, "", "apple") == ["apricot", "banana"]
    assert values("ids", tmp_path, "", "ba") == ["apple", "apricot"]
    assert values("ids", tmp_path, "", "ap") == ["apple", "apricot", "banana"]
    assert values("ids", tmp_path, "b", "ba") == []


def test_an_id_is_what_may_be_one(tmp_path: Path) -> None:
    """The same rule as everywhere: others are nobody's jobs."""
    names = ["a", "_a", ".a", "-a", "a b", "a\n", "ä", "a" * 64, "a" * 65, "a.json", "A-9._"]
    for name in names:
        put_job(tmp_path, name)

    def legal(name: str) -> bool:
        try:
            return bool(check_id(name))
        except InvalidId:
            return False

    assert sorted(values("ids", tmp_path)) == sorted(filter(legal, names))


def test_types_stages_and_sessions_are_those_in_use_and_built_in(tmp_path: Path) -> None:
    """Each of them once."""
    put_job(tmp_path, "a", age_s=0, type="zip", stage="deflate", sessionId="s2")
    put_job(tmp_path, "b", age_s=1, type="zip", stage="extract", sessionId="s1")
    put_job(tmp_path, "c", age_s=2, type="create_session", stage="deflate", sessionId="s2")
    assert values("types", tmp_path) == [*TYPES, "zip"]
    assert values("stages", tmp_path) == [*STAGES, "deflate"]
    assert values("sessions", tmp_path) == ["s2", "s1"]
    assert values("conditions", tmp_path, "stage=de") == ["stage=deflate"]
    assert values("conditions", tmp_path)[:3] == ["terminal", "completed", "gone"]


def test_a_job_goes_on_by_its_own_pipeline(tmp_path: Path) -> None:
    """Forward; with a prefix of nothing ahead, backward, as --force does."""
    put_job(tmp_path, "own", stages=["one", "two"], stage="one")
    put_job(tmp_path, "usual", type="create_session", stage="generate")
    put_job(tmp_path, "ended", type="create_session", stage="completed")
    put_job(tmp_path, "free", type="free", stage="somewhere")
    assert values("next", tmp_path, "", "own") == ["two", "completed"]
    assert values("next", tmp_path, "pe", "own") == ["pending"]
    assert values("next", tmp_path, "", "us") == ["finalize", "completed"]
    assert values("next", tmp_path, "", "ended") == []
    free = values("next", tmp_path, "", "free")
    assert "somewhere" in free
    assert "failed" not in free


@pytest.mark.parametrize("type", TYPES)
def test_the_stages_ahead_are_the_pipelines(tmp_path: Path, type: str) -> None:
    """From every stage of it."""
    pipeline: Pipeline = BUILT_IN[type]
    for stage in pipeline.names()[:-1]:
        put_job(tmp_path, "a", type=type, stage=stage)
        ahead = pipeline.names()[pipeline.names().index(stage) + 1 :]
        assert values("next", tmp_path, "", "a") == list(ahead)


def test_labels_are_those_in_use(tmp_path: Path) -> None:
    """Also after others, separated by commas."""
    put_job(tmp_path, "a", age_s=0, labels={"team": "data", "env": "prod"})
    put_job(tmp_path, "b", age_s=1, labels={"team": "web", "odd": 3})
    put_job(tmp_path, "c", age_s=2)
    assert values("labels", tmp_path) == ["env=prod", "team=data", "odd=3", "team=web"]
    assert values("labels", tmp_path, "team=d") == ["team=data"]
    assert values("labels", tmp_path, "env=prod,te") == ["env=prod,team=data", "env=prod,team=web"]


def test_a_cancelled_job_is_described_as_that(tmp_path: Path) -> None:
    """And offered where failed jobs are: it can be retried."""
    put_job(tmp_path, "a", stage="failed", error="Cancelled by user", title="Nightly")
    found = candidates(["failed", "--dir", str(tmp_path), "--", ""])
    assert found == [("a", "cancelled  Nightly")]


def test_endings_are_a_list(tmp_path: Path) -> None:
    """What prune takes behind --stage."""
    assert values("endings", tmp_path) == ["completed", "failed", "cancelled"]
    assert values("endings", tmp_path, "failed,") == ["failed,completed", "failed,cancelled"]
    assert values("endings", tmp_path, "completed,failed,") == ["completed,failed,cancelled"]
    assert values("endings", tmp_path, "completed,failed,cancelled,") == []


def test_hubs_are_those_that_run(tmp_path: Path) -> None:
    """A crashed one's file is unlocked; another's text is no URL."""
    (tmp_path / ".jobctl").mkdir()
    with announced(tmp_path, "ws://127.0.0.1:1"), announced(tmp_path, "ws://x:2\x1b[31m"):
        hubs = tmp_path / ".jobctl" / "hubs"
        with announced(tmp_path, "a b"):
            assert values("hubs", tmp_path) == ["ws://127.0.0.1:1"]
        with announced(tmp_path, "unix:/run/hub.sock", token=b"x" * 32):
            assert values("hubs", tmp_path, "unix") == ["unix:/run/hub.sock"]
        (hubs / "dead.json").write_text('{"url": "ws://127.0.0.1:3"}')
        (hubs / "odd.json").write_text("[")
        assert values("hubs", tmp_path) == ["ws://127.0.0.1:1"]
    assert values("hubs", tmp_path) == []


def test_hub_of_another_network_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As jobctl.hub.discovery does: a container's loopback is not ours."""
    (tmp_path / ".jobctl").mkdir()
    with announced(tmp_path, "ws://127.0.0.1:1"):
        monkeypatch.setattr(running, "network", lambda: 1)
        assert values("hubs", tmp_path) == []


def test_the_directory_is_that_of_the_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--dir over $JOBCTL_DIR over jobctl.toml over the user's own."""
    for name in ("flag", "env", "toml", "state/jobctl/jobs"):
        (tmp_path / name).mkdir(parents=True)
        put_job(tmp_path / name, name.partition("/")[0])
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JOBCTL_DIR", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("HOME", str(tmp_path))

    def ids(*options: str) -> list[str]:
        return [value for value, _ in candidates(["ids", *options, "--", ""])]

    assert ids() == ["state"]
    (tmp_path / "jobctl.toml").write_text('dir = "toml"\n')
    assert ids() == ["toml"]
    monkeypatch.setenv("JOBCTL_DIR", "env")
    assert ids() == ["env"]
    assert ids("--dir", "flag") == ids("--dir", "~/flag") == ids("--dir", "$HOME/flag") == ["flag"]
    assert ids("--dir", "missing") == []
    assert ids("--dir", "") == []


def test_a_hub_is_never_asked(tmp_path: Path) -> None:
    """Behind --url there are no ids, and only what is built in."""
    put_job(tmp_path, "a", type="zip")
    line = ["--dir", str(tmp_path), "--url", "ws://127.0.0.1:1", "--", ""]
    assert candidates(["ids", *line]) == []
    assert [value for value, _ in candidates(["types", *line])] == TYPES


def test_hostile_text_is_made_harmless(tmp_path: Path) -> None:
    """Described, it is written out; as a value, which has to be typed as it is, it is left out."""
    for n, text in enumerate(
        ("\x1b[31m", "a\nb", "a\tb", "a\x00", "\u202eabc", "\ud800", "\x9b1m")
    ):
        put_job(tmp_path, f"a{n}", type=text, stage=text, sessionId=text, title=text)
    for kind in ("types", "stages", "sessions"):  # half a surrogate pair is U+FFFD
        assert set(values(kind, tmp_path)) <= {*TYPES, *STAGES, "\ufffd"}
    shown = "".join(words for _, words in candidates(["ids", "--dir", str(tmp_path), "--", ""]))
    assert shown.isprintable()
    assert "\\e[31m" in shown


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of everything that is no job, and two that are."""
    directory = tmp_path_factory.mktemp("hostile") / "jobs"
    shutil.copytree(DATA / "bad-jobs", directory)
    put_job(directory, "good", title="fine")
    put_job(directory, "odd", title=["no text"], sessionId={"no": "text"}, stages="none")
    put_job(directory, "typeless", type=None)
    os.mkfifo(directory / "fifo.json")
    (directory / "folder.json").mkdir()
    put_job(directory.parent, "link")
    (directory / "link.json").symlink_to(directory.parent / "link.json")
    (directory / "loop.json").symlink_to(directory / "loop.json")
    for id, size in (("largest", MAX_JOB_BYTES), ("large", MAX_JOB_BYTES + 1)):
        put_job(directory, id, title="")
        put_job(directory, id, title="x" * (size - (directory / f"{id}.json").stat().st_size))
    (directory / "nested.json").write_text("[" * 200_000)
    (directory / "digits.json").write_text("9" * 10_000)
    with open(os.fsencode(directory) + b"/\xff.json", "wb") as file:
        file.write(b"\xff\xfe")
    hubs = directory / ".jobctl" / "hubs"
    hubs.mkdir(parents=True)
    os.mkfifo(hubs / "fifo.json")
    (hubs / "list.json").write_text("[]")
    (directory / ".jobctl" / "changes").write_bytes(b"\x00\xff \xfe x\n" * 100)
    return directory


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_hostile_directory_is_passed_over(hostile: Path, kind: str) -> None:
    """Without a word, in lines that a terminal can show."""
    ran = run_process("__complete", kind, "--dir", str(hostile), "--", "", "good")
    assert (ran.code, ran.err) == (0, "")
    assert all(part.isprintable() for line in ran.out.splitlines() for part in line.split("\t"))


def test_of_a_hostile_directory_the_jobs_are_offered(hostile: Path) -> None:
    """Those that `ls` lists, and no other file."""
    found = values("ids", hostile)
    store = open_store(hostile)
    assert sorted(found) == sorted(job.id for job in read_all(store).jobs)
    store.close()
    assert {"good", "largest"} <= set(found)


@pytest.mark.slow
@pytest.mark.parametrize(
    "args",
    [
        [],
        ["ids"],
        ["ids", "--"],
        ["nonsense", "--", ""],
        ["ids", "--dir", "--", ""],
        ["ids", "--dir", "a\\nb", "--", ""],
        ["next", "--", ""],
        ["ids", "--dir", "~nobody-of-that-name/jobs", "--", ""],
        ["--help"],
    ],
)
def test_nonsense_is_answered_by_nothing(args: list[str], tmp_path: Path) -> None:
    """No usage, no traceback: it would stand in the middle of the line that is typed."""
    ran = run_process("__complete", *args, env=environment(JOBCTL_DIR=str(tmp_path)))
    assert ran == (0, "", "")


@pytest.mark.slow
@pytest.mark.parametrize("lost", ['"$@" >&-', '"$@" >/dev/full', 'rmdir "$PWD"; "$@"'])
def test_a_lost_output_or_place_is_not_told(tmp_path: Path, lost: str) -> None:
    """The shell reads nothing, or its directory was removed."""
    put_job(tmp_path / "jobs", "a")
    (tmp_path / "here").mkdir()
    line = command("__complete", "ids", "--dir", str(tmp_path / "jobs"), "--", "", "\udcff")
    done = subprocess.run(
        ["sh", "-c", lost, "sh", *line],
        cwd=tmp_path / "here",
        env=environment(),
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.slow
def test_little_is_imported(tmp_path: Path) -> None:
    """For the default directory as well. Each of these takes longer than all that is asked."""
    (tmp_path / "jobctl").mkdir()
    put_job(tmp_path / "jobctl" / "jobs", "a")
    code = (
        "import sys; from jobctl.__main__ import main; main();"
        "print(*sys.modules, sep='\\n', file=sys.stderr)"
    )
    env = environment(XDG_STATE_HOME=str(tmp_path))
    env.pop("JOBCTL_DIR", None)
    done = subprocess.run(
        [sys.executable, "-c", code, "__complete", "ids", "--", ""],
        env=env,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "a\tload  nightly\n"
    heavy = {
        "aiohttp", "asyncio", "click", "dataclasses", "inspect", "jobctl.core.jobset", "jobctl.hub",
        "jobctl.reader", "jobctl.stores.directory.store", "pathlib", "pydantic", "rich",
        "subprocess", "typer", "typing", "websockets",
    }  # fmt: skip
    assert not heavy & set(done.stderr.split())


def test_of_many_the_change_log_knows_the_newest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To ask each file for its time would take too long."""
    store = open_store(tmp_path / "jobs", create=True)
    for id in ("d", "a", "c", "b"):
        store.create(create("zip", id=id, now=NOW))
    store.update("a", lambda job: fail(job, "x", now=NOW))
    store.close()
    put_job(tmp_path / "jobs", "e")  # nobody has seen it yet
    for id in "abcde":
        os.utime(tmp_path / "jobs" / f"{id}.json", (1, 1))
    monkeypatch.setattr(module, "_MAX_STATS", 1)
    assert values("ids", tmp_path / "jobs") == ["a", "b", "c", "d", "e"]


def test_of_very_many_some_are_shown_and_all_agree_on_the_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shell inserts what its candidates have in common, so a sample may not have more."""
    for n in range(30):
        put_job(tmp_path, f"job-{n:02}", age_s=100 - n)
    monkeypatch.setattr(module, "_MAX_DESCRIBED", 3)
    monkeypatch.setattr(module, "_MAX_SHOWN", 3)
    found = values("ids", tmp_path)
    assert found[:6] == [f"job-{n}" for n in (29, 28, 27, 26, 25, 24)]
    assert len(found) < 10
    assert {id[:5] for id in found} == {"job-0", "job-2"}


def test_when_the_time_is_spent_the_newest_were_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A filter cannot tell the others; all ids are offered, if undescribed."""
    for n in range(9):
        put_job(tmp_path, f"job{n}", age_s=n, stage="failed")
    monkeypatch.setattr(module, "_BUDGET_S", -1)
    monkeypatch.setattr(module, "_MIN_READ", 2)
    assert values("failed", tmp_path) == ["job0", "job1"]
    assert len(values("ids", tmp_path)) == 9
    monkeypatch.setattr(module, "_MIN_BYTES", 0)
    assert values("failed", tmp_path) == ["job0"]


def test_types_of_the_settings_are_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With their labels and stages; a table that makes no sense takes nothing from the others."""
    monkeypatch.delenv("JOBCTL_DIR", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jobctl.toml").write_text(
        'dir = "jobs"\n[types]\nodd = 3\n[types.etl]\nlabel = "Nightly load"\n'
        'stages = [{name = "fetch", label = "Fetching"}, "load"]\n'
    )
    (tmp_path / "jobs").mkdir()
    put_job(tmp_path / "jobs", "a")
    assert candidates(["types", "--", "e"]) == [("etl", "Nightly load")]
    assert candidates(["stages", "--", "fe"]) == [("fetch", "Fetching")]
    assert candidates(["ids", "--", ""])[0][0] == "a"
    (tmp_path / "jobctl.toml").write_text("types = 3")
    assert ("create_session", "Creating session") in candidates(["types", "--", ""])


def test_jobs_of_a_hub_are_not_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where settings name one: the network is too slow, and the directory another."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.delenv("JOBCTL_DIR", raising=False)
    put_job(tmp_path / "jobctl" / "jobs", "mine")
    assert candidates(["ids", "--", ""])[0][0] == "mine"
    monkeypatch.setenv("JOBCTL_URL", "ws://127.0.0.1:1")
    assert candidates(["ids", "--", ""]) == []
    named = candidates(["ids", "--dir", str(tmp_path / "jobctl" / "jobs"), "--", ""])
    assert named[0][0] == "mine"
