"""In the process that runs the command: what workers report is told to the
result of the test runner, as if the tests had run here."""

import contextlib
import pickle
import sys
import unittest
from typing import Any, Iterator, List, Optional, Sequence
from unittest.suite import _ErrorHolder  # type: ignore[attr-defined]

from forkserver.calls import RemoteTraceback
from forkserver.django.recording import Event, SubTestRecord
from forkserver.errors import Error


class TestWorkerDied(Error):
    """A worker ended while it ran a test."""

    code = "worker_died"
    __test__ = False


class Replay:
    """The tests of one task. The events of a test are told together, when it
    is over: those of several workers would mix else."""

    def __init__(self, result: Any, tests: Sequence[Any]) -> None:
        self._result = result
        self._tests = list(tests)
        self._waiting: List[Event] = []
        # How many tests have begun; whether one is running.
        self.begun = 0
        self.running = False

    def take(self, event: Event) -> None:
        """The next event of the worker."""
        if event.holder is None:
            self.begun = max(self.begun, event.index + 1)
        if event.name == "startTest":
            self.running = True
        self._waiting.append(event)
        if event.name == "stopTest" or not self.running:
            self.running = False
            self._flush()

    def forget_running(self) -> None:
        """The test that is running is going to run again."""
        self._waiting.clear()
        self.running = False
        self.begun -= 1

    def died(self, error: Error) -> None:
        """Its worker has ended. That is an error of the test that is running,
        or of the class between its tests."""
        if self.running:
            self._flush()
            test = self._tests[self.begun - 1]
            self._call("addError", test, _exc_info(error))
            self._call("stopTest", test)
            self.running = False
            return
        self._flush()
        what = "setUpClass" if self.begun == 0 else "tearDownClass"
        self.holder_error(f"{what} ({self.class_name()})", error)

    def holder_error(self, name: str, error: BaseException) -> None:
        """An error of no test."""
        self._call("addError", _ErrorHolder(name), _exc_info(error))

    def rest(self) -> List[Any]:
        """The tests that have not begun."""
        return self._tests[self.begun:]

    def class_name(self) -> str:
        kind = type(self._tests[0])
        return f"{kind.__module__}.{kind.__qualname__}"

    def name_of_running(self) -> str:
        if self.running:
            return str(self._tests[self.begun - 1].id())
        return self.class_name()

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        for event in waiting:
            self._tell(event)

    def _tell(self, event: Event) -> None:
        if event.holder is not None:
            test: Any = _ErrorHolder(event.holder)
        else:
            test = self._tests[event.index]
        args = _load(event)
        if event.name == "addSubTest" and isinstance(args[0], SubTestRecord):
            args = (_sub_test(test, args[0]), *args[1:])
        self._call(event.name, test, *args, output=event.output)

    def _call(self, name: str, test: Any, *args: Any,
              output: Any = None) -> None:
        handler = getattr(self._result, name, None)
        if handler is None:
            return
        with self._buffers_of(test):
            if output:
                # Into the buffers, from which it comes into the message.
                sys.stdout.write(output[0])
                sys.stderr.write(output[1])
            handler(test, *args)

    @contextlib.contextmanager
    def _buffers_of(self, test: Any) -> Iterator[None]:
        """As unittest does it around the set-up of a class: with --buffer the
        result wants its buffers in place, which a test that has begun has."""
        alone = isinstance(test, _ErrorHolder)
        if alone and hasattr(self._result, "_setupStdout"):
            self._result._setupStdout()
        yield
        if alone and hasattr(self._result, "_restoreStdout"):
            self._result._restoreStdout()


def _exc_info(error: BaseException) -> Any:
    return type(error), error, error.__traceback__


def _load(event: Event) -> Any:
    try:
        args = pickle.loads(event.args)
    except Exception as error:  # pickle raises anything
        loaded = Error(f"what the worker reported cannot be loaded here: "
                       f"{type(error).__name__}: {error}")
        args = (_exc_info(loaded),)
    if event.trace is not None:
        _, value, _ = args[-1]
        value.__cause__ = RemoteTraceback(event.trace)
    return args


def _sub_test(test: Any, record: SubTestRecord) -> Any:
    message: Optional[Any] = record.message
    if message is None:
        message = getattr(unittest.case, "_subtest_msg_sentinel", None)
    return unittest.case._SubTest(  # type: ignore[attr-defined]
        test, message, record.params)
