"""Every operation the OpenAPI document tells of, called with what fits it, by schemathesis; every answer is one it tells of."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.api.conftest import Server

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["positive", "negative"])
def test_the_api_keeps_its_contract(server: Server, mode: str) -> None:
    # A stream does not end; the schema of definitions is too deep for schemathesis: see test_fuzz_definitions.
    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    schema = schema.exclude(path_regex="/stream$|/definitions/validate$")
    schema = schema.exclude(method="PUT", path="/api/v1/workflows/{name}")
    called = [keeps_its_contract(told.ok(), schemathesis.GenerationMode(mode)) for told in schema.get_all_operations()]
    assert called.count(True) > 30


def keeps_its_contract(operation: Any, mode: Any) -> bool:
    """Call one operation with a dozen requests, the same ones each time; false when nothing can be wrong with a request of it."""

    @settings(max_examples=12, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode))
    def call(case: Any) -> None:
        case.call_and_validate(checks=CHECKS, timeout=20)

    try:
        call()
    except Unsatisfiable:
        return False
    return True
