"""The keys, for people."""

from __future__ import annotations

from jobctl.cli.job_table.frame import Frame, row_of, wrapped

__all__ = ["KEYS", "help_frame", "hints"]

KEYS = (
    ("up down  k j", "move by one"),
    ("PgUp PgDn", "move by a screen"),
    ("Home End  g G", "go to the first, to the last"),
    ("Enter", "show the job: timeline, result, log"),
    ("/", "search; Enter keeps, Esc ends it"),
    ("f", "only failed and lost jobs"),
    ("a", "all jobs again"),
    ("c", "cancel the job (asks first)"),
    ("r", "retry the job (asks first)"),
    ("Esc", "back"),
    ("q", "quit"),
)


def help_frame(columns: int, rows: int, *, refused: str = "") -> Frame:
    """Return the screen with the keys; ``refused`` says why jobs cannot be changed."""
    size = max(len(keys) for keys, _ in KEYS) + 2
    frame = [row_of("keys", columns, "bold")]
    for keys, what in KEYS:
        if columns < 40:
            lines = [f"{keys}  {what}"[:columns]]
        else:
            lines = wrapped(f"{keys:<{size}}{what}", columns)
        frame += [row_of(line, columns) for line in lines]
    if refused:
        frame += [row_of(line, columns, "dim") for line in wrapped(f"c, r: {refused}", columns)]
    frame = frame[:rows]
    return frame + [row_of("", columns)] * (rows - len(frame))


def hints(*, acts: bool) -> tuple[str, ...]:
    """Return what to say of the keys in the status line, longest first."""
    asks = "c cancel  r retry  " if acts else ""
    return (
        f"q quit  / search  f failed  Enter show  {asks}? help",
        "q quit  / search  Enter show  ? help",
        "q quit  / search  ? help",
        "q quit  ? help",
        "? help",
    )
