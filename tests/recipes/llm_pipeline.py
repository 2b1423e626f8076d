"""A pipeline of stages around a service that fails now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any, TypeVar

from jobctl import track

T = TypeVar("T")


class RateLimited(Exception):
    """What a service says when it is asked too often."""


def patiently(job: Any, call: Callable[[], T], tries: int = 4, wait_s: float = 0.01) -> T:
    """The call's answer; tried again with growing pauses, which the job tells of."""
    for attempt in range(1, tries):
        try:
            return call()
        except RateLimited as error:
            pause_s = wait_s * 2**attempt
            job.message(f"{error}; try {attempt + 1} of {tries} in {pause_s:g} s")
            time.sleep(pause_s)
    return call()


def main(refusals: int) -> None:
    """Answer three questions; the service refuses so many times at first."""
    left = refusals

    def ask(question: str) -> str:
        nonlocal left
        if left > 0:
            left -= 1
            raise RateLimited("429 Too Many Requests")
        return question.upper()

    questions = ["who", "what", "why"]
    with track("answers", stages=["load", "generate", "save"], session="chat-1") as job:
        job.stage("load")
        job.stage("generate")
        answers = []
        for done, question in enumerate(questions, 1):
            answers.append(patiently(job, lambda question=question: ask(question)))
            job.progress(done, len(questions), question)
        job.stage("save")
        job.result({"answers": answers})


if __name__ == "__main__":
    main(int(sys.argv[1]))
