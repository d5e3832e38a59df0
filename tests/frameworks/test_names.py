"""The application's name under real servers and commands: never the server's."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from programs import free_port, running, serving, wait_for

if TYPE_CHECKING:
    from tocsin.testing import ScriptedSMTPServer

MODULES = {
    "ledger/__init__.py": "",
    "ledger/main.py": "from naming import asgi as app, note; note()",
    "ledger/wsgi.py": "from naming import note, wsgi as application; note()",
    "ledger/tasks.py": "import celery; from naming import note; app = celery.Celery(); note()",
    "ledger/web.py": "import flask; from naming import note; app = flask.Flask('x'); note()",
    "ledger/settings.py": (
        "from naming import note; note()\nSECRET_KEY = 'x'\nLOGGING_CONFIG = None"
    ),
    "ledger/__main__.py": "from naming import note; note()",
    "manage.py": (
        "import os, sys\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'ledger.settings')\n"
        "from django.core.management import execute_from_command_line as run\nrun(sys.argv)"
    ),
    "test_ledger.py": "def test(): import naming; naming.note()",
    "main.py": "from naming import asgi as app, note; note()",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a folder "billing" with the modules of an application "ledger"."""
    folder = tmp_path / "billing"
    for name, text in MODULES.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(text, encoding="utf-8")
    return folder


def names(folder: Path) -> list[str]:
    file = folder / "names.txt"
    return file.read_text(encoding="utf-8").split() if file.exists() else []


@pytest.mark.parametrize(
    ("command", "processes"),
    [
        ("uvicorn ledger.main:app --port {port}", 1),
        ("uvicorn --port {port} --workers 2 ledger.main:app", 2),
        ("uvicorn --port {port} --reload ledger.main:app", 1),
        ("gunicorn -b 127.0.0.1:{port} -w 2 ledger.wsgi", 2),
        ("gunicorn -b 127.0.0.1:{port} -k uvicorn_worker.UvicornWorker ledger.main:app", 1),
        ("hypercorn -b 127.0.0.1:{port} ledger.main:app", 1),
        ("daphne -p {port} ledger.main:app", 1),
        ("waitress-serve --listen=127.0.0.1:{port} ledger.wsgi:application", 1),
    ],
)
def test_under_a_server(
    command: str, processes: int, project: Path, server: ScriptedSMTPServer
) -> None:
    port = free_port()
    path = os.pathsep.join([str(project), str(Path(__file__).parent / "apps"), *path_here()])
    with serving(command.format(port=port).split(), port, project, server, PYTHONPATH=path):
        wait_for(lambda: len(names(project)) >= processes, "a name")
    assert set(names(project)) == {"ledger"}


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("celery -A ledger.tasks report", "ledger"),
        ("flask --app ledger.web routes", "ledger"),
        ("python manage.py check", "ledger"),
        ("django-admin check --settings ledger.settings", "ledger"),
        ("python -m ledger", "ledger"),
        ("python main.py", "billing"),
        ("python -c import\tnaming;naming.note()", "python"),
        ("pytest -q -p no:cacheprovider", "billing"),
    ],
)
def test_under_a_command(
    command: str, name: str, project: Path, server: ScriptedSMTPServer
) -> None:
    path = os.pathsep.join([str(project), str(Path(__file__).parent / "apps"), *path_here()])
    with running(command.split(" "), project, server, PYTHONPATH=path) as program:
        program.process.wait(60)
    assert set(names(project)) == {name}, program.output


def path_here() -> list[str]:
    return list(filter(None, [os.environ.get("PYTHONPATH")]))
