"""Makes jobs of the files in a directory, odd ones with the guesses that were recorded for them."""

from __future__ import annotations

from contextlib import suppress

from jobctl.core.codec import parse, parse_trusted
from jobctl.core.job import Job
from jobctl.errors import InvalidJob
from jobctl.stores.directory.changelog import digest_of
from jobctl.stores.directory.files import FoundFile
from jobctl.stores.directory.place import Place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobctl.core.lenient import Guess
    from jobctl.stores.directory.guesses import Guesses

__all__ = ["JobParser"]


class JobParser:
    """Parses the files of one directory. Hold the index's guard where threads share it."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._guesses: Guesses | None = None

    def parse(self, id: str, found: FoundFile, *, revision: int = 0, trusted: bool = False) -> Job:
        """Return the job in a file; `InvalidJob` if it is none.

        ``trusted`` says that a digest confirms that jobctl wrote the file.
        """
        if found.problem is not None:
            raise InvalidJob(found.problem, id=id)
        read, file_ms = parse_trusted if trusted else parse, found.signature[1] // 1_000_000
        job = read(found.data, id=id, revision=revision, file_ms=file_ms)
        own = guess_in(job)
        if own is None:
            return job
        meta = (self._place.last or self._place.current()).meta
        guess = self._recorded(id, digest_of(found.data), meta.fd) if meta else None
        if guess is None or guess == own:
            return job
        return parse(found.data, id=id, revision=revision, file_ms=file_ms, guess=guess)

    def prepare(self) -> None:
        """Import what odd files need, so that they are read when no descriptor is free, too."""
        from jobctl.core import lenient  # noqa: F401
        from jobctl.stores.directory import guesses  # noqa: F401

    def _recorded(self, id: str, digest: str, meta_fd: int) -> Guess | None:
        if self._guesses is None:
            from jobctl.stores.directory.guesses import Guesses  # most commands meet no odd file

            self._guesses = Guesses()
        return self._guesses.find(id, digest, meta_fd)

    # -- under the writer's lock ------------------------------------------------------------

    def record(self, id: str, found: FoundFile, digest: str, meta_fd: int) -> None:
        """Record what we guess about a content, before its own record is appended to the log."""
        with suppress(InvalidJob):
            if found.problem is None:
                file_ms = found.signature[1] // 1_000_000
                self.keep(
                    {(id, digest): guess_in(parse(found.data, id=id, file_ms=file_ms))}, meta_fd
                )

    def new_guess(self, id: str, found: FoundFile, digest: str, meta_fd: int) -> Guess | None:
        """Return what we guess about a content, if no guess about it is recorded yet."""
        with suppress(InvalidJob):
            guess = guess_in(self.parse(id, found))
            if guess is not None and self._recorded(id, digest, meta_fd) is None:
                return guess
        return None

    @staticmethod
    def keep(guesses: Mapping[tuple[str, str], Guess | None], meta_fd: int) -> None:
        """Record these guesses by id and digest. Without them, each reader guesses by itself."""
        known = {key: guess for key, guess in guesses.items() if guess is not None}
        if known:
            from jobctl.stores.directory.guesses import Guesses

            with suppress(OSError):
                Guesses.add(known, meta_fd)


def guess_in(job: Job) -> Guess | None:
    """Return what the guessed times of a job rest on; ``None`` if all are known."""
    return job.reading.guess if job.reading is not None else None
