"""In zygotes: the session, collected and with its fixtures set up."""

import atexit
import os
import sys
from typing import Any, Dict, List, NamedTuple, Optional

import pytest
from _pytest.config import _prepareconfig
from _pytest.terminal import TerminalWriter

from forkserver import coverage_relay, event_pipe, inherited_process
from forkserver.pytest_session import units
from forkserver.pytest_session.fixtures import EarlyFixtures, Unsafe
from forkserver.pytest_session.interrupts import interrupts
from forkserver.pytest_session.relay import Relay, to_basic


class Request(NamedTuple):
    """What the main process wants of the session zygote."""
    args: List[str]
    argv: List[str]
    scope: str
    excluded: List[str]  # fixtures, by the keys of Unsafe
    worker_input: Dict[str, Any]
    coverage: Optional[bytes]


class FileRequest(NamedTuple):
    """The same of a zygote for a file."""
    file: str
    excluded: List[str]


class Warmed:
    """The session of this process."""

    def __init__(self, config: Any, session: Any, relay: Relay) -> None:
        self.config = config
        self.session = session
        self.relay = relay
        self.excluded: List[str] = []


warmed: Optional[Warmed] = None


class _Null:
    """Where the zygote's terminal reporter writes. It has no descriptor that
    a worker would miss."""

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        pass


def load() -> None:
    """The preload step of the session zygote: configuration, collection and
    session fixtures. What comes of it is told in events."""
    global warmed  # pylint: disable=global-statement
    request = Request(*event_pipe.read_request())
    events = event_pipe.EventWriter(event_pipe.CHILD_FD)
    coverage_relay.start(request.coverage)
    sys.argv = list(request.argv)
    try:
        warmed = _configure(request, events)
        atexit.register(_finish, warmed)
        _collect(warmed, request.scope)
        unsafe: List[Unsafe] = []
        if not _has_failed(warmed):
            unsafe = _set_up(warmed, warmed.session, warmed.session.items,
                             ["session"], request.excluded)
        _suspend(warmed, warmed.session.items)
    except pytest.UsageError as error:
        events.send("usage_error", [str(each) for each in error.args])
        raise
    except pytest.exit.Exception as error:
        events.send("exit", str(error.msg), error.returncode)
        raise
    _tell_unsafe(events, unsafe)


def load_file() -> None:
    """The preload step of a zygote for a file: its module fixtures."""
    assert warmed is not None
    request = FileRequest(*event_pipe.read_request())
    events = event_pipe.EventWriter(event_pipe.CHILD_FD)
    resume(warmed, events)
    items = [item for item in warmed.session.items
             if units.file_of(item) == request.file]
    unsafe = _set_up(warmed, items[0].getparent(pytest.File), items,
                     ["package", "module"],
                     [*warmed.excluded, *request.excluded])
    atexit.register(_finish_file, warmed)
    _suspend(warmed, items)
    _tell_unsafe(events, unsafe)


def _tell_unsafe(events: event_pipe.EventWriter,
                 unsafe: List[Unsafe]) -> None:
    for each in unsafe:
        events.send("unsafe", *each)
    if unsafe:
        # The main process starts another one, without them.
        assert warmed is not None
        _tear_down(warmed)
        raise RuntimeError("; ".join(each.text for each in unsafe))


def _configure(request: Request, events: event_pipe.EventWriter) -> Warmed:
    config: Any = _prepareconfig(list(request.args), None)
    # The sign by which plugins know that there is another process with the
    # terminal and the reports: that of pytest-xdist.
    config.workerinput = request.worker_input
    config.workeroutput = {}
    relay = Relay(config, events)
    config.pluginmanager.register(relay, "forkserver-relay")
    session: Any = pytest.Session.from_config(config)
    session.exitstatus = pytest.ExitCode.OK
    config._do_configure()
    reporter = config.pluginmanager.getplugin("terminalreporter")
    if reporter is not None:
        null: Any = _Null()
        reporter._tw = TerminalWriter(null)
    config.hook.pytest_sessionstart(session=session)
    factory = getattr(config, "_tmp_path_factory", None)
    if factory is not None:
        factory.getbasetemp()  # one for all workers
    return Warmed(config, session, relay)


def _collect(warm: Warmed, scope: str) -> None:
    try:
        warm.config.hook.pytest_collection(session=warm.session)
    except (warm.session.Interrupted, warm.session.Failed):
        pass  # the main process hears of the errors, and decides the same
    if not hasattr(warm.session, "items"):
        warm.session.items = []
    items = warm.session.items
    warm.relay.events.send("plan", to_basic(units.make_plan(items, scope)))
    for name in ("lfplugin", "stepwiseplugin"):
        plugin = warm.config.pluginmanager.getplugin(name)
        for attribute in ("_report_status", "report_status"):
            if hasattr(plugin, attribute):
                warm.relay.events.send("status", name, attribute,
                                       getattr(plugin, attribute))


def _has_failed(warm: Warmed) -> bool:
    return bool(warm.session.testsfailed and
                not warm.config.option.continue_on_collection_errors)


def _set_up(warm: Warmed, node: Any, items: List[Any], scopes: List[str],
            excluded: List[str]) -> List[Unsafe]:
    capture = warm.config.pluginmanager.getplugin("capturemanager")
    warm.excluded = list(excluded)
    capture.resume_global_capture()
    try:
        fixtures = EarlyFixtures(warm.session, scopes, excluded,
                                 [warm.relay.events.fileno()])
        return fixtures.set_up(node, items)
    finally:
        capture.suspend_global_capture(in_=False)


def _suspend(warm: Warmed, items: List[Any]) -> None:
    """What is bound to descriptors, which no worker inherits."""
    capture = warm.config.pluginmanager.getplugin("capturemanager")
    if capture._global_capturing is not None:
        output = capture.read_global_capture()
        # As if it had been made in the set-up of the first test.
        for key, text in (("stdout", output.out), ("stderr", output.err)):
            if text and items:
                items[0].add_report_section("setup", key, text)
    capture.stop_global_capturing()
    inherited_process.remember()
    interrupts.hold_back()


def resume(warm: Warmed, events: event_pipe.EventWriter) -> None:
    """In a process forked from a zygote: what is of that process."""
    inherited_process.restore()
    warm.relay.events = events
    # What the zygote set up it also tears down, and nobody else.
    for finalizers, _ in warm.session._setupstate.stack.values():
        finalizers.clear()
    for fixtures in warm.session._fixturemanager._arg2fixturedefs.values():
        for fixture in fixtures:
            if fixture.cached_result is not None:
                # A test that uses it has it finished by the node again.
                fixture.finish = _keep
    capture = warm.config.pluginmanager.getplugin("capturemanager")
    capture.start_global_capturing()
    capture.suspend_global_capture(in_=False)


def _keep(request: Any) -> None:
    """The finish() of a fixture that is another process's."""


def _tear_down(warm: Warmed) -> None:
    """Fixtures of this process; the main process is told of what they
    raise."""
    capture = warm.config.pluginmanager.getplugin("capturemanager")
    if capture._global_capturing is None:
        capture.start_global_capturing()
    try:
        warm.session._setupstate.teardown_exact(None)
    except BaseException:  # pylint: disable=broad-except
        info: Any = pytest.ExceptionInfo.from_current()
        warm.relay.events.send("teardown_error", str(info.getrepr()))
    finally:
        capture.read_global_capture()
        capture.stop_global_capturing()


def _finish_file(warm: Warmed) -> None:
    """At the end of a zygote for a file."""
    _tear_down(warm)
    coverage_relay.finish()


def _finish(warm: Warmed) -> None:
    """At the end of the session zygote."""
    _tear_down(warm)
    os.chdir(str(warm.config.invocation_params.dir))
    warm.config.hook.pytest_sessionfinish(session=warm.session,
                                          exitstatus=warm.session.exitstatus)
    warm.config._ensure_unconfigure()
    coverage_relay.finish()
