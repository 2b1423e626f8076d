"""Checks of the directory itself: owner, permissions, file system, lock, and leftover files."""

from __future__ import annotations

import errno
import fcntl
import os
import stat as stats
import time
from collections.abc import Iterator
from shlex import quote

from jobctl._trust import check_trust, is_safe, my_uids
from jobctl.config import FILE_NAME, safe_directories, safe_hint
from jobctl.stores.directory.lock import holder_of
from jobctl.stores.directory.mounts import is_remote, kind_of
from jobctl.upkeep.doctor.finding import (
    CheckContext,
    Finding,
    Level,
    NothingToCheck,
    is_stopped,
    names,
    opened,
    plural,
)

__all__ = ["directory", "file_system", "leftovers", "lock", "meta"]

_MIB = 1024 * 1024
_FEW_INODES = 1000
_LOCK_S = 1.0
_STALE_S = 60.0
_OURS = {"mark", "changes", "bell", "hubs", "owners", "logs"}
_TEMPORARY = {"next", "mark.new", "changes.new"}


def directory(context: CheckContext) -> Iterator[Finding]:
    """Report which directory it is and why, and check that it exists, its owner and its mode."""
    path = context.path
    assert context.where is not None, "else there is no path"
    here = str(path)
    by = context.where.why
    try:
        stat = path.stat()
    except FileNotFoundError:
        hint = "the first 'jobctl run', 'create' or 'serve' makes it"
        level: Level = "error" if context.where.explicit else "info"
        yield Finding(level, f"there is no such directory yet (by {by})", here, hint)
        return
    except OSError as error:
        yield Finding("error", f"cannot look at it (by {by}): {error.strerror}", here)
        return
    if not stats.S_ISDIR(stat.st_mode):
        hint = "name the directory that holds the job files"
        yield Finding("error", f"this is not a directory (by {by})", here, hint)
        return
    mode = stats.S_IMODE(stat.st_mode)
    yield Finding("ok", f"the directory of the jobs (by {by}), mode {mode:04o}", here)
    if not os.access(path, os.R_OK | os.X_OK):
        yield Finding("error", "we may not look into it", here, "ask its owner")
    why = check_trust(stat, here, my_uids(context.env))
    if why is not None and is_safe(path, stat, safe_directories(context.env)):
        yield Finding("info", f"it {why}; safe-directories says that it is safe", here)
        return
    obeys = "" if why is None else "; it is not obeyed: no command line in it is run"
    if stat.st_uid != os.geteuid():
        what = f"it belongs to another user (uid {stat.st_uid}): it can be read, not written{obeys}"
        hint = "use one of your own, or run as its owner"
        yield Finding("warning", what, here, f"{hint}; {safe_hint(here)}" if why else hint)
    if mode & stats.S_IWOTH:
        what = f"everybody can write in it: so jobctl reads it, and does not write{obeys}"
        yield Finding("error", what, here, f"'chmod o-w {quote(here)}'")
    elif mode & stats.S_IWGRP:
        what = f"its group can write in it, and replace any job{obeys}"
        yield Finding("warning", what, here, f"'chmod g-w {quote(here)}'")
    if mode & (stats.S_IROTH | stats.S_IXOTH):
        what = "others can look into it"
        yield Finding("warning", what, here, f"'chmod o-rwx {quote(here)}' if that is not meant")


def meta(context: CheckContext) -> Iterator[Finding]:
    """Check that ``.jobctl`` is a directory with access for its owner only."""
    here = str(context.path / ".jobctl")
    with opened(context.path) as dir_fd:
        owner = os.fstat(dir_fd).st_uid
        try:
            stat = os.stat(".jobctl", dir_fd=dir_fd, follow_symlinks=False)
        except FileNotFoundError:
            yield Finding("ok", "nothing was ever written here through jobctl", str(context.path))
            return
    if not stats.S_ISDIR(stat.st_mode):
        yield Finding(
            "error", "this is not a directory", here, "remove it: the next write makes it"
        )
        return
    if stat.st_uid != owner:
        what = f"it belongs to uid {stat.st_uid}, and the directory to uid {owner}"
        yield Finding(
            "error", what, here, f"'chown -R {owner} {quote(here)}', as its owner or root"
        )
    mode = stats.S_IMODE(stat.st_mode)
    if mode & (stats.S_IWGRP | stats.S_IWOTH):
        what = (
            f"others can write in it (mode {mode:04o}), and change the order of all that happened"
        )
        yield Finding("error", what, here, f"'chmod 700 {quote(here)}'")
    elif mode & 0o077:
        what = f"others can look into it (mode {mode:04o}), and hold up its writers by its lock"
        yield Finding("warning", what, here, f"'chmod 700 {quote(here)}'")


def file_system(context: CheckContext) -> Iterator[Finding]:
    """Check for a file system that is read-only, full, out of inodes, or remote."""
    here = str(context.path)
    with opened(context.path) as dir_fd:
        room = os.fstatvfs(dir_fd)
        kind = kind_of(os.fstat(dir_fd).st_dev, os.path.realpath(context.path))
    if room.f_flag & os.ST_RDONLY:
        yield Finding("error", "the file system is mounted read-only", here)
    free, total = room.f_bavail * room.f_frsize, room.f_blocks * room.f_frsize
    if total and free < _MIB // 16:
        yield Finding("error", "the disk is full", here, "make room: 'jobctl prune' removes jobs")
    elif total and free < min(64 * _MIB, total // 20):
        what = f"only {free / _MIB:.1f} MiB are free"
        yield Finding("warning", what, here, "make room: 'jobctl prune' removes old jobs")
    if room.f_files and not room.f_favail:
        yield Finding("error", "no inodes are left", here, "'jobctl prune' removes old jobs")
    elif room.f_files and room.f_favail < min(_FEW_INODES, room.f_files // 20):
        what = f"only {room.f_favail} inodes are left, and each job takes one"
        yield Finding("warning", what, here, "'jobctl prune' removes old jobs")
    if kind is not None and is_remote(kind):
        what = f"this is a file system of type {kind}: locks and bells may not work across machines"
        yield Finding(
            "warning", what, here, "keep the jobs on a local disk, and let a hub show them"
        )
    elif kind is not None:
        yield Finding("ok", f"a local file system ({kind}), {free / _MIB:,.0f} MiB free", here)


def lock(context: CheckContext) -> Iterator[Finding]:
    """Check that locks work, and that no process holds the writers' lock for long."""
    with opened(context.path) as dir_fd:
        here = str(context.path / ".jobctl")
        try:
            with opened(".jobctl", dir_fd) as fd:
                yield _locked(fd, here)
        except NothingToCheck:  # create nothing: try the lock on the directory itself
            yield _locked(dir_fd, str(context.path))


def _locked(fd: int, here: str) -> Finding:
    key = (os.fstat(fd).st_dev, os.fstat(fd).st_ino)
    end_s = time.monotonic() + _LOCK_S
    holders: set[int | None] = set()
    while True:
        try:
            # Shared, so that two doctors do not mistake each other for a writer.
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES, errno.EINTR):
                what = f"locks do not work here: {os.strerror(error.errno or 0)}"
                return Finding("error", what, here, "keep the jobs on a local disk")
        else:
            fcntl.flock(fd, fcntl.LOCK_UN)
            return Finding("ok", "locks work, and the writers' lock is free", here)
        holders.add(holder_of(key))
        if time.monotonic() > end_s:
            break
        time.sleep(0.005)
    holders.discard(None)
    if len(holders) > 1:
        return Finding("ok", "locks work, and several writers are busy", here)
    pid = holders.pop() if holders else None
    who = f"process {pid}" if pid else "a process"
    if pid and is_stopped(pid):
        what = f"{who} is stopped and holds the writers' lock: nobody can write"
        return Finding("error", what, here, f"'kill -CONT {pid}' wakes it")
    what = f"{who} has held the writers' lock for over {_LOCK_S:g} s: nobody else can write"
    return Finding("error", what, here, f"see what it does: 'ps -fp {pid}'" if pid else "")


def leftovers(context: CheckContext) -> Iterator[Finding]:
    """Report files that crashed writers and other programs left behind."""
    with opened(context.path) as dir_fd:
        strange = {
            name
            for name in os.listdir(dir_fd)
            if name not in (".jobctl", FILE_NAME) and (name[0] == "." or name[-5:] != ".json")
        }
        strange = {name for name in strange if _is_old(name, dir_fd)}
        if strange:
            what = f"{plural(len(strange), 'file')} of somebody else's among the jobs"
            yield Finding("info", f"{what}: {names(strange)}", str(context.path))
        with opened(".jobctl", dir_fd) as meta_fd:
            inside = set(os.listdir(meta_fd))
            left = {name for name in inside & _TEMPORARY if _is_old(name, meta_fd)}
            unknown = {name for name in inside - _TEMPORARY - _OURS if _is_old(name, meta_fd)}
    here = str(context.path / ".jobctl")
    if left:
        what = f"a writer died at work and left {names(left)}"
        yield Finding("info", what, here, "the next write of its kind uses it up")
    if unknown:
        yield Finding("info", f"nobody knows what {names(unknown)} is for", here)


def _is_old(name: str, dir_fd: int) -> bool:
    """Whether the file is old enough to be no write in flight."""
    try:
        stat = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    except OSError:
        return False
    return time.time() - stat.st_mtime > _STALE_S
