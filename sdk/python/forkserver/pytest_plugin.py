"""The pytest plugin: each test in a worker forked from the warmed session.

    pytest --forkserver 4
    pytest --forkserver auto --forkserver-scope file

Without --forkserver it does nothing. docs/python.md, "pytest", says what is
the same and what is not.
"""

import os
from typing import Any

import pytest

SCOPES = ("function", "class", "file")

# What needs the terminal, or the tests in the main process. pytest sets the
# options of the later ones of --setup-* too.
_EXCLUDED = {
    "usepdb": "--pdb", "trace": "--trace", "setupplan": "--setup-plan",
    "setuponly": "--setup-only", "setupshow": "--setup-show",
    "numprocesses": "-n", "looponfail": "--looponfail",
}


def pytest_addoption(parser: Any) -> None:
    """--forkserver, --forkserver-scope."""
    group = parser.getgroup("forkserver", "workers from a clean zygote")
    group.addoption(
        "--forkserver", metavar="N", default="0",
        help="run tests in workers that are forked from a zygote with the "
        "warmed session, N at a time (auto: one for each core)")
    group.addoption(
        "--forkserver-scope", choices=SCOPES, default="function",
        help="what runs in one worker: each test function (default), the "
        "tests of a class, or of a file")


def pytest_configure(config: Any) -> None:
    """Takes the session over, unless this is the zygote's."""
    count = _count(config.getoption("forkserver"))
    if not count or hasattr(config, "workerinput") or any(
            config.getoption(name, None)
            for name in ("collectonly", "showfixtures", "markers", "version",
                         "show_fixtures_per_test", "help", "cacheshow")):
        return
    for name, option in _EXCLUDED.items():
        if config.getoption(name, None):
            raise pytest.UsageError(
                f"--forkserver cannot be used with {option}: leave one of "
                "them out")
    # Not before it is needed: every run of pytest imports this module.
    # pylint: disable-next=import-outside-toplevel
    from forkserver.pytest_session.controller import Controller
    config.pluginmanager.register(Controller(config, count), "forkserver-run")


def _count(text: str) -> int:
    if text == "auto":
        if hasattr(os, "sched_getaffinity"):
            return len(os.sched_getaffinity(0))
        return os.cpu_count() or 1
    if not text.isdigit():
        raise pytest.UsageError("--forkserver needs a number, or auto, not "
                                f"{text!r}")
    return int(text)
