"""FAULTS row 65: whose settings files and job directories are obeyed, by the rule alone."""

from __future__ import annotations

import grp
import os
import pwd
import stat
import struct
import tomllib
from collections.abc import Collection
from pathlib import Path
from types import SimpleNamespace

import pytest

from jobctl._trust import Accounts, check_trust, is_safe, my_uids, safe_line, why_not_obeyed

ME, ADA = 1000, 1001
MINE = frozenset({0, ME})
STAFF = 50


class Fixed(Accounts):
    """A user database in which group 1000 is a user's own, and staff has other members."""

    def user(self, uid: int) -> str:
        return f"uid {uid}"

    def group(self, gid: int) -> str:
        return f"gid {gid}"

    def is_private(self, gid: int, uids: Collection[int]) -> bool:
        return gid == ME


def status(mode: int, uid: int = ME, gid: int = ME) -> os.stat_result:
    """The status of a file."""
    return os.stat_result((mode, 1, 1, 1, uid, gid, 0, 0, 0, 0))


@pytest.mark.parametrize(
    ("about", "why"),
    [
        (status(0o600), None),
        (status(0o644), None),
        (status(0o664), None),  # umask 002, with a group of my own
        (status(0o644, uid=0, gid=0), None),
        (status(0o600, uid=ADA), "belongs to uid 1001"),
        (status(0o666, uid=ADA), "belongs to uid 1001"),
        (status(0o646), "belongs to uid 1000, and everybody can write to it"),
        (status(0o646, uid=0), "belongs to uid 0, and everybody can write to it"),
        (status(stat.S_ISVTX | 0o777), "belongs to uid 1000, and everybody can write to it"),
        (
            status(0o664, gid=STAFF),
            "belongs to uid 1000, and the group gid 50 can write to it",
        ),
        (status(0o644, gid=STAFF), None),
    ],
)
def test_owner_and_mode_decide(about: os.stat_result, why: str | None) -> None:
    """Row 65: mine or root's, and nobody else can write to it."""
    assert why_not_obeyed(about, MINE, Fixed()) == why


def test_access_control_list_counts_as_others() -> None:
    """Row 65: behind it, the group's permissions are those of anybody."""
    why = why_not_obeyed(status(0o664), MINE, Fixed(), acl=True)
    assert why == "belongs to uid 1000, and others can write to it by an access control list"
    assert why_not_obeyed(status(0o644), MINE, Fixed(), acl=True) is None


@pytest.mark.parametrize(
    ("about", "obeyed"),
    [
        (status(stat.S_ISVTX | 0o777, uid=0, gid=0), True),  # /tmp
        (status(stat.S_ISVTX | 0o777, uid=ADA), False),
        (status(0o777, uid=0, gid=0), False),
    ],
)
def test_sticky_directory_may_hold_a_settings_file(about: os.stat_result, obeyed: bool) -> None:
    """Row 65: nobody can replace a file of mine there, but for the directory's owner."""
    assert (why_not_obeyed(about, MINE, Fixed(), sticky=True) is None) is obeyed


@pytest.mark.parametrize(
    ("euid", "sudo", "uids"),
    [
        (1000, None, {0, 1000}),
        (1000, "1001", {0, 1000}),  # a variable gives no rights to who is not root
        (0, "1001", {0, 1001}),
        (0, "", {0}),
        (0, "-1", {0}),
        (0, "ada", {0}),
        (0, "١", {0}),
        (0, "9" * 5000, {0}),
    ],
)
def test_i_am_my_user_or_the_one_who_called_sudo(
    monkeypatch: pytest.MonkeyPatch, euid: int, sudo: str | None, uids: set[int]
) -> None:
    """Row 65: ``sudo jobctl`` obeys what the user's own jobctl does."""
    monkeypatch.setattr(os, "geteuid", lambda: euid)
    assert my_uids({} if sudo is None else {"SUDO_UID": sudo}) == uids


def database(
    monkeypatch: pytest.MonkeyPatch, users: dict[str, tuple[int, int]], groups: dict[int, list[str]]
) -> None:
    """A machine with these users (uid, primary gid) and groups (members)."""
    listed = [
        SimpleNamespace(pw_name=name, pw_uid=uid, pw_gid=gid) for name, (uid, gid) in users.items()
    ]
    by_name = {user.pw_name: user for user in listed}
    by_uid = {user.pw_uid: user for user in listed}
    monkeypatch.setattr(pwd, "getpwall", lambda: listed)
    monkeypatch.setattr(pwd, "getpwnam", by_name.__getitem__)
    monkeypatch.setattr(pwd, "getpwuid", by_uid.__getitem__)
    known = {gid: SimpleNamespace(gr_name=f"g{gid}", gr_mem=names) for gid, names in groups.items()}
    monkeypatch.setattr(grp, "getgrgid", known.__getitem__)


USERS = {"root": (0, 0), "me": (ME, ME), "ada": (ADA, ADA)}


@pytest.mark.parametrize(
    ("users", "groups", "private"),
    [
        (USERS, {ME: []}, True),
        (USERS, {ME: ["me", "root"]}, True),
        (USERS, {ME: ["ada"]}, False),
        (USERS, {ME: ["gone"]}, False),  # a member that nobody knows
        (USERS, {}, False),  # a group that nobody knows
        ({**USERS, "bob": (1002, ME)}, {ME: []}, False),  # by the primary group alone
        ({"root": (0, 0)}, {ME: []}, False),  # a directory service that does not list its users
        ({**USERS, "me": (ME, 100)}, {ME: []}, False),  # empty: whose is it?
    ],
)
def test_group_is_private_if_the_database_says_so(
    monkeypatch: pytest.MonkeyPatch,
    users: dict[str, tuple[int, int]],
    groups: dict[int, list[str]],
    private: bool,
) -> None:
    """Row 65: in doubt a group counts as others."""
    database(monkeypatch, users, groups)
    assert Accounts().is_private(ME, MINE) is private


def test_users_and_groups_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 65: whose it is, by name where there is one."""
    database(monkeypatch, USERS, {STAFF: []})
    assert (Accounts().user(ADA), Accounts().user(7)) == ("ada (uid 1001)", "uid 7")
    assert (Accounts().group(STAFF), Accounts().group(7)) == ("g50 (gid 50)", "gid 7")


def test_what_is_open_is_judged(tmp_path: Path) -> None:
    """Row 65: a file of ours, by this machine's database and its access control list."""
    path = tmp_path / "file"
    path.touch(0o600)
    mine = my_uids({})
    fd = os.open(path, os.O_RDONLY)
    try:
        assert check_trust(os.fstat(fd), fd, mine) is None
        path.chmod(0o666)
        assert "everybody" in str(check_trust(os.fstat(fd), fd, mine))
        if not hasattr(os, "setxattr"):
            return
        path.chmod(0o600)
        entries = [(1, 6, -1), (2, 6, 1234), (4, 0, -1), (16, 6, -1), (32, 0, -1)]
        value = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *each) for each in entries)
        try:
            os.setxattr(path, "system.posix_acl_access", value)
        except OSError:
            pytest.skip("a file system without access control lists")
        assert "access control list" in str(check_trust(os.fstat(fd), fd, mine))
    finally:
        os.close(fd)


def test_safe_are_a_directory_and_all_below(tmp_path: Path) -> None:
    """Row 65: by whole components of resolved paths, whatever the links on the way."""
    real = tmp_path.resolve()
    inside = real / "srv" / "jobs" / "deep"
    inside.mkdir(parents=True)
    (real / "srv" / "jobs2").mkdir()
    (real / "link").symlink_to(real / "srv" / "jobs")
    (real / "srv" / "jobs" / "out").symlink_to(real / "srv" / "jobs2")
    safe = [str(real / "srv" / "jobs")]

    def is_safe_path(path: Path) -> bool:
        return is_safe(path, path.stat(), safe)

    assert is_safe_path(real / "srv" / "jobs")
    assert is_safe_path(inside)
    assert is_safe_path(real / "link" / "deep")
    assert is_safe_path(inside / ".." / "deep")
    assert not is_safe_path(real / "srv")
    assert not is_safe_path(real / "srv" / "jobs2")
    assert not is_safe_path(real / "srv" / "jobs" / "out")
    assert not is_safe_path(inside / ".." / ".." / "jobs2")
    assert not is_safe(inside, (real / "srv" / "jobs2").stat(), safe)  # another was opened
    assert not is_safe(real / "gone", real.stat(), safe)
    assert is_safe(inside, inside.stat(), ["/"])
    assert not is_safe(inside, inside.stat(), [])


@pytest.mark.parametrize("name", ["a", 'quo"te', "back\\slash", "é😀", "tab\there\x7f"])
def test_line_for_the_settings_is_toml(tmp_path: Path, name: str) -> None:
    """Row 65: the line that a refusal prints does what it says."""
    path = tmp_path.resolve() / name
    assert tomllib.loads(safe_line(path)) == {"safe-directories": [str(path)]}
    tomllib.loads(safe_line(path / "\udcff"))
