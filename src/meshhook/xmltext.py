"""XML text to a tree and to JSON, and back. Bounded and deterministic; no document type, no entity, nothing external is accepted.

The rule between XML and JSON, in both directions:

- an element is a member ``name: value``, its name as it is written, prefix included; several of one name are a list;
- with neither attributes nor elements in it, the value is its text; else an object: attributes are ``@name``, text is ``#text``;
- namespaces are what they are in the text: attributes ``@xmlns`` and ``@xmlns:prefix``, and prefixes of names.

Comments and processing instructions are left out, and so is the order between text and elements that stand side by side.
"""

from __future__ import annotations

import re
import xml.sax
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final
from xml.parsers import expat
from xml.sax.handler import ContentHandler, feature_namespaces
from xml.sax.xmlreader import AttributesImpl, AttributesNSImpl

from defusedxml.common import DefusedXmlException
from defusedxml.expatreader import create_parser

from meshhook.budget import charge, charge_text

SIZE_MAX: Final = 10 * 1024 * 1024
"""Characters of XML."""
DEPTH_MAX: Final = 100
NODES_MAX: Final = 200_000
"""Elements and attributes."""

TEXT: Final = "#text"
ATTRIBUTE: Final = "@"

_UNITS_A_NODE: Final = 10
_NAME_MAX: Final = 1_000
_PLAIN_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_NAME_ASCII: Final = re.compile(r"[A-Za-z0-9_.\-\u0080-\uffff]+")
_NO_CHARACTER: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class XmlError(ValueError):
    """A text is no XML that is accepted, or a value none that XML can hold. The message says where."""


@dataclass(slots=True)
class Element:
    """One element. ``name`` is as it is written, or ``(namespace, local name)`` when it was parsed with namespaces."""

    name: Any
    attributes: dict[Any, str]
    children: list[Element] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The text of the element itself."""
        return "".join(self.texts)

    def all_text(self) -> str:
        """The text of the element and of all in it, elements first come first."""
        return self.text + "".join(child.all_text() for child in self.children)


def parse(text: str, *, namespaces: bool = False) -> Element:
    """The root element of ``text``.

    Raises:
        XmlError: it is not well formed, has a document type, or is larger, deeper or fuller than the bounds.
        OverBudgetError: a step may not do so much.
    """
    if len(text) > SIZE_MAX:
        raise XmlError(f"the text is longer than {SIZE_MAX} characters")
    charge_text(len(text))
    builder = _Builder()
    parser = create_parser(forbid_dtd=True)
    parser.setFeature(feature_namespaces, namespaces)
    parser.setContentHandler(builder)
    try:
        parser.feed(text)
        parser.close()
    except DefusedXmlException:
        raise XmlError("a document type (<!DOCTYPE …>) is not accepted, nor any entity it declares") from None
    except xml.sax.SAXParseException as error:
        raise XmlError(f"not well formed: {error.getMessage()} at line {error.getLineNumber()}") from None
    except UnicodeError:
        raise XmlError("the text holds what is no character") from None
    assert builder.root is not None, "what is well formed has a root"
    return builder.root


class _Builder(ContentHandler):
    """Builds the tree, and stops at the bounds."""

    def __init__(self) -> None:
        super().__init__()
        self.root: Element | None = None
        self._open: list[Element] = []
        self._nodes = 0

    def startElement(self, name: str, attrs: AttributesImpl) -> None:  # noqa: N802 the name is that of SAX
        self._begin(name, dict(attrs.items()))

    def startElementNS(  # noqa: N802 the name is that of SAX
        self, name: tuple[str | None, str], qname: str | None, attrs: AttributesNSImpl
    ) -> None:
        self._begin((name[0] or "", name[1]), {(space or "", local): value for (space, local), value in attrs.items()})

    def endElement(self, name: str) -> None:  # noqa: N802 the name is that of SAX
        self._open.pop()

    def endElementNS(self, name: tuple[str | None, str], qname: str | None) -> None:  # noqa: N802 the name is that of SAX
        self._open.pop()

    def characters(self, content: str) -> None:
        self._open[-1].texts.append(content)

    def _begin(self, name: Any, attributes: dict[Any, str]) -> None:
        self._nodes += 1 + len(attributes)
        if self._nodes > NODES_MAX:
            raise XmlError(f"there are more than {NODES_MAX} elements and attributes")
        if len(self._open) >= DEPTH_MAX:
            raise XmlError(f"nested deeper than {DEPTH_MAX} levels")
        charge(_UNITS_A_NODE * (1 + len(attributes)))
        element = Element(name, attributes)
        if self._open:
            self._open[-1].children.append(element)
        else:
            self.root = element
        self._open.append(element)


def to_json(root: Element, arrays: Collection[str] = ()) -> dict[str, Any]:
    """``{name: value}`` of a root that was parsed without namespaces. Elements named in ``arrays`` are lists also when alone."""
    return {root.name: [_value(root, arrays)] if root.name in arrays else _value(root, arrays)}


def _value(element: Element, arrays: Collection[str]) -> Any:
    text = element.text
    if not element.attributes and not element.children:
        return text
    value: dict[str, Any] = {ATTRIBUTE + name: content for name, content in element.attributes.items()}
    if text and not (element.children and text.isspace()):
        value[TEXT] = text
    seen: dict[str, list[Any]] = {}
    for child in element.children:
        seen.setdefault(child.name, []).append(_value(child, arrays))
    for name, values in seen.items():
        value[name] = values if len(values) > 1 or name in arrays else values[0]
    return value


def from_json(value: Any) -> str:
    """The XML text of ``{name: value}``, the one root.

    Raises:
        XmlError: it has not exactly one root, or holds names, characters or lists that XML can't; deeper or fuller than the bounds.
        OverBudgetError: a step may not do so much.
    """
    if not isinstance(value, dict) or len(value) != 1:
        raise XmlError("the value must be an object with exactly one member: the root element")
    ((name, content),) = value.items()
    if isinstance(content, list) and len(content) != 1:
        raise XmlError(f"there can be only one root element, and {name!r} is a list of {len(content)}")
    out: list[str] = []
    _write(out, name, content[0] if isinstance(content, list) else content, name, 1, [0])
    return "".join(out)


def _write(out: list[str], name: str, value: Any, at: str, depth: int, nodes: list[int]) -> None:
    _check(name, at)
    if depth > DEPTH_MAX:
        raise XmlError(f"nested deeper than {DEPTH_MAX} levels")
    members = value if isinstance(value, dict) else {TEXT: value}
    _count(nodes, 1 + len(members))
    out.append(f"<{name}")
    for member, content in members.items():
        if member.startswith(ATTRIBUTE):
            _check(member[1:], f"{at}.{member}")
            out.append(f' {member[1:]}="{_escaped(_scalar(content, f"{at}.{member}"), at, attribute=True)}"')
    out.append(">")
    if TEXT in members:
        out.append(_escaped(_scalar(members[TEXT], at), at))
    for member, content in members.items():
        if member != TEXT and not member.startswith(ATTRIBUTE):
            for item in content if isinstance(content, list) else [content]:
                _write(out, member, item, f"{at[:200]}.{member}", depth + 1, nodes)
    out.append(f"</{name}>")


def _count(nodes: list[int], more: int) -> None:
    nodes[0] += more
    if nodes[0] > NODES_MAX:
        raise XmlError(f"there are more than {NODES_MAX} elements and attributes")
    charge(_UNITS_A_NODE * more)


def _check(name: str, at: str) -> None:
    parts = name.split(":")
    if len(name) > _NAME_MAX or len(parts) > 2 or not all(map(_is_name, parts)):
        raise XmlError(f"{at[:200]}: {name[:100]!r} is no name in XML")


@lru_cache(maxsize=1_000)
def _is_name(text: str) -> bool:
    """Whether a part of a name is one. Beyond ASCII that is for the parser to say, so that it reads what is written here."""
    if _PLAIN_NAME.fullmatch(text):
        return True
    if text.isascii() or not _NAME_ASCII.fullmatch(text):
        return False
    try:
        return bool(expat.ParserCreate().Parse(f"<{text}/>", True))
    except (expat.ExpatError, UnicodeError):
        return False


def _scalar(value: Any, at: str) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case int() | float():
            return repr(value)
        case _:
            raise XmlError(f"{at[:200]}: must be text, a number, true, false or null, not a list or an object")


def _escaped(text: str, at: str, *, attribute: bool = False) -> str:
    charge_text(len(text))
    wrong = _NO_CHARACTER.search(text)
    if wrong is not None:
        raise XmlError(f"{at[:200]}: XML can't hold the character U+{ord(wrong[0]):04X}")
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\r", "&#13;")
    if attribute:
        text = text.replace('"', "&quot;").replace("\n", "&#10;").replace("\t", "&#9;")
    return text
