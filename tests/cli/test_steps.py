"""The commands that write: ``create`` to ``rm``."""

from __future__ import annotations

import json
import shutil
import stat
from pathlib import Path

import pytest

from tests.cli.conftest import DATA, Run


def shown(run: Run, id: str) -> dict[str, object]:
    """The job as ``show -o json`` gives it."""
    return dict(json.loads(run("show", id, "-o", "json").out))


def test_ten_lines_of_shell_track_a_job(run: Run, jobs_dir: Path) -> None:
    """create, advance, progress, complete: the file tells the whole story."""
    id = run("create", "etl", "--title", "Nightly", "--stages", "fetch,clean,load").out.strip()
    assert run("advance", id, "fetch").code == 0
    assert run("progress", id, "3/8", "orders.csv").code == 0
    assert shown(run, id)["progress"] == {"done": 3, "total": 8}
    assert run("advance", id).code == 0
    assert run("advance", id, "load").code == 0
    assert run("complete", id, "--result", '{"rows": 41200}').code == 0
    job = shown(run, id)
    history = job["history"]
    assert isinstance(history, list)
    assert [entry["stage"] for entry in history] == [
        "pending",
        "fetch",
        "clean",
        "load",
        "completed",
    ]
    assert (job["stage"], job["result"], job.get("message")) == ("completed", {"rows": 41200}, None)


def test_fail_retry_cancel_rm(run: Run, jobs_dir: Path) -> None:
    """The other ways to go."""
    id = run("create").out.strip()
    assert run("fail", id, "429 Too Many Requests").code == 0
    assert shown(run, id)["completedAt"] is None
    assert run("retry", id).code == 0
    assert (shown(run, id)["stage"], shown(run, id)["retryCount"]) == ("pending", 1)
    assert run("cancel", id).code == 0
    assert shown(run, id)["error"] == "Cancelled by user"
    assert run("rm", id).code == 0
    assert run("show", id).code == 4


def test_the_first_writer_makes_the_directory_and_says_so(run: Run, jobs_dir: Path) -> None:
    """FAULTS row 57: for its owner alone."""
    result = run("create")
    assert result.err == f"jobctl: created {jobs_dir}\n"
    assert stat.S_IMODE(jobs_dir.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["advance", "{id}", "nowhere"], 1, "possible: "),
        (["advance", "{id}", "failed"], 1, "possible: "),
        (["retry", "{id}"], 1, "cannot retry"),
        (["progress", "{id}", "much"], 2, "DONE/TOTAL"),
        (["progress", "{id}", "140"], 2, "percentage"),
        (["complete", "{id}", "--result", "{"], 2, "not JSON"),
        (["complete", "{id}", "--result", "@/nowhere"], 2, "/nowhere"),
        (["advance", "nobody"], 4, "no job nobody"),
        (["complete", "nobody"], 4, "what is there, 'jobctl config' for why there"),
        (["show", "../x"], 2, "not a job id"),
        (["create", "--id", "../x"], 2, "not a job id"),
        (["create", "--id", "-rf"], 2, "not a job id"),
        (["create", "--stages", "a,,b"], 2, "not a stage"),
        (["create", "--stages", "a,pending"], 2, "leave it out"),
        (["ls", "--colour"], 2, "try 'jobctl ls --help'"),
        (["advance"], 2, "Missing argument 'ID'"),
        (["nonsense"], 2, "try 'jobctl --help'"),
        (["serve", "--port", "99999"], 2, "try 'jobctl serve --help'"),
        (["watch", "--url", "ftp://x"], 2, "not the URL of a hub"),
        (["watch", "--url", "ws://127.0.0.1:1", "--dir", "x"], 2, "two sources"),
        (["watch", "--timeout", "1"], 2, "goes with --url"),
        (["watch", "{id}", "--stage", "pending"], 2, "two choices"),
        (["watch", "--url", "ws://127.0.0.1:1", ""], 2, "not a job id"),
        (["watch", "--cursor-file", "/dev/full/x"], 2, "cursor"),
        (["ls", "--dir", ""], 2, "--dir is empty"),
        (["complete", "{id}", "--result", "NaN"], 2, "NaN"),
        (["complete", "{id}", "--result", "@/dev/zero"], 2, "over the 65536 bytes"),
    ],
)
def test_bad_input_gets_one_line_and_its_code(
    run: Run, jobs_dir: Path, args: list[str], code: int, said: str
) -> None:
    """What, where, what next; no traceback; nothing is lost (FAULTS row 55 for the ids)."""
    id = run("create", "create_session").out.strip()
    before = (jobs_dir / f"{id}.json").read_bytes()
    result = run(*[arg.format(id=id) if arg == "{id}" else arg for arg in args])
    assert (result.code, result.out) == (code, "")
    assert result.err.startswith("jobctl: ")
    assert result.err.count("\n") == 1
    assert said in result.err
    assert (jobs_dir / f"{id}.json").read_bytes() == before


def test_result_with_duplicate_keys_keeps_the_last_and_says_so(
    run: Run, jobs_dir: Path, tmp_path: Path
) -> None:
    """Wherever it comes from, in one line; what fails says only why."""
    text = '{"rows": 1, "of": {"a": 1, "a": 2}, "rows": 2}'
    (tmp_path / "result.json").write_text(text)
    for source, name in ((text, "--result"), (f"@{tmp_path}/result.json", "result.json")):
        id = run("create").out.strip()
        done = run("complete", id, "--result", source)
        assert (done.code, done.err.count("\n")) == (0, 1)
        assert name in done.err
        assert 'the keys "a", "rows" stand twice: the last one of each counts' in done.err
        assert json.loads(run("show", id, "-o", "json").out)["result"] == {
            "rows": 2, "of": {"a": 2},
        }  # fmt: skip
        again = run("complete", id, "--result", source)
        assert (again.code, again.err.count("\n")) == (1, 1)
        assert "twice" not in again.err


def test_of_several_ids_all_are_tried(run: Run, jobs_dir: Path) -> None:
    """The first failure settles the exit code; the others are done all the same."""
    one, two = run("create").out.strip(), run("create").out.strip()
    result = run("rm", one, "missing", two)
    assert (result.code, result.err.count("\n")) == (4, 1)
    assert run("ls", "-q").out == ""


def test_a_rewrite_keeps_foreign_keys_and_leaves_other_files_alone(
    run: Run, jobs_dir: Path
) -> None:
    """The files of the original program: one is advanced, 47 stay byte for byte as they were."""
    shutil.copytree(DATA / "node-app-jobs", jobs_dir)
    path = jobs_dir / "0b961de6-0db3-45e5-a6b1-baace3925407.json"
    value = json.loads(path.read_text())
    path.write_text(json.dumps({**value, "worker": {"host": "a", "tries": [1, 2]}}, indent=2))
    path.chmod(0o640)
    before = {file.name: file.read_bytes() for file in jobs_dir.glob("*.json")}
    assert run("advance", "0b961de6").code == 0
    after = {file.name: file.read_bytes() for file in jobs_dir.glob("*.json")}
    assert [name for name in before if before[name] != after[name]] == [path.name]
    rewritten = json.loads(path.read_text())
    assert (rewritten["stage"], rewritten["worker"]) == ("generate", {"host": "a", "tries": [1, 2]})
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
