"""The next page of a session: computed once for all sessions of a kind, and kept for later ones.

The page of a ``jobctl.v1`` session is made here, that of a plain session in plain.py.
"""

from __future__ import annotations

from typing import NamedTuple

from jobctl.core.cursor import ZERO, Cursor, epoch_for
from jobctl.core.filters import Filter
from jobctl.core.jobset import JobSet
from jobctl.core.protocol import MAX_LIMIT, Dialect, delta_message, delta_overhead
from jobctl.hub.plain import PlainDialect
from jobctl.hub.session import Kind, Position

__all__ = ["Page", "Pages", "v1_page"]

_MAX_KEPT_SIZE = MAX_LIMIT  # bytes of the pages that are kept for sessions that come later
_MAX_KEPT_PAGES = 64  # of any size: with each page a client's filter is kept, and may be large


class Page(NamedTuple):
    """What a session gets, its position afterwards, and what the shell made of it."""

    messages: tuple[bytes, ...]
    position: Position
    made: dict[str, bytes]

    @property
    def size(self) -> int:
        """The bytes of the messages."""
        return sum(map(len, self.messages))


class Pages:
    """The pages of one replica, each of at most ``max_page`` bytes or of one job.

    A plain session's first message has at most ``max_init`` bytes. A session's own limit takes the
    place of both, and then a job that is larger is shortened. ``plain`` has to be told of plain
    sessions, and of each delta before it is applied.
    """

    def __init__(self, max_page: int, max_init: int) -> None:
        self._max_page = max_page
        self.plain = PlainDialect(max_page, max_init)
        self._kept: dict[Kind, Page] = {}
        self._kept_at = ZERO
        self._kept_size = 0

    def get(self, replica: JobSet, kind: Kind) -> Page:
        """Return the page for sessions of this kind, and keep it until the replica changes.

        So clients that connect one after the other share a page, and those that were stalled in the
        same page and recover one after the other.
        """
        if self._kept_at != replica.cursor:
            self._forget_pages()
            self._kept_at = replica.cursor
        page = self._kept.get(kind)
        if page is None:
            position, dialect, filter, digest, details, max_bytes, can = kind
            if dialect is Dialect.V1:
                messages, position = v1_page(
                    replica,
                    position,
                    filter,
                    max_bytes or self._max_page,
                    digest=digest,
                    details=details,
                    shorten=max_bytes is not None,
                    can=can,
                )
            else:
                messages, position = self.plain.page(
                    replica, position, filter, details=details, max_bytes=max_bytes
                )
            page = Page(messages, position, {})
            if messages:
                self._keep(kind, page)
        return page

    def forget(self, revision: int) -> None:
        """Forget everything that was derived from the replica: another one is used now.

        ``revision`` is that of the other one.
        """
        self._forget_pages()
        self.plain.forget(revision)

    def _keep(self, kind: Kind, page: Page) -> None:
        """Keep the page, and drop the oldest ones when they are too many or too large."""
        self._kept[kind] = page
        self._kept_size += page.size
        while len(self._kept) > _MAX_KEPT_PAGES or (
            self._kept_size > _MAX_KEPT_SIZE and len(self._kept) > 1
        ):
            self._kept_size -= self._kept.pop(next(iter(self._kept))).size

    def _forget_pages(self) -> None:
        self._kept.clear()
        self._kept_size = 0


def v1_page(
    replica: JobSet,
    position: Position,
    filter: Filter,
    max_page: int,
    *,
    digest: bool,
    details: bool,
    shorten: bool = False,
    can: str = "",
) -> tuple[tuple[bytes, ...], Position]:
    """Return one delta and the position after it; no message if there is nothing to say.

    The delta has at most ``max_page`` bytes, or it has one job, which ``shorten`` makes fit.
    ``can`` is as in `delta_message`.
    """
    epoch = epoch_for(replica.epoch, details=details)
    limit = max(1, max_page - delta_overhead(epoch, filter.tag) - len(can))
    cursor = Cursor(position.epoch, position.examined, filter.tag)
    delta = replica.since(
        cursor,
        filter,
        limit=limit,
        snapshot_start=position.snapshot_start,
        gone_after=position.gone_after,
        details=details,
        shorten=shorten,
    )
    since = position.sent if delta.since else 0
    snapshot_start = delta.snapshot_start if delta.more else 0
    if not (delta or position.must_send):
        return (), position._replace(examined=delta.through, snapshot_start=snapshot_start)
    proof = replica.digest(filter) if digest and not delta.more else None
    max_job = limit if shorten else None
    sent = [
        replica.sent(job.id, details=details, max_bytes=max_job, fields=filter.fields)
        for job in delta.jobs
    ]
    message = delta_message(
        delta._replace(epoch=epoch),
        since,
        (one.wire for one in sent),
        filter.tag,
        proof,
        (one.odd for one in sent),
        (one.facts for one in sent),
        can,
    )
    moved = Position(
        delta.epoch,
        delta.through,
        delta.through,
        snapshot_start,
        must_send=False,
        gone_after=delta.gone_after,
    )
    return (message,), moved
