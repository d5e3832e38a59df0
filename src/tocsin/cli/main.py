"""The entry of the command `tocsin`: finds the subcommand, and runs it."""

from __future__ import annotations

import argparse
import importlib
import sys
from typing import TYPE_CHECKING

import tocsin
from tocsin.cli.output import ExitCode, Output, UsageError
from tocsin.exceptions import TocsinError

if TYPE_CHECKING:
    from collections.abc import Sequence

# Each is a module of this package, with `HELP`, `DESCRIPTION`, `EXAMPLES`, the function
# `add_arguments(parser)`, and the function `run(args, output)`, which returns an exit code.
SUBCOMMANDS: tuple[str, ...] = (
    "check",
    "send",
    "preview",
    "replay",
    "status",
    "retry",
    "drop",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: the arguments, without the command's name; by default those of the process.

    Returns:
        The exit code.
    """
    args = _parser().parse_args(argv)
    output = Output(as_json=getattr(args, "json", False))
    try:
        return int(args.run(args, output))
    except TocsinError as error:
        sys.stderr.write(f"tocsin: {error}\n")
        return ExitCode.USAGE if isinstance(error, UsageError) else ExitCode.FAULT
    except BrokenPipeError:  # the reader has seen enough
        return ExitCode.GOOD
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "tocsin",
        description="Try a logging configuration, and see what it would mail.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"tocsin {tocsin.__version__}")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for name in SUBCOMMANDS:
        module = importlib.import_module(f"tocsin.cli.{name}")
        subparser = subparsers.add_parser(
            name,
            help=module.HELP,
            description=module.DESCRIPTION,
            epilog=module.EXAMPLES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(subparser)
        subparser.add_argument("--json", action="store_true", help="write JSON, for programs")
        subparser.set_defaults(run=module.run)
    return parser
