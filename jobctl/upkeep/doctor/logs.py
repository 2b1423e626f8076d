"""The check of the logs: how much they take, and those whose jobs are gone."""

from __future__ import annotations

import os
import stat as stats
import time
from collections.abc import Iterator

from jobctl.core.log_text import size_text
from jobctl.stores.directory.files import exists
from jobctl.stores.directory.log_space import ORPHAN_S
from jobctl.stores.directory.logs import DirectoryLogs
from jobctl.stores.directory.place import Place
from jobctl.upkeep.doctor.finding import CheckContext, Finding, names, opened, plural

__all__ = ["logs"]


def logs(context: CheckContext) -> Iterator[Finding]:
    """Check the logs that `run` keeps."""
    here = str(context.path / ".jobctl" / "logs")
    with opened(context.path) as dir_fd, opened(".jobctl", dir_fd) as meta_fd:
        try:
            stat = os.stat("logs", dir_fd=meta_fd, follow_symlinks=False)
        except FileNotFoundError:
            return
        if not stats.S_ISDIR(stat.st_mode):
            what = "the output of commands cannot be kept: there is no directory"
            yield Finding("warning", what, here, "remove it")
            return
        found = DirectoryLogs(Place(context.path)).all()
        old_ms = (time.time() - ORPHAN_S) * 1000
        orphans = [
            info.id
            for info in found
            if info.changed_ms < old_ms and not exists(f"{info.id}.json", dir_fd)
        ]
    if found:
        size = size_text(sum(info.size for info in found))
        yield Finding("ok", f"{plural(len(found), 'log')} of {size}", here)
    if orphans:
        what = f"{plural(len(orphans), 'log')} of jobs that are gone: {names(orphans)}"
        yield Finding("info", what, here, "'jobctl prune' removes them")
