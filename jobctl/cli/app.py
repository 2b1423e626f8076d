"""The application: the modules of the commands, and how errors are reported.

Only the module of the requested command is imported. An error is one line on standard error (what,
where, what next) and a fixed exit code. A traceback is a defect.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import re
import signal
import sys

from jobctl._stdlib import import_module
from jobctl.cli.commands import COMMANDS, LIGHT, OTHER_NAMES, command_first
from jobctl.cli.common import forget_settings, pipelines, settings
from jobctl.cli.exits import Exit
from jobctl.cli.light.parser import parse
from jobctl.cli.messages import (
    note,
    print_error,
    use_json,
    use_json_log,
    wants_json,
    wants_json_log,
)
from jobctl.errors import JobctlError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any, NoReturn

__all__ = ["Terminated", "run"]

_RUN_FAILED = 125
_RAN = (126, 127)
"""``run`` has the exit codes of its command, so its own errors have these (as in docker run)."""

_WITHOUT_SETTINGS = ("doctor", "demo", "completion", "help")
"""Those who look at the settings by themselves, or need none."""

_RAISE_AGAIN_S = 0.01


def run(args: list[str]) -> int:
    """Run the command line; return the exit code."""
    _make_streams_safe()
    args = command_first(args)
    asked = next((arg for arg in args if not arg.startswith("-")), None)
    forget_settings()
    use_json(json=asked != "run" and wants_json(args))
    if asked == "serve" and wants_json_log(args):
        use_json_log()
    try:
        _on_termination()  # where what it raises is caught
        if asked in COMMANDS and asked not in _WITHOUT_SETTINGS and not {"-h", "--help"} & {*args}:
            _apply_settings()
        code = _call(args, asked)
        sys.stdout.flush()
        return code
    except Exit as end:
        sys.stdout.flush()
        return end.code
    except JobctlError as error:
        code = error.exit_code
        return _fail_with(error, _RUN_FAILED if asked == "run" and code not in _RAN else code)
    except KeyboardInterrupt:
        return 130
    except Terminated as error:
        return 128 + error.signal
    except (BrokenPipeError, SystemExit):  # typer itself exits if the pipe is closed
        return _broken_pipe()
    except UnicodeEncodeError as error:
        return _fail_with(f"standard output cannot show {ascii(error.object[error.start])}", 1)
    except OSError as error:
        if error.errno == errno.EPIPE:
            return _broken_pipe()
        where = f" ({error.filename})" if error.filename else ""
        return _fail_with(f"{error.strerror or error}{where}", 1)
    except Exception as error:
        # Python before 3.12 turns whatever is raised within __set_name__, for a signal too, into a
        # RuntimeError: an import has such calls.
        if isinstance(error.__cause__, KeyboardInterrupt):
            return 130
        if isinstance(error.__cause__, Terminated):
            return 128 + error.__cause__.signal
        return _usage_error(error, asked)


def _call(args: list[str], asked: str | None) -> int:
    """Run the command by the light path if possible, else by the typer application."""
    if asked in LIGHT and args[0] == asked:
        command = getattr(import_module(f"jobctl.cli.{COMMANDS[asked]}"), COMMANDS[asked])
        values = parse(command, args[1:])
        if values is not None:
            _start_collector()
            command(**values)
            return 0
    from jobctl.cli import typer_app

    _start_collector()
    return typer_app.run(args, asked if asked in COMMANDS else None)


def _start_collector() -> None:
    """Start the garbage collector, which then leaves out what was imported before."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


def _apply_settings() -> None:
    """Apply the settings that concern the whole process, except the directory."""
    for doubt in settings().doubts:
        note(doubt)
    pipelines()  # a mistake in them ends every command here


def _usage_error(error: Exception, asked: str | None) -> int:
    """Report an error of typer; any other exception is a defect and stays a traceback."""
    context = getattr(error, "ctx", None)
    name = type(error).__name__
    if name == "NoArgsIsHelpError" and context is not None:
        sys.stdout.write(context.get_help() + "\n")
        return 2
    if name == "Abort":
        return 130
    form = getattr(error, "format_message", None)
    if form is None:
        raise error
    hint = f"try 'jobctl {asked} --help'" if asked in COMMANDS else "try 'jobctl --help'"
    code = _RUN_FAILED if asked == "run" else 2
    text = _rephrased(form())
    if asked in OTHER_NAMES and text.startswith("No such command"):
        text, hint = f"there is no command {asked!r}", OTHER_NAMES[asked]
    return _fail_with(UsageError(text, hint=hint), code)


_WORDS = (
    (r"Input should be a valid integer, .*", "it is no whole number"),
    (r"Input should be a valid number, .*", "it is no number"),
    (r"Input should be a finite number", "it is no number"),
    (r"Input should be greater than or equal to (\S+)", r"it has to be \1 or more"),
    (r"Input should be less than or equal to (\S+)", r"it may be \1 at the most"),
    (r"Value error, ", ""),
)


def _rephrased(text: str) -> str:
    """Return a library's error text in words for people."""
    text = re.sub(r"\s*\n\s*", " ", text.strip()).rstrip(".")
    for pattern, words in _WORDS:
        text = re.sub(pattern, words, text)
    return text.rstrip(".")


def _fail_with(error: JobctlError | str, code: int) -> int:
    print_error(error, code)
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    _drop_stdout()
    return code


def _broken_pipe() -> int:
    """End quietly with 128 + SIGPIPE: the reader of our output is gone, as with ``head``."""
    _drop_stdout()
    return 141


def _drop_stdout() -> None:
    """Drop the buffered output that cannot be written, so that the exit does not try it again."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        out = sys.stdout.fileno()
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, out)
        os.close(null)


def _make_streams_safe() -> None:
    """Make output work if a stream is closed or cannot encode our text."""
    _occupy_closed_descriptors()
    for name in ("stdout", "stderr"):
        stream: Any = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - lives as long as we do
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _occupy_closed_descriptors() -> None:
    """Open /dev/null on each of 0, 1, 2 that is closed, so that no file of ours gets this number.

    These descriptors are not inheritable, so they are closed in what we start.
    """
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)  # takes the lowest free number
            assert opened == fd, "the lower ones are open"


class Terminated(BaseException):
    """SIGTERM or SIGHUP arrived."""

    def __init__(self, number: int) -> None:
        self.signal = number


def _on_termination() -> None:
    """Make SIGTERM and SIGHUP unwind the stack like Ctrl-C, so that cleanup runs."""

    def unwind(number: int, _frame: FrameType | None) -> NoReturn:
        raise Terminated(number)

    with contextlib.suppress(ValueError):  # not in the main thread, as in a test
        for asked in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(asked) is not signal.SIG_IGN:  # nohup or trap '' ignores it
                signal.signal(asked, unwind)
        _raise_again_what_is_dropped()


def _raise_again_what_is_dropped() -> None:
    """Raise a signal's exception again if the interpreter dropped it.

    An exception in a weak reference's callback or in ``__del__`` is printed and then ignored.
    Imports use such callbacks. The exception is raised again a moment later.
    """
    before = sys.unraisablehook

    def dropped(what: Any) -> None:
        error = what.exc_value
        if not isinstance(error, (Terminated, KeyboardInterrupt)):
            before(what)
            return
        number = error.signal if isinstance(error, Terminated) else None

        def again(_number: int, _frame: FrameType | None) -> NoReturn:
            raise Terminated(number) if number is not None else KeyboardInterrupt

        signal.signal(signal.SIGALRM, again)
        signal.setitimer(signal.ITIMER_REAL, _RAISE_AGAIN_S)

    sys.unraisablehook = dropped
