"""The doctor: checks everything that jobctl depends on, and says what is wrong and what to do.

It only observes: it creates no directory, records nothing and removes nothing. Each check runs in
its own thread. A check that fails or does not return becomes a finding, and does not affect the
others.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from jobctl.config import Settings, resolve_dir
from jobctl.errors import JobctlError, UsageError
from jobctl.upkeep.doctor.contents import change_log, jobs
from jobctl.upkeep.doctor.environment import descriptors, program, proxies, settings, terminal
from jobctl.upkeep.doctor.finding import Check, CheckContext, Finding, NothingToCheck
from jobctl.upkeep.doctor.listeners import bells, hubs, owners
from jobctl.upkeep.doctor.location import directory, file_system, leftovers, lock, meta
from jobctl.upkeep.doctor.logs import logs

__all__ = ["CHECKS", "Finding", "doctor"]

CHECKS: list[Check] = [
    directory,
    meta,
    file_system,
    lock,
    change_log,
    jobs,
    logs,
    leftovers,
    bells,
    hubs,
    owners,
    settings,
    program,
    terminal,
    proxies,
    descriptors,
]
"""All checks, in the order of their findings. A check is named after its function."""

_SOFT_S = 3.5
"""A long check stops after this time and reports how far it got."""
_HARD_S = 4.5
"""A check that has not returned after this time is abandoned."""


def doctor(
    path: str | os.PathLike[str] | None = None,
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> list[Finding]:
    """Return the findings about the directory that a command would use; within 5 s, never raises.

    ``path`` is the value of ``--dir``. A finding with the level ``error`` means that something is
    wrong.
    """
    env = os.environ if env is None else env
    findings: list[Finding] = []
    if cwd is None:
        try:
            cwd = Path.cwd()
        except OSError:
            cwd = Path("/")
            findings.append(Finding("error", "the present directory is gone", hint="go elsewhere"))
    where = known = None
    try:
        if path is None and not env.get("JOBCTL_DIR"):  # else they may hang, and are not needed yet
            known = Settings(env, cwd)
        where = resolve_dir(os.fspath(path) if path is not None else None, env, cwd, known)
    except UsageError as error:
        findings.append(_from_error(error))
    context = CheckContext(where, env, cwd, time.monotonic() + _SOFT_S, known)
    end_s = time.monotonic() + _HARD_S
    running = [_RunningCheck(check, context) for check in CHECKS]
    for started in running:
        findings += started.findings_by(end_s)
    return list(dict.fromkeys(findings))  # an invalid jobctl.toml is found twice


class _RunningCheck:
    """A check in a daemon thread: if it hangs in the kernel, the process can still exit."""

    def __init__(self, check: Check, context: CheckContext) -> None:
        self._check, self._context = check, context
        self._found: list[Finding] = []
        self._thread = threading.Thread(target=self._run, name=check.__name__, daemon=True)
        self._thread.start()

    def findings_by(self, end_s: float) -> list[Finding]:
        """Return what the check has found until ``end_s``."""
        self._thread.join(max(0.0, end_s - time.monotonic()))
        if self._thread.is_alive():
            name = self._check.__name__
            late = Finding(
                "error", f"the check of {name} does not come to an end", hint="a dead file system?"
            )
            return [*self._found, late]
        return self._found

    def _run(self) -> None:
        try:
            for finding in self._check(self._context):
                self._found.append(finding)
        except NothingToCheck:
            pass  # the check of the directory reports it
        except JobctlError as error:
            self._found.append(_from_error(error))
        except OSError as error:
            what = f"cannot look: {error.strerror or error}"
            self._found.append(Finding("error", what, str(error.filename or "")))
        except Exception as error:
            name = self._check.__name__
            what = f"the check of {name} broke: {type(error).__name__}: {error}"
            self._found.append(Finding("error", what, hint="that is a defect of jobctl's"))


def _from_error(error: JobctlError) -> Finding:
    return Finding("error", error.message, hint=error.hint or "")
