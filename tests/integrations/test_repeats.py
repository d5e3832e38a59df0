"""An exception that the application has logged, and that its server logs again."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import logging
import pickle  # noqa: TID251 - users pickle exceptions
import sys
import types
from typing import TYPE_CHECKING, NoReturn

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tocsin
from tocsin.integrations.repeats import Repeats

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Iterator

ERROR = LookupError("no order")
log = logging.getLogger("shop")
server = logging.getLogger("uvicorn.error")


@pytest.fixture
def alerts(monkeypatch: pytest.MonkeyPatch) -> Iterator[tocsin.AlertHandler]:
    """Return a handler of warnings on the root logger. Uvicorn need not be loaded."""
    monkeypatch.setitem(sys.modules, "uvicorn", types.ModuleType("uvicorn"))
    monkeypatch.setitem(sys.modules, "gunicorn", types.ModuleType("gunicorn"))
    handler = tocsin.AlertHandler(
        to="a@example.com",
        email=tocsin.TestEmailHandler(default_from="alerts@example.com"),
        level=logging.WARNING,
    )
    logging.root.addHandler(handler)
    yield handler
    logging.root.removeHandler(handler)
    handler.close()


def serve(endpoint: Callable[[], object]) -> None:
    """Serve a request, as a server does: an exception is logged once."""
    try:
        endpoint()
    except Exception as error:  # noqa: BLE001 - as a server
        server.error("Exception in ASGI application", exc_info=error)


def logs_and_fails() -> NoReturn:
    try:
        raise LookupError
    except LookupError:
        log.exception("order failed")
        raise


def raises_by_name() -> None:
    try:
        int("x")
    except ValueError as error:
        log.exception("order failed")
        raise error  # noqa: TRY201 - as some applications do


def raises_in_a_helper() -> None:
    def give_up(error: Exception) -> NoReturn:
        log.error("order failed", exc_info=error)
        raise error

    try:
        int("x")
    except ValueError as error:
        give_up(error)


def raises_after_logging() -> None:
    error = LookupError("no order")
    log.error("order failed", exc_info=error)
    raise error


def raises_without_context() -> None:
    try:
        logs_and_fails()
    except LookupError as error:
        raise error from None


@contextlib.contextmanager
def logged() -> Generator[None]:
    try:
        yield
    except Exception:
        log.exception("order failed")
        raise


def fails_in_a_context() -> None:
    """`contextlib` takes its generator out of the traceback again. So do FastAPI's dependencies."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(logged())
        stack.enter_context(contextlib.suppress(KeyError))
        int("x")


def fails_in_an_asynchronous_context() -> None:
    @contextlib.asynccontextmanager
    async def context():  # type: ignore[no-untyped-def] # noqa: ANN202
        with logged():
            yield

    async def main() -> None:
        async with context():
            int("x")

    asyncio.run(main())


def fails_in_a_thread() -> None:
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        pool.submit(logs_and_fails).result()


def fails_in_a_task_group() -> None:
    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.to_thread(logs_and_fails))

    asyncio.run(main())


def fails_in_a_task_whose_result_is_looked_at() -> None:
    async def order() -> None:
        int("x")

    async def main() -> None:
        (error,) = await asyncio.gather(order(), return_exceptions=True)
        assert isinstance(error, ValueError)
        log.error("order failed", exc_info=error)
        raise error

    asyncio.run(main())


@pytest.mark.parametrize(
    "endpoint",
    [
        logs_and_fails,
        raises_by_name,
        raises_in_a_helper,
        raises_after_logging,
        raises_without_context,
        fails_in_a_context,
        fails_in_an_asynchronous_context,
        fails_in_a_thread,
        fails_in_a_task_group,
        fails_in_a_task_whose_result_is_looked_at,
    ],
)
def test_a_failure_that_both_log_counts_once(
    alerts: tocsin.AlertHandler, endpoint: Callable[[], object]
) -> None:
    serve(endpoint)
    assert alerts.stats.seen == 1
    serve(endpoint)
    assert alerts.stats.seen == 2


def logs_alone() -> None:
    try:
        raise ERROR
    except LookupError:
        log.exception("order failed")


def fails_alone() -> NoReturn:
    raise ERROR


def test_an_exception_that_is_raised_again_counts_again(alerts: tocsin.AlertHandler) -> None:
    """An application may log an exception and answer; the next request raises the same object."""
    for number, endpoint in enumerate([logs_alone, fails_alone, logs_alone, *[fails_alone] * 3], 1):
        serve(endpoint)
        assert alerts.stats.seen == number


def test_an_exception_of_a_future_that_two_requests_await(alerts: tocsin.AlertHandler) -> None:
    async def work() -> None:
        await asyncio.sleep(0)
        raise LookupError

    async def main() -> None:
        shared = asyncio.create_task(work())

        async def logs() -> None:
            try:
                await shared
            except LookupError:
                log.exception("order failed")

        async def fails() -> None:
            await shared

        async def both() -> None:
            try:
                await shared
            except LookupError:
                log.exception("order failed")
                raise

        async def serve(endpoint: Callable[[], Awaitable[None]]) -> int:
            try:
                await endpoint()
            except LookupError:
                server.exception("Exception in ASGI application")
            return alerts.stats.seen

        assert [await serve(one) for one in (logs, fails, both)] == [1, 2, 3]

    asyncio.run(main())


def test_a_warning_does_not_count_for_an_error(alerts: tocsin.AlertHandler) -> None:
    def warns_and_fails() -> None:
        try:
            int("x")
        except ValueError:
            log.warning("order failed", exc_info=True)
            raise

    serve(warns_and_fails)
    assert alerts.stats.seen == 2


def test_a_warning_after_an_error(alerts: tocsin.AlertHandler) -> None:
    def warns_as_well() -> None:
        try:
            logs_and_fails()
        except LookupError:
            log.warning("order failed", exc_info=True)
            raise

    serve(warns_as_well)
    assert alerts.stats.seen == 2


def test_two_servers_and_the_application(alerts: tocsin.AlertHandler) -> None:
    try:
        logs_and_fails()
    except LookupError:
        server.exception("Exception in ASGI application")
        logging.getLogger("gunicorn.error").exception("Error handling request")
    assert alerts.stats.seen == 1


def test_a_structured_message_with_its_exception(alerts: tocsin.AlertHandler) -> None:
    """So structlog logs through `ProcessorFormatter`."""

    def logs_and_fails() -> None:
        try:
            int("x")
        except ValueError:
            log.error({"event": "order failed", "exc_info": True})  # noqa: TRY400 - as structlog
            raise

    serve(logs_and_fails)
    assert alerts.stats.seen == 1


def test_a_record_that_a_filter_drops_does_not_count(alerts: tocsin.AlertHandler) -> None:
    alerts.addFilter(lambda record: record.name != "shop")
    serve(logs_and_fails)
    assert alerts.stats.seen == 1


def boom(error: Exception) -> NoReturn:
    raise error


def fails(error: Exception, layers: list[int], *, answers: bool) -> None:
    """Fail through layers of the application, of which each logs at a level, and raises again."""
    try:
        fails(error, layers[1:], answers=False) if layers else boom(error)
    except LookupError:
        if layers:
            log.log(layers[0], "order failed", exc_info=True)
        if not answers:
            raise


@given(
    st.lists(
        st.tuples(
            st.sampled_from([None, LookupError("a"), LookupError("b")]),
            st.lists(st.sampled_from([logging.INFO, logging.WARNING, logging.ERROR]), max_size=3),
            st.booleans(),
        ),
        max_size=6,
    )
)
@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_each_failure_counts(
    alerts: tocsin.AlertHandler, requests: list[tuple[Exception | None, list[int], bool]]
) -> None:
    """The exceptions may be new, or constants that are raised again and again."""
    for error, layers, answers in requests:
        answers = answers and len(layers) == 1  # noqa: PLW2901 - an application that logs answers
        before = alerts.stats.seen
        serve(lambda: fails(error or LookupError(), layers, answers=answers))  # noqa: B023
        by_server = not answers and logging.ERROR not in layers
        own = sum(level >= logging.WARNING for level in layers)
        assert alerts.stats.seen - before == own + by_server


def record(logger: str, message: str, created: float = 1e9) -> logging.LogRecord:
    found = logging.LogRecord(logger, logging.ERROR, "shop.py", 1, message, (), None)
    found.created = created
    return found


def by_server(created: float = 1e9) -> logging.LogRecord:
    return record("uvicorn.error", "Exception in ASGI application\n", created)


def by_shop(created: float = 1e9) -> logging.LogRecord:
    return record("shop", "order failed", created)


def test_known_once_it_was_noted() -> None:
    repeats, error = Repeats(), ValueError("boom")
    repeats.note(by_shop(), error)
    assert repeats.is_repeat(by_server(), error)


def test_the_same_call_logs_another_occurrence() -> None:
    repeats, error = Repeats(), ValueError("boom")
    assert not repeats.is_repeat(by_server(), error)
    assert not repeats.is_repeat(by_server(), error)


def test_an_application_may_log_through_its_servers_logger() -> None:
    repeats, error = Repeats(), ValueError("boom")
    assert not repeats.is_repeat(record("uvicorn.error", "order failed"), error)
    assert repeats.is_repeat(by_server(), error)


def test_each_handler_counts_for_itself() -> None:
    one, other, error = Repeats(), Repeats(), ValueError("boom")
    one.note(by_shop(), error)
    assert not other.is_repeat(by_server(), error)


def test_a_group_is_known_if_all_its_members_are() -> None:
    repeats, first, second = Repeats(), ValueError("a"), KeyError("b")
    group = ExceptionGroup("both", [first, ExceptionGroup("inner", [second])])
    repeats.note(by_shop(), first)
    assert not repeats.is_repeat(by_server(), group)
    repeats.note(by_shop(), group)
    assert repeats.is_repeat(by_server(), second)
    repeats.note(by_shop(), second)
    assert repeats.is_repeat(by_server(), group)


class FrozenError(Exception):
    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(name)

    @property
    def __dict__(self) -> object:  # type: ignore[override]
        raise RuntimeError


def test_an_exception_whose_class_forbids_attributes() -> None:
    repeats, error = Repeats(), FrozenError()
    repeats.note(by_shop(), error)
    assert repeats.is_repeat(by_server(), error)


def test_another_process_has_not_counted_it() -> None:
    repeats, error = Repeats(), ValueError("boom")
    repeats.note(by_shop(), error)
    there = pickle.loads(pickle.dumps(error))
    assert vars(there) == dict.fromkeys(vars(error))
    assert not repeats.is_repeat(by_server(), there)
    assert repr(there) == "ValueError('boom')"


def test_a_mark_is_valid_for_a_minute() -> None:
    repeats, error = Repeats(), ValueError("boom")
    repeats.note(by_shop(), error)
    assert not repeats.is_repeat(by_server(1e9 + 61), error)
    repeats.note(by_shop(), error)
    assert not repeats.is_repeat(by_server(1e9 - 1), error)  # the clock was set back
