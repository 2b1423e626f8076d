"""The seeded faults: what is changed, and which tests must fail then."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["FAULTS", "Fault"]


class Fault(NamedTuple):
    """Replace ``old``, which occurs once in ``file``, by ``new``; one of ``tests`` must fail.

    ``file`` may be a folder: then the text occurs once in all of its modules, wherever it moves.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


_CORE = ("tests/core/test_jobset.py", "tests/core/test_jobset_converges.py")
_READ = (
    "tests/stores/test_read.py",
    "tests/stores/test_complete_reads.py",
    "tests/model",
)
_HUB = (
    "tests/hub/test_sessions.py",
    "tests/hub/test_details.py",
    "tests/hub/test_resets.py",
    "tests/hub/test_session_details.py",
)
_LOGS = (
    "tests/stores/test_logs.py",
    "tests/stores/test_log_space.py",
    "tests/hub/test_log_endpoint.py",
    "tests/cli/test_logs.py",
)
_SIZE = ("tests/hub/test_message_size.py",)

_JOBSET = "jobctl/core/jobset.py"
_DIRECTORY_READ = "jobctl/stores/directory/read.py"
_SESSIONS = "jobctl/hub/sessions.py"

FAULTS: tuple[Fault, ...] = (
    Fault(
        "a cursor of another epoch is resumed",
        _JOBSET,
        "            cursor.epoch == self.epoch\n            and cursor.tag",
        "            cursor.tag",
        _CORE,
    ),
    Fault(
        "a cursor of another filter is resumed",
        _JOBSET,
        "            and cursor.tag == filter.tag\n",
        "",
        _CORE,
    ),
    Fault(
        "a cursor from the future is resumed",
        _JOBSET,
        "            and cursor.revision <= self.revision\n",
        "",
        _CORE,
    ),
    Fault(
        "a cursor below the floor is resumed",
        _JOBSET,
        "            and max(cursor.revision, snapshot_start) >= self.floor\n",
        "",
        _CORE,
    ),
    Fault(
        "the snapshot's start is ignored",
        _JOBSET,
        "max(cursor.revision, snapshot_start) >= self.floor",
        "cursor.revision >= self.floor",
        _CORE,
    ),
    Fault(
        "a delta that does not follow is applied",
        _JOBSET,
        "        elif delta.epoch != self.epoch or delta.since != self.revision:\n",
        "        elif False:\n",
        _CORE,
    ),
    Fault(
        "an empty delta does not move the set",
        _JOBSET,
        "        self.revision = delta.through\n        self.floor = max",
        "        self.floor = max",
        _CORE,
    ),
    Fault(
        "deletions are left out of a page",
        _JOBSET,
        "                    gone.append(self._gone(id, entry))\n            through",
        "                    pass\n            through",
        _CORE,
    ),
    Fault(
        "jobs that left the filter are not told",
        _JOBSET,
        "or (entry.left_at(filter) > known and not filter.matches(entry.job))",
        "or False",
        _CORE,
    ),
    Fault(
        "a page ends between jobs that share a revision",
        _JOBSET,
        "                    if size > limit and may_end and not empty:",
        "                    if size > limit and not empty:",
        _CORE,
    ),
    Fault(
        "superseded lines of the order are sent",
        _JOBSET,
        "            if entry is not None and entry.revision == self._order[index]:",
        "            if entry is not None:",
        _CORE,
    ),
    Fault(
        "a short full load says that it is whole",
        _DIRECTORY_READ,
        "        more = self._partial or not self._is_whole(cut, asked)\n",
        "        more = False\n",
        _READ,
    ),
    Fault(
        "the log's tail is not read again",
        _DIRECTORY_READ,
        "            ids = list(dict.fromkeys([*ids, *self._read_tail()]))\n",
        "            ids = list(dict.fromkeys(ids))\n",
        _READ,
    ),
    Fault(
        "every pending file is looked at in each round",
        _DIRECTORY_READ,
        "            ids = [id for id in ids if id in self.pending and self._is_outdated(id)]",
        "            ids = sorted(self.pending)",
        _READ,
    ),
    Fault(
        "a write in flight is passed over",
        _DIRECTORY_READ,
        "            cut = min(cut, unknown.revision - 1)\n",
        "",
        _READ,
    ),
    Fault(
        "unrecorded files are left out of a full load",
        _DIRECTORY_READ,
        "            unrecorded = sorted(self._names - self._window.keys())",
        "            unrecorded = list[str]()",
        _READ,
    ),
    Fault(
        "merged versions count as known",
        _DIRECTORY_READ,
        "                if len(records) > 1 or records[0].verb == SEEN",
        "                if records[0].verb == SEEN",
        _READ,
    ),
    Fault(
        "a stalled session is written to",
        _SESSIONS,
        "                not session.writable\n                or session.held\n",
        "                session.held\n",
        _HUB,
    ),
    Fault(
        "readers with and without details share a page",
        "jobctl/hub/session.py",
        "self.position, self.dialect, self.filter, self.digest, self.details, self.max_bytes",
        "self.position, self.dialect, self.filter, self.digest, True, self.max_bytes",
        _HUB,
    ),
    Fault(
        "clients with different limits share a page",
        "jobctl/hub/session.py",
        "self.position, self.dialect, self.filter, self.digest, self.details, self.max_bytes",
        "self.position, self.dialect, self.filter, self.digest, self.details, None",
        _SIZE,
    ),
    Fault(
        "the envelope does not count to the size of a message",
        "jobctl/hub/pages.py",
        "max(1, max_page - delta_overhead(epoch, filter.tag))",
        "max_page",
        _SIZE,
    ),
    Fault(
        "a page of what is gone says that no other page follows",
        _JOBSET,
        "            self.epoch, since, since, (), told, True, self.floor",
        "            self.epoch, since, since, (), told, False, self.floor",
        _CORE,
    ),
    Fault(
        "the pages after the first of what is gone begin anew",
        "jobctl/hub/pages.py",
        "        gone_after=position.gone_after,\n",
        "        gone_after=0,\n",
        _SIZE,
    ),
    Fault(
        "the hub says more before it was loaded",
        _SESSIONS,
        "        if not self.loaded:\n            return\n        epoch, head",
        "        epoch, head",
        _HUB,
    ),
)

_STORES = ("tests/stores",)
_WRITE = "jobctl/stores/directory/write.py"
_OWNERS_TESTS = ("tests/stores/test_owners.py", "tests/cli/test_lost.py")
_TRACK = (
    "tests/work/test_track.py",
    "tests/work/test_track_cancel.py",
    "tests/work/test_track_attempts.py",
    "tests/work/test_recorder.py",
)

FAULTS += (
    # -- core ---------------------------------------------------------------------------------
    Fault(
        "a tombstone is forgotten without the floor",
        _JOBSET,
        "            self.floor = max(self.floor, revision)\n",
        "",
        _CORE,
    ),
    Fault(
        "a job that comes back counts as never seen",
        _JOBSET,
        "            changed_at = old.revision  # only readers that",
        "            changed_at = 0  # only readers that",
        _CORE,
    ),
    Fault(
        "the digest keeps the mark of the version before",
        "jobctl/core/digests.py",
        "        self.of_all ^= old_mark ^ new_mark",
        "        self.of_all ^= new_mark",
        ("tests/core/test_digests.py", *_CORE),
    ),
    Fault(
        "a kept digest takes no leave of a job that left the filter",
        "jobctl/core/digests.py",
        "            if old is not None and filter.matches(old):\n",
        "            if old is not None and new is None and filter.matches(old):\n",
        ("tests/core/test_digests.py", *_CORE),
    ),
    Fault(
        "a page before the first complete read decides",
        "jobctl/core/conditions.py",
        "            if delta.more:\n                return []\n",
        "",
        ("tests/core/test_conditions.py", "tests/reader/test_wait.py"),
    ),
    Fault(
        "a later version of a lost job stays lost",
        "jobctl/core/conditions.py",
        "            del self._lost[old.id]\n            lost = None\n",
        "            pass\n",
        ("tests/core/test_conditions.py",),
    ),
    Fault(
        "one failed job hides that another vanished",
        "jobctl/core/conditions.py",
        'patient = self.condition.kind == "terminal" and not self._counts["vanished"]',
        'patient = self.condition.kind == "terminal"',
        ("tests/core/test_conditions.py",),
    ),
    Fault(
        "retry keeps the attempt",
        "jobctl/core/transitions.py",
        "        retry_count=job.retry_count + 1,\n",
        "",
        ("tests/core/test_job.py",),
    ),
    Fault(
        "a completed job keeps its owner",
        "jobctl/core/transitions.py",
        'update: dict[str, Any] = {"completed_at": now, "owner": None}',
        'update: dict[str, Any] = {"completed_at": now}',
        ("tests/core/test_job.py",),
    ),
    Fault(
        "the history is cut at its oldest entry",
        "jobctl/core/transitions.py",
        "        history = (history[0], *history[1 - MAX_HISTORY :])",
        "        history = history[-MAX_HISTORY:]",
        ("tests/core/test_job.py",),
    ),
    Fault(
        "a new stage keeps the progress of the one before",
        "jobctl/core/transitions.py",
        "        progress=None,\n        message=None,\n        history=_bounded(",
        "        message=None,\n        history=_bounded(",
        ("tests/core/test_job.py",),
    ),
    Fault(
        "an owner counts in every attempt",
        "jobctl/core/job.py",
        "return self.owner if self._names_owner() and self._is_recorded_attempt() else None",
        "return self.owner if self._names_owner() else None",
        ("tests/core/test_moved_by_others.py",),
    ),
    Fault(
        "an owner of an earlier attempt stays",
        "jobctl/core/transitions.py",
        'return {"owner": None} if job.former_owner is not None else {}',
        "return {}",
        ("tests/core/test_moved_by_others.py",),
    ),
    Fault(
        "depth is not bounded before a recursive parser reads",
        "jobctl/core",
        "        if depth > MAX_DEPTH:\n",
        "        if False:\n",
        ("tests/core/test_codec.py",),
    ),
    Fault(
        "a zone-less time is local, whatever the file's own time says",
        "jobctl/core/instants.py",
        "            if -_MAX_AHEAD_MS <= age_ms <= MAX_AGE_MS:\n",
        "            if False:\n",
        ("tests/core/test_instants.py", "tests/foreign/test_producers.py"),
    ),
    Fault(
        "a rewrite replaces the text of a zone-less time in the history",
        "jobctl/core/codec.py",
        "        if (entry := entry_of(value, offset_s)) is not None:\n",
        "        if (entry := entry_of(value, None)) is not None:\n",
        ("tests/core/test_lenient.py",),
    ),
    Fault(
        "readers without details see unknown keys of the command",
        "jobctl/core/redaction.py",
        "        shown = {key: value for key, value in run.items() if key in _WITHOUT_DETAILS}",
        "        shown = {k: v for k, v in run.items() if k not in ('argv', 'cwd', 'env', "
        "'stderr')}",
        ("tests/core/test_redaction.py",),
    ),
    Fault(
        "readers without details see why a job was cancelled",
        "jobctl/core/redaction.py",
        'for key, at in said.items() if key == "at" and isinstance(at, str)}',
        "for key, at in said.items()}",
        ("tests/core/test_cancelled.py", "tests/core/test_redaction.py"),
    ),
    Fault(
        "a filter on failed jobs selects cancelled ones",
        "jobctl/core/filters.py",
        "_stage_of(job) in self.stages",
        "job.stage in self.stages",
        ("tests/core/test_cancelled.py", "tests/hub/test_filters.py"),
    ),
    Fault(
        "a cursor of before resumes under another meaning of failed",
        "jobctl/core/filters.py",
        ' + (_MEANING if FAILED in self.stages else "")',
        "",
        ("tests/core/test_cancelled.py",),
    ),
    Fault(
        "a job that turns out cancelled stays in the filter on failed",
        "jobctl/core/jobset.py",
        "(job.stage != FAILED or old.is_cancelled == job.is_cancelled)",
        "job.stage",
        ("tests/core/test_cancelled.py", "tests/hub/test_filters.py"),
    ),
    Fault(
        "a job whose labels change stays in the filter",
        "jobctl/core/jobset.py",
        "            old.labels == job.labels,\n",
        "            True,\n",
        ("tests/core/test_jobset_converges.py", "tests/hub/test_filters.py"),
    ),
    Fault(
        "a plain client's filter on failed jobs leaves cancelled ones out",
        "jobctl/hub/sessions.py",
        "            filter = filter.for_stages_on_disk\n",
        "            pass\n",
        ("tests/hub/test_filters.py",),
    ),
    Fault(
        "the acknowledgement of an earlier attempt counts",
        "jobctl/core/job.py",
        "        if type(attempt) is int and attempt != self.retry_count:\n",
        "        if False:\n",
        ("tests/core/test_acknowledged.py",),
    ),
    Fault(
        "an acknowledgement looks like a failure to plain clients",
        "jobctl/hub/plain.py",
        "        return revision == job.revision and examined >= told\n",
        "        return False\n",
        ("tests/hub/test_plain.py",),
    ),
    Fault(
        "a plain client misses what was acknowledged before it had it",
        "jobctl/hub/plain.py",
        "        return revision == job.revision and examined >= told\n",
        "        return revision == job.revision\n",
        ("tests/hub/test_plain.py",),
    ),
    Fault(
        "of a local time that occurs twice --until means the first",
        "jobctl/cli/local_time.py",
        "        return real[-1 if last else 0]\n",
        "        return real[0]\n",
        ("tests/cli/test_durations.py",),
    ),
    Fault(
        "a failure of today is left out of the table on a terminal",
        "jobctl/cli/ls.py",
        "if not job.active and not job.is_trouble(at_ms, dead)]",
        "if not job.active]",
        ("tests/cli/test_ls_limit.py",),
    ),
    Fault(
        "the cancellation of an earlier attempt counts",
        "jobctl/core/job.py",
        "(isinstance(said, dict) or said is True) and not self.moved_by_others",
        "isinstance(said, dict) or said is True",
        ("tests/core/test_cancelled.py",),
    ),
    # -- stores -------------------------------------------------------------------------------
    Fault(
        "the file is renamed before its record is appended",
        _WRITE,
        "        log.append(Record(job.revision, job.id, PUT, digest))\n        try:\n",
        "        try:\n",
        ("tests/stores/test_contract.py", "tests/stores/test_write_order.py"),
    ),
    Fault(
        "a rewrite forgets how zone-less times were read",
        _WRITE,
        "        if guess is not None:\n            JobParser",
        "        if guess is None:\n            JobParser",
        ("tests/stores/test_guesses.py",),
    ),
    Fault(
        "a guess of an older record of the same content counts again",
        "jobctl/stores/directory/index.py",
        "                look.record_guess(meta_fd)\n",
        "",
        ("tests/stores/test_guesses.py",),
    ),
    Fault(
        "a foreign change between read and rename is overwritten",
        _WRITE,
        "                if signature_of(now) != found.signature:\n"
        "                    raise _ChangedMeanwhile\n            publish(",
        "            publish(",
        ("tests/stores/test_foreign.py", "tests/stores/test_write_order.py"),
    ),
    Fault(
        "the bell is not rung after a removal",
        _WRITE,
        "            raise too_busy(id, self._where)\n        self._access.bell.ring()\n",
        "            raise too_busy(id, self._where)\n",
        ("tests/stores/test_bell.py", "tests/stores/test_contract.py"),
    ),
    Fault(
        "a deletion is recorded after the file has gone",
        _WRITE,
        "        try:\n            log.append(record)\n        except OSError as error:\n",
        "        try:\n            os.unlink(name, dir_fd=state.dir_fd)\n"
        "            log.append(record)\n        except OSError as error:\n",
        ("tests/stores/test_write_order.py",),
    ),
    Fault(
        "the log is not synced in a durable directory",
        "jobctl/stores/directory/files.py",
        "                os.fsync(fd)\n                os.fsync(sync_fd)\n",
        "                os.fsync(fd)\n",
        ("tests/stores/test_durable.py",),
    ),
    Fault(
        "a short write is taken for a whole one",
        "jobctl/stores/directory/changelog.py",
        "    while written < len(data):\n        written += os.write(fd, data[written:])\n",
        "",
        ("tests/stores/test_disk_full.py", "tests/stores/test_changelog.py"),
    ),
    Fault(
        "a torn last line is not cut off",
        "jobctl/stores/directory/changelog.py",
        "        if whole != size:\n            os.ftruncate(self.fd, whole)\n",
        "",
        ("tests/stores/test_changelog.py",),
    ),
    Fault(
        "a line with a wrong checksum is believed",
        "jobctl/stores/directory/changelog.py",
        "        return _record(line) if _is_whole(line) else None",
        "        return _record(line)",
        ("tests/stores/test_changelog.py",),
    ),
    Fault(
        "an id in the log may be a path",
        "jobctl/stores/directory/changelog.py",
        "    if not revision.isdigit() or not _IS_ID(id):",
        "    if not revision.isdigit():",
        ("tests/stores/test_changelog.py", "tests/stores/test_safety.py"),
    ),
    Fault(
        "compaction drops tombstones and keeps the floor",
        "jobctl/stores/directory",
        "        floor=max([log.floor, *(record.revision for record in dropped)]),",
        "        floor=log.floor,",
        ("tests/stores/test_changelog.py", "tests/stores/test_pages.py"),
    ),
    Fault(
        "a half-written file is quarantined at once",
        "jobctl/stores/directory/index.py",
        "                if self._is_in_grace(look):\n                    continue\n",
        "",
        ("tests/stores/test_read.py",),
    ),
    Fault(
        "a racy signature is trusted",
        "jobctl/stores/directory/index.py",
        "        if look.found is None or (verb == SEEN and look.found.racy):",
        "        if look.found is None:",
        ("tests/stores/test_foreign.py", "tests/stores/test_read.py"),
    ),
    Fault(
        "links are followed",
        "jobctl/stores/directory/files.py",
        "_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC",
        "_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC",
        ("tests/stores/test_quarantine.py", "tests/stores/test_safety.py"),
    ),
    Fault(
        "one listing is believed while files are renamed",
        "jobctl/stores/directory/files.py",
        "        if os.fstat(dir_fd).st_mtime_ns < began_ns - _TICK_NS:\n"
        "            break  # it did not change while it was scanned\n",
        "        break\n",
        (
            "tests/stores/test_read.py",
            "tests/stores/test_complete_reads.py",
            "tests/stores/test_foreign.py",
        ),
    ),
    Fault(
        "a forked child keeps the parent's lock",
        "jobctl/stores/directory/lock.py",
        "            os.close(self._fd)\n            self._fd = None\n\n    def __del__",
        "            self._fd = None\n\n    def __del__",
        ("tests/stores/test_lock.py",),
    ),
    Fault(
        "the lock of a replaced directory is good enough",
        "jobctl/stores/directory/lock.py",
        "                if state.meta is meta:\n",
        "                if True:\n",
        ("tests/stores/test_place.py", "tests/stores/test_lock.py", "tests/stores/test_safety.py"),
    ),
    Fault(
        "a reader that may not write asks again and again",
        "jobctl/stores/directory/reconcile.py",
        "                self.may_write = False  # a reader that may not write goes on with "
        "what it has\n",
        "                pass\n",
        ("tests/stores/test_read.py", "tests/stores/test_place.py"),
    ),
    Fault(
        "a copy of an owner's file counts as its own",
        "jobctl/stores/directory/owners.py",
        "        return (stat.st_dev, stat.st_ino) == self._key",
        "        return True",
        _OWNERS_TESTS,
    ),
    Fault(
        "dead owners are forgotten when there are no descriptors",
        "jobctl/stores/directory/owners.py",
        "            return self._known_dead  # no free descriptors: those that were dead "
        "still are",
        "            return frozenset()",
        (*_OWNERS_TESTS, "tests/stores/test_scarce_descriptors.py"),
    ),
    # -- hub ----------------------------------------------------------------------------------
    Fault(
        "pending connections are evicted within their grace",
        "jobctl/hub/admission.py",
        "            if now_s - since_s < GRACE_S:\n                break\n",
        "",
        ("tests/hub/test_limits.py", "tests/hub/test_connection.py"),
    ),
    Fault(
        "a request's head has no bound",
        "jobctl/hub/admission.py",
        "        elif self._read_bytes > MAX_HEAD:\n",
        "        elif False:\n",
        ("tests/hub/test_limits.py", "tests/hub/test_handshake.py", "tests/hub/test_http.py"),
    ),
    Fault(
        "the limit counts pending connections only",
        "jobctl/hub/admission.py",
        "        return len(self.pending) + self._other_connections() >= self.max_connections",
        "        return len(self.pending) >= self.max_connections",
        ("tests/hub/test_limits.py", "tests/hub/test_connection.py"),
    ),
    Fault(
        "a session with a filter on ids is woken by all",
        _SESSIONS,
        "        if session.filter.ids:\n            for id in session.filter.ids:\n"
        "                self._by_id",
        "        if False:\n            for id in session.filter.ids:\n                self._by_id",
        ("tests/hub/test_filtered_sessions.py", *_HUB),
    ),
    Fault(
        "an acknowledgement may be of the future",
        _SESSIONS,
        "                session.acked = max(session.acked, min(through, session.position.sent))",
        "                session.acked = max(session.acked, through)",
        _HUB,
    ),
    Fault(
        "a resumed session of no details gets the details' cursor",
        _SESSIONS,
        "        cursor = store_cursor(cursor, details=details)\n        session = Session",
        "        session = Session",
        _HUB,
    ),
    # -- reader, work, upkeep -----------------------------------------------------------------
    Fault(
        "the backoff has no jitter at its cap",
        "jobctl/reader/backoff.py",
        "        return max(_MIN_S, ceiling_s * self._draw())",
        "        return max(_MIN_S, min(CAP_S, BASE_S * (1 << min(self.tries - 1, 10)) * (1 "
        "+ self._draw())))",
        ("tests/reader/test_backoff.py",),
    ),
    Fault(
        "prune removes what was changed since it chose",
        "jobctl/upkeep/prune.py",
        "    if job.replace(revision=chosen.revision) != chosen:\n            raise _Changed\n",
        "    pass\n",
        ("tests/upkeep/test_prune.py",),
    ),
    Fault(
        "prune keeps the oldest",
        "jobctl/upkeep/prune.py",
        "        newest_first = sorted(ends, reverse=True)[self.keep :]",
        "        newest_first = sorted(ends, reverse=True)[: -self.keep or None]",
        ("tests/upkeep/test_prune.py",),
    ),
    Fault(
        "reap fails a job that was taken up meanwhile",
        "jobctl/upkeep/reap.py",
        "        if not job.lost(dead):\n            return job  # another process was first\n",
        "",
        ("tests/upkeep/test_reap.py",),
    ),
    Fault(
        "reap forgets the owner of a job that it could not fail",
        "jobctl/upkeep/reap.py",
        "store.owners.forget(dead - {job.owned_by for job, _ in reaped.failed})",
        "store.owners.forget(dead)",
        ("tests/cli/test_lost.py",),
    ),
    Fault(
        "a tracked job writes into another attempt",
        "jobctl/work",
        "        same = (job.created_at, job.retry_count) == (created_at, retry_count)",
        "        same = job.created_at == created_at",
        _TRACK,
    ),
    Fault(
        "the last report before a move is dropped",
        "jobctl/work",
        "            self._flush(recorder)\n            self._progress.clear()\n",
        "            self._progress.clear()\n",
        _TRACK,
    ),
    Fault(
        "a signal from the terminal is sent to the command twice",
        "jobctl/work/run/child.py",
        "        return number, from_process and number in _FORWARDED",
        "        return number, number in _FORWARDED",
        ("tests/cli/test_run.py",),
    ),
    Fault(
        "the command does not hear that the session leader's terminal is gone",
        "jobctl/work/run/child.py",
        "        if number in _TO_LEADER and os.getsid(0) == os.getpid():",
        "        if number not in _FORWARDED:",
        ("tests/cli/test_run_hangup.py",),
    ),
    Fault(
        "what a cancelled command has left behind is not waited for and killed",
        "jobctl/work/run/command.py",
        "            self._end_rest()\n",
        "",
        ("tests/cli/test_run_processes.py",),
    ),
    Fault(
        "files of ours take the place of closed standard streams",
        "jobctl/cli/app.py",
        "    _occupy_closed_descriptors()\n",
        "",
        ("tests/cli/test_run_descriptors.py",),
    ),
    Fault(
        "the wrapper's own memory passes for the command's",
        "jobctl/work/run/processes.py",
        "    return found if found > own_bytes + _MARGIN_BYTES or not own_bytes else None",
        "    return found",
        ("tests/cli/test_run_usage.py",),
    ),
    Fault(
        "the newest segment of a log is removed, not the oldest of the middle",
        "jobctl/stores/directory/logs.py",
        "segments[1 : max(len(segments) - MAX_SEGMENTS + 1, 1)]",
        "segments[MAX_SEGMENTS:]",
        _LOGS,
    ),
    Fault(
        "the log of an earlier job of the same id is shown",
        "jobctl/stores/log_reading.py",
        "logs.log_info(job.id) is not None and is_log_of(logs, job)",
        "logs.log_info(job.id) is not None",
        _LOGS,
    ),
    Fault(
        "a log is followed no further than to the end of its job, not of what was printed",
        "jobctl/hub/log_api.py",
        "            if not over:  # else read once more: that was written before the job ended\n"
        "                await asyncio.sleep(_POLL_S)\n",
        "            if over:\n                return\n            await asyncio.sleep(_POLL_S)\n",
        _LOGS,
    ),
    Fault(
        "the hub sends logs to those who may not see details",
        "jobctl/hub/http.py",
        "        if not _sees_details(request):\n            return _refusal(403",
        "        if rights_of(request) is None:\n            return _refusal(403",
        _LOGS,
    ),
    Fault(
        "logs of active jobs are removed at the limit",
        "jobctl/stores/directory/log_space.py",
        "                if self._has_ended(id):",
        "                if True:",
        _LOGS,
    ),
    Fault(
        "a removed job leaves its log",
        "jobctl/stores/directory/store.py",
        "damaged=damaged)\n        self._drop_log(id)\n",
        "damaged=damaged)\n",
        _LOGS,
    ),
    Fault(
        "a secret that two pieces of output share is kept",
        "jobctl/work/run/masking.py",
        "if word.startswith(data[at:]):",
        "if word == data[at:]:",
        ("tests/work/test_masking.py",),
    ),
    Fault(
        "output after a gap begins within a secret",
        "jobctl/work/run/masking.py",
        'self._held, self._after_gap = b"", True',
        'self._held, self._after_gap = b"", False',
        ("tests/work/test_masking.py",),
    ),
    Fault(
        "streams that lead to the same place take two ways",
        "jobctl/work/run/streams.py",
        "if key in found:",
        "if key in found and kind == FILE:",
        ("tests/cli/test_run_output.py",),
    ),
    Fault(
        "run goes on when its command stops",
        "jobctl/work/run/command.py",
        "if number == signal.SIGTSTP:\n            if relay is not None:",
        "if False:\n            if relay is not None:",
        ("tests/cli/test_run_terminal.py", "tests/cli/test_run.py"),
    ),
    Fault(
        "statistics count a lost job as no failure",
        "jobctl/core/stats.py",
        "return self.failed + self.lost",
        "return self.failed",
        ("tests/core/test_stats.py",),
    ),
    Fault(
        "failed jobs have a part in the durations",
        "jobctl/core/stats.py",
        "if stage == COMPLETED and (took_ms",
        "if (took_ms",
        ("tests/core/test_stats.py",),
    ),
    Fault(
        "a type that never succeeded is never overdue",
        "jobctl/core/schedule.py",
        "from_ms = success_ms if success_ms is not None else oldest_ms",
        "from_ms = success_ms",
        ("tests/core/test_schedule.py",),
    ),
    Fault(
        "the grace is left out",
        "jobctl/core/schedule.py",
        "due_ms = from_ms + every_ms + pipeline.grace_ms",
        "due_ms = from_ms + every_ms",
        ("tests/core/test_schedule.py",),
    ),
    Fault(
        "prune removes the last success of a type that is expected",
        "jobctl/upkeep/prune.py",
        "ids = tuple(id for id in ids if id not in needed)",
        "pass",
        ("tests/upkeep/test_prune.py",),
    ),
    Fault(
        "what had ended before the hub started is counted",
        "jobctl/core/schedule.py",
        "            if not self._has_baseline:\n                news =",
        "            if False:\n                news =",
        ("tests/core/test_schedule.py", "tests/hub/test_types.py"),
    ),
    Fault(
        "a change of a job that has ended counts as another end",
        "jobctl/core/schedule.py",
        "if before is None or before[:2] != ended[:2]:",
        "if True:",
        ("tests/core/test_schedule.py", "tests/hub/test_types.py"),
    ),
    Fault(
        "a question outlives the attempt that it was asked about",
        "jobctl/cli/live/question.py",
        "        if job.retry_count != self.attempt:\n",
        "        if False:\n",
        ("tests/cli/live/test_live_view.py",),
    ),
    Fault(
        "any key answers a question",
        "jobctl/cli/live/view.py",
        '        if key != "y":\n',
        '        if key == "n":\n',
        ("tests/cli/live/test_live_view.py",),
    ),
    Fault(
        "an act takes another attempt of the job",
        "jobctl/api.py",
        "    if attempt is not None and job.retry_count != attempt:\n",
        "    if False:\n",
        ("tests/test_api.py",),
    ),
    Fault(
        "a family stands where its first member belongs",
        "jobctl/cli/job_table/order.py",
        "return min(self._keys[id] for id in self._members(top))",
        "return self._keys[top]",
        ("tests/cli/job_table",),
    ),
    Fault(
        "a job that moves leaves its old place in the order",
        "jobctl/cli/job_table/order.py",
        "            del self._tops[bisect_left(self._tops, (before, top))]\n        insort",
        "            pass\n        insort",
        ("tests/cli/job_table",),
    ),
    Fault(
        "nobody looks whether a pipe is read",
        "jobctl/cli/output_reader.py",
        "any(what & (select.POLLERR | select.POLLHUP) for _, what in poll.poll(0))",
        "False",
        ("tests/cli/test_watch_pipe.py",),
    ),
    Fault(
        "the supervisor does not restore the terminal of a child that was killed",
        "jobctl/cli/terminal/supervisor.py",
        """                shared.restore(fd, error_fd)
                if shared.guard is not None:""",
        """                if shared.guard is not None:""",
        ("tests/cli/terminal/test_session.py",),
    ),
    Fault(
        "a frame is written although the terminal has not taken the one before",
        "jobctl/cli/terminal/session.py",
        "if self._paint_later is None and not self._waits_for_output and self._modes is not None:",
        "if self._paint_later is None and self._modes is not None:",
        ("tests/cli/terminal/test_slow_terminal.py",),
    ),
    Fault(
        "pasted text is taken as keys",
        "jobctl/cli/terminal/keys.py",
        'self._pasting = parameters == b"200"',
        "self._pasting = False",
        ("tests/cli/terminal/test_keys.py",),
    ),
    Fault(
        "the end of a shorter row stays on the terminal",
        "jobctl/cli/terminal/painter.py",
        """    if len(old) > len(new):
        if not runs""",
        """    if len(old) > len(new) + 99:
        if not runs""",
        ("tests/cli/terminal/test_painter.py",),
    ),
)
