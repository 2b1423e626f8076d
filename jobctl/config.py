"""Settings and their origins: ``$JOBCTL_*``, and three files named ``jobctl.toml``.

A flag beats the environment. The environment beats the project's file (the nearest one from here
upwards), which beats the user's (``~/.config/jobctl/jobctl.toml`` on Linux), which beats the
system's (``/etc/jobctl/jobctl.toml``). Settings that decide where a token is sent, where a page's
links lead, and which directories are safe, count only in the user's and the system's file, because
a project's file may come with a clone of somebody else's repository.

A file counts only if it is obeyed, by the rule of _trust.py. For the system's file this means that
only root can write it. A file that is not obeyed is an error for commands that need to know where
the jobs are; otherwise jobctl would silently use another directory. With a flag or an environment
variable for that, the file is not needed.

``safe-directories`` lists directories to which the rule does not apply: neither to the directories
nor to anything below them, settings files and job directories alike. The lists of both files are
combined. Paths are absolute or start with ``~``, and are compared after symbolic links are
resolved.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import sys
from collections.abc import Mapping

from jobctl._stdlib import tidy
from jobctl._trust import ROOT, check_trust, is_safe, my_uids, safe_line
from jobctl.errors import NotObeyed, UsageError, did_you_mean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any, NamedTuple
else:
    from jobctl._stdlib import NamedTuple

__all__ = [
    "FILE_NAME",
    "Setting",
    "Settings",
    "Where",
    "check_session_url",
    "hub_in",
    "is_control",
    "is_durable",
    "is_read_only",
    "log_limit",
    "resolve_dir",
    "safe_directories",
    "safe_hint",
    "system_file",
    "user_file",
    "who_forbids_control",
]

FILE_NAME = "jobctl.toml"
_SYSTEM_FILE = f"/etc/jobctl/{FILE_NAME}"

_ENVIRONMENT = {
    "dir": "JOBCTL_DIR",
    "url": "JOBCTL_URL",
    "durable": "JOBCTL_DURABLE",
    "token-file": "JOBCTL_TOKEN_FILE",
    "ca": "JOBCTL_CA",
    "time-format": "JOBCTL_TIME_FORMAT",
    "log": "JOBCTL_LOG",
    "log-limit": "JOBCTL_LOG_LIMIT",
    "read-only": "JOBCTL_READ_ONLY",
    "session-url": "JOBCTL_SESSION_URL",
    "control": "JOBCTL_CONTROL",
}
_BOOLEANS = ("durable", "read-only", "control")
_SAFE = "safe-directories"
_NAMES = (*_ENVIRONMENT, _SAFE)
_RESERVED = ("store", "forward")
"""Settings of a later version. They send data elsewhere, so no project's file may have them."""
_NOT_PROJECTS = ("url", "token-file", "ca", "session-url", "control", _SAFE, *_RESERVED)
"""What counts in the user's file and in the system's only."""
_TYPES = "types"
_MAX_BYTES = 64 * 1024
_SIZE = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,3})?) ?(?:([kKMGT])(i?)B?|B)?")
_MIN_LOG_LIMIT = 1_000_000
_SESSION_URL = re.compile(r"https?://[^\s/?#@\\{}\x00-\x1f\x7f]+[/?#][^\s\x00-\x1f\x7f]*")
_MAX_SESSION_URL = 2048
_CHOICES = {
    "time-format": ("relative", "iso", "local"),
    "log": ("on", "all", "on-failure", "off"),
}


class Where(NamedTuple):
    """A directory, ``why`` it was chosen, and whether it was named explicitly."""

    name: str
    why: str
    explicit: bool

    @property
    def path(self) -> Path:
        """The directory."""
        from pathlib import Path  # whose import takes 3 ms

        return Path(self.name)


class Setting(NamedTuple):
    """A value and its ``origin``: ``$JOBCTL_DIR``, or a file's path.

    A source that is nearer to the command line has a higher ``level``.
    """

    value: Any
    origin: str
    level: int


class _File(NamedTuple):
    path: str
    values: dict[str, Any]
    level: int
    key: tuple[int, int]  # device and inode


_ENV_LEVEL, _PROJECT_LEVEL, _USER_LEVEL, _SYSTEM_LEVEL = 3, 2, 1, 0

_NOWHERE = (errno.ELOOP, errno.ENAMETOOLONG)
"""Errors of a link that leads to no file."""

# One that may be passed through need not be readable, and then has to be opened so.
_O_FOLDER = getattr(os, "O_PATH", getattr(os, "O_SEARCH", 0)) | os.O_DIRECTORY | os.O_CLOEXEC


class Settings:
    """The settings from the environment and the files, without the flags.

    ``files`` are the files that count; ``not_obeyed`` has an error for each existing file that does
    not. ``types`` are the tables ``[types.NAME]``, each with its file's path. ``doubts`` are lines
    about unknown keys. ``safe`` are the resolved safe directories. Raises `UsageError` for an
    invalid file or value.
    """

    def __init__(self, env: Mapping[str, str], cwd: str | os.PathLike[str]) -> None:
        self._env, self._cwd = env, os.fspath(cwd)
        uids = my_uids(env)
        found, self.safe = _own_files(uids)
        project = _nearest(self._cwd, uids, self.safe)
        if project is not None and not any(_is_same(project, other) for other in found):
            found = [project, *found]
        self.files = [file for file in found if isinstance(file, _File)]
        self.not_obeyed = [error for error in found if isinstance(error, NotObeyed)]
        self.doubts = [doubt for file in self.files for doubt in _doubts(file)]
        self.types: dict[str, tuple[Any, str]] = {}
        for file in reversed(self.files):
            table = file.values.get(_TYPES, {})
            if not isinstance(table, dict):
                raise UsageError(f"{file.path}: types is no table", hint="write [types.NAME]")
            self.types |= {name: (value, file.path) for name, value in table.items()}

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Return the names of all settings except the types."""
        return _NAMES

    def get(self, name: str) -> Setting | None:
        """Return the setting, checked, with absolute paths; ``None`` if it is not set."""
        variable = _ENVIRONMENT.get(name, "")
        if text := self._env.get(variable, ""):
            return Setting(self._of_text(name, text), f"${variable}", _ENV_LEVEL)
        files = [
            file
            for file in self.files
            if name in file.values and not (name in _NOT_PROJECTS and file.level > _USER_LEVEL)
        ]
        if not files:
            return None
        if name == _SAFE:  # the only one that adds up
            paths = [path for file in files for path in _of_file(name, file)]
            return Setting(paths, ", ".join(file.path for file in files), files[0].level)
        if name == "read-only":  # a nearer file, perhaps of a cloned project, cannot lift it
            files = [file for file in files if _of_file(name, file)] or files
        return Setting(_of_file(name, files[0]), files[0].path, files[0].level)

    def check_obeyed(self) -> None:
        """Raise the first `NotObeyed`; for commands that take the job directory from the files."""
        if self.not_obeyed:
            raise self.not_obeyed[0]

    def is_source_in_environment(self) -> bool:
        """Whether the environment names the job directory or the hub."""
        return any(self._env.get(_ENVIRONMENT[name]) for name in ("dir", "url"))

    def _of_text(self, name: str, text: str) -> Any:
        variable = f"${_ENVIRONMENT[name]}"
        if name in _BOOLEANS:
            if text.lower() not in ("0", "1", "true", "false"):
                raise UsageError(f"{variable} is neither 0 nor 1")
            return text.lower() in ("1", "true")
        if name in _CHOICES and text not in _CHOICES[name]:
            raise UsageError(f"{variable} is none of {', '.join(_CHOICES[name])}")
        if name == "log-limit":
            return _log_limit(text, variable)
        if name == "session-url":
            return check_session_url(text, variable)
        if name == "dir":
            return tidy(os.path.join(self._cwd, _home(text, variable)))
        return text


def hub_in(known: Settings, *, in_job: bool = False) -> str | None:
    """Return the URL of the hub that the settings name as source; ``None`` for a directory.

    A nearer setting beats a farther one; within a job, the job's directory wins. Raises
    `UsageError` if one source names both, and `NotObeyed` if the decision depends on a file that is
    not obeyed.
    """
    if not known.is_source_in_environment():
        known.check_obeyed()
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
    flag: str | None,
    env: Mapping[str, str],
    cwd: str | os.PathLike[str],
    settings: Settings | None = None,
) -> Where:
    """Return the job directory of a command; `UsageError` for an invalid ``jobctl.toml``.

    `NotObeyed` if neither the flag nor the environment names it and a file is not obeyed.
    """
    if flag == "":
        raise UsageError("--dir is empty", hint="name a directory, or leave it out")
    if flag is not None:
        return Where(tidy(os.path.join(cwd, _home(flag, "--dir"))), "--dir", explicit=True)
    if env.get("JOBCTL_DIR"):  # a file that is none does not keep anybody from it
        name = tidy(os.path.join(cwd, _home(env["JOBCTL_DIR"], "$JOBCTL_DIR")))
        return Where(name, "$JOBCTL_DIR", explicit=True)
    known = settings or Settings(env, cwd)
    known.check_obeyed()
    found = known.get("dir")
    if found is not None:
        return Where(found.value, found.origin, explicit=True)
    return Where(os.path.join(_state_dir(), "jobs"), "default", explicit=False)


def _state_dir() -> str:
    """Return the directory for jobctl's state: platformdirs' one, without its import on Linux.

    Raises `UsageError` if the user has no home directory.
    """
    if sys.platform == "linux":
        base = os.environ.get("XDG_STATE_HOME", "").strip()
        path = tidy(os.path.join(base or os.path.expanduser("~/.local/state"), "jobctl"))
    else:
        from platformdirs import user_state_path

        path = str(user_state_path("jobctl"))
    if path.startswith("~"):
        raise UsageError(
            f"there is no directory for jobs: user {os.getuid()} has no home directory",
            hint="name one by --dir or $JOBCTL_DIR, or set $HOME",
        )
    return path


def is_durable(
    env: Mapping[str, str], cwd: str | os.PathLike[str], settings: Settings | None = None
) -> bool | None:
    """Whether each write shall survive a power failure; ``None`` if it is not set."""
    found = (settings or Settings(env, cwd)).get("durable")
    return found.value if found is not None else None


def is_read_only(known: Settings) -> bool:
    """Whether views of the jobs (``watch``, a hub's page) offer nothing that changes a job."""
    found = known.get("read-only")
    return found is not None and bool(found.value)


def is_control(known: Settings) -> bool:
    """Whether a hub lets clients change jobs."""
    found = known.get("control")
    return found is not None and bool(found.value)


def who_forbids_control(known: Settings) -> str | None:
    """Return the path of the system's file if it says that no hub lets clients change jobs."""
    for file in known.files:
        if file.level == _SYSTEM_LEVEL and "control" in file.values:
            return None if _of_file("control", file) else file.path
    return None


def log_limit(env: Mapping[str, str]) -> int | None:
    """Return how many bytes all logs of a directory may have; ``None`` if it is not set.

    Or if the settings cannot be read: the work goes on, whatever is wrong with them.
    """
    try:
        found = Settings(env, os.getcwd()).get("log-limit")
    except (UsageError, OSError):
        return None
    return found.value if found is not None else None


def _log_limit(text: str, where: str) -> int:
    """Return the bytes in ``200MB`` or ``1.5GiB``; `UsageError` if that is too few."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise UsageError(f"{where}: {ascii(text)} is no size", hint="write 200MB or 1.5GiB")
    number, unit, binary = match.groups()
    power = "kMGT".index(unit.replace("K", "k")) + 1 if unit else 0
    factor: int = (1024 if binary else 1000) ** power
    size = round(float(number) * factor)
    if size < _MIN_LOG_LIMIT:
        raise UsageError(f"{where}: {text} is too little", hint="1MB is the least")
    return size


def check_session_url(text: str, where: str) -> str:
    """Return the template of links to sessions; `UsageError` if it is invalid.

    It is an http or https URL with ``{id}`` after the host, so that no session's id decides which
    site a link leads to.
    """
    if len(text) > _MAX_SESSION_URL:
        raise UsageError(f"{where} has over {_MAX_SESSION_URL} characters")
    if not _SESSION_URL.fullmatch(text) or "{id}" not in text:
        raise UsageError(
            f"{where}: {ascii(text)} is no http or https URL with {{id}} after its host",
            hint="write https://app.example/sessions/{id}",
        )
    return text


def user_file() -> Path:
    """Return the path of the user's settings."""
    from pathlib import Path

    return Path(_user_file())


def _user_file() -> str:
    """Return platformdirs' path, without its import on Linux."""
    if sys.platform == "linux":
        base = os.environ.get("XDG_CONFIG_HOME", "").strip()
        return tidy(os.path.join(base or os.path.expanduser("~/.config"), "jobctl", FILE_NAME))
    from platformdirs import user_config_path

    return str(user_config_path("jobctl") / FILE_NAME)


def system_file() -> Path:
    """Return the path of the system's settings, which apply to all users."""
    from pathlib import Path

    return Path(_SYSTEM_FILE)


def safe_directories(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the resolved paths of the safe directories; none if the files cannot be read."""
    try:
        return _own_files(my_uids(environ))[1]
    except UsageError:
        return ()


def safe_hint(directory: str | os.PathLike[str]) -> str:
    """Return a hint on how to use a directory that is not obeyed."""
    return f"if you trust it, add {safe_line(directory)} to {_user_file()}"


def _doubts(file: _File) -> list[str]:
    doubts = []
    for key in file.values:
        if key in _NOT_PROJECTS and file.level > _USER_LEVEL:
            doubts.append(
                f"{file.path}: {key} does not count in a project's file; write it into "
                f"{_user_file()}"
            )
        elif key not in _NAMES and key != _TYPES:
            meant = did_you_mean(key, (*_NAMES, _TYPES))
            hint = f"; {meant}" if meant else ""
            doubts.append(f"{file.path}: there is no setting {ascii(key)[1:-1]}{hint}")
    return doubts


def _of_file(name: str, file: _File) -> Any:
    value, path = file.values[name], file.path
    if name in _BOOLEANS:
        if not isinstance(value, bool):
            raise UsageError(f"{path}: {name} is neither true nor false")
        return value
    if name == _SAFE:
        return _paths_in(value, path)
    if name == "log-limit" and isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value:
        examples = {
            "dir": "data/jobs",
            "time-format": "iso",
            "log": "off",
            "log-limit": "200MB",
            "session-url": "https://app.example/sessions/{id}",
        }
        example = examples.get(name, "…")
        raise UsageError(f"{path}: {name} is not a text", hint=f'write {name} = "{example}"')
    if name in _CHOICES and value not in _CHOICES[name]:
        raise UsageError(f"{path}: {name} is none of {', '.join(_CHOICES[name])}")
    if name == "log-limit":
        return _log_limit(value, f"{path}: log-limit")
    if name == "session-url":
        return check_session_url(value, f"{path}: session-url")
    if name == "url" and value.startswith("unix:") and not value.startswith("unix:/"):
        return f"unix:{_beside(path, value.removeprefix('unix:'), name)}"
    if name in ("dir", "token-file", "ca"):
        return _beside(path, value, name)
    return value


def _beside(file: str, value: str, name: str) -> str:
    """Return the path in a setting; a relative one starts at the file's directory."""
    return tidy(os.path.join(os.path.dirname(file), _home(value, f"{file}: {name}")))


def _paths_in(value: Any, path: str) -> list[str]:
    """Return the safe directories of a file, with ``~`` expanded; `UsageError` for other values."""
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise UsageError(
            f"{path}: {_SAFE} is not a list of paths", hint=f'write {_SAFE} = ["/srv/jobs"]'
        )
    found = []
    for each in value:
        full = _home(each, f"{path}: {_SAFE}")
        if not os.path.isabs(full):
            raise UsageError(
                f"{path}: {_SAFE} holds {ascii(each)}, which is not an absolute path",
                hint=f'write {_SAFE} = ["/srv/jobs"]',
            )
        found.append(tidy(full))
    return found


def _home(text: str, where: str) -> str:
    """Return the path with ``~`` and ``~user`` expanded; `UsageError` for an invalid path."""
    if "\0" in text:
        raise UsageError(f"{where} holds a NUL", hint="no path does")
    full = os.path.expanduser(text)
    if full.startswith("~"):  # no such user, or nobody knows where their home is
        raise UsageError(f"{where} {text} is in no home that is known")
    return full


_Read = _File | NotObeyed | None
"""The settings in a file, the error that it is not obeyed, or ``None`` where there is no file."""


def _own_files(uids: frozenset[int]) -> tuple[list[_File | NotObeyed], tuple[str, ...]]:
    """Return the user's and the system's file, and the safe directories that they list.

    Each of the two may list the directory of the other.
    """
    system = _read(_SYSTEM_FILE, _SYSTEM_LEVEL, ROOT, ())
    path = _user_file()
    has_home = not path.startswith("~")
    user = _read(path, _USER_LEVEL, uids, _safe_in(system)) if has_home else None
    if isinstance(system, NotObeyed):
        system = _read(_SYSTEM_FILE, _SYSTEM_LEVEL, ROOT, _safe_in(user))
    found = [file for file in (user, system) if file is not None]
    return found, (*_safe_in(user), *_safe_in(system))


def _safe_in(file: _Read) -> tuple[str, ...]:
    if not isinstance(file, _File) or _SAFE not in file.values:
        return ()
    return tuple(os.path.realpath(path) for path in _of_file(_SAFE, file))


def _is_same(file: _File | NotObeyed, other: _File | NotObeyed) -> bool:
    """Whether both are the same file."""
    if isinstance(file, _File) and isinstance(other, _File):
        return file.key == other.key
    return file.path == other.path


def _nearest(cwd: str, uids: frozenset[int], safe: tuple[str, ...]) -> _Read:
    """Return the nearest ``jobctl.toml`` from here upwards, even if it is not obeyed."""
    folder = tidy(cwd)
    while True:
        file = _read(os.path.join(folder, FILE_NAME), _PROJECT_LEVEL, uids, safe)
        above = os.path.dirname(folder)
        if file is not None or above == folder:
            return file
        folder = above


def _read(path: str, level: int, uids: frozenset[int], safe: tuple[str, ...]) -> _Read:
    """Return what the file says, if these users obey it or its directory is safe.

    ``None`` if there is no file, or we may not read it. A link of another user that leads nowhere
    is not obeyed either: an error about its target would stop us even where a directory is named.
    Never blocks.
    """
    fd = None
    parent, name = os.path.split(path)
    try:
        folder = os.open(parent, _O_FOLDER)
        try:
            why: str | None
            try:
                fd, about = _open(name, folder)
            except OSError as error:
                if error.errno not in _NOWHERE:
                    raise
                about = os.stat(name, dir_fd=folder, follow_symlinks=False)
                if about.st_uid in uids:
                    raise  # we can remove it
                why = f"the link {check_trust(about, path, uids)}"
            else:
                if about is None:
                    return None
                why = _why_not_obeyed(path, folder, fd, about, uids)
            if why is not None and not is_safe(parent, os.fstat(folder), safe):
                hint = f"name a directory by --dir; {safe_hint(parent)}"
                if level == _USER_LEVEL:
                    hint = "make it your own, for nobody else to write; --dir does without it"
                return NotObeyed(path, why, hint=hint)
        finally:
            os.close(folder)
        if fd is None:
            return None
        if about.st_size > _MAX_BYTES:
            raise UsageError(f"{path} has over {_MAX_BYTES} bytes", hint="mend or remove the file")
        data = os.read(fd, _MAX_BYTES)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", hint="mend or remove the file") from error
    finally:
        if fd is not None:
            os.close(fd)
    import tomllib

    try:
        values = tomllib.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:  # also a number of 5,000 digits, or brackets
        raise UsageError(f"{path}: {error}", hint="mend or remove the file") from error
    return _File(path, values, level, (about.st_dev, about.st_ino))


def _open(name: str, folder: int) -> tuple[int | None, os.stat_result | None]:
    """Return the descriptor and the status of the file; no status if it is not a regular file.

    There is no descriptor if we may not read the file. OSError.
    """
    fd = None
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except PermissionError:
        about = os.stat(name, dir_fd=folder)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return None, None  # a socket
    else:
        about = os.fstat(fd)
    if stat.S_ISREG(about.st_mode):
        return fd, about
    if fd is not None:
        os.close(fd)
    return None, None


def _why_not_obeyed(
    path: str, folder: int, fd: int | None, about: os.stat_result, uids: frozenset[int]
) -> str | None:
    """Return why the settings file is not obeyed, or ``None`` (see _trust.py).

    Without a descriptor, because we may not read the file, only its owner is checked.
    """
    if fd is None:
        return None if about.st_uid in uids else f"it {check_trust(about, path, uids)}"
    if why := check_trust(about, fd, uids):
        return f"it {why}"
    around = os.fstat(folder)
    if why := check_trust(around, os.path.dirname(path), uids, sticky=True):
        return f"its directory {why}"
    if around.st_mode & stat.S_ISVTX:  # where others can make a link, but not replace one of ours
        name = os.stat(os.path.basename(path), dir_fd=folder, follow_symlinks=False)
        if name.st_uid not in uids:
            return f"the link to it {check_trust(name, path, uids)}"
    return None
