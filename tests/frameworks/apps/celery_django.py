"""A task of a Django project, whose settings set up logging."""

from __future__ import annotations

import logging
import os

import alerting
import django
from celery import Celery
from django.conf import settings

settings.configure(
    USE_TZ=True, LOGGING=alerting.logging_config(level="DEBUG", context=20), DEBUG=False
)
django.setup()
log = logging.getLogger("shop")
app = Celery("shop", broker=os.environ["BROKER"])
app.conf.task_default_queue = "orders"
app.conf.task_ignore_result = True


@app.task
def fails(number: int) -> None:
    log.info("order %d begins", number)
    raise LookupError(f"no order {number}")
