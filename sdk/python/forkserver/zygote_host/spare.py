"""The life of a spare: a worker that was forked before there was a request."""

import contextlib
import os
import pickle
import signal
import socket
import time

from forkserver import call_wire
from forkserver.errors import Error, StaleEnvironment
from forkserver.protocol.framing import (Frame, FrameReader, Received,
                                         encode_request, write_report)
from forkserver.protocol.messages import ForkWorker, Setup
from forkserver.protocol.reports import encode_failed
from forkserver.zygote_host import call_entry, entries, system
from forkserver.zygote_host.context import WorkerContext
from forkserver.zygote_host.streams import flush_streams
from forkserver.zygote_host.worker import (SETUP_FAILED_EXIT_CODE, ForkParent,
                                           Worker, become_process,
                                           become_worker, plan_worker)


def live_as_spare(parent: ForkParent, channel: socket.socket,
                  crash_slot: int) -> Worker:
    """In the child: waits for the request, and becomes its worker. Does not
    return if none comes, or if it cannot be fulfilled."""
    if not system.set_parent_death_signal(signal.SIGKILL, parent.pid):
        os._exit(0)
    try:
        parent.signals.restore_in_child()
        system.close_all_but([0, 1, 2, channel.fileno(), parent.report_fd,
                              parent.null_fd, *parent.crashes.fds])
        _run_dry(parent)
        frame = _wait(channel)
    except BaseException:  # pylint: disable=broad-except
        os._exit(SETUP_FAILED_EXIT_CODE)
    started_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    channel.detach()
    request = frame.decode(ForkWorker)
    try:
        plan = plan_worker(parent, request, frame.fds)
    except Error as error:
        write_report(parent.report_fd,
                     encode_failed(request.worker, os.getpid(), error))
        os._exit(SETUP_FAILED_EXIT_CODE)
    return become_worker(parent, plan, started_ns, crash_slot)


def _wait(channel: socket.socket) -> Frame:
    reader = FrameReader()
    while True:
        frame = reader.next()
        if frame is not None:
            return frame
        if reader.receive(channel) is Received.CLOSED:
            os._exit(0)


def _run_dry(parent: ForkParent) -> None:
    """What a request takes, without effect: the pages that it writes are this
    process's own then."""
    setup = Setup(cwd="/", env=[f"{name}={value}"
                                for name, value in os.environ.items()],
                  entry=entries.names()[0])
    reader = FrameReader()
    reader.feed(encode_request(ForkWorker(worker="", setup=setup.encode())))
    frame = reader.next()
    assert frame is not None
    # A preload step may have changed a variable that is frozen.
    with contextlib.suppress(StaleEnvironment):
        plan = plan_worker(parent, frame.decode(ForkWorker), [])
        become_process(parent, plan.environment, ())
    call_entry.run(WorkerContext("", "call", call_wire.encode_header(
        None, None, pickle.dumps((len, ("",), {})), -1), []))
    flush_streams()
