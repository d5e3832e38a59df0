"""The short form of the soak: `make soak` runs it for longer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from storm import soak

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.timeout(180)
def test_whoever_is_killed_what_the_store_has_is_mailed_in_one_digest(tmp_path: Path) -> None:
    """Also while the mail server hangs up, defers and forgets to answer.

    A digest that comes twice comes with the same Message-ID and the same bytes, and in the end
    received = mailed.
    """
    result = soak(tmp_path, seconds=7, seed=20, kills=25)
    assert result.wrong == ()
    assert result.kills > 10
    assert result.mails > 3
