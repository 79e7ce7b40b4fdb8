"""In a worker: what happens to its tests is sent as it happens.

Django's RemoteTestResult collects events, which a worker hands over when a
test case class is done: of a worker that died there would be nothing. Here
the list that they are appended to sends them; everything else about the class,
or about one of the project's own, stays as it is.
"""

import contextlib
import sys
import traceback
import unittest
from typing import Any, Callable, Dict, List, NamedTuple, Optional
from unittest.suite import _ErrorHolder  # type: ignore[attr-defined]

from forkserver.django.channel import PROTOCOL
from forkserver.originals import pickle


class Event(NamedTuple):
    """A call of the test runner's result, without the test.

    `index`: of the test in its suite. `holder`: the name of what stands in for
    a test, the set-up of a class for instance. `args`: pickled. `trace`: the
    traceback of an exception that goes without. `output`: what the test
    printed, standard output and error.
    """
    name: str
    index: int
    args: bytes
    holder: Optional[str] = None
    trace: Optional[str] = None
    output: Any = None


class SubTestRecord(NamedTuple):
    """What a sub-test is made of, but for its test. `message`: None if there
    is none."""
    message: Optional[str]
    params: Dict[str, Any]


class Shown:
    """Stands in for what cannot be pickled: it looks like that."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


Send = Callable[[Event], None]


def recording_runner(runner_class: Any, send: Send, buffer: bool) -> Any:
    """A subclass of Django's RemoteTestRunner, or of the project's."""
    result_class = runner_class.resultclass

    class Result(_Recorder, result_class):  # type: ignore[misc,valid-type]

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.events = _Events(self, send)
            self._capture = _Capture(buffer)

    class Runner(runner_class):  # type: ignore[misc,valid-type]
        resultclass = Result

    return Runner


class _Events(List[Any]):
    """What Django's classes take for the list of events."""

    def __init__(self, result: "_Recorder", send: Send) -> None:
        super().__init__()
        self._result = result
        self._send = send

    def append(self, event: Any) -> None:
        name, *rest = event
        if rest:
            index, *args = rest
            # Django's is that of the tests that were started.
            self.send(name, index + self._result._unstarted, args)

    def send(self, name: str, index: int, args: Any,
             holder: Optional[str] = None) -> None:
        result = self._result
        try:
            data = pickle.dumps(tuple(args), PROTOCOL)
        except Exception:  # pickle raises anything
            data = pickle.dumps(tuple(str(each) for each in args), PROTOCOL)
        trace, result._trace = result._trace, None
        self._send(Event(name, index, data, holder, trace,
                         result._take_output(name)))


class _Recorder:
    """In front of the result class. Makes what comes in fit to be sent."""

    _trace: Optional[str] = None
    _started: Any = None  # the test that was started last
    _unstarted = 0  # tests so far that were not
    _capture: "_Capture"
    events: _Events

    def addError(self, test: Any, err: Any) -> None:
        base: Any = super()
        err = self._portable(err)
        if isinstance(test, _ErrorHolder):
            # No test has begun, or the one before is over.
            self.events.send("addError", -1, [err], test.id())
            if getattr(self, "failfast", False):
                self.stop()  # type: ignore[attr-defined]
        else:
            if test is not self._started:
                # Its _pre_setup() raised: it is not going to be started.
                self._started = test
                self._unstarted += 1
            base.addError(test, err)

    def addSkip(self, test: Any, reason: Any) -> None:
        base: Any = super()
        if isinstance(test, _ErrorHolder):
            self.events.send("addSkip", -1, [str(reason)], test.id())
        else:
            base.addSkip(test, str(reason))

    def addFailure(self, test: Any, err: Any) -> None:
        base: Any = super()
        base.addFailure(test, self._portable(err))

    def addExpectedFailure(self, test: Any, err: Any) -> None:
        base: Any = super()
        base.addExpectedFailure(test, self._portable(err))

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:
        base: Any = super()
        if err is not None:
            err = self._portable(err)
            subtest = _sub_test_record(subtest)
        base.addSubTest(test, subtest, err)

    def startTest(self, test: Any) -> None:
        base: Any = super()
        self._started = test
        base.startTest(test)
        self._capture.start()

    def stopTest(self, test: Any) -> None:
        base: Any = super()
        # unittest lets it pass without a word, and it ends this process.
        if type(sys.exc_info()[1]) is KeyboardInterrupt:  # not Stopped
            self.addError(test, sys.exc_info())
        self._capture.stop()
        base.stopTest(test)

    # The suite calls these around the set-up of classes and modules.
    def _setupStdout(self) -> None:
        self._capture.start()

    def _restoreStdout(self) -> None:
        self._capture.stop()

    def _portable(self, err: Any) -> Any:
        """The exception with its traceback, if tblib is there; else the
        exception alone, or what looks like it, and the traceback as text."""
        kind, value, trace = err
        # Where it is printed the frames of unittest are not known as such.
        trace = _without_unittest(trace, issubclass(kind, AssertionError))
        with contextlib.suppress(Exception):
            err = kind, value.with_traceback(trace), trace
            copy = pickle.loads(pickle.dumps(err, PROTOCOL))
            # Not each version of tblib carries what was being handled.
            if _length_of_chain(copy[1]) == _length_of_chain(value):
                return err
        text = "".join(traceback.format_exception(kind, value, trace))
        with contextlib.suppress(Exception):
            if type(pickle.loads(pickle.dumps(value, PROTOCOL))) is kind:
                self._trace = text
                return kind, value, None
        from forkserver.calls import RemoteError
        stand_in = RemoteError(f"{kind.__qualname__}: {value}")
        stand_in.type_name = kind.__qualname__
        self._trace = text
        return RemoteError, stand_in, None

    def _take_output(self, name: str) -> Any:
        if name in ("addError", "addFailure", "addSubTest"):
            return self._capture.take()
        return None


def _without_unittest(trace: Any, assertion: bool) -> Any:
    """As unittest does it: without its frames in front, and for a failed
    assertion without those at the end."""
    while trace is not None and _is_unittest(trace):
        trace = trace.tb_next
    last = trace
    while assertion and last is not None and last.tb_next is not None:
        if _is_unittest(last.tb_next):
            last.tb_next = None
        last = last.tb_next
    return trace


def _length_of_chain(error: Optional[BaseException]) -> int:
    """How many exceptions are shown with it, itself included."""
    seen = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if error.__cause__ is not None or error.__suppress_context__:
            error = error.__cause__
        else:
            error = error.__context__
    return len(seen)


def _is_unittest(trace: Any) -> bool:
    return "__unittest" in trace.tb_frame.f_globals


def _sub_test_record(subtest: Any) -> Any:
    sentinel = getattr(unittest.case, "_subtest_msg_sentinel", None)
    message = getattr(subtest, "_message", sentinel)
    return SubTestRecord(
        None if message is sentinel else str(message),
        {str(key): _shown(value) for key, value
         in dict(getattr(subtest, "params", {})).items()})


def _shown(value: Any) -> Any:
    try:
        pickle.loads(pickle.dumps(value, PROTOCOL))
        return value
    except Exception:  # pickle raises anything
        return Shown(repr(value))


class _Capture:
    """--buffer: holds back what tests print. unittest.TestResult does the
    work: that of Django 3.2's workers is none."""

    def __init__(self, wanted: bool) -> None:
        self._result: Any = unittest.TestResult()
        self._result.buffer = wanted

    def start(self) -> None:
        self._result._setupStdout()

    def stop(self) -> None:
        self._result._restoreStdout()

    def take(self) -> Any:
        """(standard output, standard error) so far, or None."""
        streams = (self._result._stdout_buffer, self._result._stderr_buffer)
        if not self._result.buffer or None in streams:
            return None
        texts = []
        for stream in streams:
            texts.append(stream.getvalue())
            stream.seek(0)
            stream.truncate()
        return tuple(texts) if any(texts) else None
