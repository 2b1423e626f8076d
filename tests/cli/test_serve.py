"""``jobctl serve`` as a process, and ``demo``."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from jobctl.cli.demo import demo
from tests.cli.conftest import command, environment, run_process

pytestmark = pytest.mark.slow


def test_a_taken_port_is_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    """Exit code 5."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        result = run_process("serve", "--port", port, "--dir", str(tmp_path))
    assert (result.code, result.err.count("\n")) == (5, 1)
    assert f"127.0.0.1:{port} is already in use" in result.err
    assert "--port" in result.err
    assert os.listdir(tmp_path) == []


def test_a_taken_unix_socket_makes_no_directory(tmp_path: Path) -> None:
    """As with a port."""
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as taken:
        taken.bind(str(path))
        taken.listen()
        result = run_process("serve", "--unix", str(path), "--dir", str(tmp_path / "new"))
    assert (result.code, result.err.count("\n")) == (5, 1)
    assert str(path) in result.err
    assert os.listdir(tmp_path) == ["s"]


def test_unix_socket_may_lie_in_the_directory_that_serve_makes(tmp_path: Path) -> None:
    """Two containers share such a directory. The file is removed when the hub ends."""
    path = tmp_path / "new" / "s"
    hub = subprocess.Popen(
        command("serve", "--unix", str(path), "--dir", str(tmp_path / "new")),
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert hub.stderr is not None
    lines = [hub.stderr.readline()]
    while "serving" not in lines[-1]:
        assert lines[-1], lines
        lines.append(hub.stderr.readline())
    assert stat.S_ISSOCK(path.stat().st_mode)
    hub.terminate()
    hub.communicate(timeout=20)
    assert not path.exists()


def test_a_taken_port_makes_no_directory(tmp_path: Path) -> None:
    """It said "created", and made ``.jobctl``, before it tried to listen."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = run_process("serve", "--port", port, "--dir", str(tmp_path / "new" / "jobs"))
    assert (result.code, result.err.count("\n")) == (5, 1)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_it_listens_and_stops_cleanly(tmp_path: Path, number: int) -> None:
    """Exit code 0, events as JSON lines, nothing left in ``hubs``."""
    hub = subprocess.Popen(
        command("serve", "--port", "0", "--dir", str(tmp_path), "--log-format", "json"),
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert hub.stderr is not None
    event = json.loads(hub.stderr.readline())
    assert (event["event"], event["pid"]) == ("listening", hub.pid)
    assert event["url"] in json.loads(hub.stderr.readline())["event"]
    hub.send_signal(number)
    _, rest = hub.communicate(timeout=20)
    assert hub.returncode == 0
    assert [json.loads(line)["event"] for line in rest.splitlines()] == ["stopped"]
    assert list((tmp_path / ".jobctl" / "hubs").iterdir()) == []


@pytest.mark.parametrize("form", [["--log-format", "json"], ["--log-format=json"]])
def test_json_log_has_json_lines_only(tmp_path: Path, form: list[str]) -> None:
    """Notes, clients that come and go, refusals, and what libraries print."""
    hub = subprocess.Popen(
        command("serve", "--host", "0.0.0.0", "--insecure", "--port", "0",
                "--dir", str(tmp_path / "new"), *form),
        env=environment(), stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert hub.stderr is not None
    lines = [hub.stderr.readline()]
    while "listening" not in lines[-1]:
        assert lines[-1], lines
        lines.append(hub.stderr.readline())
    url = json.loads(lines[-1])["url"].replace("0.0.0.0", "127.0.0.1")
    seen = run_process("ls", "--url", url)
    assert seen.code == 0, seen.err
    with socket.create_connection(("127.0.0.1", int(url.split(":")[2].split("/")[0]))) as client:
        client.sendall(b"GET /api/jobs HTTP/1.1\r\nHost: evil.example\r\n\r\n")
        client.recv(100)
    hub.terminate()
    lines += hub.stderr.readlines()
    assert hub.wait(20) == 0
    hub.stderr.close()
    events = [json.loads(line) for line in lines]
    assert all(event.keys() >= {"time", "level", "event", "pid"} for event in events)
    names = [event["event"] for event in events]
    assert {"listening", "open", "close", "refused", "stopped"} <= {*names}
    assert any(name.startswith("created ") for name in names)
    assert any("--insecure" in name for name in names)
    assert next(event for event in events if event["event"] == "open")["url"].startswith(url)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--port", "{taken}"], 5),
        (["--port", "0", "--token-file", "{here}/none"], 2),
        (["--port", "0", "--tls-cert", "{here}/none"], 2),
        (["--port", "0", "--prune-older-than", "x"], 2),
        (["--port", "many"], 2),
        (["--host", "192.0.2.1", "--port", "0", "--insecure"], 5),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_error_at_the_start_is_a_json_line_too(
    tmp_path: Path, words: list[str], code: int, first: bool
) -> None:
    """Wherever the option stands, and with the same exit code."""
    form = ["--log-format", "json"]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        words = [word.format(taken=port, here=tmp_path) for word in words]
        words = [*form, *words] if first else [*words, *form]
        result = run_process("serve", "--dir", str(tmp_path / "new"), *words)
    lines = [json.loads(line) for line in result.err.splitlines()]
    assert result.code == code
    assert lines[-1]["level"] == "error"
    assert lines[-1]["error"]["exitCode"] == code
    assert lines[-1]["error"]["message"] in lines[-1]["event"]


def test_a_traceback_is_a_json_line_too(tmp_path: Path) -> None:
    """So are warnings, and what other libraries log."""
    script = (
        "import asyncio, logging, sys, threading, warnings\n"
        "from jobctl.cli.serve_log import LogFormat, set_up_logging\n"
        "set_up_logging(LogFormat.json, verbose=False)\n"
        "warnings.warn('mind this')\n"
        "logging.getLogger('asyncio').error('of a library')\n"
        "thread = threading.Thread(target=lambda: 1 / 0); thread.start(); thread.join()\n"
        "class Odd:\n    def __del__(self): raise ValueError('in del')\n"
        "Odd()\n"
        "raise KeyError('a\\nb')\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], env=environment(), capture_output=True, text=True
    )
    assert ran.returncode == 1
    events = [json.loads(line) for line in ran.stderr.splitlines()]
    assert len(events) == 5, ran.stderr
    assert "mind this" in events[0]["event"]
    assert events[1]["event"] == "of a library"
    assert [("Traceback" in event.get("traceback", "")) for event in events[2:]] == [True] * 3
    assert events[-1]["event"] == "the hub failed: KeyError: 'a\\nb'"


@contextmanager
def serving(directory: Path, *args: str) -> Iterator[list[str]]:
    """A hub with these options: the lines that it has said when it serves."""
    hub = subprocess.Popen(
        command("serve", "--dir", str(directory), *args), env=environment(),
        stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert hub.stderr is not None
    said: list[str] = []
    try:
        while not said or "serving" not in said[-1]:
            said.append(hub.stderr.readline())
            assert said[-1], said
        yield said
    finally:
        hub.send_signal(signal.SIGTERM)
        said += hub.stderr.readlines()  # communicate() would lose what is buffered
        hub.stderr.close()
    assert hub.wait(20) == 0


@pytest.fixture
def short() -> Iterator[Path]:
    """A directory with a short path, for sockets."""
    with tempfile.TemporaryDirectory() as made:
        yield Path(made)


def test_every_reader_takes_a_unix_socket(jobs_dir: Path, short: Path) -> None:
    """``--url unix:PATH`` and ``$JOBCTL_URL``: ls, show, watch, wait, clients, config."""
    assert run_process("create", "etl", "--id", "a1", "--dir", str(jobs_dir)).code == 0
    url = f"unix:{short}/s"
    with serving(jobs_dir, "--unix", f"{short}/s") as lines:
        assert lines == [f"jobctl: serving {jobs_dir} on {url} (Ctrl-C stops)\n"]
        for args, out in (
            (["ls", "-o", "name"], "a1\n"), (["show", "a1", "-q"], "a1\n"),
            (["clients", "-o", "json"], '{"clients":[]}\n'),
        ):  # fmt: skip
            for env, flag in ((environment(), ["--url", url]), (environment(JOBCTL_URL=url), [])):
                env.pop("JOBCTL_DIR", None)
                ran = run_process(*args, *flag, env=env)
                assert (ran.code, ran.out, ran.err) == (0, out, ""), args
        assert run_process("wait", "a1", "--timeout", "0", "--url", url).code == 124
        known = json.loads(run_process("config", "-o", "json", "--url", url).out)
        assert known["settings"]["url"] == {"value": url, "from": "--url"}
        found = run_process("clients", "--dir", str(jobs_dir))
        assert found.err == f"jobctl: nobody reads from {url}\n"
        watch = subprocess.Popen(
            command("watch", "a1", "--url", url), env=environment(), stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert watch.stdout is not None
        assert "a1" in watch.stdout.readline()
        assert run_process("complete", "a1", "--dir", str(jobs_dir)).code == 0
        out, err = watch.communicate(timeout=20)
        assert (watch.returncode, "completed" in out, err) == (0, True, f"jobctl: live: {url}\n")
        assert run_process("wait", "a1", "--url", url).code == 0
    assert os.listdir(short) == []


def test_port_and_unix_socket_together(tmp_path: Path, short: Path) -> None:
    """With ``--port``; and one that a killed hub has left is replaced (FAULTS row 19)."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(f"{short}/s")
    with serving(tmp_path, "--unix", f"{short}/s", "--port", "0") as said:
        assert " on ws://127.0.0.1:" in said[-1]
        assert f" and unix:{short}/s, page http://127.0.0.1:" in said[-1]
        taken = run_process("serve", "--unix", f"{short}/s", "--dir", str(tmp_path))
        assert (taken.code, taken.err.count("\n")) == (5, 1)
        assert f"somebody listens on {short}/s already" in taken.err


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["--unix", "/tmp/" + "s" * 200], "that of a Unix socket has"),
        (["--unix", "s", "--local-users"], "--local-users is for a port"),
        (["--unix", "s", "--tls-cert", "c.pem"], "--tls-cert is for a port"),
        (["--unix", "/dev/null"], "/dev/null is no socket, so it stays"),
    ],
)
def test_unix_socket_that_makes_no_sense_is_refused(
    tmp_path: Path, args: list[str], text: str
) -> None:
    """One line, exit code 2."""
    ran = run_process("serve", "--dir", str(tmp_path), *args)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert text in ran.err


def test_local_users_are_told_of_at_the_start(tmp_path: Path) -> None:
    """In one line."""
    with serving(tmp_path, "--port", "0", "--local-users") as said:
        pass
    assert len(said) == 2
    assert "all users of this machine may view the jobs (--local-users)" in said[1]
    for options in (["--insecure"], ["--insecure", "--local-users"]):
        with serving(tmp_path, "--port", "0", *options) as said:
            pass
        assert len(said) == 2
        assert "everybody who can reach the hub may view the jobs (--insecure)" in said[1]
    with serving(tmp_path, "--port", "0") as said:
        pass
    assert len(said) == 1


UNKNOWN = """
from jobctl.__main__ import main
from jobctl.hub.peers import PeerUids
PeerUids._find_way = lambda self: ""
main()
"""


@pytest.mark.parametrize("terminal", [True, False])
def test_token_is_in_the_link_on_a_terminal_only(
    jobs_dir: Path, tmp_path: Path, terminal: bool
) -> None:
    """FAULTS row 50: where the kernel does not tell who asks; in no log, and no command line.

    The commands that find the hub by its directory find its token there.
    """
    script = tmp_path / "unknown.py"
    script.write_text(UNKNOWN)
    ours, theirs = pty.openpty() if terminal else os.pipe()
    hub = subprocess.Popen(
        [sys.executable, str(script), "serve", "--port", "0", "-v"], env=environment(),
        stdin=subprocess.DEVNULL, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    said = b""
    try:
        while b"(Ctrl-C stops)" not in said:
            said += os.read(ours, 4096)
        (file,) = (jobs_dir / ".jobctl" / "hubs").iterdir()
        token = json.loads(file.read_text())["ownToken"]
        url = re.search(rb"ws://[0-9.:]+/ws/jobs", said)
        assert url is not None
        assert run_process("clients", "-o", "json").out == '{"clients":[]}\n'
        refused = run_process("ls", "--url", url[0].decode())
        assert (refused.code, refused.err.count("\n")) == (5, 1)
        assert "wants a token" in refused.err
        with_token = environment(JOBCTL_TOKEN=token)
        assert run_process("ls", "--url", url[0].decode(), env=with_token).code == 0
        watch = subprocess.Popen(
            command("watch"), env=environment(), stderr=subprocess.PIPE, text=True
        )
        assert watch.stderr is not None
        assert watch.stderr.readline() == f"jobctl: live: {url[0].decode()}\n"
        told = [Path(f"/proc/{one.pid}/cmdline").read_bytes() for one in (hub, watch)]
        watch.kill()
        watch.communicate()
    finally:
        hub.send_signal(signal.SIGTERM)
        with suppress(OSError):  # EIO: the terminal's other end is closed
            while part := os.read(ours, 4096):
                said += part
        os.close(ours)
    assert hub.wait(20) == 0
    assert not file.exists()
    assert all(token.encode() not in text for text in told)
    lines = said.decode().splitlines()
    assert [f"#token={token}" in line for line in lines if "Ctrl-C" in line] == [terminal]
    assert said.count(token.encode()) == terminal


@pytest.mark.slow
def test_a_closed_terminal_ends_the_hub_in_good_order(tmp_path: Path) -> None:
    """It sends SIGHUP twice, from the kernel and from the shell: the second one cut the end short,
    so that the hub died by the signal, or hung without serving.
    """
    for pause_s in (0.0, 0.01, 0.03):
        hub = subprocess.Popen(
            command("serve", "--port", "0", "--dir", str(tmp_path / "jobs")),
            env=environment(), stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert hub.stderr is not None
        next(line for line in hub.stderr if "Ctrl-C stops" in line)
        hub.send_signal(signal.SIGHUP)
        time.sleep(pause_s)
        hub.send_signal(signal.SIGHUP)
        _, err = hub.communicate(timeout=20)
        assert (hub.returncode, err) == (129, "")
        assert os.listdir(tmp_path / "jobs" / ".jobctl" / "hubs") == []


def test_demo_works_piped_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """Four types, one failure, three commands to try next."""
    result = run_process("demo", env=environment(TMPDIR=str(tmp_path), HOME=str(tmp_path)))
    assert (result.code, result.err) == (0, "")
    for type in ("create_session", "submit_answers", "create_next_round", "add_more_questions"):
        assert type in result.out
    assert "6 jobs completed and 1 failed" in result.out
    assert sum(line.startswith("  jobctl ") for line in result.out.splitlines()) == 4
    assert os.listdir(tmp_path) == []
    assert tempfile.gettempdir() != str(tmp_path)


@pytest.mark.parametrize("found", [True, False])
def test_demo_says_how_the_shell_finds_jobctl(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, found: bool
) -> None:
    """Only if it does not: `.venv/bin/jobctl demo` is typed before the environment is activated."""
    for name in ("bin/activate", "on path/jobctl"):
        file = tmp_path / "my venv" / name
        file.parent.mkdir(parents=True)
        file.touch(0o755)
    monkeypatch.setattr("jobctl.cli.live_demo.show_all", lambda: None)
    monkeypatch.setattr("sys.prefix", str(tmp_path / "my venv"))
    monkeypatch.setenv("PATH", str(tmp_path / "my venv" / "on path") if found else "/nowhere")
    monkeypatch.chdir(tmp_path)
    demo()
    said = capsys.readouterr().out
    assert ("  . 'my venv/bin/activate'" in said) is not found
    assert said.count("jobctl ") == 4
    assert max(map(len, said.splitlines())) <= 80
