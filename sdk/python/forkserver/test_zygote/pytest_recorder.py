"""The plugin that puts what pytest tells on the report page; in the zygote it
keeps what could not be collected."""

from typing import Any, List, Optional, Tuple

import pytest

from forkserver.originals import time
from forkserver.protocol.messages import TestFailure, TestProgress
from forkserver.test_zygote.report_page import ReportPage


class Recorder:
    """An item is ended when its fixtures have been torn down, so that nothing
    can come after a verdict."""

    def __init__(self) -> None:
        # In the zygote: texts, and (node id, reason) of what was skipped as
        # a whole.
        self.errors: List[str] = []
        self.skipped_collectors: List[Tuple[str, str]] = []
        # In a worker.
        self.page: Optional[ReportPage] = None
        self.failed = False
        self._name = ""
        self._item: Any = None

    # --- in the zygote ---

    @pytest.hookimpl(tryfirst=True)
    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            self.errors.append(f"cannot collect {report.nodeid or 'tests'}:\n"
                               f"{report.longreprtext}")
        elif report.skipped:
            self.skipped_collectors.append((report.nodeid,
                                            _skip_reason(report)))

    # --- in a worker ---

    def begin(self, name: str) -> None:
        """Before anything of the item runs."""
        self._name = name
        self._item = _Item()
        assert self.page is not None
        self.page.begun(name)

    def skip(self, name: str, reason: str) -> None:
        """One that there is nothing of to run."""
        assert self.page is not None
        self.page.begun(name)
        self.page.ended(TestProgress(test=name, status="skipped",
                                     skip_reason=reason))

    def finish(self) -> None:
        """After pytest's protocol, or in place of what is left of it."""
        if self._item is None:
            return
        progress = self._item.progress(self._name)
        self._item = None
        self.failed = self.failed or progress.status == "failed"
        assert self.page is not None
        self.page.ended(progress)

    def fail(self, summary: str, item: Any) -> None:
        """The exception that is handled now, of which there is no report.
        `item`: as in the tracebacks of its failures."""
        if self._item is None:
            return
        info: Any = pytest.ExceptionInfo.from_current()
        longrepr = info.getrepr() if item is None else item.repr_failure(info)
        crash = getattr(longrepr, "reprcrash", None)
        self._item.failures.append(TestFailure(
            f"{summary}\n\n{longrepr}", getattr(crash, "path", "") or "",
            getattr(crash, "lineno", 0) or 0))

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: Any) -> None:
        if self._item is not None:
            self._item.note(report)


class _Item:

    def __init__(self) -> None:
        self.failures: List[TestFailure] = []
        self._begun_ns = time.monotonic_ns()
        self._called = False
        self._skipped: Optional[str] = None
        self._expected = ""

    def note(self, report: Any) -> None:
        if report.outcome == "rerun":  # of pytest-rerunfailures
            self.__init__()  # type: ignore[misc]
        elif report.failed:
            self.failures.append(_failure(report))
        elif report.skipped:
            if hasattr(report, "wasxfail"):
                self._expected = _joined("expected failure", report.wasxfail)
            elif not _is_part(report):
                self._skipped = _skip_reason(report)
        elif report.when == "call" and not _is_part(report):
            self._called = True
            if hasattr(report, "wasxfail"):
                self._expected = _joined("unexpected success",
                                         report.wasxfail)

    def progress(self, name: str) -> TestProgress:
        result = TestProgress(
            test=name, failures=self.failures,
            wall_us=(time.monotonic_ns() - self._begun_ns) // 1000)
        if self.failures:
            result.status = "failed"
        elif self._skipped is not None:
            result.status = "skipped"
            result.skip_reason = self._skipped
        elif self._called or self._expected:
            result.status = "passed"
            result.skip_reason = self._expected
        else:
            result.status = "failed"
            result.failures = [TestFailure("pytest did not say what became of "
                                           "this test")]
        return result


def _is_part(report: Any) -> bool:
    """Whether it is of a sub-test, and not the word on the test."""
    return getattr(report, "context", None) is not None


def _failure(report: Any) -> TestFailure:
    crash = getattr(report.longrepr, "reprcrash", None)
    message = getattr(crash, "message", "") or ""
    text = report.longreprtext
    if not message:
        message = text.strip().splitlines()[-1] if text.strip() else "failed"
    parts = [message.splitlines()[0] if message else "", "", text]
    # Its streams are captured elsewhere.
    for title, content in report.sections:
        if not title.startswith(("Captured stdout", "Captured stderr")):
            parts += [f"----- {title} -----", content]
    return TestFailure("\n".join(parts), getattr(crash, "path", "") or "",
                       getattr(crash, "lineno", 0) or 0, _where(report))


def _where(report: Any) -> str:
    context = getattr(report, "context", None)
    if context is not None:
        message = getattr(context, "msg", None)
        values = ", ".join(f"{name}={value!r}" for name, value in
                           dict(getattr(context, "kwargs", {})).items())
        return " ".join(filter(None, [f"[{message}]" if message else "",
                                      f"({values})" if values else ""]))
    if report.when == "call":
        return ""
    return {"setup": "set-up", "teardown": "tear-down"}.get(report.when,
                                                            report.when)


def _skip_reason(report: Any) -> str:
    longrepr = report.longrepr
    if isinstance(longrepr, tuple) and len(longrepr) == 3:
        text = str(longrepr[2])
    else:
        text = str(longrepr)
    prefix = "Skipped: "
    return text[len(prefix):] if text.startswith(prefix) else text


def _joined(what: str, reason: str) -> str:
    reason = reason.replace("reason: ", "", 1)
    return f"{what}: {reason}" if reason else what
