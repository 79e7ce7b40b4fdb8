#!/usr/bin/python3
"""Makes vectors.json: messages of docs/protocol.md and their bytes.

  tests/conformance/make_vectors.py >tests/conformance/vectors.json

The messages are written out by hand from the page and encoded by Python's
msgpack, so that they check every other codec rather than echo it. The file
holds three lists:

  canonical  what an encoder produces, byte for byte, and a decoder reads
  accepted   what a decoder must read as well, and which body it means
  refused    what a decoder must refuse: the error's code and a part of its
             message

`message` is the kind of the body, `envelope` the other keys of the frame (null
where the bytes are a body alone, as inside of a bin), `hex` the whole frame
with its length. In `body`, {"bin_hex": ...} is a msgpack bin and
{"str_hex": ...} a str that is not UTF-8.
"""

import json
import sys

import msgpack

I64_MAX = 2**63 - 1


def pack(value):
    return msgpack.packb(value, use_bin_type=True,
                         unicode_errors="surrogateescape")


def raw(data):
    """Text of any bytes, to be sent as a str."""
    return data.decode("utf-8", "surrogateescape")


def with_length(payload):
    return len(payload).to_bytes(4, "big") + payload


def as_json(value):
    if isinstance(value, dict):
        return {key: as_json(each) for key, each in value.items()}
    if isinstance(value, list):
        return [as_json(each) for each in value]
    if isinstance(value, bytes):
        return {"bin_hex": value.hex()}
    if isinstance(value, str):
        data = value.encode("utf-8", "surrogateescape")
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            return {"str_hex": data.hex()}
    return value


class Vectors:
    """The three lists, in the order in which they are added to."""

    def __init__(self):
        self.canonical = []
        self.accepted = []
        self.refused = []

    def frame(self, name, message, body, frame_type=None, frame_id=0, fds=0):
        envelope = {"type": frame_type or message, "id": frame_id, "fds": fds}
        payload = {"type": envelope["type"]}
        if frame_id:
            payload["id"] = frame_id
        if fds:
            payload["fds"] = fds
        payload["body"] = body
        self.canonical.append({
            "name": name,
            "message": message,
            "envelope": envelope,
            "body": as_json(body),
            "hex": with_length(pack(payload)).hex(),
        })

    def body(self, name, message, body):
        self.canonical.append({
            "name": name,
            "message": message,
            "envelope": None,
            "body": as_json(body),
            "hex": pack(body).hex(),
        })

    def accept(self, name, message, envelope, body, payload):
        """`payload`: bytes, or an object to be packed."""
        data = payload if isinstance(payload, bytes) else pack(payload)
        self.accepted.append({
            "name": name,
            "message": message,
            "envelope": envelope,
            "body": as_json(body),
            "hex": with_length(data).hex(),
        })

    def refuse(self, name, message, code, says, payload):
        data = payload if isinstance(payload, bytes) else pack(payload)
        self.refused.append({
            "name": name,
            "message": message,
            "code": code,
            "says": says,
            "hex": with_length(data).hex(),
        })


JOURNEY = {
    "received_ns": 81234567890123,
    "launch_begun_ns": 81234567895000,
    "launched_ns": 81234567990000,
    "started_ns": 81234568400000,
    "ended_ns": 81235568400001,
}

CRASH = {
    "signal_name": "SIGSEGV",
    "code_name": "SEGV_MAPERR",
    "address": 0x110,
    "address_module": "/usr/lib/libdispatch.so",
    "thread": "render",
    "frames": [{"module": "/usr/lib/libdispatch.so", "offset": 74565},
               {"module": "", "offset": 140737488355327}],
    "stderr_tail": "last words" + raw(b"\xff") + "\n",
    "traceback": "Fatal Python error: Segmentation fault\n",
    "pristine": False,
    "dirty": ["thread 'OMP worker'"],
}

NO_JOURNEY = {key: 0 for key in JOURNEY}

EXITED = {
    "id": "5f2c81a0-12",
    "name": "tests/test_shop.py",
    "pid": 4711,
    "kind": "exec",
    "zygote": "",
    "code": 3,
    "signal": None,
    "core": False,
    "reason": "exited",
    "max_rss_bytes": 20971520,
    "user_us": 150000,
    "system_us": 2500,
    "wall_us": 1000410,
    "journey": JOURNEY,
}

KILLED = dict(EXITED,
              id="5f2c81a0-4294967296",
              name="",
              pid=2147483647,
              kind="forked",
              zygote="django",
              code=None,
              signal=11,
              core=True,
              reason="signaled")

LOST = {
    "id": "5f2c81a0-13",
    "name": "",
    "pid": 0,
    "kind": "spare",
    "zygote": "django/shop",
    "code": None,
    "signal": None,
    "core": False,
    "reason": "lost",
    "max_rss_bytes": 0,
    "user_us": 0,
    "system_us": 0,
    "wall_us": 0,
    "journey": NO_JOURNEY,
}

RUNNING_WORKER = {
    "id": "5f2c81a0-12",
    "name": "",
    "pid": 4711,
    "kind": "exec",
    "zygote": "",
    "state": "running",
}

ENDED_WORKER = {
    "id": "5f2c81a0-4294967296",
    "name": "render",
    "pid": 2147483647,
    "kind": "forked",
    "zygote": "django",
    "state": "ended",
    "detach": True,
    "exit": KILLED,
}

ZYGOTE = {
    "name": "django",
    "id": "5f2c81a0-1",
    "pid": 4700,
    "state": "ready",
    "parent": "",
    "identity": "9f86d081884c7d65",
    "keep": True,
    "workers": 2,
    "forks": 40,
    "argv": ["/usr/bin/python3", "-m", "forkserver.zygote"],
    "entries": ["forkserver.call"],
    "preloads": [
        {"name": "django", "wall_us": 310000, "rss_bytes": 41943040,
         "threads": 2,
         "new_threads": [{"id": 4701, "name": "blas", "started_by": "numpy",
                          "step": "preload django", "survives": True}],
         "new_fds": [5, 70000],
         "new_libraries": ["/usr/lib/libblas.so.3"]},
        {"name": "gc.collect", "wall_us": 900, "rss_bytes": -4096,
         "threads": 1},
    ],
}

FINDING = {
    "kind": "thread",
    "known_as": "glib",
    "what": "thread 4701 'gdbus'",
    "where": "started by /usr/lib/libgio-2.0.so.0",
    "why": "it is gone in the child",
    "advice": "connect in the worker",
    "step": "preload bus",
}

AUDIT = {
    "verdict": "unsafe",
    "reasons": [FINDING],
    "unreadable": ["its environment"],
    "notes": [dict(FINDING, kind="handlers", known_as="", step="")],
}

QUARANTINED_ZYGOTE = dict(ZYGOTE, state="quarantined", audit_policy="warn",
                          audit=AUDIT,
                          quarantine="3 workers in a row did not begin",
                          spares_min=1, spares_max=4,
                          project="/home/me/shop/forkserver.toml")

STARTING_ZYGOTE = dict(ZYGOTE,
                       name="django/shop",
                       id="5f2c81a0-2",
                       pid=0,
                       state="starting",
                       parent="django",
                       identity="",
                       keep=False,
                       workers=0,
                       forks=0,
                       argv=[],
                       entries=[],
                       preloads=[])

SERVICE_POLICY = {
    "restart": "always",
    "backoff_initial_ms": 100,
    "backoff_factor": 3,
    "backoff_max_ms": 60000,
    "backoff_jitter_percent": 0,
    "reset_after_ms": 4294967296,
    "start_limit": 0,
    "success_exit_codes": [3, 143],
    "after": ["database", "queue@2"],
    "ready": "exec",
    "ready_fd": 7,
    "ready_line": "^Ready to accept " + raw(b"\xff"),
    "ready_command": ["/bin/sh", "-c", "redis-cli ping"],
    "ready_timeout_ms": 0,
    "watchdog_ms": 1500,
    "stop_signal": 2,
    "grace_ms": 0,
    "timeout_ms": 86400000,
    "log_max_bytes": 0,
    "log_files": 1,
    "log_drop": True,
    "pty": True,
    "detach": True,
    "memory_max_bytes": 1073741824,
    "tasks_max": 100,
    "cpu_max_percent": 50,
}

SERVICE = {
    "name": "database",
    "state": "running",
    "worker": "5f2c81a0-12",
    "pid": 4711,
    "zygote": "",
    "runs": 1,
    "restarts": 0,
    "since_ns": 81234568400000,
    "argv": ["redis-server", "--port", "6400"],
    "policy": {"ready": "line", "ready_line": "Ready to accept"},
}

# Every key.
FAILING_SERVICE = {
    "name": "web",
    "state": "backoff",
    "worker": "",
    "pid": 0,
    "zygote": "django",
    "runs": 4,
    "restarts": 3,
    "since_ns": 81234568400000,
    "next_ns": 81234569400000,
    "status": "3 of 4 shops " + raw(b"\xfe"),
    "why": "exit code 3",
    "argv": [],
    "policy": SERVICE_POLICY,
    "project": "/home/me/shop/forkserver.toml",
    "log": "/run/user/1000/forkserver/web.log",
    "exit": EXITED,
}

STATUS = {
    "pid": 4242,
    "version": "0.1.0",
    "protocol": 1,
    "instance": "5f2c81a0",
    "socket": "/run/user/1000/forkserver/default.sock",
    "threads": 1,
    "uptime_ms": 86400000,
    "clients": 3,
    "workers": 2,
    "zygotes": 1,
    "launched": 5000000000,
    "records_kept": 10000,
    "open_fds": 17,
    "log": "",
    "cgroup_limits": ["cpu", "memory"],
    "cgroup_missing": "others are in it",
    "upgrades": 2,
}

ERROR = {
    "code": "launch_failed",
    "message": "execve(/bin/tru): No such file or directory",
    "step": "execve",
    "errno": 2,
    "hint": "the file, or the interpreter that it names, does not exist",
}

BARE_ERROR = {
    "code": "hello_required",
    "message": "the first request must be hello",
    "step": "",
    "errno": 0,
    "hint": "",
}

SETUP = {
    "argv": ["/bin/true"],
    "env": ["PATH=/bin"],
    "cwd": "/",
    "umask": 18,
}

# Every key. NAME=\xff\xfe is no UTF-8; the limits are in the order of names.
FULL_SETUP = {
    "argv": ["render", "--all", ""],
    "env": ["HOME=/root", raw(b"NAME=\xff\xfe\x80"), "EMPTY="],
    "cwd": raw(b"/tmp/caf\xe9"),
    "umask": 0,
    "limits": {"core": [0, 0], "nofile": [1024, 4096], "stack": [-1, -1]},
    "nice": -5,
    "cpus": [0, 3],
    "io_priority": {"io_class": "idle", "level": 7},
    "oom_score_adj": -500,
    "no_new_privs": True,
    "group": "session",
    "fds": [[0, 0], [1, 1], [2, 1], [63, 2]],
    "entry": "render",
    "args": b"\x00\xffopaque",
    "result": 3,
}

ZYGOTE_SETUP = {
    "argv": ["/usr/bin/python3", "-m", "forkserver.zygote"],
    "env": ["LC_ALL=C.UTF-8"],
    "cwd": "/srv/shop",
    "umask": 18,
}


def add_requests(v):
    v.frame("hello", "hello", {
        "min_protocol": 1, "max_protocol": 1, "client": "example 1.0"
    }, frame_id=1)
    v.frame("hello_minimal", "hello",
            {"min_protocol": 1, "max_protocol": 1}, frame_id=1)
    v.frame("hello_full", "hello", {
        "min_protocol": 1, "max_protocol": 200, "client": "forkserver-cli 0.1",
        "capabilities": ["a", "b"]
    }, frame_id=I64_MAX)
    v.frame("hello_reply", "hello_reply", {
        "protocol": 1, "version": "0.1.0", "instance": "5f2c81a0",
        "pid": 4242, "capabilities": []
    }, frame_type="reply", frame_id=1)

    v.body("setup", "setup", SETUP)
    v.body("setup_full", "setup", FULL_SETUP)
    v.body("setup_no_argv", "setup", {"env": [], "cwd": "/", "umask": 511})
    v.body("setup_long", "setup", {
        "argv": ["x" * 31, "y" * 32, "z" * 256],
        "env": ["V%d=" % n for n in range(16)],
        "cwd": "/",
        "umask": 63,
        "result": 0,
    })

    v.frame("spawn", "spawn", {"setup": pack(SETUP), "watch": True},
            frame_id=2)
    v.frame("spawn_minimal", "spawn", {"setup": pack(SETUP)}, frame_id=3)
    v.frame("spawn_full", "spawn", {
        "setup": pack(FULL_SETUP), "name": raw(b"caf\xe9"),
        "timeout_ms": 1500, "grace_ms": 0, "detach": True, "watch": True,
        "exit_only": True, "crash_report": True, "report_leftovers": True,
        "stop_signal": 2, "memory_max_bytes": 536870912, "tasks_max": 64,
        "cpu_max_percent": 150
    }, frame_id=65536, fds=4)
    v.frame("fork_minimal", "fork", {
        "zygote": "django",
        "setup": pack({"env": [], "cwd": "/", "umask": 18, "entry": "render"})
    }, frame_id=4)
    v.frame("fork_full", "fork", {
        "zygote": "django/shop", "setup": pack(FULL_SETUP), "name": "shop",
        "timeout_ms": 86400000, "grace_ms": 5001, "detach": True,
        "watch": True, "exit_only": True,
        "crash_report": True, "report_leftovers": True, "stop_signal": 64,
        "memory_max_bytes": 1, "tasks_max": 1, "cpu_max_percent": 1
    }, frame_id=255, fds=253)
    v.frame("worker_reply", "worker_reply", {"worker": RUNNING_WORKER},
            frame_type="reply", frame_id=2)
    v.frame("worker_reply_full", "worker_reply", {"worker": ENDED_WORKER},
            frame_type="reply", frame_id=2)

    v.frame("zygote_start_minimal", "zygote_start", {
        "name": "django", "setup": pack(ZYGOTE_SETUP)
    }, frame_id=5)
    v.frame("zygote_start_full", "zygote_start", {
        "name": "django/shop",
        "setup": pack({"env": [], "cwd": "/", "umask": 18}),
        "preload": ["shop.models", "gc.freeze"], "parent": "django",
        "binary": "/usr/bin/python3.11:2049:131:6831736:1700000000",
        "freeze": ["DJANGO_*", "TZ"], "keep": True, "replace": True,
        "audit_policy": "allow", "entry_deadline_ms": 250,
        "grace_ms": 60000, "spares_min": 2, "spares_max": 64,
        "project": "/home/me/shop/forkserver.toml", "compare": True
    }, frame_id=6, fds=1)
    v.frame("zygote_reply", "zygote_reply", {"zygote": ZYGOTE},
            frame_type="reply", frame_id=5)
    v.frame("zygote_reply_compared", "zygote_reply",
            {"zygote": ZYGOTE, "difference": "its command"},
            frame_type="reply", frame_id=5)
    v.frame("zygote_stop", "zygote_stop", {"name": "django"}, frame_id=7)

    v.frame("service_start_known", "service_start",
            {"name": "database", "policy": {}}, frame_id=15)
    v.frame("service_start_full", "service_start", {
        "name": "web", "setup": pack(FULL_SETUP), "zygote": "django",
        "policy": SERVICE_POLICY, "replace": True, "no_wait": True,
        "project": "/home/me/shop/forkserver.toml", "compare": True
    }, frame_id=16)
    v.body("service_policy", "service_policy", {})
    v.body("service_policy_full", "service_policy", SERVICE_POLICY)
    for restart in ("no", "always"):
        v.body("service_policy_restart_" + restart, "service_policy",
               {"restart": restart})
    for ready in ("fd", "line", "exec", "notify"):
        v.body("service_policy_ready_" + ready, "service_policy",
               {"ready": ready})
    v.frame("service_reply", "service_reply", {"service": SERVICE},
            frame_type="reply", frame_id=15)
    v.frame("service_reply_full", "service_reply",
            {"service": FAILING_SERVICE, "difference": "how it is kept"},
            frame_type="reply", frame_id=16)
    for state in ("stopped", "waiting", "starting", "stopping", "restarting",
                  "failing", "finished", "failed"):
        v.body("service_" + state, "service_reply",
               {"service": dict(SERVICE, state=state)})
    v.frame("service_stop_minimal", "service_stop", {"name": "database"},
            frame_id=17)
    v.frame("service_stop_full", "service_stop",
            {"name": "database", "grace_ms": 0, "remove": True}, frame_id=17)
    v.frame("service_restart_minimal", "service_restart",
            {"name": "database"}, frame_id=18)
    v.frame("service_restart_full", "service_restart",
            {"name": "database", "no_wait": True}, frame_id=18)

    v.frame("wait", "wait", {"worker": "5f2c81a0-12"}, frame_id=8)
    v.frame("signal_minimal", "signal",
            {"worker": "5f2c81a0-12", "signal": 0}, frame_id=9)
    v.frame("signal_full", "signal",
            {"worker": "5f2c81a0-12", "signal": 15, "group": True},
            frame_id=9)
    v.frame("stop_minimal", "stop", {"worker": "5f2c81a0-12"}, frame_id=10)
    v.frame("stop_kill_at_once", "stop",
            {"worker": "5f2c81a0-12", "grace_ms": 0}, frame_id=10)
    v.frame("exit_reply", "exit_reply", {"exit": EXITED}, frame_type="reply",
            frame_id=8)
    v.frame("exit_reply_killed", "exit_reply", {"exit": KILLED},
            frame_type="reply", frame_id=8)
    v.frame("done", "done", {}, frame_type="reply", frame_id=9)
    v.frame("list", "list", {}, frame_id=11)
    v.frame("status", "status", {}, frame_id=12)
    v.frame("subscribe", "subscribe", {}, frame_id=13)
    v.frame("shutdown", "shutdown", {}, frame_id=14)
    v.frame("upgrade_minimal", "upgrade", {}, frame_id=15)
    v.frame("upgrade_full", "upgrade",
            {"program": "/usr/local/bin/forkserverd"}, frame_id=15)
    v.frame("upgrade_reply", "upgrade_reply",
            {"from": "0.1.0", "version": "0.2.0"}, frame_type="reply",
            frame_id=15)


def add_answers(v):
    v.frame("error", "error", ERROR, frame_id=3)
    v.frame("error_bare", "error", BARE_ERROR)
    v.frame("exit_message", "exit_record", EXITED, frame_type="exit",
            frame_id=2)
    v.frame("exit_message_lost", "exit_record", LOST, frame_type="exit",
            frame_id=2)
    v.body("exit_record_direct", "exit_record", dict(KILLED, direct=True))
    v.body("exit_record_crash", "exit_record", dict(KILLED, crash=CRASH))
    v.body("exit_record_crash_bare", "exit_record", dict(KILLED, crash={
        "signal_name": "SIGKILL", "pristine": True
    }))
    v.frame("snapshot_empty", "snapshot", {"workers": [], "zygotes": []},
            frame_type="reply", frame_id=11)
    v.frame("snapshot", "snapshot", {
        "workers": [RUNNING_WORKER, ENDED_WORKER],
        "zygotes": [ZYGOTE, STARTING_ZYGOTE],
        "services": [SERVICE, FAILING_SERVICE]
    }, frame_type="reply", frame_id=13)
    v.frame("daemon_status", "daemon_status", STATUS, frame_type="reply",
            frame_id=12)
    v.body("daemon_status_minimal", "daemon_status", {
        key: value for key, value in STATUS.items()
        if not key.startswith("cgroup_") and key != "upgrades"})
    v.frame("event_worker_ended", "event", {
        "event": "worker_ended", "time_ns": 81235568400001,
        "worker": ENDED_WORKER
    }, frame_id=13)
    v.frame("event_zygote_ready", "event", {
        "event": "zygote_ready", "time_ns": 1, "zygote": ZYGOTE
    }, frame_id=13)
    v.frame("event_service_changed", "event", {
        "event": "service_changed", "time_ns": 2, "service": FAILING_SERVICE
    }, frame_id=13)
    v.frame("event_service_removed", "event", {
        "event": "service_removed", "time_ns": 3,
        "service": dict(SERVICE, state="stopped")
    }, frame_id=13)
    v.frame("event_overrun", "event", {
        "event": "overrun", "time_ns": I64_MAX,
        "snapshot": {"workers": [RUNNING_WORKER], "zygotes": []}
    }, frame_id=13)
    for reason in ("timeout", "stopped", "client_gone", "zygote_died",
                   "daemon_stopping"):
        v.body("exit_record_" + reason, "exit_record",
               dict(KILLED, reason=reason))
    for state in ("launching", "stopping"):
        v.body("worker_" + state, "worker_reply",
               {"worker": dict(RUNNING_WORKER, state=state)})
    v.body("exit_record_fork_deadlock", "exit_record",
           dict(KILLED, reason="fork_deadlock",
                stacks=["thread 4712 'shop'", "  /lib/libgomp.so.1+0x20"]))
    v.body("exit_record_oom_kills", "exit_record",
           dict(KILLED, reason="signaled", oom_kills=2))
    v.body("exit_record_leftovers", "exit_record",
           dict(KILLED, leftovers=["4713 sleep 100", "4714 "]))
    v.body("zygote_retiring", "zygote_reply",
           {"zygote": dict(ZYGOTE, state="retiring")})
    v.body("zygote_quarantined", "zygote_reply",
           {"zygote": QUARANTINED_ZYGOTE})
    v.body("audit", "audit", AUDIT)
    for verdict in ("safe", "unknown"):
        v.body("audit_" + verdict, "audit",
               dict(AUDIT, verdict=verdict, reasons=[]))


def add_zygote_side(v):
    v.frame("zygote_hello_minimal", "zygote_hello",
            {"min_protocol": 1, "max_protocol": 1, "pid": 4700})
    v.frame("zygote_hello_full", "zygote_hello",
            {"min_protocol": 1, "max_protocol": 3, "pid": 4700,
             "sdk": "c++ 0.1.0"})
    v.frame("zygote_ready", "zygote_ready",
            {"entries": ZYGOTE["entries"], "preloads": ZYGOTE["preloads"]})
    v.frame("zygote_ready_full", "zygote_ready", {
        "entries": [], "preloads": [],
        "threads": [{"id": 4701, "name": ""}], "own_fds": [3, 4],
        "libraries": [{"symbol": "is_used", "path": "/lib/libx.so",
                       "used": False}]
    })
    v.frame("zygote_failed", "zygote_failed", {"error": dict(
        ERROR, code="zygote_unsafe", step="preload torch", errno=0,
        message="the zygote has 3 threads: 4701 'OMP worker', 4702 ''",
        hint="")})
    v.frame("configure", "configure", {
        "protocol": 1, "name": "django", "preload": [],
        "freeze": ["LD_*", "DYLD_*", "MALLOC_*", "OMP_*", "PYTHON*", "LC_*"]
    })
    v.frame("configure_full", "configure", {
        "protocol": 1, "name": "django", "preload": ["django"], "freeze": [],
        "audit_policy": "warn", "ask": ["_dispatch_is_multithreaded"],
        "surviving": ["libopenblas*"],
        "crash_reports": True, "spares_min": 2, "spares_max": 64,
        "takes_spares": True
    })
    v.frame("fork_worker_minimal", "fork_worker",
            {"worker": "5f2c81a0-12", "setup": pack(SETUP)})
    v.frame("fork_worker_full", "fork_worker", {
        "worker": "5f2c81a0-12", "setup": pack(FULL_SETUP),
        "limits": {"as": [-1, -1], "nofile": [1024, 1048576]}, "detach": True,
        "canary": True, "heir": 4242, "cgroup": True
    }, fds=5)
    v.frame("fork_zygote_minimal", "fork_zygote",
            {"worker": "5f2c81a0-2", "setup": pack(SETUP)}, fds=2)
    v.frame("fork_zygote_full", "fork_zygote", {
        "worker": "5f2c81a0-2", "setup": pack(SETUP),
        "limits": {"cpu": [10, 20]}
    }, fds=2)
    v.frame("signal_worker", "signal_worker",
            {"worker": "5f2c81a0-12", "signal": 9, "group": False})
    v.frame("spare_parked", "spare_parked", {"pid": 4712}, fds=1)
    v.frame("spare_withdrawn", "spare_withdrawn", {"pid": 4712})
    v.frame("spare_settled_minimal", "spare_settled", {"pid": 4712})
    v.frame("spare_settled_full", "spare_settled",
            {"pid": 4712, "worker": "5f2c81a0-12", "heir": 4242})
    v.frame("retire", "retire", {})
    v.frame("started", "started", {
        "worker": "5f2c81a0-12", "pid": 4712, "forked_ns": 81234567990000,
        "started_ns": 81234568400000
    })
    v.frame("failed", "failed",
            {"worker": "5f2c81a0-12", "pid": 0, "error": ERROR})
    v.frame("crash", "crash", {
        "worker": "5f2c81a0-12", "part": "report",
        "data": b"signal 11 1 0x110\nthread 4712 main\n"
    })
    v.frame("crash_traceback", "crash", {
        "worker": "5f2c81a0-12", "part": "traceback",
        "data": b"Fatal Python error: Aborted\n\xff"
    })
    v.frame("exited", "exited", {
        "worker": "5f2c81a0-12", "pid": 4712, "code": 0, "signal": None,
        "core": False, "max_rss_bytes": 1, "user_us": 127, "system_us": 128,
        "ended_ns": 4294967295
    })
    v.frame("exited_by_signal", "exited", {
        "worker": "5f2c81a0-12", "pid": 4712, "code": None, "signal": 6,
        "core": True, "max_rss_bytes": 65535, "user_us": 255,
        "system_us": 256, "ended_ns": 4294967296,
        "leftovers": ["4713 sleep 100"]
    })


def add_test_harness(v):
    """Bodies alone: no frame carries them."""
    v.body("test_list_empty", "test_list", {
        "framework": "doctest", "framework_version": "2.4.9", "tests": []
    })
    v.body("test_list", "test_list", {
        "framework": "gtest", "framework_version": "1.12.1",
        "tests": [
            {"name": "Fonts.Load", "suite": "Fonts", "file": "fonts_test.cc",
             "line": 65536, "tags": ["slow", "fonts"],
             "skip": "DISABLED_"},
            {"name": raw(b"caf\xe9, *")},
        ],
        "errors": ["test_shop: ImportError"]
    })
    v.body("test_run_minimal", "test_run",
           {"tests": ["Fonts.Load"], "report_fd": 3})
    v.body("test_run_full", "test_run", {
        "tests": ["a", ""], "report_fd": -1, "seed": I64_MAX, "debug": True,
        "arguments": ["--gtest_catch_exceptions=0"]
    })
    v.body("test_progress_begun", "test_progress",
           {"event": "begun", "test": "Fonts.Load"})
    v.body("test_progress_full", "test_progress", {
        "event": "ended", "test": "Fonts.Load", "status": "failed",
        "skip_reason": "it should fail", "wall_us": 1500, "assertions": 12,
        "failures": [
            {"message": "CHECK( 1 == 2 )\n" + raw(b"\xff"),
             "file": "fonts_test.cc", "line": 12, "where": "bold > italic"},
            {"message": ""},
        ]
    })
    v.body("test_progress_complete", "test_progress", {"event": "complete"})
    v.body("test_files_empty", "test_files",
           {"files": [], "folders": [], "suffixes": []})
    v.body("test_files", "test_files", {
        "files": [
            {"path": "/shop/tests/test_cart.py", "modified_ns": I64_MAX,
             "changed_ns": 4294967296, "size": 65536, "inode": 128},
            {"path": raw(b"/caf\xe9.json"), "modified_ns": -1,
             "changed_ns": -1, "size": -1, "inode": -1},
        ],
        "folders": [{"path": "/shop/tests",
                     "names": ["__init__.py", "test_cart.py"]}],
        "suffixes": ["", ".json", ".py"]
    })
    v.body("test_plan_none", "test_plan", {"session": False, "files": []})
    v.body("test_plan", "test_plan",
           {"session": True, "files": ["tests/test_cart.py"]})


def add_accepted(v):
    hello = {"min_protocol": 1, "max_protocol": 1, "client": "x"}
    envelope = {"type": "hello", "id": 1, "fds": 0}
    v.accept("unknown keys are ignored", "hello", envelope, hello, {
        "later": [1, {"x": None}], "type": "hello", "id": 1,
        "body": dict(hello, later={"deep": [b"", 1.5, True]})
    })
    v.accept("keys come in any order", "hello", envelope, hello, {
        "body": dict(reversed(list(hello.items()))), "id": 1, "type": "hello"
    })
    v.accept("a bin is taken for a str", "hello", envelope, hello,
             {"type": b"hello", "id": 1, "body": dict(hello, client=b"x")})
    v.accept("nil is an absent optional", "hello", envelope, hello, {
        "type": "hello", "id": 1, "body": dict(hello, capabilities=None)
    })
    v.accept("a zero id and no descriptors may be spelled out", "list",
             {"type": "list", "id": 0, "fds": 0}, {},
             {"type": "list", "id": 0, "fds": 0, "body": {}})
    v.accept("a frame may have no body", "list",
             {"type": "list", "id": 9, "fds": 0}, {},
             {"type": "list", "id": 9})
    v.accept("a str is taken for a bin", "spawn",
             {"type": "spawn", "id": 2, "fds": 0}, {"setup": b"abc"},
             {"type": "spawn", "id": 2, "body": {"setup": "abc"}})
    v.accept("a default may be spelled out", "spawn",
             {"type": "spawn", "id": 2, "fds": 0}, {"setup": b""}, {
                 "type": "spawn", "id": 2, "body": {
                     "setup": b"", "name": "", "timeout_ms": 0,
                     "grace_ms": 5000, "detach": False, "watch": False,
                     "exit_only": False}
             })
    v.accept("a nil default is the default", "spawn",
             {"type": "spawn", "id": 2, "fds": 0}, {"setup": b""},
             {"type": "spawn", "id": 2,
              "body": {"setup": b"", "grace_ms": None, "watch": None}})
    v.accept("defaults inside of a map may be spelled out", "service_start",
             {"type": "service_start", "id": 2, "fds": 0},
             {"name": "web", "policy": {}}, {
                 "type": "service_start", "id": 2, "body": {
                     "name": "web", "setup": None, "zygote": "",
                     "policy": {
                         "restart": "on-failure", "backoff_initial_ms": 200,
                         "backoff_factor": 2, "backoff_max_ms": 30000,
                         "backoff_jitter_percent": None,
                         "reset_after_ms": 10000, "start_limit": 5,
                         "success_exit_codes": [], "after": [],
                         "ready": "none", "ready_fd": 3, "ready_line": "",
                         "ready_command": None, "ready_timeout_ms": 30000,
                         "watchdog_ms": 0, "stop_signal": 15,
                         "grace_ms": 10000, "timeout_ms": 0,
                         "log_max_bytes": 10485760, "log_files": 3,
                         "log_drop": False, "pty": False, "detach": False,
                         "later": {"x": 1}}}
             })
    # The map {type: "wait", id: 7, body: {worker: "a"}} with str 8, str 16,
    # str 32, map 16, map 32 and int 64 where shorter forms would do.
    v.accept("any width of msgpack is taken", "wait",
             {"type": "wait", "id": 7, "fds": 0}, {"worker": "a"},
             b"\xdf\x00\x00\x00\x03"
             b"\xd9\x04type\xda\x00\x04wait"
             b"\xdb\x00\x00\x00\x02id\xd3" + (7).to_bytes(8, "big") +
             b"\xa4body\xde\x00\x01\xa6worker\xc4\x01a")


def add_refused(v):
    hello = {"min_protocol": 1, "max_protocol": 1}
    whole = pack({"type": "hello", "id": 1, "body": hello})
    v.refuse("an empty frame", "hello", "malformed", "", b"")
    v.refuse("a frame that ends early", "hello", "malformed", "",
             whole[:-1])
    v.refuse("a byte after the map", "hello", "malformed", "1 byte",
             whole + b"\xc0")
    v.refuse("the byte that msgpack never uses", "hello", "malformed", "",
             b"\xc1")
    v.refuse("an extension", "hello", "malformed", "extension",
             pack({"type": "hello", "body": msgpack.ExtType(1, b"x")}))
    v.refuse("33 levels", "hello", "malformed", "32",
             b"\x91" * 33 + b"\xc0")
    v.refuse("an array of 65,537", "hello", "malformed", "65536",
             b"\xdd\x00\x01\x00\x01")
    v.refuse("a map of 1,025", "hello", "malformed", "1024",
             b"\xde\x04\x01")
    v.refuse("an array where the frame should be", "hello", "bad_request",
             "map", pack([1]))
    v.refuse("a frame without a type", "hello", "missing_key", "'type'",
             pack({"id": 1, "body": hello}))
    v.refuse("a negative id", "hello", "bad_request", "'id'",
             pack({"type": "hello", "id": -1, "body": hello}))
    v.refuse("an id of 2^63", "hello", "bad_request", "'id'",
             pack({"type": "hello", "id": 2**63, "body": hello}))
    v.refuse("fds that is no number", "hello", "bad_request", "'fds'",
             pack({"type": "hello", "fds": "1", "body": hello}))
    v.refuse("a body that is no map", "hello", "bad_request", "'hello'",
             pack({"type": "hello", "body": []}))
    v.refuse("a key that is missing", "hello", "missing_key",
             "'max_protocol'",
             pack({"type": "hello", "body": {"min_protocol": 1}}))
    v.refuse("nil for a required key", "hello", "bad_request",
             "'hello.min_protocol'", pack({
                 "type": "hello",
                 "body": {"min_protocol": None, "max_protocol": 1}}))
    v.refuse("a float for an integer", "signal", "bad_request",
             "'signal.signal'",
             pack({"type": "signal", "body": {"worker": "a",
                                              "signal": 9.0}}))
    v.refuse("an integer for a boolean", "signal", "bad_request",
             "'signal.group'", pack({
                 "type": "signal",
                 "body": {"worker": "a", "signal": 9, "group": 1}}))
    v.refuse("an integer for a string", "wait", "bad_request",
             "'wait.worker'", pack({"type": "wait", "body": {"worker": 1}}))
    v.refuse("a limit that is no pair", "fork_worker", "bad_request",
             "'fork_worker.limits'", pack({
                 "type": "fork_worker",
                 "body": {"worker": "a", "setup": b"",
                          "limits": {"core": [1]}}}))
    v.refuse("a state that does not exist", "worker_reply", "bad_request",
             "launching, running, stopping, ended", pack({
                 "type": "reply",
                 "body": {"worker": dict(RUNNING_WORKER, state="dead")}}))
    v.refuse("a service without a policy", "service_start", "missing_key",
             "'policy'", pack({
                 "type": "service_start", "body": {"name": "web"}}))
    v.refuse("a policy that is no map", "service_start", "bad_request",
             "'service_start.policy'", pack({
                 "type": "service_start",
                 "body": {"name": "web", "policy": []}}))
    v.refuse("a wrong value inside of a policy", "service_start",
             "bad_request", "'service_start.policy.grace_ms'", pack({
                 "type": "service_start",
                 "body": {"name": "web", "policy": {"grace_ms": "1"}}}))
    v.refuse("a restart that does not exist", "service_start", "bad_request",
             "no, on-failure, always", pack({
                 "type": "service_start",
                 "body": {"name": "web", "policy": {"restart": "maybe"}}}))
    v.refuse("a way to be ready that does not exist", "service_start",
             "bad_request", "none, fd, line, exec, notify", pack({
                 "type": "service_start",
                 "body": {"name": "web", "policy": {"ready": "soon"}}}))


def make():
    vectors = Vectors()
    add_requests(vectors)
    add_answers(vectors)
    add_zygote_side(vectors)
    add_test_harness(vectors)
    add_accepted(vectors)
    add_refused(vectors)
    return json.dumps(vars(vectors), indent=1, ensure_ascii=True) + "\n"


if __name__ == "__main__":
    sys.stdout.write(make())
