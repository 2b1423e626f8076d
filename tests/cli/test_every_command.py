"""What holds for each command and each field (FAULTS rows 36, 37, 39, 40, 53, 54 and 55).

A new command has to be entered here: `test_no_command_is_left_out`.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pexpect
import pytest

from jobctl._clock import now
from jobctl.cli.commands import COMMANDS
from tests.cli.conftest import ROOT, Ran, Run, command, environment, hub_on, run_process
from tests.cli.test_text import HOSTILE, MARKUP, harmless

DONE, RUNNING, FAILED, WAITING = "c", "r", "f", "p"

LINES: dict[str, list[list[str]]] = {
    "serve": [],
    "clients": [],
    "token": [],
    "watch": [["watch", DONE, "-o", form] for form in ("table", "wide", "json", "jsonl", "name")],
    "wait": [["wait", DONE, "-o", form] for form in ("table", "wide", "json", "jsonl", "name")],
    "ls": [["ls", "-v", "-o", form] for form in ("table", "wide", "json", "jsonl", "name")],
    "show": [["show", DONE, "-o", form] for form in ("table", "wide", "json", "jsonl", "name")]
    + [["show", RUNNING], ["show", FAILED], ["show", WAITING]],
    "stats": [["stats", "-o", form] for form in ("table", "wide", "json", "jsonl", "name")]
    + [["stats", "--by", by] for by in ("host", "label=team")],
    "logs": [["logs", DONE]],
    "create": [["create", "-o", "json"], ["create", "-o", "jsonl"], ["create"]],
    "advance": [["advance", RUNNING, "-o", "json"]],
    "progress": [["progress", RUNNING, "50", "-o", "jsonl"]],
    "complete": [["complete", RUNNING, "-o", "json"]],
    "fail": [["fail", RUNNING, "why", "-o", "json"]],
    "retry": [["retry", FAILED, "-o", "json"]],
    "cancel": [["cancel", WAITING, "-o", "json"]],
    "ack": [["ack", FAILED, "why", "-o", "json"]],
    "rm": [["rm", DONE, "-o", "json"]],
    "run": [["run", "--", "echo", "x"]],
    "reap": [["reap"], ["reap", "-o", "json"]],
    "prune": [["prune", "--older-than", "0", "--dry-run", "-o", form] for form in ("name", "json")],
    "doctor": [["doctor"], ["doctor", "-o", "json"], ["doctor", "-o", "jsonl"]],
    "run-dummy": [["run-dummy", "--speed", "50"], ["run-dummy", "--speed", "50", "-q"]],
    "demo": [],
    "config": [["config"], ["config", "-o", "json"]],
    "js": [],
    "completion": [["completion", "bash"]],
    "help": [["help"], ["help", "output"], ["help", "ls"]],
}
"""Command lines that end by themselves, on a `world`."""
APART = {"serve", "clients", "token", "demo", "js"}
"""These go on, or need others: they have tests of their own below."""
CODES = {"doctor": (0, 1), "wait": (0, 3)}
"""Exit codes on a `world`, where they are not 0."""
ALL = [line for lines in LINES.values() for line in lines]
OF_IDS = {
    "watch": ["watch", "{}"],
    "wait": ["wait", "{}"],
    "ls": ["ls", "{}"],
    "show": ["show", "{}"],
    "logs": ["logs", "{}"],
    "create": ["create", "--id", "{}"],
    "advance": ["advance", "{}"],
    "progress": ["progress", "{}", "3/8"],
    "complete": ["complete", "{}"],
    "fail": ["fail", "{}", "why"],
    "retry": ["retry", "{}"],
    "cancel": ["cancel", "{}"],
    "ack": ["ack", "{}"],
    "rm": ["rm", "{}"],
}

_FIELDS: dict[str, Any] = {
    "type": "{}",
    "sessionId": "{}",
    "resultSessionId": "{}",
    "title": "{}",
    "message": "{}",
    "error": "{}",
    "stages": ["{}", "work"],
    "history": [{"stage": "{}", "at": "2026-01-01T00:00:00.000Z"}],
    "result": {"{}": ["{}"]},
    "owner": "{}",
    "run": {"argv": ["{}"], "cwd": "{}", "env": {"{}": "{}"}, "signal": "{}", "stderr": ["{}"]},
    "{}": "{}",
}


def test_no_command_is_left_out() -> None:
    """Each has a line, or stands apart."""
    assert set(LINES) == set(COMMANDS)
    assert {name for name, lines in LINES.items() if not lines} == APART


def world(directory: Path, text: str = "plain") -> None:
    """One job of each kind, with the text in every field that may hold one."""
    directory.mkdir(exist_ok=True)
    fields = json.loads(json.dumps(_FIELDS).replace("{}", json.dumps(text)[1:-1]))
    for id, stage in (
        (DONE, "completed"),
        (RUNNING, "work"),
        (FAILED, "failed"),
        (WAITING, "pending"),
    ):
        job = {"id": id, "stage": stage, "createdAt": now(), "updatedAt": now(), **fields}
        if id == DONE:
            job["completedAt"] = now()
        (directory / f"{id}.json").write_text(json.dumps(job))
    log = directory / ".jobctl" / "logs" / DONE
    log.mkdir(parents=True, exist_ok=True)
    (directory / ".jobctl").chmod(0o700)
    (log / f"{0:016}.log").write_text(f"{now()} both F one\n")


@pytest.mark.parametrize("line", ALL, ids=" ".join)
def test_every_field_is_made_visible_by_every_command(
    run: Run, jobs_dir: Path, line: list[str]
) -> None:
    """FAULTS row 53: escapes, C1, carriage returns, bidirectional text, all of it in each."""
    world(jobs_dir, "".join(HOSTILE.values()))
    for text in HOSTILE.values():
        (jobs_dir / f"{text[:20]}.json".replace("/", "")).write_text("{")
    result = run(*line)
    assert result.code in CODES.get(line[0], (0,))
    assert harmless(result.out)
    assert harmless(result.err)


@pytest.mark.parametrize("line", ALL, ids=" ".join)
def test_markup_is_literal_everywhere(run: Run, jobs_dir: Path, line: list[str]) -> None:
    """FAULTS row 54: it neither crashes nor vanishes."""
    world(jobs_dir, MARKUP)
    result = run(*line)
    assert result.code in CODES.get(line[0], (0,))
    if line[0] in ("ls", "show", "watch") and "name" not in line:
        assert MARKUP in result.out


@pytest.mark.slow
def test_what_clients_say_of_themselves_is_made_visible(run: Run, jobs_dir: Path) -> None:
    """FAULTS row 53: filters come from anywhere."""
    world(jobs_dir)
    with hub_on(jobs_dir) as url:
        text = "".join(HOSTILE.values())
        watch = subprocess.Popen(
            command("watch", "--type", text, "--url", url, "-o", "jsonl"),
            env=environment(),
            stdout=subprocess.PIPE,
        )
        try:
            assert watch.stdout is not None
            while json.loads(watch.stdout.readline())["event"] == "status":
                break
            for form in ("table", "wide", "json", "jsonl", "name"):
                result = run("clients", "--url", url, "-o", form)
                assert result.code == 0
                assert harmless(result.out)
        finally:
            watch.kill()
            watch.communicate()


@pytest.mark.parametrize("name", sorted(OF_IDS))
@pytest.mark.parametrize(
    "id",
    ["../x", "a/b", "/etc/passwd", "x\0y", "x" * 300, ".hidden", "a b", "é", "e\u0301", "", "x\n"],
)
def test_what_is_no_id_is_refused_by_every_command(
    run: Run, jobs_dir: Path, name: str, id: str
) -> None:
    """FAULTS row 55: exit 2, and nothing is made, nor read outside."""
    world(jobs_dir)
    before = sorted(path.name for path in jobs_dir.parent.rglob("*"))
    result = run(*[id if arg == "{}" else arg for arg in OF_IDS[name]])
    assert (result.code, result.out) == (2, "")
    assert result.err.count("\n") == 1
    assert harmless(result.err)
    after = sorted(path.name for path in jobs_dir.parent.rglob("*"))
    made_by_opening = {".jobctl", "mark", "lock", "changes", "bell", "owners"}
    assert set(after) - set(before) <= made_by_opening


@pytest.mark.parametrize("name", sorted(OF_IDS))
def test_id_that_looks_like_an_option_is_a_usage_error(run: Run, jobs_dir: Path, name: str) -> None:
    """FAULTS row 55: ``-rf``, as an option and after ``--``."""
    world(jobs_dir)
    plain = [arg for arg in OF_IDS[name][1:] if arg != "{}"]
    assert run(name, "-rf", *plain).code == 2
    assert run(name, *(["--id"] if name == "create" else ["--"]), "-rf", *(
        [] if name == "create" else plain
    )).code == 2  # fmt: skip


# -- as processes ---------------------------------------------------------------------------

PROCESSES = [lines[0] for lines in LINES.values() if lines]


def _with(line: list[str], directory: Path) -> list[str]:
    if line[0] in ("completion", "help"):
        return command(*line)
    return command(line[0], "--dir", str(directory), *line[1:])


@pytest.mark.slow
@pytest.mark.parametrize("line", PROCESSES, ids=" ".join)
def test_reader_that_has_gone_away_is_met_quietly(tmp_path: Path, line: list[str]) -> None:
    """FAULTS row 36: 141 and not a word, or all was done before anything was said."""
    world(tmp_path)
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        _with(line, tmp_path), env=environment(), stdout=write, stderr=subprocess.PIPE, check=False
    )
    os.close(write)
    if line[0] in ("run", "reap", "doctor", "watch"):  # their own end; nothing to say; remarks
        assert b"Traceback" not in done.stderr
        assert done.returncode == 141 or line[0] != "watch"
        return
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.slow
@pytest.mark.parametrize("line", PROCESSES, ids=" ".join)
def test_full_disk_behind_standard_output_is_one_line(tmp_path: Path, line: list[str]) -> None:
    """FAULTS row 36: ``>/dev/full``."""
    world(tmp_path)
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            _with(line, tmp_path),
            env=environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    if line[0] == "run":
        bare = subprocess.run(["sh", "-c", "echo x > /dev/full"], capture_output=True, check=False)
        assert (done.returncode != 0) == (bare.returncode != 0)
        return
    if line[0] == "reap":
        return  # nothing is lost, and nothing said
    assert done.returncode == 1
    said = done.stderr.decode().splitlines()[-1]
    if {"json", "jsonl"} & {*line}:
        assert json.loads(said)["error"]["message"] == "No space left on device"
    else:
        assert said == "jobctl: No space left on device"


@pytest.mark.slow
@pytest.mark.parametrize("line", PROCESSES, ids=" ".join)
def test_closed_standard_output_does_no_harm(tmp_path: Path, line: list[str]) -> None:
    """FAULTS row 36: ``>&-``, and the job is changed all the same."""
    world(tmp_path)
    done = subprocess.run(
        ["sh", "-c", '"$@" >&-', "sh", *_with(line, tmp_path)],
        env=environment(),
        capture_output=True,
        check=False,
        timeout=50,
    )
    assert b"Traceback" not in done.stderr
    if line[0] not in ("run", "doctor"):
        assert done.returncode == 0, done.stderr


# Before this code runs, the interpreter starts: a Ctrl-C then prints a traceback of its own, and no
# program can help that.
STARTED = """
import os, sys
from jobctl.__main__ import main
try:
    os.write(int(os.environ.pop("STARTED_FD")), b".")
    main()
except KeyboardInterrupt:  # between the two lines above
    raise SystemExit(130) from None
"""


def _started(line: list[str], env: dict[str, str]) -> subprocess.Popen[bytes]:
    """The process of a command line, once it runs our code."""
    reading, writing = os.pipe()
    python, _, _, *args = line
    process = subprocess.Popen(
        [python, "-c", STARTED, *args],
        env={**env, "STARTED_FD": str(writing)},
        pass_fds=[writing],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    os.close(writing)
    assert os.read(reading, 1) == b"."
    os.close(reading)
    return process


@pytest.mark.slow
@pytest.mark.parametrize("line", PROCESSES, ids=" ".join)
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_signal_at_any_moment_ends_it_cleanly(
    tmp_path: Path, line: list[str], number: signal.Signals, code: int
) -> None:
    """FAULTS row 37: 128 + the signal, or done before it came; no traceback and no litter."""
    jobs = tmp_path / "jobs"
    world(jobs)
    own = tmp_path / "tmp"
    own.mkdir()
    process = _started(_with(line, jobs), environment(TMPDIR=str(own)))
    time.sleep(random.Random(f"{line}{number}").uniform(0.0, 0.3))
    process.send_signal(number)
    _, err = process.communicate(timeout=20)
    assert b"Traceback" not in err, err
    assert process.returncode in (0, 1, code, -number), err  # -number: before Python could hear it
    assert list(own.iterdir()) == []
    assert not [path for path in jobs.rglob("*") if path.name.endswith((".tmp", ".new"))]


@pytest.mark.slow
@pytest.mark.parametrize("line", PROCESSES, ids=" ".join)
def test_poor_surroundings_are_put_up_with(tmp_path: Path, line: list[str]) -> None:
    """FAULTS row 40: LANG=C and no UTF-8, no terminal, 20 columns, TERM=dumb."""
    world(tmp_path, "é‣日本 ✓")
    env = environment(
        LC_ALL="C", PYTHONUTF8="0", PYTHONIOENCODING="ascii", PYTHONCOERCECLOCALE="0",
        COLUMNS="20", TERM="dumb",
    )  # fmt: skip
    done = subprocess.run(
        _with(line, tmp_path),
        env=env,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        check=False,
        timeout=50,
    )
    assert done.returncode in (0, 1) if line[0] == "doctor" else done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    assert b"\x1b" not in done.stdout
    (done.stdout + done.stderr).decode("ascii")


NARROW = ["ls", "watch", "config", "run-dummy"]


@pytest.mark.slow
@pytest.mark.parametrize("name", NARROW)
@pytest.mark.parametrize("columns", [20, 80])
def test_no_line_is_longer_than_the_terminal(tmp_path: Path, name: str, columns: int) -> None:
    """FAULTS row 40: tables are cut, and say the id and the stage first."""
    jobs = tmp_path / "jobs"
    world(jobs, "日本語のとても長い題名" * 5)
    line = {
        "ls": ["ls"],
        "watch": ["watch", RUNNING, DONE, FAILED, "--exit-status"],
        "config": ["config"],
        "run-dummy": ["run-dummy", "--count", "2", "--speed", "20"],
    }[name]
    if name == "watch":
        subprocess.run(command("complete", RUNNING, "--dir", str(jobs)), env=environment())
    terminal = pexpect.spawn(
        sys.executable,
        ["-m", "jobctl", line[0], "--dir", str(jobs), *line[1:]],
        env={**environment(), "TERM": "xterm", "NO_COLOR": "1"},
        dimensions=(24, columns),
        encoding="utf-8",
        timeout=30,
    )
    out = terminal.read()
    terminal.close()
    assert "Traceback" not in out
    from rich.cells import cell_len

    said = [text for text in re.split(r"\x1b\[[0-9;?]*[A-Za-z]|\r|\n", out) if text]
    tables = said[:-1] if name == "run-dummy" else said  # its sum is a sentence, as are remarks
    tables = [text for text in tables if not text.startswith("jobctl: ")]
    assert max(cell_len(text) for text in tables) <= columns
    if name in ("ls", "watch"):
        assert any(re.search(rf"\b{DONE}\b.*complete", text) for text in said)


def test_narrow_terminal_and_colours(tmp_path: Path) -> None:
    """NO_COLOR and TERM=dumb have none; FORCE_COLOR has them in a pipe; NO_COLOR wins."""
    world(tmp_path)
    line = ("ls", "--dir", str(tmp_path))
    assert "\x1b" not in run_process(*line).out
    assert "\x1b[31m" in run_process(*line, env=environment(FORCE_COLOR="1")).out
    assert "\x1b" not in run_process(*line, env=environment(FORCE_COLOR="1", NO_COLOR="1")).out


# -- sleep ----------------------------------------------------------------------------------


def _stop_and_go(process: Any, seconds: float) -> None:
    process.send_signal(signal.SIGSTOP)
    time.sleep(seconds)
    process.send_signal(signal.SIGCONT)


@pytest.mark.slow
@pytest.mark.parametrize("by_hub", [False, True])
def test_watch_that_slept_goes_on_where_it_was(tmp_path: Path, by_hub: bool) -> None:
    """FAULTS row 39: longer than a hub waits for anybody; no alarm, no reset, nothing missed."""
    world(tmp_path)
    with hub_on(tmp_path) as url:
        watch = subprocess.Popen(
            command(
                "watch", "-o", "jsonl", *(["--url", url] if by_hub else ["--dir", str(tmp_path)])
            ),
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert watch.stdout is not None
        try:
            events = (json.loads(line) for line in watch.stdout)
            seen = next(event for event in events if event["event"] == "put")
            _stop_and_go(watch, 20 if by_hub else 3)
            run_process("complete", RUNNING, "--dir", str(tmp_path))
            states = []
            for event in events:
                if event["event"] == "status":
                    states.append(event["status"]["state"])
                elif event["job"]["id"] == RUNNING and event["job"]["stage"] == "completed":
                    break
            assert "reset" not in states
            assert seen["cursor"].partition(":")[0] == event["cursor"].partition(":")[0]
        finally:
            watch.kill()
            _, err = watch.communicate()
        assert err == ""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["wait", "run", "run-dummy", "cancel"])
def test_command_that_slept_ends_as_usual(tmp_path: Path, name: str) -> None:
    """FAULTS row 39: a stopped process has not died, and time-outs count what it was awake."""
    world(tmp_path)
    lines = {
        "wait": ["wait", RUNNING],
        "run": ["run", "--id", "own", "--", "sleep", "1"],
        "run-dummy": ["run-dummy", "--speed", "2"],
        "cancel": ["cancel", "held"],
    }
    holder = None
    if name == "cancel":
        code = (
            "import time; from jobctl import track\n"
            f"with track(id='held', store={str(tmp_path)!r}) as job:\n"
            "    print('ready', flush=True)\n"
            "    while True: time.sleep(0.2); job.progress(1, 2)\n"
        )
        holder = subprocess.Popen(
            [sys.executable, "-c", code], env=environment(), stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )  # fmt: skip
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"ready\n"
        holder.send_signal(signal.SIGSTOP)
    process = subprocess.Popen(
        command(lines[name][0], "--dir", str(tmp_path), *lines[name][1:]),
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    time.sleep(0.8)
    _stop_and_go(process, 3)
    if name == "wait":
        run_process("complete", RUNNING, "--dir", str(tmp_path))
    if holder is not None:
        holder.send_signal(signal.SIGCONT)
    _, err = process.communicate(timeout=30)
    if holder is not None:
        holder.communicate(timeout=20)
    assert (process.returncode, err) == (0, b"")
    jobs = json.loads(run_process("ls", "--dir", str(tmp_path), "-o", "json").out)["jobs"]
    assert not any(job["derived"]["lost"] for job in jobs)


# -- those that stand apart -----------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_hub_that_is_stopped_at_any_moment_ends_well(
    tmp_path: Path, number: signal.Signals
) -> None:
    """FAULTS row 37: 0 once it serves, 128 + the signal before that; no file of its own is left."""
    world(tmp_path)
    for moment_s in (0.0, 0.2, 0.4, 0.6, 0.9):
        line = command("serve", "--port", "0", "--dir", str(tmp_path))
        process = _started(line, environment())
        time.sleep(moment_s)
        process.send_signal(number)
        _, err = process.communicate(timeout=20)
        assert b"Traceback" not in err, err
        assert process.returncode in (0, 128 + number, -number)
        if process.returncode == 0:
            assert list((tmp_path / ".jobctl" / "hubs").iterdir()) == []


def test_json_mode_says_everything_in_json(run: Run, jobs_dir: Path) -> None:
    """An error is one object on standard error; a remark as well."""
    made: Ran = run("create", "--id", "a", "-o", "json")
    assert json.loads(made.err) == {"note": f"created {jobs_dir}"}
    assert json.loads(made.out)["id"] == "a"
    failed = run("show", "nobody", "-o", "json")
    assert failed.out == ""
    assert failed.err.count("\n") == 1
    error = json.loads(failed.err)["error"]
    assert error["exitCode"] == failed.code == 4
    assert error["kind"] == "JobNotFound"
    assert error["message"] == f"no job nobody in {jobs_dir}"
    assert "jobctl ls" in error["hint"]
    assert json.loads(run("ls", "--nonsense", "-ojson").err)["error"]["exitCode"] == 2
    assert json.loads(run("retry", "a", "nobody", "--output=json").err.splitlines()[0])["error"]
    assert run("run", "--", "sh", "-c", "echo -o json >&2; exit 3").code == 3


def test_source_tree_is_the_one_that_is_tested() -> None:
    """The processes above run this checkout."""
    code = "import jobctl; print(jobctl.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True
    )
    assert Path(done.stdout.strip()).parent.parent == ROOT
