"""What must hold of a recorded history, as pure functions: an old failure can be judged again.

    python -m tests.torture.validate history.json

A history is a JSON object:

- ``acks``: ``[revision, id, tag]`` for each write that returned; ``errors``: what writers died of
- ``reader``: for each delta that the reader took, in order, one
  ``{epoch, since, through, jobs: [[revision, id, tag]], gone: [[revision, id]]}``
- ``end``: the same for a reader without a past, after all was quiet
- ``disk``: id → tag of each file, or ``null`` where it does not parse or has another id inside
- ``litter``: names that should not be there; ``log``: the revisions of the change log, in order
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

__all__ = ["RULES", "complaints"]

History = dict[str, Any]


def acknowledged_is_kept(history: History) -> Iterator[str]:
    """I4: of each job the end is the newest acknowledged write, or something newer."""
    end = {id: (revision, tag) for revision, id, tag in history["end"]["jobs"]}
    end |= {id: (revision, None) for revision, id in history["end"]["gone"]}
    newest: dict[str, tuple[int, str]] = {}
    for revision, id, tag in history["acks"]:
        newest[id] = max(newest.get(id, (0, "")), (revision, tag))
    for id, (revision, tag) in newest.items():
        at_end, tag_at_end = end.get(id, (0, None))
        if at_end < revision:
            yield f"{id}: acknowledged {tag} at {revision}, the end is {tag_at_end} at {at_end}"
        elif at_end == revision and tag_at_end != tag:
            yield f"{id}: acknowledged {tag} at {revision}, where the end has {tag_at_end}"


def revisions_are_unique(history: History) -> Iterator[str]:
    """I5: no revision is given to two writes, and the log only rises."""
    of: dict[int, tuple[str, str]] = {}
    for revision, id, tag in history["acks"]:
        if of.setdefault(revision, (id, tag)) != (id, tag):
            yield f"revision {revision} is {of[revision]} and {(id, tag)}"
    for before, after in zip(history["log"], history["log"][1:], strict=False):
        if after <= before:
            yield f"the log goes from {before} to {after}"
    highest = max((revision for revision, _, _ in history["acks"]), default=0)
    if highest > history["end"]["through"]:
        yield f"acknowledged up to {highest}, the counter stands at {history['end']['through']}"


def reader_agrees_with_writers(history: History) -> Iterator[str]:
    """I5: what the reader got under an acknowledged revision is that very write."""
    acked = {revision: (id, tag) for revision, id, tag in history["acks"]}
    for delta in history["reader"]:
        for revision, id, tag in delta["jobs"]:
            if acked.get(revision, (id, tag)) != (id, tag):
                yield f"revision {revision} is {acked[revision]}, the reader got {(id, tag)}"


def reader_is_contiguous(history: History) -> Iterator[str]:
    """I1: one epoch, one reset at the start, each delta where the last one ended, rising inside."""
    epoch, at = None, 0
    for number, delta in enumerate(history["reader"]):
        if epoch not in (None, delta["epoch"]):
            yield f"delta {number}: epoch {epoch} became {delta['epoch']}"
        if delta["since"] != at:
            yield f"delta {number}: since {delta['since']}, the reader stood at {at}"
        for item in (*delta["jobs"], *delta["gone"]):
            if not delta["since"] < item[0] <= delta["through"]:
                yield f"delta {number}: {item} is not in ({delta['since']}, {delta['through']}]"
        revisions = [job[0] for job in delta["jobs"]]
        if revisions != sorted(set(revisions)):
            yield f"delta {number}: revisions go back or repeat"
        epoch, at = delta["epoch"], delta["through"]


def reader_ends_as_the_disk(history: History) -> Iterator[str]:
    """I2, I3: the reader's sum of all deltas is the end, and the end is what lies on the disk."""
    state: dict[str, str | None] = {}
    for delta in history["reader"]:
        if delta["since"] == 0:
            state.clear()
        for id in (id for _, id in delta["gone"]):
            state.pop(id, None)
        state.update((id, tag) for _, id, tag in delta["jobs"])
    end = {id: tag for _, id, tag in history["end"]["jobs"]}
    for name, other in (("the end", end), ("the disk", history["disk"])):
        for id in sorted(state.keys() | other.keys()):
            if state.get(id, "nothing") != other.get(id, "nothing"):
                yield f"{id}: reader {state.get(id)}, {name} {other.get(id)}"


def nothing_deleted_returns(history: History) -> Iterator[str]:
    """I7: a version that the reader saw deleted never comes back."""
    seen: dict[str, set[str]] = {}
    buried: dict[str, set[str]] = {}
    for delta in history["reader"]:
        for _, id in delta["gone"]:
            buried.setdefault(id, set()).update(seen.get(id, ()))
        for revision, id, tag in delta["jobs"]:
            seen.setdefault(id, set()).add(tag)
            if tag in buried.get(id, ()):
                yield f"{id}: {tag} was deleted, and came back at {revision}"


def every_file_is_whole(history: History) -> Iterator[str]:
    """I6: every published file parses, and its id is its name's."""
    for id, tag in history["disk"].items():
        if tag is None:
            yield f"{id}.json is not whole, or not its job"


def nothing_is_left_behind(history: History) -> Iterator[str]:
    """I9: no temporary files, no dead sockets; and no writer died of anything but a signal."""
    for name in history["litter"]:
        yield f"{name} was left behind"
    for error in history["errors"]:
        yield f"a writer died: {error}"


RULES: list[Callable[[History], Iterator[str]]] = [
    acknowledged_is_kept,
    revisions_are_unique,
    reader_agrees_with_writers,
    reader_is_contiguous,
    reader_ends_as_the_disk,
    nothing_deleted_returns,
    every_file_is_whole,
    nothing_is_left_behind,
]


def complaints(history: History) -> list[str]:
    """Whatever is wrong with the history, each line with the rule it breaks."""
    return [f"{rule.__name__}: {line}" for rule in RULES for line in rule(history)]


if __name__ == "__main__":
    found = complaints(json.loads(Path(sys.argv[1]).read_text()))
    print("\n".join(found) or "all rules hold")
    sys.exit(bool(found))
