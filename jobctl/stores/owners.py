"""The contract for owners, the processes that work on jobs, and the owners in memory."""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Iterable

from jobctl._clock import now

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple, Protocol
else:
    from jobctl._stdlib import NamedTuple, Protocol

__all__ = ["MemoryOwners", "OwnerInfo", "Owners"]


class Owners(Protocol):
    """The owners of a store's jobs. Safe for threads.

    Implementers guarantee: nobody who lives is ever in `dead`, and who is in it will never work
    on a job again.
    """

    def hold(self) -> str | None:
        """Own jobs until `drop`, once for each call; the name to write into them.

        ``None`` where nobody could find out that we died.
        """

    def drop(self, *, orphaned: bool = False) -> None:
        """The jobs of one `hold` have ended; or are ``orphaned``: left as they are, for ever.

        Call it for a `hold` that gave a name. When all are dropped, and one was orphaned, we are
        among the dead.
        """

    def take_cancel_requests(self, ids: Collection[str]) -> frozenset[str]:
        """Which of these jobs of ours somebody wants cancelled, once each.

        To be called now and then: it also sees to it that we can be found.
        """

    def request_cancel(self, name: str, id: str) -> bool:
        """Ask the owner to cancel its job; ``False`` when it cannot be reached."""

    def dead(self) -> frozenset[str]:
        """The names of those that are known to have died."""

    def info(self, name: str) -> OwnerInfo | None:
        """What is known of an owner, dead or alive; ``None`` for nothing."""

    def forget(self, names: Iterable[str]) -> None:
        """No active job belongs to these any more: drop the dead ones among them."""

    def close(self) -> None:
        """Own nothing any more."""


class OwnerInfo(NamedTuple):
    """An owner, for a person."""

    pid: int
    host: str
    since: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


class MemoryOwners:
    """The owners of a store in memory: they die with it, so there is only us."""

    def __init__(self) -> None:
        self._cancel_requests: set[str] = set()
        self._guard = threading.Lock()
        self._name = f"{os.getpid()}-{os.urandom(6).hex()}"

    def hold(self) -> str | None:
        return self._name

    def drop(self, *, orphaned: bool = False) -> None: ...

    def take_cancel_requests(self, ids: Collection[str]) -> frozenset[str]:
        with self._guard:
            found = self._cancel_requests.intersection(ids)
            self._cancel_requests -= found
        return frozenset(found)

    def request_cancel(self, name: str, id: str) -> bool:
        if name != self._name:
            return False
        with self._guard:
            self._cancel_requests.add(id)
        return True

    def dead(self) -> frozenset[str]:
        return frozenset()

    def info(self, name: str) -> OwnerInfo | None:
        return OwnerInfo(os.getpid(), os.uname().nodename, now()) if name == self._name else None

    def forget(self, names: Iterable[str]) -> None: ...

    def close(self) -> None: ...
