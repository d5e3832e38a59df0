"""The table of services: its shape, where its facts come from, and how a row is found."""

from __future__ import annotations

import dataclasses
from urllib.parse import urlsplit

import pytest

from tocsin.exceptions import ConfigError
from tocsin.mail.providers import PROVIDERS, Provider, find

ROWS = [pytest.param(row, id=name) for name, row in PROVIDERS.items()]

REQUIRED = {
    "amazon-ses",
    "brevo",
    "fastmail",
    "gmail",
    "gmail-relay",
    "icloud",
    "infomaniak",
    "mailgun",
    "mailgun-eu",
    "mailjet",
    "microsoft365",
    "postmark",
    "resend",
    "sendgrid",
    "yahoo",
    "zoho",
}

# Who may be quoted on whom: the vendor, and nobody else.
VENDORS = {
    "amazon-ses": {"docs.aws.amazon.com"},
    "brevo": {"developers.brevo.com"},
    "fastmail": {"www.fastmail.help"},
    "gmail": {"developers.google.com", "support.google.com"},
    "gmail-relay": {"support.google.com"},
    "icloud": {"support.apple.com"},
    "infomaniak": {"www.infomaniak.com"},
    "mailgun": {"documentation.mailgun.com"},
    "mailgun-eu": {"documentation.mailgun.com", "github.com/mailgun"},
    "mailjet": {"dev.mailjet.com", "documentation.mailjet.com"},
    "microsoft365": {"learn.microsoft.com"},
    "postmark": {"postmarkapp.com"},
    "resend": {"resend.com"},
    "scaleway": {"www.scaleway.com"},
    "sendgrid": {"sendgrid.com", "www.twilio.com"},
    "smtp2go": {"developers.smtp2go.com"},
    "sparkpost": {"developers.sparkpost.com"},
    "sparkpost-eu": {"developers.sparkpost.com"},
    "yahoo": {"help.yahoo.com"},
    "zoho": {"www.zoho.com"},
}


def publisher(url: str) -> str:
    """Return whose page it is: the host, and on GitHub the account too."""
    parts = urlsplit(url)
    assert parts.scheme == "https"
    assert parts.hostname
    if parts.hostname == "github.com":
        return f"github.com/{parts.path.split('/')[1]}"
    return parts.hostname


def test_the_services_that_most_people_have_are_there() -> None:
    assert set(PROVIDERS) >= REQUIRED


def test_a_row_goes_by_its_own_name() -> None:
    assert {name: row.name for name, row in PROVIDERS.items()} == {name: name for name in PROVIDERS}


@pytest.mark.parametrize("row", ROWS)
def test_the_port_and_the_kind_of_tls_belong_together(row: Provider) -> None:
    """The wrong pair is a handshake with a server that waits for the other side to speak."""
    assert (row.port, row.tls) in {(465, "tls"), (587, "starttls")}


@pytest.mark.parametrize("row", ROWS)
def test_a_limit_is_positive_or_unknown(row: Provider) -> None:
    assert row.recipients_per_message is None or row.recipients_per_message >= 1


@pytest.mark.parametrize("row", ROWS)
def test_a_refused_login_is_explained_in_one_line(row: Provider) -> None:
    assert row.login_hint.endswith(".")
    assert row.login_hint.isprintable()
    assert 30 <= len(row.login_hint) <= 160


@pytest.mark.parametrize("row", ROWS)
def test_the_facts_come_from_the_vendor(row: Provider) -> None:
    assert row.source
    assert {publisher(url) for url in row.source} == VENDORS[row.name]


@pytest.mark.parametrize("row", ROWS)
def test_the_host_is_a_name_in_lower_case(row: Provider) -> None:
    host = row.host_in("eu-west-1" if row.regional else None)
    assert host == host.lower()
    assert "." in host
    assert host.replace(".", "").replace("-", "").isalnum()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gmail", "app password"),
        ("yahoo", "app password"),
        ("fastmail", "app password"),
        ("icloud", "app-specific password"),
        ("sendgrid", "'apikey'"),
        ("resend", "'resend'"),
        ("sparkpost", "'SMTP_Injection'"),
        ("microsoft365", "SMTP AUTH"),
        ("amazon-ses", "credentials of its own"),
        ("mailgun", "'mailgun-eu'"),
        ("mailgun-eu", "'mailgun'"),
    ],
)
def test_the_hint_names_the_usual_mistake(name: str, words: str) -> None:
    assert words in find(name).login_hint


def test_a_row_and_the_table_do_not_change() -> None:
    row = find("gmail")
    with pytest.raises(dataclasses.FrozenInstanceError):
        row.host = "mail.example.com"  # type: ignore[misc]
    with pytest.raises(TypeError):
        PROVIDERS["gmail"] = row  # type: ignore[index]


def test_find_returns_the_row() -> None:
    row = find("amazon-ses")
    assert (row.port, row.tls, row.recipients_per_message) == (465, "tls", 50)


@pytest.mark.parametrize(
    ("name", "meant"),
    [("gmial", "gmail"), ("Gmail", "gmail"), ("MAILGUN", "mailgun"), ("amazonses", "amazon-ses")],
)
def test_a_slip_in_the_name_is_answered_with_the_nearest_one(name: str, meant: str) -> None:
    with pytest.raises(ConfigError) as caught:
        find(name)
    assert str(caught.value) == f"provider: unknown {name!r}; did you mean {meant!r}?"


def test_a_name_like_no_other_is_answered_with_all() -> None:
    with pytest.raises(ConfigError) as caught:
        find("xyz")
    assert str(caught.value) == f"provider: unknown 'xyz'; known are {', '.join(PROVIDERS)}"


def test_a_personal_account_is_told_its_host() -> None:
    """Microsoft has another server for it than for `microsoft365`."""
    with pytest.raises(ConfigError, match=r"unknown 'Hotmail'; .* host: smtp-mail.outlook.com"):
        find("Hotmail")


def test_a_name_that_is_no_text_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^provider: expected text, got int; quote it$"):
        find(365)  # type: ignore[arg-type]


def test_a_region_completes_the_host() -> None:
    ses = find("amazon-ses")
    assert ses.regional
    assert ses.host_in("eu-west-1") == "email-smtp.eu-west-1.amazonaws.com"


def test_a_region_that_is_missing_is_asked_for() -> None:
    with pytest.raises(ConfigError) as caught:
        find("amazon-ses").host_in()
    assert str(caught.value) == "region: 'amazon-ses' needs one, such as 'eu-west-1'"


def test_a_region_where_there_is_none_is_an_error() -> None:
    """An option that is read and forgotten would send to another place than the user thinks."""
    gmail = find("gmail")
    assert not gmail.regional
    with pytest.raises(ConfigError, match=r"^region: 'gmail' has no regions$"):
        gmail.host_in("eu-west-1")


@pytest.mark.parametrize(
    "region", ["eu-west-1.example.com/", "a.b", "-eu", "EU-WEST-1", "eu west", "eu-west-1\n"]
)
def test_a_region_can_not_lead_to_another_host(region: str) -> None:
    """The host gets the password."""
    with pytest.raises(ConfigError) as caught:
        find("amazon-ses").host_in(region)
    assert str(caught.value) == f"region: expected a name such as 'eu-west-1', got {region!r}"
