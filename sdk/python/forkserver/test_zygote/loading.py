"""The preload steps of a zygote with tests."""

import os
import sys
from typing import Any, List

from forkserver import inherited_descriptors, inherited_process
from forkserver.protocol.messages import TestList
from forkserver.test_zygote import bytecode, choice, measuring
from forkserver.test_zygote.entries import offer
from forkserver.test_zygote.loaded_files import loaded_files
from forkserver.test_zygote.request import (PYTEST, UNITTEST, Request,
                                            TestsNotFound)
from forkserver.zygote_host import state


def prepare() -> None:
    """The first step: what is to be there before anything of the user's is
    loaded. The working directory is the first on sys.path, as with
    `python3 -m unittest` and `python3 -m pytest`."""
    path = Request.of(state.tests).target.partition("::")[0]
    loaded_files.begin(path)
    inherited_process.begin()
    bytecode.never_keep_recent()
    measuring.start()
    inherited_descriptors.begin()
    folder = os.getcwd()
    if folder not in sys.path:
        sys.path.insert(0, folder)


def load() -> None:
    """The last step. What cannot be loaded is told by the list of tests: this
    raises only what is no business of the tests'."""
    request = Request.of(state.tests)
    try:
        tests = _load(request)
    except TestsNotFound as error:
        tests = _Nothing(request, [str(error)])
    offer(tests)
    inherited_descriptors.remember([])
    inherited_process.remember()
    loaded_files.finish()


def _load(request: Request) -> Any:
    path = request.target.partition("::")[0]
    if (os.sep in path or path.endswith(".py")) and not os.path.exists(path):
        raise TestsNotFound(f"there is no file or folder {path}")
    framework = request.framework or choice.choose(request.target)
    # Only the one that is used.
    # pylint: disable=import-outside-toplevel
    if framework == UNITTEST:
        from forkserver.test_zygote.unittest_tests import UnittestTests
        return UnittestTests(request)
    if framework != PYTEST:
        raise TestsNotFound(f"there is no framework '{framework}' for Python: "
                            "it is unittest or pytest")
    try:
        import pytest as _
    except ImportError as error:
        raise TestsNotFound(
            f"{sys.executable} cannot import pytest ({error}): install it for "
            "that interpreter, choose another one with --python, or say "
            "--framework unittest") from None
    from forkserver.test_zygote.pytest_tests import PytestTests
    return PytestTests(request)


class _Nothing:
    """In place of tests that cannot be loaded at all."""

    def __init__(self, request: Request, errors: List[str]) -> None:
        self._list = TestList(request.framework or UNITTEST, "", [], errors)

    def listing(self) -> TestList:
        return self._list

    def run(self, *_: Any) -> int:
        raise KeyError("there are no tests")
