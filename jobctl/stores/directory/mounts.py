"""The type of the file system of a path, if the system tells."""

from __future__ import annotations

import os
import re

__all__ = ["is_remote", "kind_of"]

TABLE = "/proc/self/mountinfo"

_REMOTE = re.compile(
    r"(nfs4?|cifs|smb3?|smbfs|9p|afs|ceph|coda|ncpfs|lustre|gpfs|beegfs|glusterfs|orangefs"
    r"|gfs2|ocfs2|virtiofs|vboxsf|prl_fs|drvfs|fuse(\..*)?)\Z"
)


def is_remote(kind: str) -> bool:
    """Whether other machines may write to a file system of this type."""
    return _REMOTE.match(kind) is not None


def kind_of(device: int, path: str) -> str | None:
    """Return the file system's type from the mount table; ``None`` if there is no table.

    Fields: proc(5), ``/proc/pid/mountinfo``. Files of a btrfs subvolume have another device number
    than the mount. Then the deepest mount point above the path counts.
    """
    try:
        with open(TABLE, encoding="utf-8", errors="surrogateescape") as file:
            table = file.read()
    except OSError:
        return None
    number = f"{os.major(device)}:{os.minor(device)}"
    best_at, best_kind = "", None
    for line in table.splitlines():
        left, _, right = line.partition(" - ")
        words, kind = left.split(), right.split()[:1]
        if len(words) < 5 or not kind:
            continue
        if words[2] == number:
            return kind[0]
        at = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), words[4])
        inside = path == at or path.startswith(at.rstrip("/") + "/")
        if inside and len(at) >= len(best_at):
            best_at, best_kind = at, kind[0]
    return best_kind
