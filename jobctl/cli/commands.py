"""The commands, and which of them the light path may run."""

from __future__ import annotations

__all__ = ["COMMANDS", "LIGHT", "OTHER_NAMES", "command_first"]

COMMANDS = {
    "serve": "serve",
    "clients": "clients",
    "token": "token",
    "watch": "watch",
    "wait": "wait",
    "ls": "ls",
    "show": "show",
    "stats": "stats",
    "logs": "logs",
    "create": "create",
    "advance": "advance",
    "progress": "progress",
    "complete": "complete",
    "fail": "fail",
    "retry": "retry",
    "cancel": "cancel",
    "ack": "ack",
    "rm": "rm",
    "run": "run",
    "reap": "reap",
    "prune": "prune",
    "doctor": "doctor",
    "run-dummy": "run_dummy",
    "demo": "demo",
    "config": "config",
    "js": "js",
    "completion": "completion",
    "help": "help",
}
"""Command → module in this package, in the order of the help; its function has the same name."""

LIGHT = frozenset(
    {
        "ack",
        "advance",
        "complete",
        "create",
        "fail",
        "ls",
        "progress",
        "retry",
        "rm",
        "show",
        "stats",
        "watch",
    }
)
"""The commands that are parsed without typer where that is possible: see light/parser.py."""

OTHER_NAMES = {
    "tail": "'jobctl watch' follows the jobs, 'jobctl logs -f ID' the output of one",
    "follow": "'jobctl watch' follows the jobs, 'jobctl logs -f ID' the output of one",
    "top": "'jobctl watch' follows the jobs",
    "ps": "'jobctl ls --active' lists the jobs that are at work",
    "list": "'jobctl ls' lists the jobs",
    "status": "'jobctl ls' lists the jobs, 'jobctl show ID' shows one",
    "get": "'jobctl show ID' shows a job, 'jobctl ls' lists them",
    "describe": "'jobctl show ID' shows a job",
    "log": "'jobctl logs ID' prints the output of a job",
    "kill": "'jobctl cancel ID' ends a job",
    "stop": "'jobctl cancel ID' ends a job",
    "abort": "'jobctl cancel ID' ends a job",
    "delete": "'jobctl rm ID' removes a job",
    "remove": "'jobctl rm ID' removes a job",
    "add": "'jobctl create TYPE' creates a job, 'jobctl run COMMAND' runs a command as one",
    "new": "'jobctl create TYPE' creates a job, 'jobctl run COMMAND' runs a command as one",
    "start": "'jobctl run COMMAND' runs a command as a job, 'jobctl serve' starts a hub",
    "exec": "'jobctl run COMMAND' runs a command as a job",
    "server": "'jobctl serve' starts a hub",
    "clean": "'jobctl prune' removes jobs that ended long ago",
    "version": "'jobctl --version' prints the version",
}
"""What other tools call a command → what it is called here."""

_WITH_VALUE = frozenset(
    {"--dir", "--url", "--token-file", "--ca", "-o", "--output", "--time-format"}
)
_OF_ALL = frozenset({"-h", "--help", "-V", "--version"})


def command_first(args: list[str]) -> list[str]:
    """Return the arguments with the options that stand before the command after it.

    So ``jobctl --dir X ls`` is ``jobctl ls --dir X``. Nothing is changed if there is no command.
    """
    place = 0
    while place < len(args) and args[place].startswith("-") and args[place] not in _OF_ALL:
        place += 2 if args[place] in _WITH_VALUE else 1
    if place == 0 or place >= len(args) or args[place] not in COMMANDS:
        return args
    return [args[place], *args[:place], *args[place + 1 :]]
