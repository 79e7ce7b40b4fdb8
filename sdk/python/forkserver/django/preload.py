"""Preload steps of the zygotes that Django's workers are forked from.

What is loaded here runs once, before any worker, and is found by all of them.
It must leave nothing behind that a forked process cannot have: descriptors are
closed in a worker, so a step that leaves one makes its zygote fail, and the
test runner takes one that has loaded less. Threads and libraries are looked
after by the zygote itself.
"""

import base64
import contextlib
import importlib
import logging
import os
import pickle
import sys
from typing import Any, Dict, Iterator, List, NamedTuple

from forkserver.zygote_host.descriptors import list_descriptors

# A Request, for the steps; nothing that is loaded sees it.
_VARIABLE = "FORKSERVER_DJANGO_REQUEST"


class Request(NamedTuple):
    """What the command has done by the time when it would load the same."""
    argv: List[str]
    modules: List[str] = []
    debug: bool = False
    settings: Dict[str, bytes] = {}  # each pickled

    def to_text(self) -> str:
        return base64.b64encode(pickle.dumps(tuple(self), 4)).decode()

    def environment(self) -> Dict[str, str]:
        """That of the zygote."""
        return dict(os.environ, **{_VARIABLE: self.to_text()})


class NotPreloadable(Exception):
    """The project cannot be loaded before its workers are forked."""


def project() -> None:
    """Step of the first zygote: the settings and the applications."""
    sys.argv = _take_request().argv
    with _nothing_left():
        import django
        django.setup()
        # The command loads these while it makes the databases, before
        # Django's own runner forks: tests that flush or that have fixtures
        # need them, and each worker would load them again.
        import django.core.management.commands.flush
        import django.core.management.commands.loaddata
        import django.db.models.sql.compiler
        from django.core import serializers
        serializers.get_serializer_formats()


def tests() -> None:
    """Step of the second one: the modules of the tests, which find the test
    environment and the settings of the runner."""
    request = _take_request()
    sys.argv = request.argv
    with _nothing_left():
        from forkserver.django import inheritance
        inheritance.set_up_test_environment(request.debug)
        inheritance.take_over_settings(request.settings)
        for name in request.modules:
            importlib.import_module(name)


def _take_request() -> Request:
    return Request(*pickle.loads(base64.b64decode(os.environ.pop(_VARIABLE))))


def probe(_: Any) -> None:
    """Entry of a worker that shows whether others can ask the system for its
    proxies. On macOS they die of it if loading the project has done it in a
    way that could not be seen."""
    import urllib.request
    urllib.request.getproxies()
    urllib.request.proxy_bypass("localhost")


@contextlib.contextmanager
def _nothing_left() -> Iterator[None]:
    import forkserver.django.worker  # what every worker needs
    from forkserver import isolation
    from forkserver.system_proxies import patch_system_proxies
    before = list_descriptors()
    # On macOS the lookup would make every child of this process crash.
    undo = patch_system_proxies()
    try:
        yield
    finally:
        undo()
        isolation.close()
    _close_connections()
    _close_log_files()
    left = _new(before, list_descriptors())
    if left:
        raise NotPreloadable(
            "loading the project leaves open what its workers would not have: "
            + ", ".join(f"descriptor {fd} ({text})"
                        for fd, text in sorted(left.items())))


def _new(before: Dict[int, str], after: Dict[int, str]) -> Dict[int, str]:
    return {fd: text for fd, text in after.items() if before.get(fd) != text}


def _close_connections() -> None:
    django_db: Any = sys.modules.get("django.db")
    if django_db is not None:
        django_db.connections.close_all()


def _close_log_files() -> None:
    """A FileHandler opens its file again for its next record. One that would
    empty it then stays open."""
    for reference in list(logging._handlerList):  # type: ignore
        handler = reference()
        if isinstance(handler, logging.FileHandler) and \
                handler.mode.startswith("a") and handler.stream is not None:
            handler.acquire()
            try:
                handler.flush()
                stream: Any = handler.stream
                handler.stream = None  # type: ignore[assignment]
                stream.close()
            finally:
                handler.release()
