"""What a configuration names instead of holding it: secrets, and files for TLS; each exact error.

What the other options do is in `tests/mail/test_smtp_options.py`.
"""

from __future__ import annotations

import contextlib
import inspect
import logging.config
import ssl
from typing import TYPE_CHECKING, Any

import keyring
import pytest
from keyrings.alt.file import PlaintextKeyring
from peers import FROM, mail

from tocsin import ConfigError, SendError, SMTPEmailHandler
from tocsin.testing import ScriptedSMTPServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import trustme

pytest_plugins = ("tls_peers",)

SECRET = "hunter2-pässwörd"


def made(**config: Any) -> SMTPEmailHandler:
    return SMTPEmailHandler.from_config({"username": FROM, **config})


def error_of(**config: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        SMTPEmailHandler.from_config(config)
    return str(caught.value)


def secret_of(handler: SMTPEmailHandler) -> str:
    assert callable(handler.password)
    assert SECRET not in repr(handler.password)
    return handler.password()


@pytest.fixture
def plain_keyring(tmp_path: Path) -> Iterator[PlaintextKeyring]:
    """A keyring that is a file."""
    before = keyring.get_keyring()
    mine = PlaintextKeyring()
    mine.file_path = str(tmp_path / "keyring.cfg")
    keyring.set_keyring(mine)
    yield mine
    keyring.set_keyring(before)


# Secrets


def test_a_secret_of_the_environment_is_read_at_each_login(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_SECRET", "old")
    with ScriptedSMTPServer(accounts={FROM: SECRET}) as server:
        handler = made(host="127.0.0.1", port=server.port, password_env="TEST_SECRET")
        monkeypatch.setenv("TEST_SECRET", SECRET)
        handler.send(mail())
        monkeypatch.delenv("TEST_SECRET")
        with pytest.raises(SendError) as caught:
            handler.send(mail())
    assert server.messages[0].username == FROM
    assert str(caught.value.__cause__) == (
        f"127.0.0.1:{server.port}: no password to log in with: ConfigError: "
        "email.password_env: the environment variable 'TEST_SECRET' is not set"
    )
    assert repr(handler.password) == "<secret from the environment variable TEST_SECRET>"


@pytest.mark.parametrize(
    ("content", "secret"),
    [
        ("pässwörd", "pässwörd"),
        ("pässwörd\n", "pässwörd"),
        ("pässwörd\r\n", "pässwörd"),
        (" two words \n", " two words"),
        ("\ufeffpässwörd\u00a0 \t\r\n\n", "pässwörd"),
    ],
)
def test_a_secret_loses_white_space_at_its_end(
    content: str, secret: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Editors add it, and a byte order mark; blanks inside may belong to the password."""
    monkeypatch.setenv("TEST_SECRET", content)
    assert secret_of(made(password_env="TEST_SECRET")) == secret
    path = tmp_path / "secret"
    path.write_bytes(content.encode())
    handler = made(password_file=str(path))
    assert secret_of(handler) == secret
    assert repr(handler.password) == f"<secret from the file {path}>"
    path.write_text("rotated")
    assert secret_of(handler) == "rotated"


def test_a_relative_secrets_file_may_be_among_systemds_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """systemd.exec(5); one in the working directory is nearer."""
    here, credentials = tmp_path / "here", tmp_path / "credentials"
    here.mkdir()
    credentials.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    (credentials / "smtp").write_text("theirs")
    assert secret_of(made(password_file="smtp")) == "theirs"
    (here / "smtp").write_text("ours")
    assert secret_of(made(password_file="smtp")) == "ours"


def test_a_secrets_file_may_be_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "smtp").write_text(SECRET)
    assert secret_of(made(password_file="~/smtp")) == SECRET


def test_a_secret_of_the_keyring_is_read_at_each_login(plain_keyring: PlaintextKeyring) -> None:
    keyring.set_password("mail.example.com", FROM, SECRET)
    handler = made(password_keyring="mail.example.com")
    assert secret_of(handler) == SECRET
    assert repr(handler.password) == f"<secret of {FROM} from the keyring's mail.example.com>"
    keyring.set_password("mail.example.com", FROM, "rotated")
    assert secret_of(handler) == "rotated"
    assert secret_of(
        made(username=None, url=f"smtp://{FROM}@h", password_keyring="mail.example.com")
    )


def test_a_keyring_without_the_secret_is_told(plain_keyring: PlaintextKeyring) -> None:
    assert error_of(username=FROM, password_keyring="nothing") == (
        f"email.password_keyring: the keyring has nothing for 'nothing' and {FROM!r}"
    )
    assert error_of(password_keyring="nothing") == "email.username: expected text, got None"
    assert error_of(username=FROM, password_keyring=7) == (
        "email.password_keyring: expected text, got int; quote it"
    )


def test_a_keyring_that_fails_is_told(plain_keyring: PlaintextKeyring) -> None:
    keyring.set_keyring(keyring.backends.fail.Keyring())  # type: ignore[no-untyped-call]
    text = error_of(username=FROM, password_keyring="x")
    assert text.startswith("email.password_keyring: NoKeyringError: ")


def test_each_error_about_a_secret_is_exact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.setenv("TEST_EMPTY", "")
    monkeypatch.setenv("TEST_BLANK", "\ufeff \n")
    monkeypatch.delenv("TEST_UNSET", raising=False)
    empty, binary, none = tmp_path / "empty", tmp_path / "binary", tmp_path / "none"
    empty.write_text("\n")
    binary.write_bytes(b"\xff\xfe")
    for source, value, error in (
        ("env", "TEST_UNSET", "the environment variable 'TEST_UNSET' is not set"),
        ("env", "TEST_EMPTY", "the environment variable 'TEST_EMPTY' is empty"),
        ("env", "TEST_BLANK", "the environment variable 'TEST_BLANK' is empty"),
        ("env", 7, "expected text, got int; quote it"),
        ("env", " ", "expected text, got an empty string"),
        ("file", none, f"can't read {str(none)!r}: No such file or directory"),
        ("file", tmp_path, f"can't read {str(tmp_path)!r}: Is a directory"),
        ("file", empty, f"the file {str(empty)!r} is empty"),
        ("file", binary, f"can't read {str(binary)!r}: it is not UTF-8 text"),
        ("file", 7, "expected a path, got int"),
        ("file", "", "expected a path, got an empty string"),
        ("file", "a\0b", "expected a path, got one with a NUL in it"),
        ("keyring", "", "expected text, got an empty string"),
    ):
        key = f"password_{source}"
        assert error_of(username=FROM, **{key: value}) == f"email.{key}: {error}"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("password", "password_env"),
        ("password", "password_file"),
        ("password", "password_keyring"),
        ("password_env", "password_file"),
        ("password_env", "password_keyring"),
        ("password_file", "password_keyring"),
    ],
)
def test_two_sources_of_a_secret_are_one_too_many(one: str, other: str) -> None:
    assert error_of(username=FROM, **{other: "y", one: SECRET}) == (
        f"email.{other}: can't be used together with {one!r}; give one of them"
    )


def test_a_password_beside_a_token_is_one_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_SECRET", SECRET)
    assert error_of(username=FROM, password_env="TEST_SECRET", access_token=SECRET) == (
        "email.access_token: can't be used together with a password; give one of them"
    )
    with pytest.raises(ConfigError) as caught:
        SMTPEmailHandler(username=FROM, password=SECRET, access_token=lambda: SECRET)
    assert str(caught.value).startswith("access_token: can't be used together with a password")


def test_a_secret_that_another_encoding_left_behind_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The environment's bytes are Latin-1, say: the login fails, without showing them."""
    monkeypatch.setenv("TEST_SECRET", "hunter2-p\udce4ss")
    with ScriptedSMTPServer() as server:
        handler = made(host="127.0.0.1", port=server.port, password_env="TEST_SECRET")
        with pytest.raises(SendError) as caught, handler.connect():
            pass
    assert str(caught.value).endswith("it is empty, or has characters that no login can send")
    assert "hunter2" not in repr(caught.value.__cause__)


# Files for TLS


def test_each_error_about_a_file_for_tls_is_exact(tmp_path: Path, ca: trustme.CA) -> None:
    good, other = tmp_path / "good.pem", tmp_path / "other.pem"
    key, junk, locked = tmp_path / "key.pem", tmp_path / "junk", tmp_path / "locked.pem"
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    certificate = ca.issue_cert("client.example.com")
    certificate.cert_chain_pems[0].write_to_path(good)
    ca.issue_cert("other.example.com").private_key_pem.write_to_path(other)
    certificate.private_key_pem.write_to_path(key)
    junk.write_text("junk")
    locked.write_text(LOCKED_KEY)
    pair = "and its key are no matching pair of unencrypted PEM files"
    for files, error in (
        ({"ca": junk}, f"ca_file: {str(junk)!r} holds no CA in PEM form"),
        ({"ca": tmp_path}, f"ca_file: can't read {str(tmp_path)!r}: Is a directory"),
        ({"ca": ""}, "ca_file: expected a path, got an empty string"),
        ({"cert": 7}, "cert_file: expected a path, got int"),
        ({"cert": good}, f"cert_file: {str(good)!r} {pair}"),
        ({"cert": junk, "key": key}, f"cert_file: {str(junk)!r} {pair}"),
        ({"cert": good, "key": other}, f"cert_file: {str(good)!r} {pair}"),
        ({"cert": good, "key": locked}, f"cert_file: {str(good)!r} {pair}"),
        ({"key": key}, "key_file: needs 'tls_cert_file' too, the certificate of this key"),
        (
            {"cert": good, "key": tmp_path / "no"},
            f"key_file: can't read {str(tmp_path / 'no')!r}: No such file or directory",
        ),
    ):
        given = {f"tls_{name}_file": path for name, path in files.items()}
        assert error_of(use_tls=True, **given) == f"email.tls_{error}"
    context = ssl.create_default_context()
    assert error_of(use_tls=True, tls_context=context, tls_ca_file=tmp_path / "ca.pem") == (
        "email.tls_ca_file: can't be used together with 'tls_context'; give one of them"
    )
    assert error_of(tls_ca_file=tmp_path / "ca.pem") == (
        "email.tls_ca_file: has no effect without use_tls or use_starttls"
    )


# An encrypted key: OpenSSL asks on the terminal for the password of such a one.
LOCKED_KEY = """-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAgkV6zYjR0mWgICCAAw
DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEGm2yCW2wm0Yc1eOq0b5wGkEgZDP
-----END ENCRYPTED PRIVATE KEY-----
"""


def test_a_ca_file_replaces_the_trust_in_the_operating_system(
    tmp_path: Path, ca: trustme.CA
) -> None:
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = SMTPEmailHandler.from_config(
        {"use_tls": True, "tls_ca_file": tmp_path / "ca.pem"}
    ).tls_context
    assert context is not None
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert len(context.get_ca_certs()) == 1


# Options as a whole


def test_the_constructor_and_the_configuration_know_the_same_options() -> None:
    parameters = inspect.signature(SMTPEmailHandler).parameters
    *named, rest = parameters.values()
    given = {one.name: one.default for one in named}
    handler = SMTPEmailHandler.from_config(given)
    assert {name: getattr(handler, name) for name in given} == defaults()
    assert {one.kind for one in named} == {inspect.Parameter.KEYWORD_ONLY}
    assert rest.kind is inspect.Parameter.VAR_KEYWORD


def defaults() -> dict[str, Any]:
    """Return the attributes of a handler without arguments."""
    *named, _ = inspect.signature(SMTPEmailHandler).parameters
    return {
        **dict.fromkeys(named),
        "host": "localhost",
        "port": 25,
        "use_tls": False,
        "use_starttls": False,
        "timeout": 30,
        "dangerous_plaintext_login": False,
    }


def test_the_defaults_are_those_of_smtplib_with_tls_that_verifies() -> None:
    plain, tls = SMTPEmailHandler(), SMTPEmailHandler(use_tls=True)
    assert {name: getattr(plain, name) for name in defaults()} == defaults()
    assert tls.tls_context is not None
    assert tls.tls_context.verify_mode is ssl.CERT_REQUIRED
    assert tls.tls_context.check_hostname


@pytest.mark.parametrize(
    ("config", "error"),
    [
        ([], "email: expected a mapping of options, got list"),
        ({"hots": "h"}, "email.hots: unknown option; did you mean 'host'?"),
        ({"passwrod": SECRET}, "email.passwrod: unknown option; did you mean 'password'?"),
        ({"tls_ca": "x"}, "email.tls_ca: unknown option; did you mean 'tls_ca_file'?"),
        ({"starttls": True}, "email.starttls: unknown option; did you mean 'use_starttls'?"),
        ({465: "x"}, None),
        (
            {"port": 65536},
            "email.port: expected a whole number from 1 to 65535, got 65536",
        ),
        ({"port": 25.0}, "email.port: expected a whole number from 1 to 65535, got float"),
        ({"use_tls": 1}, "email.use_tls: expected true or false, got int"),
        ({"timeout": 0}, "email.timeout: expected a number of seconds above 0, got 0"),
        ({"timeout": True}, "email.timeout: expected a number of seconds above 0, got bool"),
        (
            {"recipients_per_message": "50"},
            (
                "email.recipients_per_message: "
                "expected a whole number of at least 1, got str '50'; write it without quotes"
            ),
        ),
        ({"username": 7}, "email.username: expected text, got int; quote it"),
        (
            {"username": FROM, "password": 7},
            "email.password: expected text or a callable, got int; quote it",
        ),
        (
            {"username": FROM, "access_token": ""},
            "email.access_token: expected text or a callable, got an empty string",
        ),
        (
            {"username": FROM},
            "email.password: missing; a username needs one (or an access_token)",
        ),
        (
            {"access_token": SECRET},
            "email.username: missing; a password or an access_token needs one",
        ),
        ({"tls_context": True}, "email.tls_context: expected an ssl.SSLContext, got bool"),
        ({"host": "a b"}, "email.host: expected a name without blanks, got 'a b'"),
        (
            {"local_hostname": "a\r\nMAIL"},
            "email.local_hostname: expected a name without blanks, got 'a\\r\\nMAIL'",
        ),
        ({"default_from": 7}, "email.default_from: expected an address, got int"),
    ],
)
def test_each_error_about_an_option_is_exact(config: Any, error: str | None) -> None:
    with pytest.raises(ConfigError) as caught:
        SMTPEmailHandler.from_config(config)
    if error is None:
        assert str(caught.value).startswith("email.465: unknown option; ")
    else:
        assert str(caught.value) == error
    assert SECRET not in str(caught.value)


def test_dictconfig_resolves_what_the_options_point_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its nested mappings resolve `cfg://` and `ext://` only when they are asked by key."""
    configurator = logging.config.DictConfigurator(
        {"version": 1, "mail": {"user": FROM}, "email": {"username": "cfg://mail.user"}}
    )
    config = configurator.config["email"]
    config["password"] = "ext://os.sep"
    handler = SMTPEmailHandler.from_config(config)
    assert (handler.username, handler.password) == (FROM, "/")


def test_connections_are_kept_only_while_they_are_asked_for() -> None:
    with ScriptedSMTPServer() as server:
        handler = SMTPEmailHandler(host="127.0.0.1", port=server.port)
        with handler.connect() as same, same.connect():
            handler.send(mail())
            assert repr(handler).endswith(", 1 connections kept>")
        assert repr(handler).endswith(", 0 connections kept>")
        with contextlib.suppress(KeyError), handler.connect():
            raise KeyError
        assert repr(handler).endswith(", 0 connections kept>")
        handler.close()
        handler.send(mail())
    assert len(server.messages) == 2
