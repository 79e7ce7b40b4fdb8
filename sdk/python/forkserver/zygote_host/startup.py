"""From the start of the process to `zygote_ready`."""

import faulthandler
import sys
from typing import Any, Callable, List, NamedTuple, Optional

from forkserver import hooks
from forkserver.errors import Error, VersionMismatch, make_error
from forkserver.originals import gc, os
from forkserver.protocol import MAX_PROTOCOL, MIN_PROTOCOL
from forkserver.protocol.framing import (Frame, FrameReader, FrameWriter,
                                         Received, encode_request)
from forkserver.protocol.messages import (Configure, ErrorBody, Retire,
                                          ZygoteFailed, ZygoteHello,
                                          ZygoteReady)
from forkserver.zygote_host import entries, fork_cost, refresh, state
from forkserver.zygote_host.channels import Channels, move_up
from forkserver.zygote_host.preload import Preloader, find_function
from forkserver.zygote_host.self_audit import SelfAudit
from forkserver.zygote_host.settings import Settings
from forkserver.zygote_host.spares import Spares
from forkserver.zygote_host.streams import flush_streams
from forkserver.zygote_host.thread_table import check_rules
from forkserver.zygote_host.tracebacks import describe_exception
from forkserver.zygote_host.version import SDK_NAME


class Prepared(NamedTuple):
    """A zygote that is ready."""
    configure: Configure
    refresh: List[Callable[[], Any]]
    after_fork: List[Callable[[], Any]]
    self_audit: SelfAudit
    null_fd: int
    spares: Spares
    ready: ZygoteReady


def start(channels: Channels, reader: FrameReader, settings: Settings
         ) -> Optional[Prepared]:
    """Says hello, preloads, freezes, says ready.

    None: it is not wanted any more, it exits. Raises Error: the daemon has
    been told, it exits.
    """
    writer = FrameWriter(channels.control)
    try:
        writer.send(encode_request(ZygoteHello(pid=os.getpid(),
                                               sdk=SDK_NAME)))
        frame = _read_frame(channels, reader)
        if frame is None or frame.type == Retire.TYPE:
            return None
        configure = _check_configure(frame)
        prepared = _prepare(channels, configure, settings, writer)
        writer.send(encode_request(prepared.ready))
    except (BrokenPipeError, ConnectionResetError):
        return None
    except Error as error:
        send_failed(writer, error)
        raise
    return prepared


def send_failed(writer: FrameWriter, error: Error) -> None:
    try:
        writer.send(encode_request(ZygoteFailed(
            ErrorBody.from_exception(error))))
    except OSError:
        pass  # the daemon is gone, or a step closed the socket


def _read_frame(channels: Channels, reader: FrameReader) -> Optional[Frame]:
    while True:
        frame = reader.next()
        if frame is not None:
            return frame
        if reader.receive(channels.control) is Received.CLOSED:
            return None


def _check_configure(frame: Frame) -> Configure:
    if frame.type != Configure.TYPE:
        raise make_error("zygote_failed",
                         f"expected configure, got {frame.type}")
    configure = frame.decode(Configure)
    if not MIN_PROTOCOL <= configure.protocol <= MAX_PROTOCOL:
        raise VersionMismatch(
            f"forkserverd chose protocol {configure.protocol}, this zygote "
            f"speaks {MIN_PROTOCOL} to {MAX_PROTOCOL}",
            hint="install the package of this forkserverd")
    return configure


def _prepare(channels: Channels, configure: Configure, settings: Settings,
             writer: FrameWriter) -> Prepared:
    null_fd = move_up(os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC))
    # An older daemon would not hand requests to them.
    spares = Spares(configure.spares_min,
                    configure.spares_max if configure.takes_spares else 0)
    own_fds = [channels.control.fileno(), channels.report_fd, null_fd]
    # The user's first; then those of the daemon's table.
    rules = check_rules(settings.known_threads) + check_rules(
        {"library": pattern} for pattern in configure.surviving)

    def tell(error: Error) -> None:
        send_failed(writer, error)

    if state.preloader is None:
        state.preloader = Preloader(rules, settings.main, own_fds, tell)
    else:
        state.preloader.become(rules, settings.main, own_fds, tell)
    preloader = state.preloader
    state.tests = settings.tests
    if settings.faulthandler:
        faulthandler.enable()

    refresh.resume_event_loops()  # of the zygote that this one is forked from
    preloader.run(configure.preload)
    _check_own(channels)
    _run_before_freeze(settings)
    threads = preloader.note_threads()
    after_fork = [*refresh.after_fork_functions(),
                  *(_hook(name) for name in settings.after_fork),
                  *hooks.after_fork_hooks]
    flush_streams()
    _forget_missing_folders()
    gc.collect()
    gc.freeze()
    fork_cost.make_forks_cheap()
    self_audit = SelfAudit(configure.ask)
    # Of a nested zygote only its own steps.
    first = len(preloader.reports) - len(configure.preload)
    return Prepared(
        configure, refresh.at_fork_functions(), after_fork, self_audit, null_fd,
        spares, ZygoteReady(
            entries.names(), preloader.reports[first:], threads, own_fds,
            self_audit.answers))


def _forget_missing_folders() -> None:
    """A folder of sys.path that is not there is not looked at again by whoever
    has missed it: a worker shall see one that has been made since."""
    for name, finder in list(sys.path_importer_cache.items()):
        if finder is None:
            del sys.path_importer_cache[name]


def _check_own(channels: Channels) -> None:
    for fd in (channels.control.fileno(), channels.report_fd):
        try:
            os.fstat(fd)
        except OSError:
            raise make_error(
                "zygote_failed", "a preload step closed the descriptors of "
                "the zygote", hint="close only what you opened") from None


def _run_before_freeze(settings: Settings) -> None:
    named = [(name, _hook(name)) for name in settings.before_freeze]
    own = [(_name_of(hook), hook) for hook in hooks.before_freeze_hooks]
    # A nested zygote runs its own only.
    hooks.before_freeze_hooks.clear()
    for name, hook in [("Django's connections", refresh.before_freeze),
                       *named, *own]:
        try:
            hook()
        except BaseException as error:
            raise make_error(
                "zygote_failed",
                f"hook before_freeze {name}: {describe_exception(error)}",
                step=f"before_freeze {name}") from None


def _hook(name: str) -> Callable[[], Any]:
    try:
        hook = find_function(name)
    except Exception as error:
        raise make_error("zygote_failed",
                         f"hook {name}: {describe_exception(error)}",
                         step=f"hook {name}") from None
    if not callable(hook):
        raise make_error("zygote_failed", f"hook {name} is not callable",
                         step=f"hook {name}")
    return hook  # type: ignore[no-any-return]


def _name_of(hook: Callable[[], Any]) -> str:
    return (f"{getattr(hook, '__module__', '?')}:"
            f"{getattr(hook, '__qualname__', repr(hook))}")
