"""Decodes the bytes of a keyboard into keys. It does no I/O and has no clock."""

from __future__ import annotations

from jobctl.cli.terminal.frame import Key

__all__ = ["REPAINT", "KeyDecoder"]

REPAINT: Key = "ctrl-l"

_ESC = 0x1B
_CANCEL = (0x18, 0x1A)  # CAN and SUB end a sequence
_BELL = 0x07
_PASTE_END = b"\x1b[201~"
_UNKNOWN = b"\x1b[?"  # the beginning of a sequence that is no key
_MAX_SEQUENCE = 64  # bytes; a longer one is not remembered

_CONTROLS = {
    0x08: "backspace",
    0x09: "tab",
    0x0A: "enter",
    0x0C: REPAINT,
    0x0D: "enter",
    0x7F: "backspace",
}
_FINAL = {
    ord("A"): "up",
    ord("B"): "down",
    ord("C"): "right",
    ord("D"): "left",
    ord("F"): "end",
    ord("H"): "home",
}
_TILDE = {b"1": "home", b"4": "end", b"5": "pgup", b"6": "pgdn", b"7": "home", b"8": "end"}
_STRINGS = frozenset(b"]PX^_")
"""After ESC these begin a string (OSC, DCS, SOS, PM, APC) that ends with BEL or ST."""

_ESCAPE_S = 0.05
_SEQUENCE_S = 0.5


class KeyDecoder:
    """Decodes bytes as they arrive, in pieces of any size.

    Unknown sequences, mouse reports, pasted text, replies of the terminal, keys with Alt, invalid
    UTF-8 and control characters without a name are dropped.

    ESC is a key of its own and also begins the sequences of others. Call `time_out` when no byte
    has arrived for `timeout_s` seconds.
    """

    def __init__(self) -> None:
        self._pending = bytearray()  # a sequence or character that has begun
        self._pasting = False
        self._in_string = False

    @property
    def timeout_s(self) -> float | None:
        """How long to wait for more bytes before `time_out`; ``None`` if nothing waits."""
        if self._pasting or not self._pending or self._pending[0] != _ESC:
            return None
        return _ESCAPE_S if len(self._pending) == 1 and not self._in_string else _SEQUENCE_S

    def time_out(self) -> list[Key]:
        """Return ``esc`` if ESC arrived alone; drop a sequence that is incomplete."""
        alone = not self._pasting and not self._in_string and bytes(self._pending) == b"\x1b"
        if not self._pasting:
            self._pending.clear()
            self._in_string = False
        return ["esc"] if alone else []

    def feed(self, data: bytes) -> list[Key]:
        """Return the keys that these bytes complete."""
        keys = []
        for byte in data:
            key = self._take(byte)
            if key is not None:
                keys.append(key)
        return keys

    def _take(self, byte: int) -> Key | None:
        pending = self._pending
        if self._pasting:
            pending.append(byte)
            del pending[: -len(_PASTE_END)]
            if pending == _PASTE_END:
                pending.clear()
                self._pasting = False
            return None
        if self._in_string:
            ended = byte in (_BELL, *_CANCEL) or (pending[-1] == _ESC and byte == ord("\\"))
            pending[1:] = bytes([byte])  # the last byte is enough
            if ended:
                pending.clear()
                self._in_string = False
            return None
        if not pending:
            return self._begin(byte)
        if pending[0] == _ESC:
            return self._continue_sequence(byte)
        return self._continue_character(byte)

    def _begin(self, byte: int) -> Key | None:
        if byte == _ESC or byte >= 0xC2:  # what starts a sequence, or a character in UTF-8
            if byte <= 0xF4:
                self._pending.append(byte)
            return None
        if 0x20 <= byte < 0x7F:
            return chr(byte)
        return _CONTROLS.get(byte)

    def _continue_character(self, byte: int) -> Key | None:
        pending = self._pending
        if not 0x80 <= byte < 0xC0:  # the character is cut short
            pending.clear()
            return self._begin(byte)
        pending.append(byte)
        lead = pending[0]
        if len(pending) < (2 if lead < 0xE0 else 3 if lead < 0xF0 else 4):
            return None
        text = pending.decode(errors="ignore")
        pending.clear()
        return text if len(text) == 1 and text.isprintable() else None

    def _continue_sequence(self, byte: int) -> Key | None:
        pending = self._pending
        if byte in _CANCEL:
            pending.clear()
            return None
        if byte == _ESC:  # the sequence is cut short, or ESC was pressed twice
            key = "esc" if len(pending) == 1 else None
            pending[:] = b"\x1b"
            return key
        pending.append(byte)
        if len(pending) > _MAX_SEQUENCE:
            pending[:] = _UNKNOWN
            return None
        if len(pending) == 2:
            return self._second(byte)
        kind = pending[1]
        if kind == ord("O"):
            key = _FINAL.get(byte)
            pending.clear()
            return key
        if kind != ord("["):  # Alt and a character in UTF-8
            if not 0x80 <= byte < 0xC0 or len(pending) > 5:
                pending.clear()
                return self._begin(byte)
            lead = kind
            if len(pending) - 1 == (2 if lead < 0xE0 else 3 if lead < 0xF0 else 4):
                pending.clear()
            return None
        return self._control_sequence(byte)

    def _second(self, byte: int) -> Key | None:
        """Take the byte after ESC."""
        if byte in _STRINGS:
            self._in_string = True
        elif byte not in b"[O" and not 0xC2 <= byte <= 0xF4:
            self._pending.clear()  # a key with Alt
            if byte < 0x20 or byte == 0x7F:
                return None
        return None

    def _control_sequence(self, byte: int) -> Key | None:
        """Take a byte of a sequence that began with ``ESC [``."""
        pending = self._pending
        if pending[2] == ord("M"):  # a mouse report in the old form: three more bytes
            if len(pending) == 6:
                pending.clear()
            return None
        if pending[2] == ord("["):  # a function key of the Linux console: one more byte
            if len(pending) == 4:
                pending.clear()
            return None
        if 0x20 <= byte < 0x40:
            return None
        if not 0x40 <= byte < 0x7F:  # the sequence is cut short
            pending.clear()
            return self._begin(byte)
        parameters = bytes(pending[2:-1])
        pending.clear()
        if byte == ord("~"):
            self._pasting = parameters == b"200"
            return _TILDE.get(parameters)
        return _FINAL.get(byte) if parameters in (b"", b"1", b"1;1") else None
