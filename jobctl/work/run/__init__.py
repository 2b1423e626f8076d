"""Any command as a tracked job: ``jobctl run``.

The command keeps its terminal, its signals and its exit status; what it says on standard error goes
through us, so that its last words can go into the job.
"""

from jobctl.work.run.command import GRACE_S, RunOptions, rerun, run

__all__ = ["GRACE_S", "RunOptions", "rerun", "run"]
