"""``jobctl doctor``: how findings are printed, and what the exit code says."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import DATA, Run, command, environment, hub_on, run_process
from tests.cli.test_text import harmless


def test_all_is_well(run: Run, jobs_dir: Path) -> None:
    """A short list, and exit code 0."""
    run("create")
    result = run("doctor")
    assert (result.code, result.err) == (0, "jobctl: all is well\n")
    lines = result.out.splitlines()
    assert 5 < len(lines) < 15
    assert all(line.startswith("ok       ") for line in lines)
    assert str(jobs_dir) in lines[0]
    assert "$JOBCTL_DIR" in lines[0]


def test_errors_are_exit_code_1_and_warnings_are_not(run: Run, jobs_dir: Path) -> None:
    """What, where, what next, in one line each."""
    run("create")
    jobs_dir.chmod(0o755)
    result = run("doctor")
    assert (result.code, result.err) == (0, "jobctl: 0 errors, 1 warning\n")
    hint = f"'chmod o-rwx {jobs_dir}' if that is not meant"
    assert f"warning  {jobs_dir}: others can look into it; {hint}" in result.out.splitlines()
    jobs_dir.chmod(0o777)
    result = run("doctor")
    assert (result.code, result.err) == (1, "jobctl: 1 error, 1 warning\n")
    assert f"error    {jobs_dir}: everybody can write in it" in result.out


def test_json_says_the_same(run: Run, jobs_dir: Path) -> None:
    """``ok`` is what the exit code says."""
    run("create")
    value = json.loads(run("doctor", "-o", "json").out)
    assert (value["ok"], {item["level"] for item in value["findings"]}) == (True, {"ok"})
    jobs_dir.chmod(0o777)
    result = run("doctor", "-o", "json")
    value = json.loads(result.out)
    assert (result.code, result.err, value["ok"]) == (1, "", False)
    wrong = next(item for item in value["findings"] if item["level"] == "error")
    assert set(wrong) == {"level", "what", "where", "hint"}
    assert wrong["where"] == str(jobs_dir)


@pytest.mark.parametrize("args", [["--dir", "{}/none"], ["--dir", ""], ["--dir", "{}/file"]])
def test_what_is_no_directory_is_a_finding(run: Run, tmp_path: Path, args: list[str]) -> None:
    """Exit code 1, and the list all the same."""
    (tmp_path / "file").write_text("")
    result = run("doctor", *[arg.format(tmp_path) for arg in args])
    assert (result.code, result.err) == (1, "jobctl: 1 error, 0 warnings\n")
    assert "Python" in result.out


def test_hostile_names_and_values_are_made_visible(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAULTS row 53: of the directory, of files in it, of variables, of bytes that are no text."""
    path = tmp_path / "a\x1b[31mb\u202ec"
    path.mkdir()
    for name in (b"x\x1b[2Jy.json", b"\x9b\xff.json", b"z\r\n.tmp"):
        Path(os.fsdecode(os.path.join(os.fsencode(path), name))).write_text("{}")
        os.utime(os.path.join(os.fsencode(path), name), (1, 1))
    monkeypatch.setenv("JOBCTL_DIR", str(path))
    for args in ([], ["-o", "json"]):
        result = run("doctor", *args)
        assert harmless(result.out)
        assert harmless(result.err)
    assert "x\\e[2Jy.json" in run("doctor").out
    assert run("doctor").out.count("z\\r\\n.tmp") == 1


@pytest.mark.slow
def test_the_doctor_imports_the_network_only_for_a_hub(tmp_path: Path) -> None:
    """And an event loop likewise."""
    code = (
        "import sys; from jobctl.cli.app import run; run(['doctor', '--dir', sys.argv[1]])\n"
        "heavy = {'asyncio', 'websockets', 'watchfiles'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    subprocess.run(command("create", "--dir", str(tmp_path)), env=environment(), check=True)
    args = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(args, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_pipes_disks_and_encodings_that_take_nothing(tmp_path: Path) -> None:
    """FAULTS rows 36 and 40: quiet 141; one line and 1; written out where it cannot be shown."""
    path = tmp_path / "jöbs…"
    shutil.copytree(DATA / "bad-jobs", path)
    args = command("doctor", "--dir", str(path))
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        args, env=environment(), stdout=write, stderr=subprocess.PIPE, check=False
    )
    os.close(write)
    assert done.returncode == 141
    assert b"Traceback" not in done.stderr
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            args, env=environment(), stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == b"jobctl: No space left on device"
    assert b"Traceback" not in done.stderr
    env = environment(LC_ALL="C", PYTHONUTF8="0", PYTHONIOENCODING="ascii", PYTHONCOERCECLOCALE="0")
    plain = run_process("doctor", "--dir", str(path), env=env)
    assert (plain.code, plain.out.isascii()) == (1, True)
    assert "standard output is ascii" in plain.out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_signals_end_it_quietly(tmp_path: Path, number: signal.Signals, code: int) -> None:
    """FAULTS row 37: in the middle of a check that waits for a hub which is stopped."""
    with hub_on(tmp_path):
        hub_file = next((tmp_path / ".jobctl" / "hubs").iterdir())
        hub = json.loads(hub_file.read_text())["pid"]
        os.kill(hub, signal.SIGSTOP)
        try:
            code_text = (
                "import os\nfrom jobctl.upkeep import doctor\nfrom jobctl.__main__ import main\n"
                "first = doctor.CHECKS[0]\n"
                "def begun(context):\n    os.write(1, b'begun\\n')\n    yield from first(context)\n"
                "doctor.CHECKS[0] = begun\nimport sys; sys.argv[1:1] = ['doctor', '--dir']\nmain()"
            )
            child = subprocess.Popen(
                [sys.executable, "-c", code_text, str(tmp_path)],
                env=environment(),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            assert child.stdout is not None
            assert child.stdout.readline() == b"begun\n"
            child.send_signal(number)
            out, err = child.communicate(timeout=20)
        finally:
            os.kill(hub, signal.SIGCONT)
    assert (child.returncode, out, err) == (code, b"", b"")
