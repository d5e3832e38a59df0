"""What an unknown key was meant to be: loaded only where there is one.

The rule of this file: the keys of each level are written down here, as the parts that know them are
far above; a test compares them with the code.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LEVELS: dict[str, tuple[str, ...]] = {
    "": tuple(
        """
        to email from_addr app environment version cc bcc reply_to policy store app_packages context
        context_key alert_level redact templates fallback give_up_after uncaught enabled
        exit_timeout level name
        """.split()  # noqa: SIM905 - a paragraph of words reads better
    ),
    "email": tuple(
        """
        handler host url provider region port use_tls use_starttls tls_context tls_ca_file
        tls_cert_file tls_key_file timeout username password password_env password_file
        password_keyring access_token login_mechanism default_from recipients_per_message
        pipeline_messages local_hostname dangerous_plaintext_login
        """.split()  # noqa: SIM905 - as above
    ),
    "policy": tuple(
        """
        group_wait urgent_level repeat_after repeat_max surge_min surge_factor quiet_after
        forget_after burst refill at_exit max_groups shown_groups
        """.split()  # noqa: SIM905 - as above
    ),
}
"""The keys of an alert handler, and of the mappings beneath it."""

_FOREIGN: dict[str, tuple[str, ...]] = {
    # `logging.handlers.SMTPHandler`
    "mailhost": ("host",),
    "fromaddr": ("from_addr",),
    "toaddrs": ("to",),
    "subject": ("app", "environment"),
    "credentials": ("username", "password_env"),
    "secure": ("use_starttls",),
    # Others
    "from": ("from_addr",),
    "sender": ("from_addr",),
    "recipients": ("to",),
    "receivers": ("to",),
    "hostname": ("host",),
    "server": ("host",),
    "user": ("username",),
    "login": ("username", "password_env"),
    "ssl": ("use_tls",),
}
"""Keys of other handlers, and ours for them."""
_CLOSE = 0.8  # how similar a key of another level is that was mistyped


def hint(level: str, name: str, known: Sequence[str]) -> str:
    """Return what is said of an unknown key.

    Args:
        level: the key of the mapping that it stands in; "" for the handler's own.
        name: the unknown key.
        known: the keys that may stand there.
    """
    ours = _FOREIGN.get(name, (name,))
    absent = {key for key in LEVELS.get(level, ()) if key not in known}
    if ours[0] in absent:
        return (
            f"the email handler 'smtp' has {ours[0]!r}, "
            f"and the one given here has only: {', '.join(known)}"
        )
    if name in _FOREIGN:
        return f"use {' and '.join(map(repr, ours))}{_elsewhere(level, ours[0])}"
    if where := _elsewhere(level, name):
        return f"it belongs{where}"
    if near := difflib.get_close_matches(name, known, n=1):
        return f"did you mean {near[0]!r}?"
    keys = [key for keys in LEVELS.values() for key in keys if key not in absent]
    if level in LEVELS and (near := difflib.get_close_matches(name, keys, n=1, cutoff=_CLOSE)):
        return f"did you mean {near[0]!r}{_elsewhere(level, near[0])}?"
    return f"known are {', '.join(known)}"


def of_alert_handler(names: Iterable[str]) -> bool:
    """Whether one of the keys belongs to an alert handler, or to the logging handler before it."""
    return any(name in LEVELS[""] or name in _FOREIGN for name in names)


def _elsewhere(level: str, name: str) -> str:
    """Return where a key belongs, if that is another level than the one it stands in."""
    found = next((one for one, keys in LEVELS.items() if name in keys), level)
    if level not in LEVELS or found == level:
        return ""
    return f" under {found!r}" if found else f" beside {level!r}, not under it"
