"""The entry of a worker: runs items of the warmed session."""

from contextlib import suppress
from typing import Any, List, NamedTuple

import pytest

from forkserver import coverage_relay, event_pipe, inherited_process
from forkserver.originals import os, pickle
from forkserver.pytest_session import (descriptors, django_databases,
                                       zygote)
from forkserver.pytest_session.fixtures import heard

ENTRY = "forkserver.pytest_session.worker:run"


class Request(NamedTuple):
    """`items`: their indices. `lane`: the number from 1 that no other worker has
    meanwhile. `fresh`: nothing is left there of the one before."""
    items: List[int]
    lane: int
    fresh: bool


def run(context: Any) -> int:
    """`args`: a pickled Request. Sends ("item", index) before each item, what
    Relay sends, and ("done",) at last."""
    request = Request(*pickle.loads(context.args))
    events = event_pipe.EventWriter(event_pipe.CHILD_FD)
    event_pipe.report_crashes()
    warm = zygote.warmed
    assert warm is not None
    zygote.resume(warm, events)
    # As of pytest-xdist: of all workers that run one has it.
    warm.config.workerinput["workerid"] = f"gw{request.lane - 1}"
    descriptors.use_own_streams(warm.config)
    descriptors.reconnect(warm.config)
    _go_on_measuring(warm.config)
    inherited_process.thaw()
    session = warm.session
    if django_databases.are_made(session):
        django_databases.turn_to_clones(session, request.lane, request.fresh)
    warm.loop.choose(events, request.items)
    interrupted = None  # the item
    try:
        # Plugins wrap this hook: logging, coverage.
        warm.config.hook.pytest_runtestloop(session=session)
    except pytest.exit.Exception as error:
        events.send("exit", str(error.msg), error.returncode)
    except KeyboardInterrupt:
        interrupted = warm.loop.item
        info: Any = pytest.ExceptionInfo.from_current()
        events.send("interrupted", interrupted.nodeid,
                    str(info.getrepr().reprcrash))
    finally:
        if interrupted is not None:
            # Nobody waits for what it prints or raises.
            with heard(interrupted, "teardown"), suppress(Exception):
                session._setupstate.teardown_exact(None)
        else:
            session._setupstate.teardown_exact(None)
        coverage_relay.finish()
    if session.shouldstop:
        events.send("shouldstop", str(session.shouldstop))
    events.send("done")
    return 0


def _go_on_measuring(config: Any) -> None:
    """pytest-cov takes a process that was forked for one of a test, and would
    measure it anew, without the contexts of tests."""
    plugin = config.pluginmanager.getplugin("_cov")
    if hasattr(plugin, "pid"):
        plugin.pid = os.getpid()
