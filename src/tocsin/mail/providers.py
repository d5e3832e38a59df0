"""Mail services by name: a table of hosts, ports, limits and advice.

Every value in a row comes from a page of the vendor; `source` names the pages. A limit that the
vendor doesn't document is None: nothing is guessed or measured. TLS from the start (port 465) is
used where the vendor documents it (RFC 8314 §3), else STARTTLS.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from tocsin import options

if TYPE_CHECKING:
    from collections.abc import Mapping

_REGION = "{region}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A mail service.

    Attributes:
        name: the name in a configuration, as in `provider: gmail`.
        host: the server's name; `{region}` in it stands for the region that the user gives.
        port: the port that belongs to `tls`.
        tls: "tls" if TLS starts with the connection, "starttls" if by the STARTTLS command.
        recipients_per_message: how many recipients the vendor allows in one message; None if it
            isn't documented. If the number depends on the plan, it is the lowest one.
        login_hint: advice for the user when a login is refused, as sentences.
        source: the vendor's pages that document this row.
    """

    name: str
    host: str
    port: int
    tls: Literal["tls", "starttls"]
    recipients_per_message: int | None
    login_hint: str
    source: tuple[str, ...]

    @property
    def regional(self) -> bool:
        """Whether the host depends on a region."""
        return _REGION in self.host

    def host_in(self, region: str | None = None) -> str:
        """Return the server's name.

        Args:
            region: the vendor's name of the region, such as "eu-west-1". A service with regions
                needs one; other services allow none.

        Raises:
            ConfigError: the region is missing, not allowed, or no region's name.
        """
        if not self.regional:
            if region is not None:
                options.fail("region", f"{self.name!r} has no regions")
            return self.host
        if region is None:
            options.fail("region", f"{self.name!r} needs one, such as 'eu-west-1'")
        # It becomes a part of the host to which the password is sent, so it must be one label.
        if not re.fullmatch(r"[a-z0-9]+(?:-[a-z0-9]+)*", options.text("region", region)):
            options.fail("region", f"expected a name such as 'eu-west-1', got {region!r}")
        return self.host.replace(_REGION, region)


_ROWS = (
    Provider(
        name="gmail",
        host="smtp.gmail.com",
        port=465,
        tls="tls",
        recipients_per_message=100,
        login_hint="Gmail takes an app password (2-step verification must be on) or an OAuth "
        "token, not the password of the account.",
        source=(
            "https://developers.google.com/workspace/gmail/imap/imap-smtp",
            "https://support.google.com/a/answer/166852",
            "https://support.google.com/accounts/answer/185833",
        ),
    ),
    Provider(
        name="gmail-relay",
        host="smtp-relay.gmail.com",
        port=587,
        tls="starttls",
        recipients_per_message=100,
        login_hint="A login takes an app password; the relay may also know senders by IP address. "
        "It closes on general names in EHLO: set local_hostname to your domain.",
        source=(
            "https://support.google.com/a/answer/2956491",
            "https://support.google.com/a/answer/166852",
        ),
    ),
    Provider(
        name="microsoft365",
        host="smtp.office365.com",
        port=587,
        tls="starttls",
        recipients_per_message=500,  # the default; an administrator may set 1 to 1,000
        login_hint="SMTP AUTH must be enabled for the mailbox, and where basic authentication is "
        "off only an OAuth token is taken.",
        source=(
            "https://learn.microsoft.com/en-us/exchange/mail-flow-best-practices/how-to-set-up-a-multifunction-device-or-application-to-send-email-using-microsoft-365-or-office-365",
            "https://learn.microsoft.com/en-us/office365/servicedescriptions/exchange-online-service-description/exchange-online-limits",
        ),
    ),
    Provider(
        name="amazon-ses",
        host="email-smtp.{region}.amazonaws.com",
        port=465,
        tls="tls",
        recipients_per_message=50,
        login_hint="SES has SMTP credentials of its own, made for one region; the AWS secret "
        "access key isn't the password.",
        source=(
            "https://docs.aws.amazon.com/ses/latest/dg/smtp-connect.html",
            "https://docs.aws.amazon.com/general/latest/gr/ses.html",
            "https://docs.aws.amazon.com/ses/latest/dg/quotas.html",
            "https://docs.aws.amazon.com/ses/latest/dg/smtp-credentials.html",
        ),
    ),
    Provider(
        name="sendgrid",
        host="smtp.sendgrid.net",
        port=465,
        tls="tls",
        recipients_per_message=1000,  # advised by the vendor; the hard limit is 10,000
        login_hint="The user name is the word 'apikey', and the password an API key that may send "
        "mail.",
        source=(
            "https://www.twilio.com/docs/sendgrid/for-developers/sending-email/integrating-with-the-smtp-api",
            "https://sendgrid.com/docs/for-developers/sending-email/building-an-smtp-email/",
        ),
    ),
    Provider(
        name="mailgun",
        host="smtp.mailgun.org",
        port=465,
        tls="tls",
        recipients_per_message=None,
        login_hint="Mailgun takes the SMTP credentials of the sending domain, with a full address "
        "as the user name; a domain in the EU needs 'mailgun-eu'.",
        source=(
            "https://documentation.mailgun.com/docs/mailgun/user-manual/sending-messages/send-smtp",
        ),
    ),
    Provider(
        name="mailgun-eu",
        host="smtp.eu.mailgun.org",
        port=465,
        tls="tls",
        recipients_per_message=None,
        login_hint="Mailgun takes the SMTP credentials of the sending domain, with a full address "
        "as the user name; a domain in the US needs 'mailgun'.",
        source=(
            "https://documentation.mailgun.com/docs/mailgun/user-manual/sending-messages/send-smtp",
            # The vendor's own client: the host of each region, and port 465 for TLS.
            "https://github.com/mailgun/wordpress-plugin/blob/master/includes/mg-filter.php",
        ),
    ),
    Provider(
        name="postmark",
        host="smtp.postmarkapp.com",
        port=587,
        tls="starttls",
        recipients_per_message=50,
        login_hint="The server's API token is both user name and password; or take the access key "
        "and the secret key of an SMTP token.",
        source=(
            "https://postmarkapp.com/developer/user-guide/send-email-with-smtp",
            "https://postmarkapp.com/developer",
        ),
    ),
    Provider(
        name="fastmail",
        host="smtp.fastmail.com",
        port=465,
        tls="tls",
        recipients_per_message=None,
        login_hint="Fastmail takes an app password only, with the full address as the user name.",
        source=(
            "https://www.fastmail.help/hc/en-us/articles/1500000278342-Server-names-and-ports",
        ),
    ),
    Provider(
        name="zoho",
        host="smtp.zoho.com",
        port=465,
        tls="tls",
        recipients_per_message=100,  # outside the organisation, free plan; 150 on paid ones
        login_hint="With two-factor authentication Zoho takes an application-specific password; "
        "an account of another data centre has another host.",
        source=(
            "https://www.zoho.com/mail/help/zoho-smtp.html",
            "https://www.zoho.com/mail/help/adminconsole/rates-and-limits.html",
        ),
    ),
    Provider(
        name="icloud",
        host="smtp.mail.me.com",
        port=587,
        tls="starttls",
        recipients_per_message=500,
        login_hint="iCloud takes an app-specific password, with the full address as the user name.",
        source=(
            "https://support.apple.com/en-us/102525",
            "https://support.apple.com/en-us/102198",
        ),
    ),
    Provider(
        name="mailjet",
        host="in-v3.mailjet.com",
        port=587,
        tls="starttls",
        recipients_per_message=50,
        login_hint="The user name is the API key, and the password the secret key.",
        source=(
            "https://dev.mailjet.com/smtp-relay/configuration/",
            "https://documentation.mailjet.com/hc/en-us/articles/360043229473",
        ),
    ),
    Provider(
        name="brevo",
        host="smtp-relay.brevo.com",
        port=465,
        tls="tls",
        recipients_per_message=None,
        login_hint="Brevo takes an SMTP key, not an API key, and the SMTP login of its settings "
        "page as the user name.",
        source=("https://developers.brevo.com/docs/smtp-integration",),
    ),
    Provider(
        name="resend",
        host="smtp.resend.com",
        port=465,
        tls="tls",
        recipients_per_message=50,  # documented for the API, for the To of a message
        login_hint="The user name is the word 'resend', and the password an API key.",
        source=(
            "https://resend.com/docs/send-with-smtp",
            "https://resend.com/docs/api-reference/emails/send-email",
        ),
    ),
    Provider(
        name="infomaniak",
        host="mail.infomaniak.com",
        port=465,
        tls="tls",
        recipients_per_message=100,
        login_hint="Infomaniak takes the full address and the password of that address, which "
        "isn't the one of the Infomaniak account.",
        source=(
            "https://www.infomaniak.com/en/support/faq/admin2/email-service",
            "https://www.infomaniak.com/en/support/faq/2065/understanding-the-24-hour-outgoing-email-limit",
        ),
    ),
    Provider(
        name="yahoo",
        host="smtp.mail.yahoo.com",
        port=465,
        tls="tls",
        recipients_per_message=100,  # documented for business mail
        login_hint="Yahoo takes an app password, made in the security settings of the account.",
        source=(
            "https://help.yahoo.com/kb/SLN4075.html",
            "https://help.yahoo.com/kb/SLN17518.html",
            "https://help.yahoo.com/kb/SLN15241.html",
        ),
    ),
    Provider(
        name="scaleway",
        host="smtp.tem.scaleway.com",
        port=465,
        tls="tls",
        recipients_per_message=10,  # the default; support can raise it
        login_hint="The user name is the ID of the project, and the password the secret key of an "
        "API key.",
        source=(
            "https://www.scaleway.com/en/docs/transactional-email/reference-content/smtp-configuration/",
            "https://www.scaleway.com/en/docs/transactional-email/reference-content/tem-capabilities-and-limits/",
        ),
    ),
    Provider(
        name="smtp2go",
        host="mail.smtp2go.com",
        port=465,
        tls="tls",
        recipients_per_message=None,
        login_hint="SMTP2GO takes the name and the password of an SMTP user, not of the account.",
        source=("https://developers.smtp2go.com/docs/smtp-relay",),
    ),
    Provider(
        name="sparkpost",
        host="smtp.sparkpostmail.com",
        port=587,
        tls="starttls",
        recipients_per_message=None,
        login_hint="The user name is the word 'SMTP_Injection', and the password an API key that "
        "may send by SMTP; an account in the EU needs 'sparkpost-eu'.",
        source=("https://developers.sparkpost.com/api/smtp/",),
    ),
    Provider(
        name="sparkpost-eu",
        host="smtp.eu.sparkpostmail.com",
        port=587,
        tls="starttls",
        recipients_per_message=None,
        login_hint="The user name is the word 'SMTP_Injection', and the password an API key that "
        "may send by SMTP; an account in the US needs 'sparkpost'.",
        source=("https://developers.sparkpost.com/api/smtp/",),
    ),
)

PROVIDERS: Mapping[str, Provider] = MappingProxyType({row.name: row for row in _ROWS})


ALIASES: Mapping[str, str] = MappingProxyType(
    {
        "aws": "amazon-ses",
        "google": "gmail",
        "office365": "microsoft365",
        "outlook": "microsoft365",
        "ses": "amazon-ses",
    }
)
"""Alias → name."""
_PERSONAL = {"hotmail", "live", "msn", "outlook.com"}  # personal accounts have another host


def find(name: str) -> Provider:
    """Return the mail service with a name, or with an alias.

    Raises:
        ConfigError: the name is unknown. The error names a similar service, or else all of them.
    """
    provider = PROVIDERS.get(ALIASES.get(options.text("provider", name), name))
    if name.lower() in _PERSONAL:
        options.fail(
            "provider",
            f"unknown {name!r}; for an account of outlook.com set host: smtp-mail.outlook.com, "
            "port: 587, use_starttls: true, and an access_token",
        )
    if provider is None:
        near = difflib.get_close_matches(name.lower(), [*PROVIDERS, *ALIASES], n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(PROVIDERS)}"
        options.fail("provider", f"unknown {name!r}; {hint}")
    return provider
