"""A job as a replica that sends jobs keeps it: its wire form, and what filters and order need."""

from __future__ import annotations

import json

from jobctl.core.codec import parse_wire, to_wire
from jobctl.core.pipeline import CANCELLED, FAILED, TERMINAL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from jobctl.core.job import Job

__all__ = ["OpaqueJob", "as_opaque", "whole_job"]

_CREATED = b'"createdAt":"'


class OpaqueJob:
    """The wire form of a job, and the fields that filters look at; about a third of a `Job`.

    ``source`` is the form for readers with details, without the command's environment. Other
    attributes are those of the whole job, which is parsed anew each time. ``run``, ``cancelled``,
    ``acknowledged``, ``host`` and ``user`` are ``None`` without parsing if the job has none.
    ``has_acts`` says that the history has who asked hubs to change the job.
    """

    __slots__ = (
        "has_acknowledgement",
        "has_acts",
        "has_cancellation",
        "has_command",
        "has_place",
        "id",
        "is_cancelled",
        "labels",
        "owned_by",
        "reading",
        "revision",
        "session_id",
        "source",
        "stage",
        "type",
    )

    def __init__(self, job: Job) -> None:
        self.id = job.id
        self.type = job.type
        self.stage = job.stage
        self.session_id = job.session_id
        owner = job.owner
        self.owned_by = owner if owner is None else job.owned_by
        self.revision = job.revision
        self.reading = job.reading
        self.source = to_wire(job, details=True)
        self.has_command = job.run is not None
        self.labels = job.labels
        self.is_cancelled = job.stage == FAILED and job.is_cancelled
        self.has_cancellation = job.cancelled is not None
        self.has_acknowledgement = job.acknowledged is not None
        self.has_acts = job.has_acts and any(entry.extra for entry in job.history or ())
        self.has_place = job.host is not None or job.user is not None

    @property
    def active(self) -> bool:
        """Whether the job is neither completed nor failed."""
        return self.stage not in TERMINAL

    @property
    def created_at(self) -> str:
        """When the job was created."""
        # The first such bytes are the key itself: before it there are only the id, the type, the
        # session and the stage, and a quote within a text has a backslash before it.
        start = self.source.index(_CREATED) + len(_CREATED)
        return self.source[start : self.source.index(b'"', start)].decode()

    @property
    def shown_stage(self) -> str:
        """The stage that people see and filter by."""
        return CANCELLED if self.is_cancelled else self.stage

    @property
    def cancelled(self) -> Any:
        """When, by whom and why the job was cancelled, as its file says it, or ``None``."""
        return self.whole().cancelled if self.has_cancellation else None

    @property
    def acknowledged(self) -> Any:
        """When, by whom and why the job was acknowledged, as its file says it, or ``None``."""
        return self.whole().acknowledged if self.has_acknowledgement else None

    @property
    def run(self) -> Any:
        """The command of ``jobctl run`` and how it ended, or ``None``."""
        return self.whole().run if self.has_command else None

    @property
    def host(self) -> Any:
        """The machine that the command ran on, or ``None``."""
        return self.whole().host if self.has_place else None

    @property
    def user(self) -> Any:
        """The user that the command ran as, or ``None``."""
        return self.whole().user if self.has_place else None

    def whole(self) -> Job:
        """Return the job with all its attributes."""
        return parse_wire(json.loads(self.source))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)  # as copy and pickle ask for
        return getattr(self.whole(), name)


def as_opaque(job: Job) -> Job:
    """Return an `OpaqueJob`, which can be read like the job itself."""
    return OpaqueJob(job)  # type: ignore[return-value]


def whole_job(job: Job) -> Job:
    """Return the job with all its attributes, also if it is an `OpaqueJob`."""
    given: object = job
    return given.whole() if isinstance(given, OpaqueJob) else job
