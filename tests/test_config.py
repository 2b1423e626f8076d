"""Which directory."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest
from platformdirs import user_config_path, user_state_path

from jobctl import config
from jobctl.config import (
    Settings,
    check_session_url,
    hub_in,
    is_control,
    is_durable,
    is_read_only,
    resolve_dir,
    safe_directories,
    system_file,
    user_file,
    who_forbids_control,
)
from jobctl.errors import NotObeyed, UsageError

NOBODY = 65534
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give files away")


def test_the_flag_beats_the_environment_beats_the_file(tmp_path: Path) -> None:
    """And the file's directory is relative to the file."""
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    (tmp_path / "jobctl.toml").write_text('dir = "data/jobs"\n')
    env = {"JOBCTL_DIR": "from-env"}
    assert resolve_dir("flag", env, deep) == (str(deep / "flag"), "--dir", True)
    assert resolve_dir(None, env, deep) == (str(deep / "from-env"), "$JOBCTL_DIR", True)
    found = resolve_dir(None, {}, deep)
    assert found == (str(tmp_path / "data" / "jobs"), str(tmp_path / "jobctl.toml"), True)


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
    assert found == (str(tmp_path / "jobctl" / "jobs"), "default", False)


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


@pytest.mark.parametrize("base", [None, "", " ", "/var/lib/x"])
def test_the_default_directory_is_where_the_platform_has_state(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, base: str | None
) -> None:
    """As the library says, without asking it."""
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    if base is not None:
        monkeypatch.setenv("XDG_STATE_HOME", base)
    assert resolve_dir(None, {}, tmp_path).path == user_state_path("jobctl") / "jobs"


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


@pytest.mark.parametrize(
    ("written", "meant"),
    [("unix:hub.sock", "unix:BESIDE/hub.sock"), ("unix:/run/hub.sock", "unix:/run/hub.sock"),
     ("unix:~/hub.sock", "unix:HOME/hub.sock")],
)  # fmt: skip
def test_unix_socket_lies_beside_the_file_that_names_it(
    own_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str, meant: str
) -> None:
    """As a token's file does; whichever directory a command is started in."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    own_file.write_text(f'url = "{written}"\n')
    meant = meant.replace("BESIDE", str(own_file.parent)).replace("HOME", str(tmp_path / "home"))
    found = Settings({}, tmp_path).get("url")
    assert found is not None
    assert found.value == meant


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


def test_socket_of_that_name_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 65: as other files that are no regular ones, for no user can mend what another put."""
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind("jobctl.toml")
    assert Settings({}, tmp_path).files == []


@root_only
@pytest.mark.parametrize("target", ["jobctl.toml", "x" * 300])
@pytest.mark.parametrize("around", ["sticky", "theirs"])
def test_link_of_another_user_that_leads_nowhere_is_not_obeyed(
    tmp_path: Path, target: str, around: str
) -> None:
    """Row 65: it names the owner, and keeps nobody from a directory that is named."""
    path = tmp_path / "jobctl.toml"
    path.symlink_to(target)
    os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    if around == "sticky":
        tmp_path.chmod(0o1777)
    else:
        os.chown(tmp_path, NOBODY, NOBODY)
    with pytest.raises(NotObeyed, match=r"jobctl\.toml.*belongs to nobody \(uid 65534\)"):
        resolve_dir(None, {}, tmp_path)
    assert is_durable({}, tmp_path) is None
    assert resolve_dir("x", {}, tmp_path).path == tmp_path / "x"


# -- the system's file -----------------------------------------------------------------------


@pytest.fixture
def root_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's file, which is empty yet; root's, whoever runs the tests."""
    path = tmp_path / "etc" / "jobctl" / "jobctl.toml"
    path.parent.mkdir(parents=True)
    path.touch()
    monkeypatch.setattr(config, "_SYSTEM_FILE", str(path))
    monkeypatch.setattr(config, "ROOT", frozenset({os.geteuid()}))
    return path


def test_the_systems_file_is_the_lowest_layer(
    tmp_path: Path, own_file: Path, root_file: Path
) -> None:
    """Row 65: root may say where tokens go; the user, the project and the environment beat it."""
    project = tmp_path / "project"
    project.mkdir()
    assert system_file() == root_file
    root_file.write_text(
        'url = "ws://root"\ntoken-file = "token"\nca = "ca.pem"\ntime-format = "iso"\n'
        'dir = "/srv/jobs"\n[types.etl]\nlabel = "Root"\n[types.other]\nlabel = "Other"\n'
    )
    known = Settings({}, project)
    assert known.doubts == []
    assert known.get("url") == ("ws://root", str(root_file), 0)
    assert known.get("token-file") == (str(root_file.parent / "token"), str(root_file), 0)
    assert known.get("ca") == (str(root_file.parent / "ca.pem"), str(root_file), 0)
    with pytest.raises(UsageError, match="two sources"):
        hub_in(known)
    own_file.write_text('url = "ws://mine"\ntime-format = "local"\n[types.etl]\nlabel = "Own"\n')
    known = Settings({}, project)
    assert hub_in(known) == "ws://mine"
    assert known.get("time-format") == ("local", str(own_file), 1)
    assert known.types["etl"] == ({"label": "Own"}, str(own_file))
    assert known.types["other"] == ({"label": "Other"}, str(root_file))
    (project / "jobctl.toml").write_text('dir = "jobs"\n')
    known = Settings({}, project)
    assert hub_in(known) is None
    assert resolve_dir(None, {}, project).path == project / "jobs"
    assert [Path(file.path) for file in known.files] == [
        project / "jobctl.toml",
        own_file,
        root_file,
    ]
    assert Settings({"JOBCTL_URL": "ws://env"}, project).get("url") == (
        "ws://env",
        "$JOBCTL_URL",
        3,
    )


def test_value_that_is_overridden_need_not_make_sense(
    tmp_path: Path, own_file: Path, root_file: Path
) -> None:
    """Row 65: the layer below is not asked, however many there are."""
    root_file.write_text('time-format = "soon"\n')
    own_file.write_text('time-format = "iso"\n')
    found = Settings({}, tmp_path).get("time-format")
    assert found is not None
    assert found.value == "iso"


def test_the_systems_file_is_no_project_of_its_directory(root_file: Path) -> None:
    """Row 65: whoever stands there has it once, and it may name a hub."""
    root_file.write_text('url = "ws://hub"\n')
    known = Settings({}, root_file.parent)
    assert known.doubts == []
    assert known.get("url") == ("ws://hub", str(root_file), 0)


def test_only_root_writes_the_systems_file(
    tmp_path: Path, root_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 65: one that is mine, or the sudo user's, is not obeyed."""
    root_file.write_text('url = "ws://evil"\n')
    monkeypatch.setattr(config, "ROOT", frozenset({os.geteuid() + 1}))
    known = Settings({"SUDO_UID": str(os.geteuid())}, tmp_path)
    assert known.get("url") is None
    (error,) = known.not_obeyed
    assert error.path == str(root_file)
    with pytest.raises(NotObeyed):
        hub_in(known)


# -- what counts in one's own files only -----------------------------------------------------


@pytest.mark.parametrize("name", ["safe-directories", "store", "forward", "session-url"])
def test_what_a_project_may_not_say_is_doubted(tmp_path: Path, own_file: Path, name: str) -> None:
    """Row 65: as for a hub; the names of a later version are kept free of projects now."""
    project = tmp_path / "project"
    project.mkdir()
    path = project / "jobctl.toml"
    path.write_text(f'{name} = ["/"]\n')
    known = Settings({}, project)
    assert known.doubts == [
        f"{path}: {name} does not count in a project's file; write it into {own_file}"
    ]
    assert known.safe == ()
    assert name not in known.names() or known.get(name) is None


def test_safe_directories_of_both_files_count(
    tmp_path: Path, own_file: Path, root_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 65: resolved, from ``~`` on."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "link").symlink_to("real")
    own_file.write_text('safe-directories = ["~/link/", "/srv/a/../b"]\n')
    root_file.write_text('safe-directories = ["/mnt"]\n')
    known = Settings({}, tmp_path)
    safe = (os.path.realpath(tmp_path / "real"), os.path.realpath("/srv/b"), "/mnt")
    assert known.safe == safe_directories({}) == safe
    found = known.get("safe-directories")
    assert found is not None
    assert found.value == [str(tmp_path / "link"), "/srv/a/../b", "/mnt"]
    assert found.origin == f"{own_file}, {root_file}"


@pytest.mark.parametrize(
    "text",
    ['"/srv"', "[1]", '["data"]', '["./data"]', '["~nobody-of-that-name/x"]', r'["/\u0000"]'],
)
def test_safe_directories_that_make_no_sense_are_a_usage_error(
    tmp_path: Path, own_file: Path, text: str
) -> None:
    """Row 65: they are absolute paths; a relative one would mean any directory."""
    own_file.write_text(f"safe-directories = {text}\n")
    with pytest.raises(UsageError, match="safe-directories"):
        Settings({}, tmp_path)
    assert safe_directories({}) == ()


# -- files that are not obeyed ---------------------------------------------------------------


def refused(cwd: Path, **env: str) -> NotObeyed:
    """The one file that is not obeyed, and nothing of it counts."""
    known = Settings(env, cwd)
    (error,) = known.not_obeyed
    assert known.get("time-format") is None
    assert known.types == {}
    assert known.doubts == []
    with pytest.raises(NotObeyed):
        resolve_dir(None, env, cwd)
    with pytest.raises(NotObeyed):
        hub_in(known)
    return error


ODD = 'dir = "evil"\ntime-format = "iso"\nnonsense = 1\n[types.etl]\nlabel = "Evil"\n'


@pytest.mark.parametrize("mode", [0o646, 0o666, 0o602])
def test_file_that_everybody_can_write_is_not_obeyed(tmp_path: Path, mode: int) -> None:
    """Row 65: though it is mine."""
    path = tmp_path / "jobctl.toml"
    path.write_text(ODD)
    path.chmod(mode)
    error = refused(tmp_path)
    assert error.path == str(path)
    assert "everybody can write to it" in error.why


@root_only
@pytest.mark.parametrize("text", [ODD, "no toml ["])
def test_file_of_another_user_is_not_obeyed(tmp_path: Path, text: str) -> None:
    """Row 65: nor read any further; the one above it does not count in its stead."""
    (tmp_path / "jobctl.toml").write_text('dir = "mine"\n')
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    path = tmp_path / "a" / "jobctl.toml"
    path.write_text(text)
    os.chown(path, NOBODY, NOBODY)
    assert refused(deep).why == "it belongs to nobody (uid 65534)"
    assert refused(deep, SUDO_UID="1234").path == str(path)
    assert resolve_dir("x", {}, deep).path == deep / "x"
    assert resolve_dir(None, {"JOBCTL_DIR": "x"}, deep).path == deep / "x"
    if text == ODD:
        assert Settings({"SUDO_UID": str(NOBODY)}, deep).get("dir") is not None


@root_only
def test_file_that_another_user_keeps_to_themselves_is_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 65: one that I may not read might have been meant for me."""
    path = tmp_path / "jobctl.toml"
    path.write_text(ODD)
    path.chmod(0o600)
    real = os.open

    def refuse(name: str, *args: int, **kwargs: int) -> int:
        if name == "jobctl.toml":
            raise PermissionError(13, "Permission denied")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(os, "open", refuse)
    assert Settings({}, tmp_path).files == Settings({}, tmp_path).not_obeyed == []
    os.chown(path, NOBODY, NOBODY)
    assert refused(tmp_path).why == "it belongs to nobody (uid 65534)"


def test_file_in_a_directory_that_others_can_write_to_is_not_obeyed(tmp_path: Path) -> None:
    """Row 65: they can put another one of mine in its place; not where the sticky bit is set."""
    path = tmp_path / "jobctl.toml"
    path.write_text('dir = "mine"\n')
    tmp_path.chmod(0o777)
    error = refused(tmp_path)
    assert error.path == str(path)
    assert error.why.startswith("its directory belongs to ")
    tmp_path.chmod(0o1777)
    assert resolve_dir(None, {}, tmp_path).path == tmp_path / "mine"


@root_only
def test_directory_of_another_user_is_not_obeyed_for_a_file_of_mine(tmp_path: Path) -> None:
    """Row 65: a link in it to my file would turn my relative paths into theirs."""
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "jobctl.toml").write_text('dir = "jobs"\n')
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "jobctl.toml").symlink_to(mine / "jobctl.toml")
    os.chown(theirs, NOBODY, NOBODY)
    assert refused(theirs).why == "its directory belongs to nobody (uid 65534)"


@root_only
def test_link_is_judged_by_what_it_leads_to(tmp_path: Path) -> None:
    """Row 65: my link to their file is theirs; their link in a sticky directory is theirs too."""
    target = tmp_path / "target.toml"
    target.write_text('dir = "jobs"\n')
    link = tmp_path / "project" / "jobctl.toml"
    link.parent.mkdir()
    link.symlink_to(target)
    assert resolve_dir(None, {}, link.parent).path == link.parent / "jobs"
    os.chown(target, NOBODY, NOBODY)
    assert refused(link.parent).why == "it belongs to nobody (uid 65534)"
    os.chown(target, 0, 0)
    link.parent.chmod(0o1777)
    assert resolve_dir(None, {}, link.parent).path == link.parent / "jobs"
    os.chown(link, NOBODY, NOBODY, follow_symlinks=False)
    assert refused(link.parent).why == "the link to it belongs to nobody (uid 65534)"


@root_only
def test_own_file_of_another_user_is_not_obeyed(tmp_path: Path, own_file: Path) -> None:
    """Row 65: as with ``su`` that keeps ``$HOME``; it cannot call itself safe."""
    own_file.write_text(f'safe-directories = ["/"]\ntime-format = "iso"\n{ODD[-30:]}')
    os.chown(own_file, NOBODY, NOBODY)
    error = refused(tmp_path)
    assert error.path == str(own_file)
    assert "--dir does without it" in str(error.hint)
    assert len(Settings({}, own_file.parent).not_obeyed) == 1


@root_only
def test_safe_directory_lifts_the_refusal(tmp_path: Path, own_file: Path, root_file: Path) -> None:
    """Row 65: of a settings file in it or below it, and of the system's file."""
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    (deep / "jobctl.toml").write_text('dir = "jobs"\n')
    os.chown(deep / "jobctl.toml", NOBODY, NOBODY)
    os.chown(deep, NOBODY, NOBODY)
    for text in (tmp_path / "a", tmp_path / "a" / "b"):
        own_file.write_text(f'safe-directories = ["{text}"]\n')
        assert resolve_dir(None, {}, deep).path == deep / "jobs"
    for text in (tmp_path / "a" / "bb", tmp_path / "a" / "b" / "c"):
        own_file.write_text(f'safe-directories = ["{text}"]\n')
        assert refused(deep).path == str(deep / "jobctl.toml")
    own_file.write_text("")
    root_file.write_text(f'safe-directories = ["{tmp_path}"]\n')
    assert resolve_dir(None, {}, deep).path == deep / "jobs"
    os.chown(root_file, NOBODY, NOBODY)
    assert len(Settings({}, deep).not_obeyed) == 2
    own_file.write_text(f'safe-directories = ["{root_file.parent}"]\n')
    assert Settings({}, deep).not_obeyed == []  # by the system's list, which is obeyed again


def test_hint_of_a_refusal_is_what_helps(tmp_path: Path, own_file: Path) -> None:
    """Row 65: the line that it prints, in the file that it names."""
    project = tmp_path / "pro ject"
    project.mkdir()
    path = project / "jobctl.toml"
    path.write_text('dir = "jobs"\n')
    path.chmod(0o666)
    hint = str(refused(project).hint)
    assert hint.endswith(f" to {own_file}")
    own_file.write_text(hint.split("add ")[1].removesuffix(f" to {own_file}"))
    assert resolve_dir(None, {}, project).path == project / "jobs"


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("200MB", 200_000_000),
        ("1.5GiB", 3 * 2**29),
        ("2G", 2_000_000_000),
        ("1000000", 1_000_000),
        ("1000 kB", 1_000_000),
        ("2000000B", 2_000_000),
    ],
)
def test_limit_of_logs_is_a_size(tmp_path: Path, text: str, size: int) -> None:
    """From the environment and from a file, where it may be a number too."""
    assert Settings({"JOBCTL_LOG_LIMIT": text}, tmp_path).get("log-limit") == (
        size, "$JOBCTL_LOG_LIMIT", 3,
    )  # fmt: skip
    file = tmp_path / "jobctl.toml"
    for value in (f'"{text}"', *([text] if text.isdigit() else [])):
        file.write_text(f"log-limit = {value}\n")
        assert Settings({}, tmp_path).get("log-limit") == (size, str(file), 2)


@pytest.mark.parametrize("text", ["", "much", "-5MB", "999kB", "5MB5", "1e9", "0"])
def test_other_limits_of_logs_are_refused(tmp_path: Path, text: str) -> None:
    """On one line that says what is possible; an empty variable is as none."""
    if text:
        with pytest.raises(UsageError, match=r"\$JOBCTL_LOG_LIMIT: .*MB"):
            Settings({"JOBCTL_LOG_LIMIT": text}, tmp_path).get("log-limit")
    (tmp_path / "jobctl.toml").write_text(f'log-limit = "{text}"\n')
    with pytest.raises(UsageError, match="log-limit"):
        Settings({}, tmp_path).get("log-limit")
    (tmp_path / "jobctl.toml").write_text("log-limit = true\n")
    with pytest.raises(UsageError, match="log-limit"):
        Settings({}, tmp_path).get("log-limit")


def test_read_only_is_off_unless_set(tmp_path: Path, own_file: Path) -> None:
    """A nearer file may set it, and cannot lift what a farther one sets; the environment can."""
    assert not is_read_only(Settings({}, tmp_path))
    project = tmp_path / "jobctl.toml"
    project.write_text("read-only = true\n")
    assert is_read_only(Settings({}, tmp_path))
    own_file.write_text("read-only = true\n")
    project.write_text("read-only = false\n")
    known = Settings({}, tmp_path)
    assert known.get("read-only") == (True, str(own_file), 1)
    assert is_read_only(known)
    assert not is_read_only(Settings({"JOBCTL_READ_ONLY": "0"}, tmp_path))
    own_file.write_text("")
    assert Settings({}, tmp_path).get("read-only") == (False, str(project), 2)
    assert is_read_only(Settings({"JOBCTL_READ_ONLY": "1"}, tmp_path))


def test_read_only_is_a_boolean(tmp_path: Path) -> None:
    """Any other value is an error: it must not count as off."""
    with pytest.raises(UsageError, match=r"\$JOBCTL_READ_ONLY is neither 0 nor 1"):
        is_read_only(Settings({"JOBCTL_READ_ONLY": "yes"}, tmp_path))
    (tmp_path / "jobctl.toml").write_text('read-only = "yes"\n')
    with pytest.raises(UsageError, match="read-only is neither true nor false"):
        is_read_only(Settings({}, tmp_path))


def test_session_url_counts_in_no_project(tmp_path: Path, own_file: Path) -> None:
    """Row 65: a link of the page leads where its user has said, or the environment."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "jobctl.toml").write_text('session-url = "https://evil.example/{id}"\n')
    assert Settings({}, project).get("session-url") is None
    own_file.write_text('session-url = "https://app.example/s/{id}"\n')
    assert Settings({}, project).get("session-url") == (
        "https://app.example/s/{id}", str(own_file), 1,
    )  # fmt: skip
    env = {"JOBCTL_SESSION_URL": "http://localhost:3000/?s={id}"}
    assert Settings(env, project).get("session-url") == (
        env["JOBCTL_SESSION_URL"], "$JOBCTL_SESSION_URL", 3,
    )  # fmt: skip
    with pytest.raises(UsageError, match=r"\$JOBCTL_SESSION_URL: 'javascript:\{id\}' is no http"):
        Settings({"JOBCTL_SESSION_URL": "javascript:{id}"}, project).get("session-url")
    own_file.write_text('session-url = "https://app.example/"\n')
    with pytest.raises(UsageError, match=r"session-url: .* is no http or https URL"):
        Settings({}, project).get("session-url")
    with pytest.raises(UsageError, match="over 2048"):
        check_session_url(f"https://app.example/{'x' * 2048}{{id}}", "it")


def test_system_file_can_forbid_control(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root_file: Path
) -> None:
    """Whatever the user's own settings say; a project's file counts neither way."""
    root_file.write_text("control = false\n")
    known = Settings({"JOBCTL_CONTROL": "1"}, tmp_path)
    assert is_control(known)
    assert who_forbids_control(known) == str(root_file)
    root_file.write_text("control = true\n")
    known = Settings({}, tmp_path)
    assert is_control(known)
    assert who_forbids_control(known) is None
    root_file.write_text("")
    (tmp_path / "jobctl.toml").write_text("control = true\n")
    assert not is_control(Settings({}, tmp_path))
