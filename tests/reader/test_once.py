"""One read over the network."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobctl.core.filters import Filter
from jobctl.core.jobset import JobSet
from jobctl.core.transitions import complete
from jobctl.errors import HubError, JobNotFound
from jobctl.reader import once
from jobctl.stores import Store
from tests.hub.network import contents, new_job, running_hub, stored


async def test_all_pages_are_one_delta(served: Store, writer: Store) -> None:
    """More than fits into one message, and it moves a set on as its pages would."""
    for number in range(40):
        writer.create(new_job(f"j{number:02d}", title="x" * 20_000))
    async with running_hub(served) as hub:
        delta = await once.read(hub.url)
        held = JobSet()
        assert held.apply(delta)
        assert (delta.since, delta.more, len(delta.jobs)) == (0, False, 40)
        assert contents(held) == stored(writer)
        for number in range(30):
            writer.update(f"j{number:02d}", lambda job: job.replace(title="y" * 20_000))
        writer.remove("j39")
        news = await once.read(hub.url, cursor=delta.cursor())
        assert [job.id for job in news.jobs] == [f"j{number:02d}" for number in range(30)]
        assert [item.id for item in news.gone] == ["j39"]
        assert held.apply(news)
        assert contents(held) == stored(writer)
        again = await once.read(hub.url, cursor=news.cursor())
        assert (again.since, again.jobs, again.gone) == (news.through, (), ())


async def test_a_filter_is_the_hubs_and_resumes(served: Store, writer: Store) -> None:
    """What left it is gone."""
    writer.create(new_job("a1"))
    writer.create(new_job("b1"))
    async with running_hub(served) as hub:
        wanted = Filter(active=True)
        first = await once.read(hub.url, wanted)
        writer.update("a1", lambda job: complete(job, now=job.created_at))
        news = await once.read(hub.url, wanted, first.cursor(wanted))
        assert ([job.id for job in news.jobs], [item.id for item in news.gone]) == ([], ["a1"])


async def test_more_ids_than_fit_into_a_request_are_chosen_here(
    served: Store, writer: Store
) -> None:
    """The same answer, and the same cursor."""
    ids = [f"{number:03d}-{'x' * 60}" for number in range(once.MAX_IDS + 50)]
    for id in ids:
        writer.create(new_job(id))
    writer.create(new_job("other"))
    async with running_hub(served) as hub:
        for some in (ids[: once.MAX_IDS], ids):
            wanted = Filter.make(ids=some)
            delta = await once.read(hub.url, wanted)
            assert [job.id for job in delta.jobs] == some
            news = await once.read(hub.url, wanted, delta.cursor(wanted))
            assert (news.since, news.jobs) == (delta.through, ())


async def test_starts_of_ids_are_found(served: Store, writer: Store) -> None:
    """A whole id wins over those that it is the start of."""
    for id in ("same", "same-one", "same-two", "other"):
        writer.create(new_job(id))
    async with running_hub(served) as hub:
        found = await once.find(hub.url, ["oth", "same", "same-o"])
        assert [job.id for job in found] == ["other", "same", "same-one"]
        with pytest.raises(JobNotFound, match="same-one, same-two"):
            await once.find(hub.url, ["same", "same-"])
        with pytest.raises(JobNotFound, match="no job zzz in ws://"):
            await once.find(hub.url, ["zzz"])


async def test_a_hub_out_of_reach_is_said_at_once(directory: Path, served: Store) -> None:
    """No second try, and what next."""
    async with running_hub(served) as hub:
        url = hub.url
    with pytest.raises(HubError, match="nobody listens there; is 'jobctl serve' running"):
        await once.read(url)


async def test_a_hub_says_what_is_odd_in_a_file(served: Store, directory: Path) -> None:
    """As a reader of the directory is told, and with the same canonical values."""
    (directory / "x.json").write_text(
        '{"stage":"load","createdAt":"2026-03-01 05:00:00","progress":140,"result":NaN}'
    )
    served.refresh()
    async with running_hub(served) as hub:
        (job,) = (await once.read(hub.url)).jobs
    here = served.get("x")
    assert job == here
    assert [str(remark) for remark in job.remarks] == [str(remark) for remark in here.remarks]
    assert len(job.remarks) == 3
    assert here.reading is not None
    assert job.reading is not None
    assert job.reading.missing == here.reading.missing == {"updated_at"}
