"""Settings of a monolith in small. Environment variables choose the database
(TEST_DATABASE: memory, file, postgresql) and what it does to be difficult."""

import os
import sys

BASE = os.environ.get("TEST_FOLDER", os.getcwd())
SECRET_KEY = "not secret"
DEBUG = True
TESTING = "test" in sys.argv
RUN_ID = os.urandom(8).hex() if os.environ.get("TEST_RANDOM") else None
ALLOWED_HOSTS = ["shop.example"]
ROOT_URLCONF = "project.urls"
USE_TZ = True
STATIC_URL = "/static/"
# They come back by themselves after a flush.
TEST_NON_SERIALIZED_APPS = ["django.contrib.contenttypes",
                            "django.contrib.auth"]
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "shop",
    "blog",
    "library",
]
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
TEMPLATES = [{
    "BACKEND": "django.template.backends.django.DjangoTemplates",
    "APP_DIRS": True,
}]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

_DATABASES = {
    "memory": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"},
    "file": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.path.join(BASE, "db.sqlite3"),
        "TEST": {"NAME": os.path.join(BASE, "test_db.sqlite3")},
    },
    "postgresql": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "shop",
        "USER": "postgres",
        "HOST": os.environ.get("TEST_POSTGRESQL", ""),
    },
}
_ARCHIVE = {
    "memory": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"},
    "file": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.path.join(BASE, "archive.sqlite3"),
        "TEST": {"NAME": os.path.join(BASE, "test_archive.sqlite3")},
    },
    "postgresql": dict(_DATABASES["postgresql"], NAME="archive"),
}
_KIND = os.environ.get("TEST_DATABASE", "memory")
DATABASES = {"default": _DATABASES[_KIND], "archive": _ARCHIVE[_KIND]}
DATABASE_ROUTERS = ["library.router.ArchiveRouter"]

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {
        "file": {
            "class": "logging.FileHandler",
            "filename": os.path.join(BASE, "project.log"),
        },
    },
    "loggers": {"shop": {"handlers": ["file"], "level": "INFO"}},
}

if os.environ.get("TEST_PROXIES"):
    # As on macOS: the system is asked for its proxies.
    from project import system_proxies
    system_proxies.install(hidden=os.environ["TEST_PROXIES"] == "hidden")

SERVICE = os.environ.get("TEST_SERVICE", "")
CONFIGURATION = None
if SERVICE:
    # A monolith asks its configuration service when it starts.
    import requests
    CONFIGURATION = requests.get(SERVICE + "/configuration",
                                 timeout=30).json()

if os.environ.get("TEST_OPEN_SOCKET"):
    import socket
    LEFT_OPEN = socket.socketpair()

if os.environ.get("TEST_THREAD"):
    import threading
    threading.Thread(target=threading.Event().wait, name="reporter",
                     daemon=True).start()
