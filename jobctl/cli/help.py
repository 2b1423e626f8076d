"""``jobctl help``: the help of a command, or a page about a topic."""

from __future__ import annotations

from typing import Annotated

from jobctl.cli.common import out
from jobctl.cli.exits import Exit
from jobctl.cli.options import Argument
from jobctl.errors import UsageError, did_you_mean

__all__ = ["EXAMPLE", "TOPICS", "help"]

EXAMPLE = "Example: jobctl help exit-codes"

TOPICS = {
    "exit-codes": """\
Exit codes, the same for every command:

    0  fine
    1  an error, such as a change that the job's stage does not allow
    2  wrong usage
    3  a job that was waited for has failed (wait, watch --exit-status)
    4  no such job, or several whose ids start with that text; no log of it
    5  a hub or a directory cannot be reached or refuses; a damaged job file
    6  a job that was waited for was cancelled; of several outcomes 4 comes
       before 3, and 3 before 6
  124  a time limit is over
  130  Ctrl-C; 143 SIGTERM; 129 SIGHUP
  141  the reader of the output has closed the pipe

run exits as its command does: its exit code, or 128 + the signal in a shell.
Its own errors are 125, 126 (the command cannot be run) and 127 (it is not
found).""",
    "environment": """\
Environment variables. An option overrides them; they override settings files:

  JOBCTL_DIR           the directory of the job files
  JOBCTL_URL           the hub that ls, show, stats, watch, wait and clients
                       read from: ws://HOST:PORT, wss://HOST:PORT or unix:PATH
  JOBCTL_TOKEN         the hub's token, for serve and for those who read from it
  JOBCTL_TOKEN_FILE    the file that it is in
  JOBCTL_CA            certificate authorities to trust for a wss hub
  JOBCTL_DURABLE       1: each write survives a power cut
  JOBCTL_TIME_FORMAT   relative, iso or local
  JOBCTL_LOG           which output run keeps: on, all, on-failure or off
  JOBCTL_LOG_LIMIT     how much all logs of a directory may take: 200MB
  JOBCTL_READ_ONLY     1: watch and the page of serve offer no cancel and no
                       retry; commands such as cancel work as always
  JOBCTL_SESSION_URL   links of the page to sessions: https://HOST/PATH/{id}
  JOBCTL_CONTROL       1: serve lets clients change jobs, by their rights
  SUDO_UID             for root: the files of this user are obeyed as root's are
  NO_COLOR, FORCE_COLOR, TERM=dumb   no colours; colours; nothing repainted

jobctl run sets for its command:

  JOBCTL_JOB           its job: advance, progress, complete, fail need no id
  JOBCTL_DIR           the directory that the job is in
  JOBCTL_EVENTS        a file to which it may append stage=, progress=, message=
                       and result= lines, and mask= for what must not be kept""",
    "settings": """\
Settings are read from the nearest jobctl.toml from here upwards, then from your
own file, then from /etc/jobctl/jobctl.toml, which only root may write. 'jobctl
config' shows where they are, and each value.

  dir = "data/jobs"          # beside the file
  durable = true
  time-format = "iso"
  log = "on-failure"         # which output run keeps: on, all, on-failure, off
  log-limit = "200MB"        # for all logs; 1GiB, or 5 % of the disk if less
  read-only = true           # watch and the page change nothing, commands do
  url = "wss://jobs.example" # this and the next five: in your own file or the
  token-file = "token"       # system's, never in a project's
  ca = "ca.pem"
  session-url = "https://app.example/sessions/{id}"  # links of the page
  control = true             # serve lets clients change jobs, by their rights
  safe-directories = ["/srv/jobs"]

  [types.etl]                # a pipeline of your own
  label = "Nightly load"
  stages = [
    { name = "fetch", label = "Fetching", weight = 1 },
    { name = "load", weight = 3 },   # takes three times as long
  ]
  eta = "5m-20m"             # until five such jobs have completed
  stalled-after = "10m"
  retry = true               # workers take up its pending jobs
  log = "off"                # keep no output of it
  expect-every = "1d"        # overdue if none has completed for so long, and
  grace = "2h"               # this time more; a tenth of it if left out

A settings file is obeyed only if it belongs to you, to root or to $SUDO_UID,
and nobody else can write to it. The same is true of a job's file whose command
'retry --rerun' runs. safe-directories lists directories where that does not
matter, with all that is below them.""",
    "filters": """\
--type, --stage, --session, --active and -l choose jobs in ls, stats, watch and
wait. The same flag twice means or, different flags mean and:

  jobctl ls --stage failed --stage completed --type etl

A cancelled job is in the stage cancelled, not failed. -l selects by labels, and
all that is given must be met: -l team=data, -l team!=data, -l team (has that
label), -l !team (has none), or several: -l team=data,env=prod.

A command accepts any start of an id that no other job has. --since and --until
are times: see 'jobctl help times'. --cursor is not a time: it resumes from a
cursor that ls -o json or watch -o jsonl printed.""",
    "times": """\
Durations are the same in every option and setting: 90s, 5m, 1h30m, 2d, 1w. A
number without a unit is seconds, as for timeout(1): --timeout 1, --since 10.

Times (--since, --until) are a duration ago, a date, or a date and a time:

  10m                         ten minutes ago
  2026-11-23                  the midnight at which that day begins
  2026-11-23T09:30            also with seconds, or a blank instead of the T
  2026-11-23T09:30:00Z        in UTC; +01:00 names another zone
  @1795426200                 in seconds since 1970

Without a zone a date and a time are local, as --time-format local prints them;
$TZ names another zone. A time that occurs twice when the clock is put back is
the first for --since and the second for --until. A time that is skipped when
it is put forward is that moment.""",
    "output": """\
-o says how to print; data goes to standard output, all else to standard error:

  table   for people; as wide as the terminal, uncut into a pipe
  wide    with more columns, never cut
  json    one object; a stream of them from watch
  jsonl   one object a line
  name    ids; also -q

With json and jsonl an error is one object on standard error:
{"error": {"message", "hint", "kind", "exitCode"}}, a remark {"note": …}.
Commands that change jobs say nothing unless asked: -o json prints the job.""",
}


def help(
    topic: Annotated[str | None, Argument(metavar="TOPIC", help="A command or a topic.")] = None,
) -> None:
    """Explain a command, or a topic.

    Topics: exit-codes, environment, settings, filters, times, output.
    """
    from jobctl.cli.app import run
    from jobctl.cli.commands import COMMANDS

    if topic is None or topic in COMMANDS:
        raise Exit(run([topic, "--help"] if topic else ["--help"]))
    if topic not in TOPICS:
        topics = f"topics: {', '.join(TOPICS)}"
        hint = did_you_mean(topic, [*TOPICS, *COMMANDS]) or topics
        raise UsageError(f"there is no help on {ascii(topic)[1:-1]}", hint=hint)
    out(TOPICS[topic])
