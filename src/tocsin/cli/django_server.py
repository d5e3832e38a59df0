"""Django's mail server and senders, as `check` tells them: in the words of Django's settings."""

from __future__ import annotations

import importlib
import re
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tocsin.exceptions import ConfigError
from tocsin.integrations.django_mail import DjangoEmailHandler
from tocsin.mail.smtp import SMTPEmailHandler

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tocsin.cli.report import Finding
    from tocsin.mail.base import EmailHandler

_SMTP = "django.core.mail.backends.smtp.EmailBackend"
_ADMIN = "django.utils.log.AdminEmailHandler"
_WORDS = {
    "use_starttls": "EMAIL_USE_TLS",
    "use_tls": "EMAIL_USE_SSL",
    "username": "EMAIL_HOST_USER",
    "password": "EMAIL_HOST_PASSWORD",
    "from_addr": "SERVER_EMAIL",
    "host": "EMAIL_HOST",
    "port": "EMAIL_PORT",
}
_WORD = re.compile(rf"\b(?:{'|'.join(_WORDS)})\b(?! \d)")
UNSET = frozenset({"root@localhost", "webmaster@localhost"})
"""Django's senders where no setting names another one."""


def smtp_of(email: EmailHandler) -> SMTPEmailHandler | None:
    """Return an email handler that connects as Django's backend for SMTP does; None for others.

    It is meant for a probe alone.

    Raises:
        ConfigError: a setting can't be used.
    """
    if not isinstance(email, DjangoEmailHandler):
        return None
    backend: Any = email._connect()  # noqa: SLF001 - what Django itself would send with
    kinds = {f"{one.__module__}.{one.__qualname__}" for one in type(backend).__mro__}
    if _SMTP not in kinds:
        return None
    try:
        return _smtp(email, backend)
    except ConfigError as error:
        raise ConfigError(_WORD.sub(lambda word: _WORDS[word[0]], str(error))) from error


def _smtp(email: DjangoEmailHandler, backend: Any) -> SMTPEmailHandler:
    login = bool(backend.username and backend.password)  # as the backend decides it
    encrypted = bool(backend.use_ssl or backend.use_tls)
    port = str(backend.port)
    return SMTPEmailHandler(
        host=backend.host,
        port=int(port) if port.isdecimal() else backend.port,
        use_tls=bool(backend.use_ssl),
        use_starttls=bool(backend.use_tls),
        tls_context=backend.ssl_context if encrypted else None,
        timeout=backend.timeout,
        username=backend.username if login else None,
        password=backend.password if login else None,
        default_from=email.default_from,
        dangerous_plaintext_login=login and not encrypted,
    )


def in_settings_words(finding: Finding) -> Finding:
    """Return a finding whose fix names Django's settings instead of our options."""
    return replace(finding, fix=_WORD.sub(lambda word: _WORDS[word[0]], finding.fix))


def sender_source() -> str:
    """Return the setting that gives the sender of mails about errors."""
    settings = importlib.import_module("django.conf").settings
    both = not settings.is_overridden("SERVER_EMAIL") and settings.is_overridden(
        "DEFAULT_FROM_EMAIL"
    )
    return "DEFAULT_FROM_EMAIL" if both else "SERVER_EMAIL"


def login_of(email: EmailHandler) -> tuple[str, str]:
    """Return the user name and the password of Django's backend; "" for what is missing."""
    backend: Any = email._connect() if isinstance(email, DjangoEmailHandler) else None  # noqa: SLF001 - as above
    return str(getattr(backend, "username", "") or ""), str(getattr(backend, "password", "") or "")


def admin_handlers(data: Mapping[str, Any]) -> tuple[list[str], bool]:
    """Return whether Django mails errors to `ADMINS`, too.

    Args:
        data: the configuration of logging.

    Returns:
        The names of handlers in the configuration that do so; and whether the handler of Django's
        own configuration stays, which is on the logger `django`.
    """
    settings: Any = getattr(sys.modules.get("django.conf"), "settings", None)
    if settings is None or not settings.configured or not settings.ADMINS:
        return [], False
    handlers = data.get("handlers") or {}
    found = [str(name) for name in handlers if handlers[name].get("class") == _ADMIN]
    stays = data.get("disable_existing_loggers", True) is False
    return found, bool(
        settings.LOGGING_CONFIG and stays and "django" not in (data.get("loggers") or {})
    )
