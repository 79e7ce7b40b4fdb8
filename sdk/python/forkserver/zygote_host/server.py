"""The blocking loop of a zygote."""

import sys
import warnings
from typing import NamedTuple, Optional, Sequence, Union

from forkserver.errors import (BadDescriptor, BadRequest, DescriptorLimit,
                               Error, LaunchFailed, Malformed, MissingKey,
                               ZygoteRetired)
from forkserver.originals import os, socket, time
from forkserver.protocol.fields import Message
from forkserver.protocol.framing import (Frame, FrameReader, FrameWriter,
                                         Received, encode_request,
                                         write_report)
from forkserver.protocol.messages import (ForkWorker, ForkZygote, Retire,
                                          SignalWorker, SpareParked,
                                          SpareSettled, SpareWithdrawn)
from forkserver.protocol.reports import encode_failed
from forkserver.zygote_host import startup, system
from forkserver.zygote_host.channels import Channels
from forkserver.zygote_host.children import Children
from forkserver.zygote_host.crash_reports import CrashReports
from forkserver.zygote_host.environment import (EnvironmentReplacer,
                                                FrozenEnvironment)
from forkserver.zygote_host.nested import NestedZygote, become_zygote
from forkserver.zygote_host.settings import Settings
from forkserver.zygote_host.signals import ZygoteSignals
from forkserver.zygote_host.spare import Spare
from forkserver.zygote_host.streams import StreamSettings, flush_streams
from forkserver.zygote_host.threads import count_threads
from forkserver.zygote_host.worker import (ForkParent, Worker, become_worker,
                                           plan_worker)

FAILED_EXIT_CODE = 125


class Exit(NamedTuple):
    """The zygote ends."""
    code: int


Outcome = Union[Exit, Worker, Spare, NestedZygote]


def run_zygote(channels: Channels, settings: Settings) -> Outcome:
    """One zygote from its hello to its end.

    In a forked child it returns too, with what the child is to be: nothing of
    the zygote's loop is on its stack then.
    """
    reader = FrameReader()
    try:
        prepared = startup.start(channels, reader, settings)
    except Error:
        return Exit(FAILED_EXIT_CODE)
    if prepared is None:
        return Exit(0)
    return _Server(channels, reader, prepared).run()


class _Server:

    def __init__(self, channels: Channels, reader: FrameReader,
                 prepared: startup.Prepared) -> None:
        self._control = channels.control
        self._report_fd = channels.report_fd
        self._reader = reader
        self._self_audit = prepared.self_audit
        self._refuse_unsafe = prepared.configure.audit_policy == "refuse"
        self._crashes = CrashReports(prepared.configure.crash_reports)
        self._children = Children(channels.report_fd, self._crashes)
        self._signals = ZygoteSignals(channels.control.fileno())
        self._retired = False
        self._spares = prepared.spares
        self._parent = ForkParent(
            os.getpid(), channels.report_fd, prepared.null_fd,
            FrozenEnvironment(channels.environment,
                              prepared.configure.freeze),
            EnvironmentReplacer(), StreamSettings(), prepared.refresh,
            prepared.after_fork, self._signals, self._crashes)

    def run(self) -> Outcome:
        system.prefer_short_slices()
        while True:
            if self._signals.child_ended:
                self._signals.child_ended = False
                self._children.collect_all()
                self._withdraw_ended_spares()
            if self._retired and not self._children:
                return Exit(0)
            if not self._signals.wait(self._spares.next_in()):
                spare = self._fork_spare()
                if spare is not None:
                    return spare
                continue
            try:
                if self._reader.receive(self._control) is Received.CLOSED:
                    self._children.kill_and_collect()
                    return Exit(0)
                outcome = self._handle_frames()
            except Error as error:
                _log(error)
                self._children.kill_and_collect()
                return Exit(FAILED_EXIT_CODE)
            if outcome is not None:
                return outcome

    def _handle_frames(self) -> Optional[Outcome]:
        for frame in self._reader:
            try:
                outcome = self._handle_frame(frame)
            except (Malformed, MissingKey, BadRequest) as error:
                _log(error)  # of this message only
                outcome = None
            if outcome is not None:
                return outcome
            frame.close_fds()
        return None

    def _handle_frame(self, frame: Frame) -> Optional[Outcome]:
        """What is not known is from a newer daemon, which can do without."""
        if frame.type == ForkWorker.TYPE:
            return self._fork_worker(frame)
        if frame.type == ForkZygote.TYPE:
            return self._fork_zygote(frame)
        if frame.type == SignalWorker.TYPE:
            body = frame.decode(SignalWorker)
            self._children.send_signal(body.worker, body.signal, body.group)
        elif frame.type == SpareSettled.TYPE:
            self._settle_spare(frame.decode(SpareSettled))
        elif frame.type == Retire.TYPE:
            self._retired = True
            self._spares.stop()
            # Those that became workers have been settled before.
            self._children.dismiss_all()
        return None

    def _fork_worker(self, frame: Frame) -> Optional[Worker]:
        body = frame.decode(ForkWorker)
        parent = self._parent
        self._spares.note_worker_started()
        try:
            self._check_fork(frame)
            plan = plan_worker(parent, body, frame.fds)
            slot = self._crashes.take()
            try:
                pid = _fork_quietly()
            except Error:
                self._crashes.give(slot)
                raise
        except Error as error:
            self._report_failed(body.worker, error)
            return None
        if pid == 0:
            forked_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
            self._control.detach()
            return become_worker(parent, plan, forked_ns, slot)
        self._crashes.forget_child()
        self._children.add(pid, body.worker, body.detach, slot, body.heir)
        return None

    def _fork_spare(self) -> Optional[Spare]:
        """If one is due. The daemon is given the way to it. In the child it
        returns with it."""
        if self._spares.next_in() != 0.0:
            return None
        try:
            if self._refuse_unsafe:
                self._self_audit.check()
        except Error:
            # These are what it was before, and it is not to be used any more.
            for pid in self._spares.take_all():
                self._send(SpareWithdrawn(pid))
            self._spares.postpone()
            return None
        try:
            ours, theirs = socket.socketpair()
        except OSError:
            self._spares.postpone()
            return None
        slot = self._crashes.take()
        try:
            pid = _fork_quietly()
        except Error:
            ours.close()
            theirs.close()
            self._crashes.give(slot)
            self._spares.postpone()
            return None
        if pid == 0:
            ours.detach()
            self._control.detach()
            return Spare(self._parent, theirs, slot)
        self._crashes.forget_child()
        self._children.add_spare(pid, slot)
        with ours, theirs:
            if self._send(SpareParked(pid), [ours.fileno()]):
                self._spares.add(pid)
            else:
                self._children.dismiss(pid)
                self._spares.postpone()
        return None

    def _settle_spare(self, body: SpareSettled) -> None:
        """The daemon says what has become of one."""
        self._spares.remove(body.pid)
        if body.worker:
            self._children.become_worker(body.pid, body.worker, body.heir)
            self._spares.note_worker_started()
        else:
            self._children.dismiss(body.pid)
            self._spares.postpone()

    def _withdraw_ended_spares(self) -> None:
        for pid in self._children.take_ended_spares():
            self._spares.remove(pid)
            self._send(SpareWithdrawn(pid))

    def _send(self, body: Message, fds: Sequence[int] = ()) -> bool:
        """To the daemon. False: it is gone, or the descriptors cannot be sent
        now."""
        try:
            FrameWriter(self._control).send(
                encode_request(body, fds=len(fds)), fds)
        except OSError:
            return False
        return True

    def _fork_zygote(self, frame: Frame) -> Optional[NestedZygote]:
        body = frame.decode(ForkZygote)
        try:
            self._check_fork(frame)
            if len(frame.fds) < 2:
                raise BadDescriptor(
                    "the request for a zygote has no channels")
            pid = _fork_quietly()
        except Error as error:
            self._report_failed(body.worker, error)
            return None
        if pid == 0:
            self._control.detach()
            return become_zygote(self._parent, body, frame.fds)
        self._children.add(pid, body.worker, False)
        return None

    def _report_failed(self, worker: str, error: Error) -> None:
        write_report(self._report_fd, encode_failed(worker, 0, error))

    def _check_fork(self, frame: Frame) -> None:
        if self._retired:
            raise ZygoteRetired(
                "the zygote is retired and forks no more workers")
        if not frame.complete:
            raise DescriptorLimit(
                "the zygote could not receive all descriptors of the request",
                step="recvmsg", hint="raise the zygote's limit of open files")
        if self._refuse_unsafe:
            self._self_audit.check()


def _fork_quietly() -> int:
    """os.fork() without Python 3.12's warning that there are threads: they
    are known to be safe. As an error the warning would hide the child."""
    flush_streams()
    try:
        if sys.version_info < (3, 12) or count_threads() == 1:
            return os.fork()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            return os.fork()
    except OSError as error:
        raise LaunchFailed("the zygote could not fork", step="fork",
                           errno=error.errno or 0) from None


def _log(error: Error) -> None:
    print(f"forkserver: zygote: {error}", file=sys.stderr, flush=True)
