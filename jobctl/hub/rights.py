"""What a client of the hub may see and do: rights, the filter that limits them, and its name."""

from __future__ import annotations

from enum import Enum, Flag, auto
from typing import NamedTuple

from jobctl.core.filters import EVERYTHING, NOTHING, Filter

__all__ = ["ACTS", "SIGHT", "Grant", "Rights", "Way", "parse_rights", "right_names"]


class Rights(Flag):
    """What a client may do: a set of independent rights."""

    VIEW = auto()
    """See the jobs."""
    DETAILS = auto()
    """See command lines, directories and output: for the hub's own user, root, and a token."""
    REPORT = auto()
    """Create jobs, and move those that the same name created."""
    OPERATE = auto()
    """Cancel, retry and acknowledge jobs."""
    ADMIN = auto()
    """Remove jobs, and move those that others created."""


SIGHT = Rights.VIEW | Rights.DETAILS
ACTS = Rights.REPORT | Rights.OPERATE | Rights.ADMIN


class Way(Enum):
    """How a client was authenticated."""

    OPEN = "open"
    """Not at all: everybody may view."""
    PEER = "peer"
    """By the user id of its process."""
    TOKEN = "token"  # noqa: S105
    """By a token in a header or in the first message."""
    COOKIE = "cookie"
    """By the cookie of the login page, which a browser also sends for other pages' requests."""


class Grant(NamedTuple):
    """The rights of one client, and how it got them.

    ``name`` is that of the token or the user, and is empty for a client that is not known.
    ``scope`` limits what it sees and changes. ``token`` identifies the line of the token file that
    gave the rights, if there is one.
    """

    rights: Rights
    name: str = ""
    way: Way = Way.OPEN
    scope: Filter = EVERYTHING
    token: str = ""

    @property
    def details(self) -> bool:
        """Whether the client may see command lines."""
        return Rights.DETAILS in self.rights

    @property
    def sight(self) -> Filter:
        """The filter of what the client may see."""
        return self.scope if Rights.VIEW in self.rights else NOTHING

    @property
    def sees_everything(self) -> bool:
        """Whether the client may see all jobs, and so also what is about all of them."""
        return self.sight == EVERYTHING


def right_names(rights: Rights) -> list[str]:
    """Return the names of the rights, in their fixed order."""
    return [right.name.lower() for right in Rights if right in rights and right.name]


def parse_rights(text: str) -> Rights | None:
    """Return the rights in a text such as ``view,operate``; ``None`` if it is something else."""
    rights = Rights(0)
    for name in text.split(","):
        if name.upper() not in Rights.__members__ or name != name.lower():
            return None
        rights |= Rights[name.upper()]
    return rights
