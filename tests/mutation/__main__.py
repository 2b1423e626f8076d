"""Seed each fault in a copy of the tree, and run the tests that must find it.

``python -m tests.mutation`` runs all, ``python -m tests.mutation NAME…`` those whose names contain
one of the words, ``--jobs N`` several at once; ``--check`` runs no test. It prints one line a fault
and exits with 1 when one was not found. A fault whose text no longer occurs exactly once in its
file or folder is an error as well: the list has to follow the code.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.mutation.faults import FAULTS, Fault

ROOT = Path(__file__).parent.parent.parent
TIMEOUT_S = 300.0


def place_of(fault: Fault) -> Path | str:
    """The file that has the fault's text, or what is wrong with the list."""
    named = ROOT / fault.file
    files = [named] if named.is_file() else sorted(named.rglob("*.py"))
    counts = {file: file.read_text().count(fault.old) for file in files}
    if sum(counts.values()) != 1:
        return f"{fault.file} has its text {sum(counts.values())} times"
    return next(file for file, count in counts.items() if count)


def run(fault: Fault) -> tuple[str, str]:
    """``killed``, ``survived``, ``hung`` or ``stale``, and what to say of it."""
    file = place_of(fault)
    if isinstance(file, str):
        return "stale", file
    with tempfile.TemporaryDirectory(prefix="jobctl-mutant-") as temporary:
        tree = Path(temporary) / "tree"
        ignored = shutil.ignore_patterns(".git", ".venv", "__pycache__", ".*_cache", ".hypothesis")
        shutil.copytree(ROOT, tree, symlinks=True, ignore=ignored)
        mutant = file.read_text().replace(fault.old, fault.new)
        (tree / file.relative_to(ROOT)).write_text(mutant)
        began_s = time.monotonic()
        try:
            done = subprocess.run(
                [
                    sys.executable,
                    "-m",
                    "pytest",
                    "-x",
                    "-q",
                    "-p",
                    "no:cacheprovider",
                    *fault.tests,
                ],
                cwd=tree,
                env={**os.environ, "PYTHONPATH": str(tree)},
                capture_output=True,
                text=True,
                timeout=TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return "hung", f"the tests took over {TIMEOUT_S:.0f} s: run it again, alone"
        took = f"{time.monotonic() - began_s:.0f} s"
    if done.returncode == 1:
        failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
        return "killed", f"{took}: {failed[0][:100] if failed else 'no test named'}"
    if done.returncode == 0:
        return "survived", took
    return "stale", f"pytest ended with {done.returncode}: {done.stdout[-200:]!r}"


def main() -> int:
    """The exit code: 0 when every fault was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--check", action="store_true", help="only look for each fault's text")
    asked = parser.parse_args()
    chosen = [
        fault
        for fault in FAULTS
        if not asked.names or any(word in fault.name for word in asked.names)
    ]
    if asked.check:
        stale = [
            f"{fault.name}: {place}"
            for fault in chosen
            if isinstance(place := place_of(fault), str)
        ]
        print("\n".join(stale) or f"{len(chosen)} faults have their text once each")
        return bool(stale)
    counts = {"killed": 0, "survived": 0, "hung": 0, "stale": 0}
    with ThreadPoolExecutor(asked.jobs) as pool:
        for fault, (verdict, about) in zip(chosen, pool.map(run, chosen), strict=True):
            counts[verdict] += 1
            print(f"{verdict:<9} {fault.name}: {about}", flush=True)
    print(", ".join(f"{count} {verdict}" for verdict, count in counts.items()))
    return 0 if counts["killed"] == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main())
