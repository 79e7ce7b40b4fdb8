"""How a service is kept. Part of forkserver.records."""

from dataclasses import dataclass
from typing import List

from forkserver.protocol.fields import (BOOLEAN, INTEGER, INTEGERS, TEXT,
                                        TEXTS, Message, choice, message,
                                        optional)


@message("service_policy")
@dataclass
class ServicePolicy(Message):
    """How a service is kept: when it is started again, when it is ready, how
    it is stopped.

    A run fails when its exit code is neither 0 nor one of
    `success_exit_codes`, a signal ended it, its timeout ran out, it was not
    ready in time, or was silent longer than its watchdog allows.

    restart   when a run that ended is followed by another: "no",
              "on-failure" or "always"
    backoff_initial_ms, backoff_factor, backoff_max_ms, backoff_jitter_percent
              the pause before the next run, after the first short run; how
              many times that after each further one in a row; the most; and
              by how much of it it is longer or shorter at random
    reset_after_ms
              a run that lasted so long is not short
    start_limit
              after so many short runs in a row it has failed; 0: never
    success_exit_codes
              besides 0
    after     services that are to be ready, or to have finished, before it
              starts
    ready     how it is known that a run is ready. "none": its program or
              entry runs. "fd": it writes a line to its descriptor `ready_fd`.
              "line": a line of its output matches the regular expression
              `ready_line`. "exec": `ready_command` exits with 0, which is
              tried until it does. "notify": it sends READY=1 to NOTIFY_SOCKET
    ready_timeout_ms
              how long a run may take to be ready; 0: for ever
    watchdog_ms
              how long a run that is ready may go without WATCHDOG=1 to
              NOTIFY_SOCKET; 0: for ever
    stop_signal, grace_ms
              what asks it to stop, and how long until it is killed
    timeout_ms
              the most that one run may take; 0: for ever
    log_max_bytes, log_files
              its output is kept in so many files of so many bytes; 0 bytes:
              not at all
    log_drop  what it writes faster than can be kept is dropped and counted;
              otherwise it waits
    pty       its streams are a terminal, which it writes to its log
    detach    a run outlives a daemon that is killed, and is taken over by the
              next one
    memory_max_bytes, tasks_max, cpu_max_percent
              limits of a run and all that descends from it, by a cgroup; 0:
              none
    """
    restart: str = optional(choice("no", "on-failure", "always"),
                            "on-failure")
    backoff_initial_ms: int = optional(INTEGER, 200)
    backoff_factor: int = optional(INTEGER, 2)
    backoff_max_ms: int = optional(INTEGER, 30_000)
    backoff_jitter_percent: int = optional(INTEGER, 10)
    reset_after_ms: int = optional(INTEGER, 10_000)
    start_limit: int = optional(INTEGER, 5)
    success_exit_codes: List[int] = optional(INTEGERS, [])
    after: List[str] = optional(TEXTS, [])
    ready: str = optional(choice("none", "fd", "line", "exec", "notify"),
                          "none")
    ready_fd: int = optional(INTEGER, 3)
    ready_line: str = optional(TEXT, "")
    ready_command: List[str] = optional(TEXTS, [])
    ready_timeout_ms: int = optional(INTEGER, 30_000)
    watchdog_ms: int = optional(INTEGER, 0)
    stop_signal: int = optional(INTEGER, 15)
    grace_ms: int = optional(INTEGER, 10_000)
    timeout_ms: int = optional(INTEGER, 0)
    log_max_bytes: int = optional(INTEGER, 10_485_760)
    log_files: int = optional(INTEGER, 3)
    log_drop: bool = optional(BOOLEAN, False)
    pty: bool = optional(BOOLEAN, False)
    detach: bool = optional(BOOLEAN, False)
    memory_max_bytes: int = optional(INTEGER, 0)
    tasks_max: int = optional(INTEGER, 0)
    cpu_max_percent: int = optional(INTEGER, 0)
