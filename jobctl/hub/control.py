"""Carries out acts: changes of jobs that clients ask for. See core/acts.py for what they are.

An act is checked in the event loop, and carried out in one thread under the store's lock, in the
order of arrival. It is answered once the store has recorded it. The delta with the change may come
before or after the answer, so a client compares its cursor with that of the answer.

No act is without an answer, a log line, and a count in ``jobctl_control_total``. A hub never runs a
command.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from jobctl._clock import now
from jobctl.core import acts
from jobctl.core.acts import Act, Asker
from jobctl.core.codec import to_wire
from jobctl.core.cursor import Cursor, epoch_for
from jobctl.core.filters import Filter
from jobctl.core.job import Job
from jobctl.core.pipeline import Pipelines
from jobctl.core.transitions import short_reason
from jobctl.errors import (
    ActRefused,
    Conflict,
    DamagedFile,
    JobctlError,
    JobNotFound,
    StoreError,
    UsageError,
)
from jobctl.hub.access import AccessPolicy
from jobctl.hub.log_limit import LogRateLimit
from jobctl.hub.metrics import Counts
from jobctl.hub.rights import SIGHT, Grant, Rights, Way, right_names
from jobctl.stores import Store
from jobctl.stores.async_store import Worker
from jobctl.stores.owners import CancelRequest

__all__ = ["Answer", "Control", "Route"]

_MAX_WAITING = 1000
_RETRY_AFTER_S = 1.0
_STORE_RETRY_AFTER_S = 5.0

_log = logging.getLogger("jobctl.control")
_log.setLevel(logging.INFO)  # a hub that is not verbose also says who changed what


class Route(NamedTuple):
    """How an act came: ``socket`` or ``http``, from whom, and under which filter the client reads.

    ``same_origin`` says that no page of another origin sent it: either a page of this hub or no
    page at all.
    """

    kind: str
    peer: str
    filter: Filter
    same_origin: bool


class Answer(NamedTuple):
    """The answer to an act: the message, and ``done`` or the code of a refusal."""

    message: bytes
    outcome: str
    retry_after_s: float | None = None


class Control:
    """Carries out the acts of all clients of one hub."""

    def __init__(
        self,
        store: Store,
        access: AccessPolicy,
        counts: Counts,
        pipelines: Pipelines,
        *,
        read_only: bool,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._store = store
        self._access = access
        self._counts = counts
        self._pipelines = pipelines
        self._read_only = read_only
        self._worker = Worker()
        self._waiting = 0
        self._log_limit = LogRateLimit(5)
        self._host = os.uname().nodename

    @property
    def enabled(self) -> bool:
        """Whether this hub takes acts at all."""
        return self._access.control and not self._read_only

    def can(self, grant: Grant, *, same_origin: bool) -> str:
        """Return what the first delta of a socket says about the rights: members of a JSON object.

        It is empty if this hub takes no acts. ``same_origin`` is as in `Route`: from another page
        only a token gives the rights to act.
        """
        if not self.enabled:
            return ""
        may_act = same_origin or grant.way is Way.TOKEN
        rights = grant.rights if may_act else grant.rights & SIGHT
        names = ",".join(f'"{name}"' for name in right_names(rights))
        post = ',"acts":"post"' if may_act and grant.way is Way.COOKIE else ""
        return f',"can":[{names}]{post}'

    async def perform(
        self, value: Mapping[str, Any], verb: str, grant: Grant, route: Route
    ) -> Answer:
        """Carry out the act in a decoded message, and return the answer. It raises nothing."""
        req, job = acts.request_id(value), None
        asker = Asker(grant.name, f"{self._host}/{route.kind}")
        revision = 0
        try:
            act = self._checked(value, verb, grant, route)
            self._waiting += 1
            try:
                revision, outcome, epoch = await self._worker.run(
                    self._carry_out, act, grant, asker
                )
            finally:
                self._waiting -= 1
            cursor = Cursor(
                epoch_for(epoch, details=grant.details),
                revision,
                route.filter.within(grant.sight).tag,
            )
            answer = Answer(acts.done_message(act, revision, cursor), "done")
        except ActRefused as refused:
            outcome = refused.code
            if isinstance(refused.job, Job) and grant.sight.matches(refused.job):
                job = to_wire(refused.job, details=grant.details)
            message = acts.refused_message(req, refused, job)
            answer = Answer(message, refused.code, refused.retry_after_s)
        except asyncio.CancelledError:
            gone = _busy("the hub stops", _RETRY_AFTER_S)
            outcome = gone.code
            answer = Answer(acts.refused_message(req, gone), gone.code, gone.retry_after_s)
        except Exception as error:
            self._counts.failures += 1
            _log.exception("act failed")
            failed = ActRefused(acts.UNSUPPORTED, "the hub failed; its log says more")
            failed.__cause__ = error
            outcome = "failed"
            answer = Answer(acts.refused_message(req, failed), failed.code)
        self._record(verb, outcome, value, asker, route, revision)
        return answer

    def close(self) -> None:
        """Refuse the acts that have not begun; those clients send them again to another hub."""
        self._worker.close()

    # -- in the event loop --------------------------------------------------------------------

    def _checked(self, value: Mapping[str, Any], verb: str, grant: Grant, route: Route) -> Act:
        """Return the act if this client may ask for it in this way; `ActRefused` otherwise."""
        if self._read_only:
            raise ActRefused(
                acts.READ_ONLY, "this hub is read-only", hint="it was started with --read-only"
            )
        if not self._access.control:
            raise ActRefused(
                acts.UNSUPPORTED,
                "this hub only shows jobs",
                hint="'jobctl serve --control' lets clients change them",
            )
        self._check_way(grant, route)
        right = acts.RIGHT_OF[verb]
        if Rights[right.upper()] not in grant.rights:
            who = f"{grant.name} does" if grant.name else "you do"
            raise ActRefused(
                acts.FORBIDDEN,
                f"{verb} needs the right '{right}', which {who} not have",
                hint="rights are given by 'jobctl token new', and to the hub's own user",
            )
        self._check_current(grant)
        act = acts.parse_act(value, verb, grant.name)
        if self._waiting >= _MAX_WAITING:
            raise _busy(f"{self._waiting} acts are waiting", _RETRY_AFTER_S)
        return act

    def _check_current(self, grant: Grant) -> None:
        """Refuse an act whose token was changed or removed, or has expired."""
        if not self._access.is_current(grant):
            raise ActRefused(
                acts.FORBIDDEN,
                "the token was changed or removed, or has expired",
                hint="sign in again",
            )

    def _check_way(self, grant: Grant, route: Route) -> None:
        """Refuse an act that a page of another origin may have sent with this user's rights."""
        if grant.way is Way.COOKIE and route.kind == "socket":
            raise ActRefused(
                acts.FORBIDDEN,
                "a cookie is not enough to change jobs over a socket",
                hint="send the token as the first message, or the act by POST from the hub's page",
            )
        if not route.same_origin and grant.way is not Way.TOKEN:
            raise ActRefused(
                acts.FORBIDDEN,
                "a page of another origin may not change jobs",
                hint="send a token: 'Authorization: Bearer TOKEN', or as the first message",
            )

    def _record(
        self,
        verb: str,
        outcome: str,
        value: Mapping[str, Any],
        asker: Asker,
        route: Route,
        revision: int,
    ) -> None:
        """Count and log an act. Refusals of clients without any right are rate-limited."""
        self._counts.control[verb, outcome] += 1
        more = None
        if outcome in (acts.FORBIDDEN, acts.READ_ONLY, acts.UNSUPPORTED, acts.INVALID):
            more = self._log_limit.allow(outcome, self._loop.time())
            if more is None:
                return
        said = {key: str(value[key])[:80] for key in ("id", "attempt", "req") if key in value}
        extra = {"verb": verb, **said, "outcome": outcome, "by": asker.by, "via": asker.via,
                 "peer": route.peer, "revision": revision, "more": more}  # fmt: skip
        _log.info("act", extra={key: given for key, given in extra.items() if given})

    # -- in the thread ------------------------------------------------------------------------

    def _carry_out(self, act: Act, grant: Grant, asker: Asker) -> tuple[int, str, str]:
        """Carry out the act; return the revision, ``done`` or ``repeated``, and the epoch."""
        try:
            self._check_current(grant)  # again: acts may have waited for seconds
            if act.verb == "create":
                revision, repeated = self._create(act, grant, asker)
            elif act.verb == "remove":
                revision, repeated = self._remove(act, grant)
            else:
                revision, repeated = self._update(act, grant, asker)
            return revision, "repeated" if repeated else "done", self._store.head().epoch
        except JobctlError as error:
            raise _refusal_of(error, act) from error

    def _create(self, act: Act, grant: Grant, asker: Asker) -> tuple[int, bool]:
        job = acts.create(act, asker, now=now(), pipelines=self._pipelines)
        if not grant.scope.matches(job):
            raise ActRefused(
                acts.FORBIDDEN, f"{grant.name} may not create such a job: its filter excludes it"
            )
        try:
            return self._store.create(job).revision, False
        except Conflict:
            there = self._store.get(act.id)
            if grant.scope.matches(there) and acts.was_done(there, act):
                return there.revision, True
            raise ActRefused(
                acts.CONFLICT,
                f"job {act.id} exists already",
                hint="choose another id",
                job=there,
            ) from None

    def _remove(self, act: Act, grant: Grant) -> tuple[int, bool]:
        def check(job: Job) -> None:
            self._check_job(act, job, grant)
            if job.active:
                raise ActRefused(
                    acts.CONFLICT,
                    f"job {job.id} has not ended",
                    hint="cancel it first",
                    job=job,
                )

        try:
            self._store.remove(act.id, check, request=act.req)
        except JobNotFound:
            revision = self._store.removed_by(act.id, act.req)
            if revision is None:
                raise
            return revision, True
        revision = self._store.removed_by(act.id, act.req)
        return (self._store.head().revision if revision is None else revision), False

    def _update(self, act: Act, grant: Grant, asker: Asker) -> tuple[int, bool]:
        dead = self._store.owners.dead()
        repeated = False

        def change(job: Job) -> Job:  # under the store's lock
            nonlocal repeated
            if not grant.scope.matches(job):
                raise JobNotFound(job.id, self._store.where)
            repeated = acts.was_done(job, act)
            if repeated:
                return job
            self._check_job(act, job, grant)
            is_lost = job.lost(dead)
            if act.verb == "cancel" and job.active and job.owned_by is not None and not is_lost:
                return self._ask_owner(act, job, asker)
            return acts.change(
                act, job, asker, now=now(), is_lost=is_lost, pipelines=self._pipelines
            )

        return self._store.update(act.id, change).revision, repeated

    def _check_job(self, act: Act, job: Job, grant: Grant) -> None:
        if not grant.scope.matches(job):
            raise JobNotFound(job.id, self._store.where)
        if (
            acts.RIGHT_OF[act.verb] == "report"
            and Rights.ADMIN not in grant.rights
            and acts.created_by(job) != grant.name
        ):
            raise ActRefused(
                acts.FORBIDDEN,
                f"{grant.name} has not created job {job.id}, and may not move it",
                hint="the right 'admin' moves the jobs of others",
            )
        revision = self._store.get(act.id).revision if act.revision is not None else None
        acts.check(act, job, revision)

    def _ask_owner(self, act: Act, job: Job, asker: Asker) -> Job:
        """Ask the living owner to end the job; return the job with the act."""
        reason = act.fields.get("reason")
        text = short_reason(reason) if reason is not None else None
        owner = job.owned_by
        assert owner is not None, "the caller has looked"
        if not self._store.owners.request_cancel(owner, job.id, CancelRequest(asker.by, text)):
            raise ActRefused(
                acts.CONFLICT,
                f"the worker of job {job.id} cannot be asked to end it",
                hint="'jobctl reap' fails the jobs whose worker has died",
                job=job,
            )
        return acts.with_act(job, act)


def _busy(message: str, retry_after_s: float) -> ActRefused:
    return ActRefused(
        acts.BUSY, message, hint="send it again later, with the same req",
        retry_after_s=retry_after_s,
    )  # fmt: skip


def _refusal_of(error: JobctlError, act: Act) -> ActRefused:
    """Return the refusal for an error of the store."""
    if isinstance(error, ActRefused):
        return error
    if isinstance(error, JobNotFound):
        return ActRefused(acts.GONE, f"there is no job {act.id}", hint="it may have been removed")
    if isinstance(error, UsageError):
        return ActRefused(acts.INVALID, error.message, hint=error.hint)
    if isinstance(error, DamagedFile):
        return ActRefused(
            acts.CONFLICT, f"the file of job {act.id} is not a job", hint="'jobctl doctor' says why"
        )
    if isinstance(error, StoreError):
        return _busy(f"the store refuses: {error.message}", _STORE_RETRY_AFTER_S)
    if isinstance(error, Conflict):
        return _busy(error.message, _RETRY_AFTER_S)
    return ActRefused(acts.CONFLICT, error.message, hint=error.hint)
