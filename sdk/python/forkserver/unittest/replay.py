"""A TestResult of the main process that is told what workers tell."""

import unittest
import unittest.case
from typing import Any, Callable, Set

from forkserver.unittest.worker import Description


class RemoteTest:
    """What a TextTestResult wants to know of a test that is elsewhere."""

    failureException = AssertionError

    def __init__(self, description: Description) -> None:
        self._text, self._id, self._short = description

    def __str__(self) -> str:
        return self._text

    def id(self) -> str:
        return self._id

    def shortDescription(self) -> Any:
        return self._short


class RemoteSubTest(RemoteTest, unittest.case._SubTest):  # type: ignore
    """TextTestResult indents what is a _SubTest."""

    def __init__(self, description: Description) -> None:
        # Not that of a test case.
        # pylint: disable-next=super-init-not-called,non-parent-init-called
        RemoteTest.__init__(self, description)


class ReplayResult(unittest.TextTestResult):
    """Prints and counts as unittest does; an exception is a text here."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.on_stop: Callable[[], None] = lambda: None
        self._module_events: Set[Any] = set()

    def stop(self) -> None:
        """Also from unittest's handler of SIGINT."""
        super().stop()
        self.on_stop()

    def replay(self, method: str, description: Description,
               *details: Any) -> None:
        """One event of a worker but for ("done",)."""
        test = RemoteTest(description)
        if method == "addSubTest":
            subtest, failed, text = details
            error = None if failed is None else (
                AssertionError if failed else Exception, text, None)
            self.addSubTest(test, RemoteSubTest(subtest), error)
        elif method in ("addError", "addFailure", "addExpectedFailure"):
            if not self._is_repeated(method, description):
                getattr(self, method)(test, (None, details[0], None))
        elif method == "addSkip":
            reason, of_sub_test = details
            if not self._is_repeated(method, description):
                self.addSkip(RemoteSubTest(description) if of_sub_test
                             else test, reason)
        else:
            getattr(self, method)(test, *details)

    def _is_repeated(self, method: str, description: Description) -> bool:
        """Whether each worker of a module tells the same."""
        text = description[0]
        if not text.startswith(("setUpModule (", "tearDownModule (")):
            return False
        if (method, text) in self._module_events:
            return True
        self._module_events.add((method, text))
        return False

    def _exc_info_to_string(self, err: Any, test: Any) -> str:
        return str(err[1])
