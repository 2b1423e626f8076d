"""What a job shows to which reader: a pure function from the job to its wire form.

A command line, its working directory and its output may contain secrets, so only readers with the
right *details* get them. The variables of ``jobctl run --keep-env`` are for ``jobctl retry
--rerun``, which reads the directory; no reader gets them.
"""

from __future__ import annotations

from jobctl.core.job import ACTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, TypeGuard

    from jobctl.core.job import Job

__all__ = ["MASK", "default_title", "has_details", "redact"]

MASK = "***"
"""What stands for a secret in a title, an error and a log."""
_MAX_TITLE = 80
_CUT = "…"
_ENVIRONMENT = "env"
_ASKER = frozenset({"by", "via"})
_WITHOUT_DETAILS = frozenset({"exact", "exitCode", "signal", "durationMs", "maxRssBytes", "cpuMs"})


def default_title(argv: Sequence[str], mask: Callable[[str], str] = str) -> str:
    """Return the title of a job that runs this command: the command line, at most 80 characters.

    ``mask`` replaces secrets in a text.
    """
    import shlex  # which most readers do not need

    line = mask(shlex.join([mask(word) for word in argv]))
    return line if len(line) <= _MAX_TITLE else line[: _MAX_TITLE - len(_CUT)] + _CUT


def has_details(job: Job) -> bool:
    """Whether the job has something that not every reader may see."""
    if job.run is not None or job.host is not None or job.user is not None or job.has_acts:
        return True
    said, acknowledged = job.cancelled, job.acknowledged
    return (said is not None and said is not True) or (
        acknowledged is not None and acknowledged is not True
    )


def redact(job: Job, *, details: bool) -> Job:
    """Return the job as a reader with or without the right *details* may see it.

    ``run.env`` is left out for every reader. Without details only the end of the command stays in
    ``run`` (exit code, signal, duration, memory, CPU time, and whether it can be run again). Keys
    that other programs or later versions put there are left out too, and so is a ``run`` that is
    text or a list. A title that was made from the command line becomes the name of the program. Who
    cancelled or acknowledged the job, and why, is left out, and so are ``host`` and ``user``.

    Of the acts of hubs (acts.py) no reader gets the request ids, and only readers with details get
    who asked for them, ``by`` and ``via`` in the history.

    Everything else stays, also ``error``, which may end with the last line of standard error.
    Returns the job itself if nothing has to be left out. Idempotent.
    """
    update = _without_acts(job, details=details) if job.has_acts else {}
    if not details:
        for name in ("cancelled", "acknowledged"):
            said = getattr(job, name)
            if (shown := _without_reason(said)) != said:
                update[name] = shown
    if not details:
        update |= {name: None for name in ("host", "user") if getattr(job, name) is not None}
    run = job.run
    if run is None:
        return job.replace(**update) if update else job
    if not isinstance(run, dict):
        if not (details or isinstance(run, (int, float))):
            update["run"] = None
        return job.replace(**update) if update else job
    if details:
        shown = {key: value for key, value in run.items() if key != _ENVIRONMENT}
    else:
        shown = {key: value for key, value in run.items() if key in _WITHOUT_DETAILS}
        title = _title_without_details(job.title, run.get("argv"))
        if title != job.title:
            update["title"] = title
    if len(shown) < len(run):
        update["run"] = shown
    return job.replace(**update) if update else job


def _without_acts(job: Job, *, details: bool) -> dict[str, Any]:
    """Return the change that leaves out the request ids, and without details who asked."""
    update: dict[str, Any] = {}
    if ACTS in job.extra:
        update["extra"] = {key: value for key, value in job.extra.items() if key != ACTS}
    if not details and job.history and any(entry.extra for entry in job.history):
        update["history"] = tuple(
            entry._replace(extra={k: v for k, v in entry.extra.items() if k not in _ASKER} or None)
            if entry.extra
            else entry
            for entry in job.history
        )
    return update


def _without_reason(said: Any) -> Any:
    """Return what is shown of these without details: that, when, and in which attempt."""
    if isinstance(said, dict):
        shown: dict[str, Any]
        shown = {key: at for key, at in said.items() if key == "at" and isinstance(at, str)}
        if type(attempt := said.get("attempt")) is int:
            shown["attempt"] = attempt
        return shown
    return said if isinstance(said, bool) else None


def _title_without_details(title: str | None, argv: object) -> str | None:
    """Return the title, or the program's name if the title is made from the command line."""
    if title is None or not _is_argv(argv):
        return title
    import shlex

    made = _is_made_from(title, shlex.join(argv))
    return (argv[0].rpartition("/")[2] or None) if made else title


def _is_made_from(title: str, line: str) -> bool:
    """Whether the title is this command line, perhaps cut, perhaps with masked secrets."""
    is_cut = title.endswith(_CUT)
    if MASK not in title:
        return title == line or (is_cut and line.startswith(title.removesuffix(_CUT)))
    # A masked word may be quoted where the word itself is not.
    first, *others = _unquoted(title.removesuffix(_CUT)).split(MASK)
    line = _unquoted(line)
    if not line.startswith(first):
        return False
    at = len(first)
    for part in others:
        at = line.find(part, at)
        if at < 0:
            return False
        at += len(part)
    return is_cut or not others[-1] or line.endswith(others[-1])


def _unquoted(text: str) -> str:
    return text.replace("'", "").replace('"', "")


def _is_argv(value: object) -> TypeGuard[Sequence[str]]:
    return (
        isinstance(value, (list, tuple))
        and len(value) > 0
        and all(isinstance(word, str) for word in value)
    )
