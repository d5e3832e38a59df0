"""Run by `make wheel` in an environment that has nothing but the built wheel."""

import logging.config
from importlib import metadata, resources

import tocsin
from tocsin.render.templating import NAMES

for name in tocsin.__all__:
    getattr(tocsin, name)
files = {str(file) for file in metadata.files("tocsin") or ()}
assert "tocsin/py.typed" in files, files
templates = resources.files("tocsin.render").joinpath("templates")
for name in NAMES:
    assert templates.joinpath(name).is_file(), name

logging.config.dictConfig(
    {
        "version": 1,
        "handlers": {
            "alerts": {
                "class": "tocsin.AlertHandler",
                "to": "oncall@example.com",
                "from_addr": "alerts@example.com",
                "email": {"handler": "test"},
            }
        },
        "root": {"handlers": ["alerts"]},
    }
)
handler = logging.getLogger().handlers[0]
assert isinstance(handler, tocsin.AlertHandler)
logging.getLogger().error("It works")
handler.flush()
assert handler.stats.mails_sent == 1, handler.stats
print(f"tocsin {metadata.version('tocsin')}: the wheel works")
