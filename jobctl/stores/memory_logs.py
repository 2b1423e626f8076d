"""The output of jobs in the memory store: the segments of stores/directory/logs.py, in memory."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from jobctl._clock import now_ms
from jobctl.core.job import Job
from jobctl.core.log import LogLine, LogPart, attempt_line, encode_line, encode_lines
from jobctl.stores.contract import LogInfo

__all__ = ["MemoryLogWriter", "MemoryLogs"]

_SEGMENT_BYTES = 64 * 1024
_MAX_SEGMENTS = 16


class _Log:
    def __init__(self) -> None:
        self.segments: list[tuple[int, bytearray]] = [(0, bytearray())]
        self.changed_ms = now_ms()

    def append(self, line: bytes) -> None:
        start, data = self.segments[-1]
        if data and len(data) + len(line) > _SEGMENT_BYTES:
            self.segments.append((start + len(data), data := bytearray()))
            if len(self.segments) > _MAX_SEGMENTS:
                del self.segments[1]
        data += line


class MemoryLogs:
    """The logs of one memory store. Safe for threads."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._logs: dict[str, _Log] = {}

    def writer(self, job: Job) -> MemoryLogWriter:
        """Return a writer for the job's present attempt."""
        return MemoryLogWriter(self, job)

    def append(self, id: str, lines: Iterable[bytes]) -> None:
        """Append encoded lines to the log of the id."""
        with self._guard:
            log = self._logs.setdefault(id, _Log())
            for line in lines:
                log.append(line)
            log.changed_ms = now_ms()

    def read(self, id: str, offset: int, limit: int) -> LogPart | None:
        """See `HasLogs.read_log`."""
        with self._guard:
            if (log := self._logs.get(id)) is None:
                return None
            start, data = log.segments[-1]
            at = offset if offset <= start + len(data) else 0
            for start, data in log.segments:
                if (begin := max(at, start)) < start + len(data):
                    part = bytes(data[begin - start :])
                    end = part.rfind(b"\n", 0, max(limit, part.find(b"\n") + 1)) + 1
                    return LogPart(begin, part[:end])
            return LogPart(at, b"")

    def info(self, id: str) -> LogInfo | None:
        """See `HasLogs.log_info`."""
        with self._guard:
            if (log := self._logs.get(id)) is None:
                return None
            return LogInfo(id, sum(len(data) for _, data in log.segments), log.changed_ms)

    def all(self) -> list[LogInfo]:
        """See `HasLogs.logs`."""
        found = [self.info(id) for id in sorted(self._logs)]
        return [info for info in found if info is not None]

    def remove(self, id: str) -> bool:
        """See `HasLogs.remove_log`."""
        with self._guard:
            return self._logs.pop(id, None) is not None


class MemoryLogWriter:
    """Appends the output of one attempt to the job's log; see `LogWriter`."""

    problem: str | None = None

    def __init__(self, logs: MemoryLogs, job: Job) -> None:
        self._logs = logs
        self._job = job
        self._begun = False

    def write(self, lines: Iterable[LogLine]) -> None:
        """Append the lines."""
        lines = list(lines)
        data = list(encode_lines(lines))
        if data and not self._begun:
            self._begun = True
            line = attempt_line(lines[0].at_ms, self._job.retry_count + 1, self._job.created_at)
            data.insert(0, encode_line(line))
        if data:
            self._logs.append(self._job.id, data)

    def close(self) -> None:
        """Do nothing: nothing is open."""
