"""Forks at bad moments: nothing is sent twice, nobody hangs, and the child can alert."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from lives import FILE, MEMORY, STORES, Stage

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with Stage.open(tmp_path_factory) as one:
        yield one


QUIET = ("-W", "ignore::DeprecationWarning")  # since 3.12 a fork with threads is warned about

IN_A_SEND = """
import tocsin.pipeline.sending

log.critical("mark-parent")
until(lambda: tocsin.pipeline.sending._sending)
if os.fork() == 0:
    # The first thread of the child has the number of the parent's worker.
    thread = threading.Thread(target=lambda: log.error("mark-child"))
    thread.start()
    thread.join()
    assert alerts().stats.seen == 1
    sys.exit()
assert os.waitstatus_to_exitcode(os.wait()[1]) == 0
"""
IN_THE_INTAKE = """
log.error("mark-parent")
if os.fork() == 0:
    assert alerts().stats.seen == 0
    log.error("mark-child")
    sys.exit()
os.wait()
"""
WHILE_A_MAIL_IS_MADE = """
import tocsin.render.page

started, forked = threading.Event(), threading.Event()
make = tocsin.render.page.render

def slowly(*args):
    started.set()
    assert forked.wait(20)  # no fork waits for it
    return make(*args)

tocsin.render.page.render = slowly
log.critical("mark-parent")
assert started.wait(20)
before = time.monotonic()
child = os.fork()
assert time.monotonic() - before < 0.5
if child == 0:
    tocsin.render.page.render = make
    log.error("mark-child")
    sys.exit()
forked.set()
os.wait()
"""
MOMENTS = {
    "in a send": IN_A_SEND,
    "with records in the intake": IN_THE_INTAKE,
    "while a mail is made": WHILE_A_MAIL_IS_MADE,
}


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_fork_sends_nothing_twice_and_loses_nothing(
    moment: str, store: str, stage: Stage
) -> None:
    result = stage.run(f"{moment} {store}", MOMENTS[moment], store, flags=QUIET)
    assert result.code == 0, result.error
    assert sorted(result.mailed) == ["child", "parent"], result.error
    assert result.next == ()
    assert result.seconds < 10


def test_a_child_has_templates_of_its_own_where_a_fork_came_while_one_was_rendered(
    stage: Stage,
) -> None:
    """The cache of templates has a lock, which is taken here for ever in the child."""
    result = stage.run(
        "cache",
        """
        from tocsin.render import templating

        templating.prepare()
        cache = templating._environment().cache
        make, held, forked = templating._environment, threading.Event(), threading.Event()

        def hold():
            from tocsin.pipeline.messages import _rendering
            with _rendering, cache._wlock:
                held.set()
                assert forked.wait(20)

        thread = threading.Thread(target=hold)
        thread.start()
        assert held.wait(20)
        if os.fork() == 0:
            log.error("mark-child")
            sys.exit()
        forked.set()
        os.wait()
        thread.join()
        """,
        flags=QUIET,
    )
    assert result.code == 0, result.error
    assert result.mailed == ("child",)


@pytest.mark.parametrize("collects", ["gc.collect()", "pass"])
def test_forks_finalizers_that_log_and_a_store_in_a_file_do_not_wait_for_each_other(
    collects: str, stage: Stage
) -> None:
    """A finalizer that runs while the worker uses the file needs the lock of logging."""
    result = stage.run(
        f"finalizers {collects}",
        f"""
        import faulthandler

        faulthandler.dump_traceback_later(100, exit=True)
        over = threading.Event()

        class Cyclic:
            def __init__(self):
                self.me, self.more = self, [[] for _ in range(50)]
            def __del__(self):
                logging.getLogger(f"shop.{{id(self)}}").error("mark-dropped")

        def work():
            while not over.is_set():
                Cyclic()
                log.error("mark-%s", "working")
                {collects}

        def fork():
            for _ in range(10):
                child = os.fork()
                if child == 0:
                    os._exit(len(logging.getLogger("of a child").handlers))
                assert os.waitpid(child, 0)[1] == 0
            over.set()

        threads = [threading.Thread(target=target) for target in (work, fork, work)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print("over", flush=True)
        os._exit(0)
        """,
        FILE,
        flags=QUIET,
        again=False,
    )
    assert (result.code, result.out) == (0, "over\n"), result.error


def test_a_child_that_was_forked_in_the_middle_of_a_use_of_the_file_goes_on_alone(
    stage: Stage,
) -> None:
    """A fork waits a second for it. The child has locks that a thread of its parent has taken.

    It mails what it logs from memory, and says so.
    """
    result = stage.run(
        "cut",
        """
        early()
        held, forked = threading.Event(), threading.Event()

        def use():
            with alerts()._engine.worker.round.journal.store.usual.file.transaction():
                held.set()
                forked.wait(20)

        thread = threading.Thread(target=use)
        thread.start()
        assert held.wait(20)
        started = time.monotonic()
        child = os.fork()
        if child == 0:
            log.critical("mark-child")
            sys.exit()
        print(time.monotonic() - started)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        forked.set()
        thread.join()
        log.error("mark-parent")
        """,
        FILE,
        flags=QUIET,
    )
    assert result.code == 0, result.error
    assert sorted(result.mailed) == ["child", "early", "parent"]
    assert 0.9 < float(result.out) < 1.5
    assert "it was forked while another thread wrote to the file" in result.error


def test_a_child_of_a_thread_ends_with_it_and_not_when_the_worker_has_been_idle(
    stage: Stage,
) -> None:
    """Its process ends with its last thread, whichever that is: the worker must not be the one."""
    result = stage.run(
        "thread",
        """
        def fork():
            started = time.monotonic()
            if os.fork() == 0:
                log.error("mark-child")
                threading.Thread(target=lambda: (wait.wait(0.5), log.error("mark-late"))).start()
            else:
                os.wait()
                print(time.monotonic() - started)

        wait = threading.Event()
        thread = threading.Thread(target=fork)
        thread.start()
        thread.join()
        """,
        flags=QUIET,
    )
    assert sorted(result.mailed) == ["child", "late"]
    assert float(result.out) < 5


@pytest.mark.parametrize("store", STORES)
def test_a_fork_past_python_is_noticed_although_there_was_a_thread(
    store: str, stage: Stage
) -> None:
    """No hook runs, and Python takes the parent's threads for the child's; so it is in uWSGI."""
    result = stage.run(
        f"past {store}",
        """
        import ctypes

        log.critical("mark-parent")
        until(lambda: alerts().stats.mails_sent and alerts()._engine.worker.settled)
        if ctypes.PyDLL(None).fork() == 0:
            log.error("mark-child")
            sys.exit()
        os.wait()
        """,
        store,
    )
    assert result.code == 0, result.error
    assert sorted(result.mailed) == ["child", "parent"], result.error
    assert result.seconds < 5


def test_a_parent_that_only_configures_has_no_thread_and_no_warning_at_its_forks(
    stage: Stage,
) -> None:
    """Pre-forking servers do so; nothing is pending, in memory and in a file.

    The thread that looks at the loggers after a configuration ends before a fork goes on.
    """
    program = """
    children = []
    for _ in range(2):
        child = os.fork()
        if child == 0:
            log.error("mark-child")
            sys.exit()
        children.append(child)
    for child in children:
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert threading.active_count() == 1
    """
    with ThreadPoolExecutor() as threads:
        results = list(
            threads.map(
                lambda store: stage.run(f"prefork{store}", program, store, flags=("-W", "error")),
                STORES,
            )
        )
    for result in results:
        assert (result.code, result.error) == (0, "")
        assert set(result.mailed) == {"child"}


def test_twenty_children_and_their_parent_count_every_error_once(stage: Stage) -> None:
    result = stage.run(
        "twenty",
        """
        log.error("mark-parent")
        for _ in range(20):
            if os.fork() == 0:
                log.error("mark-child")
                sys.exit()
        for _ in range(20):
            os.wait()
        assert alerts().send_now()
        print(alerts().stats.store)
        """,
        FILE,
        flags=QUIET,
    )
    assert "received=21, mailed=21, pending=0, undelivered=0" in result.out


def test_a_leader_that_is_killed_in_a_send_leaves_it_to_the_next_one_in_time(stage: Stage) -> None:
    """Nobody knows whether it has arrived: it is claimed for as long as it may be on its way."""
    result = stage.run(
        "claimed",
        """
        import tocsin

        def die(*args, **kwargs):
            os.kill(os.getpid(), signal.SIGKILL)

        alerts()._engine.parts.email.send = die
        log.critical("mark-one")
        signal.pause()
        """,
        FILE,
    )
    assert result.code == -9
    assert (result.mailed, result.next) == ((), ())
    again = stage.run(
        "claimed",
        """
        until(lambda: threading.active_count() == 2)  # as something is pending
        until(lambda: alerts().stats.next_mail_at)
        print(alerts().stats.next_mail_at - time.time())
        """,
        FILE,
        again=False,
    )
    assert 300 < float(again.out) <= 360


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_child_that_has_begun_to_send_what_others_left_is_waited_for(
    method: str, stage: Stage
) -> None:
    """It configures logging before it becomes a child of `multiprocessing`, which forgets hooks."""
    result = stage.run(
        f"heir of {method}",
        f"""
        import multiprocessing.util, tocsin.pipeline.exits

        def target():
            finalizers = multiprocessing.util._finalizer_registry.values()
            print(any(one._callback is tocsin.pipeline.exits.finish for one in finalizers))

        if __name__ == "__main__":
            early()
            child = multiprocessing.get_context({method!r}).Process(target=target)
            child.start()
            child.join()
        """,
        FILE,
    )
    assert result.out.strip() == "True"
    assert result.mailed == ("early",)


@pytest.mark.parametrize("uncaught", [True, False])
def test_what_a_child_of_multiprocessing_raises_is_told_by_multiprocessing_alone(
    uncaught: bool, stage: Stage
) -> None:
    """It never reaches `sys.excepthook`; the documentation says so."""
    result = stage.run(
        f"raises{uncaught}",
        """
        import multiprocessing

        def fail():
            raise RuntimeError("mark-child")

        child = multiprocessing.get_context("fork").Process(target=fail)
        child.start()
        child.join()
        """,
        MEMORY,
        options={"uncaught": uncaught},
    )
    assert result.mailed == ()
    assert "mark-child" in result.error


def test_a_thread_may_fork_while_another_one_configures_logging(stage: Stage) -> None:
    """Both need the lock of the logging module, and that of the file."""
    result = stage.run(
        "configures",
        """
        import faulthandler

        faulthandler.dump_traceback_later(15, exit=True)

        def fork():
            while not over.is_set():
                if os.fork() == 0:
                    log.error("mark-child")
                    os._exit(len(logging.getLogger("of a child").handlers))
                assert os.wait()[1] == 0

        over = threading.Event()
        thread = threading.Thread(target=fork)
        thread.start()
        for _ in range(100):
            logging.config.dictConfig(CONFIG)
        over.set()
        thread.join()
        """,
        FILE,
        flags=QUIET,
    )
    assert result.code == 0, result.error


def test_a_fork_past_python_is_noticed_although_the_same_error_is_counted_already(
    stage: Stage,
) -> None:
    """A repeated error wakes nobody, as its worker is at work: the parent's."""
    result = stage.run(
        "same",
        """
        import ctypes

        log.error("mark-first")
        alerts().flush()
        fail = lambda: log.error("mark-same")
        fail()
        threading.Event().wait(0.2)  # the worker waits for the second to be over, and holds nothing
        if ctypes.PyDLL(None).fork() == 0:
            fail()
            sys.exit(alerts().stats.seen - 1)
        assert os.wait()[1] == 0
        """,
    )
    assert result.code == 0, result.error
    assert sorted(result.mailed) == ["first", "same", "same"]
    assert stage.counted("same") == 3
    assert result.error == ""


@pytest.mark.skipif(sys.version_info[:2] == (3, 12), reason="it forks no more at that point")
def test_a_child_that_is_forked_after_the_end_was_seen_to_sends_its_own(stage: Stage) -> None:
    result = stage.run(
        "late fork",
        """
        def fork():
            if os.fork() == 0:
                log.error("mark-child")
            else:
                os.wait()
        """,
        before="import atexit; atexit.register(lambda: fork())",
        flags=QUIET,
    )
    assert result.mailed == ("child",)


def test_a_handler_built_in_a_child_that_python_was_not_told_of_keeps_its_events(
    stage: Stage,
) -> None:
    """The earlier handlers begin anew at their first record; this one has begun there."""
    result = stage.run(
        "built past",
        """
        import ctypes
        from tocsin import AlertHandler

        if ctypes.PyDLL(None).fork() == 0:
            options = {"to": "a@x.example", "from_addr": "b@x.example"}
            later = AlertHandler(email={"handler": "test"}, **options)
            for _ in range(3):
                later.handle(logging.LogRecord("app", 40, "main.py", 7, "boom", (), None))
            log.error("mark-child")
            assert later.stats.seen == 3
            assert later.send_now()
            assert later.stats.mails_sent == 1
            sys.exit()
        assert os.wait()[1] == 0
        """,
    )
    assert result.code == 0, result.error
    assert sorted(result.mailed) == ["child"]


def test_a_store_that_exits_in_the_child_keeps_no_other_handler_from_beginning(
    stage: Stage,
) -> None:
    """A store of one's own may do anything; what the parent has counted must not be sent twice."""
    result = stage.run(
        "exits",
        """
        from tocsin import AlertHandler
        from tocsin.stores.memory import MemoryStore

        parent = os.getpid()

        def store(scope):
            if os.getpid() != parent:
                raise SystemExit(7)
            return MemoryStore()

        options = {"to": "a@x.example", "from_addr": "b@x.example", "email": {"handler": "test"}}
        first = AlertHandler(store=store, **options)
        second = AlertHandler(**options)
        second.handle(logging.LogRecord("app", 40, "main.py", 7, "boom", (), None))
        if os.fork() == 0:
            assert second.stats.seen == 0
            sys.exit()
        assert os.wait()[1] == 0
        """,
    )
    assert result.code == 0, result.error


def test_handlers_that_threads_build_at_once_all_begin_anew_in_a_child(stage: Stage) -> None:
    """Each is one of those that are called in a child, whatever other threads build meanwhile."""
    result = stage.run(
        "at once",
        """
        from tocsin import forks

        class Member:
            def begin(self):
                begun.append(self)

        def build():
            for _ in range(5000):
                member = Member()
                members.append(member)
                forks.on_fork(member.begin)
                forks.on_fork(Member().begin)  # it is gone at once

        begun, members = [], []
        sys.setswitchinterval(1e-6)
        threads = [threading.Thread(target=build) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if os.fork() == 0:
            os._exit({*map(id, begun)} != {*map(id, members)} or len(begun) != len(members))
        assert os.wait()[1] == 0
        """,
    )
    assert result.code == 0, result.error
