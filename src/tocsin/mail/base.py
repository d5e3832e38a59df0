"""Email handlers: their interface, and how one is found by its name."""

from __future__ import annotations

import abc
import importlib
from typing import TYPE_CHECKING, Any, NoReturn, Self

from tocsin import options
from tocsin.exceptions import ConfigError
from tocsin.mail.address import prepare_address, reject_line_break

if TYPE_CHECKING:
    import email.message
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from email.headerregistry import Address

    from tocsin.mail.message import Message
    from tocsin.mail.receipt import Receipt

    AnyMessage = Message | email.message.Message[Any, Any]

ENTRY_POINT_GROUP = "tocsin.email_handler"


class EmailHandler(abc.ABC):
    """The interface of every email handler.

    A subclass implements `send` and `from_config`. `send` may be called from any thread, does not
    change the messages, and raises unless every recipient was accepted.
    """

    @classmethod
    @abc.abstractmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Make the handler from a mapping, as a configuration file can hold it.

        Args:
            config: option → value; each value is a scalar or a list.

        Raises:
            ConfigError: an option is unknown or wrong.
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
            messages: `Message` objects or the standard library's; one, or an iterable of them.
            deadline: the seconds that the whole call may take; by default, no limit.
            on_transaction: called as soon as some recipients are decided, with a receipt that holds
                just these.

        Returns:
            One receipt for each message, in order; every recipient was accepted.

        Raises:
            SendError: some recipients were not accepted; its `receipts` name all of them.
        """

    async def send_async(
        self,
        messages: AnyMessage | Iterable[AnyMessage],
        *,
        deadline: float | None = None,
        on_transaction: Callable[[Receipt], None] | None = None,
    ) -> list[Receipt]:
        """Call `send` in a thread, and await its result. The event loop runs on meanwhile.

        If the awaiting task is cancelled, the call continues in its thread; a `deadline` limits it.

        Args:
            messages: as for `send`.
            deadline: as for `send`.
            on_transaction: as for `send`; called in the thread.

        Returns:
            As `send`.

        Raises:
            SendError: as `send`.
        """
        import asyncio  # noqa: PLC0415 - loaded only for this method

        return await asyncio.to_thread(
            self.send, messages, deadline=deadline, on_transaction=on_transaction
        )

    @property
    def sender(self) -> Address | None:
        """The sender of a message that names none; None without a default."""
        return None

    @property
    def recipients(self) -> Sequence[str]:
        """The recipients of alerts, where the alert handler names none; by default empty."""
        return ()

    def prepare(self) -> None:  # noqa: B027 - most handlers have nothing to load
        """Load the modules that sending needs; a background thread calls it in advance."""

    def close(self) -> None:  # noqa: B027 - most handlers have nothing to close
        """Close what is open. The handler can be used again."""

    def _reject_unknown(self, names: Iterable[str]) -> None:
        """Raise for arguments that the constructor doesn't know, also for a logging handler's."""
        for name in names:
            from tocsin.hints import of_alert_handler  # noqa: PLC0415 - loaded only for an error

            if of_alert_handler(names):
                self.setLevel()
            kind = type(self).__name__
            raise TypeError(f"{kind}.__init__() got an unexpected keyword argument {name!r}")

    # `logging.config.dictConfig` uses the following methods and the property on the class of a
    # `handlers` entry. An email handler there would fail at the first record, so it raises now.

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
    """Return the address that an option gives.

    Args:
        key: the option, for the error.
        value: the option's value.

    Raises:
        ConfigError: the value is no address.
    """
    try:
        reject_line_break(value)
        return prepare_address(value)  # type: ignore[arg-type] # other types raise TypeError
    except ValueError as error:
        options.fail(key, str(error))
    except (TypeError, AttributeError):
        options.fail(key, f"expected an address, got {options.kind(value)}")


_BUILT_IN = {
    "django": "tocsin.integrations.django_mail:DjangoEmailHandler",
    "smtp": "tocsin.mail.smtp:SMTPEmailHandler",
    "test": "tocsin.mail.outbox:TestEmailHandler",
}


def get_handler_class(name: str | type[EmailHandler]) -> type[EmailHandler]:
    """Find an email handler's class.

    Args:
        name: a name in the entry point group `tocsin.email_handler` (built in: `"smtp"`,
            `"django"` and `"test"`), `"module:Class"`, or the class itself.

    Raises:
        ConfigError: the name is unknown, can't be loaded, or is no subclass of `EmailHandler`.
    """
    found: object = name
    if isinstance(name, str):
        found = _load(name)
    if not (isinstance(found, type) and issubclass(found, EmailHandler)):
        raise ConfigError(f"handler: {name!r} is no subclass of tocsin.mail.EmailHandler")
    return found


def _load(name: str) -> object:
    target = _BUILT_IN.get(name, name)  # built-in names need no package metadata
    module, colon, attribute = target.partition(":")
    try:
        if colon:
            return getattr(importlib.import_module(module), attribute)
        from importlib import metadata  # noqa: PLC0415 - not for built-in names

        entry_points = metadata.entry_points(group=ENTRY_POINT_GROUP)
        if name in entry_points.names:
            return entry_points[name].load()
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise ConfigError(f"handler: can't load {name!r}: {error}") from error
    names = ", ".join(sorted({*entry_points.names, *_BUILT_IN}))
    known = f"known are {names}, or 'module:Class'"
    raise ConfigError(f"handler: {name!r} is unknown; {_meant(name) or known}")


def _meant(name: str) -> str:
    """Return advice for a dotted name such as logging's key `class` has; "" for other names."""
    module, _, attribute = name.rpartition(".")
    for built_in, target in _BUILT_IN.items():
        if target.endswith(f":{attribute}"):
            return f"did you mean {built_in!r}?"
    return f"did you mean '{module}:{attribute}'?" if module else ""
