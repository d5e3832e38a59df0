"""Send tasks to a worker: their names and arguments, as JSON, are the arguments."""

from __future__ import annotations

import json
import os
import sys

from celery import Celery

app = Celery(broker=os.environ["BROKER"])
app.conf.task_default_queue = "orders"
for name, *arguments in map(json.loads, sys.argv[1:]):
    options = arguments.pop() if arguments and isinstance(arguments[-1], dict) else {}
    app.send_task(name, tuple(arguments), options)
