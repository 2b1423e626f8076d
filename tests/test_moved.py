"""The module paths of 0.1.0 still work, with a warning, and give the very same objects."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import pytest

import jobctl
from jobctl._moved import MOVED

ROOT = Path(__file__).parent.parent

DOCUMENTED = {
    "jobctl.clock": ["now", "to_ms", "to_text", "parse_duration"],
    "jobctl.cursor": ["Cursor", "ZERO"],
    "jobctl.filters": ["Filter"],
    "jobctl.hub": ["Hub"],
    "jobctl.job": ["Job", "advance", "cancel", "complete", "create", "fail", "report", "retry"],
    "jobctl.jobset": ["Delta", "JobSet"],
    "jobctl.net.client": ["Client"],
    "jobctl.net.follow": ["follow"],
    "jobctl.net.remote": ["read"],
    "jobctl.net.server": ["serve"],
    "jobctl.net.wait": ["wait", "wait_async"],
    "jobctl.protocol": ["SUBPROTOCOL"],
    "jobctl.runner": ["run", "RunOptions"],
    "jobctl.stores.directory": ["DirectoryStore"],
    "jobctl.tracker": ["track"],
}


def in_a_process(
    code: str, *options: str, args: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *options, "-c", code, *args], capture_output=True, text=True, check=False
    )


@pytest.mark.slow
@pytest.mark.parametrize("path", DOCUMENTED)
def test_an_old_path_works_and_warns(path: str) -> None:
    """The warning names both paths, and the line that imports."""
    names = ", ".join(DOCUMENTED[path])
    done = in_a_process(f"from {path} import {names}", "-W", "always")
    assert done.returncode == 0, done.stderr
    assert f"DeprecationWarning: {path}" in done.stderr
    assert "<string>:1: DeprecationWarning" in done.stderr
    assert " is now jobctl." in done.stderr


def test_nobody_is_warned_unless_they_ask() -> None:
    """`import jobctl`, and all that it exports."""
    done = in_a_process(f"from jobctl import {', '.join(jobctl.__all__)}", "-W", "error")
    assert done.returncode == 0, done.stderr


def test_old_and_new_are_the_same_object(monkeypatch: pytest.MonkeyPatch) -> None:
    """So isinstance() and monkeypatching hold across both."""
    monkeypatch.delitem(sys.modules, "jobctl.tracker", raising=False)
    with pytest.warns(DeprecationWarning, match=r"jobctl\.tracker is now jobctl\.work\.track"):
        old = import_module("jobctl.tracker")
    assert old is import_module("jobctl.work.track")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("old", sorted(MOVED))
def test_every_old_path_leads_somewhere(old: str) -> None:
    """None is misspelt in the table."""
    import_module(f"jobctl.{old}")


def test_an_unknown_name_is_no_module() -> None:
    """Neither in a package that stays nor in one that went."""
    for path in ("jobctl.nothing", "jobctl.net.nothing"):
        with pytest.raises(ModuleNotFoundError):
            import_module(path)
    from jobctl import hub

    with pytest.raises(AttributeError):
        hub.nothing  # noqa: B018


def test_every_module_can_be_the_first_that_is_imported() -> None:
    """No import depends on others having come before it; a test of one file imports like that."""
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in sorted((ROOT / "jobctl").rglob("*.py"))
        if path.name != "__main__.py"
    ]
    code = (
        "import sys, importlib\n"
        "for name in sys.argv[1:]:\n"
        "    for other in [key for key in sys.modules if key.split('.')[0] == 'jobctl']:\n"
        "        del sys.modules[other]\n"
        "    importlib.import_module(name)\n"
    )
    ran = in_a_process(code, "-W", "error", args=modules)
    assert (ran.returncode, ran.stderr) == (0, "")
