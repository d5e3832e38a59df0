"""Hints: suggestions for an unknown key. The module is loaded only for an error.

The keys of each level are listed here a second time, because this module may not import the modules
that define them. A test compares the lists with the code.
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
        context_key alert_level redact templates fallback give_up_after uncaught
        integrations personal_data enabled exit_timeout level name
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
"""Level → keys: "" for the alert handler's own options, else the key of a mapping in them."""

_FOREIGN: dict[str, tuple[str, ...]] = {
    # `logging.handlers.SMTPHandler`
    "mailhost": ("host",),
    "fromaddr": ("from_addr",),
    "toaddrs": ("to",),
    "subject": ("app", "environment"),
    "credentials": ("username", "password_env"),
    "secure": ("use_starttls",),
    # other handlers and libraries
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
"""Key of another library → the keys of this one."""
_CLOSE = 0.8  # how similar a key of another level must be to count as mistyped (1 = equal)


def hint(level: str, name: str, known: Sequence[str]) -> str:
    """Return the suggestion for an unknown key.

    Args:
        level: the key of the mapping in which it was found; "" for the alert handler's own options.
        name: the unknown key.
        known: the keys that this mapping may have.
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
    """Return whether one of the keys belongs to an alert handler, or to `SMTPHandler`."""
    return any(name in LEVELS[""] or name in _FOREIGN for name in names)


def _elsewhere(level: str, name: str) -> str:
    """Return the level to which a key belongs, in words; "" if it is this level, or unknown."""
    found = next((one for one, keys in LEVELS.items() if name in keys), level)
    if level not in LEVELS or found == level:
        return ""
    return f" under {found!r}" if found else f" beside {level!r}, not under it"
