"""The page about endpoints shows every scheme and every setting, and what it shows can be copied."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from meshhook.endpoint_config import EndpointConfig, parse
from meshhook.signatures import SCHEMES

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "endpoints.md").read_text()
EXAMPLES = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)


def test_every_example_is_valid_and_every_scheme_has_one() -> None:
    shown = {msgspec.json.decode(example)["signature"]["scheme"] for example in EXAMPLES}
    for example in EXAMPLES:
        parse(example)
    assert shown == set(SCHEMES)


def test_every_setting_is_told() -> None:
    structs = [EndpointConfig, *(module.Settings for module in SCHEMES.values())]
    missing = [name for struct in structs for name in struct.__struct_fields__ if f"`{name}`" not in PAGE]
    assert [name for name in missing if f'"{name}"' not in PAGE] == []
