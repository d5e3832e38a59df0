"""Text lines: the usual formats of logging, uvicorn, gunicorn, Django, Celery and loguru.

A line is matched in linear time: each part of an expression ends where the next one begins, or has
a largest length.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tocsin.cli.logs.entry import Entry, level_names, level_of
from tocsin.cli.output import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

_TIME = r"""(?:
      \d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:\ ?(?:Z|UTC|[+-]\d\d:?\d\d)(?!\d))?
    | \d\d/[A-Z][a-z]{2}/\d{4}[: ]\d\d:\d\d:\d\d(?:,\d{1,9}|\ [+-]\d{4})?
    | [A-Z][a-z]{2}\ [A-Z][a-z]{2}\ [ \d]\d\ \d\d:\d\d:\d\d\ \d{4}
    | [A-Z][a-z]{2}\ [ \d]\d\ \d\d:\d\d:\d\d(?!\S)
    | \d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?![:\d])
    )"""
_ACCESS = re.compile(r'(?:\S{1,60} \S{1,60} \S{1,200} )?\[(\d\d/\w{3}/[^\]]{1,40})\] "')
_BARE = re.compile(  # Django's, where its handler has no formatter
    r"(?P<message>(?P<phrase>Internal Server Error|Not Implemented|Bad Gateway|Service Unavailable"
    r"|Gateway Timeout|Not Found|Forbidden|Bad Request|Unauthorized|Method Not Allowed)"
    r"(?: \([^)]{1,200}\))?: /.*)"
)
_BARE_FLASK = re.compile(r"Exception on /.{0,2000} \[[A-Z]{1,20}\]")  # the same of Flask's
_SERVER_ERRORS = ("Internal", "Not Implemented", "Bad Gateway", "Service", "Gateway")
_NAME = re.compile(r"[A-Za-z_][\w.-]*")
_DOTTED = re.compile(r"[A-Za-z_]\w*(?:\.\w+)+")
_PLAIN = re.compile(r"(?:[a-z_]\w*(?:\.\w+)*|[A-Z]\w*(?:\.\w+)+) +")
_ROOTS = ("root", "__main__")
_NO_LOGGER = re.compile(r"MainThread|MainProcess|Thread-\d.*|\w*Worker-\d+|asyncio_\d+|None|-")
_PROCESS = re.compile(r"/[\w-]{1,60}\]")  # behind Celery's level
_STOPPED = re.compile(  # what Celery logs besides the error of a task that it has stopped
    r"Hard time limit \([\d.]{1,20}s\) exceeded for "
    r"|Process '[^']{1,100}' pid:\d{1,12} exited with "
)
_GUNICORN = re.compile(r"\[\d{4}-\d\d-\d\d [\d:]{8} [+-]\d{4}\] \[\d{1,9}\] \[[A-Z]{1,20}\] ")
_FLASK = re.compile(r"in [\w.]{1,100}: ")  # a module; the logger has the application's name
_BRACKETS = re.compile(r"[\[(<]([\w.:-]{1,100}?)(?::\d{1,9})?[\])>][\s:|-]*")
_COLONS = re.compile(r":([A-Za-z_][\w.-]{0,100}):")  # as `logging.basicConfig` has them
_CODE = re.compile(r"([\w.]{1,100}):([\w<>.]{1,100}):(\d{1,9}) - ")  # loguru's place
_VERBOSE = re.compile(r"([\w.]{1,100}) (\d{1,12}) (\d{1,20}) ")  # of Django's documentation
_NAMED = re.compile(
    r"([a-z_][\w.-]{0,100}|\w{1,60}(?:\.\w{1,60}){1,9})(?::\d{1,9})?(?: - | \| |: )"
)
_SEPARATORS = " \t:|-"
_SAMPLE = 8  # records after which a word in the same place of few kinds counts as a logger's name


class TextLines:
    """Read lines in the usual formats.

    Args:
        sample: the first lines of the log: they show whether a logger's name follows the level.
    """

    def __init__(self, sample: Iterable[str] = ()) -> None:
        self._levels = level_names()
        names = "|".join(sorted(map(re.escape, self._levels), key=len, reverse=True))
        level = (
            rf"(?:(?P<level>{names}|Level\ \d{{1,4}})(?!\w)[ ]*|\[(?P<low>(?i:{names}))[ ]*(?=\]))"
        )
        self._timed = re.compile(
            rf"""[\[(<]?(?P<time>{_TIME})[\])>]?[ \t]*(?:[-|:,;][ \t]*)?
            (?P<before>(?:[^\s:|]{{1,100}}[ \t:|]+(?:-[ \t]+)?){{0,5}}?)
            [\[(<]?{level}[\])>]?(?P<after>.*)""",
            re.VERBOSE,
        )
        self._levelled = re.compile(
            rf"""[\[(<]?{level}[\])>]?
            (?:[\s:|-]*[\[(<]?(?P<time>{_TIME})[\])>]?)?(?P<before>)(?P<after>.*)""",
            re.VERBOSE,
        )
        self._dated = re.compile(rf"[\[(<]?{_TIME}", re.VERBOSE)
        self._names_follow = self._have_names(sample)

    def entry(self, line: str, least: int) -> Entry | None:
        """Return the entry that a line begins; None if it begins none.

        Args:
            line: the line.
            least: the level below which only the time of a record is needed.
        """
        found = self._timed.match(line) or self._levelled.match(line)
        if found is None:
            return _special(line)
        name = found["level"] or found["low"]
        level = level_of(name, self._levels)
        if level is None:  # not reached: the expression has only names of levels
            return None
        if level < least:
            return Entry(level, found["time"], "", "")
        return self._split(level, found)

    def is_foreign(self, line: str) -> bool:
        """Return whether a line that begins no entry begins something else, with a time."""
        return self._dated.match(line) is not None

    def _split(self, level: int, found: re.Match[str]) -> Entry:
        """Return the entry of a record, with the parts of the line around its level."""
        after = found["after"]
        if process := _PROCESS.match(after):
            after = after[process.end() :]
            if _STOPPED.match(after.lstrip(_SEPARATORS)):
                return Entry(0, found["time"], "", "")
        if colons := _COLONS.match(after):
            return Entry(level, found["time"], colons[1], after[colons.end() :])
        after = after.lstrip(_SEPARATORS)
        if _GUNICORN.match(found.string):
            return Entry(level, found["time"], "gunicorn.error", after)
        before = [word.strip("[](){}<>,") for word in found["before"].split()]
        logger, fields, message = self._named(_logger_in(before), after)
        return Entry(level, found["time"], logger, message, fields)

    def _named(self, logger: str, after: str) -> tuple[str, dict[str, Any], str]:
        """Return the logger's name, further attributes of the record, and its message.

        Args:
            logger: the name in front of the level; "" if there is none.
            after: the line behind the level.
        """
        while inner := _BRACKETS.match(after):
            if logger and not _NO_LOGGER.fullmatch(inner[1]):
                break  # a part of the message
            if not _NAME.fullmatch(inner[1]) and not inner[1].isdecimal():
                break
            logger, after = logger or _logger_in([inner[1]]), after[inner.end() :]
        fields: dict[str, Any] = {}
        if logger:
            pass
        elif flask := _FLASK.match(after):
            after = after[flask.end() :]
        elif code := _CODE.match(after):
            fields = {"funcName": code[2], "lineno": int(code[3])}
            logger, after = code[1], after[code.end() :]
        elif verbose := _VERBOSE.match(after):
            logger, after = verbose[1], after[verbose.end() :]
        elif (named := _NAMED.match(after)) or (named := self._plain(after)):
            logger, after = named[0].split()[0].rstrip(":|-"), after[named.end() :]
        return logger, fields, after

    def _plain(self, after: str) -> re.Match[str] | None:
        """Return the match of a logger's name that only a space separates from the message."""
        found = _PLAIN.match(after)
        if found is None:
            return None
        name = found[0].strip()
        return found if self._names_follow or name in _ROOTS or _DOTTED.fullmatch(name) else None

    def _have_names(self, sample: Iterable[str]) -> bool:
        """Return whether the word behind the level is a logger's name in each line."""
        words: list[str] = []
        for line in sample:
            found = self._timed.match(line) or self._levelled.match(line)
            if found is not None and not found["before"]:
                after = found["after"].lstrip(_SEPARATORS)
                plain = _PLAIN.match(after)
                if plain is None or _FLASK.match(after):
                    return False
                words.append(plain[0].strip())
        kinds = {*words}
        known = any(word in _ROOTS or _DOTTED.fullmatch(word) for word in kinds)
        return known or (len(words) >= _SAMPLE and len(kinds) * 4 <= len(words))


class PatternLines:
    """Read lines by a user's own pattern.

    Args:
        pattern: a regular expression with the groups `level` and `message`; `time` and `logger`
            are optional.

    Raises:
        UsageError: it is no such expression.
    """

    def __init__(self, pattern: str) -> None:
        try:
            self._pattern = re.compile(pattern)
        except re.error as error:
            raise UsageError(f"--pattern: expected a regular expression: {error}") from None
        missing = [name for name in ("level", "message") if name not in self._pattern.groupindex]
        if missing:
            raise UsageError(
                f"--pattern: the group {missing[0]!r} is missing; "
                f"write it as (?P<{missing[0]}>...); time and logger are optional"
            )
        self._levels = level_names()

    def entry(self, line: str, least: int) -> Entry | None:  # noqa: ARG002 - that of `TextLines`
        """Return the entry that a line begins; None if it begins none."""
        found = self._pattern.match(line)
        if found is None:
            return None
        parts = found.groupdict()
        level = level_of(parts["level"], self._levels)
        if level is None:
            return None
        return Entry(level, parts.get("time"), parts.get("logger") or "", parts["message"] or "")

    @staticmethod
    def is_foreign(line: str) -> bool:  # noqa: ARG004 - that of `TextLines`
        """Return False: a line that the pattern doesn't match belongs to the record before."""
        return False


def _special(line: str) -> Entry | None:
    """Return the entry of an access line, or of a line of Django or Flask without a level."""
    if found := _ACCESS.match(line):
        return Entry(20, found[1], "", "", whole=True)
    if found := _BARE.fullmatch(line):
        level = 40 if found["phrase"].startswith(_SERVER_ERRORS) else 30
        return Entry(level, None, "django.request", found["message"])
    return Entry(40, None, "", line) if _BARE_FLASK.fullmatch(line) else None


def _logger_in(words: list[str]) -> str:
    """Return the word that names a logger; "" if there is none. A dotted one is preferred."""
    names = [word for word in words if _NAME.fullmatch(word) and not _NO_LOGGER.fullmatch(word)]
    dotted = [name for name in names if _DOTTED.fullmatch(name)]
    return (dotted or names or [""])[-1]
