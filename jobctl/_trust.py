"""Whose settings files and job directories are obeyed: the one rule.

A settings file says where jobs are, and a job's file holds a command line. Either makes jobctl act,
so it is *obeyed* only if nobody but ourselves and root can have written it. Everything else is read
at the most. A file or directory is obeyed if both are true:

- It belongs to the effective user, to root, or, for root under sudo, to the user ``$SUDO_UID``.
- No other user can write to it. Permission for everybody never passes. Permission for the group
  passes if the user database lists at least one member of the group and every member is one of the
  users above: with umask 002 and user-private groups that is the usual case. If the database cannot
  tell (an unknown group, an empty one, users that are not listed), or if there is an access control
  list, the group counts as others.

The rule judges the status of what was opened (fstat(2)), not a name, so a symbolic link is as good
as what it leads to.

Parent directories: whoever can write to a directory can replace what is in it, but only by
something that they own, which is then refused for its owner, or by moving or linking something that
we own. For a settings file the second matters, because its relative paths start at the directory
that holds it. So that directory has to pass the rule as well. If its sticky bit is set, it passes
whoever can write to it, as long as the name in it (the link, if it is one) belongs to one of the
users above: nobody else can replace that. Directories further up are not judged: whoever can write
there can only exchange directories for others, which have to pass the rule themselves. The
directory above a job directory is not judged for the same reason.

Precedents: git's ``safe.directory`` (CVE-2022-24765), ``StrictModes`` of sshd.

Limit: on macOS access control lists are not part of the mode, and are not looked at.
"""

from __future__ import annotations

import errno
import json
import os
import stat as stats
from collections.abc import Collection, Mapping

__all__ = ["ROOT", "Accounts", "check_trust", "is_safe", "my_uids", "safe_line", "why_not_obeyed"]

ROOT = frozenset({0})


class Accounts:
    """The user database, as far as the rule needs it."""

    def user(self, uid: int) -> str:
        """``ada (uid 1000)``, or ``uid 1000`` for a user without a name."""
        import pwd

        try:
            return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
        except (KeyError, OverflowError):
            return f"uid {uid}"

    def group(self, gid: int) -> str:
        """``staff (gid 50)``, or ``gid 50`` for a group without a name."""
        import grp

        try:
            return f"{grp.getgrgid(gid).gr_name} (gid {gid})"
        except (KeyError, OverflowError):
            return f"gid {gid}"

    def is_private(self, gid: int, uids: Collection[int]) -> bool:
        """Whether the members of the group are known, and are all among these users."""
        import grp
        import pwd

        try:
            members = {pwd.getpwnam(name).pw_uid for name in grp.getgrgid(gid).gr_mem}
            listed = pwd.getpwall()
        except (KeyError, OverflowError, OSError):
            return False
        members |= {user.pw_uid for user in listed if user.pw_gid == gid}
        # A directory service need not list its users; then we are probably not listed either.
        complete = {user.pw_uid for user in listed}.issuperset(uids)
        return complete and bool(members) and members.issubset(uids)


def my_uids(environ: Mapping[str, str]) -> frozenset[int]:
    """The users whose files are obeyed: the effective one, root, and ``$SUDO_UID`` for root."""
    uids = {os.geteuid(), *ROOT}
    by_sudo = environ.get("SUDO_UID", "")
    if os.geteuid() == 0 and by_sudo.isascii() and by_sudo.isdecimal() and len(by_sudo) <= 10:
        uids.add(int(by_sudo))
    return frozenset(uids)


def why_not_obeyed(
    about: os.stat_result,
    uids: Collection[int],
    accounts: Accounts,
    *,
    sticky: bool = False,
    acl: bool = False,
) -> str | None:
    """Return why what has this status is not obeyed (``belongs to …``), or ``None`` if it is.

    ``uids`` are the users of `my_uids`. With ``sticky``, a directory whose sticky bit is set passes
    whoever can write to it. ``acl`` says that an access control list stands behind the group's
    permissions.
    """
    owner = f"belongs to {accounts.user(about.st_uid)}"
    if about.st_uid not in uids:
        return owner
    if sticky and about.st_mode & stats.S_ISVTX:
        return None
    if about.st_mode & stats.S_IWOTH:
        return f"{owner}, and everybody can write to it"
    if about.st_mode & stats.S_IWGRP:
        if acl:
            return f"{owner}, and others can write to it by an access control list"
        if not accounts.is_private(about.st_gid, uids):
            return f"{owner}, and the group {accounts.group(about.st_gid)} can write to it"
    return None


_accounts = Accounts()


def check_trust(
    about: os.stat_result, opened: int | str, uids: Collection[int], *, sticky: bool = False
) -> str | None:
    """Apply `why_not_obeyed` to a file that is open, with this machine's user database.

    ``about`` is its status; ``opened`` its descriptor, or its path if the descriptor is good for
    nothing but to look names up (``O_PATH``).
    """
    acl = bool(about.st_mode & stats.S_IWGRP) and _has_acl(opened)
    return why_not_obeyed(about, uids, _accounts, sticky=sticky, acl=acl)


def _has_acl(opened: int | str) -> bool:
    """Whether there is a POSIX access control list; in doubt there is one. See acl(5)."""
    if not hasattr(os, "getxattr"):
        return False
    try:
        os.getxattr(opened, "system.posix_acl_access")
    except OSError as error:
        return error.errno not in (errno.ENODATA, errno.ENOTSUP, errno.EOPNOTSUPP)
    return True


def is_safe(path: str | os.PathLike[str], about: os.stat_result, safe: Collection[str]) -> bool:
    """Whether one of the ``safe`` paths is the directory ``path``, or a directory above it.

    ``safe`` are resolved paths, and ``path`` is resolved here, so that no link leads elsewhere.
    Paths are compared by whole components: ``/srv/jobs`` is not above ``/srv/jobs2``. ``about`` is
    the status of the directory that was opened, which the resolved path must name.
    """
    if not safe:
        return False
    try:
        real = os.path.realpath(path)
        now = os.stat(real)
    except (OSError, ValueError):
        return False
    if (now.st_dev, now.st_ino) != (about.st_dev, about.st_ino):
        return False
    return any(real == each or real.startswith(each.rstrip("/") + "/") for each in safe)


def safe_line(directory: str | os.PathLike[str]) -> str:
    """The line of a settings file that makes the directory a safe one.

    A path that is no text cannot stand in a TOML file; then the line names no path.
    """
    real = os.path.realpath(directory)
    try:
        real.encode()
    except UnicodeEncodeError:
        real = "…"
    quoted = json.dumps(real, ensure_ascii=False).replace("\x7f", "\\u007f")
    return f"safe-directories = [{quoted}]"
