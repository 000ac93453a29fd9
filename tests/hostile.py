"""Hypothesis strategies for damaged and forged files."""

import struct
from collections.abc import Callable
from pathlib import Path

from hypothesis import strategies as st

from nanorender.errors import InputError

EXTREMES = (0, 1, 2**8 - 1, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1)
WORDS = (
    *(
        "nan",
        "inf",
        "-inf",
        "1e999",
        "-1",
        "0",
        "9" * 25,
        "9" * 5000,
        "1e-300",
        "[" * 5000,
        "{",
        '"',
        "'''",
        "\0",
    ),
    *("../../../etc/passwd", "/etc/passwd", "true", "1979-05-27", "\ufeff", "\u202e", "#", "\n"),
)


@st.composite
def spoiled(draw: st.DrawFn, whole: bytes) -> bytes:
    """Draw a file that is truncated, has flipped, extreme or moved bytes, or is noise."""
    way = draw(st.sampled_from(("cut", "flip", "patch", "move", "noise")))
    at = draw(st.integers(0, max(len(whole) - 1, 0)))
    if way == "cut":
        return whole[:at]
    if way == "noise":
        return whole[: min(at, 16)] + draw(st.binary(max_size=200))
    if way == "move":
        other, size = draw(st.integers(0, len(whole))), draw(st.integers(0, 64))
        return whole[:other] + whole[at : at + size] + whole[other:]
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        if way == "flip":
            data[at : at + 1] = bytes([draw(st.integers(0, 255))])
        else:
            number = struct.pack(draw(st.sampled_from("<>")) + "I", draw(st.sampled_from(EXTREMES)))
            data[at : at + 4] = number
    return bytes(data)


@st.composite
def spoiled_text(draw: st.DrawFn, whole: str) -> bytes:
    """Draw a text with extreme words in place of values, or with damaged bytes."""
    if draw(st.booleans()):
        return draw(spoiled(whole.encode()))
    parts = whole.split(" ")
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(parts) - 1))
        end = "\n" * parts[at].endswith("\n")
        parts[at] = draw(st.sampled_from(WORDS) | st.text(max_size=5)) + end
    return " ".join(parts).encode("utf-8", errors="surrogatepass")


def outcome(read: Callable[[Path], object], path: Path) -> object:
    """Return the result of a reader, or the line of its InputError; raise other exceptions."""
    try:
        return read(path)
    except InputError as error:
        line = str(error)
        assert line
        assert "\n" not in line
        assert "\0" not in line
        assert len(line) < 600 + 2 * len(str(path)), line
        return line
