"""The option `integrations`."""

from __future__ import annotations

import pytest

from tocsin.exceptions import ConfigError
from tocsin.integrations.known import INTEGRATIONS, build_integrations


def test_all_or_none() -> None:
    assert build_integrations(True) == INTEGRATIONS
    assert build_integrations(False) == ()
    assert build_integrations([]) == ()


def test_by_name() -> None:
    (one,) = build_integrations(["celery"])
    assert one.name == "celery"


def test_libraries_that_need_no_integration_may_be_named() -> None:
    """Their records are read in any case, so a list of what a program uses is no error."""
    assert build_integrations(["structlog", "loguru"]) == ()


def test_an_unknown_name_is_an_error_that_names_a_similar_one() -> None:
    with pytest.raises(ConfigError, match=r"integrations\.cellery: unknown option.*celery"):
        build_integrations(["cellery"])
