"""Loads the tests of a target as pytest does: configuration, plugins, conftest
modules, collection. No fixture is set up."""

import faulthandler
import importlib.util
import os
import socket
import sys
from typing import Any, Dict, List

import pytest

from forkserver.pytest_session import session
from forkserver.pytest_session.session import Warmed
from forkserver.test_zygote import bytecode
from forkserver.test_zygote.choice import module_file
from forkserver.test_zygote.request import Request, TestsNotFound
from forkserver.zygote_host.tracebacks import describe_exception


def load(request: Request, plugin: Any) -> Warmed:
    """A collected session; `plugin` has heard of what could not be collected.

    Raises TestsNotFound: it could not be started.
    """
    bytecode.never_keep_recent_rewritten()
    args = [*_arguments_of(request.target), *request.arguments]
    sys.argv = ["pytest", *args]
    if importlib.util.find_spec("pytest_cov") is not None:
        args.append("--no-cov")  # there is no process that would combine
    try:
        config = session.prepare(args, _worker_input())
        _leave_to_the_harness(config)
        with _Crashes():
            warm = session.start(config, plugin)
        # Nobody reads what it says; workers of pytest-xdist have none either.
        config.pluginmanager.unregister(name="terminalreporter")
        session.collect(warm)
        session.suspend(warm, warm.session.items)
    except (pytest.UsageError, pytest.exit.Exception) as error:
        raise TestsNotFound(f"pytest: {error}") from None
    except (Exception, SystemExit) as error:  # of conftest and plugins
        raise TestsNotFound(_describe(error)) from None
    return warm


def _arguments_of(target: str) -> List[str]:
    """A path and a node id as they are; of a dotted name the file, and what
    in it."""
    path = target.partition("::")[0]
    if os.path.exists(path):
        return [target]
    file = module_file(target)
    if not file:
        return ["--pyargs", target]
    stem = file[:-len(".py")]
    if os.path.basename(file) == "__init__.py":
        stem = os.path.dirname(file)
        file = stem if stem == target.replace(".", os.sep) else file
    rest = target[len(stem) + 1:]
    return ["::".join([file, *rest.split(".")] if rest else [file])]


def _worker_input() -> Dict[str, Any]:
    """What pytest-xdist gives to its workers, and pytest-cov."""
    return {"workerid": "forkserver", "workercount": 1,
            "testrunuid": f"forkserver-{os.getpid()}", "mainargv": sys.argv,
            "cov_master_host": socket.gethostname(),
            "cov_master_topdir": os.getcwd(), "cov_master_rsync_roots": []}


def _leave_to_the_harness(config: Any) -> None:
    """Options, of a configuration file say, that are about which tests run
    when and where."""
    option = config.option
    for name, value in (("maxfail", 0), ("numprocesses", None),
                        ("dist", "no"), ("tx", []), ("usepdb", False),
                        ("trace", False)):
        if hasattr(option, name):
            setattr(option, name, value)


class _Crashes:
    """While it is entered pytest's plugin does not enable faulthandler: a
    crash of a worker is to be told in its exit record."""

    def __enter__(self) -> None:
        self._enable = faulthandler.enable

        def enable(*args: Any, **kwargs: Any) -> None:
            caller = sys._getframe(1).f_globals.get("__name__")
            if caller != "_pytest.faulthandler":
                self._enable(*args, **kwargs)

        faulthandler.enable = enable

    def __exit__(self, *_: object) -> None:
        faulthandler.enable = self._enable


def _describe(error: BaseException) -> str:
    path = getattr(error, "path", None)
    cause = getattr(error, "cause", None) or error.__cause__
    if type(error).__name__ != "ConftestImportFailure":
        return "pytest: " + describe_exception(error)
    if not isinstance(cause, BaseException):
        cause = getattr(error, "excinfo", (None, error))[1]
    return f"cannot load {path}:\n{describe_exception(cause)}"
