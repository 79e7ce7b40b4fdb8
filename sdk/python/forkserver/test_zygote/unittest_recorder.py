"""A TestResult that puts what it is told on the report page."""

import sys
import traceback
import unittest
from typing import Any, Dict, List, Optional, Set, Tuple

from forkserver.originals import os, time
from forkserver.protocol.messages import TestFailure, TestProgress
from forkserver.test_zygote import debugging
from forkserver.test_zygote.report_page import ReportPage
from forkserver.test_zygote.unittest_loading import Test


class _Running:
    """A test, from its fixtures' set-up to their end."""

    def __init__(self, test: Test) -> None:
        self.name = test.name
        module = sys.modules.get(type(test.case).__module__)
        self.file = getattr(module, "__file__", None) or ""
        self.failures: List[TestFailure] = []
        self.skipped: Optional[str] = None
        self.passed: Optional[str] = None  # or why it counts as passed
        self.begun_ns = time.monotonic_ns()

    def progress(self) -> TestProgress:
        result = TestProgress(
            test=self.name, failures=self.failures,
            wall_us=(time.monotonic_ns() - self.begun_ns) // 1000)
        if self.failures:
            result.status = "failed"
        elif self.skipped is not None:
            result.status = "skipped"
            result.skip_reason = self.skipped
        elif self.passed is not None:
            result.status = "passed"
            result.skip_reason = self.passed
        else:
            result.status = "failed"
            result.failures = [TestFailure("unittest did not say what became "
                                           "of this test")]
        return result


class Recorder(unittest.TestResult):
    """One test at a time is current; what fixtures of classes and modules
    raise belongs to it. A test is ended when these have been torn down, so
    that nothing can come after a verdict."""

    def __init__(self, page: ReportPage, tests: List[Test],
                 debug: bool) -> None:
        super().__init__()
        self.failed = False
        self._page = page
        self._debug = debug
        self._tests: Dict[int, Test] = {id(test.case): test
                                        for test in tests}
        self._ended: Set[str] = set()
        self._current: Optional[_Running] = None

    def begin(self, test: Test) -> None:
        """Before its fixtures."""
        self.finish()
        self._page.begun(test.name)
        self._current = _Running(test)

    def finish(self) -> None:
        """After its fixtures."""
        if self._current is not None:
            self._end(self._current)
            self._current = None

    def finish_all(self, tests: List[Test]) -> None:
        """The suite has returned: those that it did not run have failed, or
        were skipped, with their fixtures."""
        fixtures = self._current
        self.finish()
        for test in tests:
            if test.name not in self._ended:
                missing = _Running(test)
                if fixtures is not None:
                    missing.failures = list(fixtures.failures)
                    missing.skipped = fixtures.skipped
                self._end(missing)

    def interrupted(self, error: BaseException) -> None:
        """What unittest does not catch: KeyboardInterrupt, errors of its own
        or of a suite. Tests that were to come have no word."""
        self._fail((type(error), error, error.__traceback__), None)
        self.finish()

    def _end(self, running: _Running) -> None:
        progress = running.progress()
        self.failed = self.failed or progress.status == "failed"
        self._ended.add(running.name)
        self._page.ended(progress)

    # --- what unittest tells ---

    def startTest(self, test: Any) -> None:
        super().startTest(test)
        known = self._tests.get(id(test))
        if known is not None and (self._current is None
                                  or self._current.name != known.name):
            self.begin(known)  # in a suite with a run() of its own

    def addSuccess(self, test: Any) -> None:
        self._pass("")

    def addExpectedFailure(self, test: Any, err: Any) -> None:
        self._pass("expected failure: " + _summary(err))

    def addUnexpectedSuccess(self, test: Any) -> None:
        super().addUnexpectedSuccess(test)
        if self._current is not None:
            self._current.failures.append(TestFailure(
                "unexpected success: the test is marked with expectedFailure"))

    def addSkip(self, test: Any, reason: str) -> None:
        if self._current is None:
            return
        text = str(reason)
        where = _where(test)
        if where:
            text = f"{where}: {text}" if text else where
        if self._current.skipped:
            text = f"{self._current.skipped}; {text}"
        self._current.skipped = text

    def addError(self, test: Any, err: Any) -> None:
        self._fail(err, test)

    def addFailure(self, test: Any, err: Any) -> None:
        self._fail(err, test)

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:
        if err is not None:
            self._fail(err, subtest)

    def addDuration(self, test: Any, elapsed: float) -> None:
        """Measured here."""

    def wasSuccessful(self) -> bool:
        return not self.failed and (self._current is None
                                    or not self._current.failures)

    def _pass(self, why: str) -> None:
        if self._current is not None:
            self._current.passed = why

    def _fail(self, err: Any, test: Any) -> None:
        if self._current is None:
            return
        self._mirrorOutput = True
        file, line = _place(err[2], self._current.file)
        text = self._text(err, test)
        self._current.failures.append(TestFailure(
            f"{_summary(err)}\n\n{text}", file, line, _where(test)))
        if self._debug:
            debugging.post_mortem(err)

    def _text(self, err: Any, test: Any) -> str:
        try:
            text: str = self._exc_info_to_string(  # type: ignore
                err, test if test is not None else unittest.TestCase())
            return text
        except Exception:  # of an exception that cannot be formatted
            return "".join(traceback.format_tb(err[2]))


def _summary(err: Any) -> str:
    """One line."""
    try:
        text = "".join(traceback.format_exception_only(err[0], err[1]))
    except Exception:  # its __str__ may raise anything
        return str(err[0])
    lines = [line for line in text.strip().splitlines() if line.strip()]
    # Of a SyntaxError the last one has the message.
    if isinstance(err[1], SyntaxError):
        lines = lines[-1:]
    return lines[0] if lines else str(err[0])


def _place(trace: Any, own: str) -> Tuple[str, int]:
    """Where in the file `own` it came from, or else in any file that is not
    unittest's."""
    place = other = ("", 0)
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if file == own:
            place = file, trace.tb_lineno
        elif "__unittest" not in trace.tb_frame.f_globals and not (
                file.startswith(_OWN_FOLDER)):
            other = file, trace.tb_lineno
        trace = trace.tb_next
    return place if place[0] else other


_OWN_FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def _where(test: Any) -> str:
    """Beside the test itself: its sub-test, or a fixture."""
    description = getattr(test, "_subDescription", None)
    if description is not None:
        return str(description())
    if type(test).__name__ == "_ErrorHolder":
        return str(test.id()).partition(" ")[0]
    return ""


def filter_warnings() -> None:
    """As unittest's main program does, in a process that ends soon."""
    if not sys.warnoptions:
        import warnings  # pylint: disable=import-outside-toplevel
        warnings.simplefilter("default")
