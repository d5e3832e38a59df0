"""Run a server that takes everything until standard input ends: `python -m tocsin.testing 8025`."""

from __future__ import annotations

import sys

from tocsin.testing import ScriptedSMTPServer


def main() -> None:
    """Print the port, and serve."""
    with ScriptedSMTPServer(port=int(sys.argv[1]) if len(sys.argv) > 1 else 0) as server:
        sys.stdout.write(f"{server.port}\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main()
