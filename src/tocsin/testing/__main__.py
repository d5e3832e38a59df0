"""The command `python -m tocsin.testing 8025`: an SMTP server that accepts every message.

It listens on 127.0.0.1, on a free port if none is given. It prints the port, and ends when its
standard input ends.
"""

from __future__ import annotations

import sys

from tocsin.testing import ScriptedSMTPServer


def main() -> None:
    """Run the command."""
    with ScriptedSMTPServer(port=int(sys.argv[1]) if len(sys.argv) > 1 else 0) as server:
        sys.stdout.write(f"{server.port}\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main()
