"""Settings, and where each comes from: ``$JOBCTL_*``, the project's ``jobctl.toml``, the user's.

A flag beats the environment, which beats the nearest ``jobctl.toml`` from here upwards, which
beats the user's (``~/.config/jobctl/jobctl.toml`` on Linux). What decides where a token goes stands
in the user's file only: a project's file may come with a clone of somebody else's repository.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jobctl.errors import UsageError, did_you_mean

__all__ = [
    "FILE_NAME",
    "Setting",
    "Settings",
    "Where",
    "hub_in",
    "is_durable",
    "resolve_dir",
    "user_file",
]

FILE_NAME = "jobctl.toml"

_ENVIRONMENT = {
    "dir": "JOBCTL_DIR",
    "url": "JOBCTL_URL",
    "durable": "JOBCTL_DURABLE",
    "token-file": "JOBCTL_TOKEN_FILE",
    "ca": "JOBCTL_CA",
    "time-format": "JOBCTL_TIME_FORMAT",
}
_USERS_OWN = ("url", "token-file", "ca")
_TYPES = "types"
_MAX_BYTES = 64 * 1024
_TIME_FORMATS = ("relative", "iso", "local")


class Where(NamedTuple):
    """A directory, ``why`` it is this one, and whether somebody named it."""

    path: Path
    why: str
    explicit: bool


class Setting(NamedTuple):
    """A value, and its ``origin``: ``$JOBCTL_DIR``, a file's path.

    ``level`` orders origins: a source that is nearer to the command line has the higher one.
    """

    value: Any
    origin: str
    level: int


class _File(NamedTuple):
    path: Path
    values: dict[str, Any]
    level: int


_ENV_LEVEL, _PROJECT_LEVEL, _USER_LEVEL = 3, 2, 1


class Settings:
    """What the environment and the files say, without the flags.

    ``types`` are the tables ``[types.NAME]``, each with the path of its file; ``doubts`` are lines
    about keys that nobody knows. `UsageError` for a file that is none, or for a value of the wrong
    kind.
    """

    def __init__(self, env: Mapping[str, str], cwd: Path) -> None:
        self._env, self._cwd = env, cwd
        self.files = [file for file in (_nearest(cwd), _users()) if file is not None]
        if len(self.files) == 2 and self.files[0].path == self.files[1].path:
            del self.files[0]
        self.doubts = [doubt for file in self.files for doubt in _doubts(file)]
        self.types: dict[str, tuple[Any, str]] = {}
        for file in reversed(self.files):
            table = file.values.get(_TYPES, {})
            if not isinstance(table, dict):
                raise UsageError(f"{file.path}: types is no table", hint="write [types.NAME]")
            self.types |= {name: (value, str(file.path)) for name, value in table.items()}

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """All settings, but for the types."""
        return tuple(_ENVIRONMENT)

    def get(self, name: str) -> Setting | None:
        """The setting, checked, paths made absolute; ``None`` where nobody says anything."""
        variable = _ENVIRONMENT[name]
        if text := self._env.get(variable, ""):
            return Setting(self._of_text(name, text), f"${variable}", _ENV_LEVEL)
        for file in self.files:
            if name in file.values and not (name in _USERS_OWN and file.level > _USER_LEVEL):
                value = _of_file(name, file)
                return Setting(value, str(file.path), file.level)
        return None

    def _of_text(self, name: str, text: str) -> Any:
        variable = f"${_ENVIRONMENT[name]}"
        if name == "durable":
            if text.lower() not in ("0", "1", "true", "false"):
                raise UsageError(f"{variable} is neither 0 nor 1")
            return text.lower() in ("1", "true")
        if name == "time-format" and text not in _TIME_FORMATS:
            raise UsageError(f"{variable} is none of {', '.join(_TIME_FORMATS)}")
        if name == "dir":
            return self._cwd / _home(text, variable)
        return text


def hub_in(known: Settings, *, in_job: bool = False) -> str | None:
    """The URL of the hub that settings name to read from; ``None`` where it is a directory.

    A nearer setting counts before a farther one, and within a job the directory of the job.
    `UsageError` where both are named side by side.
    """
    hub, path = known.get("url"), known.get("dir")
    if hub is None or (path is not None and (path.level > hub.level or in_job)):
        return None
    if path is not None and path.level == hub.level:
        raise UsageError(
            f"{path.origin} and {hub.origin} name two sources: {path.value} and {hub.value}",
            hint="choose one by --dir or --url",
        )
    return str(hub.value)


def resolve_dir(
    flag: str | None, env: Mapping[str, str], cwd: Path, settings: Settings | None = None
) -> Where:
    """The directory of jobs for a command; `UsageError` for a ``jobctl.toml`` that is none."""
    if flag == "":
        raise UsageError("--dir is empty", hint="name a directory, or leave it out")
    if flag is not None:
        return Where(cwd / _home(flag, "--dir"), "--dir", explicit=True)
    if env.get("JOBCTL_DIR"):  # a file that is none does not keep anybody from it
        path = cwd / _home(env["JOBCTL_DIR"], "$JOBCTL_DIR")
        return Where(path, "$JOBCTL_DIR", explicit=True)
    found = (settings or Settings(env, cwd)).get("dir")
    if found is not None:
        return Where(found.value, found.origin, explicit=True)
    from platformdirs import user_state_path  # only the default needs it

    return Where(user_state_path("jobctl") / "jobs", "default", explicit=False)


def is_durable(env: Mapping[str, str], cwd: Path, settings: Settings | None = None) -> bool | None:
    """Whether each write shall survive a power cut; ``None`` where nobody says."""
    found = (settings or Settings(env, cwd)).get("durable")
    return found.value if found is not None else None


def user_file() -> Path:
    """Where the user's own settings are: as platformdirs says, on Linux without importing it."""
    if sys.platform == "linux":
        base = os.environ.get("XDG_CONFIG_HOME", "").strip()
        return Path(base or os.path.expanduser("~/.config"), "jobctl", FILE_NAME)
    from platformdirs import user_config_path

    return user_config_path("jobctl") / FILE_NAME


def _doubts(file: _File) -> list[str]:
    doubts = []
    for key in file.values:
        if key in _USERS_OWN and file.level > _USER_LEVEL:
            doubts.append(
                f"{file.path}: {key} does not count in a project's file; write it into "
                f"{user_file()}"
            )
        elif key not in _ENVIRONMENT and key != _TYPES:
            meant = did_you_mean(key, (*_ENVIRONMENT, _TYPES))
            hint = f"; {meant}" if meant else ""
            doubts.append(f"{file.path}: there is no setting {ascii(key)[1:-1]}{hint}")
    return doubts


def _of_file(name: str, file: _File) -> Any:
    value, path = file.values[name], file.path
    if name == "durable":
        if not isinstance(value, bool):
            raise UsageError(f"{path}: durable is neither true nor false")
        return value
    if not isinstance(value, str) or not value:
        example = {"dir": "data/jobs", "time-format": "iso"}.get(name, "…")
        raise UsageError(f"{path}: {name} is not a text", hint=f'write {name} = "{example}"')
    if name == "time-format" and value not in _TIME_FORMATS:
        raise UsageError(f"{path}: time-format is none of {', '.join(_TIME_FORMATS)}")
    if name in ("dir", "token-file", "ca"):
        full = path.parent / _home(value, f"{path}: {name}")
        return full if name == "dir" else str(full)
    return value


def _home(text: str, where: str) -> Path:
    """The path, ``~`` and ``~user`` resolved; `UsageError` for what can be no path."""
    if "\0" in text:
        raise UsageError(f"{where} holds a NUL", hint="no path does")
    if not text.startswith("~"):
        return Path(text)
    try:
        return Path(text).expanduser()
    except RuntimeError:  # no such user, or nobody knows where their home is
        raise UsageError(f"{where} {text} is in no home that is known") from None


def _nearest(cwd: Path) -> _File | None:
    """The nearest ``jobctl.toml``, from here upwards."""
    for folder in (cwd, *cwd.parents):
        file = _read(folder / FILE_NAME, _PROJECT_LEVEL)
        if file is not None:
            return file
    return None


def _users() -> _File | None:
    return _read(user_file(), _USER_LEVEL)


def _read(path: Path, level: int) -> _File | None:
    data = _bytes(path)
    if data is None:
        return None
    import tomllib

    try:
        return _File(path, tomllib.loads(data.decode("utf-8-sig")), level)
    except (ValueError, RecursionError) as error:  # also a number of 5,000 digits, or brackets
        raise UsageError(f"{path}: {error}", hint="mend or remove the file") from error


def _bytes(path: Path) -> bytes | None:
    """What the file holds; ``None`` where there is none, or none for us. It never waits."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", hint="mend or remove the file") from error
    try:
        about = os.fstat(fd)
        if not stat.S_ISREG(about.st_mode):
            return None
        if about.st_size > _MAX_BYTES:
            raise UsageError(f"{path} has over {_MAX_BYTES} bytes", hint="mend or remove the file")
        return os.read(fd, _MAX_BYTES)
    finally:
        os.close(fd)
