"""Options that are shared by all parts: types, and secrets that are never said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from parts import parts_of

from tocsin import AlertHandler, ConfigError, Policy, SMTPEmailHandler
from tocsin.options import boolean, one_of, seconds, section, texts, whole

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SECRET = "correct-horse"


def message(call: Callable[[], object]) -> str:
    with pytest.raises(ConfigError) as caught:
        call()
    assert isinstance(caught.value, ValueError)
    return str(caught.value)


def test_a_boolean_is_true_or_false_and_no_number() -> None:
    assert boolean("k", value=True) is True
    assert message(lambda: boolean("k", 1)) == "k: expected true or false, got int"


def test_a_whole_number_is_within_its_bounds() -> None:
    assert whole("k", 5, low=5, high=5) == 5
    assert message(lambda: whole("k", 4, low=5)) == (
        "k: expected a whole number of at least 5, got 4"
    )
    assert message(lambda: whole("k", 6, low=1, high=5)) == (
        "k: expected a whole number from 1 to 5, got 6"
    )
    assert message(lambda: whole("k", value=True, low=0)).endswith("got bool")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.1])
def test_seconds_are_finite_and_not_negative(value: float) -> None:
    assert message(lambda: seconds("k", value)) == f"k: expected a number of seconds, got {value}"


def test_one_text_is_a_list_of_one() -> None:
    assert texts("k", "a") == ("a",)
    assert texts("k", ["a", "b"]) == ("a", "b")
    assert message(lambda: texts("k", {"a": 1})) == "k: expected text or a list of it, got dict"


def test_an_unknown_key_without_a_near_one_lists_what_is_known() -> None:
    assert message(lambda: section("k", {"zzz": 1}, ["host", "port"])) == (
        "k.zzz: unknown option; known are host, port"
    )


def test_only_one_of_several_may_be_given() -> None:
    assert one_of("k", {"a": None, "b": 1}, ["a", "b"]) == "b"
    assert one_of("k", {}, ["a", "b"]) is None


def password(**given: Any) -> Any:
    return SMTPEmailHandler.from_config({"username": "me", **given}).password


def test_a_secret_of_the_environment_is_read_at_each_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TOCSIN_TEST", SECRET)
    found = password(password_env="TOCSIN_TEST")
    monkeypatch.setenv("TOCSIN_TEST", "rotated")
    assert found() == "rotated"
    assert repr(found) == "<secret from the environment variable TOCSIN_TEST>"
    monkeypatch.setenv("TOCSIN_TEST", "")
    assert message(found) == "email.password_env: the environment variable 'TOCSIN_TEST' is empty"


def test_a_secret_of_a_file_loses_white_space_at_its_end(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b" correct-horse \r\n")
    found = password(password_file=str(path))
    assert found() == " correct-horse"
    assert repr(found) == f"<secret from the file {path}>"
    path.write_bytes(b"\n")
    assert message(found) == f"email.password_file: the file {str(path)!r} is empty"
    path.write_bytes(b"\xff")
    assert message(found).endswith("it is not UTF-8 text")


def test_a_relative_file_is_looked_for_among_the_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "smtp").write_text(SECRET, encoding="utf-8")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert password(password_file="smtp")() == SECRET


def test_no_secret_is_ever_shown() -> None:
    email = SMTPEmailHandler(username="a@x.example", password=SECRET)
    handler = AlertHandler(to="a@x.example", email=email)
    shown = [repr(email), repr(handler), repr(handler.stats), repr(parts_of(handler).sender)]
    shown.append(message(lambda: SMTPEmailHandler(password=SECRET)))
    shown.append(message(lambda: AlertHandler(to="a@x", email={"password": SECRET, "port": "x"})))
    assert not any(SECRET in text for text in shown)


def test_the_sender_is_the_email_handlers_by_default() -> None:
    login = {"username": "a@x.example", "password": SECRET}
    assert str(parts_of(AlertHandler(to="b@x", email=login)).sender.from_addr) == "a@x.example"
    other = {**login, "default_from": "Shop <c@x.example>"}
    assert (
        str(parts_of(AlertHandler(to="b@x", email=other)).sender.from_addr) == "Shop <c@x.example>"
    )


def test_keyword_arguments_may_be_objects() -> None:
    policy = Policy(group_wait=1)
    handler = AlertHandler(to="b@x", from_addr="a@x", policy=policy, name="alerts")
    assert parts_of(handler).sender.policy is policy
    email = parts_of(handler).email
    assert isinstance(email, SMTPEmailHandler)
    assert (email.host, email.port) == ("localhost", 25)
    assert handler.name == "alerts"
    handler.name = "renamed"
    assert handler.name == "renamed"
