"""``python -m jobctl.cli.completions``: write ``completions/``, or check it."""

from __future__ import annotations

import sys
from pathlib import Path

from jobctl.cli.completions import check, write


def main(args: list[str]) -> int:
    """Return the exit code."""
    folder = Path("completions")
    if args == ["--write"]:
        write(folder)
        return 0
    if args == ["--check"]:
        stale = check(folder)
        for name in stale:
            sys.stderr.write(f"completions/{name} is not up to date: run with --write\n")
        return 1 if stale else 0
    sys.stderr.write("usage: python -m jobctl.cli.completions --write|--check\n")
    return 2


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
