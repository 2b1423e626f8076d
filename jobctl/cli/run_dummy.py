"""``jobctl run-dummy``: run dummy jobs."""

from __future__ import annotations

from typing import Annotated

from jobctl.cli.options import DirOption, Option, QuietOption

__all__ = ["EXAMPLE", "run_dummy"]

EXAMPLE = "Example: jobctl run-dummy --count 20 --concurrency 5 --fail-rate 0.1"


def run_dummy(
    count: Annotated[int, Option(min=1, metavar="N", help="How many jobs.")] = 1,
    concurrency: Annotated[
        int | None, Option(min=1, metavar="N", help="How many at once; by default all.")
    ] = None,
    type: Annotated[str, Option(metavar="TYPE", help="Their type.")] = "create_session",
    session: Annotated[str, Option(metavar="SESSION", help="Their session.")] = "dummy",
    speed: Annotated[
        float, Option(min=0.001, metavar="X", help="Speed factor; 2 is twice as fast.")
    ] = 1.0,
    stage_delay: Annotated[
        list[str] | None, Option(metavar="NAME=DURATION", help="How long a stage takes: load=2s.")
    ] = None,
    fail_rate: Annotated[
        float, Option(min=0, max=1, metavar="P", help="The share of jobs that fail.")
    ] = 0.0,
    fail_at: Annotated[str | None, Option(metavar="STAGE", help="Where they fail.")] = None,
    seed: Annotated[int | None, Option(metavar="N", help="Seed of the random choices.")] = None,
    wait: Annotated[bool, Option("--wait", help="Exit with 3 if one of them failed.")] = False,
    rm: Annotated[bool, Option("--rm", help="Remove the jobs at the end.")] = False,
    quiet: QuietOption = False,
    directory: DirOption = None,
) -> None:
    """Run dummy jobs through their stages; Ctrl-C fails them."""
    from jobctl.cli.live_dummy import delays, run_all
    from jobctl.work.dummy import DummyOptions  # slow to import

    options = DummyOptions(
        count=count,
        concurrency=concurrency,
        type=type,
        session=session,
        speed=speed,
        stage_delays=delays(stage_delay or ()),
        fail_rate=fail_rate,
        fail_at=fail_at,
        seed=seed,
    )
    run_all(options, directory, wait=wait, rm=rm, quiet=quiet)
