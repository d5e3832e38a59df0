"""A batch job: it logs errors, has one in a thread, and fails in the end if that is asked for."""

from __future__ import annotations

import logging.config
import os
import sys
import threading

import alerting


def book(number: int) -> None:
    raise LookupError("no account " + str(number))


def main() -> None:
    email = {"host": "127.0.0.1", "port": int(os.environ["SMTP_PORT"])}
    if "CREDENTIALS_DIRECTORY" in os.environ:
        email |= {"username": "alerts@example.com", "password_file": "smtp-password"}
    config = alerting.logging_config(uncaught=True, email=email, policy={"at_exit": True})
    logging.config.dictConfig(config)
    log = logging.getLogger("ledger")
    for number in range(3):
        log.error("booking %d failed", number)
    if "thread" in sys.argv:
        thread = threading.Thread(target=book, args=(8,), name="importer")
        thread.start()
        thread.join()
    if "fail" in sys.argv:
        book(9)


if __name__ == "__main__":
    main()
