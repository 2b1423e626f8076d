"""``jobctl clients``, and the hub's options on the command line."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from jobctl._clock import now
from jobctl.core.transitions import create
from jobctl.hub.discovery import announced
from jobctl.stores import open_store
from tests.cli.conftest import Run, command, environment, hub_on, run_process
from tests.stores.support import until

pytestmark = pytest.mark.slow

JSON = ["--log-format", "json"]
TOKEN = "0123456789abcdef0123456789abcdef"


def test_who_reads_is_listed(jobs_dir: Path) -> None:
    """With what it was sent and has taken."""
    store = open_store(jobs_dir, create=True)
    store.create(create("etl", now=now(), id="a1"))
    with hub_on(jobs_dir) as url:
        watch = subprocess.Popen(
            command("watch", "--type", "etl", "--url", url),
            env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            assert watch.stdout is not None
            assert "a1" in watch.stdout.readline()

            def listed() -> list[dict[str, object]]:
                out = json.loads(run_process("clients", "-o", "json").out)
                return list(out["clients"])

            until(lambda: listed()[0]["acked"] == 1, deadline_s=10)
            (client,) = listed()
            assert client["filter"] == {"type": ["etl"]}
            assert (client["sent"], client["lagRevisions"]) == (1, 0)
            head, row = run_process("clients", "--url", url).out.splitlines()
            assert head.split()[:3] == ["ID", "PEER", "DIALECT"]
            assert "type=etl" in row
            assert "0 (0 jobs)" in row
        finally:
            watch.send_signal(signal.SIGINT)
            watch.communicate(timeout=10)
    store.close()


def test_no_hub_is_told_in_a_line(run: Run, jobs_dir: Path) -> None:
    """Neither on the directory nor at the URL; and what is no hub."""
    open_store(jobs_dir, create=True).close()
    for argv in ([], ["--url", "127.0.0.1:9"]):
        ran = run("clients", *argv)
        assert (ran.code, ran.out, ran.err.count("\n")) == (5, "", 1)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give a file away")
def test_hub_that_another_user_announces_is_not_sent_our_token(
    run: Run, jobs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAULTS rows 50, 65: nor asked at all, unless it is named."""
    open_store(jobs_dir, create=True, adopt=True).close()
    monkeypatch.setenv("JOBCTL_TOKEN", TOKEN)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.2)
        url = f"ws://127.0.0.1:{listening.getsockname()[1]}/ws/jobs"
        with announced(jobs_dir, url):
            (file,) = (jobs_dir / ".jobctl" / "hubs").iterdir()
            os.chown(file, 65534, 65534)
            ran = run("clients")
            assert (ran.code, ran.out, ran.err.count("\n")) == (5, "", 1)
            assert f"another user's does: --url {url} asks it" in ran.err
        with pytest.raises(TimeoutError):
            listening.accept()


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["--host", "0.0.0.0"], "lets others in, and the hub has no token"),
        (["--allow-host", "jobs.example"], "lets others in"),
        (["--token-file", "/nonexistent"], "cannot read a token from /nonexistent"),
        (["--tls-cert", "/nonexistent"], "no certificate and key in /nonexistent"),
        (["--base-path", "jobs"], "--base-path jobs: a path is like /jobs"),
        (["--path", "ws jobs"], "--path ws jobs: a path is like /jobs"),
    ],
)
def test_hub_that_would_be_unsafe_does_not_start(
    run: Run, jobs_dir: Path, argv: list[str], text: str
) -> None:
    """One line, exit code 2, and nothing made."""
    ran = run("serve", *argv)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert text in ran.err


def test_token_is_told_nowhere(jobs_dir: Path, tmp_path: Path) -> None:
    """FAULTS row 50: not in a log, not in a list of processes, not in what the hub announces."""
    token_file = tmp_path / "token"
    token_file.write_text(TOKEN + "\n")
    token_file.chmod(0o600)
    store = open_store(jobs_dir, create=True)
    store.create(create("etl", now=now(), id="a1"))
    hub = subprocess.Popen(
        command("serve", "--port", "0", "--token-file", str(token_file), "-v", *JSON),
        env=environment(), stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert hub.stderr is not None
    log = [hub.stderr.readline()]
    while not log[-1].startswith("{"):
        assert log[-1], log
        log.append(hub.stderr.readline())
    url = json.loads(log[-1])["url"]
    with_token = ["--url", url, "--token-file", str(token_file)]
    assert run_process("ls", "-o", "name", *with_token).out == "a1\n"
    assert json.loads(run_process("show", "a1", "-o", "json", *with_token).out)["id"] == "a1"
    assert run_process("wait", "a1", "--timeout", "0", *with_token).code == 124
    assert run_process("clients", "-o", "json", *with_token).code == 0
    refused = run_process("ls", "--url", url)
    assert (refused.code, refused.err.count("\n")) == (5, 1)
    wrong = run_process("ls", "--url", url, env=environment(JOBCTL_TOKEN="x" * 32))
    assert (wrong.code, "that is not the token" in wrong.err) == (5, True)
    told = [Path(f"/proc/{hub.pid}/cmdline").read_bytes()]
    told += [path.read_bytes() for path in (jobs_dir / ".jobctl" / "hubs").iterdir()]
    hub.terminate()
    log.append(hub.communicate(timeout=10)[1])
    assert TOKEN not in "".join(log)
    assert all(TOKEN.encode() not in text for text in told)
    assert all("Traceback" not in line for line in log)
    store.close()


@pytest.mark.slow
@pytest.mark.parametrize(("host", "told"), [("0.0.0.0", True), ("127.0.0.1", False)])
def test_token_in_the_clear_is_warned_of(jobs_dir: Path, host: str, told: bool) -> None:
    """It starts all the same: the way may be a private one."""
    hub = subprocess.Popen(
        command("serve", "--host", host, "--port", "0"),
        env=environment(JOBCTL_TOKEN=TOKEN), stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert hub.stderr is not None
    said: list[str] = []
    while not said or "serving" not in said[-1]:
        said.append(hub.stderr.readline())
        assert said[-1], "it runs"
    hub.terminate()
    hub.communicate(timeout=10)
    assert any("see --tls-cert" in line for line in said) is told
