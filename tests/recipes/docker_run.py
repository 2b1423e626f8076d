"""As much of ``docker run`` as README's recipe needs, where no Docker runs: needs root.

The container is a process in mount, process, network, host name and IPC namespaces of its own, with
a root directory of its own, in which the system, this checkout and its Python are mounted, and
``-v``. It takes ``ENV``, ``ENTRYPOINT`` and ``CMD`` from ``$DOCKERFILE``, its programs from
``$DOCKER_TOOLS``. SIGTERM and SIGKILL to us are ``docker stop`` and ``docker kill``. With
``$ROOTLESS=UID`` that user started it: root inside is nobody else outside.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).parents[2]
PYTHON = "/venv/bin/python" if sys.prefix != sys.base_prefix else sys.executable
INSIDE = r"""
set -eu
new=$1 tools=$2 source=$3 venv=$4 python=$5 from=$6 to=$7; shift 7
mount -t tmpfs none "$new"
for path in /*; do
    name=$new$path
    case $path in /proc|/sys|/tmp|/src|/venv|/tools|"$to") continue ;; esac
    if [ -L "$path" ]; then cp -P "$path" "$name"
    elif [ -d "$path" ]; then mkdir "$name"; mount --rbind "$path" "$name"
    fi
done
mkdir "$new/proc" "$new/src" "$new/venv" "$new/tools" "$new/old" "$new$to"
mkdir -m 1777 "$new/tmp"
cp -p "$tools"/* "$new/tools"
mount --bind "$source" "$new/src"
mount --bind "$venv" "$new/venv"
case $python in /usr|/usr/*) ;; *)  # in a home, say, that only its owner may enter
    top=${python#/}; top=/${top%%/*}
    mount -t tmpfs -o mode=755 none "$new$top"
    mkdir -p "$new$python"
    mount --bind "$python" "$new$python"
esac
mount --bind "$from" "$new$to"
mount -t proc proc "$new/proc"
hostname container
cd "$new"
pivot_root . old
cd /
umount -l /old
exec "$@"
"""


def instructions(text: str) -> tuple[dict[str, str], list[str], list[str]]:
    """The environment, the entry point and the command."""
    env, words = {}, {"ENTRYPOINT": "[]", "CMD": "[]"}
    for line in text.splitlines():
        name, _, rest = line.partition(" ")
        if name == "ENV":
            key, _, value = rest.partition("=")
            env[key] = value
        elif name in words:
            words[name] = rest
    return env, json.loads(words["ENTRYPOINT"]), json.loads(words["CMD"])


def main() -> int:
    """Run it; its exit code."""
    parser = argparse.ArgumentParser(prog="docker")
    parser.add_argument("verb", choices=["run"])
    parser.add_argument("--rm", action="store_true", required=True)
    parser.add_argument("--user", default="0:0")
    parser.add_argument("-v", required=True, dest="volume")
    parser.add_argument("image")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    env, entry, command = instructions(Path(os.environ["DOCKERFILE"]).read_text())
    user, _, group = options.user.partition(":")
    inner = ["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups", "--"]
    if rootless := os.environ.get("ROOTLESS"):
        inner = ["setpriv", f"--reuid={rootless}", f"--regid={rootless}", "--clear-groups", "--"]
        inner += ["unshare", "--user", "--map-root-user", "--"]
    volume, _, mounted_at = options.volume.partition(":")
    namespaces = ["--mount", "--pid", "--net", "--uts", "--ipc", "--fork", "--kill-child"]
    new = Path(os.environ["DOCKER_TOOLS"]).parent / f"root-{os.getpid()}"
    new.mkdir()
    process = subprocess.Popen(
        ["unshare", *namespaces, "sh", "-c", INSIDE, "inside", new, os.environ["DOCKER_TOOLS"],
         ROOT, sys.prefix, sys.base_prefix, volume, mounted_at, *inner, *entry,
         *(options.command or command)],
        env={"PATH": "/tools:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", **env},
        preexec_fn=lambda: ctypes.CDLL(None).prctl(1, signal.SIGKILL),  # it dies with us
    )  # fmt: skip

    def stop(number: int, frame: FrameType | None) -> None:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        for child in children:
            os.kill(int(child), number)

    signal.signal(signal.SIGTERM, stop)
    code = process.wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
