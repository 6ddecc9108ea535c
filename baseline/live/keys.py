"""Keys, from the bytes that a terminal sends for them."""

import re
from enum import StrEnum


class Key(StrEnum):
    """A key that the live table knows."""

    UP = "up"
    DOWN = "down"
    LEFT = "left"
    RIGHT = "right"
    PAGE_UP = "page up"
    PAGE_DOWN = "page down"
    HOME = "home"
    END = "end"
    SORT = "s"
    PAUSE = "p"
    QUIT = "q"


_PLAIN = {
    "k": Key.UP,
    "j": Key.DOWN,
    "\r": Key.RIGHT,
    "\n": Key.RIGHT,
    "\x1b": Key.LEFT,
    "s": Key.SORT,
    "p": Key.PAUSE,
    "q": Key.QUIT,
}
_SEQUENCES = {
    "A": Key.UP,
    "B": Key.DOWN,
    "C": Key.RIGHT,
    "D": Key.LEFT,
    "H": Key.HOME,
    "F": Key.END,
    "1~": Key.HOME,
    "4~": Key.END,
    "5~": Key.PAGE_UP,
    "6~": Key.PAGE_DOWN,
    "7~": Key.HOME,
    "8~": Key.END,
}
"""What follows ``ESC [`` (ECMA-48, xterm's ctlseqs) or, in application mode, ``ESC O``."""

_SEQUENCE = re.compile(r"\x1b(?:\[([0-?]*[ -/]*[@-~])|O(.))", re.DOTALL)
_UNFINISHED = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|O)?")


class KeyDecoder:
    """Bytes to keys; a sequence may come in pieces, as it does over a slow line."""

    def __init__(self) -> None:
        self._rest = ""

    @property
    def is_waiting(self) -> bool:
        """Whether a sequence has begun, or Escape was pressed: only what follows can tell."""
        return bool(self._rest)

    def feed(self, data: bytes) -> list[Key]:
        """The keys that are complete; others and unknown ones are left out."""
        text = self._rest + data.decode("latin-1")
        self._rest = ""
        keys = []
        position = 0
        while position < len(text):
            if sequence := _SEQUENCE.match(text, position):
                keys.append(_SEQUENCES.get(sequence[1] or sequence[2]))
                position = sequence.end()
            elif _UNFINISHED.fullmatch(text, position):
                self._rest = text[position:]
                break
            else:
                keys.append(_PLAIN.get(text[position]))
                position += 1
        return [key for key in keys if key]

    def finish(self) -> list[Key]:
        """Nothing more follows: what has begun is Escape by itself, if anything."""
        text, self._rest = self._rest, ""
        return [Key.LEFT] if text == "\x1b" else []
