"""The commands, and which of them the light path may run."""

from __future__ import annotations

__all__ = ["COMMANDS", "LIGHT"]

COMMANDS = {
    "serve": "serve",
    "clients": "clients",
    "watch": "watch",
    "wait": "wait",
    "ls": "ls",
    "show": "show",
    "logs": "logs",
    "create": "create",
    "advance": "advance",
    "progress": "progress",
    "complete": "complete",
    "fail": "fail",
    "retry": "retry",
    "cancel": "cancel",
    "rm": "rm",
    "run": "run",
    "reap": "reap",
    "prune": "prune",
    "doctor": "doctor",
    "run-dummy": "run_dummy",
    "demo": "demo",
    "config": "config",
    "completion": "completion",
    "help": "help",
}
"""Command → module in this package, in the order of the help; its function has the same name."""

LIGHT = frozenset(
    {"advance", "complete", "create", "fail", "ls", "progress", "retry", "rm", "show"}
)
"""The commands that are parsed without typer where that is possible: see light/parser.py."""
