"""What the daemon tells: workers, exit records, zygotes, events, its status.

Plain values. The names of the attributes are those on the wire and in the
command line's JSON. Units are in the names: _ns nanoseconds of
CLOCK_MONOTONIC, _us microseconds, _ms milliseconds, _bytes bytes. `to_wire()`
makes a dict of one, which json.dumps takes.
"""

from dataclasses import dataclass
from typing import List, Optional

from forkserver.protocol.fields import (BOOLEAN, INTEGER, INTEGERS,
                                        NULLABLE_INTEGER, TEXT, TEXTS, Message, choice, message,
                                        nested, nested_list, optional,
                                        required)
from forkserver.service_policy import ServicePolicy

_KIND = choice("exec", "forked", "spare")
_WORKER_STATE = choice("launching", "running", "stopping", "ended")
_ZYGOTE_STATE = choice("starting", "ready", "retiring", "quarantined")
_SERVICE_STATE = choice("stopped", "waiting", "starting", "running",
                        "stopping", "restarting", "failing", "backoff",
                        "finished", "failed")
_VERDICT = choice("safe", "unsafe", "unknown")
_POLICY = choice("refuse", "warn", "allow")
_REASON = choice("exited", "signaled", "timeout", "stopped", "client_gone",
                 "zygote_died", "fork_deadlock", "daemon_stopping", "lost")


@message("journey")
@dataclass
class Journey(Message):
    """The steps of a worker's life; 0 where it did not get that far."""
    received_ns: int = required(INTEGER, 0)
    launch_begun_ns: int = required(INTEGER, 0)
    launched_ns: int = required(INTEGER, 0)
    started_ns: int = required(INTEGER, 0)
    ended_ns: int = required(INTEGER, 0)


@message("crash_frame")
@dataclass
class CrashFrame(Message):
    """A place in the code of a worker that is gone: the path of a program or
    library, and how far from its beginning in memory. `module` is empty where
    there is none; `offset` is the address then."""
    module: str = required(TEXT, "")
    offset: int = required(INTEGER, 0)


@message("crash_report")
@dataclass
class CrashReport(Message):
    """What is known of a worker that crashed besides its wait status.

    The worker wrote most of it itself: text of any kind, to be shown, not to
    be trusted. `address` is what it was not allowed to touch, or None;
    `frames` are native, innermost first; `traceback` is faulthandler's.
    `pristine` is false if it was forked from a zygote that was not safe to
    fork, for the reasons in `dirty`.
    """
    signal_name: str = required(TEXT, "")
    code_name: str = optional(TEXT, "")
    address: Optional[int] = optional(NULLABLE_INTEGER, None)
    address_module: str = optional(TEXT, "")
    thread: str = optional(TEXT, "")
    frames: List[CrashFrame] = optional(nested_list(CrashFrame), [])
    stderr_tail: str = optional(TEXT, "")
    traceback: str = optional(TEXT, "")
    pristine: bool = required(BOOLEAN, True)
    dirty: List[str] = optional(TEXTS, [])


@message("exit_record")
@dataclass
class ExitRecord(Message):
    """How one worker ended. There is exactly one per worker.

    `code` is its exit code or None, `signal` the number of the signal that
    ended it or None; both are None if nobody could see how (`reason` is
    "lost"). `reason` is one of "exited", "signaled", "timeout", "stopped",
    "client_gone", "zygote_died", "fork_deadlock", "daemon_stopping", "lost".
    `stacks` are lines that say where one was that did not reach its entry
    ("fork_deadlock"). `direct` is true when no daemon was involved
    (FORKSERVER_DISABLE=1). `crash` is there when a signal ended it that the
    daemon did not send. `leftovers` are processes of its group that had not
    ended when it did, if `report_leftovers` was asked for. `oom_kills`, of one
    with `memory_max_bytes`: how many of its processes the kernel killed because
    there was no memory left for them.
    """
    id: str = required(TEXT, "")
    name: str = required(TEXT, "")
    pid: int = required(INTEGER, 0)
    kind: str = required(_KIND, "exec")
    zygote: str = required(TEXT, "")
    code: Optional[int] = required(NULLABLE_INTEGER, None)
    signal: Optional[int] = required(NULLABLE_INTEGER, None)
    core: bool = required(BOOLEAN, False)
    reason: str = required(_REASON, "lost")
    max_rss_bytes: int = required(INTEGER, 0)
    user_us: int = required(INTEGER, 0)
    system_us: int = required(INTEGER, 0)
    wall_us: int = required(INTEGER, 0)
    journey: Journey = required(nested(Journey), Journey)
    stacks: List[str] = optional(TEXTS, [])
    direct: bool = optional(BOOLEAN, False)
    crash: Optional[CrashReport] = optional(nested(CrashReport), None)
    leftovers: List[str] = optional(TEXTS, [])
    oom_kills: int = optional(INTEGER, 0)


@message("worker")
@dataclass
class WorkerInfo(Message):
    """A worker as the daemon sees it now.

    `state` is "launching", "running", "stopping" or "ended"; `pid` is 0 while
    it is being launched; `exit` is there once it has ended.
    """
    id: str = required(TEXT, "")
    name: str = required(TEXT, "")
    pid: int = required(INTEGER, 0)
    kind: str = required(_KIND, "exec")
    zygote: str = required(TEXT, "")
    state: str = required(_WORKER_STATE, "launching")
    detach: bool = optional(BOOLEAN, False)
    exit: Optional[ExitRecord] = optional(nested(ExitRecord), None)

    @classmethod
    def of_ended(cls, record: ExitRecord) -> "WorkerInfo":
        return cls(id=record.id, name=record.name, pid=record.pid,
                   kind=record.kind, zygote=record.zygote, state="ended",
                   exit=record)


@message("audit_finding")
@dataclass
class AuditFinding(Message):
    """One thing that an audit found.

    `kind` is "thread", "library", "descriptor", "lock", "handlers" or
    "environment"; `known_as` the row of the table of known cases or empty;
    `what` and `where` name it, `why` says what happens in a forked child,
    `advice` what to do, `step` which preload step brought it in.
    """
    kind: str = required(TEXT, "")
    known_as: str = required(TEXT, "")
    what: str = required(TEXT, "")
    where: str = required(TEXT, "")
    why: str = required(TEXT, "")
    advice: str = required(TEXT, "")
    step: str = required(TEXT, "")


@message("audit")
@dataclass
class Audit(Message):
    """Whether a process is safe to fork: `verdict` is "safe", "unsafe" (with
    its `reasons`) or "unknown" (with what is `unreadable`). `notes` are
    harmless."""
    verdict: str = required(_VERDICT, "safe")
    reasons: List[AuditFinding] = required(nested_list(AuditFinding), [])
    unreadable: List[str] = required(TEXTS, [])
    notes: List[AuditFinding] = required(nested_list(AuditFinding), [])


@message("thread_note")
@dataclass
class ThreadNote(Message):
    """What a zygote knows of one of its threads, and nobody from outside."""
    id: int = required(INTEGER, 0)
    name: str = required(TEXT, "")
    started_by: str = optional(TEXT, "")
    step: str = optional(TEXT, "")
    survives: bool = optional(BOOLEAN, False)


@message("preload_report")
@dataclass
class PreloadReport(Message):
    """What one preload step of a zygote did.

    `rss_bytes` is the growth of resident memory; `threads` those of the
    process after the step; `new_threads`, `new_fds` and `new_libraries`
    (paths) what was not there before it.
    """
    name: str = required(TEXT, "")
    wall_us: int = required(INTEGER, 0)
    rss_bytes: int = required(INTEGER, 0)
    threads: int = required(INTEGER, 1)
    new_threads: List[ThreadNote] = optional(nested_list(ThreadNote), [])
    new_fds: List[int] = optional(INTEGERS, [])
    new_libraries: List[str] = optional(TEXTS, [])


@message("zygote")
@dataclass
class ZygoteInfo(Message):
    """A zygote as the daemon sees it now.

    `state` is "starting", "ready", "retiring" or "quarantined" (`quarantine`
    says why); `workers` are those that live, `forks` how many it has made;
    `identity` is a digest of what it was made of. `audit` is there since it
    is ready. It forks `spares_min` to `spares_max` workers in advance.
    """
    name: str = required(TEXT, "")
    id: str = required(TEXT, "")
    pid: int = required(INTEGER, 0)
    state: str = required(_ZYGOTE_STATE, "starting")
    parent: str = required(TEXT, "")
    identity: str = required(TEXT, "")
    keep: bool = required(BOOLEAN, False)
    workers: int = required(INTEGER, 0)
    forks: int = required(INTEGER, 0)
    argv: List[str] = required(TEXTS, [])
    entries: List[str] = required(TEXTS, [])
    preloads: List[PreloadReport] = required(nested_list(PreloadReport), [])
    audit_policy: str = optional(_POLICY, "refuse")
    audit: Optional[Audit] = optional(nested(Audit), None)
    quarantine: str = optional(TEXT, "")
    spares_min: int = optional(INTEGER, 0)
    spares_max: int = optional(INTEGER, 0)
    project: str = optional(TEXT, "")


@message("daemon_status")
@dataclass
class DaemonStatus(Message):
    """The daemon's figures. `workers` and `zygotes` are those that live.
    `cgroup_limits` is what it can limit by cgroups, `cgroup_missing` why it has
    no cgroup of its own. `upgrades` is how often it was replaced in place."""
    pid: int = required(INTEGER, 0)
    version: str = required(TEXT, "")
    protocol: int = required(INTEGER, 0)
    instance: str = required(TEXT, "")
    socket: str = required(TEXT, "")
    threads: int = required(INTEGER, 0)
    uptime_ms: int = required(INTEGER, 0)
    clients: int = required(INTEGER, 0)
    workers: int = required(INTEGER, 0)
    zygotes: int = required(INTEGER, 0)
    launched: int = required(INTEGER, 0)
    records_kept: int = required(INTEGER, 0)
    open_fds: int = required(INTEGER, 0)
    log: str = required(TEXT, "")
    cgroup_limits: List[str] = optional(TEXTS, [])
    cgroup_missing: str = optional(TEXT, "")
    upgrades: int = optional(INTEGER, 0)


@message("upgrade_reply")
@dataclass
class DaemonUpgrade(Message):
    """A daemon that was replaced, in the same process: `from_` is the version
    before, `version` the one that serves now."""
    from_: str = required(TEXT, "")
    version: str = required(TEXT, "")


@message("service")
@dataclass
class ServiceInfo(Message):
    """A service as the daemon sees it now.

    `state` is one of
      "stopped"     nothing runs, and nothing is to
      "waiting"     it is to run, once the services that it is after are ready
      "starting"    it runs, and is not ready yet
      "running"     it is ready
      "stopping"    it was asked to stop, and something of it is still there
      "restarting"  the same, and then it starts again
      "failing"     its run failed (not ready in time, or silent), and
                    something of it is still there
      "backoff"     its run has ended; the next begins at `next_ns`
      "finished"    its run ended as it should, and no other follows
      "failed"      its run failed, and no other follows

    `worker` and `pid` are of its run, "" and 0 if it has none; `runs` those
    that it had, this one included, `restarts` how many of them nobody asked
    for; `since_ns` since when it is in this state. `status` is what it says of
    itself, `why` why it failed, waits or is in backoff. `policy` is how it is
    kept, `project` the file that it comes from or "", `log` the file that has
    its output or "", `exit` how its last run that has ended did.
    """
    name: str = required(TEXT, "")
    state: str = required(_SERVICE_STATE, "stopped")
    worker: str = required(TEXT, "")
    pid: int = required(INTEGER, 0)
    zygote: str = required(TEXT, "")
    runs: int = required(INTEGER, 0)
    restarts: int = required(INTEGER, 0)
    since_ns: int = required(INTEGER, 0)
    next_ns: int = optional(INTEGER, 0)
    status: str = optional(TEXT, "")
    why: str = optional(TEXT, "")
    argv: List[str] = required(TEXTS, [])
    policy: ServicePolicy = required(nested(ServicePolicy), ServicePolicy)
    project: str = optional(TEXT, "")
    log: str = optional(TEXT, "")
    exit: Optional[ExitRecord] = optional(nested(ExitRecord), None)


@message("snapshot")
@dataclass
class Snapshot(Message):
    """Everything that is alive now, and every service that is known."""
    workers: List[WorkerInfo] = required(nested_list(WorkerInfo), [])
    zygotes: List[ZygoteInfo] = required(nested_list(ZygoteInfo), [])
    services: List[ServiceInfo] = optional(nested_list(ServiceInfo), [])


@message("event")
@dataclass
class Event(Message):
    """One change.

    `event` is "worker_launched" or "worker_ended" (with `worker`),
    "zygote_starting", "zygote_ready", "zygote_retiring" or "zygote_ended" (with
    `zygote`), "service_changed" or "service_removed" (with `service`), or
    "overrun" (with `snapshot`: events were dropped because they
    were not read; go on from it).
    """
    event: str = required(TEXT, "")
    time_ns: int = required(INTEGER, 0)
    worker: Optional[WorkerInfo] = optional(nested(WorkerInfo), None)
    zygote: Optional[ZygoteInfo] = optional(nested(ZygoteInfo), None)
    service: Optional[ServiceInfo] = optional(nested(ServiceInfo), None)
    snapshot: Optional[Snapshot] = optional(nested(Snapshot), None)
