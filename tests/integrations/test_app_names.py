"""The application's name, found in the command line."""

from __future__ import annotations

import pytest

from tocsin.integrations.names import Start, app_name


def named(command: str, folder: str = "/srv/billing", *, known: str = "", **environ: str) -> str:
    argv = command.split(" ")
    return app_name(Start(argv, ["python", *argv], environ, folder, known.split()))


@pytest.mark.parametrize(
    ("command", "name"),
    [
        # Servers: the module that they load.
        ("/usr/bin/uvicorn shop.main:app --host 0.0.0.0 --port 8000", "shop"),
        ("/usr/bin/uvicorn --host localhost --port 8000 --reload shop.main:app", "shop"),
        ("/v/uvicorn/__main__.py src.shop.api.main:create_app --factory", "shop"),
        ("/usr/bin/uvicorn main:app", "billing"),
        ("/usr/bin/gunicorn -k uvicorn_worker.UvicornWorker -b 127.0.0.1:80 shop:app", "shop"),
        ("/usr/bin/gunicorn --worker-class pkg:Worker shop.wsgi:make_app(1)", "shop"),
        ("/usr/bin/gunicorn shop.wsgi -w 4 --bind=unix:/run/x.sock", "billing"),
        ("/usr/bin/gunicorn -w 4 shop.wsgi", "shop"),
        ("/usr/bin/gunicorn -c gunicorn.conf.py", "billing"),
        ("/usr/bin/hypercorn --bind 0.0.0.0:80 shop.asgi:app", "shop"),
        ("/usr/bin/daphne -b 0.0.0.0 -p 80 config.asgi:application", "billing"),
        ("/usr/bin/waitress-serve --listen=*:80 --call shop.web:create_app", "shop"),
        ("C:\\env\\Scripts\\uvicorn.exe shop.main:app", "shop"),
        # Task queues.
        ("/usr/bin/celery -A shop.celery worker -l INFO", "shop"),
        ("/usr/bin/celery -Ashop worker", "shop"),
        ("/usr/bin/celery --app=shop.tasks:app beat", "shop"),
        ("/v/celery/__main__.py --app shop worker", "shop"),
        ("/usr/bin/celery -A tasks worker", "billing"),
        ("/usr/bin/celery worker -A", "billing"),
        ("/usr/bin/dramatiq --processes 2 shop.tasks", "shop"),
        ("/usr/bin/dramatiq shop.tasks --processes 2", "shop"),
        ("/usr/bin/dramatiq", "billing"),
        ("/usr/bin/rq worker high default", "billing"),
        # Commands of frameworks.
        ("/usr/bin/flask --app shop:create_app run", "shop"),
        ("/usr/bin/flask -A src/shop.py run", "shop"),
        ("/usr/bin/flask run", "billing"),
        ("/usr/bin/fastapi run shop/main.py", "shop"),
        ("/usr/bin/fastapi dev", "billing"),
        ("manage.py runserver", "billing"),
        ("manage.py migrate --settings=shop.settings.production", "shop"),
        ("/usr/bin/django-admin check --settings shop.settings", "shop"),
        # Tests, notebooks, and programs that have no script.
        ("/usr/bin/pytest tests -x", "billing"),
        ("/v/ipykernel_launcher.py -f kernel-1.json", "billing"),
        ("-c", "python"),
        ("-", "python"),
        ("", "python"),
        # Scripts and packages.
        ("/srv/app/serve_shop.py --app x", "serve_shop"),
        ("nightly.py", "nightly"),
        ("/srv/shop/__main__.py", "shop"),
        ("/srv/shop/src/main.py", "shop"),
        ("/srv/shop/main.py", "shop"),
        ("main.py", "billing"),
        ("/app/main.py", "main"),
        ("/srv/app/__main__.py", "app"),
        ("/opt/shop.pyz", "shop"),
        ("C:\\shop\\shop.exe", "shop"),
    ],
)
def test_name(command: str, name: str) -> None:
    assert named(command) == name


def test_a_name_of_the_environment() -> None:
    uvicorn = "/usr/bin/uvicorn config.asgi:application"
    assert named(uvicorn, DJANGO_SETTINGS_MODULE="shop.settings.production") == "shop"
    assert named("manage.py test", DJANGO_SETTINGS_MODULE="shop.settings") == "shop"
    assert named("manage.py test", DJANGO_SETTINGS_MODULE="production") == "billing"
    assert named("/usr/bin/pytest", DJANGO_SETTINGS_MODULE="shop.settings") == "shop"
    assert named("/usr/bin/flask run", FLASK_APP="shop") == "shop"
    assert named("/usr/bin/celery worker", CELERY_APP="shop.celery") == "shop"


def test_a_name_that_a_framework_knows() -> None:
    assert named("/usr/bin/celery -A tasks worker", known="tasks shop") == "shop"
    assert named("/usr/bin/celery -A ledger worker", known="shop") == "ledger"
    assert named("nightly.py", known="shop") == "nightly"


@pytest.mark.parametrize("folder", ["/", "", "/app", "/usr/src/app"])
def test_a_folder_that_tells_nothing(folder: str) -> None:
    assert named("/usr/bin/uvicorn main:app", folder) == "main"
    assert named("/usr/bin/rq worker", folder) == "python"


def test_a_package_that_is_being_imported() -> None:
    assert app_name(Start(["-m"], ["python", "-m", "shop"], {}, "/srv")) == "shop"
    assert app_name(Start(["-m"], ["python", "-m", "uvicorn", "a:b"], {}, "/srv/x")) == "x"
    assert app_name(Start(["-m"], ["python", "-m", "shop.jobs.__main__"], {}, "/srv")) == "jobs"
    assert app_name(Start(["-m"], ["python"], {}, "/srv")) == "python"
    assert app_name(Start(["python -m unittest", "x"], [], {}, "/srv/shop")) == "shop"
    assert app_name(Start([], [], {}, "/srv")) == "python"
