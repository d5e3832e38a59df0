"""The page: a digest as a message, with its sections in their order and within their limits.

Text from a log is data: the templates escape it, and a header has one line of it. A group that does
not fit gets less room for its samples, step by step. Each cut is stated.
"""

from __future__ import annotations

from dataclasses import replace
from email.headerregistry import Address
from typing import TYPE_CHECKING

from tocsin.mail.address import AddressList
from tocsin.mail.message import Message
from tocsin.render.group_view import view_group
from tocsin.render.headers import headers, subject
from tocsin.render.mail_view import view_mail
from tocsin.render.sample_view import NO_ROOM, Room, min_size
from tocsin.render.templating import Templates
from tocsin.render.times import Times
from tocsin.text import short

if TYPE_CHECKING:
    import datetime as dt

    from tocsin.alerts.digest import Digest, Entry
    from tocsin.render.sender import Sender

_MAX_HTML = 90_000  # bytes; Gmail clips a page of more than 102 kB
_MAX_TEXT = 250_000
_ROOMS = (
    Room(12_000, 12_000),
    Room(12_000, 2_000),
    Room(6_000, 1_000),
    Room(3_000, 500),
    Room(1_000, 200),
    NO_ROOM,
)
_KEPT_FREE = 1_500  # bytes reserved for each group that follows; at most half of the mail in all
_MAX_NAME = 100
_BODY = "<!-- body -->"  # a place for the body; text from a log can't equal it, as "<" is escaped


def render(
    digest: Digest,
    sender: Sender,
    templates: Templates | None = None,
    *,
    zone: dt.tzinfo | None = None,
) -> Message:
    """Return a digest as a message; the same digest gives the same message.

    Args:
        digest: the digest.
        sender: the properties that all mails of the handler have in common.
        templates: the templates; the built-in ones by default.
        zone: the time zone of all times; the machine's by default.
    """
    page = _Page(digest, sender, templates or Templates(), Times(digest.date, zone))
    return Message(
        subject=page.subject,
        text="".join(page.parts("txt", _MAX_TEXT)),
        html=page.html(_MAX_HTML),
        from_addr=sender.from_addr,
        reply_to=sender.reply_to,
        to=_addresses(digest.audience.to),
        cc=_addresses(digest.audience.cc),
        bcc=_addresses(digest.audience.bcc),
        headers=headers(digest, sender),
    )


def _addresses(texts: tuple[str, ...]) -> list[Address]:
    """Return the addresses, with their display names cleaned."""
    return [
        Address(short(one.display_name, _MAX_NAME), one.username, one.domain)
        for one in AddressList(texts)
    ]


def plain(digest: Digest, sender: Sender) -> str:
    """Return a digest as text, for a digest that can't be mailed."""
    page = _Page(digest, sender, Templates(), Times(digest.date))
    _, *groups, _ = page.parts("txt", _MAX_TEXT)
    if hidden := len(digest.entries) - len(groups):
        groups.append(f"\nAnd {hidden:,} more kinds.\n")
    return page.subject + "\n" + "".join(groups)


class _Page:
    """The parts of one mail, made from a digest."""

    def __init__(self, digest: Digest, sender: Sender, templates: Templates, times: Times) -> None:
        self._templates = templates
        self._times = times
        self._entries = digest.entries
        self._shown = digest.entries[: sender.policy.shown_groups]
        mail = view_mail(digest, sender, times)
        self.subject, wrong = subject(digest, sender, templates)
        self._page, broken = templates.try_render("page.html.j2", _BODY, mail=mail, body=_BODY)
        notes = (*mail.notes, *(trouble for trouble in (wrong, broken) if trouble))
        self._mail = replace(mail, notes=notes)

    def parts(self, form: str, limit: int) -> list[str]:
        """Return head, groups and foot, together not longer than the limit in bytes."""
        # With no group shown the foot is longest: it states how many groups are left out.
        head, foot = self._frame(form, 0)
        left = limit - _size(head) - _size(foot)
        half = left // 2
        groups: list[str] = []
        for number, entry in enumerate(self._shown, 1):
            kept_free = min(_KEPT_FREE * (len(self._shown) - number), half)
            group = self._group(form, number, entry, left - kept_free)
            left -= _size(group)
            if left < 0:
                break
            groups.append(group)
        head, foot = self._frame(form, len(groups))
        return [head, *groups, foot]

    def html(self, limit: int) -> str:
        """Return the page as HTML."""
        before, _, after = self._page.partition(_BODY)
        body = self.parts("html", limit - _size(before) - _size(after))
        return "".join((before, *body, after))

    def _frame(self, form: str, shown: int) -> tuple[str, str]:
        """Return head and foot of a mail that shows so many groups."""
        hidden = self._entries[shown:]
        count = sum(entry.group.count for entry in hidden)
        mail = replace(self._mail, hidden=len(hidden), hidden_count=count)
        return (
            self._templates.render(f"head.{form}.j2", mail=mail),
            self._templates.render(f"foot.{form}.j2", mail=mail),
        )

    def _group(self, form: str, number: int, entry: Entry, limit: int) -> str:
        """Return a group, with as much of its samples as the limit in bytes allows."""
        section = ""
        for room in _ROOMS:
            if min_size(entry.group.samples, room) > max(limit, 0):
                continue
            group = view_group(entry, number, self._times, room=room)
            section = self._templates.render(f"group.{form}.j2", mail=self._mail, group=group)
            if _size(section) <= limit:
                break
        return section


def _size(text: str) -> int:
    return len(text.encode("utf-8", "replace"))
