"""The work that a lossless WebP (RFC 9649, section 3) gives its decoder, counted without decoding.

Such a picture may have other prefix codes in each block of 4 x 4 pixels. libwebp keeps 6 KB for
each block that has codes of its own, so that a file of 200 KB could take 400 MB of memory.
"""

from collections.abc import Sequence
from typing import NamedTuple

from clickbait.inference.container.core import check_count

MAX_BLOCKS = 10_000
"""The most blocks with prefix codes: 60 MB. libwebp's encoder makes 2,600 at most."""

LEAST_BLOCK, LEAST_BITS = 4, 20
"""The least pixels of a block's side, and the least bits of its prefix codes."""

MAX_SMALL_PIXELS = 100_000
"""The most pixels of the small pictures that say how to transform the large one. libwebp's encoder
makes at most 80,000 for 10 million pixels."""

PREDICTOR, COLOUR, GREEN, PALETTE = range(4)
"""The kinds of a transform."""

LITERALS, LENGTHS, DISTANCES = 256, 24, 40
"""Numbers of symbols for a channel, for lengths of copies, and for their distances."""

ORDER = (17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
"""The order in which the lengths of the codes for code lengths are stored."""
REPEATS = {16: (2, 3), 17: (3, 3), 18: (7, 11)}
"""Symbols that repeat a length: bits of the number, and the least number."""

Code = tuple[int, Sequence[tuple[int, int]]]
"""A prefix code: bits to look at, and for each value of them the symbol and its own bits."""


class _Damaged(Exception):
    """Raise if the file is not as the RFC says. The decoder then says so."""


class _Bits:
    """The bits of a file, each byte from its lowest one on."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data, self.at = data, at

    def peek(self, count: int) -> int:
        """The next bits, 24 at most."""
        start = self.at >> 3
        found = int.from_bytes(self.data[start : start + 4], "little")
        return found >> (self.at & 7) & ((1 << count) - 1)

    def take(self, count: int) -> int:
        value = self.peek(count)
        self.at += count
        if self.at > 8 * len(self.data):
            raise _Damaged
        return value

    def symbol(self, code: Code) -> int:
        width, table = code
        symbol, used = table[self.peek(width)]
        self.take(used)
        return symbol


class Lossless(NamedTuple):
    """A lossless picture: the bytes behind its size, and its sides in pixels."""

    data: bytes
    width: int
    height: int


def check(picture: Lossless) -> None:
    """Raises TooComplex if the picture has too many blocks. One that is damaged passes."""
    across, down = (-(-side // LEAST_BLOCK) for side in (picture.width, picture.height))
    if min(across * down, 8 * len(picture.data) // LEAST_BITS) <= MAX_BLOCKS:
        return
    try:
        _check(_Bits(picture.data), picture.width, picture.height)
    except _Damaged:
        return


def _check(bits: _Bits, width: int, height: int) -> None:
    pixels, seen = 0, set()
    while bits.take(1):
        kind = bits.take(2)
        if kind in seen:
            raise _Damaged
        seen.add(kind)
        if kind == GREEN:
            continue
        if kind == PALETTE:
            colours = bits.take(8) + 1
            _skip(bits, colours)
            width = _parts(width, sum(colours <= most for most in (2, 4, 16)))
        else:
            size = bits.take(3) + 2
            small = _parts(width, size) * _parts(height, size)
            pixels += small
            check_count("WebP", "pixels of transforms", pixels, MAX_SMALL_PIXELS)
            _skip(bits, small)
    if bits.take(1):
        bits.take(4)
    if bits.take(1):
        size = bits.take(3) + 2
        blocks = _parts(width, size) * _parts(height, size)
        check_count("WebP", "blocks with codes of their own", blocks, MAX_BLOCKS)


def _parts(side: int, bits: int) -> int:
    """The number of parts of 2 ** bits pixels that cover a side."""
    return -(-side >> bits)


def _skip(bits: _Bits, pixels: int) -> None:
    """Leave out a small picture, which has one set of prefix codes."""
    cached = 1 << bits.take(4) if bits.take(1) else 0
    green = _code(bits, LITERALS + LENGTHS + cached)
    others = [_code(bits, LITERALS) for _ in range(3)]
    others = [code for code in others if code[0]]
    distances = _code(bits, DISTANCES)
    while pixels > 0:
        symbol = bits.symbol(green)
        if symbol < LITERALS:
            for code in others:
                bits.symbol(code)
            pixels -= 1
        elif symbol < LITERALS + LENGTHS:
            pixels -= _number(bits, symbol - LITERALS)
            _number(bits, bits.symbol(distances))
        else:
            pixels -= 1


def _number(bits: _Bits, symbol: int) -> int:
    """The length or the distance of a copy that begins with `symbol`."""
    if symbol < 4:
        return symbol + 1
    extra = (symbol - 2) >> 1
    return (2 + (symbol & 1) << extra) + bits.take(extra) + 1


def _code(bits: _Bits, symbols: int) -> Code:
    lengths = [0] * symbols
    if bits.take(1):
        two = bits.take(1)
        found = [bits.take(8 if bits.take(1) else 1)] + ([bits.take(8)] if two else [])
        for symbol in found:
            if symbol >= symbols:
                raise _Damaged
            lengths[symbol] = 1
        return _table(lengths)
    short = [0] * len(ORDER)
    for place in ORDER[: 4 + bits.take(4)]:
        short[place] = bits.take(3)
    left = 2 + bits.take(2 + 2 * bits.take(3)) if bits.take(1) else symbols
    code, at, last = _table(short), 0, 8
    while at < symbols and left > 0:
        left -= 1
        length = bits.symbol(code)
        if length < 16:
            lengths[at] = length
            last = length or last
            at += 1
            continue
        width, least = REPEATS[length]
        number = least + bits.take(width)
        if at + number > symbols:
            raise _Damaged
        lengths[at : at + number] = [last if length == 16 else 0] * number
        at += number
    return _table(lengths)


def _table(lengths: Sequence[int]) -> Code:
    """The canonical code with these lengths. A single symbol takes no bits."""
    used = sorted((length, symbol) for symbol, length in enumerate(lengths) if length)
    if not used:
        raise _Damaged
    if len(used) == 1:
        return 0, ((used[0][1], 0),)
    width = used[-1][0]
    table: list[tuple[int, int]] = [(0, 0)] * (1 << width)
    value, before = 0, used[0][0]
    for length, symbol in used:
        value <<= length - before
        before = length
        if value >> length:
            raise _Damaged
        first = int(f"{value:0{length}b}"[::-1], 2)
        table[first :: 1 << length] = [(symbol, length)] * (1 << width - length)
        value += 1
    if value != 1 << width:
        raise _Damaged
    return width, table
