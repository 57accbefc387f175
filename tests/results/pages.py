"""Reading the page of a sweep."""

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from finesweep.results.page.write import write_page
from finesweep.results.record import records_in

VOID = {"meta", "link", "input", "wbr", "br"}


class Page(HTMLParser):
    """The elements of a page, and the texts inside each."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[tuple[tuple[str, ...], str]] = []
        self._open: list[str] = []
        self.source = file.read_text(encoding="utf-8")
        self.feed(self.source)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((tuple(self._open), data))

    def inside(self, tag: str) -> list[str]:
        return [text for path, text in self.texts if path and path[-1] == tag]

    @property
    def words(self) -> str:
        """All that is read."""
        return " ".join(text for path, text in self.texts if not {"script", "style"} & set(path))

    @property
    def links(self) -> list[str]:
        return [attrs["href"] for tag, attrs in self.elements if tag == "a"]

    @property
    def figures(self) -> dict[str, dict[str, Any]]:
        """By the heading above."""
        titles, found = [], {}
        for path, text in self.texts:
            if path and path[-1] == "h2":
                titles.append(text)
            elif path and path[-1] == "script" and text.lstrip().startswith('{"data"'):
                found[titles[-1]] = json.loads(text)
        return found


def page(folder: Path) -> Page:
    return Page(write_page(records_in(folder), folder))


def all_figures(page: Page) -> list[dict[str, Any]]:
    """Of all data sets, from the first to the last."""
    return [json.loads(text) for text in page.inside("script") if text.lstrip().startswith('{"data"')]
