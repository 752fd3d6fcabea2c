"""Text that people are shown: nothing in it steers a terminal, and nothing in it is longer than can be read."""

import io
import re
from typing import TextIO

LONGEST_MESSAGE, LONGEST_VALUE = 600, 200

# Control characters but line ends and tabs, and the marks that turn the direction of text round.
_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    r"""The text with every character that a terminal would obey written out.

    >>> printable("a\x1b[31mred")
    'a\\x1b[31mred'
    """
    return _STEERING.sub(lambda found: repr(found[0])[1:-1], text)


def shortened(text: str, longest: int = LONGEST_VALUE) -> str:
    """The text, or its beginning and end around `...` where it has more characters than `longest`.

    >>> shortened("0123456789", 8)
    '012...89'
    """
    if len(text) <= longest:
        return text
    end = (longest - 3) // 2
    return f"{text[: longest - 3 - end]}...{text[len(text) - end :]}"


class Printable(io.TextIOBase):
    """A stream of text that passes on nothing which a terminal would obey, and writes out what its alphabet does not have."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        alphabet = self.encoding
        self.stream.write(printable(text).encode(alphabet, "backslashreplace").decode(alphabet))
        return len(text)

    def flush(self) -> None:
        if not self.stream.closed:  # as when Python ends and clears both away
            self.stream.flush()

    def fileno(self) -> int:
        return self.stream.fileno()

    def isatty(self) -> bool:
        return self.stream.isatty()

    def writable(self) -> bool:
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self.stream.encoding or "utf-8"


def inner(stream: TextIO) -> TextIO:
    """The stream itself, for text that is safe already and for what steers a terminal on purpose, such as colours."""
    return stream.stream if isinstance(stream, Printable) else stream
