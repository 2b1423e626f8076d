"""FAULTS row 65: another user's settings file or job directory is read, and never obeyed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from jobctl import config
from jobctl._clock import now
from jobctl.cli.dynamic_completion import candidates
from jobctl.config import user_file
from jobctl.core import transitions as jobs
from jobctl.core.codec import encode
from tests.cli.conftest import (
    ROOT,
    Ran,
    Run,
    environment,
    own_settings,
    run_process,
    stand_in,
)

NOBODY = 65534
OTHER = 1234

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give files away")


@pytest.fixture
def shared() -> Iterator[Path]:
    """A directory that every user can reach, which pytest's own is not."""
    path = Path(tempfile.mkdtemp(prefix="jobctl-test-"))
    path.chmod(0o755)
    yield path.resolve()
    shutil.rmtree(path)


@pytest.fixture
def project(shared: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory; neither the environment nor a settings file names jobs yet."""
    return stand_in(shared, monkeypatch)


def give(path: Path, uid: int) -> None:
    """Give a file, or a directory with all that is in it, to another user."""
    for each in (path, *path.rglob("*")):
        os.chown(each, uid, uid, follow_symlinks=False)


def plant(directory: Path, id: str = "evil", **changes: Any) -> Path:
    """A failed job whose command makes the file ``directory/../marker``; returns that path."""
    directory.mkdir(mode=0o755, parents=True, exist_ok=True)
    marker = directory.parent / "marker"
    command = {"argv": ["/bin/sh", "-c", f"id -u > {marker}"], "cwd": "/", "env": None}
    job = jobs.fail(jobs.create("run", now=now(), id=id), "Exit code 1", now=now())
    file = directory / f"{id}.json"
    file.write_bytes(encode(job.replace(run={**command, **changes})))
    file.chmod(0o644)
    return marker


@cache
def _interpreter(uid: int) -> tuple[str, str] | None:
    """An interpreter that the user may run, and its ``PYTHONPATH``."""
    path = os.pathsep.join([str(ROOT), *(entry for entry in sys.path if "site-packages" in entry)])
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    for python in (sys.executable, f"/usr/bin/{version}", f"/usr/local/bin/{version}"):
        try:
            subprocess.run(
                [python, "-c", "import jobctl.cli.app"],
                env={"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
                user=uid, group=uid, extra_groups=[], cwd="/", check=True, capture_output=True,
            )  # fmt: skip
        except (OSError, subprocess.CalledProcessError):
            continue
        return python, path
    return None


def run_as(uid: int, *args: str, cwd: Path, **more: str) -> Ran:
    """Run a command line as another user."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to run as another user")
    found = _interpreter(uid)
    if found is None:
        pytest.skip("no interpreter that another user may run")
    python, path = found
    keep = {key: value for key, value in os.environ.items() if key != "JOBCTL_DIR"}
    env = {**keep, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", "HOME": "/", **more}
    done = subprocess.run(
        [python, "-m", "jobctl", *args],
        env=env, user=uid, group=uid, extra_groups=[], cwd=cwd,
        capture_output=True, text=True, timeout=50,
    )  # fmt: skip
    return Ran(done.returncode, done.stdout, done.stderr)


# -- command lines --------------------------------------------------------------------------


@root_only
def test_command_in_another_users_directory_is_not_run(project: Path) -> None:
    """Row 65: ``retry --rerun`` ran another user's command line as root, and exited 0."""
    directory = project / "jobs"
    marker = plant(directory)
    give(directory, NOBODY)
    ran = run_process("retry", "evil", "--rerun", "--dir", str(directory))
    assert not marker.exists()
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert f"{directory} is not obeyed" in ran.err
    assert "nobody (uid 65534)" in ran.err
    assert f'safe-directories = ["{directory}"]' in ran.err
    assert str(user_file()) in ran.err


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o707])
def test_command_where_everybody_can_write_is_not_run(project: Path, mode: int) -> None:
    """Row 65: in a directory of my own that others can write to; a sticky one is no better."""
    directory = project / "jobs"
    marker = plant(directory)
    directory.chmod(mode)
    ran = run_process("retry", "evil", "--rerun", "--dir", str(directory))
    assert not marker.exists()
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "everybody can write to it" in ran.err


@root_only
def test_command_in_another_users_file_is_not_run(project: Path) -> None:
    """Row 65: a file that was moved into my own directory, or that others can write to."""
    directory = project / "jobs"
    marker = plant(directory)
    directory.chmod(0o700)
    file = directory / "evil.json"
    os.chown(file, NOBODY, NOBODY)
    ran = run_process("retry", "evil", "--rerun", "--dir", str(directory))
    assert not marker.exists()
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert f"{file} is not obeyed" in ran.err
    assert "nobody (uid 65534)" in ran.err
    os.chown(file, 0, 0)
    file.chmod(0o646)
    ran = run_process("retry", "evil", "--rerun", "--dir", str(directory))
    assert not marker.exists()
    assert "everybody can write to it" in ran.err
    file.chmod(0o644)
    assert run_process("retry", "evil", "--rerun", "--dir", str(directory)).code == 0
    assert marker.exists()


@root_only
def test_command_as_another_user(project: Path, shared: Path) -> None:
    """Row 65: the rule is about me, not about root: own and root's directories are obeyed."""
    state = shared / "mine"
    state.mkdir()
    give(state, NOBODY)
    more = {"XDG_CONFIG_HOME": str(state), "XDG_STATE_HOME": str(state), "TMPDIR": str(state)}
    for owner, code in ((OTHER, 2), (NOBODY, 0), (0, 0)):
        directory = state / f"of-{owner}"
        marker = plant(directory)
        give(directory, owner)
        ran = run_as(NOBODY, "retry", "evil", "--rerun", "--dir", str(directory), cwd=state, **more)
        assert (ran.code, marker.exists()) == (code, code == 0), ran.err
        if code:
            assert f"uid {OTHER}" in ran.err
        marker.unlink(missing_ok=True)


@root_only
def test_jobs_of_another_user_are_read(project: Path, run: Run) -> None:
    """Row 65: what is not obeyed can be looked at all the same."""
    directory = project / "jobs"
    plant(directory)
    give(directory, NOBODY)
    given = ("--dir", str(directory))
    assert run("ls", "-q", *given).out == "evil\n"
    assert json.loads(run("show", "evil", "-o", "json", *given).out)["id"] == "evil"
    assert run("wait", "evil", *given).code == 3
    assert run("watch", "evil", "-q", *given).out == "evil\n"
    for refused in (["retry", "evil"], ["rm", "evil"], ["create"], ["cancel", "evil"]):
        ran = run(*refused, *given)
        assert ran.code != 0
        assert ran.err.count("\n") == 1, refused


@root_only
def test_sudo_obeys_who_called_it(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 65: for ``sudo jobctl``, the user's own directory is as good as root's."""
    directory = project / "jobs"
    marker = plant(directory)
    give(directory, OTHER)
    command = ("retry", "evil", "--rerun", "--dir", str(directory))
    assert run_process(*command, env=environment(SUDO_UID=str(NOBODY))).code == 2
    assert not marker.exists()
    assert run_process(*command, env=environment(SUDO_UID=str(OTHER))).code == 0
    assert marker.exists()


@root_only
def test_safe_directory_lets_a_command_run(project: Path, shared: Path) -> None:
    """Row 65: by the line that the refusal prints; the run is recorded, as anywhere."""
    directory = project / "jobs"
    marker = plant(directory)
    give(directory, NOBODY)
    command = ("retry", "evil", "--rerun", "--dir", str(directory))
    said = run_process(*command).err
    own_settings(said.split("add ")[1].split(" to ")[0])
    ran = run_process(*command)
    assert (ran.code, ran.err) == (0, "")
    assert marker.read_text() == "0\n"
    (job,) = json.loads(run_process("ls", "-o", "json", "--dir", str(directory)).out)["jobs"]
    assert (job["stage"], job["retryCount"]) == ("completed", 1)
    link = project / "link"  # the way does not matter, only where it leads
    link.symlink_to(directory)
    run_process("fail", "evil", "no", "--dir", str(directory))
    elsewhere = shared / "else"
    plant(elsewhere)
    give(elsewhere, NOBODY)
    link.unlink()
    link.symlink_to(elsewhere)
    assert run_process("retry", "evil", "--rerun", "--dir", str(link)).code == 2
    assert not (shared / "marker").exists()


# -- settings files -------------------------------------------------------------------------


@root_only
def test_settings_of_another_user_are_refused(project: Path, run: Run) -> None:
    """Row 65: a ``jobctl.toml`` above mine named a directory with another user's command line."""
    directory = project / "jobs"
    marker = plant(directory)
    file = project / "jobctl.toml"
    file.write_text(f'dir = "{directory}"\n')
    give(directory, NOBODY)
    os.chown(file, NOBODY, NOBODY)
    for args in (["retry", "evil", "--rerun"], ["ls"], ["create"], ["watch"], ["wait", "x"]):
        ran = run(*args)
        assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1), args
        assert f"{file} is not obeyed: it belongs to nobody (uid 65534)" in ran.err
        assert f'safe-directories = ["{project}"]' in ran.err
    assert not marker.exists()
    assert run("run", "--", "true").code == 125


@root_only
def test_named_directory_does_without_the_settings(
    project: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 65: what the file says does not count then, and nothing is said about it."""
    mine = project / "mine"
    assert run("create", "--id", "a", "--dir", str(mine)).code == 0
    file = project / "jobctl.toml"
    file.write_text('dir = "theirs"\ntime-format = "iso"\nnonsense = 1\n[types.t]\nlabel = "T"\n')
    os.chown(file, NOBODY, NOBODY)
    assert run("ls", "-q").code == 2
    assert run("ls", "-q", "--dir", str(mine)) == (0, "a\n", "")
    assert run("ls", "-q", "--url", "ws://127.0.0.1:9").code == 5
    assert run("create", "--id", "b", "--dir", "mine") == (0, "b\n", "")
    monkeypatch.setenv("JOBCTL_DIR", str(mine))
    assert run("ls", "-q", "--type", "job").out.split() == ["b", "a"]
    shown = run("config").out
    assert f"not obeyed: it belongs to nobody (uid 65534)  {file}" in shown
    assert "types.t" not in shown
    value = json.loads(run("config", "-o", "json").out)
    assert value["notObeyed"] == [{"path": str(file), "why": "it belongs to nobody (uid 65534)"}]
    assert value["files"] == []
    monkeypatch.delenv("JOBCTL_DIR")
    monkeypatch.setenv("JOBCTL_URL", "ws://127.0.0.1:9")
    assert run("ls", "-q").code == 5
    assert run("create").code == 2


@root_only
def test_refusal_is_json_for_who_asked(project: Path, run: Run) -> None:
    """Row 65: as any error."""
    (project / "jobctl.toml").write_text('dir = "x"\n')
    os.chown(project / "jobctl.toml", NOBODY, NOBODY)
    error = json.loads(run("ls", "-o", "json").err)["error"]
    assert (error["kind"], error["exitCode"]) == ("NotObeyed", 2)
    assert "safe-directories = [" in error["hint"]


@root_only
def test_tracked_work_goes_on_under_settings_of_another_user(project: Path) -> None:
    """Row 65: the library records nothing there, says so once, and breaks nothing."""
    (project / "jobctl.toml").write_text('dir = "theirs"\n')
    os.chown(project / "jobctl.toml", NOBODY, NOBODY)
    text = "from jobctl import track\nwith track('t') as job: job.progress(1); print('done')"
    ran = subprocess.run(
        [sys.executable, "-c", text], env=environment(), capture_output=True, text=True, timeout=50
    )
    assert (ran.returncode, ran.stdout) == (0, "done\n")
    assert ran.stderr.count("\n") == 1
    assert "is not obeyed: it belongs to nobody" in ran.stderr
    assert sorted(path.name for path in project.iterdir()) == ["jobctl.toml"]
    assert not (project.parent / "state").exists()


def test_settings_of_the_system_are_shown_and_used(
    project: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 65: root may say where the hub is, for all users; their own file beats it."""
    file = project / "etc" / "jobctl.toml"
    file.parent.mkdir()
    file.write_text('url = "ws://127.0.0.1:9"\nsafe-directories = ["/mnt", "/srv"]\n')
    monkeypatch.setattr(config, "_SYSTEM_FILE", str(file))
    monkeypatch.setattr(config, "ROOT", frozenset({os.geteuid()}))
    rows = {line.split()[0]: line.split() for line in run("config").out.splitlines()}
    assert rows["url"][1:] == ["ws://127.0.0.1:9", str(file)]
    assert rows["safe-directories"][1:] == ["/mnt,", "/srv", str(file)]
    value = json.loads(run("config", "-o", "json").out)
    assert value["settings"]["safe-directories"] == {"value": ["/mnt", "/srv"], "from": str(file)}
    assert (value["systemFile"], value["files"]) == (str(file), [str(file)])
    assert run("ls").code == 5
    own = own_settings('url = "ws://127.0.0.1:10"\n')
    rows = {line.split()[0]: line.split() for line in run("config").out.splitlines()}
    assert rows["url"][1:] == ["ws://127.0.0.1:10", str(own)]


# -- and what else looks there --------------------------------------------------------------


@root_only
def test_doctor_names_what_is_not_obeyed(project: Path, run: Run) -> None:
    """Row 65: the settings file, the directory, and job files of other users."""
    file = project / "jobctl.toml"
    file.write_text('dir = "jobs"\n')
    os.chown(file, NOBODY, NOBODY)
    directory = project / "jobs"
    plant(directory)
    plant(directory, "mine")
    directory.chmod(0o700)
    ran = run("doctor")
    assert ran.code == 1
    (said,) = [line for line in ran.out.splitlines() if "not obeyed" in line]
    assert said == (
        f"error    {file} is not obeyed: it belongs to nobody (uid 65534); name a directory by "
        f'--dir; if you trust it, add safe-directories = ["{project}"] to {user_file()}'
    )
    os.chown(directory / "evil.json", NOBODY, NOBODY)
    ran = run("doctor", "--dir", str(directory))
    assert ran.code == 0
    assert f"warning  {file} is not obeyed" in ran.out
    assert "1 job file belongs to another user: its command line is not run: evil.json" in ran.out
    os.chown(directory, NOBODY, NOBODY)
    ran = run("doctor", "--dir", str(directory))
    assert "read, not written; it is not obeyed: no command line in it is run" in ran.out
    assert f'safe-directories = ["{directory}"]' in ran.out
    assert "job file belongs" not in ran.out
    own_settings(f'safe-directories = ["{project}"]\n')
    ran = run("doctor")
    assert ran.code == 0
    assert "not obeyed" not in ran.out
    assert "safe-directories says that it is safe" in ran.out


@root_only
def test_completion_offers_nothing_by_settings_of_another_user(project: Path) -> None:
    """Row 65: neither their jobs nor their types; but the jobs of a directory that is named."""
    directory = project / "jobs"
    plant(directory)
    file = project / "jobctl.toml"
    file.write_text('dir = "jobs"\n[types.theirs]\nlabel = "Theirs"\n')
    assert [value for value, _ in candidates(["ids", "--", ""])] == ["evil"]
    assert "theirs" in dict(candidates(["types", "--", ""]))
    os.chown(file, NOBODY, NOBODY)
    assert candidates(["ids", "--", ""]) == []
    assert "theirs" not in dict(candidates(["types", "--", ""]))
    assert [value for value, _ in candidates(["ids", "--dir", "jobs", "--", ""])] == ["evil"]
