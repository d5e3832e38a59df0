"""Load what runs the snippets of README.md, CONTRIBUTING.md and docs/."""

import os

import pytest

# The handlers of these tests send, to servers of their own, although Tocsin's plugin is installed.
os.environ["TOCSIN_ENABLED"] = "1"

pytest_plugins = ("tests.docs.snippets", "tests.docs.moving", "pytester")


@pytest.fixture(autouse=True)
def _forget_alerts() -> None:
    """Let each test begin with handlers that have told nothing."""
    from tocsin.testing import forget_alerts  # noqa: PLC0415 - coverage has begun by then

    forget_alerts()
