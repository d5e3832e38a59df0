"""The command `python -m tocsin.testing 8025`: an SMTP server that accepts every message.

It listens on 127.0.0.1, on a free port if none is given. It prints the port, and ends when its
standard input ends.
"""

from __future__ import annotations

import argparse
import sys

from tocsin.testing import ScriptedSMTPServer


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser("python -m tocsin.testing", description=__doc__)
    parser.add_argument("port", type=int, nargs="?", default=0, help="by default a free one")
    with ScriptedSMTPServer(port=parser.parse_args().port) as server:
        sys.stdout.write(f"{server.port}\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main()
