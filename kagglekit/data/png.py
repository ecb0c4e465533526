"""PNG files of whole bytes, decoded by libpng: PIL cuts 16 bits of colour down to 8, and takes longer for what is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

_START = b"\x89PNG\r\n\x1a\n"
_PALETTE = 3  # a colour type
_NOTES = {b"eXIf", b"iTXt", b"tEXt", b"zTXt"}  # chunks that may state an orientation


def is_png(data: bytes) -> bool:
    """Does a file begin as PNG does, with a header?"""
    return data.startswith(_START) and len(data) >= 26


def is_plain(data: bytes) -> bool:
    """Is it a PNG of 8 or 16 bits without palette or transparent colour, as `decode` takes it?"""
    return is_png(data) and data[24] in (8, 16) and data[25] != _PALETTE and b"tRNS" not in _chunks(data)


def has_notes(data: bytes) -> bool:
    """May a PNG state an orientation? To look for one PIL decodes the whole picture."""
    return bool(_NOTES & _chunks(data))


def decode(data: bytes) -> np.ndarray:
    """uint8 or uint16 `[H, W]` or `[H, W, C]` as stored; raises whatever the decoder does."""
    import imagecodecs

    return imagecodecs.png_decode(data)


def _chunks(data: bytes) -> set[bytes]:
    """The types of the chunks, as far as the file is whole."""
    found, at = set(), len(_START)
    while at + 8 <= len(data):
        found.add(data[at + 4 : at + 8])
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    return found
