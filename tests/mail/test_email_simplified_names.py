"""email-simplified's names: the same code runs with both packages, and only the import differs.

Each public name, parameter and attribute of email-simplified has a case here. A case of `same` must
give the same result with both packages. A case of `different` must not, and is a row of the table
in docs/moving-email-simplified.md.
"""

from __future__ import annotations

import asyncio
import email
import email.policy
import importlib
import inspect
import pkgutil
import re
import ssl
from email.headerregistry import Address
from email.message import EmailMessage
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import email_simplified
import pytest
import trustme

import tocsin
from tocsin.testing import ScriptedSMTPServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Case = Callable[[Any], object]

PAGE = Path(__file__).parents[2] / "docs" / "moving-email-simplified.md"


# Their public names


def public(holder: object) -> dict[str, Any]:
    """Return the public names that a module or class of email-simplified defines itself."""
    return {
        name: value
        for name, value in vars(holder).items()
        if not name.startswith("_")
        and str(getattr(value, "__module__", "email_simplified")).startswith("email_simplified")
    }


def exported() -> dict[str, Any]:
    """Return the classes and functions of all modules of email-simplified."""
    found: dict[str, Any] = {}
    for info in pkgutil.walk_packages(email_simplified.__path__, "email_simplified."):
        names = public(importlib.import_module(info.name))
        found |= {name: value for name, value in names.items() if callable(value)}
    return found


def parameters(of: Callable[..., Any]) -> list[str]:
    """Return the parameters that can be given by name."""
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    found = inspect.signature(of).parameters.values()
    return [one.name for one in found if one.kind in kinds and one.name != "self"]


def keys() -> Iterator[str]:
    """Yield each name that code can use: `Name`, `Name(parameter)`, `Name.attribute`."""
    for name, value in exported().items():
        yield name
        if not isinstance(value, type):
            yield from (f"{name}({parameter})" for parameter in parameters(value))
            continue
        if "__init__" in vars(value):
            yield from (f"{name}({parameter})" for parameter in parameters(value))
        for attribute in {*public(value), *vars(EXAMPLES.get(name, value))}:
            if attribute.startswith("_"):
                continue
            yield f"{name}.{attribute}"
            method = getattr(value, attribute, None)
            if inspect.isroutine(method) and not issubclass(value, list):
                yield from (f"{name}.{attribute}({one})" for one in parameters(method))


THEIRS = SimpleNamespace(**exported())
OURS = SimpleNamespace(**{name: getattr(tocsin, name) for name in tocsin.__all__})
EXAMPLES = {
    "Attachment": THEIRS.Attachment(b""),
    "Message": THEIRS.Message(),
    "SMTPEmailHandler": THEIRS.SMTPEmailHandler(),
    "TestEmailHandler": THEIRS.TestEmailHandler(),
}
SAME: dict[Case, tuple[str, ...]] = {}
DIFFERENT: dict[str, Case] = {}


def same(*names: str) -> Callable[[Case], Case]:
    def keep(case: Case) -> Case:
        SAME[case] = names
        return case

    return keep


def different(row: str) -> Callable[[Case], Case]:
    """Keep a case; `row` is the first cell of its row in the table, without backticks."""

    def keep(case: Case) -> Case:
        DIFFERENT[row] = case
        return case

    return keep


# Helpers of the cases


def outcome(case: Case, library: Any) -> object:
    try:
        return case(library)
    except Exception as error:  # noqa: BLE001 - the kind is the outcome
        return isinstance(error, ValueError), isinstance(error, OSError)


def parts(mime: EmailMessage) -> list[tuple[str, bytes, str | None]]:
    """Return type, content and file name of each part that has content."""
    return [
        (part.get_content_type(), bytes(part.get_payload(decode=True)), part.get_filename())
        for part in mime.walk()
        if not part.is_multipart()
    ]


AUTHORITY = trustme.CA()


def server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert("127.0.0.1").configure_cert(context)
    return context


def client_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    return context


def received(
    library: Any, *messages: Any, server: dict[str, Any] | None = None, **options: Any
) -> list[object]:
    """Return what a server got by one call of `send`."""
    with ScriptedSMTPServer(**(server or {})) as smtp:
        handler = library.SMTPEmailHandler(host="127.0.0.1", port=smtp.port, **options)
        handler.send(list(messages))
    return [
        (
            message.sender,
            sorted(message.recipients),
            message.tls,
            message.username,
            headers(message.data),
        )
        for message in smtp.messages
    ]


def headers(data: bytes) -> dict[str, str]:
    """Return the headers of a message that name people, and its subject."""
    parsed = email.message_from_bytes(data, policy=email.policy.default)
    return {name: parsed[name] for name in ("Subject", "From", "To", "Cc", "Bcc") if parsed[name]}


def letter(library: Any, **more: Any) -> Any:
    return library.Message(
        **{"subject": "Hi", "text": "Hi\n", "from_addr": "f@x", "to": ["a@x"], **more}
    )


# Addresses


@same("AddressList", "AddressList.append", "AddressList.extend", "AddressList.insert")
def grows(library: Any) -> object:
    addresses = library.AddressList(["a@x", Address("B", "b", "x")])
    addresses.append("C <c@x>")
    addresses.extend(["d@x", Address("", "e", "x")])
    addresses.insert(0, "f@x")
    addresses += ["g@x"]
    addresses[1] = "h@x"
    addresses[2:3] = ["i@x", "j@x"]
    return list(map(str, addresses)), isinstance(addresses, list)


@same("AddressList.remove", "AddressList.index", "AddressList.count")
def searched(library: Any) -> object:
    addresses = library.AddressList(["a@x", "b@x", "A <a@x>", "b@x"])
    addresses.remove("b@x")
    found = ("a@x" in addresses, "c@x" in addresses, 5 in addresses)
    return addresses.index("A <a@x>"), addresses.count("a@x"), found


@same("prepare_address", "prepare_address(address)")
def prepared(library: Any) -> object:
    texts = ("a@x.example", "Ada <a@x.example>", "a@bücher.example", '"B, C" <b@x.example>')
    addresses = [library.prepare_address(address=text) for text in texts]
    addresses.append(library.prepare_address(Address("A", "a", "bücher.example")))
    return addresses


@different('prepare_address("nobody")')
def no_address(library: Any) -> object:
    return library.prepare_address("nobody")


@different('prepare_address("a@faß.example")')
def idna(library: Any) -> object:
    return library.prepare_address("a@faß.example").domain


# Attachments


@same(
    "Attachment",
    "Attachment(data)",
    "Attachment(filename)",
    "Attachment(mimetype)",
    "Attachment.data",
    "Attachment.filename",
    "Attachment.mimetype",
)
def attached(library: Any) -> object:
    files = [
        library.Attachment(b"abc"),
        library.Attachment(data=b"abc", filename="a.png"),
        library.Attachment(b"abc", filename="a.png", mimetype="text/x-log"),
        library.Attachment("{}", filename="a.json"),
    ]
    files[0].filename = "b.txt"
    files[0].mimetype = "text/plain"
    return [(file.filename, file.mimetype) for file in files], files[0].data


@same("Attachment.cid")
def identified(library: Any) -> object:
    file = library.Attachment(b"")
    first = file.cid
    kept = file.cid == first
    file.cid = None
    return kept, file.cid != first


@same("Attachment.add_to_mime", "Attachment.add_to_mime(message)", "Attachment.add_to_mime(inline)")
def added(library: Any) -> object:
    mime = EmailMessage()
    mime.set_content("<p>Hi</p>\n", subtype="html")
    logo = library.Attachment(b"PNG", filename="logo.png")
    logo.cid = "<logo@x>"
    logo.add_to_mime(message=mime, inline=True)
    library.Attachment(b"PDF", filename="a.pdf").add_to_mime(mime)
    library.Attachment("Grüße\n", filename="a.txt").add_to_mime(mime)
    library.Attachment("{}", filename="a.json").add_to_mime(mime)
    (related, *files) = mime.iter_parts()
    (_, picture) = related.iter_parts()
    found = [(part.get_content_disposition(), part.get_content()) for part in files]
    return picture["Content-ID"], picture.get_content_disposition(), mime.get_content_type(), found


@different("Attachment.cid")
def in_brackets(library: Any) -> object:
    return library.Attachment(b"").cid.startswith("<")


@different('Attachment("text").data')
def text_as_data(library: Any) -> object:
    return library.Attachment("text").data


@different('Attachment("text").mimetype')
def text_as_type(library: Any) -> object:
    return library.Attachment("text").mimetype


@different("local_hostname")
def host_name(library: Any) -> object:
    return callable(library.local_hostname)


# Messages


@same(
    "Message",
    "Message(subject)",
    "Message(text)",
    "Message(html)",
    "Message(from_addr)",
    "Message(to)",
    "Message(cc)",
    "Message(bcc)",
    "Message.subject",
    "Message.text",
    "Message.html",
    "Message.from_addr",
    "Message.to",
    "Message.cc",
    "Message.bcc",
)
def written(library: Any) -> object:
    message = library.Message(
        subject="S", text="T", html="<p>H</p>", from_addr="F <f@x>", to=["a@x"], cc=["c@x"]
    )
    message.bcc = ["b@x", Address("B", "b", "y")]
    message.to.append("D <d@x>")
    message.subject += "!"
    lists = [list(message.to), list(message.cc), list(message.bcc)]
    return message.subject, message.text, message.html, message.from_addr, lists


@same(
    "Message(attachments)",
    "Message(inline_attachments)",
    "Message(reply_to)",
    "Message.attachments",
    "Message.inline_attachments",
    "Message.to_mime",
)
def as_mime(library: Any) -> object:
    logo = library.Attachment(b"PNG", filename="logo.png")
    logo.cid = "<logo@x>"
    message = letter(
        library,
        html="<p>Hi</p>\n",
        reply_to="R <r@x>",
        cc=["c@x"],
        bcc=["b@x"],
        attachments=[library.Attachment(b"PDF", filename="a.pdf")],
        inline_attachments=[logo],
    )
    message.attachments.append(library.Attachment("{}", filename="a.json"))
    message.inline_attachments += []
    mime = message.to_mime()
    named = {name: mime[name] for name in ("Subject", "From", "To", "Cc", "Bcc", "Reply-To")}
    kinds = [part.get_content_type() for part in mime.walk()]
    contents = [content for _, content, _ in parts(mime)]
    return named, kinds, [content.replace(b"\r\n", b"\n") for content in contents]


@same("Message.from_mime", "Message.from_mime(message)")
def from_mime(library: Any) -> object:
    mime = EmailMessage()
    mime["Subject"], mime["From"], mime["To"], mime["Bcc"] = "S", "F <f@x>", "a@x, b@x", "c@x"
    mime.set_content("Hi\n")
    mime.add_alternative("<p>Hi</p>\n", subtype="html")
    mime.add_attachment(b"PDF", maintype="application", subtype="pdf", filename="a.pdf")
    message = library.Message.from_mime(message=mime)
    files = [(file.filename, file.mimetype, file.data) for file in message.attachments]
    lists = [list(message.to), list(message.cc), list(message.bcc)]
    return message.subject, message.text, message.html, message.from_addr, lists, files


@same()
def none_is_nothing(library: Any) -> object:
    message = library.Message(
        subject=None,
        text=None,
        from_addr=None,
        reply_to=None,
        to=None,
        cc=None,
        bcc=None,
        attachments=None,
        html=None,
        inline_attachments=None,
    )
    message.from_addr = None
    message.reply_to = None
    lists = [message.to, message.cc, message.bcc, message.attachments, message.inline_attachments]
    return message.text, message.html, message.from_addr, lists, bool(message.reply_to)


@different("Message.reply_to")
def one_or_many(library: Any) -> object:
    return library.Message(reply_to="r@x").reply_to


@different("Message().subject")
def no_subject(library: Any) -> object:
    return library.Message().subject


@different('Message(from_addr="")')
def empty_sender(library: Any) -> object:
    return library.Message(from_addr="").from_addr


@different("Message(attachments=files)")
def own_list(library: Any) -> object:
    files = [library.Attachment(b"")]
    return library.Message(attachments=files).attachments is files


@different('Message(html="…").to_mime()')
def text_of_html(library: Any) -> object:
    mime = library.Message(html="<h1>One</h1><p>Two</p>").to_mime()
    return mime.get_body(("plain",)).get_content()


# Email handlers


@same(
    "EmailHandler",
    "EmailHandler.send",
    "EmailHandler.send(messages)",
    "EmailHandler.from_config",
    "EmailHandler.from_config(config)",
    "EmailHandler.send_async",
    "EmailHandler.send_async(messages)",
)
def subclassed(library: Any) -> object:
    class Own(library.EmailHandler):  # type: ignore[misc] # either package's
        def __init__(self) -> None:
            self.sent: list[Any] = []

        @classmethod
        def from_config(cls, config: dict[str, Any]) -> Any:
            return cls()

        def send(self, messages: Any, **_: Any) -> None:
            self.sent += messages

    own = Own.from_config(config={})
    own.send(messages=["a"])
    asyncio.run(own.send_async(messages=["b"]))
    return own.sent, library.get_handler_class(Own) is Own


@different("EmailHandler")
def not_abstract(library: Any) -> object:
    return bool(library.EmailHandler())


@different("EmailHandler.send_async()")
def only_messages(library: Any) -> object:
    class Own(library.EmailHandler):  # type: ignore[misc] # either package's
        @classmethod
        def from_config(cls, config: dict[str, Any]) -> Any:
            return cls()

        def send(self, messages: Any) -> None:
            pass

    return asyncio.run(Own().send_async([]))


@same("get_handler_class", "get_handler_class(name)")
def found(library: Any) -> object:
    classes = [library.get_handler_class(name=name) for name in ("smtp", "test")]
    package = library.EmailHandler.__module__
    by_path = library.get_handler_class(f"{library.TestEmailHandler.__module__}:TestEmailHandler")
    return [one.__name__ for one in [*classes, by_path]], bool(package)


@same()
def not_found(library: Any) -> object:
    with pytest.raises(ValueError, match="nowhere"):
        library.get_handler_class("nowhere")
    return True


@different('get_handler_class("module.Class")')
def with_a_dot(library: Any) -> object:
    name = f"{library.TestEmailHandler.__module__}.TestEmailHandler"
    return library.get_handler_class(name).__name__


@same(
    "TestEmailHandler",
    "TestEmailHandler.outbox",
    "TestEmailHandler.from_config",
    "TestEmailHandler.from_config(config)",
    "TestEmailHandler.send",
    "TestEmailHandler.send(messages)",
    "TestEmailHandler.send_async",
    "TestEmailHandler.send_async(messages)",
)
def outbox(library: Any) -> object:
    handler = library.TestEmailHandler.from_config(config={})
    messages = [letter(library), letter(library).to_mime()]
    handler.send(messages=messages)
    asyncio.run(handler.send_async(messages=messages[:1]))
    empty = library.TestEmailHandler().outbox
    return [messages.index(one) for one in handler.outbox], empty, handler.__test__


@different("TestEmailHandler.send()")
def unchecked(library: Any) -> object:
    return library.TestEmailHandler().send([library.Message()])


@different("TestEmailHandler.from_config()")
def options_of_a_test(library: Any) -> object:
    return bool(library.TestEmailHandler.from_config({"host": "localhost"}))


# SMTP


@same(
    "SMTPEmailHandler",
    "SMTPEmailHandler(host)",
    "SMTPEmailHandler(port)",
    "SMTPEmailHandler.send",
    "SMTPEmailHandler.send(messages)",
    "SMTPEmailHandler.host",
    "SMTPEmailHandler.port",
)
def sent(library: Any) -> object:
    message = letter(library, cc=["C <c@x>"], bcc=["b@x"])
    handler = library.SMTPEmailHandler(host="localhost", port=2525)
    return received(library, message, message.to_mime()), handler.host, handler.port


@same()
def nothing_to_send(library: Any) -> object:
    """No connection is made: nothing listens on this port."""
    library.SMTPEmailHandler(host="127.0.0.1", port=1).send([])
    return True


@same("SMTPEmailHandler(default_from)")
def default_sender(library: Any) -> object:
    return received(library, letter(library, from_addr=None), default_from="d@x")


@same("SMTPEmailHandler(recipients_per_message)", "SMTPEmailHandler.recipients_per_message")
def batches(library: Any) -> object:
    message = letter(library, to=["a@x", "b@x"], cc=["c@x"])
    handler = library.SMTPEmailHandler(recipients_per_message=2)
    return received(library, message, recipients_per_message=2), handler.recipients_per_message


@same(
    "SMTPEmailHandler(use_starttls)",
    "SMTPEmailHandler(tls_context)",
    "SMTPEmailHandler(username)",
    "SMTPEmailHandler(password)",
    "SMTPEmailHandler(timeout)",
    "SMTPEmailHandler.use_starttls",
    "SMTPEmailHandler.tls_context",
    "SMTPEmailHandler.username",
    "SMTPEmailHandler.password",
    "SMTPEmailHandler.timeout",
)
def secured(library: Any) -> object:
    server = {"tls_context": server_context(), "accounts": {"u": "p"}}
    context = client_context()
    options = {"use_starttls": True, "username": "u", "password": "p", "timeout": 20}
    handler = library.SMTPEmailHandler(tls_context=context, **options)
    attributes = {name: getattr(handler, name) for name in options}
    kept = handler.tls_context is context
    mails = received(library, letter(library), server=server, tls_context=context, **options)
    return mails, attributes, kept


@same("SMTPEmailHandler(use_tls)", "SMTPEmailHandler.use_tls")
def tls_by_port(library: Any) -> object:
    make = library.SMTPEmailHandler
    handlers = [
        make(port=465),
        make(port=25),
        make(port=465, use_tls=False),
        make(use_tls=True, use_starttls=True),
    ]
    return [(one.use_tls, one.use_starttls, one.tls_context is None) for one in handlers]


@same("SMTPEmailHandler.from_config", "SMTPEmailHandler.from_config(config)")
def configured(library: Any) -> object:
    config = {"host": "x", "port": 587, "use_starttls": True, "username": "u", "password": "p"}
    handler = library.SMTPEmailHandler.from_config(config=config)
    nothing = library.SMTPEmailHandler.from_config({"timeout": None, "tls_context": None})
    return {name: getattr(handler, name) for name in config}, nothing.use_tls


@same("SMTPEmailHandler.connect")
def session(library: Any) -> object:
    with ScriptedSMTPServer() as smtp:
        handler = library.SMTPEmailHandler(host="127.0.0.1", port=smtp.port)
        with handler.connect():
            pass
    return len(smtp.connections)


@different("SMTPEmailHandler.connect()")
def client(library: Any) -> object:
    with ScriptedSMTPServer() as smtp:
        handler = library.SMTPEmailHandler(host="127.0.0.1", port=smtp.port)
        with handler.connect() as client:
            return client is handler


@different("SMTPEmailHandler.send()")
def result(library: Any) -> object:
    with ScriptedSMTPServer() as smtp:
        return library.SMTPEmailHandler(host="127.0.0.1", port=smtp.port).send([letter(library)])


@different("SMTPEmailHandler.send() to a refused recipient")
def one_refused(library: Any) -> object:
    server = {"script": {"RCPT": ["550 5.1.1 no such mailbox"]}}
    return len(received(library, letter(library, to=["a@x", "b@x"]), server=server))


@different("SMTPEmailHandler.send() without a server")
def no_server(library: Any) -> object:
    library.SMTPEmailHandler(host="127.0.0.1", port=1).send([letter(library)])
    return None


@different("SMTPEmailHandler.send(): the message")
def changed(library: Any) -> object:
    message = letter(library, from_addr=None)
    received(library, message, default_from="d@x")
    return message.from_addr


@different("SMTPEmailHandler.default_from")
def as_given(library: Any) -> object:
    return library.SMTPEmailHandler(default_from="d@x").default_from


@different("SMTPEmailHandler().host, .port")
def default_server(library: Any) -> object:
    handler = library.SMTPEmailHandler()
    return handler.host, handler.port


@different("SMTPEmailHandler(timeout=None)")
def no_limit(library: Any) -> object:
    return library.SMTPEmailHandler(timeout=None).timeout


@different("SMTPEmailHandler(use_tls=True, tls_context=context)")
def context_of_tls(library: Any) -> object:
    context = client_context()
    return library.SMTPEmailHandler(use_tls=True, tls_context=context).tls_context is context


@different("SMTPEmailHandler(tls_context=context)")
def context_without_tls(library: Any) -> object:
    return bool(library.SMTPEmailHandler(port=25, tls_context=client_context()))


@different('SMTPEmailHandler(username="u")')
def half_a_login(library: Any) -> object:
    return library.SMTPEmailHandler(username="u").username


@different('SMTPEmailHandler(port=587, username="u", password="p")')
def plaintext_login(library: Any) -> object:
    make = library.SMTPEmailHandler
    return make(host="mail.example.com", port=587, username="u", password="p").use_starttls


@different("SMTPEmailHandler.from_config()")
def unknown_option(library: Any) -> object:
    return bool(library.SMTPEmailHandler.from_config({"hots": "x"}))


@different('SMTPEmailHandler.from_config({"recipients_per_message": 2})')
def forgotten_option(library: Any) -> object:
    config = {"recipients_per_message": 2}
    return library.SMTPEmailHandler.from_config(config).recipients_per_message


# The tests


@pytest.mark.parametrize("case", SAME, ids=lambda case: case.__name__)
def test_same_code_does_the_same(case: Case) -> None:
    assert case(OURS) == case(THEIRS)


@pytest.mark.parametrize("row", DIFFERENT)
def test_what_the_table_says_is_different(row: str) -> None:
    assert outcome(DIFFERENT[row], OURS) != outcome(DIFFERENT[row], THEIRS)


def test_every_name_and_parameter_has_its_case() -> None:
    """A name without a case works the same by chance, or not at all."""
    covered = {name for names in SAME.values() for name in names} | set(DIFFERENT)
    missing = set(keys()) - covered
    assert not missing
    unknown = {name for names in SAME.values() for name in names} - set(keys())
    assert not unknown


def test_every_difference_is_in_the_table() -> None:
    text = PAGE.read_text(encoding="utf-8")
    table = text[text.index("| code |") :].split("\n\n")[0].splitlines()[2:]
    cells = [line.strip("|").split("|")[0].strip() for line in table]
    assert [re.sub("`", "", cell) for cell in cells] == list(DIFFERENT)
