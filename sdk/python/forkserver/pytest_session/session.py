"""A session of pytest in a zygote: started, collected, with fixtures set up
before there is a test to run; and what its workers need to go on from there."""

from typing import Any, Iterable, List

import pytest
from _pytest.config import _prepareconfig
from _pytest.terminal import TerminalWriter

from forkserver.originals import os
from forkserver.pytest_session import descriptors
from forkserver.pytest_session.captured_streams import CapturedStreams
from forkserver.pytest_session.fixtures import EarlyFixtures, Unsafe, heard
from forkserver.pytest_session.interrupts import interrupts
from forkserver.pytest_session.loop import Loop


class Warmed:
    """The session of this process. `plugin` hears what pytest tells."""

    def __init__(self, config: Any, session: Any, plugin: Any) -> None:
        self.config = config
        self.session = session
        self.plugin = plugin
        self.excluded: List[str] = []  # fixtures, by the keys of Unsafe
        self.items: List[Any] = []  # whose fixtures this process has set up
        self.streams = CapturedStreams()
        self.loop = Loop()


class _Null:
    """Where the zygote's terminal reporter writes. It has no descriptor that
    a worker would miss."""

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        pass


def prepare(args: Iterable[str], worker_input: Any) -> Any:
    """A config. Raises pytest.UsageError, and what conftest modules raise."""
    config: Any = _prepareconfig(list(args), None)
    # The sign by which plugins know that there is another process with the
    # terminal and the reports: that of pytest-xdist.
    config.workerinput = worker_input
    config.workeroutput = {}
    return config


def start(config: Any, plugin: Any) -> Warmed:
    """To the hook pytest_sessionstart."""
    config.pluginmanager.register(plugin, "forkserver-relay")
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
    return Warmed(config, session, plugin)


def collect(warm: Warmed) -> List[Any]:
    """The items. Errors are told to the plugin, and count as failures of the
    session."""
    try:
        warm.config.hook.pytest_collection(session=warm.session)
    except (warm.session.Interrupted, warm.session.Failed):
        pass  # because of errors
    if not hasattr(warm.session, "items"):
        warm.session.items = []
    items: List[Any] = warm.session.items
    return items


def set_up(warm: Warmed, node: Any, items: List[Any], scopes: List[str],
           excluded: List[str], own_fds: Iterable[int],
           with_databases: bool = False) -> List[Unsafe]:
    """Fixtures of `scopes` that `items` use."""
    warm.excluded = list(excluded)
    warm.items = items
    fixtures = EarlyFixtures(warm.session, scopes, excluded, own_fds,
                             with_databases)
    return fixtures.set_up(node, items) if items else []


def suspend(warm: Warmed, items: List[Any]) -> None:
    """What is bound to descriptors, which no worker inherits."""
    capture = _capture(warm.config)
    if capture is not None and capture._global_capturing is not None:
        warm.streams.note(capture._global_capturing)
        output = capture.read_global_capture()
        # As if it had been made in the set-up of the first test.
        for key, text in (("stdout", output.out), ("stderr", output.err)):
            if text and items:
                items[0].add_report_section("setup", key, text)
        capture.stop_global_capturing()
    descriptors.disconnect(warm.config)
    interrupts.hold_back()


def resume(warm: Warmed) -> None:
    """In a process forked from a zygote, before it captures anything."""
    # What the zygote set up it also tears down, and nobody else.
    for finalizers, _ in warm.session._setupstate.stack.values():
        finalizers.clear()
    for fixtures in warm.session._fixturemanager._arg2fixturedefs.values():
        for fixture in fixtures:
            if fixture.cached_result is not None:
                # A test that uses it has it finished by the node again.
                fixture.finish = _keep


def capture_again(warm: Warmed) -> None:
    """As the options say, with the descriptors of this process."""
    capture = _capture(warm.config)
    if capture is not None and capture._global_capturing is None:
        capture.start_global_capturing()
        warm.streams.revive(capture._global_capturing)
        capture.suspend_global_capture(in_=False)


def _capture(config: Any) -> Any:
    """None with `-p no:capture`."""
    return config.pluginmanager.getplugin("capturemanager")


def _keep(request: Any) -> None:
    """The finish() of a fixture that is another process's."""


def tear_down(warm: Warmed) -> Any:
    """Fixtures of this process. What they raise is the last test's error:
    returns the report that the hooks make of it, or None."""
    if not warm.items:
        return None
    last_item = warm.items[-1]
    capture_again(warm)

    def end() -> None:
        __tracebackhide__ = True  # pylint: disable=unused-variable
        warm.session._setupstate.teardown_exact(None)

    with heard(last_item, "teardown"):
        call: Any = pytest.CallInfo.from_call(end, "teardown")
    capture = _capture(warm.config)
    if capture is not None:
        capture.stop_global_capturing()
    if call.excinfo is None:
        return None
    return last_item.ihook.pytest_runtest_makereport(item=last_item, call=call)


def finish(warm: Warmed) -> None:
    """At the end of the process that started the session."""
    os.chdir(str(warm.config.invocation_params.dir))
    warm.config.hook.pytest_sessionfinish(session=warm.session,
                                          exitstatus=warm.session.exitstatus)
    warm.config._ensure_unconfigure()
