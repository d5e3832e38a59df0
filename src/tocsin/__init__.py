"""Turn the errors that a program logs into a few emails that people will read."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tocsin.alerts.settings import Policy
    from tocsin.exceptions import (
        ConfigError,
        ConnectError,
        LoginError,
        SendError,
        StoreError,
        TocsinError,
    )
    from tocsin.handler import AlertHandler
    from tocsin.mail import (
        Address,
        AddressList,
        Attachment,
        EmailHandler,
        Message,
        Receipt,
        Reply,
        SMTPEmailHandler,
        TestEmailHandler,
        get_handler_class,
        prepare_address,
    )
    from tocsin.pipeline.stats import Stats, StoreStats

    __version__: str

__all__ = [
    "Address",
    "AddressList",
    "AlertHandler",
    "Attachment",
    "ConfigError",
    "ConnectError",
    "EmailHandler",
    "LoginError",
    "Message",
    "Policy",
    "Receipt",
    "Reply",
    "SMTPEmailHandler",
    "SendError",
    "Stats",
    "StoreError",
    "StoreStats",
    "TestEmailHandler",
    "TocsinError",
    "get_handler_class",
    "prepare_address",
]

_MODULES = {
    "AlertHandler": "tocsin.handler",
    "Policy": "tocsin.alerts.settings",
    "Stats": "tocsin.pipeline.stats",
    "StoreStats": "tocsin.pipeline.stats",
    **dict.fromkeys(
        (
            "ConfigError",
            "ConnectError",
            "LoginError",
            "SendError",
            "StoreError",
            "TocsinError",
        ),
        "tocsin.exceptions",
    ),
}


def __getattr__(name: str) -> Any:
    # A name's module is loaded when the name is first used (PEP 562). So `import tocsin` is cheap.
    if name == "__version__":
        return importlib.import_module("importlib.metadata").version("tocsin")
    if name not in __all__:
        raise AttributeError(f"module 'tocsin' has no attribute {name!r}")
    value = getattr(importlib.import_module(_MODULES.get(name, "tocsin.mail")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
