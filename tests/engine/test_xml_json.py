"""XML and JSON, both ways; feeds in one shape; and what is refused."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshhook import xmltext
from meshhook.errors import ExpressionError
from meshhook.mapping import Faults
from meshhook.model import Completed
from meshhook.nodes import xml_json


def convert(value: Any, **config: Any) -> Any:
    faults: Faults = []
    outcome = xml_json.compile(config, faults)({"input": value})
    assert faults == []
    assert isinstance(outcome, Completed)
    return outcome.output


@pytest.mark.parametrize(
    ("xml", "data"),
    [
        ("<a/>", {"a": ""}),
        ("<a>x</a>", {"a": "x"}),
        ("<a> x\n</a>", {"a": " x\n"}),
        ('<a b="1"/>', {"a": {"@b": "1"}}),
        ('<a b="1">x</a>', {"a": {"@b": "1", "#text": "x"}}),
        ("<a><b>1</b><c/><b>2</b></a>", {"a": {"b": ["1", "2"], "c": ""}}),
        ("<a>\n  <b>1</b>\n</a>", {"a": {"b": "1"}}),
        ("<a>x<b/>y</a>", {"a": {"#text": "xy", "b": ""}}),
        ('<p:a xmlns:p="urn:p" p:b="1"><p:c/></p:a>', {"p:a": {"@xmlns:p": "urn:p", "@p:b": "1", "p:c": ""}}),
        ("<a>&lt;&amp;&#65;<![CDATA[<b>]]></a>", {"a": "<&A<b>"}),
        ("<?xml version='1.0' encoding='latin-1'?><!-- no --><a>é<?pi x?></a>", {"a": "é"}),
    ],
)
def test_an_element_becomes_a_member(xml: str, data: Any) -> None:
    assert convert(xml, to="json") == data


def test_named_elements_are_lists_also_when_alone() -> None:
    assert convert("<a><b/><c/></a>", to="json", arrays=["b"]) == {"a": {"b": [""], "c": ""}}
    assert convert("<b/>", to="json", arrays=["b"]) == {"b": [""]}


@pytest.mark.parametrize(
    ("data", "xml"),
    [
        ({"a": None}, "<a></a>"),
        (
            {"a": {"@x": 1, "#text": True, "b": [1.5, {"c": "<&>"}]}},
            '<a x="1">true<b>1.5</b><b><c>&lt;&amp;&gt;</c></b></a>',
        ),
        ({"a": {"@x": 'a"\n\t<'}}, '<a x="a&quot;&#10;&#9;&lt;"></a>'),
        ({"a": []}, None),
        ({"a": ["x"]}, "<a>x</a>"),
        ({"a": {"b": []}}, "<a></a>"),
    ],
)
def test_data_becomes_xml(data: Any, xml: str | None) -> None:
    if xml is None:
        with pytest.raises(ExpressionError):
            convert(data, to="xml")
    else:
        assert convert(data, to="xml") == xml


@pytest.mark.parametrize(
    "data",
    [
        None, "x", [], {}, {"a": 1, "b": 2}, {"a": [1, 2]}, {"a b": 1}, {"": 1}, {"a": {"@": 1}}, {"a": {"@x": []}},
        {"a": {"#text": {}}},
        {"a": {"b": [[1]]}}, {"a:b:c": 1}, {":a": 1}, {"a>": 1}, {"a": "\x00"}, {"a": "\ufffe"}, {"a": {"@x": "\x0b"}}, {"1a": 1},
    ],
)  # fmt: skip
def test_what_xml_cannot_hold_fails_the_step(data: Any) -> None:
    with pytest.raises(ExpressionError):
        convert(data, to="xml")


LAUGHS = "".join(f'<!ENTITY l{n + 1} "{f"&l{n};" * 10}">' for n in range(9))
HOSTILE = {
    "a billion laughs": f'<!DOCTYPE a [<!ENTITY l0 "lol">{LAUGHS}]><a>&l9;</a>',
    "an external entity": '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
    "a parameter entity": '<!DOCTYPE a [<!ENTITY % x SYSTEM "http://127.0.0.1/x.dtd"> %x;]><a/>',
    "an external document type": '<!DOCTYPE a SYSTEM "http://127.0.0.1/a.dtd"><a/>',
    "a document type alone": "<!DOCTYPE a><a/>",
    "an entity nobody declared": "<a>&nope;</a>",
    "too deep": "<a>" * 101 + "</a>" * 101,
    "too many elements": "<a>" + "<b/>" * 200_001 + "</a>",
    "too many attributes": "<a " + " ".join(f'b{n}=""' for n in range(200_001)) + "/>",
    "too long": "<a>" + "x" * xmltext.SIZE_MAX + "</a>",
    "half of it": "<a>",
    "two roots": "<a/><b/>",
    "nothing": "",
    "no XML": "{}",
    "two attributes of one name": "<a b='' b=''/>",
    "a null": "<a>\x00</a>",
    "half a character": "<a>\ud800</a>",
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("to", ["json", "feed"])
def test_a_hostile_text_fails_the_step_and_soon(name: str, to: str) -> None:
    began = time.process_time()
    with pytest.raises(ExpressionError) as caught:
        convert(HOSTILE[name], to=to)
    assert time.process_time() - began < 10
    assert len(caught.value.reason) < 300
    assert "root:" not in caught.value.reason


def test_text_is_what_is_parsed() -> None:
    with pytest.raises(ExpressionError, match="must be XML text"):
        convert({"base64": ""}, to="json")


names = st.sampled_from(["a", "b", "p:c", "é", "_x-1.y"])
texts = st.text(
    st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"], include_characters="\n\t\r<>&\"'"), max_size=8
)


def values(inner: Any) -> Any:
    """Values as XML gives them: lists have two members or more, and what is only text is text alone."""
    return st.tuples(
        st.dictionaries(names.map(lambda name: "@" + name), texts, max_size=2),
        texts.filter(lambda text: not text.isspace()),
        st.dictionaries(names, inner | st.lists(inner, min_size=2, max_size=3), max_size=3),
    ).map(lambda parts: _canonical(*parts))


def _canonical(attributes: dict[str, str], text: str, children: dict[str, Any]) -> Any:
    if not attributes and not children:
        return text
    return attributes | ({"#text": text} if text else {}) | children


documents = st.dictionaries(names, st.recursive(texts, values, max_leaves=8), min_size=1, max_size=1)


@given(documents)
def test_data_that_is_written_and_read_is_the_same(document: Any) -> None:
    written = convert(document, to="xml")
    assert json.dumps(convert(written, to="json")) == json.dumps(document)
    assert convert(document, to="xml") == written


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4) | names, inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(names | st.text(max_size=3), json_values, max_size=2) | json_values)
def test_whatever_is_written_can_be_read(document: Any) -> None:
    try:
        written = convert(document, to="xml")
    except ExpressionError:
        return
    read = convert(written, to="json")
    assert convert(convert(read, to="xml"), to="json") == read


@given(st.text(st.characters(codec="utf-8"), max_size=30) | st.lists(st.sampled_from(
    ["<a>", "</a>", "<a/>", "<b c='d'>", "</b>", "x", "&amp;", "&x;", "<!DOCTYPE a>", "<![CDATA[", "]]>", "<!--", "-->", "<?x?>"]
), max_size=12).map("".join))  # fmt: skip
def test_any_text_is_read_or_refused(text: str) -> None:
    for to in ("json", "feed"):
        try:
            convert(text, to=to)
        except ExpressionError:
            continue


RSS = """<?xml version="1.0"?>
<rss version="2.0" xmlns:content="http://purl.org/rss/1.0/modules/content/" xmlns:dc="http://purl.org/dc/elements/1.1/">
<channel><title>News</title><link>https://n.example</link><description>All of it</description>
<lastBuildDate>Mon, 06 Sep 2010 00:01:00 +0200</lastBuildDate>
<item><title>One &amp; two</title><link>https://n.example/1</link><guid isPermaLink="false">id-1</guid>
<description>&lt;p&gt;short&lt;/p&gt;</description><content:encoded><![CDATA[<p>long</p>]]></content:encoded>
<dc:creator>Ada</dc:creator><pubDate>Mon, 06 Sep 2010 00:01:00 GMT</pubDate><category>x</category><category>y</category></item>
<item><guid>https://n.example/2</guid><pubDate>some day</pubDate></item></channel></rss>"""
ATOM = """<feed xmlns="http://www.w3.org/2005/Atom"><title>News</title><subtitle>All of it</subtitle>
<link rel="self" href="https://n.example/feed"/><link href="https://n.example"/><updated>2010-09-06T00:01:00+02:00</updated>
<entry><id>id-1</id><title>One &amp; two</title><link rel="alternate" href="https://n.example/1"/>
<summary>&lt;p&gt;short&lt;/p&gt;</summary>
<content type="xhtml"><div xmlns="http://www.w3.org/1999/xhtml"><p>long</p></div></content><author><name>Ada</name></author>
<published>2010-09-06T00:01:00Z</published>
<updated>2010-09-07T00:01:00Z</updated><category term="x"/><category term="y"/></entry></feed>"""
RDF = """<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/"
 xmlns:dc="http://purl.org/dc/elements/1.1/"><channel rdf:about="x"><title>News</title><link>https://n.example</link></channel>
<item rdf:about="id-1"><title>One</title><link>https://n.example/1</link><dc:date>2010-09-06</dc:date></item></rdf:RDF>"""


def test_a_feed_has_one_shape_whatever_its_format() -> None:
    rss, atom, rdf = (convert(text, to="feed") for text in (RSS, ATOM, RDF))
    first = {
        "id": "id-1", "title": "One & two", "link": "https://n.example/1", "summary": "<p>short</p>", "content": "<p>long</p>",
        "author": "Ada", "published": "2010-09-06T00:01:00Z", "updated": "2010-09-06T00:01:00Z", "categories": ["x", "y"],
    }  # fmt: skip
    assert rss["items"][0] == first
    assert rss["items"][1]["link"] == rss["items"][1]["id"] == "https://n.example/2"
    assert rss["items"][1]["published"] == "some day"
    assert atom["items"] == [first | {"content": "long", "updated": "2010-09-07T00:01:00Z"}]
    assert (rdf["items"][0]["id"], rdf["items"][0]["published"]) == ("id-1", "2010-09-06T00:00:00Z")
    head = {"title": "News", "link": "https://n.example", "description": "All of it", "updated": "2010-09-05T22:01:00Z"}
    for feed, kind in ((rss, "rss"), (atom, "atom")):
        assert {name: value for name, value in feed.items() if name != "items"} == head | {"format": kind}
    assert {tuple(item) for feed in (rss, atom, rdf) for item in feed["items"]} == {tuple(first)}


def test_what_is_no_feed_is_said() -> None:
    for text in ("<a/>", "<rss/>", "<feed/>"):
        with pytest.raises(ExpressionError, match="no RSS or Atom feed"):
            convert(text, to="feed")
