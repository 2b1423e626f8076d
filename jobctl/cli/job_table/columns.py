"""The columns of the list: their places depend on the width of the screen, not on the jobs.

One exception: an id that has to be long to differ from all others gets room, within limits.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

__all__ = ["Columns", "columns_of"]


class Columns(NamedTuple):
    """The width of each column; 0 for one that is not shown. The last one takes the rest."""

    gap: int
    stages: int
    id: int
    type: int
    session: int
    stage: int
    time: int
    bar: int
    percent: int
    usually: int
    text: int

    @property
    def header(self) -> list[tuple[str, int]]:
        """The name and the width of each column that is shown."""
        names = {
            "stages": "STAGES" if self.stages >= 6 else "",
            "id": "ID",
            "type": "TYPE",
            "session": "SESSION",
            "stage": "STAGE",
            "time": "TIME",
            "bar": "",
            "percent": "DONE",
            "usually": "USUALLY",
            "text": "DETAIL",
        }
        return [(name, getattr(self, key)) for key, name in names.items() if getattr(self, key)]


@lru_cache(maxsize=8)
def columns_of(screen: int, *, wide: bool = False, id_size: int = 0) -> Columns:
    """Return the columns for a screen of this width, where the longest short id has this size."""
    tiers = (
        # up to   gap st  id type sess stage time bar pct usually
        (29, (1, 0, 8, 0, 0, 10, 0, 0, 0, 0)),
        (39, (1, 0, 8, 0, 0, 10, 6, 0, 0, 0)),
        (59, (1, 0, 8, 0, 0, 9, 6, 0, 0, 0)),
        (71, (1, 6, 8, 0, 0, 10, 6, 0, 4, 0)),
        (99, (1, 8, 8, 14, 0, 10, 6, 0, 4, 0)),
        (139, (2, 8, 12, 16, 12, 12, 6, 0, 4, 0)),
        (1 << 30, (2, 10, 16, 20, 18, 14, 6, 16, 4, 13)),
    )
    widths = next(widths for limit, widths in tiers if screen <= limit)
    columns = Columns(*widths, text=0)
    columns = columns._replace(id=max(columns.id, min(id_size, screen // 4)))
    if not wide:
        columns = columns._replace(session=0)
    shown = [width for width in columns[1:] if width]
    rest = screen - sum(shown) - columns.gap * len(shown)
    if rest < 0:  # a screen of fewer than 19 columns
        id = min(columns.id, screen)
        return columns._replace(id=id, stage=max(screen - id - 1, 0), time=0, text=0)
    if rest < 4:  # for the last column
        return columns._replace(stage=columns.stage + rest + columns.gap)
    return columns._replace(text=rest)
