"""What only a process shows: pipes, signals, encodings, imports (FAULTS rows 36, 37, 40)."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import jobctl
from tests.cli.conftest import DATA, command, environment, run_process

pytestmark = pytest.mark.slow
NODE = str(DATA / "node-app-jobs")


def test_version_imports_neither_typer_nor_pydantic() -> None:
    """The light path, which completion of ids will take as well."""
    code = (
        "import sys; sys.argv = ['jobctl', '--version']\n"
        "from jobctl.__main__ import main; main()\n"
        "heavy = {'typer', 'pydantic', 'rich', 'asyncio', 'websockets'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("jobctl ")


HEAVY = {
    "aiohttp", "asyncio", "calendar", "dataclasses", "datetime", "hashlib", "inspect", "logging",
    "msgspec", "pathlib", "pydantic", "pydantic_core", "rich", "secrets", "socket", "subprocess",
    "typer", "typing", "urllib.parse", "uuid", "watchfiles", "websockets",
}  # fmt: skip


def test_change_of_a_job_imports_little(tmp_path: Path) -> None:
    """What the quick commands do costs no more than the work itself."""
    code = (
        "import os, sys; from jobctl import api; from jobctl.stores import open_store\n"
        "from jobctl.config import Settings, resolve_dir; Settings(os.environ, os.getcwd())\n"
        "resolve_dir('x', os.environ, os.getcwd()); resolve_dir(None, {}, os.getcwd())\n"
        "store = open_store(sys.argv[1], create=True)\n"
        "job = api.create(store, 'etl', id='b', stages=['x'])\n"
        "api.progress(store, 'b', 1, 2, 'm'); api.advance(store, 'b'); api.complete(store, 'b')\n"
        "other = api.fail(store, api.create(store).id, 'no'); api.retry(store, other.id)\n"
        "api.rm(store, 'b'); assert api.ls(store).jobs == (api.show(store, other.id),)\n"
        f"heavy = {HEAVY} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    args = [sys.executable, "-S", "-c", code, str(tmp_path / "jobs")]
    env = environment(PYTHONPATH=str(Path(jobctl.__file__).parents[1]))
    done = subprocess.run(args, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "line",
    [
        "create etl --id b --stages x",
        "progress a 3/8 step",
        "advance a",
        "complete a",
        "fail a no",
        "rm a",
        "ls -q",
        "ls -o name",
        "ls -o json",
        "show a -o json",
        "stats -o json",
        "stats --by label=team",
    ],
)
def test_light_command_imports_little(tmp_path: Path, line: str) -> None:
    """The whole command line, from its arguments to its output."""
    directory = ["--dir", str(tmp_path)]
    subprocess.run(command("create", "--id", "a", *directory), env=environment(), check=True)
    code = (
        "import sys; from jobctl.__main__ import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        f"heavy = {HEAVY | {'email', 'ipaddress', 'shlex', 'shutil'}} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    args = [sys.executable, "-S", "-c", code, *line.split(), *directory]
    env = environment(PYTHONPATH=str(Path(jobctl.__file__).parents[1]))
    done = subprocess.run(args, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_ls_imports_no_network() -> None:
    """Nor an event loop."""
    code = (
        "import sys; from jobctl.cli.app import run; run(['ls', '--dir', sys.argv[1], '-q'])\n"
        "heavy = {'asyncio', 'websockets', 'watchfiles', 'rich.table'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    args = [sys.executable, "-c", code, NODE]
    done = subprocess.run(args, env=environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_help_of_all_commands_imports_no_network() -> None:
    """Nor an event loop: what a command needs to run is imported when it runs."""
    code = (
        "import sys; from jobctl.cli.app import run; from jobctl.cli.commands import COMMANDS\n"
        "for name in COMMANDS: run([name, '--help'])\n"
        "run(['--help'])\n"
        "heavy = {'asyncio', 'websockets', 'aiohttp', 'ssl', 'prometheus_client'}\n"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    args = [sys.executable, "-c", code]
    done = subprocess.run(args, env=environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("args", [["ls"], ["ls", "-o", "json"], ["show", "0b961de6"], ["--help"]])
def test_a_closed_pipe_is_quiet(args: list[str]) -> None:
    """FAULTS row 36: the reader goes away before the first line."""
    where = [] if args == ["--help"] else ["--dir", NODE]
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        command(*args, *where), env=environment(), stdout=write, stderr=subprocess.PIPE, check=False
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize("args", [["ls"], ["ls", "-o", "name"], ["show", "0b961de6"]])
def test_a_full_disk_behind_stdout_is_one_line(args: list[str]) -> None:
    """FAULTS row 36: ``>/dev/full``."""
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            command(*args, "--dir", NODE),
            env=environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == b"jobctl: No space left on device\n"


def test_a_closed_stdout_does_no_harm(tmp_path: Path) -> None:
    """FAULTS row 36: ``>&-``."""
    line = f'{sys.executable} -m jobctl create --id x --dir "{tmp_path}" >&-'
    done = subprocess.run(["sh", "-c", line], env=environment(), capture_output=True, check=False)
    assert b"Traceback" not in done.stderr
    assert (tmp_path / "x.json").exists()


def test_an_encoding_that_cannot_show_it_degrades(tmp_path: Path) -> None:
    """FAULTS row 40: LANG=C, no UTF-8."""
    env = environment(LC_ALL="C", PYTHONUTF8="0", PYTHONIOENCODING="ascii", PYTHONCOERCECLOCALE="0")
    for args in (["ls"], ["show", "0b961de6"], ["ls", "-o", "wide"]):
        done = run_process(*args, "--dir", NODE, env=env)
        assert (done.code, done.err) == (0, "")


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_signals_end_watch_quietly(tmp_path: Path, number: signal.Signals, code: int) -> None:
    """FAULTS row 37: 128 + the signal, no litter, no traceback."""
    subprocess.run(command("create", "--dir", str(tmp_path)), env=environment(), check=True)
    watch = subprocess.Popen(
        command("watch", "-o", "jsonl", "--dir", str(tmp_path)),
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert watch.stdout is not None
    while json.loads(watch.stdout.readline())["event"] != "put":
        pass
    watch.send_signal(number)
    _, err = watch.communicate(timeout=20)
    assert (watch.returncode, err) == (code, b"")
    assert list((tmp_path / ".jobctl" / "bell").iterdir()) == []


def test_sigterm_fails_the_dummies_in_flight(tmp_path: Path) -> None:
    """FAULTS row 37: "Interrupted", also where ``&`` made the shell ignore Ctrl-C."""
    run = subprocess.Popen(
        command("run-dummy", "--count", "3", "--speed", "0.1", "--dir", str(tmp_path)),
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + 20
    while len(list(tmp_path.glob("*.json"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    run.send_signal(signal.SIGTERM)
    _, err = run.communicate(timeout=20)
    assert (run.returncode, b"Traceback" in err) == (143, False)
    jobs = json.loads(run_process("ls", "--dir", str(tmp_path), "-o", "json").out)["jobs"]
    assert {(job["stage"], job["error"]) for job in jobs} == {("failed", "Interrupted")}


@pytest.mark.parametrize("full", [False, True])
def test_run_dummy_ends_with_its_reader(tmp_path: Path, full: bool) -> None:
    """FAULTS row 36: quiet, at once, and no job is left as if it were running."""
    target = "/dev/full" if full else None
    line = f'{sys.executable} -m jobctl run-dummy --count 5 --speed 0.2 --dir "{tmp_path}"'
    line += f" >{target}" if target else " | head -1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line], env=environment(), capture_output=True, check=False
    )
    assert done.returncode == (1 if full else 141)
    assert done.stderr == (b"jobctl: No space left on device\n" if full else b"")
    jobs = json.loads(run_process("ls", "--dir", str(tmp_path), "-o", "json").out)["jobs"]
    assert {job["error"] for job in jobs} == {"Interrupted"}


@pytest.mark.parametrize("times", [1, 3])
def test_an_interrupted_demo_leaves_nothing_behind(tmp_path: Path, times: int) -> None:
    """FAULTS row 37: nor does an impatient user."""
    demo = subprocess.Popen(
        command("demo"),
        env=environment(TMPDIR=str(tmp_path)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert demo.stdout is not None
    for line in demo.stdout:
        if b"extract" in line:
            break
    else:
        pytest.fail(f"the demo ended by itself: {demo.communicate()}")
    for _ in range(times):
        demo.send_signal(signal.SIGINT)
    _, err = demo.communicate(timeout=20)
    assert (demo.returncode, err) == (130, b"")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "args",
    [
        ["ls", "--dir", NODE],
        ["watch", "-o", "jsonl", "--dir", "{}"],
        ["run-dummy", "--count", "3", "--speed", "5", "--dir", "{}"],
    ],
)
def test_a_signal_at_any_moment_is_quiet(tmp_path: Path, args: list[str]) -> None:
    """FAULTS row 37: at random points, from our first line on; no traceback, no litter."""
    chance = random.Random(37)
    # A marker tells that the interpreter is up: before that, Ctrl-C is Python's to answer.
    code = "import os; os.write(3, b'.'); from jobctl.__main__ import main; main()"
    (tmp_path / "jobs").mkdir()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) * 4:
        read, write = os.pipe()
        run = subprocess.Popen(
            [sys.executable, "-c", f"import os; os.dup2({write}, 3); {code}"]
            + [arg.replace("{}", str(tmp_path / "jobs")) for arg in args],
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=[write],
        )
        os.close(write)
        assert os.read(read, 1) == b"."
        os.close(read)
        try:
            run.wait(chance.uniform(0.0, 0.5))
        except subprocess.TimeoutExpired:
            run.send_signal(number)
        _, err = run.communicate(timeout=20)
        assert b"Traceback" not in err, err.decode()
        # By default the signal itself ends a process that has not got as far as its handlers.
        assert run.returncode in (0, 128 + number, -number)
    bells = tmp_path / "jobs" / ".jobctl" / "bell"
    assert not bells.exists() or list(bells.iterdir()) == []
    litter = {path.name for path in (tmp_path / "jobs").iterdir() if path.suffix != ".json"}
    assert litter <= {".jobctl"}


DROPPED = """
import os, signal, sys, time, weakref
from jobctl import api
from jobctl.cli.app import run

class Thing: pass

def show(*_):
    number = getattr(signal, sys.argv[1])
    thing = Thing()
    ref = weakref.ref(thing, lambda _: os.kill(os.getpid(), number))
    del thing
    time.sleep(30)

api.show = show
sys.exit(run(["show", "x", "--dir", sys.argv[2]]))
"""


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_signal_within_a_callback_of_the_interpreters_own_is_not_lost(
    tmp_path: Path, name: str, code: int
) -> None:
    """FAULTS row 37: Python prints what is raised there, and forgets it."""
    done = subprocess.run(
        [sys.executable, "-c", DROPPED, name, str(tmp_path)],
        env=environment(), capture_output=True, timeout=25, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (code, b"")


WRAPPED = """
import os, signal, sys, time
from jobctl import api
from jobctl.cli.app import run

class Named:
    def __set_name__(self, owner, name):
        os.kill(os.getpid(), getattr(signal, sys.argv[1]))
        time.sleep(30)

def show(*_):
    class Owner:
        attribute = Named()

api.show = show
sys.exit(run(["show", "x", "--dir", sys.argv[2]]))
"""


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_signal_while_a_class_is_made_ends_the_command(
    tmp_path: Path, name: str, code: int
) -> None:
    """FAULTS row 37: Python before 3.12 makes a RuntimeError of it, and imports make classes."""
    done = subprocess.run(
        [sys.executable, "-c", WRAPPED, name, str(tmp_path)],
        env=environment(), capture_output=True, timeout=25, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (code, b"")
