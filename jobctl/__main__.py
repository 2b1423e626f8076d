"""``jobctl`` and ``python -m jobctl``. The cheapest commands import nothing."""

from __future__ import annotations

import gc
import os
import sys


def main() -> None:
    """Run the command line and exit with its code."""
    if sys.argv[1:] in (["--version"], ["-V"]):
        from jobctl._version import __version__

        try:
            print(f"jobctl {__version__}", flush=True)
        except OSError as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            raise SystemExit(f"jobctl: {error.strerror}") from None
        return
    if sys.argv[1:2] == ["__complete"]:
        gc.disable()  # it ends soon
        try:
            from jobctl.cli.dynamic_completion import print_candidates

            print_candidates(sys.argv[2:])
        except KeyboardInterrupt:
            pass  # Ctrl-C during completion
        return
    if sys.platform == "win32":
        print("jobctl: Windows is not supported; run it in WSL", file=sys.stderr)
        raise SystemExit(1)
    gc.disable()  # until all is imported, since imports leave little garbage
    try:
        from jobctl.cli.app import Terminated, run
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except RuntimeError as error:  # Python before 3.12, for one that came within __set_name__
        if isinstance(error.__cause__, KeyboardInterrupt):
            raise SystemExit(130) from None
        raise

    try:
        code = run(sys.argv[1:])
    except Terminated as error:  # it came when all was done
        code = 128 + error.signal
    except KeyboardInterrupt:
        code = 130
    raise SystemExit(code)


if __name__ == "__main__":
    main()
