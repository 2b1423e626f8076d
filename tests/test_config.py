"""Which directory."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jobctl.config import is_durable, resolve_dir
from jobctl.errors import UsageError


def test_the_flag_beats_the_environment_beats_the_file(tmp_path: Path) -> None:
    """And the file's directory is relative to the file."""
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    (tmp_path / "jobctl.toml").write_text('dir = "data/jobs"\n')
    env = {"JOBCTL_DIR": "from-env"}
    assert resolve_dir("flag", env, deep) == (deep / "flag", "--dir", True)
    assert resolve_dir(None, env, deep) == (deep / "from-env", "$JOBCTL_DIR", True)
    found = resolve_dir(None, {}, deep)
    assert found == (tmp_path / "data" / "jobs", str(tmp_path / "jobctl.toml"), True)


def test_the_nearest_file_counts(tmp_path: Path) -> None:
    """Upwards from here."""
    near = tmp_path / "near"
    near.mkdir()
    (tmp_path / "jobctl.toml").write_text('dir = "far"\n')
    (near / "jobctl.toml").write_text('dir = "jobs"\n')
    assert resolve_dir(None, {}, near).path == near / "jobs"


def test_without_all_of_them_it_is_the_users_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state directory of the platform."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    found = resolve_dir(None, {}, tmp_path)
    assert found == (tmp_path / "jobctl" / "jobs", "default", False)


@pytest.mark.parametrize("text", ["dir = ", "dir = 3", "dir = ''", "\xff"])
def test_a_file_that_is_none_is_a_usage_error(tmp_path: Path, text: str) -> None:
    """It names the file."""
    path = tmp_path / "jobctl.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError, match=r"jobctl\.toml"):
        resolve_dir(None, {}, tmp_path)


def test_durability_is_said_by_the_environment_or_the_file(tmp_path: Path) -> None:
    """Or by nobody."""
    assert is_durable({}, tmp_path) is None
    (tmp_path / "jobctl.toml").write_text("durable = true\n")
    assert is_durable({}, tmp_path) is True
    assert is_durable({"JOBCTL_DURABLE": "0"}, tmp_path) is False
    with pytest.raises(UsageError):
        is_durable({"JOBCTL_DURABLE": "perhaps"}, tmp_path)


@pytest.mark.parametrize("text", ["~nobody-of-that-name/jobs", "a\0b"])
def test_what_can_be_no_path_is_a_usage_error(tmp_path: Path, text: str) -> None:
    """Wherever it was written."""
    (tmp_path / "jobctl.toml").write_text(f"dir = {json.dumps(text)}\n")
    for flag, env in ((text, {}), (None, {"JOBCTL_DIR": text}), (None, {})):
        with pytest.raises(UsageError):
            resolve_dir(flag, env, tmp_path)
