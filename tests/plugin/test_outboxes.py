"""The outbox of a configured handler, by its name."""

from __future__ import annotations

import logging
import logging.config
from typing import TYPE_CHECKING, Any

import pytest

from tocsin import SMTPEmailHandler
from tocsin.testing import outbox

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


@pytest.fixture
def configure() -> Generator[Callable[..., None]]:
    log = logging.getLogger("shop.payments")

    def configure(**email: Any) -> None:
        handler = {
            "class": "tocsin.AlertHandler",
            "to": "oncall@example.com",
            "from_addr": "alerts@example.com",
            "app": "shop",
            "email": email,
        }
        logging.config.dictConfig(
            {
                "version": 1,
                "disable_existing_loggers": False,
                "handlers": {"pager": handler},
                "loggers": {log.name: {"handlers": ["pager"]}},
            }
        )

    yield configure
    for handler in log.handlers:
        handler.close()
    log.handlers = []


def test_new_groups_are_there_at_once(configure: Callable[..., None]) -> None:
    configure(handler="test")
    logging.getLogger("shop.payments").error("boom")
    (mail,) = outbox("pager")
    assert mail.subject == "[1x, 1 new] shop: ERROR boom in shop.payments"
    outbox("pager").clear()
    assert outbox("pager") == []


def test_another_name_is_an_error_that_says_which_there_are(
    configure: Callable[..., None],
) -> None:
    configure(handler="test")
    with pytest.raises(LookupError, match=r"no AlertHandler is named 'alerts'; .*'pager'"):
        outbox("alerts")


def test_a_handler_that_really_sends_has_none(configure: Callable[..., None]) -> None:
    configure(host="mail.example.com")
    with pytest.raises(TypeError, match=r"by a SMTPEmailHandler, .*email: {handler: test}"):
        outbox("pager")


def test_the_email_handler_is_an_attribute(configure: Callable[..., None]) -> None:
    configure(host="mail.example.com")
    (handler,) = logging.getLogger("shop.payments").handlers
    email: Any = getattr(handler, "email", None)
    assert isinstance(email, SMTPEmailHandler)
    assert email.host == "mail.example.com"
