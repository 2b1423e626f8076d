"""The judges themselves: each rule holds of a good history, and catches a bad one."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tests.torture import validate
from tests.torture.validate import RULES, complaints

History = dict[str, Any]


def good() -> History:
    """Two jobs, one of which is deleted."""
    return {
        "acks": [[1, "a", "t1"], [2, "b", "t2"], [3, "a", "t3"]],
        "errors": [],
        "reader": [
            {"epoch": "e", "since": 0, "through": 2, "jobs": [[1, "a", "t1"], [2, "b", "t2"]],
             "gone": []},
            {"epoch": "e", "since": 2, "through": 4, "jobs": [[3, "a", "t3"]], "gone": [[4, "b"]]},
        ],
        "end": {"epoch": "e", "since": 0, "through": 4, "jobs": [[3, "a", "t3"]],
                "gone": [[4, "b"]]},
        "disk": {"a": "t3"},
        "litter": [],
        "log": [1, 2, 3, 4],
    }  # fmt: skip


def test_good_history_passes() -> None:
    """Nothing is wrong with it."""
    assert complaints(good()) == []


def lost(history: History) -> None:
    history["end"]["jobs"] = [[1, "a", "t1"]]


def replaced(history: History) -> None:
    history["end"]["jobs"] = [[3, "a", "other"]]


def shared(history: History) -> None:
    history["acks"].append([3, "b", "t4"])


def repeated(history: History) -> None:
    history["log"] = [1, 2, 2, 3]


def counter_behind(history: History) -> None:
    history["acks"].append([9, "c", "t9"])


def other_version(history: History) -> None:
    history["reader"][1]["jobs"] = [[3, "a", "t9"]]


def back(history: History) -> None:
    history["reader"][1]["jobs"] = [[2, "a", "t3"]]


def gap(history: History) -> None:
    history["reader"][1]["since"] = 3


def new_epoch(history: History) -> None:
    history["reader"][1]["epoch"] = "f"


def missed(history: History) -> None:
    history["reader"][1]["jobs"] = []


def missed_deletion(history: History) -> None:
    history["reader"][1]["gone"] = []


def resurrected(history: History) -> None:
    history["reader"].append(
        {"epoch": "e", "since": 4, "through": 5, "jobs": [[5, "b", "t2"]], "gone": []}
    )


def torn(history: History) -> None:
    history["disk"]["a"] = None


def litter(history: History) -> None:
    history["litter"] = ["next"]


def died(history: History) -> None:
    history["errors"] = ["OSError()"]


BAD: list[tuple[Callable[[History], None], Callable[..., Any]]] = [
    (lost, validate.acknowledged_is_kept),
    (replaced, validate.acknowledged_is_kept),
    (shared, validate.revisions_are_unique),
    (repeated, validate.revisions_are_unique),
    (counter_behind, validate.revisions_are_unique),
    (other_version, validate.reader_agrees_with_writers),
    (back, validate.reader_is_contiguous),
    (gap, validate.reader_is_contiguous),
    (new_epoch, validate.reader_is_contiguous),
    (missed, validate.reader_ends_as_the_disk),
    (missed_deletion, validate.reader_ends_as_the_disk),
    (resurrected, validate.nothing_deleted_returns),
    (torn, validate.every_file_is_whole),
    (litter, validate.nothing_is_left_behind),
    (died, validate.nothing_is_left_behind),
]


@pytest.mark.parametrize(("spoil", "rule"), BAD, ids=[spoil.__name__ for spoil, _ in BAD])
def test_bad_history_is_caught(spoil: Callable[[History], None], rule: Callable[..., Any]) -> None:
    """The rule in question complains."""
    history = copy.deepcopy(good())
    spoil(history)
    assert list(rule(history))


def test_every_rule_has_its_bad_history() -> None:
    """No rule that cannot fail."""
    assert {rule for _, rule in BAD} == set(RULES)
