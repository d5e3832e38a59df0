"""Load what runs the snippets of README.md, CONTRIBUTING.md and docs/."""

import pytest

pytest_plugins = ("tests.docs.snippets", "tests.docs.moving")


@pytest.fixture(autouse=True)
def _forget_alerts() -> None:
    """Let each test begin with handlers that have told nothing."""
    from tocsin.testing import forget_alerts  # noqa: PLC0415 - coverage has begun by then

    forget_alerts()
