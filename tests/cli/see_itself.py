"""A program that writes all that it can see of itself to the file that is its argument.

It is started by tests, as ``python -S -E see_itself.py FILE``.
"""

import json
import os
import resource
import signal
import sys
import termios


def status() -> dict[str, str]:
    """The lines of /proc/self/status that do not change from start to start."""
    kept = (
        "Umask", "Uid", "Gid", "Groups", "Kthread", "SigBlk", "SigIgn", "SigCgt", "SigPnd",
        "ShdPnd", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp",
        "Seccomp_filters", "Speculation_Store_Bypass", "Cpus_allowed", "Mems_allowed",
        "CoreDumping", "THP_enabled", "TracerPid", "Threads",
    )  # fmt: skip
    with open("/proc/self/status") as file:
        lines = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    return {key: lines[key] for key in kept if key in lines}


def contents(name: str) -> str:
    """A file about this process; empty if the system has none."""
    try:
        with open(f"/proc/self/{name}") as file:
            return file.read()
    except OSError:
        return ""


def descriptors() -> dict[str, str]:
    """Where each descriptor leads, with its flags."""
    found = {}
    for name in sorted(os.listdir("/proc/self/fd")):
        try:
            link = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue  # the listing's own
        found[name] = link
    return found


def flags() -> dict[str, str]:
    """How each descriptor was opened, and at which position it is."""
    found = {}
    for name in descriptors():
        lines = dict(line.split(":\t") for line in contents(f"fdinfo/{name}").split("\n") if line)
        if name != "2":  # which the wrapper may replace
            found[name] = f"{lines['flags']} at {lines['pos']}"
    return found


def terminals() -> dict[str, object]:
    """The settings and size of each standard stream that is a terminal."""
    found: dict[str, object] = {}
    for fd in (0, 1, 2):
        try:
            settings = termios.tcgetattr(fd)
            size = list(termios.tcgetwinsize(fd))
        except (termios.error, OSError):
            found[str(fd)] = None
            continue
        found[str(fd)] = {"settings": repr(settings), "size": size}
    return found


def foreground() -> int | None:
    """The foreground process group of the controlling terminal."""
    try:
        fd = os.open("/dev/tty", os.O_RDWR)
    except OSError:
        return None
    try:
        return os.tcgetpgrp(fd)
    finally:
        os.close(fd)


def timers() -> list[tuple[float, float]]:
    """The three interval timers."""
    return [signal.getitimer(which) for which in (0, 1, 2)]


view = {
    "pid": os.getpid(),
    "parent": os.getppid(),
    "descriptors": descriptors(),
    "flags": flags(),
    "terminal": terminals(),
    "foreground": foreground(),
    "group": os.getpgrp(),
    "session": os.getsid(0),
    "status": status(),
    "environment": dict(os.environ),
    "variables in order": [name for name in os.environ if not name.startswith("JOBCTL_")],
    "arguments": sys.argv,
    "limits": {name: resource.getrlimit(getattr(resource, name))
               for name in dir(resource) if name.startswith("RLIMIT_")},
    "timers": timers(),
    "nice": os.nice(0),
    "priority": os.getpriority(os.PRIO_PROCESS, 0),
    "scheduling": [os.sched_getscheduler(0), sorted(os.sched_getaffinity(0))],
    "directory": os.getcwd(),
    "root": os.readlink("/proc/self/root"),
    "namespaces": [
        os.readlink(f"/proc/self/ns/{name}") for name in sorted(os.listdir("/proc/self/ns"))
    ],
    "files": {name: contents(name) for name in (
        "cgroup", "oom_score_adj", "coredump_filter", "personality", "loginuid", "timerslack_ns",
        "comm", "setgroups", "uid_map",
    )},
}  # fmt: skip
with open(sys.argv[1], "w") as file:
    json.dump(view, file)
