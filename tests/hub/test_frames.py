"""FAULTS row 33: frames that are not allowed. Each ends its own session, by its code."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import struct

import pytest

from jobctl.core.job import Job
from jobctl.stores import Store
from tests.hub.network import Reader, new_job, raw_upgrade, retitle, running_hub, until


def frame(head: int, data: bytes, *, masked: bool = True, length: int | None = None) -> bytes:
    """A frame by hand; ``length`` is what it claims to be."""
    size = len(data) if length is None else length
    mask = 0x80 if masked else 0
    if size < 126:
        start = bytes((head, mask | size))
    elif size < 65536:
        start = struct.pack("!BBH", head, mask | 126, size)
    else:
        start = struct.pack("!BBQ", head, mask | 127, size)
    return start + (b"\0\0\0\0" if masked else b"") + data


PING = b'{"type":"jobs:ping","at":1}'
BAD = {
    "reserved bit 1": (frame(0xC1, PING), 1002),
    "reserved bit 2": (frame(0xA1, PING), 1002),
    "reserved bit 3": (frame(0x91, PING), 1002),
    "reserved opcode 3": (frame(0x83, PING), 1002),
    "reserved control 11": (frame(0x8B, b""), 1002),
    "unmasked": (frame(0x81, PING, masked=False), 1002),
    "fragmented ping": (frame(0x09, b"x"), 1002),
    "long ping": (frame(0x89, b"x" * 126), 1002),
    "continuation of nothing": (frame(0x80, PING), 1002),
    "text within a message": (frame(0x01, PING) + frame(0x81, PING), 1002),
    "no text": (frame(0x81, b'{"type":"\xff\xfe"}'), 1007),
    "half a character": (frame(0x81, b'"\xe2\x82"'), 1007),
    "surrogate": (frame(0x81, b'"\xed\xa0\x80"'), 1007),
    "too long": (frame(0x81, b"", length=65 * 1024), 1009),
    "far too long": (frame(0x81, b"", length=2**40), 1009),
    "too long in parts": (frame(0x01, b"x" * 60_000) + frame(0x80, b"x" * 60_000), 1009),
    "close code 0": (frame(0x88, b"\x00\x00"), 1002),
    "close code 1005": (frame(0x88, struct.pack("!H", 1005)), 1002),
    "close of one byte": (frame(0x88, b"\x03"), 1002),
    "close reason that is no text": (frame(0x88, b"\x03\xe8\xff"), 1007),
}


async def closed_by(sock: object, data: bytes) -> int | None:
    """The close code that comes back; ``None`` when the connection just ends."""
    loop = asyncio.get_running_loop()
    got = b""
    while b"\r\n\r\n" not in got:  # the handshake's answer
        got += await loop.sock_recv(sock, 65536)  # type: ignore[arg-type]
    await loop.sock_sendall(sock, data)  # type: ignore[arg-type]
    try:
        async with asyncio.timeout(5):
            while chunk := await loop.sock_recv(sock, 65536):  # type: ignore[arg-type]
                got += chunk
    except ConnectionError:
        pass
    got = got.partition(b"\r\n\r\n")[2]
    while len(got) >= 2:
        opcode, size = got[0] & 0x0F, got[1] & 0x7F
        skip = 2
        if size == 126:
            size, skip = struct.unpack("!H", got[2:4])[0], 4
        elif size == 127:
            size, skip = struct.unpack("!Q", got[2:10])[0], 10
        if opcode == 8:
            return int(struct.unpack("!H", got[skip : skip + 2])[0])
        got = got[skip + size :]
    return None


@pytest.mark.parametrize("name", BAD)
async def test_bad_frame_ends_its_own_session(
    served: Store, writer: Store, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    """Quietly, and the others go on."""
    data, code = BAD[name]
    writer.create(new_job("a1"))
    with caplog.at_level(logging.WARNING):
        async with running_hub(served) as hub, Reader.of_hub(hub.url) as reader:
            await until(lambda: reader.contents)
            sock = raw_upgrade(hub.port)
            sock.setblocking(False)
            try:
                assert await closed_by(sock, data) == code
            finally:
                sock.close()
            writer.update("a1", retitle("two"))
            await until(lambda: titles(reader.set) == ["two"])
            await until(lambda: hub.sessions == 1)
    assert [record for record in caplog.records if record.exc_info] == []


def titles(jobs: object) -> list[str | None]:
    """The titles of the jobs."""
    return [job.title for job in jobs if isinstance(job, Job)]  # type: ignore[attr-defined]


@pytest.mark.slow
async def test_noise_ends_sessions_and_nothing_else(
    served: Store, writer: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """Random bytes, and frames with bytes turned round."""
    writer.create(new_job("a1"))
    chance = random.Random(int(os.environ.get("JOBCTL_SEED", "7")))
    with caplog.at_level(logging.WARNING):
        async with running_hub(served) as hub, Reader.of_hub(hub.url) as reader:
            await until(lambda: reader.contents)
            for _ in range(150):
                sock = raw_upgrade(hub.port)
                sock.setblocking(False)
                noise = bytearray(frame(0x81, PING) * 3)
                for _ in range(chance.randrange(1, 8)):
                    noise[chance.randrange(len(noise))] = chance.randrange(256)
                if chance.random() < 0.5:
                    noise = bytearray(chance.randbytes(chance.randrange(1, 400)))
                await asyncio.get_running_loop().sock_sendall(sock, noise)
                await asyncio.sleep(0)
                sock.close()
            writer.update("a1", retitle("two"))
            await until(lambda: titles(reader.set) == ["two"])
            await until(lambda: hub.sessions == 1)
    assert [record for record in caplog.records if record.exc_info] == []
