"""Where a tracked job is recorded: the store that its caller named, or that of the settings."""

from __future__ import annotations

import os
from pathlib import Path

from jobctl.config import Settings, is_durable, resolve_dir
from jobctl.core.pipeline import Pipelines, parse_types
from jobctl.stores import Store, open_store
from jobctl.work.recorder import Recorder

__all__ = ["Target"]


class Target:
    """A store, its durability, and the pipelines that apply there.

    ``store`` is a store, a path or a URL; ``None`` for the directory that the command line uses.
    ``pipelines`` are ``None`` for a job with its own stages, which needs no others. What is not
    given is taken from the settings, which are read once, and only if they are needed.
    """

    def __init__(
        self,
        store: Store | str | os.PathLike[str] | None,
        pipelines: Pipelines | None,
        *,
        own_stages: bool,
    ) -> None:
        durable = None
        if store is None or (pipelines is None and not own_stages):
            here = Path.cwd()
            settings = Settings(os.environ, here)
            if pipelines is None and not own_stages:
                pipelines = Pipelines(parse_types(settings.types))
            if store is None:
                store = resolve_dir(None, os.environ, here, settings).path
                durable = is_durable(os.environ, here, settings)
        self._store, self._durable = store, durable
        self.pipelines = pipelines

    def join_recorder(self, *, strict: bool) -> Recorder | None:
        """Return the recorder of the store; ``None`` if too much is queued there."""
        store, durable = self._store, self._durable
        if not isinstance(store, (str, os.PathLike)):
            return Recorder.join(id(store), lambda: store, owned=False, strict=strict)
        text = os.fspath(store)
        path = text if "://" in text or text == "memory:" else os.path.abspath(text)
        return Recorder.join(
            (path, durable),
            lambda: open_store(path, create=True, durable=durable),
            owned=True,
            strict=strict,
        )
