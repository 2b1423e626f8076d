"""Reads all jobs with libsoup 3 and its defaults: read_soup.py URL [SUBPROTOCOL]."""

import json
import sys

import gi

gi.require_version("Soup", "3.0")
from gi.repository import GLib, Soup  # noqa: E402

loop = GLib.MainLoop()
session = Soup.Session()
held: list[object] = []
jobs = largest = 0


def end(**said: object) -> None:
    print(json.dumps(said), flush=True)
    loop.quit()


def on_message(connection: Soup.WebsocketConnection, _: int, data: GLib.Bytes) -> None:
    global jobs, largest
    value = json.loads(data.get_data())
    if value["type"] != "jobs:delta":
        return
    jobs += len(value["jobs"])
    largest = max(largest, data.get_size())
    if not value["more"]:
        end(jobs=jobs, largest=largest)


def on_connected(session: Soup.Session, result: object) -> None:
    try:
        connection = session.websocket_connect_finish(result)
    except GLib.Error as error:
        end(error=error.message)
        return
    held.append(connection)
    connection.connect("message", on_message)
    connection.connect("error", lambda _, error: end(error=error.message))
    connection.connect("closed", lambda _: end(error="closed"))


session.websocket_connect_async(
    Soup.Message.new("GET", sys.argv[1]), None, sys.argv[2:], GLib.PRIORITY_DEFAULT, None,
    on_connected,
)  # fmt: skip
GLib.timeout_add_seconds(20, lambda: end(error="no answer"))
loop.run()
