"""``If-Match`` and ``If-None-Match`` (RFC 9110, section 13.1) where a draft is saved."""

from __future__ import annotations

import re
from typing import Annotated, Final

from litestar.datastructures import ResponseHeader
from litestar.params import HeaderParameter

from meshhook.drafts import ALWAYS, Only
from meshhook.errors import Refusal

IfMatch = Annotated[
    str | None,
    HeaderParameter(
        name="if-match",
        description="Save only in place of the draft with this `ETag` (or one of these; `*`: of any draft). Else 412.",
    ),
]
IfNoneMatch = Annotated[
    str | None,
    HeaderParameter(
        name="if-none-match", description="`*`: save only when there is no workflow of this name. Else 412."
    ),
]
ETAG: Final = ResponseHeader(
    name="etag", description="Tells this draft from any other.", required=True, value=None, documentation_only=True
)

_TAG: Final = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_TAGS: Final = re.compile(rf"[ \t,]*{_TAG}(?:[ \t]*,[ \t,]*{_TAG})*[ \t,]*")
_LENGTH_MAX: Final = 4_000


def condition(if_match: str | None, if_none_match: str | None) -> Only:
    """What these headers ask for. A weak tag matches no draft (section 8.8.3.2).

    Raises:
        Refusal: 400, they are none of what can be asked here.
    """
    if if_none_match is not None:
        if if_none_match.strip() != "*" or if_match is not None:
            raise _bad("If-None-Match takes * alone here, and not together with If-Match")
        return Only(is_new=True)
    if if_match is None:
        return ALWAYS
    if if_match.strip() == "*":
        return Only(is_there=True)
    if len(if_match) > _LENGTH_MAX or _TAGS.fullmatch(if_match) is None:
        raise _bad("If-Match takes the ETag of a draft as it was given, quotes included, or *")
    return Only(instead_of=tuple(tag for tag in re.findall(_TAG, if_match) if not tag.startswith("W/")))


def _bad(detail: str) -> Refusal:
    return Refusal(400, "bad-request", "The request has faults", f"{detail}. Nothing was saved.")
