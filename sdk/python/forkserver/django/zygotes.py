"""The zygotes of one run of the tests.

There are up to three, each with more loaded than the one before; the project's
are started in the background, while this process looks for tests and makes the
databases:

    bare      Django itself; nothing of the project. Started if need be
    project   settings and applications, loaded as by django.setup()
    tests     forked from that: the modules of the tests as well

Where a step fails or leaves behind what no fork survives, the one before is
used, and workers load the rest themselves.

Kept ones are found again by the next run: their names are made of what they are
loaded from, but for the files, which are looked at each time.
"""

import hashlib
import os
import subprocess
import sys
import threading
from multiprocessing import spawn
from typing import TYPE_CHECKING, Any, Callable, List, Optional, Sequence

from django.conf import settings

from forkserver.calls import describe_end
from forkserver.django import inheritance, preload, worker
from forkserver.errors import (Error, StaleEnvironment, UnknownZygote,
                               ZygoteFailed, ZygoteRetired, ZygoteUnsafe)
from forkserver.protocol import WORKER_VARIABLE

if TYPE_CHECKING:
    from forkserver.client import Client
    from forkserver.python_zygote import PythonZygote
    from forkserver.worker import Worker

_BARE_STEP = worker.__name__
_PROJECT_STEP = "forkserver.django.preload:project"
_TESTS_STEP = "forkserver.django.preload:tests"
_PROBE = "forkserver.django.preload:probe"
_PROBE_SECONDS = 10.0
# Variables that differ from one shell, or worker, to the next and mean nothing.
_OF_A_SHELL = {"_", "SHLVL", "OLDPWD", "COLUMNS", "LINES", WORKER_VARIABLE}


class Zygotes:
    """Of one client, which is closed with it. Its methods block."""

    def __init__(self, client: "Client", preloaded: bool,
                 kept: bool = False) -> None:
        """`preloaded`: whether anything of the project may be loaded before
        its workers are forked. `kept`: for the next run as well."""
        self._client = client
        self._preloaded = preloaded
        self._kept = kept
        self._name = _unique_name()
        if kept:
            self._name = "django-" + _digest(
                [sys.executable, os.getcwd(),
                 *(f"{name}={value}" for name, value
                   in sorted(os.environ.items()) if name not in _OF_A_SHELL)])
        self._bare: "Optional[PythonZygote]" = None
        self._loaded: "Optional[PythonZygote]" = None
        self._project = preload.Request([])
        self._tests = preload.Request([])
        self._thread: Optional[threading.Thread] = None
        self._error: Optional[Error] = None
        # Why the project, or its tests, are not preloaded.
        self.why_not = "" if preloaded else "it is switched off"

    def begin(self, labels: Sequence[str] = ()) -> None:
        """Starts to load the project, in the background. `labels`: the
        arguments that name tests. A kept zygote is there for others too."""
        hidden = labels if self._kept else ()
        self._begin(preload.Request([each for each in sys.argv
                                     if each not in hidden]))

    def begin_tests(self, modules: Sequence[str]) -> None:
        """Starts to load modules of tests, in the background, with settings as
        they are now."""
        self._begin_tests(preload.Request(
            self._project.argv, sorted(set(modules)), settings.DEBUG,
            inheritance.pickled_settings()))

    def _begin(self, request: preload.Request) -> None:
        self._project = request
        if self._preloaded:
            self._in_background(self._load_project)

    def _begin_tests(self, request: preload.Request) -> None:
        self._tests = request
        if self._preloaded:
            self._in_background(self._load_tests)

    def fork(self, bare: bool, **options: Any) -> "Worker":
        """A worker that runs forkserver.django.worker. Raises Error."""
        for attempt in range(2):
            zygote = None if bare else self._await_loaded()
            if zygote is None:
                zygote = self._await_bare()
            try:
                return zygote.fork(worker.ENTRY, **options)
            except (UnknownZygote, ZygoteRetired, StaleEnvironment):
                # It was idle for too long, it crashed, or a frozen variable
                # has changed since.
                if attempt:
                    raise
                self._forget(zygote)
        raise AssertionError("not reached")

    @property
    def is_preloaded(self) -> bool:
        """Whether fork(bare=False) gives workers with the project loaded."""
        return self._await_loaded() is not None

    def close(self) -> None:
        """Ends the zygotes, and what still runs."""
        self._client.close()
        self._join()

    def _in_background(self, function: Callable[[], None]) -> None:
        before = self._thread

        def run() -> None:
            if before is not None:
                before.join()
            try:
                function()
            except Error as error:
                self._error = error

        self._thread = threading.Thread(target=run, daemon=True,
                                        name="forkserver zygote")
        self._thread.start()

    def _load_project(self) -> None:
        steps = [_PROJECT_STEP]
        if inheritance.main_is_imported(
                spawn.get_preparation_data("")):  # type: ignore
            steps.insert(0, "__main__")
        name = self._name
        if self._kept:
            name += "-" + _digest(self._project.argv)
        try:
            self._loaded = self._start(name, preload=steps,
                                       env=self._project.environment())
        except (ZygoteFailed, ZygoteUnsafe) as error:
            self._preloaded = False
            self.why_not = str(error)

    def _load_tests(self) -> None:
        if self._loaded is None:
            return
        try:
            name = f"{self._name}/tests"
            if self._kept:
                name += "-" + _digest([self._tests.to_text()])
            self._loaded = self._start(
                name, preload=[_TESTS_STEP], parent=self._loaded,
                env=self._tests.environment())
        except (ZygoteFailed, ZygoteUnsafe) as error:
            self.why_not = f"the tests: {error}"

    def _start(self, name: str, **options: Any) -> "PythonZygote":
        if not self._kept:
            return self._try_out(self._client.zygote(name, **options))
        zygote = self._client.zygote(name, keep=True, replace=True, **options)
        if zygote.stale():
            zygote.reload()
        return self._try_out(zygote)

    @staticmethod
    def _try_out(zygote: "PythonZygote") -> "PythonZygote":
        request: Any = sys.modules.get("urllib.request")
        if request is None or \
                request.getproxies is request.getproxies_environment:
            # This process has loaded the project too: only macOS asks.
            return zygote
        record = zygote.run(_PROBE, stdin=subprocess.DEVNULL,
                            stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL, timeout=_PROBE_SECONDS)
        if record.signal is not None:
            raise ZygoteUnsafe(
                "a worker that asks the system for its proxies "
                f"{describe_end(record)}: loading the project does something "
                "that does not survive a fork")
        return zygote

    def _await_loaded(self) -> "Optional[PythonZygote]":
        self._join()
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        return self._loaded

    def _await_bare(self) -> "PythonZygote":
        if self._bare is None:
            self._bare = self._client.zygote(f"{self._name}/bare",
                                             preload=[_BARE_STEP])
        return self._bare

    def _forget(self, zygote: "PythonZygote") -> None:
        """Starts it again, under another name."""
        self._name = _unique_name()
        self._kept = False
        if zygote is self._bare:
            self._bare = None
        else:
            self._loaded = None
            self._begin(self._project)
            self._begin_tests(self._tests)

    def _join(self) -> None:
        if self._thread is not None:
            self._thread.join()
            self._thread = None


def _unique_name() -> str:
    return f"django-{os.getpid()}-{os.urandom(3).hex()}"


def _digest(texts: Sequence[str]) -> str:
    whole = "\0".join(texts).encode("utf-8", "surrogateescape")
    return hashlib.sha256(whole).hexdigest()[:12]
