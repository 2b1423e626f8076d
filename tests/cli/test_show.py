"""``jobctl show``."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobctl.cli import show as show_module
from jobctl.cli.show import describe
from jobctl.core.job import Job
from tests.cli.conftest import DATA, DERIVED, Run, hub_on

GOLDEN = Path(__file__).parent / "golden"
NOW_MS = 1791244800000  # 2026-10-06T00:00:00Z


@pytest.fixture
def in_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Local time is the same everywhere, and so is now."""
    monkeypatch.setenv("TZ", "UTC0")
    monkeypatch.setattr(show_module, "now_ms", lambda: NOW_MS)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("folder", "id"),
    [
        ("node-app-jobs", "0b961de6"),  # in a stage
        ("node-app-jobs", "452384c2"),  # failed
        ("node-app-jobs", "4e65a2ff"),  # completed
        ("bad-jobs", "terminal-escape"),
        ("bad-jobs", "rich-markup"),
        ("bad-jobs", "unknown-stage"),
    ],
)
def test_show_looks_as_it_did(run: Run, in_utc: None, folder: str, id: str) -> None:
    """Golden files pin it. Lines are as long as what they tell, whatever the terminal's width."""
    text = run("show", id, "--dir", str(DATA / folder)).out
    assert text == (GOLDEN / f"show-{id}.txt").read_text()


def test_every_digit_of_a_count_is_shown(run: Run, jobs_dir: Path) -> None:
    """Three million rows are not 3e+06."""
    run("create", "--id", "j")
    run("progress", "j", "3000000/8000001")
    assert "progress        3000000 of 8000001\n" in run("show", "j").out
    run("progress", "j", "12.5")
    assert "progress        12.5%\n" in run("show", "j").out


def test_a_result_is_shown_as_it_reads(run: Run, jobs_dir: Path) -> None:
    """In any script, and yet harmless."""
    run("create", "--id", "j")
    run("complete", "j", "--result", json.dumps({"title": "模型", "odd": "a\x9bb\u2028c"}))
    text = run("show", "j").out
    assert '  "title": "模型",' in text
    assert '  "odd": "a\\x9bb\\u2028c"' in text


def test_asker_of_an_act_is_shown(run: Run, jobs_dir: Path) -> None:
    """Who asked a hub, and through which; the request ids are nobody's business."""
    run("create", "--id", "j")
    path = jobs_dir / "j.json"
    job = json.loads(path.read_text())
    job["history"][0] |= {"by": "ops\x1b[2J", "via": "web1/socket"}
    job["acts"] = ["r1 create 0a1b2c"]
    path.write_text(json.dumps(job, indent=2))
    text = run("show", "j").out
    assert "by ops\\e[2J via web1/socket\n" in text
    assert "acts" not in text
    assert "acts" not in json.loads(run("show", "j", "-o", "json").out)
    run("advance", "j", "load")
    assert json.loads(path.read_text())["acts"] == ["r1 create 0a1b2c"]


def test_json_is_one_line_with_what_is_derived(run: Run) -> None:
    """As in `ls -o json`."""
    out = run("show", "0b961de6", "--dir", str(DATA / "node-app-jobs"), "-o", "json").out
    assert out.count("\n") == 1
    assert set(json.loads(out)["derived"]) == DERIVED


def test_end_of_a_command_is_shown_without_the_command() -> None:
    """FAULTS row 65: a hub may keep the command to itself, and still tell how it ended."""
    at = "2026-01-01T00:00:00.000Z"
    base = {"id": "j", "type": "run", "stage": "failed", "createdAt": at, "updatedAt": at}

    def fields(run: object) -> dict[str, str]:
        lines = describe(Job(**base | {"run": run}), 0)
        return {line[:15].strip(): line[16:] for line in lines}

    end = {"exitCode": 2, "durationMs": 3000}
    assert fields(end).items() >= {"exit code": "2", "duration": "3s"}.items()
    assert fields({"signal": "SIGKILL"})["exit code"] == "SIGKILL"
    whole = {"argv": ["sh", "-c", "x"], "cwd": "/", "env": {"KEY": "secret"}, "stderr": ["a", "b"]}
    shown = fields({**whole, **end})
    assert (shown["command"], shown["environment"], shown["stderr"]) == ("sh -c x", "KEY", "a")
    for other in (17, "text", {"id": 7}, {"exitCode": "x"}, {"durationMs": 1.5}):
        assert not fields(other).keys() & {"command", "exit code", "duration"}


def test_a_file_that_is_no_job_says_why(run: Run) -> None:
    """It is named, with the reason."""
    result = run("show", "torn", "--dir", str(DATA / "bad-jobs"))
    assert (result.code, result.out, result.err.count("\n")) == (5, "", 1)
    assert "torn" in result.err
    assert "not JSON" in result.err


@pytest.mark.slow
def test_a_hub_is_asked_by_its_url(run: Run, jobs_dir: Path) -> None:
    """The same text, for any unique start of the id."""
    run("create", "etl", "--id", "night-1")
    run("create", "etl", "--id", "night-2")
    run("complete", "night-1", "--result", '{"rows": 3}')
    with hub_on(jobs_dir) as url:
        here = run("show", "night-1", "-o", "json").out
        assert run("show", "night-1", "-o", "json", "--url", url).out == here
        assert '"rows": 3' in run("show", "night-1", "--url", url).out
        two = run("show", "night", "--url", url)
        assert (two.code, two.err.count("\n"), "night-1, night-2" in two.err) == (4, 1, True)


def test_an_odd_file_is_shown_with_remarks_and_canonical_values(run: Run, jobs_dir: Path) -> None:
    """FAULTS row 68: for people, and in machine output, which has what readers of a hub get."""
    jobs_dir.mkdir(exist_ok=True)
    (jobs_dir / "x.json").write_text(
        '{"stage":"load","createdAt":"2026-11-28T10:00:00+05:30","progress":140,"loss":NaN}'
    )
    text = run("show", "x").out
    assert "remark          progress: 140 is read as 100\n" in text
    assert "remark          loss: NaN is not JSON: read as null\n" in text
    for command in ("show", "ls"):
        value = json.loads(run(command, "x", "-o", "json").out)
        job = value["jobs"][0] if command == "ls" else value
        assert (job["createdAt"], job["progress"]) == ("2026-11-28T04:30:00.000Z", 100)
        assert job["loss"] is None
        assert job["derived"]["remarks"] == [
            "loss: NaN is not JSON: read as null",
            "progress: 140 is read as 100",
        ]
    (jobs_dir / "y.json").write_text('{"stage":"load"}')
    assert "remarks" not in json.loads(run("show", "y", "-o", "json").out)["derived"]


def test_several_jobs_are_blocks_with_a_blank_line_between(run: Run, jobs_dir: Path) -> None:
    """Each as it is shown alone; a missing one is an error beside the others."""
    for id in ("one", "two"):
        run("create", "etl", "--id", id)
        run("complete", id)
    alone = [run("show", id).out for id in ("two", "one")]
    assert run("show", "two", "one") == (0, "\n".join(alone), "")
    ran = run("show", "two", "nobody", "one", "!")
    assert (ran.code, ran.out) == (4, "\n".join(alone))
    missing, invalid = ran.err.splitlines()
    assert "no job nobody" in missing
    assert "'!'" in invalid
    assert run("show", "one", "one").out == alone[1]


def test_several_jobs_as_json_are_a_list(run: Run, jobs_dir: Path) -> None:
    """One is an object, as before; jsonl has a line for each, and names are names."""
    for id in ("one", "two"):
        run("create", "etl", "--id", id)
    assert json.loads(run("show", "one", "-o", "json").out)["id"] == "one"
    both = json.loads(run("show", "one", "two", "-o", "json").out)
    assert [job["id"] for job in both] == ["one", "two"]
    ran = run("show", "one", "nobody", "-o", "json")
    assert (ran.code, [job["id"] for job in json.loads(ran.out)]) == (4, ["one"])
    assert json.loads(ran.err)["error"]["kind"] == "JobNotFound"
    lines = run("show", "one", "two", "-o", "jsonl").out.splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["one", "two"]
    assert run("show", "one", "two", "-q").out == "one\ntwo\n"


@pytest.mark.slow
def test_several_jobs_of_a_hub(run: Run, jobs_dir: Path) -> None:
    """The same as from its directory."""
    for id in ("one", "two"):
        run("create", "etl", "--id", id)
    with hub_on(jobs_dir) as url:
        ran = run("show", "two", "nobody", "!", "one", "-o", "jsonl", "--url", url)
        assert ran.code == 4
        assert [json.loads(line)["id"] for line in ran.out.splitlines()] == ["two", "one"]
        kinds = [json.loads(line)["error"]["kind"] for line in ran.err.splitlines()]
        assert kinds == ["JobNotFound", "InvalidId"]
