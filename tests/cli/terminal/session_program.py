"""A full-screen program for the tests: a frame that says what happened, on the terminal.

Keys are shown; ``q`` ends, ``!`` raises, ``a`` aborts, ``w`` writes to standard error.
``--alone`` has no supervisor; ``--moving`` changes every row each so many seconds, ``--steps``
times; ``--wide`` repeats what changes in a row.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys

from jobctl.cli.common import run_async
from jobctl.cli.exits import Exit
from jobctl.cli.terminal import Frame, TerminalSession, supervise


async def main(options: argparse.Namespace) -> int:
    """Show keys until one ends the program."""
    pressed = ""
    step = 0

    def frame(session: TerminalSession) -> Frame:
        columns, rows = session.size()
        own = [
            [(f"row {row} ", ""), (" ".join([f"step {step}"] * options.wide), "failed")]
            for row in range(min(options.rows, rows - 2))
        ]
        head: Frame = [[(f"size {columns}x{rows} pid {os.getpid()}", "bold")]]
        return [*head, *own, [(f"keys {pressed}|", "")]]

    async with TerminalSession() as session:
        session.on_resize = lambda: session.show(frame(session))
        session.show(frame(session))

        async def move() -> None:
            nonlocal step
            while step < options.steps:
                await asyncio.sleep(options.moving)
                step += 1
                session.show(frame(session))

        moving = asyncio.create_task(move()) if options.moving else None
        try:
            async for key in session.keys():
                if key == "q":
                    session.last_frame = [[("the last frame", "")]]
                    return 0
                if key == "!":
                    raise RuntimeError("crashed as asked")
                if key == "a":
                    os.abort()
                if key == "w":
                    print("a warning", file=sys.stderr)
                pressed += key if len(key) == 1 else f"<{key}>"
                session.show(frame(session))
        finally:
            if moving is not None:
                moving.cancel()
        await asyncio.Event().wait()  # the terminal is gone: a signal says so
    return 7


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--alone", action="store_true")
    parser.add_argument("--rows", type=int, default=3)
    parser.add_argument("--moving", type=float, default=0.0)
    parser.add_argument("--wide", type=int, default=1)
    parser.add_argument("--steps", type=int, default=1_000_000)
    given = parser.parse_args()
    if not given.alone:
        supervise()
    try:
        sys.exit(run_async(main(given)))
    except Exit as end:
        sys.exit(end.code)
