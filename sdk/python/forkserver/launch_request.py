"""From the arguments of a call to a request with its descriptors."""

import signal
from typing import (Any, Collection, Dict, Generic, List, Mapping, Optional,
                    Sequence, Tuple, TypedDict, TypeVar, Union)

from forkserver.durations import milliseconds
from forkserver.errors import BadRequest
from forkserver.process_setup import (Descriptor, FdTable, StrOrPath,
                                      absolute_path, fingerprint, make_setup,
                                      program, texts)
from forkserver.protocol.messages import (Fork, Setup, Spawn, Stop, Upgrade,
                                          ZygoteStart)
from forkserver.protocol.text import to_text

R = TypeVar("R", Spawn, Fork, ZygoteStart)


class Prepared(Generic[R]):
    """A request, and copies of its descriptors, which it owns until they are
    taken."""

    def __init__(self, body: R, table: FdTable) -> None:
        self.body: R = body
        self._table = table

    def take_fds(self) -> List[int]:
        fds, self._table.fds = self._table.fds, []
        return fds

    def close(self) -> None:
        self._table.close()


class SetupOptions(TypedDict, total=False):
    """What Client.spawn() documents, for those who check types."""
    env: Optional[Mapping[Any, Any]]
    cwd: Optional[StrOrPath]
    umask: Optional[int]
    limits: Optional[Mapping[str, Union[int, Tuple[int, int]]]]
    nice: Optional[int]
    group: str
    cpus: Collection[int]
    io_priority: Union[None, str, Tuple[str, int]]
    oom_score_adj: Optional[int]
    no_new_privs: bool


class ProcessOptions(SetupOptions, total=False):
    fds: Optional[Mapping[int, Descriptor]]


class WorkerOptions(ProcessOptions, total=False):
    stdin: Optional[Descriptor]
    stdout: Optional[Descriptor]
    stderr: Optional[Descriptor]
    name: str
    timeout: Optional[float]
    stop_signal: int
    grace: float
    detach: bool
    memory_max_bytes: int
    tasks_max: int
    cpu_max_percent: int
    crash_report: bool
    report_leftovers: bool


class ForkOptions(WorkerOptions, total=False):
    argv: Sequence[StrOrPath]
    args: bytes
    result: Optional[Descriptor]


class ZygoteOptions(ProcessOptions, total=False):
    preload: Sequence[str]
    parent: str
    freeze: Sequence[str]
    keep: bool
    replace: bool
    audit_policy: str
    entry_deadline: float
    grace: float
    spares: Tuple[int, int]
    binary: Optional[str]
    args: bytes


# What make_setup() takes.
SETUP: Dict[str, Any] = {
    "env": None, "cwd": None, "umask": None, "limits": None, "nice": None,
    "group": "process_group", "cpus": (), "io_priority": None,
    "oom_score_adj": None, "no_new_privs": False}
_PROCESS = dict(SETUP, fds=None)
_WORKER = dict(_PROCESS, stdin=None, stdout=None, stderr=None, name="",
               timeout=None, stop_signal=15, grace=5.0, detach=False,
               memory_max_bytes=0, tasks_max=0, cpu_max_percent=0,
               crash_report=False, report_leftovers=False)
_FORK = dict(_WORKER, argv=(), args=b"", result=None)
_ZYGOTE = dict(_PROCESS, preload=(), parent="", freeze=(), keep=False,
               replace=False, audit_policy="refuse", entry_deadline=10.0,
               grace=5.0, spares=(0, 0), binary=None, args=b"")


class Options:
    """The options of one call, as attributes; defaults for the others."""

    def __init__(self, call: str, defaults: Mapping[str, Any],
                 given: Mapping[str, Any]) -> None:
        for name in given:
            if name not in defaults:
                raise TypeError(f"{call}() has no option {name!r}; it has " +
                                ", ".join(defaults))
        self.__dict__.update(defaults)
        self.__dict__.update(given)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)

    def setup(self, argv: List[str]) -> Any:
        return make_setup(argv,
                          **{name: getattr(self, name) for name in SETUP})

    def worker_policy(self) -> Dict[str, Any]:
        timeout_ms = 0
        if self.timeout is not None:
            timeout_ms = milliseconds(self.timeout, "timeout")
            if timeout_ms == 0:
                raise BadRequest("timeout must be more than 0 s",
                                 hint="for none leave it out")
        return {
            "name": to_text(self.name, "name"),
            "timeout_ms": timeout_ms,
            "grace_ms": milliseconds(self.grace, "grace"),
            "detach": boolean(self.detach, "detach"),
            "watch": not self.detach,
            "crash_report": boolean(self.crash_report, "crash_report"),
            "report_leftovers": boolean(self.report_leftovers,
                                        "report_leftovers"),
            "stop_signal": signal_number(self.stop_signal, "stop_signal"),
            "memory_max_bytes": self.memory_max_bytes,
            "tasks_max": self.tasks_max,
            "cpu_max_percent": self.cpu_max_percent,
        }

    def bytes_of_args(self) -> bytes:
        if not isinstance(self.args, (bytes, bytearray, memoryview)):
            raise BadRequest("args must be bytes, not "
                             f"{type(self.args).__name__}")
        return bytes(self.args)


def signal_number(value: Any, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadRequest(f"{what} must be the number of a signal, not "
                         f"{value!r}")
    if not 1 <= value < signal.NSIG:
        raise BadRequest(f"{what} is not between 1 and {signal.NSIG - 1}: "
                         f"{int(value)}")
    return int(value)


def boolean(value: Any, what: str) -> bool:
    if not isinstance(value, bool):
        raise BadRequest(f"{what} must be True or False, not {value!r}")
    return value


def prepare_spawn(argv: Any, given: Mapping[str, Any],
                  call: str = "spawn") -> "Prepared[Spawn]":
    """Raises BadRequest, BadDescriptor, TooManyDescriptors."""
    options = Options(call, _WORKER, given)
    setup = options.setup(program(argv))
    body = Spawn(**options.worker_policy())
    return _with_fds(setup, body, options)


def prepare_fork(zygote: Any, entry: Any, given: Mapping[str, Any],
                 call: str = "fork") -> "Prepared[Fork]":
    options = Options(call, _FORK, given)
    setup = options.setup(texts(options.argv, "argv"))
    setup.entry = to_text(entry, "entry")
    setup.args = options.bytes_of_args()
    body = Fork(zygote=to_text(zygote, "the zygote's name"),
                **options.worker_policy())
    return _with_fds(setup, body, options)


def prepare_zygote(name: Any, argv: Any,
                   given: Mapping[str, Any]) -> "Prepared[ZygoteStart]":
    options = Options("start_zygote", _ZYGOTE, given)
    parent = to_text(options.parent, "parent")
    words = texts(argv, "argv") if parent else program(argv)
    if parent and words:
        raise BadRequest("argv must be empty for a zygote with a parent: it "
                         "is forked, not executed")
    setup = options.setup(words)
    setup.args = bytes(options.args)  # settings of a nested zygote
    body = ZygoteStart(name=to_text(name, "the zygote's name"),
                       preload=texts(options.preload, "preload"),
                       parent=parent,
                       freeze=texts(options.freeze, "freeze"),
                       keep=boolean(options.keep, "keep"),
                       replace=boolean(options.replace, "replace"),
                       audit_policy=to_text(options.audit_policy,
                                            "audit_policy"),
                       entry_deadline_ms=milliseconds(options.entry_deadline,
                                                      "entry_deadline"),
                       grace_ms=milliseconds(options.grace, "grace"))
    body.spares_min, body.spares_max = _spares(options.spares)
    if options.binary is None:
        body.binary = fingerprint(setup)
    else:
        body.binary = to_text(options.binary, "binary")
    return _with_fds(setup, body, options)


def _spares(value: Any) -> Tuple[int, int]:
    if isinstance(value, (tuple, list)) and len(value) == 2 and all(
            type(each) is int for each in value):
        return value[0], value[1]
    raise BadRequest(f"spares must be (least, most), two ints, not {value!r}")


def upgrade_request(path: Optional[StrOrPath]) -> Upgrade:
    if path is None:
        return Upgrade()
    return Upgrade(program=absolute_path(path, "program"))


def stop_request(worker_id: str, grace: Optional[float]) -> Stop:
    if grace is None:
        return Stop(worker=worker_id)
    return Stop(worker=worker_id, grace_ms=milliseconds(grace, "grace"))


def _with_fds(setup: Setup, body: R, options: Options) -> "Prepared[R]":
    table = FdTable()
    streams = [getattr(options, each, None)
               for each in ("stdin", "stdout", "stderr")]
    if isinstance(body, ZygoteStart):
        streams = []
    try:
        table.place_all(options.fds, streams)
        if getattr(options, "result", None) is not None:
            setup.result = table.add(options.result, "result")
        setup.fds = table.placements
        body.setup = setup.encode()
    except BaseException:
        table.close()
        raise
    return Prepared(body, table)
