"""Which directory."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from platformdirs import user_config_path

from jobctl.config import Settings, is_durable, resolve_dir, user_file
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


@pytest.fixture
def own_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's own settings, which are empty yet."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    path = user_file()
    path.parent.mkdir(parents=True)
    path.touch()
    return path


@pytest.mark.parametrize("base", [None, "", " ", "/etc/xdg"])
def test_the_users_own_file_is_where_the_platform_has_them(
    monkeypatch: pytest.MonkeyPatch, base: str | None
) -> None:
    """The library is not asked where its import would be all that a command waits for."""
    monkeypatch.delenv("XDG_CONFIG_HOME")
    if base is not None:
        monkeypatch.setenv("XDG_CONFIG_HOME", base)
    assert user_file() == user_config_path("jobctl") / "jobctl.toml"


def test_the_project_beats_the_users_own(tmp_path: Path, own_file: Path) -> None:
    """Setting by setting; each says where it comes from."""
    project = tmp_path / "project"
    project.mkdir()
    own_file.write_text('durable = true\ntime-format = "iso"\n')
    (project / "jobctl.toml").write_text('time-format = "local"\n')
    known = Settings({}, project)
    assert known.get("durable") == (True, str(own_file), 1)
    assert known.get("time-format") == ("local", str(project / "jobctl.toml"), 2)
    assert known.get("dir") is None
    assert Settings({"JOBCTL_TIME_FORMAT": "relative"}, project).get("time-format") == (
        "relative", "$JOBCTL_TIME_FORMAT", 3,
    )  # fmt: skip
    assert is_durable({}, project) is True


def test_where_a_token_goes_is_the_users_own(tmp_path: Path, own_file: Path) -> None:
    """A project's file may come with somebody else's repository."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "jobctl.toml").write_text(
        'url = "ws://evil"\ntoken-file = "/etc/shadow"\nca = "c"\n'
    )
    known = Settings({}, project)
    assert [known.get(name) for name in ("url", "token-file", "ca")] == [None, None, None]
    assert len(known.doubts) == 3
    assert all(str(own_file) in doubt for doubt in known.doubts)
    own_file.write_text('url = "ws://hub"\ntoken-file = "token"\n')
    known = Settings({}, project)
    assert known.get("url") == ("ws://hub", str(own_file), 1)
    assert known.get("token-file") == (str(own_file.parent / "token"), str(own_file), 1)


def test_keys_that_mean_nothing_are_doubted(tmp_path: Path) -> None:
    """With the one that was meant."""
    path = tmp_path / "jobctl.toml"
    path.write_text("durible = true\nxyz = 1\n")
    assert Settings({}, tmp_path).doubts == [
        f"{path}: there is no setting durible; did you mean 'durable'?",
        f"{path}: there is no setting xyz",
    ]


@pytest.mark.parametrize(
    "text", ["durable = 1", "time-format = 'soon'", "types = 3", "time-format = 3"]
)
def test_value_of_the_wrong_kind_is_a_usage_error(tmp_path: Path, text: str) -> None:
    """It names the file."""
    (tmp_path / "jobctl.toml").write_text(text)

    def read_all() -> None:
        known = Settings({}, tmp_path)
        for name in known.names():
            known.get(name)

    with pytest.raises(UsageError, match=r"jobctl\.toml"):
        read_all()


def test_the_users_own_file_is_no_project_of_its_directory(own_file: Path) -> None:
    """Whoever stands there has it once, and may name a hub in it."""
    own_file.write_text('url = "ws://hub"\n')
    known = Settings({}, own_file.parent)
    assert known.doubts == []
    assert known.get("url") == ("ws://hub", str(own_file), 1)


def test_odd_files_of_that_name_are_passed_over_or_refused(tmp_path: Path) -> None:
    """None is waited for."""
    path = tmp_path / "jobctl.toml"
    os.mkfifo(path)
    assert Settings({}, tmp_path).files == []
    path.unlink()
    path.mkdir()
    assert Settings({}, tmp_path).files == []
    path.rmdir()
    path.write_bytes(b"\xef\xbb\xbfdurable = true\r\n")  # as some editors write it
    assert is_durable({}, tmp_path) is True
    path.write_bytes(b"#" * 2_000_000)
    with pytest.raises(UsageError, match="over 65536 bytes"):
        Settings({}, tmp_path)
    for text in ("x = " + "[" * 20_000, "x = " + "1" * 5_000, "x = 1e\n"):
        path.write_text(text)
        with pytest.raises(UsageError, match=r"jobctl\.toml"):
            Settings({}, tmp_path)
    path.unlink()
    path.symlink_to(path)
    with pytest.raises(UsageError, match=r"jobctl\.toml"):
        Settings({}, tmp_path)
