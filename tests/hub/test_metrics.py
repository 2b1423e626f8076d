"""``/metrics`` in the two formats, and which of them a client gets."""

from __future__ import annotations

import pytest
from aiohttp import ClientSession
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parsed
from prometheus_client.parser import text_string_to_metric_families as parsed_text

from jobctl.hub.metrics import prefers_openmetrics
from tests.hub.network import Reader, new_job, running_hub, until
from tests.hub.test_page import page_of

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
    "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;"
    "escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("", False),
        ("*/*", False),
        ("text/plain", False),
        ("text/html,application/xhtml+xml,*/*;q=0.8", False),
        ("text/plain;version=0.0.4;q=0.5,*/*;q=0.1", False),
        (PROMETHEUS_2, True),
        (PROMETHEUS_3, True),
        ("application/openmetrics-text", True),
        ('Application/OpenMetrics-Text; Version="1.0.0"', True),
        ("application/openmetrics-text;q=0", False),
        ("application/openmetrics-text;q=0.3,text/plain;q=0.9", False),
        ("application/openmetrics-text;version=2.0.0", False),
        ("application/openmetrics-text;version=2.0.0,application/openmetrics-text;q=0.5", True),
        ("application/openmetrics-text;q=often", False),
        (";;,=;q", False),
    ],
)
def test_who_prefers_openmetrics_gets_it(accept, wanted):
    """It has to be named; a browser gets text."""
    assert prefers_openmetrics(accept) is wanted


async def scraped(url: str, accept: str | None) -> tuple[str, str]:
    """The content type and the text."""
    headers = {"Accept": accept} if accept is not None else {}
    async with (
        ClientSession() as session,
        session.get(f"{page_of(url)}metrics", headers=headers) as answer,
    ):
        assert answer.status == 200
        return answer.headers["Content-Type"], await answer.text()


async def test_a_snapshot_is_a_gauge_histogram(served):
    """What is so now goes down again, so it must not look like a count; the rest are counts."""
    served.create(new_job("a1"))
    async with running_hub(served) as hub, Reader.of_hub(hub.url) as reader:
        await until(lambda: reader.contents)
        kind, text = await scraped(hub.url, PROMETHEUS_2)
    assert kind == OPENMETRICS
    assert text.endswith("# EOF\n")
    families = {family.name: family for family in parsed(text)}
    types = {name: family.type for name, family in families.items()}
    assert types["jobctl_session_lag_revisions"] == "gaugehistogram"
    assert types["jobctl_store_read_seconds"] == types["jobctl_loop_lag_seconds"] == "histogram"
    assert types["jobctl_deltas"] == "counter"
    assert types["jobctl_revision"] == types["jobctl_jobs"] == "gauge"
    lag = {
        (sample.name.removeprefix("jobctl_session_lag_revisions"), sample.labels.get("le")):
        sample.value
        for sample in families["jobctl_session_lag_revisions"].samples
    }  # fmt: skip
    assert lag["_gcount", None] == lag["_bucket", "+Inf"] == 1
    assert ("_bucket", "10.0") in lag


@pytest.mark.parametrize("accept", [None, "*/*", "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"])
async def test_an_old_scraper_gets_the_format_that_it_knows(served, accept):
    """With the names and the types that it had."""
    async with running_hub(served) as hub:
        kind, text = await scraped(hub.url, accept)
    assert kind == TEXT
    assert "# EOF" not in text
    types = {family.name: family.type for family in parsed_text(text)}
    assert types["jobctl_session_lag_revisions"] == "histogram"
    assert 'jobctl_session_lag_revisions_bucket{le="10"}' in text
    assert "jobctl_session_lag_revisions_count" in text


async def test_both_formats_have_the_same_metrics(served):
    """Nothing is left out of one of them."""
    async with running_hub(served) as hub:
        _, text = await scraped(hub.url, None)
        _, openmetrics = await scraped(hub.url, PROMETHEUS_3)
    assert {family.name for family in parsed_text(text)} == {
        family.name for family in parsed(openmetrics)
    }
