"""Every error that jobctl raises on purpose.

    JobctlError
    ├── UsageError              the request is invalid                                    exit 2
    │   ├── InvalidId           an invalid job id
    │   ├── InvalidCursor       text that is not ``epoch:revision``
    │   ├── InvalidJob          a value that cannot be a job (see codec.py)
    │   └── NotObeyed           a file or directory that another user owns or can write to
    ├── IllegalTransition       a move that the job's stage does not allow                exit 1
    ├── Conflict                another process was first                                 exit 1
    ├── ActRefused              a hub refuses to change a job                             exit 1
    ├── Cancelled               the job was cancelled                                     exit 6
    ├── JobNotFound             no job with that id, or several with that prefix          exit 4
    ├── LogNotFound             the job has no log                                        exit 4
    ├── StoreError              the store cannot be reached or refuses                    exit 5
    │   ├── DamagedFile         a file of the store that is not a job
    │   ├── StoreMissing        the directory does not exist
    │   ├── StoreLocked         the writer's lock was not free in time
    │   └── StoreFull           no space, no inodes, or a file size limit
    ├── HubError                the hub cannot be reached or refuses                      exit 5
    │   ├── AddressInUse        the port or the Unix socket is taken
    │   └── ProtocolError       the peer sent what the protocol does not allow
    │       └── DigestMismatch  the client does not hold what the hub holds
    └── TimedOut                it did not happen in time                                 exit 124

An error carries fields and renders in ``__str__`` as one line: what, where, what next.
The exit code of each class is its ``exit_code``; the CLI maps the tree in one place.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

__all__ = [
    "ActRefused",
    "AddressInUse",
    "Cancelled",
    "Conflict",
    "DamagedFile",
    "DigestMismatch",
    "HubError",
    "IllegalTransition",
    "InvalidCursor",
    "InvalidId",
    "InvalidJob",
    "JobNotFound",
    "JobctlError",
    "LogNotFound",
    "NotObeyed",
    "ProtocolError",
    "StoreError",
    "StoreFull",
    "StoreLocked",
    "StoreMissing",
    "TimedOut",
    "UsageError",
    "did_you_mean",
]


GOES_ON = "; the work goes on"
"""How a warning ends that stands for an error, because reporting never breaks the work."""

_BEGINNING = 4  # characters
_MANY = 1000  # above this many ids, similar ones are not searched for


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """Return ``did you mean 'X'?`` for the most similar known word, or ``None``.

    Also for a word that is known itself, which is refused for another reason then.
    """
    from difflib import get_close_matches  # errors are rare

    words = list(known)
    near = get_close_matches(word, words, n=1) if word not in words else []
    return f"did you mean {near[0]!r}?" if near else None


class JobctlError(Exception):
    """The base of all errors; ``hint`` says what to do next, or is ``None``."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class UsageError(JobctlError):
    """The request is invalid, whatever the state of the store."""

    exit_code = 2


class InvalidId(UsageError):
    """An invalid job id; ``id`` is the text that was given."""

    def __init__(self, id: str) -> None:
        shown = ascii(id if len(id) <= 80 else id[:77] + "...")
        super().__init__(
            f"{shown} is not a job id",
            hint="an id has 1 to 64 ASCII letters, digits, '.', '_' or '-' "
            "and does not start with '.' or '-'",
        )
        self.id = id


class InvalidCursor(UsageError):
    """An invalid cursor; ``text`` is what was given."""

    def __init__(self, text: str) -> None:
        shown = ascii(text if len(text) <= 80 else text[:77] + "...")
        super().__init__(f"{shown} is not a cursor", hint="a cursor reads epoch:revision")
        self.text = text


class InvalidJob(UsageError):
    """A value or a file that cannot be a job; ``reason`` says why, in a few words."""

    def __init__(self, reason: str, *, id: str | None = None) -> None:
        super().__init__(f"job {id}: {reason}" if id else reason)
        self.reason = reason
        self.id = id


class NotObeyed(UsageError):
    """A settings file, job directory or job file that another user owns or can write to.

    ``path`` names it, ``why`` says who can write it (see _trust.py), ``so`` says what is not done.
    """

    def __init__(self, path: str, why: str, *, so: str = "", hint: str | None = None) -> None:
        so = f", so {so}" if so else ""
        super().__init__(f"{path} is not obeyed{so}: {why}", hint=hint)
        self.path, self.why = path, why


_NOTHING = "it does not change any more"  # a completed job


class IllegalTransition(JobctlError):
    """A move that the job's stage does not allow; ``legal`` lists the allowed ones."""

    def __init__(
        self, id: str, stage: str, wanted: str, legal: Iterable[str], *, meant: str | None = None
    ) -> None:
        self.id, self.stage, self.wanted, self.legal = id, stage, wanted, tuple(legal)
        possible = f"possible: {', '.join(self.legal)}" if self.legal else _NOTHING
        hint = f"{meant} {possible}" if meant else possible
        super().__init__(f"job {id} is {stage!r}: cannot {wanted}", hint=hint)


class Conflict(JobctlError):
    """Another process was first: the job exists already, or changes faster than it can be read."""


class ActRefused(JobctlError):
    """A hub refuses to change a job; see core/acts.py.

    ``code`` is ``forbidden``, ``conflict``, ``gone``, ``invalid``, ``read-only``, ``busy`` or
    ``unsupported``. After ``busy``, try again in ``retry_after_s`` seconds. ``job`` is the `Job`
    as it stands, where that is the reason.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        hint: str | None = None,
        job: object = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.code, self.job, self.retry_after_s = code, job, retry_after_s


class Cancelled(JobctlError):
    """The job was cancelled. Raised in the work that `jobctl.track` tracks, to end it.

    ``by`` is who asked for it and ``reason`` why, if they said so.
    """

    exit_code = 6

    def __init__(self, id: str, by: str | None = None, reason: str | None = None) -> None:
        why = f": {reason}" if reason else ""
        super().__init__(f"job {id} was cancelled by {by or 'user'}{why}")
        self.id, self.by, self.reason = id, by, reason


class JobNotFound(JobctlError):
    """No job in ``where`` has this id or prefix; ``candidates`` if several have it.

    ``known`` are existing ids, for a hint.
    """

    exit_code = 4

    def __init__(
        self, id: str, where: str, candidates: Iterable[str] = (), known: Sequence[str] = ()
    ) -> None:
        self.id, self.where, self.candidates = id, where, tuple(candidates)
        if self.candidates:
            shown = ", ".join(self.candidates[:4]) + (", ..." if len(self.candidates) > 4 else "")
            super().__init__(
                f"{ascii(id)[1:-1]} is the start of {len(self.candidates)} ids in {where}",
                hint=f"write more of it: {shown}",
            )
        else:
            super().__init__(
                f"no job {ascii(id)[1:-1]} in {where}",
                hint=_like(id, known)
                or "see 'jobctl ls' for what is there, 'jobctl config' for why there",
            )


class LogNotFound(JobctlError):
    """The job exists, and has no log; ``why`` says what is known of the reason."""

    exit_code = 4

    def __init__(self, id: str, why: str) -> None:
        super().__init__(f"job {id} has no log: {why}")
        self.id, self.why = id, why


def _like(id: str, known: Sequence[str]) -> str | None:
    """Return a hint with existing ids that have the same start or are similar."""
    begins = [
        other for other in known if len(id) > _BEGINNING and other[:_BEGINNING] == id[:_BEGINNING]
    ]
    if begins:
        return f"did you mean {' or '.join(begins[:3])}?"
    return did_you_mean(id, known) if len(known) <= _MANY else None


class StoreError(JobctlError):
    """The store cannot be reached or refuses; ``path`` names it."""

    exit_code = 5

    def __init__(self, message: str, *, path: str = "", hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.path = path


class DamagedFile(StoreError):
    """The file with this id is not a job; ``reason`` says why, and ``path`` names it.

    ``kept`` says that it should have been removed as a job.
    """

    def __init__(self, path: str, id: str, reason: str, *, kept: bool = False) -> None:
        remove = f"'jobctl rm --damaged {id}'"
        if kept:
            message, hint = (
                f"{path} is not a job, and was not removed: {reason}",
                f"{remove} removes it",
            )
        else:
            message, hint = (
                f"{path} is damaged: {reason}",
                f"mend the file, or remove it with {remove}",
            )
        super().__init__(message, path=path, hint=hint)
        self.id, self.reason, self.kept = id, reason, kept


class StoreMissing(StoreError):
    """The directory does not exist."""

    def __init__(self, path: str) -> None:
        super().__init__(
            f"no directory {path}",
            path=path,
            hint="the first 'jobctl run', 'create' or 'serve' makes it",
        )


class StoreLocked(StoreError):
    """The writer's lock was not free within ``waited_s`` seconds; ``pid`` holds it, if known."""

    def __init__(self, path: str, waited_s: float, pid: int | None) -> None:
        holder = f"process {pid}" if pid else "another process"
        super().__init__(
            f"{holder} has held the lock on {path} for over {waited_s:g} s",
            path=path,
            hint=f"is it stopped? 'kill -CONT {pid}' wakes it" if pid else "try again",
        )
        self.waited_s, self.pid = waited_s, pid


class StoreFull(StoreError):
    """No space, no inodes, or a size limit; stored jobs are unchanged."""


class HubError(JobctlError):
    """The hub cannot be reached or refuses; ``url`` names it.

    ``unanswered`` says that it was reached and gave no answer, so it is not known what it did.
    """

    exit_code = 5
    unanswered = False

    def __init__(self, message: str, *, url: str = "", hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.url = url


class AddressInUse(HubError):
    """The hub's address is in use: a port, or the path of a Unix socket."""

    def __init__(self, host: str, port: int | None = None) -> None:
        if port is None:
            super().__init__(
                f"somebody listens on {host} already",
                url=f"unix:{host}",
                hint="another hub? choose another path with --unix",
            )
            return
        super().__init__(
            f"{host}:{port} is already in use",
            url=f"{host}:{port}",
            hint="another hub? choose another with --port, or --port 0 for a free one",
        )


class ProtocolError(HubError):
    """The peer sent something that the protocol does not allow (see protocol.py)."""


class DigestMismatch(ProtocolError):
    """The client does not hold what the hub's digest says (see `Client`, ``verify``)."""


class TimedOut(JobctlError):
    """It did not happen in time."""

    exit_code = 124
