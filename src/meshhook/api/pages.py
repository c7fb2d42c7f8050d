"""``/problems/{name}``: a page for each type of problem, out of one Markdown source (``docs/problems.md``)."""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from importlib import resources
from pathlib import Path
from typing import Final

from litestar import MediaType, Response, get
from litestar.params import FromPath
from markdown_it import MarkdownIt

from meshhook.api.shared import not_found, problems_of

_STYLE: Final = """
:root { color-scheme: light dark; font: 16px/1.6 system-ui, sans-serif; }
body { max-width: 42rem; margin: 3rem auto; padding: 0 1.25rem; }
h1, h2 { line-height: 1.25; }
code { font-family: ui-monospace, monospace; font-size: 0.9em; background: rgb(127 127 127 / 15%); padding: 0.1em 0.3em; }
nav { margin-top: 3rem; font-size: 0.9rem; }
a { color: inherit; }
"""
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS: Final = {
    "content-security-policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; frame-ancestors 'none'",
    "cache-control": "public, max-age=3600",
}


@get("/problems", summary="All types of problems", media_type=MediaType.HTML, security=[{}])
async def list_problems() -> Response[str]:
    """A page that links to the page of each type."""
    links = "".join(f'<li><a href="/problems/{name}">{name}</a></li>' for name in sections())
    return _page("Problems", f"<h1>Problems</h1><ul>{links}</ul>")


@get(
    "/problems/{name:str}",
    summary="What a type of problem means",
    media_type=MediaType.HTML,
    security=[{}],
    responses=problems_of(400, 404, always=()),
)
async def get_problem(name: FromPath[str]) -> Response[str]:
    """What happened, and what to do: the page that the `type` of a problem document leads to."""
    text = sections().get(name)
    if text is None:
        raise not_found()
    return _page(name, MarkdownIt("commonmark", {"html": False}).render(text))


@functools.cache
def sections() -> dict[str, str]:
    """The Markdown of each problem type by its name: what stands below each ``## name``, heading included."""
    _, *parts = re.split(r"(?m)^(?=## )", _source())
    return {part.partition("\n")[0].removeprefix("## ").strip(): part for part in parts}


def _source() -> str:
    shipped = resources.files("meshhook.api").joinpath("problems.md")
    if not shipped.is_file():  # a checkout: there the one source is where the other documentation is
        return Path(__file__).parents[3].joinpath("docs", "problems.md").read_text("utf-8")
    return shipped.read_text("utf-8")


def _page(title: str, body: str) -> Response[str]:
    return Response(
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title} · MeshHook</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>'
        f'<body><main>{body}</main><nav><a href="/problems">All problems</a></nav></body></html>',
        media_type=MediaType.HTML,
        headers=_HEADERS,
    )


HANDLERS = [list_problems, get_problem]
