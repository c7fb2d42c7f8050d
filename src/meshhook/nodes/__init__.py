"""The node types. One file a type: the JSON Schema of its config, its ports, and its work.

A module of a node type has:

- ``SCHEMA``: the JSON Schema of its ``config``;
- ``ports(config)``: the names of the ports edges may leave by;
- ``compile(config, faults)``: its work as a function from context to outcome. Expressions that don't compile are added to
  ``faults`` as ``(path below config, ExpressionError)``; the work is then never called. Where the schema has a ``body``,
  that fragment is compiled first and is the third argument.
"""

from __future__ import annotations

from types import ModuleType
from typing import Final

from meshhook.nodes import (
    branch,
    delay,
    http_call,
    join,
    loop,
    respond,
    sub_workflow,
    terminate,
    transform,
    wait_event,
    xml_json,
)

TYPES: Final[dict[str, ModuleType]] = {
    "transform": transform,
    "branch": branch,
    "join": join,
    "terminate": terminate,
    "http_call": http_call,
    "delay": delay,
    "xml_json": xml_json,
    "wait_event": wait_event,
    "loop": loop,
    "sub_workflow": sub_workflow,
    "respond": respond,
}
