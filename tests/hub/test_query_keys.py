"""Query keys that the hub does not know: a mistake on HTTP, a newer client on the socket."""

from __future__ import annotations

import logging

import pytest

from jobctl.core.protocol import FEATURES
from tests.hub.network import new_job, plain, running_hub, said, v1
from tests.hub.test_refusals_help import answer

KNOWN = "active, fields, id, label, limit, session, since, stage, type"


@pytest.mark.parametrize("query", ["stgae=extract", "type=etl&max=5000", "ended=10m", "x", "%ff=1"])
async def test_http_refuses_them_and_lists_the_known_ones(query, served):
    """A misspelled filter would select all jobs, and nobody would notice."""
    served.create(new_job("a1"))
    async with running_hub(served) as hub:
        base = hub.url.replace("/ws/jobs", "")
        for path, known in (("jobs", KNOWN), ("jobs/a1", "none"), ("clients", "none"),
                            ("overdue", "none")):  # fmt: skip
            status, body = await get(f"{base}/api/{path}?{query}")
            assert status == 400
            assert body.endswith(f"the known ones are: {known}\n")
            assert body.startswith("the query has the unknown key ")
            assert body.count("\n") == 1


async def get(url: str) -> tuple[int, str]:
    """Status and body."""
    return await answer(url, {})


async def test_http_takes_all_that_it_lists(served):
    """Each key by itself, and all of them."""
    served.create(new_job("a1"))
    pairs = [
        "active=1",
        "fields=title",
        "id=a1",
        "limit=5",
        "session=s",
        "since=0",
        "stage=x",
        "type=etl",
    ]
    async with running_hub(served) as hub:
        base = hub.url.replace("/ws/jobs", "")
        for query in (*pairs, "&".join(pairs), "type=a&type=b", ""):
            assert (await get(f"{base}/api/jobs?{query}"))[0] == 200


@pytest.mark.parametrize("dial", [v1, plain])
async def test_the_socket_ignores_and_logs_them(dial, served, caplog):
    """A client of a later version connects to this hub, too. Values are not logged."""
    served.create(new_job("a1"))
    with caplog.at_level(logging.WARNING, "jobctl.hub"):
        async with running_hub(served) as hub:
            query = "active=1&secret=hunter2&colour=red&type=etl"
            for _ in range(12):
                async with dial(f"{hub.url}?{query}") as one:
                    assert [job["id"] for job in (await said(one))["jobs"]] == ["a1"]
            async with dial(f"{hub.url}?active=1&max=9999&digest=1&bad=1&ended=1m") as one:
                await said(one)
    records = [each for each in caplog.records if each.getMessage() == "unknown query keys ignored"]
    assert 1 <= len(records) < 12, "the log is rate-limited"
    assert {each.keys for each in records} == {"colour, secret"}  # type: ignore[attr-defined]
    assert "hunter2" not in str([vars(each) for each in records])


async def test_what_is_logged_of_them_is_short(served, caplog):
    """Whatever a client sends."""
    with caplog.at_level(logging.WARNING, "jobctl.hub"):
        async with running_hub(served) as hub:
            query = "&".join(f"{'k' * 50}{number}%0A=1" for number in range(50))
            async with v1(f"{hub.url}?{query}") as one:
                await said(one)
    [record] = [
        each for each in caplog.records if each.getMessage() == "unknown query keys ignored"
    ]
    assert len(record.keys) < 300  # type: ignore[attr-defined]
    assert "\n" not in record.keys  # type: ignore[attr-defined]


async def test_the_features_say_which_keys_a_hub_knows(served):
    """So that a client need not try."""
    async with running_hub(served) as hub, v1(hub.url) as one:
        assert one.response is not None
        features = one.response.headers["Jobctl-Features"].split(", ")
    assert features == sorted(FEATURES)
    assert "max" in features
