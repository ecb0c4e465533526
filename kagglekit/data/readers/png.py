"""PNG files, decoded by libpng.

PIL cuts 16 bits of colour down to 8, takes longer for the rest, and does not compare the checksums of pixels.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

_START = b"\x89PNG\r\n\x1a\n"
_NOTES = {b"eXIf", b"iTXt", b"tEXt", b"zTXt"}  # chunks that may state an orientation


def is_png(data: bytes) -> bool:
    """Does a file begin as PNG does, with a header?"""
    return data.startswith(_START) and len(data) >= 33


def is_plain(data: bytes) -> bool:
    """May `decode` read it: is it a PNG without a transparent colour, which would become a channel?

    Interlaced ones of few bits are left to PIL, since libpng warns of each on the terminal.
    """
    interlaced = is_png(data) and data[28] == 1 and data[24] < 16
    return is_png(data) and not interlaced and b"tRNS" not in _chunks(data)


def is_damaged(data: bytes) -> bool:
    """Does a checksum of the pixels differ from what they are?"""
    return any(
        kind == b"IDAT" and zlib.crc32(content, zlib.crc32(kind)) != checksum
        for kind, content, checksum in _pieces(data)
    )


def has_notes(data: bytes) -> bool:
    """May a PNG state an orientation? To look for one PIL decodes the whole image."""
    return bool(_NOTES & _chunks(data))


def decode(data: bytes) -> np.ndarray:
    """uint8 or uint16 `[H, W]` or `[H, W, C]`, few bits spread to 8, palettes as RGB; raises anything."""
    import imagecodecs

    return imagecodecs.png_decode(data)


def _chunks(data: bytes) -> set[bytes]:
    """The types of the chunks, as far as the file is whole."""
    return {kind for kind, _, _ in _pieces(data)}


def _pieces(data: bytes) -> Iterator[tuple[bytes, memoryview, int]]:
    """(type, content, checksum) of each chunk, as far as the file is whole."""
    view, at = memoryview(data), len(_START)
    while at + 8 <= len(data):
        end = at + 8 + int.from_bytes(view[at : at + 4], "big")
        yield bytes(view[at + 4 : at + 8]), view[at + 8 : end], int.from_bytes(view[end : end + 4], "big")
        at = end + 4
