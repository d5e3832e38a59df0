"""A configuration of gunicorn that has the alert handler: so the main process has it too."""

import alerting

logconfig_dict = alerting.logging_config(level="DEBUG", context=20) | {
    "loggers": {
        "gunicorn.error": {"level": "INFO", "propagate": False},
        "gunicorn.access": {"level": "INFO", "propagate": False},
    }
}
