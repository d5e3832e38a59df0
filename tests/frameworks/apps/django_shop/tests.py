"""The shop's own tests, which `manage.py test` runs: no mail leaves."""

import logging

from django.core import mail
from django.test import SimpleTestCase


class ShopTests(SimpleTestCase):
    def test_a_view_that_fails(self) -> None:
        self.client.raise_request_exception = False
        assert self.client.get("/pay/7").status_code == 500
        (alerts,) = (one for one in logging.root.handlers if one.name == "alerts")
        alerts.flush()
        (message,) = mail.outbox
        assert "LookupError in django_shop.urls.pay" in message.subject
        assert message.recipients() == ["ada@example.com", "bo@example.com"]


class QuickTests(SimpleTestCase):
    """Tests that end before an alert is due."""

    def test_a_view_that_fails(self) -> None:
        self.client.raise_request_exception = False
        assert self.client.get("/pay/7").status_code == 500
