"""Gives records to files that are not what the change log says, as far as we may write.

The rule itself is `Index.reconcile`. Here is when it runs, and under which lock.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Callable, Mapping

from jobctl.errors import StoreError
from jobctl.stores.directory.changelog import DEL, Damaged
from jobctl.stores.directory.files import is_id, signature_of, translated
from jobctl.stores.directory.index import Index, Look, packed
from jobctl.stores.directory.lock import ExclusiveAccess
from jobctl.stores.directory.place import Place
from jobctl.stores.directory.read import Settled

__all__ = ["Reconciler"]

_HOLD_S = 0.02  # a reader lets writers have their turn this often


class Reconciler:
    """What one store knows of files without a right record: ``unsettled`` are their ids.

    ``on_gone`` is called with the id of each job that another program has removed.
    """

    def __init__(
        self,
        place: Place,
        access: ExclusiveAccess,
        index: Index,
        where: str,
        on_gone: Callable[[str], object] = lambda id: None,
    ) -> None:
        self._on_gone = on_gone
        self._place = place
        self._access = access
        self._index = index
        self._where = where
        self.unsettled: set[str] = set()
        self.may_write = True

    def settle(
        self, looks: Mapping[str, Look | None], *, once: bool = False, compact: bool = False
    ) -> Settled:
        """Reconcile these ids if we may write and nobody else does (see `Index.reconcile`).

        The lock is tried, never waited for. It is released every 20 ms, and with ``once`` that is
        the end: the rest stays unsettled. With ``compact`` the log is compacted where that is due.
        """
        if self._place.current().meta is None or not self.may_write:
            return Settled({}, refused=True)
        ids = deque(sorted(looks))
        settled: dict[str, Look] = {}
        refused = rings = False
        try:
            while ids:
                with self._access.tried(compact=compact) as state:
                    if state is None or state.log is None:
                        break
                    before = state.log.repair()
                    with self._index.guard:
                        settled |= self._index.reconcile(
                            ids, looks, state.log, state.dir_fd, state.meta_fd, hold_s=_HOLD_S
                        )
                        self.unsettled -= settled.keys()
                    rings = rings or state.log.head() > before
                if once:
                    break
        except (OSError, StoreError, Damaged) as error:
            refused = True  # this may pass (no descriptors, a mode, a full disk): ask again
            if isinstance(error, OSError) and error.errno in (
                errno.EACCES,
                errno.EROFS,
                errno.EPERM,
            ):
                self.may_write = False  # a reader that may not write goes on with what it has
        for id, look in settled.items():
            if look.found is None:
                self._on_gone(id)
        if rings:
            self._access.bell.ring()
        return Settled(settled, refused=refused)

    def settle_earlier(self) -> Mapping[str, Look]:
        """Reconcile what earlier reads could not, for 20 ms at the most; return current looks."""
        left = dict.fromkeys(self.unsettled)
        return self.settle(left, once=True).looks if left else {}

    def refresh(self, ids: set[str] | None) -> tuple[bool, dict[str, str] | None]:
        """Check these ids, or all, for changes by other programs.

        Returns whether some are not settled yet; and after a check of all, the names that cannot be
        a job's, with the reason.
        """
        odd: dict[str, str] | None = None
        with translated("reading", self._where):
            with self._index.guard:
                state = self._place.current()
                if state.log is None:
                    return False, None  # every scan looks at everything
                try:
                    self._index.follow(state.log)
                except Damaged:
                    return False, None  # the next read sees to it
                newest = dict(self._index.newest) if ids is None else {}
            # Not under the guard: to look at all files takes a while, and readers must not wait.
            if ids is None:
                suspects, odd = self._index.suspects(state.dir_fd, newest)
            else:
                suspects = {id for id in ids if self._is_suspect(id, state.dir_fd)}
            with self._index.guard:
                self.unsettled |= suspects
            while True:  # readers have their turn in between
                with self._index.guard:
                    left = dict.fromkeys(self.unsettled)
                    if not left:
                        return False, odd
                    if not self.settle(left, once=True, compact=True).looks:
                        return True, odd

    def _is_suspect(self, id: str, dir_fd: int) -> bool:
        """Whether the file differs from the last one that we saw and that the log describes."""
        if not is_id(id):
            return False
        try:
            stat = os.stat(id + ".json", dir_fd=dir_fd, follow_symlinks=False)
        except OSError:
            record = self._index.newest.get(id)
            return record is not None and record.verb != DEL
        return self._index.signatures.get(id) != packed(*signature_of(stat))
