"""``jobctl`` and ``python -m jobctl``. What is asked most and needs nothing imports nothing."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line, and exit with its code."""
    if sys.argv[1:] in (["--version"], ["-V"]):
        from jobctl._version import __version__

        print(f"jobctl {__version__}")
        return
    if sys.platform == "win32":
        print("jobctl: Windows is not supported; run it in WSL", file=sys.stderr)
        raise SystemExit(1)
    from jobctl.cli.app import run

    raise SystemExit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
