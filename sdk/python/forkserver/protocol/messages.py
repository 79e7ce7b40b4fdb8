"""Every message of the protocol; docs/protocol.md says what they mean.

What the answers are made of (WorkerInfo, ExitRecord, ...) is in
forkserver.records.
"""

from dataclasses import dataclass
from typing import Dict, List, Optional, Tuple

from forkserver.errors import Error, make_error
from forkserver.protocol import MAX_PROTOCOL, MIN_PROTOCOL
from forkserver.protocol.fields import (BINARY, BOOLEAN, FD_PLACEMENTS,
                                        INTEGER, INTEGERS, LIMITS, NULLABLE_INTEGER,
                                        TEXT, TEXTS, Message, choice, message,
                                        nested, nested_list, optional,
                                        required)
from forkserver.protocol.service_messages import (ServiceReply,
                                                  ServiceRestart,
                                                  ServiceStart, ServiceStop)
from forkserver.records import (Audit, AuditFinding, CrashFrame, CrashReport,
                                DaemonStatus, DaemonUpgrade, Event,
                                ExitRecord, Journey, PreloadReport,
                                ServiceInfo, ServicePolicy, Snapshot,
                                ThreadNote, WorkerInfo, ZygoteInfo)

__all__ = [
    "Audit", "AuditFinding", "Configure", "Crash", "CrashFrame",
    "CrashReport", "DaemonStatus", "DaemonUpgrade", "Done", "ErrorBody",
    "Event", "ExitRecord",
    "LibraryAnswer", "ListedTest", "LoadedFile", "LoadedFolder", "TestFailure",
    "TestFiles", "TestList", "TestPlan", "TestProgress", "TestRun",
    "ThreadNote",
    "ExitReply", "Exited", "Failed", "Fork", "ForkWorker", "ForkZygote",
    "Hello", "HelloReply", "IoPriority", "Journey", "List_", "PreloadReport", "Retire",
    "ServiceInfo", "ServicePolicy", "ServiceReply", "ServiceRestart",
    "ServiceStart", "ServiceStop", "Setup", "Shutdown", "Signal",
    "SignalWorker", "Snapshot", "SpareParked", "SpareSettled",
    "SpareWithdrawn", "Spawn", "Started", "Status", "Stop", "Subscribe",
    "Upgrade", "Wait", "WorkerInfo",
    "WorkerReply", "ZygoteFailed", "ZygoteHello", "ZygoteInfo", "ZygoteReady",
    "ZygoteReply", "ZygoteStart", "ZygoteStop"
]

LimitMap = Dict[str, Tuple[int, int]]

# --- client to daemon, and the answers ---------------------------------------


@message("hello")
@dataclass
class Hello(Message):
    min_protocol: int = required(INTEGER, MIN_PROTOCOL)
    max_protocol: int = required(INTEGER, MAX_PROTOCOL)
    client: str = optional(TEXT, "")
    capabilities: List[str] = optional(TEXTS, [])


@message("hello_reply")
@dataclass
class HelloReply(Message):
    protocol: int = required(INTEGER, 0)
    version: str = required(TEXT, "")
    instance: str = required(TEXT, "")
    pid: int = required(INTEGER, 0)
    capabilities: List[str] = required(TEXTS, [])


@message("io_priority")
@dataclass
class IoPriority(Message):
    io_class: str = required(choice("realtime", "best_effort", "idle"),
                             "best_effort")
    level: int = required(INTEGER, 4)


@message("setup")
@dataclass
class Setup(Message):
    """What a new process is to be. Travels as a bin inside of requests."""
    argv: List[str] = optional(TEXTS, [])
    env: List[str] = required(TEXTS, [])
    cwd: str = required(TEXT, "")
    umask: int = required(INTEGER, 0o022)
    limits: LimitMap = optional(LIMITS, {})
    nice: Optional[int] = optional(INTEGER, None)
    cpus: List[int] = optional(INTEGERS, [])
    io_priority: Optional[IoPriority] = optional(nested(IoPriority), None)
    oom_score_adj: Optional[int] = optional(INTEGER, None)
    no_new_privs: bool = optional(BOOLEAN, False)
    group: str = optional(
        choice("process_group", "session", "terminal"), "process_group")
    fds: List[Tuple[int, int]] = optional(FD_PLACEMENTS, [])
    entry: str = optional(TEXT, "")
    args: bytes = optional(BINARY, b"")
    result: Optional[int] = optional(INTEGER, None)


@message("spawn")
@dataclass
class Spawn(Message):
    setup: bytes = required(BINARY, b"")
    name: str = optional(TEXT, "")
    timeout_ms: int = optional(INTEGER, 0)
    grace_ms: int = optional(INTEGER, 5000)
    detach: bool = optional(BOOLEAN, False)
    watch: bool = optional(BOOLEAN, False)
    exit_only: bool = optional(BOOLEAN, False)
    crash_report: bool = optional(BOOLEAN, False)
    report_leftovers: bool = optional(BOOLEAN, False)
    stop_signal: int = optional(INTEGER, 15)
    memory_max_bytes: int = optional(INTEGER, 0)
    tasks_max: int = optional(INTEGER, 0)
    cpu_max_percent: int = optional(INTEGER, 0)


@message("fork")
@dataclass
class Fork(Message):
    zygote: str = required(TEXT, "")
    setup: bytes = required(BINARY, b"")
    name: str = optional(TEXT, "")
    timeout_ms: int = optional(INTEGER, 0)
    grace_ms: int = optional(INTEGER, 5000)
    detach: bool = optional(BOOLEAN, False)
    watch: bool = optional(BOOLEAN, False)
    exit_only: bool = optional(BOOLEAN, False)
    crash_report: bool = optional(BOOLEAN, False)
    report_leftovers: bool = optional(BOOLEAN, False)
    stop_signal: int = optional(INTEGER, 15)
    memory_max_bytes: int = optional(INTEGER, 0)
    tasks_max: int = optional(INTEGER, 0)
    cpu_max_percent: int = optional(INTEGER, 0)


@message("worker_reply")
@dataclass
class WorkerReply(Message):
    worker: WorkerInfo = required(nested(WorkerInfo), WorkerInfo)


@message("zygote_start")
@dataclass
class ZygoteStart(Message):
    name: str = required(TEXT, "")
    setup: bytes = required(BINARY, b"")
    preload: List[str] = optional(TEXTS, [])
    parent: str = optional(TEXT, "")
    binary: str = optional(TEXT, "")
    freeze: List[str] = optional(TEXTS, [])
    keep: bool = optional(BOOLEAN, False)
    replace: bool = optional(BOOLEAN, False)
    audit_policy: str = optional(choice("refuse", "warn", "allow"), "refuse")
    entry_deadline_ms: int = optional(INTEGER, 10_000)
    grace_ms: int = optional(INTEGER, 5000)
    spares_min: int = optional(INTEGER, 0)
    spares_max: int = optional(INTEGER, 0)
    project: str = optional(TEXT, "")
    compare: bool = optional(BOOLEAN, False)


@message("zygote_reply")
@dataclass
class ZygoteReply(Message):
    zygote: ZygoteInfo = required(nested(ZygoteInfo), ZygoteInfo)
    difference: str = optional(TEXT, "")


@message("zygote_stop")
@dataclass
class ZygoteStop(Message):
    name: str = required(TEXT, "")


@message("wait")
@dataclass
class Wait(Message):
    worker: str = required(TEXT, "")


@message("signal")
@dataclass
class Signal(Message):
    worker: str = required(TEXT, "")
    signal: int = required(INTEGER, 0)
    group: bool = optional(BOOLEAN, False)


@message("stop")
@dataclass
class Stop(Message):
    worker: str = required(TEXT, "")
    grace_ms: Optional[int] = optional(INTEGER, None)


@message("exit_reply")
@dataclass
class ExitReply(Message):
    exit: ExitRecord = required(nested(ExitRecord), ExitRecord)


@message("done")
@dataclass
class Done(Message):
    pass


@message("list")
@dataclass
class List_(Message):
    pass


@message("status")
@dataclass
class Status(Message):
    pass


@message("subscribe")
@dataclass
class Subscribe(Message):
    pass


@message("shutdown")
@dataclass
class Shutdown(Message):
    pass


@message("upgrade")
@dataclass
class Upgrade(Message):
    """Answered by DaemonUpgrade, by the daemon that has taken over."""
    program: str = optional(TEXT, "")


@message("error")
@dataclass
class ErrorBody(Message):
    code: str = required(TEXT, "")
    message: str = required(TEXT, "")
    step: str = required(TEXT, "")
    errno: int = required(INTEGER, 0)
    hint: str = required(TEXT, "")

    def to_exception(self) -> Error:
        """Of the class that stands for the code."""
        return make_error(self.code, self.message, step=self.step,
                          errno=self.errno, hint=self.hint)

    @classmethod
    def from_exception(cls, error: Error) -> "ErrorBody":
        return cls(error.code, error.message, error.step, error.errno,
                   error.hint)


# --- zygote to daemon, on the control socket ---------------------------------


@message("zygote_hello")
@dataclass
class ZygoteHello(Message):
    min_protocol: int = required(INTEGER, MIN_PROTOCOL)
    max_protocol: int = required(INTEGER, MAX_PROTOCOL)
    pid: int = required(INTEGER, 0)
    sdk: str = optional(TEXT, "")


@message("library_answer")
@dataclass
class LibraryAnswer(Message):
    """What a library says of itself, asked by its function `symbol`."""
    symbol: str = required(TEXT, "")
    path: str = required(TEXT, "")
    used: bool = required(BOOLEAN, False)


@message("zygote_ready")
@dataclass
class ZygoteReady(Message):
    """`threads`: those that it has now. `own_fds`: of the SDK."""
    entries: List[str] = required(TEXTS, [])
    preloads: List[PreloadReport] = required(nested_list(PreloadReport), [])
    threads: List[ThreadNote] = optional(nested_list(ThreadNote), [])
    own_fds: List[int] = optional(INTEGERS, [])
    libraries: List[LibraryAnswer] = optional(nested_list(LibraryAnswer), [])


@message("zygote_failed")
@dataclass
class ZygoteFailed(Message):
    error: ErrorBody = required(nested(ErrorBody), ErrorBody)


@message("spare_parked")
@dataclass
class SpareParked(Message):
    """The frame carries the daemon's end of the spare's channel."""
    pid: int = required(INTEGER, 0)


@message("spare_withdrawn")
@dataclass
class SpareWithdrawn(Message):
    """It has ended, or is not to be used any more. Answered by SpareSettled,
    until which the zygote does not reap it."""
    pid: int = required(INTEGER, 0)


# --- daemon to zygote, on the control socket ---------------------------------


@message("configure")
@dataclass
class Configure(Message):
    protocol: int = required(INTEGER, 0)
    name: str = required(TEXT, "")
    preload: List[str] = required(TEXTS, [])
    freeze: List[str] = required(TEXTS, [])
    audit_policy: str = optional(choice("refuse", "warn", "allow"), "refuse")
    ask: List[str] = optional(TEXTS, [])
    surviving: List[str] = optional(TEXTS, [])
    crash_reports: bool = optional(BOOLEAN, False)
    spares_min: int = optional(INTEGER, 0)
    spares_max: int = optional(INTEGER, 0)
    takes_spares: bool = optional(BOOLEAN, False)


@message("fork_worker")
@dataclass
class ForkWorker(Message):
    """The frame carries the descriptors of the setup. A canary has no entry:
    it reports that it started, and exits with 0."""
    worker: str = required(TEXT, "")
    setup: bytes = required(BINARY, b"")
    limits: LimitMap = optional(LIMITS, {})
    detach: bool = optional(BOOLEAN, False)
    canary: bool = optional(BOOLEAN, False)
    heir: int = optional(INTEGER, 0)
    cgroup: bool = optional(BOOLEAN, False)


@message("fork_zygote")
@dataclass
class ForkZygote(Message):
    """The frame carries the descriptors of the setup, then the new zygote's
    control socket, then its report pipe."""
    worker: str = required(TEXT, "")
    setup: bytes = required(BINARY, b"")
    limits: LimitMap = optional(LIMITS, {})


@message("signal_worker")
@dataclass
class SignalWorker(Message):
    worker: str = required(TEXT, "")
    signal: int = required(INTEGER, 0)
    group: bool = required(BOOLEAN, False)


@message("spare_settled")
@dataclass
class SpareSettled(Message):
    """What has become of a spare. Without `worker` it was given no request,
    and never will be."""
    pid: int = required(INTEGER, 0)
    worker: str = optional(TEXT, "")
    heir: int = optional(INTEGER, 0)


@message("retire")
@dataclass
class Retire(Message):
    pass


# --- zygote and forked workers to daemon, on the report pipe -----------------


@message("started")
@dataclass
class Started(Message):
    worker: str = required(TEXT, "")
    pid: int = required(INTEGER, 0)
    forked_ns: int = required(INTEGER, 0)
    started_ns: int = required(INTEGER, 0)


@message("failed")
@dataclass
class Failed(Message):
    worker: str = required(TEXT, "")
    pid: int = required(INTEGER, 0)
    error: ErrorBody = required(nested(ErrorBody), ErrorBody)


@message("crash")
@dataclass
class Crash(Message):
    """A piece of what a worker left that crashed."""
    worker: str = required(TEXT, "")
    part: str = required(TEXT, "")
    data: bytes = required(BINARY, b"")


@message("exited")
@dataclass
class Exited(Message):
    worker: str = required(TEXT, "")
    pid: int = required(INTEGER, 0)
    code: Optional[int] = required(NULLABLE_INTEGER, None)
    signal: Optional[int] = required(NULLABLE_INTEGER, None)
    core: bool = required(BOOLEAN, False)
    max_rss_bytes: int = required(INTEGER, 0)
    user_us: int = required(INTEGER, 0)
    system_us: int = required(INTEGER, 0)
    ended_ns: int = required(INTEGER, 0)
    leftovers: List[str] = optional(TEXTS, [])


# --- the test harness: arguments and results of entries, the report page -----


@message("listed_test")
@dataclass
class ListedTest(Message):
    """A test as its framework names it."""
    name: str = required(TEXT, "")
    suite: str = optional(TEXT, "")
    file: str = optional(TEXT, "")
    line: int = optional(INTEGER, 0)
    tags: List[str] = optional(TEXTS, [])
    skip: str = optional(TEXT, "")


@message("test_list")
@dataclass
class TestList(Message):
    MAX_ARRAY = 1 << 20  # it is no frame
    framework: str = required(TEXT, "")
    framework_version: str = required(TEXT, "")
    tests: List[ListedTest] = required(nested_list(ListedTest, MAX_ARRAY), [])
    errors: List[str] = optional(TEXTS, [])


@message("test_run")
@dataclass
class TestRun(Message):
    """Run these tests, in this order, in this process."""
    tests: List[str] = required(TEXTS, [])
    report_fd: int = required(INTEGER, -1)
    seed: int = optional(INTEGER, 0)
    debug: bool = optional(BOOLEAN, False)
    arguments: List[str] = optional(TEXTS, [])


@message("test_failure")
@dataclass
class TestFailure(Message):
    """Something that a test found wrong."""
    message: str = required(TEXT, "")
    file: str = optional(TEXT, "")
    line: int = optional(INTEGER, 0)
    where: str = optional(TEXT, "")


@message("test_progress")
@dataclass
class TestProgress(Message):
    """One record of the report page: begun, ended, complete."""
    event: str = required(TEXT, "")
    test: str = optional(TEXT, "")
    status: str = optional(TEXT, "")
    skip_reason: str = optional(TEXT, "")
    wall_us: int = optional(INTEGER, 0)
    assertions: int = optional(INTEGER, 0)
    failures: List[TestFailure] = optional(nested_list(TestFailure), [])


@message("loaded_file")
@dataclass
class LoadedFile(Message):
    """As it was when it was read. A size of -1: it changed meanwhile."""
    path: str = required(TEXT, "")
    modified_ns: int = required(INTEGER, 0)
    changed_ns: int = required(INTEGER, 0)
    size: int = required(INTEGER, 0)
    inode: int = required(INTEGER, 0)


@message("loaded_folder")
@dataclass
class LoadedFolder(Message):
    """What is in it of folders and of files with a suffix that counts."""
    path: str = required(TEXT, "")
    names: List[str] = required(TEXTS, [])


@message("test_files")
@dataclass
class TestFiles(Message):
    """What tests were loaded from."""
    MAX_ARRAY = 1 << 20
    files: List[LoadedFile] = required(nested_list(LoadedFile, MAX_ARRAY), [])
    folders: List[LoadedFolder] = required(
        nested_list(LoadedFolder, MAX_ARRAY), [])
    suffixes: List[str] = required(TEXTS, [])


@message("test_plan")
@dataclass
class TestPlan(Message):
    """Which zygotes pytest's fixtures need beside that of the target."""
    session: bool = required(BOOLEAN, False)
    files: List[str] = required(TEXTS, [])
