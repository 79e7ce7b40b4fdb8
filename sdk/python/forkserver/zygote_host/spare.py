"""The life of a spare: a worker that was forked before there was a request."""

from typing import List, NamedTuple, Tuple

from forkserver import call_wire
from forkserver.errors import Error
from forkserver.originals import os, pickle, signal, socket, time
from forkserver.protocol.framing import (Frame, FrameReader, Received,
                                         encode_request, receive_with_fds,
                                         write_report)
from forkserver.protocol.messages import ForkWorker, Setup
from forkserver.protocol.reports import encode_failed
from forkserver.zygote_host import call_entry, entries, system
from forkserver.zygote_host.context import WorkerContext
from forkserver.zygote_host.environment import EnvironmentReplacer
from forkserver.zygote_host.streams import flush_streams
from forkserver.zygote_host.worker import (SETUP_FAILED_EXIT_CODE, ForkParent,
                                           Worker, fulfil, leave_zygote,
                                           plan_worker, refresh,
                                           report_started, set_up)


class Spare(NamedTuple):
    """A child that is to wait for a request."""
    parent: ForkParent
    channel: socket.socket
    crash_slot: int


def live_as_spare(spare: Spare) -> Worker:
    """In the child: waits for the request, and becomes its worker. Does not
    return if none comes, or if it cannot be fulfilled."""
    if not system.set_parent_death_signal(signal.SIGKILL, spare.parent.pid):
        os._exit(0)
    try:
        crash_fds = leave_zygote(spare.parent, spare.crash_slot)
        refresh(spare.parent)
        parent, channel = _park(spare, crash_fds)
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
    return fulfil(parent, plan, started_ns, crash_fds)


def _wait(channel: socket.socket) -> Frame:
    reader = FrameReader()
    while True:
        frame = reader.next()
        if frame is not None:
            return frame
        if reader.receive(channel) is Received.CLOSED:
            os._exit(0)


def _park(spare: Spare, crash_fds: List[int]
         ) -> Tuple[ForkParent, socket.socket]:
    """Fulfils a request that asks for what it has: what a real one changes is
    little then, and the pages that it writes are this process's own."""
    parent = spare.parent
    setup = Setup(cwd="/", env=[f"{name}={value}" for name, value in
                                parent.frozen.environment.items()],
                  entry=entries.names()[0])
    reader = FrameReader()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.send(b"x")
        receive_with_fds(theirs)
    reader.feed(encode_request(ForkWorker(worker="", setup=setup.encode())))
    frame = reader.next()
    assert frame is not None
    plan = plan_worker(parent, frame.decode(ForkWorker), [])
    plan = plan._replace(
        # Of whoever forked it, until a request says which is its own.
        setup=plan.setup._replace(group=None),
        kept=[parent.report_fd, parent.null_fd, spare.channel.detach()])
    report_fd, null_fd, channel_fd = set_up(parent, plan, crash_fds)
    report_started(null_fd, plan, 0)
    call_entry.run(WorkerContext("", "call", call_wire.encode_header(
        None, None, pickle.dumps((len, ("",), {})), -1), []))
    flush_streams()
    return parent._replace(
        report_fd=report_fd, null_fd=null_fd,
        environment=EnvironmentReplacer()), socket.socket(fileno=channel_fd)
