"""unittest's tests of a zygote: how they are listed and run."""

import copy
import inspect
import itertools
import platform
import sys
import unittest
from typing import Any, List, Tuple

from forkserver.protocol.messages import ListedTest, TestList, TestRun
from forkserver.test_zygote.names import relative
from forkserver.test_zygote.report_page import ReportPage
from forkserver.test_zygote.request import UNITTEST, Request
from forkserver.test_zygote.unittest_loading import Loaded, Test, load
from forkserver.test_zygote.unittest_recorder import (Recorder,
                                                      filter_warnings)


class UnittestTests:
    """What the zygote has loaded. Raises TestsNotFound."""

    def __init__(self, request: Request) -> None:
        self._loaded: Loaded = load(request)

    def listing(self) -> TestList:
        return TestList(UNITTEST, platform.python_version(),
                        [_listed(each) for each in
                         self._loaded.tests.values()],
                        self._loaded.errors)

    def run(self, run: TestRun, page: ReportPage) -> int:
        """In a worker. Raises KeyError: there is no such test."""
        tests = [self._loaded.tests[name] for name in run.tests]
        recorder = Recorder(page, tests, run.debug)
        recorder.buffer = self._loaded.buffer
        recorder.tb_locals = self._loaded.locals
        filter_warnings()
        try:
            for suites, group in itertools.groupby(
                    tests, lambda test: test.suites):
                if suites:
                    _run_suites(suites, list(group), recorder)
                else:
                    _run_tests(list(group), recorder)
        # A test may raise KeyboardInterrupt. unittest does not go on then.
        except BaseException as error:
            recorder.interrupted(error)
        return 1 if recorder.failed else 0


def _run_tests(tests: List[Test], recorder: Recorder) -> None:
    """As TestSuite.run(), but for when a fixture is torn down: directly after
    the last test that needs it, while that test can still fail for it."""
    fixtures: Any = unittest.TestSuite()
    result: Any = recorder
    for index, test in enumerate(tests):
        recorder.begin(test)
        case = test.case
        # pylint: disable=protected-access
        fixtures._handleModuleFixture(case, result)
        fixtures._handleClassSetUp(case, result)
        result._previousTestClass = type(case)
        if not (getattr(type(case), "_classSetupFailed", False)
                or getattr(result, "_moduleSetUpFailed", False)):
            case(result)
        following = (tests[index + 1].case if index + 1 < len(tests)
                     else None)
        fixtures._tearDownPreviousClass(following, result)
        if following is None or (
                type(following).__module__ != type(case).__module__):
            fixtures._handleModuleTearDown(result)
            result._previousTestClass = None
        recorder.finish()


def _run_suites(suites: Tuple[Any, ...], tests: List[Test],
                recorder: Recorder) -> None:
    """Tests in suites with a run() of their own: these run, with no other
    tests in them."""
    inner: List[Any] = [test.case for test in tests]
    for suite in reversed(suites):
        only = copy.copy(suite)
        only._tests = inner  # pylint: disable=protected-access
        inner = [only]
    recorder.begin(tests[0])
    result: Any = recorder
    result._testRunEntered = False
    inner[0](result)
    recorder.finish_all(tests)


def _listed(test: Test) -> ListedTest:
    cls = type(test.case)
    file = relative(getattr(sys.modules.get(cls.__module__), "__file__", None)
                     or "")
    line = 0
    code = _code_of(test.case)
    # One that a base class of another file has is listed with its class.
    if code is not None and relative(code.co_filename) == file:
        line = code.co_firstlineno
    return ListedTest(test.name, f"{cls.__module__}.{cls.__qualname__}", file,
                      line)


def _code_of(case: Any) -> Any:
    """Of its method, without decorators; None if that has none."""
    method = getattr(case, getattr(case, "_testMethodName", ""), None)
    try:
        return getattr(inspect.unwrap(method), "__code__",  # type: ignore
                       None)
    except Exception:  # a mock has everything, without end
        return None
