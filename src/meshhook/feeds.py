"""RSS 0.9x, 1.0, 2.0 and Atom 1.0 in one clean shape, so that a workflow needs not know which of them a feed is.

Sources: RFC 4287; https://www.rssboard.org/rss-specification; https://web.resource.org/rss/1.0/spec
"""

from __future__ import annotations

import email.utils
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from meshhook.xmltext import Element, XmlError

_ATOM: Final = "http://www.w3.org/2005/Atom"
_RDF: Final = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_CONTENT: Final = "http://purl.org/rss/1.0/modules/content/"
_DC: Final = "http://purl.org/dc/elements/1.1/"
_RSS: Final = frozenset(
    {"", "http://purl.org/rss/1.0/", "http://my.netscape.com/rdf/simple/0.9/", "http://backend.userland.com/rss2"}
)


def feed(root: Element) -> dict[str, Any]:
    """``{format, title, link, description, updated, items}`` of a feed that was parsed with namespaces; see the reference.

    Raises:
        XmlError: it is no feed of a known kind.
    """
    space, name = root.name
    if (space, name) == (_ATOM, "feed"):
        return _atom(root)
    if name == "rss" and space in _RSS:
        channel = _rss(root, "channel")
        if channel is not None:
            return _rss_feed("rss", channel, channel)
    if (space, name) == (_RDF, "RDF"):
        channel = _rss(root, "channel")
        if channel is not None:
            return _rss_feed("rdf", channel, root)
    raise XmlError(f"the root element {name!r} is that of no RSS or Atom feed")


def _rss_feed(kind: str, channel: Element, holder: Element) -> dict[str, Any]:
    return {
        "format": kind,
        "title": _text(_rss(channel, "title")),
        "link": _text(_rss(channel, "link")),
        "description": _text(_rss(channel, "description")),
        "updated": _moment(_rss(channel, "lastBuildDate") or _rss(channel, "pubDate") or _first(channel, _DC, "date")),
        "items": [_rss_item(item) for item in holder.children if item.name[0] in _RSS and item.name[1] == "item"],
    }


def _rss_item(item: Element) -> dict[str, Any]:
    link, guid = _text(_rss(item, "link")), _rss(item, "guid")
    if link is None and guid is not None and guid.attributes.get(("", "isPermaLink"), "true") == "true":
        link = _text(guid)
    published = _moment(_rss(item, "pubDate") or _first(item, _DC, "date"))
    categories = [child for child in item.children if child.name == (_DC, "subject") or _is_rss(child, "category")]
    return {
        "id": _text(guid) or item.attributes.get((_RDF, "about")) or link,
        "title": _text(_rss(item, "title")),
        "link": link,
        "summary": _text(_rss(item, "description")),
        "content": _text(_first(item, _CONTENT, "encoded")),
        "author": _text(_first(item, _DC, "creator") or _rss(item, "author")),
        "published": published,
        "updated": published,
        "categories": [text for child in categories if (text := _text(child)) is not None],
    }


def _atom(root: Element) -> dict[str, Any]:
    return {
        "format": "atom",
        "title": _text(_first(root, _ATOM, "title")),
        "link": _atom_link(root),
        "description": _text(_first(root, _ATOM, "subtitle")),
        "updated": _moment(_first(root, _ATOM, "updated")),
        "items": [_atom_entry(entry) for entry in _all(root, _ATOM, "entry")],
    }


def _atom_entry(entry: Element) -> dict[str, Any]:
    author = _first(entry, _ATOM, "author")
    updated = _moment(_first(entry, _ATOM, "updated"))
    terms = [child.attributes.get(("", "term"), "").strip() for child in _all(entry, _ATOM, "category")]
    return {
        "id": _text(_first(entry, _ATOM, "id")),
        "title": _text(_first(entry, _ATOM, "title")),
        "link": _atom_link(entry),
        "summary": _text(_first(entry, _ATOM, "summary")),
        "content": _text(_first(entry, _ATOM, "content")),
        "author": None if author is None else _text(_first(author, _ATOM, "name")),
        "published": _moment(_first(entry, _ATOM, "published")) or updated,
        "updated": updated,
        "categories": [term for term in terms if term],
    }


def _atom_link(element: Element) -> str | None:
    links = [
        link.attributes.get(("", "href"), "").strip()
        for link in _all(element, _ATOM, "link")
        if link.attributes.get(("", "rel"), "alternate") == "alternate"
    ]
    return next(filter(None, links), None)


def _all(element: Element, space: str, name: str) -> Iterator[Element]:
    return (child for child in element.children if child.name == (space, name))


def _first(element: Element, space: str, name: str) -> Element | None:
    return next(_all(element, space, name), None)


def _is_rss(element: Element, name: str) -> bool:
    return element.name[0] in _RSS and element.name[1] == name


def _rss(element: Element, name: str) -> Element | None:
    return next((child for child in element.children if _is_rss(child, name)), None)


def _text(element: Element | None) -> str | None:
    """The text in an element, markup in it left out; ``None`` when there is none."""
    return None if element is None else element.all_text().strip() or None


def _moment(element: Element | None) -> str | None:
    """A date as RFC 3339 in UTC; as it is written where nobody can read it."""
    text = _text(element)
    if text is None:
        return None
    for read in (email.utils.parsedate_to_datetime, datetime.fromisoformat):
        try:
            moment = read(text)
            moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        except (TypeError, ValueError, OverflowError, IndexError):
            continue
        return moment.replace(tzinfo=None).isoformat() + "Z"
    return text
