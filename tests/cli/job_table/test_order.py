"""The order of the list, step by step, against one that is computed at once."""

from __future__ import annotations

import time
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from jobctl.cli.job_table.order import Order
from jobctl.cli.job_table.ranks import Key
from jobctl.core.job import Job
from jobctl.core.pipeline import BUILT_IN_ONLY
from jobctl.core.transitions import create

T0 = "2026-01-01T00:00:00.000Z"

ids = st.sampled_from("abcdefg")
parents = st.none() | ids
steps = st.lists(st.tuples(ids, parents, st.integers(0, 3), st.booleans()), max_size=30)


def job(id: str, parent: str | None = None, **values: Any) -> Job:
    """A job below another one."""
    made = create("etl", now=T0, id=id)
    return made.replace(extra={"parent": parent} if parent else {}, **values)


def key(id: str, rank: int) -> Key:
    """A key of this rank."""
    return (rank, 0, id)


@given(steps, st.booleans())
def test_each_step_gives_the_order_of_all_that_is_there(
    moves: list[tuple[str, str | None, int, bool]], merged: bool
) -> None:
    """Whatever comes, goes, moves and is whose child; also if jobs are each other's parents."""
    order = Order(BUILT_IN_ONLY, merged=merged)
    unseen = Order(BUILT_IN_ONLY, merged=merged)  # looked at when all is done
    held: dict[str, tuple[Job, Key]] = {}
    for id, parent, rank, stays in moves:
        if stays:
            held[id] = (job(id, parent), key(id, rank))
            order.put(*held[id])
            unseen.put(*held[id])
        else:
            held.pop(id, None)
            order.remove(id)
            unseen.remove(id)
        at_once = Order(BUILT_IN_ONLY, merged=merged)
        at_once.replace(held.values())
        assert order.places() == at_once.places()
        assert [order.index(id) for id, _ in order.places()] == [*range(len(order.places()))]
        shown = {id for id, _ in order.places()}
        assert shown <= held.keys()
        assert merged or shown == held.keys()
    assert unseen.places() == order.places()


def test_a_family_stands_where_its_worst_member_belongs() -> None:
    """And the children stay below their parent."""
    order = Order(BUILT_IN_ONLY)
    order.put(job("run"), key("run", 2))
    order.put(job("other"), key("other", 1))
    order.put(job("good", "run"), key("good", 2))
    order.put(job("bad", "run"), key("bad", 0))
    assert order.places() == [("run", 0), ("bad", 1), ("good", 1), ("other", 0)]
    order.put(job("bad", "run"), key("bad", 3))
    assert order.places() == [("other", 0), ("run", 0), ("good", 1), ("bad", 1)]


def test_thousands_of_generations_take_no_more_time_than_thousands_of_jobs() -> None:
    """Neither a level of recursion nor a walk to the top for each; also beside a loop."""
    chain = [job(f"c{n}", f"c{n - 1}" if n else None) for n in range(4000)]
    loop = [job("x", "y"), job("y", "x")]
    began_s = time.thread_time()
    order = Order(BUILT_IN_ONLY, merged=False)
    order.replace((each, key(each.id, 1)) for each in chain)
    assert len(order.places()) == len(chain)
    for each in loop:
        order.put(each, key(each.id, 1))
    for each in chain[1000:]:
        order.remove(each.id)
    assert len(order.places()) == 1002
    assert time.thread_time() - began_s < 2


def test_what_does_not_change_the_order_leaves_the_list_as_it_is() -> None:
    """A job that reports its progress costs one look-up, however many there are."""
    order = Order(BUILT_IN_ONLY)
    for number in range(100):
        order.put(job(f"j{number:03}"), key(f"j{number:03}", 2))
    before = order.places()
    order.put(job("j042", message="half"), key("j042", 2))
    assert order.places() is before
    shown = order.job("j042")
    assert shown is not None
    assert shown.message == "half"
