"""Module paths of 0.1.0: they work in this release, with a `DeprecationWarning`.

Import what is documented from `jobctl` itself. This file will be removed in 0.3. It imports almost
nothing, because every ``import jobctl`` imports it.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

__all__ = ["MOVED", "attributes_of", "install"]

MOVED = {
    "bell": "stores.bell stores.directory.bell",
    "clock": "core.times _clock",
    "codec": "core.codec",
    "cursor": "core.cursor",
    "doctor": "upkeep.doctor",
    "doctor.contents": "upkeep.doctor.contents",
    "doctor.environment": "upkeep.doctor.environment",
    "doctor.finding": "upkeep.doctor.finding",
    "doctor.listeners": "upkeep.doctor.listeners",
    "doctor.place": "upkeep.doctor.location",
    "dummy": "work.dummy",
    "eta": "core.eta",
    "filters": "core.filters",
    "job": "core.job core.transitions",
    "jobset": "core.jobset",
    "net": "",
    "net.backoff": "reader.backoff",
    "net.client": "reader.client",
    "net.connection": "hub.connection",
    "net.discovery": "hub.discovery",
    "net.door": "hub.access",
    "net.feed": "hub.feed",
    "net.follow": "reader.follow",
    "net.front": "hub.admission",
    "net.housekeeping": "hub.periodic upkeep.tasks",
    "net.http": "hub.http",
    "net.metrics": "hub.metrics",
    "net.origin": "hub.origin",
    "net.remote": "reader.once",
    "net.secrets": "hub.credentials",
    "net.seldom": "hub.log_limit",
    "net.server": "hub.server",
    "net.status": "reader.status",
    "net.wait": "reader.wait",
    "net.waiting": "core.conditions",
    "net.web": "reader.http_api",
    "pipeline": "core.pipeline",
    "protocol": "core.protocol",
    "prune": "upkeep.prune",
    "reap": "upkeep.reap",
    "recorder": "work.recorder",
    "runner": "work.run",
    "runner.child": "work.run.child",
    "runner.events": "work.run.event_file work.run.event_lines",
    "runner.relay": "work.run.relay",
    "runner.runner": "work.run.command",
    "stores.changelog": "stores.directory.changelog",
    "stores.files": "stores.directory.files",
    "stores.index": "stores.directory.index",
    "stores.lock": "stores.directory.lock",
    "stores.mounts": "stores.directory.mounts",
    "stores.place": "stores.directory.place",
    "stores.reader": "stores.directory.read",
    "stores.scan": "stores.directory.scan",
    "stores.store": "stores.contract",
    "stores.watcher": "stores.subscriptions",
    "tracker": "work.track",
}
"""Old module path, without ``jobctl.``, to the modules that now have its names."""


class _Finder:
    """Finds the old paths. It is the first finder, or a moved package's files would load twice."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name.startswith("jobctl.") and name[7:] in MOVED:
            from importlib.machinery import ModuleSpec

            return ModuleSpec(name, self)  # type: ignore[arg-type]
        return None

    def create_module(self, spec: ModuleSpec) -> None:
        """Let the import system make an empty module; `exec_module` fills or replaces it."""

    def exec_module(self, module: ModuleType) -> None:
        from importlib import import_module

        name = module.__name__
        homes = [import_module(f"jobctl.{home}") for home in MOVED[name[7:]].split()]
        if len(homes) == 1:
            sys.modules[name] = homes[0]
        module.__path__ = []
        for home in homes:
            public = {key: value for key, value in vars(home).items() if not key.startswith("__")}
            vars(module).update(public)
        if homes:
            _warn(name, [home.__name__ for home in homes])


def install() -> None:
    """Make the old paths importable."""
    sys.meta_path.insert(0, _Finder())


def attributes_of(package: str, home: str) -> Callable[[str], Any]:
    """Return a ``__getattr__`` for a package that was a module; its old names are in ``home``."""

    def getattr_(name: str) -> Any:
        from importlib import import_module
        from importlib.util import find_spec

        # A module of the package, which an import asks for here first, is none of the old names.
        if name.startswith("_") or find_spec(f"{package}.{name}") is not None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(home), name)
        _warn(f"{package}.{name}", [f"{home}.{name}"])
        return value

    return getattr_


def _warn(old: str, new: Sequence[str]) -> None:
    from warnings import warn

    warn(f"{old} is now {' and '.join(new)}", DeprecationWarning, stacklevel=3)
