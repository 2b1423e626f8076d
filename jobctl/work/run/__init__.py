"""Run any command as a tracked job: ``jobctl run``.

The command keeps its terminal, its signals and its exit status. Its standard error goes through us,
so that the job can keep the last lines.
"""

from jobctl.work.run.command import GRACE_S, RunOptions, rerun, run

__all__ = ["GRACE_S", "RunOptions", "rerun", "run"]
