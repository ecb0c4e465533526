"""The images that a run's own page shows, taken out of it again, so that no image is predicted twice."""

from __future__ import annotations

import base64
import binascii
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple

KINDS = {"image/jpeg": ".jpg", "image/png": ".png"}


class PageImage(NamedTuple):
    """One image: what it shows, in words, its bytes and the ending of its file name."""

    alt: str
    content: bytes
    suffix: str


class _Finder(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[PageImage] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        source = values.get("src") or ""
        head, _, data = source.partition(";base64,")
        kind = KINDS.get(head.removeprefix("data:"))
        if tag != "img" or not head.startswith("data:") or kind is None:
            return
        try:
            self.found.append(PageImage(values.get("alt") or "", base64.b64decode(data, validate=True), kind))
        except binascii.Error:
            return


def images_of(page: Path) -> list[PageImage]:
    """The images in `report.html`, in their order; none where there is no page."""
    if not page.is_file():
        return []
    finder = _Finder()
    finder.feed(page.read_text(encoding="utf-8"))
    return finder.found
