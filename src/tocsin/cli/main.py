"""The entry of the command `tocsin`: finds the subcommand, and runs it.

A subcommand's module is imported only if it runs, or its help is asked for.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import sys
from typing import TYPE_CHECKING, Any, Never

from tocsin.cli.output import ExitCode, Output, UsageError
from tocsin.exceptions import TocsinError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

# Name → one line of help. Each is a module of this package, with `DESCRIPTION`, `EXAMPLES`, and the
# functions `add_arguments(parser)` and `run(args, output)`, which returns an exit code.
SUBCOMMANDS: Mapping[str, str] = {
    "check": "try a configuration, up to the mail server, and send nothing",
    "send": "send a test alert, and show its receipt",
    "preview": "mails of telling cases, as they would look",
    "replay": "the mails that a log would have caused",
    "status": "what waits in a store, and what comes next",
    "retry": "try again now to send what waits for a later attempt",
    "drop": "give up unmailed alerts",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: the arguments, without the command's name; by default those of the process.

    Returns:
        The exit code.
    """
    given = sys.argv[1:] if argv is None else list(argv)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # the process was started without it
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
    output = Output(as_json="--json" in given)
    try:
        code = _run(given, output)
    finally:
        problem = output.end()
    if problem:
        output.complain(f"can't write the output: {problem}")
        return ExitCode.FAULT
    return code


def _run(argv: Sequence[str], output: Output) -> int:
    """Run the subcommand that the arguments name; return the exit code."""
    try:
        try:
            args = _parser(argv).parse_args(argv)
        except SystemExit as done:  # `--help` and `--version`
            return int(done.code or 0)
        # A module of the user's may print; with `--json`, standard output has the document alone.
        aside = contextlib.redirect_stdout(sys.stderr)
        with aside if output.as_json else contextlib.nullcontext():
            return _quietly(args.run, args, output)
    except TocsinError as error:
        code = ExitCode.USAGE if isinstance(error, UsageError) else ExitCode.FAULT
        return output.fail(str(error), code)
    except KeyboardInterrupt:
        return output.fail("interrupted", ExitCode.INTERRUPTED)
    except SystemExit as error:  # its code would look like one of ours
        problem = f"code that the configuration names has called sys.exit({error.code!r})"
        return output.fail(problem, ExitCode.FAULT)
    except BaseException:
        output.fail("an error in tocsin itself; standard error has its traceback", ExitCode.FAULT)
        raise


def _quietly(run: Callable[[Any, Output], int], args: Any, output: Output) -> int:
    """Run a subcommand; alert handlers that modules of the user's build meanwhile do nothing.

    A module may set logging up when it is imported. A handler of its would open the store, and
    send what waits there.
    """
    from tocsin.switches import turned_off  # noqa: PLC0415 - help and version do without

    with turned_off():
        return int(run(args, output))


def _write(text: str) -> None:
    output = Output()
    output.line(text)
    if problem := output.end():
        raise TocsinError(f"can't write the output: {problem}")


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are told as those of the subcommands are."""

    def print_help(self, file: Any = None) -> None:
        """Print the help. The one of `argparse` ignores a failure to write."""
        if file is None:
            _write(self.format_help().rstrip())
        else:
            super().print_help(file)

    def error(self, message: str) -> Never:
        self.print_usage(sys.stderr)
        raise UsageError(message)


class _Version(argparse.Action):
    """Print the version."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> Never:
        import tocsin  # noqa: PLC0415 - the metadata of packages take long to read

        _write(f"tocsin {tocsin.__version__}")
        parser.exit()


def _parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    parser = _Parser(
        "tocsin",
        description="Try a logging configuration, and see what it would mail.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    wanted = next((one for one in argv if not one.startswith("-")), None)
    for name, text in SUBCOMMANDS.items():
        subparser = subparsers.add_parser(
            name,
            help=text,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        if name == wanted:
            _complete(subparser, importlib.import_module(f"tocsin.cli.{name}"))
    return parser


def _complete(parser: argparse.ArgumentParser, module: Any) -> None:
    """Add to a subcommand's parser what its module says."""
    parser.description, parser.epilog = module.DESCRIPTION, module.EXAMPLES
    module.add_arguments(parser)
    parser.add_argument("--json", action="store_true", help="write JSON, for programs")
    parser.set_defaults(run=module.run)
