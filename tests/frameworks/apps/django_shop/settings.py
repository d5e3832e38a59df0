"""The settings of a shop on Django."""

import os

import alerting

DEBUG = os.environ.get("DEBUG") == "1"
SECRET_KEY = "not a real one"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "django_shop.urls"
WSGI_APPLICATION = "django_shop.servers.wsgi"
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "django_shop",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_shop.middleware.Fussy",
]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
USE_TZ = True
ADMINS = [("Ada", "ada@example.com"), ("Bo", "bo@example.com")]
SERVER_EMAIL = "Shop <django@example.com>"
EMAIL_HOST = "127.0.0.1"
EMAIL_PORT = int(os.environ["SMTP_PORT"])
LOGGING = alerting.logging_config(
    level="DEBUG",
    context=20,
    uncaught=True,
    enabled=not DEBUG,
    personal_data=os.environ.get("PERSONAL") == "1",
)
if "BESIDE" not in os.environ:
    LOGGING["loggers"] = {"django": {"level": "INFO"}}  # without Django's `mail_admins`
if "CUT_OFF" in os.environ:
    LOGGING["loggers"]["django"]["propagate"] = False
if "DISABLE" in os.environ:
    LOGGING["disable_existing_loggers"] = True
if "BACKEND" in os.environ:
    alerts = LOGGING["handlers"]["alerts"]
    del alerts["to"], alerts["from_addr"]
    alerts["email"] = {"handler": "django"}
