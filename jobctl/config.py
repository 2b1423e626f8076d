"""Which directory: ``--dir`` over ``$JOBCTL_DIR`` over ``jobctl.toml`` over the user's own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jobctl.errors import UsageError

__all__ = ["FILE_NAME", "Where", "is_durable", "resolve_dir", "settings_file"]

FILE_NAME = "jobctl.toml"


class Where(NamedTuple):
    """A directory, ``why`` it is this one, and whether somebody named it."""

    path: Path
    why: str
    explicit: bool


def resolve_dir(flag: str | None, env: Mapping[str, str], cwd: Path) -> Where:
    """The directory of jobs for a command; `UsageError` for a ``jobctl.toml`` that is none."""
    if flag == "":
        raise UsageError("--dir is empty", hint="name a directory, or leave it out")
    if flag is not None:
        return Where(cwd / _home(flag, "--dir"), "--dir", explicit=True)
    if env.get("JOBCTL_DIR"):
        path = cwd / _home(env["JOBCTL_DIR"], "$JOBCTL_DIR")
        return Where(path, "$JOBCTL_DIR", explicit=True)
    found = _nearest(cwd)
    if found is not None:
        path, settings = found
        directory = settings.get("dir")
        if directory is not None:
            if not isinstance(directory, str) or not directory:
                raise UsageError(f"{path}: dir is not a text", hint='write dir = "data/jobs"')
            return Where(path.parent / _home(directory, f"{path}: dir"), str(path), explicit=True)
    from platformdirs import user_state_path  # only the default needs it

    return Where(user_state_path("jobctl") / "jobs", "default", explicit=False)


def is_durable(env: Mapping[str, str], cwd: Path) -> bool | None:
    """Whether each write shall survive a power cut; ``None`` where nobody says."""
    text = env.get("JOBCTL_DURABLE", "")
    if text:
        if text.lower() not in ("0", "1", "true", "false"):
            raise UsageError("$JOBCTL_DURABLE is neither 0 nor 1")
        return text.lower() in ("1", "true")
    found = _nearest(cwd)
    durable = found[1].get("durable") if found is not None else None
    if found is not None and not isinstance(durable, bool | None):
        raise UsageError(f"{found[0]}: durable is neither true nor false")
    return durable


def settings_file(cwd: Path) -> Path | None:
    """The ``jobctl.toml`` that counts here, if there is one; `UsageError` for one that is none."""
    found = _nearest(cwd)
    return found[0] if found is not None else None


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


def _nearest(cwd: Path) -> tuple[Path, dict[str, Any]] | None:
    """The nearest ``jobctl.toml``, from here upwards, and what it says."""
    for folder in (cwd, *cwd.parents):
        path = folder / FILE_NAME
        try:
            data = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError, PermissionError, IsADirectoryError):
            continue
        import tomllib

        try:
            return path, tomllib.loads(data.decode())
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise UsageError(f"{path}: {error}", hint="mend or remove the file") from error
    return None
