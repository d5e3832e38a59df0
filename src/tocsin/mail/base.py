"""What sends messages: the interface that email handlers fill, and how one is found by name."""

from __future__ import annotations

import abc
import importlib
from typing import TYPE_CHECKING, Any, NoReturn, Self

from tocsin import options
from tocsin.exceptions import ConfigError
from tocsin.mail.address import prepare_address, reject_line_break

if TYPE_CHECKING:
    import email.message
    from collections.abc import Callable, Iterable, Mapping
    from email.headerregistry import Address

    from tocsin.mail.message import Message
    from tocsin.mail.receipt import Receipt

    AnyMessage = Message | email.message.Message[Any, Any]

ENTRY_POINT_GROUP = "tocsin.email_handler"


class EmailHandler(abc.ABC):
    """The interface of everything that sends messages.

    A subclass fills `send` and `from_config`. `send` may be called from any thread, does not change
    the messages, and either delivers them to every recipient or raises.
    """

    @classmethod
    @abc.abstractmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Make the handler from a mapping whose values are scalars or lists.

        Args:
            config: options by name, as a configuration file can say them.

        Raises:
            ConfigError: an option that is unknown or wrong.
        """

    @abc.abstractmethod
    def send(
        self,
        messages: AnyMessage | Iterable[AnyMessage],
        *,
        deadline: float | None = None,
        on_transaction: Callable[[Receipt], None] | None = None,
    ) -> list[Receipt]:
        """Send one message or many.

        Args:
            messages: `Message` objects or the standard library's; one or an iterable of them.
            deadline: seconds that the whole call may take.
            on_transaction: called as soon as it is known what became of some recipients, with a
                receipt that holds just these.

        Returns:
            One receipt a message, in order, when every recipient was accepted.

        Raises:
            SendError: somebody was not accepted, after everything has been tried.
        """

    async def send_async(
        self,
        messages: AnyMessage | Iterable[AnyMessage],
        *,
        deadline: float | None = None,
        on_transaction: Callable[[Receipt], None] | None = None,
    ) -> list[Receipt]:
        """Do what `send` does, in a thread, so that the event loop goes on.

        A cancelled call goes on in its thread; give it a `deadline`.
        """
        import asyncio  # noqa: PLC0415 - only who awaits pays for it

        return await asyncio.to_thread(
            self.send, messages, deadline=deadline, on_transaction=on_transaction
        )

    @property
    def sender(self) -> Address | None:
        """Who sends a message that doesn't say it; None if nobody does."""
        return None

    def prepare(self) -> None:  # noqa: B027 - most handlers have nothing to load
        """Load what sending needs, before it is needed; a thread in the background calls it."""

    def close(self) -> None:  # noqa: B027 - most handlers have nothing to close
        """Give back what is held open; the handler can be used again."""

    def _reject_unknown(self, names: Iterable[str]) -> None:
        """Refuse arguments that the constructor doesn't know, those of a logging handler too."""
        for name in names:
            from tocsin.hints import of_alert_handler  # noqa: PLC0415 - only for an error

            if of_alert_handler(names):
                self.setLevel()
            kind = type(self).__name__
            raise TypeError(f"{kind}.__init__() got an unexpected keyword argument {name!r}")

    # `logging.config.dictConfig` sets these on what a `handlers` entry names. An email handler
    # there would fail at the first record; it is refused while the configuration is read.

    def setLevel(self, *_: object) -> NoReturn:  # noqa: N802 - logging's name
        """Refuse to be a logging handler."""
        raise ConfigError(
            f"class: {type(self).__name__} sends messages and is no logging handler; "
            "use 'tocsin.AlertHandler', with these options under its key 'email'"
        )

    def setFormatter(self, *_: object) -> NoReturn:  # noqa: N802 - logging's name
        """Refuse to be a logging handler."""
        self.setLevel()

    def addFilter(self, *_: object) -> NoReturn:  # noqa: N802 - logging's name
        """Refuse to be a logging handler."""
        self.setLevel()

    @property
    def name(self) -> NoReturn:
        """Refuse to be a logging handler."""
        self.setLevel()

    @name.setter
    def name(self, _: object) -> NoReturn:
        self.setLevel()


def address_option(key: str, value: object) -> Address:
    """Return the address that an option says.

    Raises:
        ConfigError: it is none.
    """
    try:
        reject_line_break(value)
        return prepare_address(value)  # type: ignore[arg-type] # told apart by the error
    except ValueError as error:
        options.fail(key, str(error))
    except (TypeError, AttributeError):
        options.fail(key, f"expected an address, got {options.kind(value)}")


_BUILT_IN = {
    "smtp": "tocsin.mail.smtp:SMTPEmailHandler",
    "test": "tocsin.mail.outbox:TestEmailHandler",
}


def get_handler_class(name: str | type[EmailHandler]) -> type[EmailHandler]:
    """Find an email handler's class.

    Args:
        name: a name of the entry point group `tocsin.email_handler` (built in: `"smtp"` and
            `"test"`), `"module:Class"`, or the class itself.

    Raises:
        ConfigError: nothing has this name, or what has it is no `EmailHandler`.
    """
    found: object = name
    if isinstance(name, str):
        found = _load(name)
    if not (isinstance(found, type) and issubclass(found, EmailHandler)):
        raise ConfigError(f"handler: {name!r} is no subclass of tocsin.mail.EmailHandler")
    return found


def _load(name: str) -> object:
    target = _BUILT_IN.get(name, name)  # found without the package's metadata, too
    module, colon, attribute = target.partition(":")
    try:
        if colon:
            return getattr(importlib.import_module(module), attribute)
        from importlib import metadata  # noqa: PLC0415 - only for names that aren't built in

        entry_points = metadata.entry_points(group=ENTRY_POINT_GROUP)
        if name in entry_points.names:
            return entry_points[name].load()
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise ConfigError(f"handler: can't load {name!r}: {error}") from error
    names = ", ".join(sorted({*entry_points.names, *_BUILT_IN}))
    known = f"known are {names}, or 'module:Class'"
    raise ConfigError(f"handler: {name!r} is unknown; {_meant(name) or known}")


def _meant(name: str) -> str:
    """Return what a class's dotted name has to be instead, as logging's `class` is one; else ""."""
    module, _, attribute = name.rpartition(".")
    for built_in, target in _BUILT_IN.items():
        if target.endswith(f":{attribute}"):
            return f"did you mean {built_in!r}?"
    return f"did you mean '{module}:{attribute}'?" if module else ""
