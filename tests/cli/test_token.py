"""``jobctl token``: tokens with names and rights."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from jobctl.hub.rights import Rights
from jobctl.hub.tokens import TokenFile, changing, parse_lines, server_tokens
from tests.cli.conftest import Run


@pytest.fixture
def file(tmp_path: Path) -> str:
    """The path of a token file that does not exist yet."""
    return str(tmp_path / "tokens")


def test_new_token_is_printed_once_and_kept_as_a_digest(run: Run, file: str) -> None:
    """In a file that only its owner can read."""
    said = run(
        "token", "new", "ops", "view,operate", "--type", "etl", "-l", "team=data",
        "--expires", "90d", "--token-file", file,
    )  # fmt: skip
    assert said.code == 0, said.err
    secret = said.out.strip()
    assert len(secret) > 40
    assert secret not in Path(file).read_text()
    assert Path(file).stat().st_mode & 0o777 == 0o600
    line = TokenFile(file).find(secret.encode())
    assert line is not None
    assert (line.name, line.rights) == ("ops", Rights.VIEW | Rights.OPERATE)
    assert line.scope.to_wire() == {"type": ["etl"], "label": ["team=data"]}
    listed = run("token", "list", "--token-file", file).out
    assert "view,operate" in listed
    assert secret not in listed


def test_revoked_token_is_gone_and_others_stay(run: Run, file: str) -> None:
    """With the comments of the file."""
    Path(file).write_text("# of the team\n")
    Path(file).chmod(0o600)
    for name in ("ops", "ops2"):
        assert run("token", "new", name, "view", "--token-file", file).code == 0
    assert run("token", "revoke", "ops", "--token-file", file).code == 0
    assert [token.name for token in TokenFile(file).all()] == ["ops2"]
    assert Path(file).read_text().startswith("# of the team\n")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("new",), "jobctl token new NAME RIGHTS"),
        (("new", "ops"), "jobctl token new NAME RIGHTS"),
        (("new", "ops", "view,fly"), "are not rights"),
        (("new", "a b", "view"), "'a b' is not a name"),
        (("new", "kim", "view"), "there is a token of kim"),
        (("new", "ops", "view", "--expires", "soon"), "--expires"),
        (("revoke", "eve"), "it has those of kim"),
        (("revoke",), "jobctl token revoke NAME"),
        (("list", "kim"), "takes no name"),
        (("revoke", "kim", "view"), "are for 'jobctl token new'"),
        (("list", "--type", "etl"), "are for 'jobctl token new'"),
    ],
)
def test_mistake_is_said_in_one_line(run: Run, file: str, args: tuple[str, ...], said: str) -> None:
    """And the file stays."""
    assert run("token", "new", "kim", "view", "--token-file", file).code == 0
    before = Path(file).read_text()
    answer = run("token", *args, "--token-file", file)
    assert (answer.code, answer.out) == (2, "")
    assert said in answer.err
    assert answer.err.count("\n") == 1
    assert Path(file).read_text() == before


def test_file_with_a_single_token_is_left_alone(run: Run, file: str) -> None:
    """Whoever has it would lose it."""
    Path(file).write_text("0123456789abcdef-token\n")
    Path(file).chmod(0o600)
    answer = run("token", "new", "ops", "view", "--token-file", file)
    assert (answer.code, "holds a single token" in answer.err) == (2, True)
    assert server_tokens(Path(file), {}) == b"0123456789abcdef-token"


@pytest.mark.parametrize("content", ["", "# none\n", "two words\n"])
def test_file_without_a_token_is_refused(file: str, content: str) -> None:
    """A hub does not start with it, as nobody could reach it."""
    Path(file).write_text(content)
    Path(file).chmod(0o600)
    with pytest.raises(Exception, match=r"no token|3 to 5 are expected"):
        server_tokens(Path(file), {})


def test_file_that_others_can_read_is_refused(run: Run, file: str) -> None:
    """As that of a single token."""
    assert run("token", "new", "ops", "view", "--token-file", file).code == 0
    Path(file).chmod(0o644)
    answer = run("token", "list", "--token-file", file)
    assert (answer.code, "can be read by others" in answer.err) == (2, True)


def test_no_change_of_many_at_once_is_lost(file: str) -> None:
    """One after the other, each on what the one before has written."""

    def add(number: int) -> None:
        with changing(file) as text:
            text.text += f"user{number} view {number:064x}\n"

    threads = [threading.Thread(target=add, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(parse_lines(Path(file).read_text(), file)) == 20


@pytest.mark.parametrize(
    "line",
    [
        "ops view", "ops view zz", "ops view,view2 " + "0" * 64, "ops VIEW " + "0" * 64,
        "-ops view " + "0" * 64, "ops view foo=1 " + "0" * 64, "ops view type= " + "0" * 64,
        "ops view 10m " + "0" * 64, "ops view tomorrow " + "0" * 64,
        "ops view 2030-13-01 " + "0" * 64, "ops view a b c d " + "0" * 64,
        f"ops view {'0' * 64}\nops view {'1' * 64}", f"a view {'0' * 64}\nb view {'0' * 64}",
        "ops view type=etl&since=0 " + "0" * 64, "ops view label=%20%20 " + "0" * 64,
    ],
)  # fmt: skip
def test_bad_line_is_refused_by_number(line: str) -> None:
    """Whatever is wrong with it."""
    with pytest.raises(Exception, match=r"tokens, line \d"):
        parse_lines("# comment\n" + line, "tokens")
