"""``jobctl js``: the browser's client, written into a project."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobctl.page import CLIENT_FILES, asset
from tests.cli.conftest import Run


def test_js_writes_what_a_hub_serves(run: Run, tmp_path: Path) -> None:
    """All files, into a directory that it makes; it says which."""
    out = tmp_path / "src" / "jobs"
    said = run("js", "--out", str(out))
    assert (said.code, said.out.split()) == (0, [str(out / name) for name in CLIENT_FILES])
    assert {path.name: path.read_text() for path in out.iterdir()} == {
        name: asset(name) for name in CLIENT_FILES
    }


def test_js_takes_files_that_are_the_same(run: Run, tmp_path: Path) -> None:
    """A second time changes nothing."""
    assert [run("js", "--out", str(tmp_path)).code for _ in range(2)] == [0, 0]


def test_js_replaces_what_differs_only_if_told_to(run: Run, tmp_path: Path) -> None:
    """Somebody may have changed it; nothing is written then."""
    mine = tmp_path / "react.js"
    mine.write_text("// mine\n")
    said = run("js", "--out", str(tmp_path))
    assert said.code == 2
    assert said.err == (
        f"jobctl: {mine} exists, and differs from that of this version; "
        "--force replaces it; or name another --out\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["react.js"]
    assert run("js", "--out", str(tmp_path), "--force").code == 0
    assert mine.read_text() == asset("react.js")


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_js_says_where_it_cannot_write(run: Run, tmp_path: Path, place: str) -> None:
    """In one line."""
    (tmp_path / "file").touch()
    said = run("js", "--out", str(tmp_path / place))
    assert (said.code, said.out) == (5, "")
    assert said.err.startswith(f"jobctl: cannot write to {tmp_path / place}: ")
    assert said.err.count("\n") == 1


def test_js_needs_a_place(run: Run) -> None:
    """It does not write into whatever directory one happens to be in."""
    said = run("js")
    assert (said.code, said.out) == (2, "")
    assert "--out" in said.err


def test_js_names_the_file_that_is_a_directory(run: Run, tmp_path: Path) -> None:
    """The message is about that file, not about where it is."""
    (tmp_path / "react.js").mkdir()
    said = run("js", "--out", str(tmp_path))
    assert said.code == 5
    assert said.err == f"jobctl: cannot write to {tmp_path / 'react.js'}: Is a directory\n"
