"""``jobctl token``: the tokens in a hub's token file, each with a name and rights."""

from __future__ import annotations

import secrets
from enum import StrEnum
from typing import Annotated, NoReturn

from jobctl._clock import now_ms
from jobctl.cli.common import note, out, seconds, settings
from jobctl.cli.options import Argument, NoHeadersOption, Option
from jobctl.cli.table import columns_of_terminal, lines
from jobctl.core.cursor import ZERO
from jobctl.core.filters import EVERYTHING, Filter
from jobctl.core.protocol import query_of
from jobctl.core.times import to_text
from jobctl.errors import UsageError

__all__ = ["EXAMPLE", "token"]

EXAMPLE = "Example: jobctl token new ops view,operate --type etl --token-file tokens"


class Action(StrEnum):
    """What to do with the file."""

    new = "new"
    list = "list"
    revoke = "revoke"


def token(
    action: Annotated[
        Action, Argument(metavar="ACTION", help="Make (new), list or revoke tokens.")
    ],
    name: Annotated[str | None, Argument(metavar="NAME", help="Who has the token.")] = None,
    rights: Annotated[
        str | None,
        Argument(metavar="RIGHTS", help="For new: view,details,report,operate,admin, or some."),
    ] = None,
    type: Annotated[
        list[str] | None, Option("--type", metavar="TYPE", help="Limit it to jobs of this type.")
    ] = None,
    session: Annotated[
        list[str] | None,
        Option("--session", metavar="SESSION", help="Limit it to jobs of this session."),
    ] = None,
    selector: Annotated[
        list[str] | None,
        Option("-l", "--selector", metavar="SELECTOR", help="Limit it to jobs with this label."),
    ] = None,
    expires: Annotated[
        str | None, Option("--expires", metavar="DURATION", help="How long it is valid (90d).")
    ] = None,
    token_file: Annotated[
        str | None,
        Option("--token-file", metavar="FILE", help="The hub's token file.", show_default=False),
    ] = None,
    no_headers: NoHeadersOption = False,
) -> None:
    """Make, list and revoke the tokens of a hub.

    new prints the token once: the file keeps only its SHA-256. A hub that was started with the
    file, by jobctl serve --token-file, sees each change within seconds. Rights: view (the jobs),
    details (commands and output), report (create jobs and move those), operate (cancel, retry,
    acknowledge), admin (remove, and move the jobs of others). All but the first two need
    jobctl serve --control.
    """
    path = _path(token_file)
    scope = Filter.make(types=type or (), sessions=session or (), labels=selector or ())
    if action is not Action.new and (rights or expires or scope != EVERYTHING):
        raise UsageError("rights, filters and --expires are for 'jobctl token new'")
    if action is Action.list:
        if name is not None:
            raise UsageError("'jobctl token list' takes no name")
        _list(path, show_header=not no_headers)
    elif name is None:
        _name_it(action)
    elif action is Action.revoke:
        _revoke(path, name)
    elif rights is None:
        _name_it(action)
    else:
        _new(path, name, rights, scope, seconds(expires, "--expires"))


def _name_it(action: Action) -> NoReturn:
    words = "NAME RIGHTS" if action is Action.new else "NAME"
    raise UsageError(f"say which: jobctl token {action} {words}")


def _path(given: str | None) -> str:
    if given is not None:
        return given
    found = settings().get("token-file")
    if found is None:
        raise UsageError(
            "no token file is named", hint="give that of 'jobctl serve' by --token-file FILE"
        )
    return str(found.value)


def _new(path: str, name: str, rights: str, scope: Filter, valid_s: float | None) -> None:
    from jobctl.hub.tokens import changing, digest_of_token, is_token_name, line_of, parse_lines

    if not is_token_name(name):
        raise UsageError(
            f"{ascii(name[:70])} is not a name",
            hint="take up to 64 letters, digits and ._@- and begin with a letter, digit or _",
        )
    expires = to_text(now_ms() + round(valid_s * 1000)) if valid_s is not None else ""
    query = query_of(ZERO, scope) if scope != EVERYTHING else ""
    secret = secrets.token_urlsafe(32)
    line = line_of(name, rights, query, expires, digest_of_token(secret.encode()))
    parse_lines(line, "the new token")
    with changing(path) as file:
        if any(token.name == name for token in parse_lines(file.text, path).values()):
            raise UsageError(
                f"there is a token of {name} in {path}",
                hint=f"'jobctl token revoke {name}' removes it; or choose another name",
            )
        gap = "" if not file.text or file.text.endswith("\n") else "\n"
        file.text += gap + line
    out(secret)
    note(f"this is the token of {name}; it is not shown again. Give it as $JOBCTL_TOKEN")


def _revoke(path: str, name: str) -> None:
    from jobctl.hub.tokens import changing, parse_lines

    with changing(path, create=False) as file:
        names = [token.name for token in parse_lines(file.text, path).values()]
        if name not in names:
            known = f"it has those of {', '.join(names)}" if names else "it has none"
            raise UsageError(f"there is no token of {name} in {path}", hint=known)
        kept = [line for line in file.text.split("\n") if line.split()[:1] != [name]]
        file.text = "\n".join(kept)
    note(f"the token of {name} is revoked; a hub closes its connections within seconds")


def _list(path: str, *, show_header: bool) -> None:
    from jobctl.hub.rights import right_names
    from jobctl.hub.tokens import TokenFile

    now = now_ms()
    rows = []
    for token in TokenFile(path).all():
        expires = to_text(token.expires_ms) if token.expires_ms is not None else "-"
        if token.expires_ms is not None and token.expires_ms <= now:
            expires += " (expired)"
        scope = query_of(ZERO, token.scope) if token.scope != EVERYTHING else "-"
        rows.append([token.name, ",".join(right_names(token.rights)), scope, expires])
    head = ("NAME", "RIGHTS", "FILTER", "EXPIRES")
    for line in lines(head, rows, limit=columns_of_terminal(), show_header=show_header):
        out(line)
