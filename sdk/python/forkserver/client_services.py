"""The part of the blocking client that is about services."""

from typing import TYPE_CHECKING, List, Optional, Sequence

from forkserver.connection import Connection
from forkserver.process_setup import StrOrPath
from forkserver.protocol.messages import List_, ServiceReply
from forkserver.records import ServiceInfo, Snapshot
from forkserver.service_request import (prepare_service,
                                        prepare_service_restart,
                                        prepare_service_stop)

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from forkserver.protocol.fields import Message
    from forkserver.service_request import ServiceOptions


class ServiceCalls:
    """A service is a named worker that the daemon keeps as it is asked to: it
    belongs to no client, is started again when it fails, and is known until
    it is removed."""

    _connection: Connection

    def start_service(self, name: str,
                      argv: Optional[Sequence[StrOrPath]] = None,
                      **options: "Unpack[ServiceOptions]") -> ServiceInfo:
        """Makes a service and starts it. Returns when it is ready or has
        finished; one that runs and is made of the same is left alone.

            client.start_service("database", ["redis-server"], ready="line",
                                 ready_line="Ready to accept",
                                 restart="always")
            client.start_service("database")     # as it is known

        `name` is of the letters a-z, A-Z, 0-9 and _-.@:, up to 64. Its output
        goes to its log, its input is /dev/null.

        argv      the program and its arguments; with `zygote` texts for the
                  entry
        zygote, entry, args
                  instead of a program: the name of a zygote, which of its
                  entries, and bytes for that
        env, cwd, umask, limits, nice, cpus, io_priority, oom_score_adj,
        no_new_privs, group
                  as in spawn(): what is not given is the caller's own
        replace   stop one of the same name that is made of something else,
                  and make it anew
        wait      False: return at once

        How it is kept is a ServicePolicy, or its parts by keywords, which
        change the one that is given. Times are in seconds, and None is for
        ever:

        policy    a ServicePolicy
        restart   "no", "on-failure" (default) or "always"
        backoff_initial, backoff_factor, backoff_max, backoff_jitter_percent
                  the pause before it runs again: 0.2 s after one short run,
                  twice that after each further one in a row, 30 s at most,
                  each 10% more or less
        reset_after, start_limit
                  a run of 10 s is not short; after 5 short ones in a row it
                  has failed (0: never)
        success_exit_codes
                  besides 0
        after     names of services that are to be ready before it starts
        ready     "none" (default), "fd" with `ready_fd` (3), "line" with
                  `ready_line`, "exec" with `ready_command`, or "notify"
        ready_timeout
                  how long it may take to be ready: 30 s
        watchdog  how long it may be silent on NOTIFY_SOCKET: None
        stop_signal, grace
                  what asks it to stop (15), and how long until it is killed
                  (10 s)
        timeout   the most that a run may take: None
        memory_max_bytes, tasks_max, cpu_max_percent
                  limits of a run and all that descends from it: see spawn()
        log_max_bytes, log_files, log_drop
                  3 files of 10 MiB; whether it drops what is written faster
                  than can be kept, or waits
        pty       whether its streams are a terminal, written to its log
        detach    whether a run outlives a daemon that is killed, and is taken
                  over by the next one

        Raises ServiceConflict (one of that name runs, is made of something
        else, and there is no `replace`), ServiceFailed (it has failed, and
        its policy says that it is not to run again), ServiceStopped (by
        somebody else), UnknownService (one that it is to be after, or, without
        `argv` and `zygote`, itself), BadRequest, LimitReached, DaemonStopping.
        """
        return self._ask_about(prepare_service(name, argv, options))

    def stop_service(self, name: str, *, grace: Optional[float] = None,
                     remove: bool = False) -> ServiceInfo:
        """Its stop signal to all of it, SIGKILL after `grace` seconds (default:
        the service's own; 0: at once). Returns when nothing of it is left. A
        second call meanwhile kills what is left. With `remove` it is forgotten
        then.

        Raises UnknownService.
        """
        return self._ask_about(prepare_service_stop(name, grace, remove))

    def restart_service(self, name: str, wait: bool = True) -> ServiceInfo:
        """Stops it and starts it again. Returns when it is ready, or without
        `wait` at once. Raises UnknownService, ServiceFailed,
        ServiceStopped."""
        return self._ask_about(prepare_service_restart(name, wait))

    def services(self) -> List[ServiceInfo]:
        """All that are known, by name."""
        return self._connection.call(
            lambda session: session.ask(List_(), Snapshot)).services

    def _ask_about(self, body: "Message") -> ServiceInfo:
        return self._connection.call(
            lambda session: session.ask(body, ServiceReply)).service
