"""TLS, as options: which port, from the start or by STARTTLS, and which certificates are trusted.

Certificates and host names are always verified, unless the user's own context says otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tocsin import options
from tocsin.mail.host import may_be_this_machine

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping
    from pathlib import Path

SMTP_PORT = 25  # RFC 5321 §4.5.4.2
SMTPS_PORT = 465  # RFC 8314 §7.3
SUBMISSION_PORT = 587  # RFC 6409 §3.1
FILES = ("tls_ca_file", "tls_cert_file", "tls_key_file")
NO_EFFECT = "has no effect without use_tls or use_starttls"


def transport_options(
    port: int | None, use_tls: bool | None, use_starttls: bool
) -> tuple[int, bool, bool]:
    """Return the port, and whether TLS is used from the start and by STARTTLS.

    The defaults are TLS from the start on port 465 only, and port 465 with it, else port 25. TLS
    from the start excludes STARTTLS.

    Raises:
        ConfigError: one of the values is wrong.
    """
    if port is not None:
        options.whole("port", port, low=1, high=65535)
    tls = port == SMTPS_PORT if use_tls is None else options.boolean("use_tls", use_tls)
    starttls = options.boolean("use_starttls", use_starttls) and not tls
    return port or (SMTPS_PORT if tls else SMTP_PORT), tls, starttls


def context_option(given: ssl.SSLContext | None, *, needed: bool) -> ssl.SSLContext | None:
    """Return the TLS context: the user's own, or a verifying one; None without TLS.

    Args:
        given: the option's value.
        needed: whether the connection uses TLS.

    Raises:
        ConfigError: the value is no context, or TLS isn't used.
    """
    if given is None:
        return verifying_context() if needed else None
    import ssl  # noqa: PLC0415 - loaded only where TLS is used

    if not isinstance(given, ssl.SSLContext):
        options.fail("tls_context", f"expected an ssl.SSLContext, got {options.kind(given)}")
    if not needed:
        options.fail("tls_context", NO_EFFECT)
    return given


def about_the_given_key(error: str, given: Mapping[str, Any]) -> str:
    """Return an error's text with the key that the user has written: a file's, not the context's.

    Args:
        error: an error's text; others than `NO_EFFECT` are returned as they are.
        given: the options.
    """
    if not error.endswith(NO_EFFECT):
        return error
    key = next((name for name in FILES if name in given), "tls_context")
    return f"{key}: {NO_EFFECT}"


def verifying_context(ca_file: Path | None = None) -> ssl.SSLContext:
    """Return a TLS context that verifies certificates and host names.

    The host name must be among the certificate's alternative names: a name that is only in its
    subject (CN) doesn't count (RFC 9525 §2).

    Args:
        ca_file: a PEM file of the authorities to trust; by default those of the operating system.

    Raises:
        ssl.SSLError: there is no certificate in the file.
    """
    import ssl  # noqa: PLC0415 - loaded only where TLS is used

    context = ssl.create_default_context(cafile=ca_file)
    context.hostname_checks_common_name = False
    return context


def context_of_files(key: str, given: Mapping[str, Any]) -> ssl.SSLContext | None:
    """Return a verifying TLS context made from `tls_ca_file`, `tls_cert_file` and `tls_key_file`.

    Args:
        key: the key of the mapping, for errors.
        given: the options. A CA file replaces the authorities of the operating system.

    Returns:
        The context; None if no file is given.

    Raises:
        ConfigError: a file can't be read, or isn't what its key says.
    """
    files = {
        name: options.file_path(f"{key}.{name}", given[name])
        for name in FILES
        if given.get(name) is not None
    }
    if not files:
        return None
    options.one_of(key, given, ("tls_context", next(iter(files))))
    if "tls_key_file" in files and "tls_cert_file" not in files:
        options.fail(
            f"{key}.tls_key_file", "needs 'tls_cert_file' too, the certificate of this key"
        )
    for name, path in files.items():
        try:
            path.read_bytes()
        except OSError as error:
            options.fail(f"{key}.{name}", f"can't read {str(path)!r}: {error.strerror}")
    return _loaded(key, files)


def _loaded(key: str, files: Mapping[str, Path]) -> ssl.SSLContext:
    import ssl  # noqa: PLC0415 - loaded only where TLS is used

    try:
        context = verifying_context(files.get("tls_ca_file"))
    except ssl.SSLError:
        options.fail(f"{key}.tls_ca_file", f"{str(files['tls_ca_file'])!r} holds no CA in PEM form")
    if "tls_cert_file" in files:
        try:
            # Without a password here, OpenSSL would ask for one on the terminal.
            context.load_cert_chain(files["tls_cert_file"], files.get("tls_key_file"), password="")
        except (ssl.SSLError, ValueError):
            options.fail(
                f"{key}.tls_cert_file",
                f"{str(files['tls_cert_file'])!r} and its key are no matching pair of "
                "unencrypted PEM files",
            )
    return context


def check_login_is_encrypted(host: str, port: int, *, encrypted: bool) -> None:
    """Check, for a login on the submission port, that the connection will be encrypted.

    On other ports, the client checks it before the login: only then does it know whether the server
    is on this machine, where encryption isn't needed.

    Raises:
        ConfigError: the credentials would have to be sent without encryption.
    """
    if port == SUBMISSION_PORT and not encrypted and not may_be_this_machine(host):
        options.fail(
            "use_starttls",
            "missing; credentials are not sent over a connection that is not encrypted: set "
            f"use_starttls (port {SUBMISSION_PORT}; in a URL, smtp+starttls://), "
            f"or use_tls (port {SMTPS_PORT}; smtps://)",
        )
