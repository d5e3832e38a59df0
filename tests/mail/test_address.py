"""Addresses: what is one, what it becomes, and a list of them."""

from __future__ import annotations

import copy
import pickle  # noqa: TID251 - users may
from email.headerregistry import Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.mail import AddressList, prepare_address
from tocsin.mail.address import one_line, split_addresses


@pytest.mark.parametrize(
    ("text", "name", "spec"),
    [
        ("a@example.com", "", "a@example.com"),
        ("  a@example.com ", "", "a@example.com"),
        ("Ann <a@example.com>", "Ann", "a@example.com"),
        ("<a@example.com>", "", "a@example.com"),
        ('"Doe, Ann" <a@example.com>', "Doe, Ann", "a@example.com"),
        (r'"Ann \"A\" Doe" <a@example.com>', 'Ann "A" Doe', "a@example.com"),
        ('Ann "A" Doe <a@example.com>', 'Ann "A" Doe', "a@example.com"),
        ("a+b=c/d@example.com", "", "a+b=c/d@example.com"),
        ('"a@b"@example.com', "", '"a@b"@example.com'),
        (r'"a\"b"@example.com', "", r'"a\"b"@example.com'),
        ("a@my_host.example", "", "a@my_host.example"),
        ("a@localhost", "", "a@localhost"),
        ("a@[192.0.2.1]", "", "a@[192.0.2.1]"),
        ("a@[IPv6:2001:db8::1]", "", "a@[IPv6:2001:db8::1]"),
        ("Jörg <j@example.com>", "Jörg", "j@example.com"),
    ],
)
def test_text_becomes_an_address(text: str, name: str, spec: str) -> None:
    address = prepare_address(text)
    assert (address.display_name, address.addr_spec) == (name, spec)


@pytest.mark.parametrize(
    ("domain", "wire"),
    [
        ("faß.de", "xn--fa-hia.de"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("例え.テスト", "xn--r8jz45g.xn--zckzah"),
        ("b\u3002\u00fc", "b.xn--tda"),
    ],
)
def test_domain_gets_its_idna_2008_form(domain: str, wire: str) -> None:
    """The standard codec is IDNA 2003 and makes `fass.de` of `faß.de`: somebody else's mail."""
    assert prepare_address(f"a@{domain}").domain == wire
    assert prepare_address(Address("", "a", domain)).domain == wire


def test_local_part_may_be_of_any_script_in_composed_form() -> None:
    """RFC 6532 §3.1: two ways to write a letter are one address."""
    assert prepare_address("jo\u0308rg@example.com").username == "jörg"


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "a",
        "@",
        "a@",
        "@example.com",
        "a b@example.com",
        "a@exam ple.com",
        "a@example..com",
        "a@.example.com",
        "a@-",
        "a@ü..de",
        "a@\u200d.de",
        "a@x, b@x",
        "a@x>",
        "Ann <a@x",
        "Ann a@x>",
        ".a@x",
        "a..b@x",
        "a(b)@x",
        '"a" b@x',
        '"a@x',
        "a\u00a0b@x",
        "\u00fc b@x",
        "a\x00@x",
        "a@x\x7f",
        "a@x\r\nRCPT TO:b@x",
        "a\nb@x",
        "a@x\u2028y",
        "a\ud800@x",
        "a@x\udcff",
        "a" * 250 + "@x.de",
        "ü" * 126 + "@x.de",
    ],
)
def test_what_is_no_address_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"address|domain|too long"):
        prepare_address(text)


@pytest.mark.parametrize("value", [None, 5, b"a@example.com", ["a@example.com"]])
def test_other_types_are_a_type_error(value: object) -> None:
    with pytest.raises(TypeError, match="expected an address, got"):
        prepare_address(value)  # type: ignore[arg-type]


@pytest.mark.parametrize(("user", "domain"), [("a b", "x"), ("a", "x>y"), ("", "x"), ("a", "")])
def test_given_address_is_checked_too(user: str, domain: str) -> None:
    """The standard library's own class takes anything but line breaks."""
    with pytest.raises(ValueError, match="is not an address"):
        prepare_address(Address("", user, domain))


def test_name_is_one_line() -> None:
    address = prepare_address("Ann\r\nBcc: x@y\t\u2028 Doe\ud800 <a@x>")
    assert address.display_name == "Ann Bcc: x@y  Doe\ufffd"


@given(st.text())
def test_address_holds_nothing_that_ends_a_command(text: str) -> None:
    """Whatever is accepted can stand between the angle brackets of an SMTP command."""
    for candidate in (text, f"{text}@x", f"a@{text}", f"{text} <a@x>"):
        try:
            address = prepare_address(candidate)
        except ValueError:
            continue
        spec = address.addr_spec
        assert not set(spec) & set("\r\n\0 <>")
        assert len(spec.encode()) <= 254
        assert address.domain.isascii()
        assert one_line(address.display_name) == address.display_name
        assert prepare_address(str(address)).addr_spec == spec


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", []),
        (" , ,", []),
        ("a@x,b@x", ["a@x", "b@x"]),
        ('"Doe, Ann" <a@x>, b@x', ['"Doe, Ann" <a@x>', "b@x"]),
        (r'"a\", b" <a@x>, b@x', [r'"a\", b" <a@x>', "b@x"]),
    ],
)
def test_text_is_split_at_commas_outside_of_quotes(text: str, parts: list[str]) -> None:
    assert split_addresses(text) == parts


class TestAddressList:
    """A `list[Address]` whose methods take strings too."""

    def test_is_made_from_text_addresses_and_lists(self) -> None:
        a, b = Address("", "a", "x"), Address("B", "b", "x")
        assert AddressList("a@x, B <b@x>") == [a, b]
        assert AddressList(a) == [a]
        assert AddressList(["a@x", b]) == [a, b]
        assert AddressList() == []

    def test_methods_take_text(self) -> None:
        found = AddressList("b@x")
        found.append("d@x")
        found.insert(0, "a@x")
        found.extend("e@x, f@x")
        found += ["g@x"]
        found.remove("d@x")
        found[0] = "A <a@x>"
        found[-2:] = "h@x, i@x"
        assert [str(one) for one in found] == ["A <a@x>", "b@x", "e@x", "h@x", "i@x"]
        assert isinstance(found, AddressList)

    def test_finds_text(self) -> None:
        found = AddressList("a@x, b@x, a@x")
        assert "b@x" in found
        assert Address("", "b", "x") in found
        assert "c@x" not in found
        assert "no address" not in found
        assert 5 not in found
        assert found.index("b@x") == 1
        assert found.index("a@x", 1) == 2
        assert found.count("a@x") == 2

    @pytest.mark.parametrize("value", ["nonsense", "a@x\r\nb"])
    def test_refuses_what_is_no_address(self, value: str) -> None:
        found = AddressList("a@x")
        for change in (found.append, found.extend, found.remove, found.index, found.count):
            with pytest.raises(ValueError, match="is not an address"):
                change(value)
        with pytest.raises(ValueError, match="is not an address"):
            found.insert(0, value)
        with pytest.raises(ValueError, match="is not an address"):
            found[0] = value
        with pytest.raises(ValueError, match="is not an address"):
            AddressList(value)
        assert found == AddressList("a@x")

    def test_refuses_other_types(self) -> None:
        found = AddressList("a@x")
        with pytest.raises(TypeError, match="got int"):
            found[0] = 5
        with pytest.raises(TypeError, match="got int"):
            found.append(5)  # type: ignore[arg-type]

    def test_failed_extension_changes_nothing(self) -> None:
        found = AddressList("a@x")
        with pytest.raises(ValueError, match="is not an address"):
            found.extend(["b@x", "nonsense"])
        assert found == AddressList("a@x")

    def test_can_be_copied_and_pickled(self) -> None:
        found = AddressList("a@x, B <b@x>")
        for copied in (copy.deepcopy(found), pickle.loads(pickle.dumps(found))):
            assert copied == found
            assert type(copied) is AddressList
