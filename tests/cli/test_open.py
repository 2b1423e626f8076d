"""``serve --open``: the page in a browser, without a token in a URL or on a command line."""

from __future__ import annotations

import html
import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import command, environment, run_process

pytestmark = pytest.mark.slow

TOKEN = "0123456789abcdef-the-token"
BROWSER = """
import json, os, sys, urllib.parse
path = urllib.parse.unquote(sys.argv[1].removeprefix("file://"))
isfile = sys.argv[1].startswith("file://")
about = os.stat(path) if isfile else None
with open({seen!r} + ".part", "w") as file:
    json.dump({{"url": sys.argv[1], "text": open(path).read() if isfile else "",
               "mode": about.st_mode if isfile else 0,
               "folder": os.stat(os.path.dirname(path)).st_mode if isfile else 0,
               "command": open("/proc/self/cmdline").read()}}, file)
os.rename({seen!r} + ".part", {seen!r})
"""


@contextmanager
def opened(tmp_path: Path, *args: str, **env: str) -> Iterator[tuple[dict[str, Any], str]]:
    """What the browser of a hub was started with, and what the hub said."""
    seen = tmp_path / "seen.json"
    script = tmp_path / "browser.py"
    script.write_text(BROWSER.format(seen=str(seen)))
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    hub = subprocess.Popen(
        command("serve", "--port", "0", "--open", "--dir", str(tmp_path / "jobs"), *args),
        env=environment(BROWSER=f"{sys.executable} {script} %s", TMPDIR=str(temporary), **env),
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert hub.stderr is not None
    try:
        said = ""
        while "(Ctrl-C stops)" not in said:
            line = hub.stderr.readline()
            assert line, said
            said += line
        deadline_s = time.monotonic() + 15
        while not seen.exists():
            assert time.monotonic() < deadline_s, "no browser was started"
            time.sleep(0.02)
        yield json.loads(seen.read_text()), said
    finally:
        hub.send_signal(signal.SIGTERM)
        hub.communicate(timeout=20)
    assert hub.returncode == 0
    assert list(temporary.iterdir()) == []


def test_page_of_the_own_user_is_opened_as_it_is(tmp_path: Path) -> None:
    """No token is needed, so there is none; a hub on all addresses is opened on loopback."""
    with opened(tmp_path) as (seen, said):
        page = re.search(r"page (\S+)", said)
        assert page is not None
        assert seen["url"] == page[1]
        with urllib.request.urlopen(seen["url"], timeout=10) as answer:
            assert answer.status == 200


def test_hub_on_all_addresses_is_opened_on_loopback(tmp_path: Path) -> None:
    """No browser can open 0.0.0.0 everywhere."""
    with opened(tmp_path, "--host", "0.0.0.0", "--insecure") as (seen, _):
        assert re.fullmatch(r"http://127\.0\.0\.1:[0-9]+/", seen["url"])


def test_browser_is_signed_in_by_a_private_file_and_once(tmp_path: Path) -> None:
    """The token is nowhere; the ticket is not on the command line, and worthless after its use."""
    token = tmp_path / "token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    with opened(tmp_path, "--token-file", str(token)) as (seen, said):
        assert seen["url"].startswith("file:///")
        assert stat.S_IMODE(seen["mode"]) == 0o600
        assert stat.S_IMODE(seen["folder"]) == 0o700
        assert TOKEN not in json.dumps(seen) + said
        (url,) = set(re.findall(r"http://[^\"]+", html.unescape(seen["text"])))
        page, ticket = url.split("login#ticket=")
        assert ticket not in seen["command"] + said
        assert _sign_in(page, ticket) == 303
        assert _sign_in(page, ticket) == 401
        assert _sign_in(page, "x") == 401


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any) -> None:
        return None


def _sign_in(page: str, ticket: str) -> int:
    """The status of the answer; a cookie comes with 303."""
    data = urllib.parse.urlencode({"ticket": ticket}).encode()
    with pytest.raises(urllib.error.HTTPError) as answer:
        urllib.request.build_opener(_NoRedirect).open(f"{page}login", data, timeout=10)
    status = answer.value.code
    answer.value.close()
    assert ("jobctl-" in answer.value.headers.get("Set-Cookie", "")) == (status == 303)
    return status


@pytest.mark.parametrize("browser", ["", "/nowhere/browser %s"])
def test_hub_serves_where_no_browser_can_be_opened(tmp_path: Path, browser: str) -> None:
    """One line that names the page to open."""
    env = environment(BROWSER=browser, PATH="/nowhere")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        env.pop(name, None)
    hub = subprocess.Popen(
        command("serve", "--port", "0", "--open", "--dir", str(tmp_path)),
        env=env, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert hub.stderr is not None
    said = hub.stderr.readline() + hub.stderr.readline()
    assert "no browser c" in said
    page = re.search(r"open (http://127\.0\.0\.1:[0-9]+/) yourself", said)
    assert page is not None
    with urllib.request.urlopen(page[1], timeout=10) as answer:
        assert answer.status == 200
    hub.send_signal(signal.SIGTERM)
    assert hub.communicate(timeout=20)[1] == ""
    assert hub.returncode == 0


def test_open_needs_a_port(tmp_path: Path) -> None:
    """A browser cannot open a Unix socket."""
    result = run_process("serve", "--unix", str(tmp_path / "s"), "--open", "--dir", str(tmp_path))
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert "--open is for a port" in result.err
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "text",
    ["", "javascript:alert({id})", "https://app.example/sessions", "https://{id}/", "//x/{id}",
     "https://user@app.example/{id}", "https://app.example /{id}", "https://a/{id}\n"],
)  # fmt: skip
def test_session_url_is_http_with_the_id_after_the_host(tmp_path: Path, text: str) -> None:
    """One line, before anything listens."""
    result = run_process("serve", "--port", "0", f"--session-url={text}", "--dir", str(tmp_path))
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert "--session-url" in result.err
    assert "{id}" in result.err


def test_demo_shows_a_busy_page_until_ctrl_c(tmp_path: Path) -> None:
    """Exit code 0; no process, no directory and no file is left."""
    demo = subprocess.Popen(
        command("demo", "--web"), stderr=subprocess.PIPE, text=True,
        env=environment(BROWSER=f"{sys.executable} -c 1 %s", TMPDIR=str(tmp_path)),
    )  # fmt: skip
    assert demo.stderr is not None
    page = re.search(r"the page is (http://127\.0\.0\.1:[0-9]+/)", demo.stderr.readline())
    assert page is not None
    (directory,) = tmp_path.iterdir()
    deadline_s = time.monotonic() + 30
    types: set[str] = set()
    while not types >= {"nightly", "table", "report", "import", "create_session"}:
        assert time.monotonic() < deadline_s, types
        with urllib.request.urlopen(f"{page[1]}api/jobs", timeout=10) as answer:
            types = {job["type"] for job in json.load(answer)["jobs"]}
        time.sleep(0.1)
    demo.send_signal(signal.SIGINT)
    _, rest = demo.communicate(timeout=30)
    assert (demo.returncode, rest) == (0, "")
    assert list(tmp_path.iterdir()) == []
    named = [
        path for path in Path("/proc").glob("[0-9]*/cmdline")
        if str(directory).encode() in _bytes_of(path)
    ]  # fmt: skip
    assert named == []


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
