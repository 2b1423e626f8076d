"""The contract of owners, the processes that work on jobs; and the owners of a memory store."""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Iterable, Mapping

from jobctl._clock import now

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple, Protocol
else:
    from jobctl._stdlib import NamedTuple, Protocol

__all__ = ["CancelRequest", "MemoryOwners", "OwnerInfo", "Owners"]


class CancelRequest(NamedTuple):
    """A request to cancel a job: who made it, and why, if they said so."""

    by: str | None = None
    reason: str | None = None


class Owners(Protocol):
    """The owners of a store's jobs. Safe for threads.

    Implementers guarantee: an owner that is alive is never in `dead`, and an owner in `dead` never
    works on a job again.
    """

    def hold(self) -> str | None:
        """Register one job of ours until `drop`; return our owner name, to be written into the job.

        Returns ``None`` if others could not detect our death.
        """

    def drop(self, *, orphaned: bool = False) -> None:
        """Release one `hold`: its job has ended, or is ``orphaned``: it stays active.

        Call it only if `hold` returned a name. When all are dropped and one was orphaned, we count
        as dead.
        """

    def take_cancel_requests(self, ids: Collection[str]) -> Mapping[str, CancelRequest]:
        """Return the requests to cancel these jobs of ours by id; each one is returned once.

        Call this regularly: it also makes sure that others can find us.
        """

    def request_cancel(self, name: str, id: str, request: CancelRequest | None = None) -> bool:
        """Ask an owner to cancel its job; return ``False`` if it cannot be reached."""

    def dead(self) -> frozenset[str]:
        """Return the names of the owners that are known to be dead."""

    def info(self, name: str) -> OwnerInfo | None:
        """Return what is known of an owner, dead or alive, or ``None``."""

    def forget(self, names: Iterable[str]) -> None:
        """Remove the dead owners among these names. No active job may belong to them."""

    def close(self) -> None:
        """Release all jobs."""


class OwnerInfo(NamedTuple):
    """An owner as shown to people."""

    pid: int
    host: str
    since: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


class MemoryOwners:
    """The owners of a memory store. It ends with its process, so that is the only owner."""

    def __init__(self) -> None:
        self._cancel_requests: dict[str, CancelRequest] = {}
        self._guard = threading.Lock()
        self._name = f"{os.getpid()}-{os.urandom(6).hex()}"

    def hold(self) -> str | None:
        return self._name

    def drop(self, *, orphaned: bool = False) -> None: ...

    def take_cancel_requests(self, ids: Collection[str]) -> Mapping[str, CancelRequest]:
        with self._guard:
            wanted = self._cancel_requests.keys() & set(ids)
            return {id: self._cancel_requests.pop(id) for id in wanted}

    def request_cancel(self, name: str, id: str, request: CancelRequest | None = None) -> bool:
        if name != self._name:
            return False
        with self._guard:
            self._cancel_requests[id] = request or CancelRequest()
        return True

    def dead(self) -> frozenset[str]:
        return frozenset()

    def info(self, name: str) -> OwnerInfo | None:
        return OwnerInfo(os.getpid(), os.uname().nodename, now()) if name == self._name else None

    def forget(self, names: Iterable[str]) -> None: ...

    def close(self) -> None: ...
