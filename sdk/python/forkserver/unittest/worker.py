"""The entry of a worker: runs tests of one group, and tells what became of
them."""

import sys
import unittest
import unittest.case
import warnings
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from forkserver import coverage_relay, event_pipe, inherited_process
from forkserver.originals import pickle
from forkserver.unittest import loading

ENTRY = "forkserver.unittest.worker:run"


class Request(NamedTuple):
    """Which tests to run, and how: options of unittest's command line."""
    argv: List[str]
    group: int
    first: int  # of the group's tests: those before it are not run
    failfast: bool
    buffer: bool
    tb_locals: bool
    catchbreak: bool
    warnings: Optional[str]


# str(test), test.id() and test.shortDescription() of a test.
Description = Tuple[str, str, Optional[str]]


def run(context: Any) -> int:
    """Sends ("done",) at last, and before it for each call of a TestResult
    its name, the index of the test in its group, or None, and arguments."""
    request = Request(*pickle.loads(context.args))
    events = event_pipe.EventWriter(event_pipe.CHILD_FD)
    event_pipe.report_crashes()
    inherited_process.restore()
    inherited_process.thaw()
    group = loading.groups(request.argv)[request.group]
    tests = group.tests[request.first:]
    result = _TellingResult(events, tests, request.first)
    result.failfast = request.failfast
    result.buffer = request.buffer
    result.tb_locals = request.tb_locals
    if request.catchbreak:
        # Its client sends SIGINT when the user presses Ctrl-C.
        unittest.installHandler()
        unittest.registerResult(result)
    with warnings.catch_warnings():
        _filter_warnings(request.warnings)
        unittest.TestSuite(tests)(result)
    coverage_relay.finish()
    events.send("done", None)
    return 0


def _filter_warnings(action: Any) -> None:
    """As unittest.TextTestRunner.run() does."""
    if action:
        warnings.simplefilter(action)
        if action in ("default", "always"):
            warnings.filterwarnings("module", category=DeprecationWarning,
                                    message=r"Please use assert\w+ instead.")


def _describe(test: Any) -> Description:
    return str(test), test.id(), test.shortDescription()


class _TellingResult(unittest.TestResult):
    """Sends on what it is told. Its own part makes the texts: tracebacks, with
    captured output and local variables."""

    def __init__(self, events: event_pipe.EventWriter, tests: List[Any],
                 first: int) -> None:
        super().__init__()
        self._events = events
        self._indices: Dict[int, int] = {
            id(test): first + index for index, test in enumerate(tests)
        }

    def _tell(self, method: str, test: Any, *details: Any) -> None:
        self._events.send(method, self._indices.get(id(test)),
                          _describe(test), *details)

    def startTest(self, test: Any) -> None:
        super().startTest(test)
        self._tell("startTest", test)

    def stopTest(self, test: Any) -> None:
        # unittest lets it pass without a word, and it ends this process.
        if isinstance(sys.exc_info()[1], KeyboardInterrupt):
            self.addError(test, sys.exc_info())
        super().stopTest(test)
        self._tell("stopTest", test)

    def addSuccess(self, test: Any) -> None:
        super().addSuccess(test)
        self._tell("addSuccess", test)

    def addError(self, test: Any, err: Any) -> None:
        super().addError(test, err)
        self._tell("addError", test, self.errors[-1][1])

    def addFailure(self, test: Any, err: Any) -> None:
        super().addFailure(test, err)
        self._tell("addFailure", test, self.failures[-1][1])

    def addSkip(self, test: Any, reason: str) -> None:
        super().addSkip(test, reason)
        self._tell("addSkip", test, str(reason),
                   isinstance(test, unittest.case._SubTest))  # type: ignore

    def addExpectedFailure(self, test: Any, err: Any) -> None:
        super().addExpectedFailure(test, err)
        self._tell("addExpectedFailure", test, self.expectedFailures[-1][1])

    def addUnexpectedSuccess(self, test: Any) -> None:
        super().addUnexpectedSuccess(test)
        self._tell("addUnexpectedSuccess", test)

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:
        super().addSubTest(test, subtest, err)
        failed = text = None
        if err is not None:
            failed = issubclass(err[0], test.failureException)
            text = (self.failures if failed else self.errors)[-1][1]
        self._tell("addSubTest", test, _describe(subtest), failed, text)

    def addDuration(self, test: Any, elapsed: float) -> None:
        """Seconds; Python 3.12 and later."""
        self._tell("addDuration", test, elapsed)
