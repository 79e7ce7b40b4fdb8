"""A zygote alone, with the test as its daemon: every order of events is ours.

  zygote = ScriptedDaemon([ZYGOTE_PROGRAM], environment)
  zygote.configure(spares_min=2, spares_max=2)
  spare = zygote.take_spare()
  spare.send_fork("w", setup)
"""

import array
import os
import select
import signal
import socket
import struct
import subprocess

import msgpack

from daemon_fixture import wait_for
from wire_client import TIMEOUT_S, frame, pack


def encode(kind, body, fds=0):
    envelope = {"type": kind, "body": body}
    if fds:
        envelope["fds"] = fds
    return frame(pack(envelope))


class Frames:
    """Frames of a socket or a pipe."""

    def __init__(self, fd):
        self.fd = fd
        self.buffer = b""

    def next(self, timeout=TIMEOUT_S):
        """(type, body), or None after `timeout` seconds and at the end."""
        while True:
            if len(self.buffer) >= 4:
                size = 4 + struct.unpack(">I", self.buffer[:4])[0]
                if len(self.buffer) >= size:
                    payload = self.buffer[4:size]
                    self.buffer = self.buffer[size:]
                    envelope = msgpack.unpackb(payload, raw=False)
                    return envelope["type"], envelope["body"]
            if not select.select([self.fd], [], [], timeout)[0]:
                return None
            data = self.read()
            if not data:
                return None
            self.buffer += data

    def read(self):
        return os.read(self.fd, 1 << 16)


class SocketFrames(Frames):
    """With their descriptors."""

    def __init__(self, sock):
        super().__init__(sock.fileno())
        self.socket = sock
        self.fds = []

    def read(self):
        data, fds, _, _ = socket.recv_fds(self.socket, 1 << 16, 16)
        self.fds += fds
        return data


class Spare:
    """One that the zygote has told of."""

    def __init__(self, pid, fd):
        self.pid = pid
        self.channel = socket.socket(fileno=fd)

    def send_fork(self, worker, setup, fds=()):
        data = encode("fork_worker", {"worker": worker, "setup": setup},
                      len(fds))
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                      array.array("i", fds))] if fds else []
        self.channel.sendmsg([data], ancillary)


class ScriptedDaemon:

    def __init__(self, argv, environment):
        ours, theirs = socket.socketpair()
        reports, report_fd = os.pipe()
        self.environment = environment
        self.process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL,
            env=dict(environment,
                     FORKSERVER_ZYGOTE_CONTROL_FD=str(theirs.fileno()),
                     FORKSERVER_ZYGOTE_REPORT_FD=str(report_fd)),
            pass_fds=[theirs.fileno(), report_fd])
        self.pid = self.process.pid
        theirs.close()
        os.close(report_fd)
        self.control = SocketFrames(ours)
        self.reports = Frames(reports)
        self.spares = []

    def configure(self, **options):
        """Until it is ready, and has forked the canary."""
        assert self.control.next()[0] == "zygote_hello"
        self.send("configure", {
            "protocol": 1, "name": "z", "preload": [], "freeze": [],
            "takes_spares": True, **options})
        kind, body = self.control.next()
        assert kind == "zygote_ready", body
        self.fork("canary", self.setup(), canary=True)
        assert self.reports.next()[0] == "started"
        assert self.reports.next()[0] == "exited"

    def setup(self, entry="", args=b"", **others):
        env = [f"{name}={value}" for name, value in self.environment.items()]
        return pack({"env": env, "cwd": "/", "umask": 0o22, "entry": entry,
                     "args": args, **others})

    def send(self, kind, body):
        self.control.socket.sendall(encode(kind, body))

    def fork(self, worker, setup, **others):
        self.send("fork_worker", {"worker": worker, "setup": setup, **others})

    def settle(self, spare, worker=""):
        body = {"pid": spare.pid}
        if worker:
            body["worker"] = worker
        self.send("spare_settled", body)

    def take_spare(self):
        """The next that it tells of."""
        kind, body = self.control.next()
        assert kind == "spare_parked", (kind, body)
        return self.spare_of(body)

    def spare_of(self, body):
        spare = Spare(body["pid"], self.control.fds.pop(0))
        self.spares.append(spare)
        return spare

    def report(self, *kinds):
        """The bodies of the next reports, which are of these types."""
        found = [self.reports.next() for _ in kinds]
        assert [each[0] for each in found] == list(kinds), found
        return [each[1] for each in found]

    def has_child(self, pid):
        """A zombie is one."""
        path = f"/proc/{self.pid}/task/{self.pid}/children"
        with open(path, encoding="ascii") as file:
            return str(pid) in file.read().split()

    def await_reaped(self, spare):
        wait_for(lambda: not self.has_child(spare.pid),
                 f"spare {spare.pid} is reaped")

    def hang_up(self):
        """The daemon is gone. The zygote's exit code."""
        self.control.socket.close()
        return self.process.wait(TIMEOUT_S)

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        self.control.socket.close()
        os.close(self.reports.fd)
        for spare in self.spares:
            spare.channel.close()
