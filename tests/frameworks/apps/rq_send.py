"""Enqueue jobs for RQ: their names and arguments, as JSON, are the arguments."""

from __future__ import annotations

import json
import os
import sys

from redis import Redis
from rq import Queue, Retry

queue = Queue("orders", connection=Redis.from_url(os.environ["BROKER"]))
for name, *arguments in map(json.loads, sys.argv[1:]):
    options = arguments.pop() if arguments and isinstance(arguments[-1], dict) else {}
    retry = Retry(max=2) if name == "retried" else None
    queue.enqueue(f"rq_jobs.{name}", args=arguments, kwargs=options, retry=retry)
