"""The page says how long a job usually takes, in the words of `jobctl show`."""

from __future__ import annotations

import pytest

from jobctl._clock import now_ms
from jobctl.core import transitions as jobs
from jobctl.core.eta import MIN_LEARNED
from jobctl.core.times import to_text
from tests.hub.browser import CHROMIUM, browser
from tests.hub.network import new_job, running_hub

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium"),
]

TOOK = "document.querySelector('.job-took')?.textContent.replace(/^for \\d+s/, 'for Ns')"
HINT = """(() => {
    const cell = document.querySelector("#rows [data-id=a1] .took");
    cell?.dispatchEvent(new PointerEvent("pointerover", { bubbles: true }));
    return cell?.title.split("\\n").at(-1);
})()"""


async def test_page_says_what_is_usual_as_soon_as_it_is_known(served):
    """In the hint of the table and beside the elapsed time of a job's page, live."""
    began_ms = now_ms() - 200_000

    def complete(number: int) -> None:
        job = new_job(f"b{number}", type="load").replace(created_at=to_text(began_ms))
        served.create(job)
        end = to_text(began_ms + 65_000 + 10_000 * number)
        served.update(job.id, lambda held: jobs.complete(held, now=end))

    served.create(new_job("a1", type="load"))
    for number in range(MIN_LEARNED - 1):
        complete(number)
    async with running_hub(served) as hub, browser() as page:
        start = hub.url.replace("ws", "http", 1).replace("/ws/jobs", "/")
        await page.go(start)
        await page.shows("document.querySelectorAll('#rows [data-id]').length", MIN_LEARNED)
        assert "Usually" not in await page.run(HINT)
        complete(MIN_LEARNED - 1)
        await page.shows(HINT, "Usually 1m25s-1m41s")
        await page.go(start + "jobs/a1")
        await page.shows(TOOK, "for Ns, usually 1m25s-1m41s")
        served.update("a1", lambda held: jobs.complete(held, now=to_text(now_ms())))
        await page.shows(f"/usually/.test({TOOK})", False)
