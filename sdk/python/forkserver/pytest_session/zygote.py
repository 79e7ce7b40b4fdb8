"""In zygotes: the session, collected and with its fixtures set up."""

import functools
import sys
from typing import Any, Dict, List, NamedTuple, Optional

import pytest

from forkserver import (coverage_relay, event_pipe, inherited_descriptors,
                        inherited_process)
from forkserver.pytest_session import django_databases, session, units
from forkserver.pytest_session.fixtures import Unsafe
from forkserver.pytest_session.relay import Relay, to_basic
from forkserver.pytest_session.session import Warmed
from forkserver.zygote_host import state


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


warmed: Optional[Warmed] = None


def load() -> None:
    """The preload step of the session zygote: configuration, collection and
    session fixtures. What comes of it is told in events."""
    global warmed  # pylint: disable=global-statement
    request = Request(*event_pipe.read_request())
    events = event_pipe.EventWriter(event_pipe.CHILD_FD)
    coverage_relay.start(request.coverage)
    sys.argv = list(request.argv)
    inherited_descriptors.begin()
    try:
        config = session.prepare(request.args, request.worker_input)
        warmed = session.start(config, Relay(config, events))
        config.pluginmanager.register(warmed.loop, "forkserver-loop")
        state.at_end.append(functools.partial(_finish, warmed))
        items = session.collect(warmed)
        _tell_plan(warmed, items, request.scope)
        unsafe: List[Unsafe] = []
        if not _has_failed(warmed):
            unsafe = session.set_up(warmed, warmed.session, items,
                                    ["session"], request.excluded,
                                    [events.fileno()], with_databases=True)
        session.suspend(warmed, items)
        _tell_missing(warmed)
        inherited_process.remember()
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
    unsafe = session.set_up(
        warmed, items[0].getparent(pytest.File), items, ["package", "module"],
        [*warmed.excluded, *request.excluded], [events.fileno()],
        with_databases=True)
    state.at_end.append(functools.partial(_finish_file, warmed))
    session.suspend(warmed, items)
    inherited_process.remember()
    _tell_unsafe(events, unsafe)


def resume(warm: Warmed, events: event_pipe.EventWriter) -> None:
    """In a process forked from a zygote: what is of that process."""
    inherited_process.restore()
    warm.plugin.events = events
    session.resume(warm)
    session.capture_again(warm)


def _tell_unsafe(events: event_pipe.EventWriter,
                 unsafe: List[Unsafe]) -> None:
    for each in unsafe:
        events.send("unsafe", *each)
    if unsafe:
        # The main process starts another one, without them.
        assert warmed is not None
        _tear_down(warmed)
        raise RuntimeError("; ".join(each.text for each in unsafe))


def _tell_missing(warm: Warmed) -> None:
    """The descriptors of modules that workers do not have."""
    events = warm.plugin.events
    missing = inherited_descriptors.remember([events.fileno()])
    for number, text in missing.items():
        events.send("missing", number, text, warm.plugin.opened.get(number))


def _tell_plan(warm: Warmed, items: List[Any], scope: str) -> None:
    warm.plugin.events.send("plan", to_basic(units.make_plan(items, scope)))
    for name in ("lfplugin", "stepwiseplugin"):
        plugin = warm.config.pluginmanager.getplugin(name)
        for attribute in ("_report_status", "report_status"):
            if hasattr(plugin, attribute):
                warm.plugin.events.send("status", name, attribute,
                                        getattr(plugin, attribute))


def _has_failed(warm: Warmed) -> bool:
    return bool(warm.session.testsfailed and
                not warm.config.option.continue_on_collection_errors)


def _tear_down(warm: Warmed) -> None:
    """Fixtures of this process; the main process is told of what they
    raise."""
    report = session.tear_down(warm)
    if report is not None:
        warm.plugin.pytest_runtest_logreport(report=report)


def _finish_file(warm: Warmed) -> None:
    """At the end of a zygote for a file."""
    _tear_down(warm)
    warm.plugin.events.send("torn_down")
    coverage_relay.finish()


def _finish(warm: Warmed) -> None:
    """At the end of the session zygote."""
    if django_databases.are_made(warm.session):
        django_databases.drop_clones(warm.session,
                                     warm.config.workerinput["workercount"])
    _tear_down(warm)
    warm.plugin.events.send("torn_down")
    session.finish(warm)
    coverage_relay.finish()
