"""The doctor: looks at everything that jobctl rests on, and says what is wrong and what to do.

It observes only. What it finds is what lies there: it makes no directory, records nothing, sweeps
nothing away. Each check stands alone, in a thread of its own: one that breaks, or that does not
come to an end, is a finding too, and keeps none of the others.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from jobctl.config import resolve_dir
from jobctl.errors import JobctlError, UsageError
from jobctl.upkeep.doctor.contents import change_log, jobs
from jobctl.upkeep.doctor.environment import descriptors, program, proxies, settings, terminal
from jobctl.upkeep.doctor.finding import Check, CheckContext, Finding, NothingToCheck
from jobctl.upkeep.doctor.listeners import bells, hubs, owners
from jobctl.upkeep.doctor.location import directory, file_system, leftovers, lock, meta

__all__ = ["CHECKS", "Finding", "doctor"]

CHECKS: list[Check] = [
    directory,
    meta,
    file_system,
    lock,
    change_log,
    jobs,
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
"""All checks, in the order of their findings. A check's name is that of its function."""

_SOFT_S = 3.5
"""A check that has much to do stops here, and says how far it got."""
_HARD_S = 4.5
"""Whatever has not come back by now is left where it hangs."""


def doctor(
    path: str | os.PathLike[str] | None = None,
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> list[Finding]:
    """What is found about the directory that a command would work on; within 5 s, never raises.

    ``path`` is what ``--dir`` would say. Something is wrong when a finding's level is ``error``.
    """
    env = os.environ if env is None else env
    findings: list[Finding] = []
    if cwd is None:
        try:
            cwd = Path.cwd()
        except OSError:
            cwd = Path("/")
            findings.append(Finding("error", "the present directory is gone", hint="go elsewhere"))
    where = None
    try:
        where = resolve_dir(os.fspath(path) if path is not None else None, env, cwd)
    except UsageError as error:
        findings.append(_from_error(error))
    context = CheckContext(where, env, cwd, time.monotonic() + _SOFT_S)
    end_s = time.monotonic() + _HARD_S
    running = [_RunningCheck(check, context) for check in CHECKS]
    for started in running:
        findings += started.findings_by(end_s)
    return list(dict.fromkeys(findings))  # a broken jobctl.toml is met twice


class _RunningCheck:
    """One check at work. A daemon: one that hangs in the kernel must not hold up the exit."""

    def __init__(self, check: Check, context: CheckContext) -> None:
        self._check, self._context = check, context
        self._found: list[Finding] = []
        self._thread = threading.Thread(target=self._run, name=check.__name__, daemon=True)
        self._thread.start()

    def findings_by(self, end_s: float) -> list[Finding]:
        """What it found, or has found by the end."""
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
            pass  # which the check of the directory says
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
