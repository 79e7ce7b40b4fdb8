"""One connection to forkserverd, by hand: a socket and msgpack, no SDK."""

import array
import collections
import os
import socket
import struct

import msgpack

from daemon_fixture import MARKER

TIMEOUT_S = float(os.environ.get("FORKSERVER_TEST_TIMEOUT_S", 60))


def pack(value):
    return msgpack.packb(value, use_bin_type=True)


def frame(payload):
    return struct.pack(">I", len(payload)) + payload


def make_setup(argv, *, env=None, cwd="/", umask=0o22, **others):
    """The `setup` of a request, packed. `None` leaves a key out."""
    body = {"argv": argv, "env": env, "cwd": cwd, "umask": umask, **others}
    return pack({key: value for key, value in body.items()
                 if value is not None})


class WireError(Exception):
    """An `error` frame."""

    def __init__(self, body):
        super().__init__(repr(body))
        for name in ("code", "message", "step", "errno", "hint"):
            setattr(self, name, body[name])


class Client:
    """One connection. Frames that nobody asked for yet are kept."""

    def __init__(self, path, marker="", hello=True):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(TIMEOUT_S)
        try:
            self.socket.connect(path)
        except OSError:
            self.socket.close()
            raise
        self.env = ["PATH=/usr/bin:/bin", f"{MARKER}={marker}"]
        if "ASAN_OPTIONS" in os.environ:
            # Tests preload libraries into their programs.
            self.env.append("ASAN_OPTIONS=" + os.environ["ASAN_OPTIONS"] +
                            ":verify_asan_link_order=0")
        self.frames = collections.deque()
        self.buffer = b""
        self.last_id = 0
        if hello:
            self.hello = self.answer(self._send_hello())

    def _send_hello(self):
        try:
            return self.send("hello", {"min_protocol": 1, "max_protocol": 1})
        except BrokenPipeError:
            return 0  # refused: the error that was sent is there to be read

    def close(self):
        self.socket.close()

    # Out.
    def send_bytes(self, data, fds=()):
        data = memoryview(data)
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                      array.array("i", fds))] if fds else []
        sent = self.socket.sendmsg([data], ancillary)
        if sent < len(data):
            self.socket.sendall(data[sent:])

    def send(self, kind, body=None, fds=(), announced=None):
        """Sends a request and returns its id."""
        self.last_id += 1
        envelope = {"type": kind, "id": self.last_id, "body": body or {}}
        announced = len(fds) if announced is None else announced
        if announced:
            envelope["fds"] = announced
        self.send_bytes(frame(pack(envelope)), fds)
        return self.last_id

    def send_spawn(self, argv, passed=(), policy=None, **setup):
        setup.setdefault("env", self.env)
        body = {"setup": make_setup(argv, **setup), **(policy or {})}
        return self.send("spawn", body, passed)

    # In.
    def receive(self):
        """The next frame from the socket; None at its end."""
        while True:
            if len(self.buffer) >= 4:
                size = 4 + struct.unpack(">I", self.buffer[:4])[0]
                if len(self.buffer) >= size:
                    payload = self.buffer[4:size]
                    self.buffer = self.buffer[size:]
                    return msgpack.unpackb(payload, raw=False)
            try:
                data = self.socket.recv(1 << 20)
            except ConnectionResetError:
                data = b""
            if not data:
                return None
            self.buffer += data

    def take(self, wanted):
        """The first frame for which wanted(frame); keeps the others."""
        for kept in self.frames:
            if wanted(kept):
                self.frames.remove(kept)
                return kept
        while True:
            received = self.receive()
            if received is None:
                raise ConnectionError("forkserverd closed the connection")
            if wanted(received):
                return received
            self.frames.append(received)

    def answer(self, request):
        """The body of the answer; raises WireError."""
        try:
            received = self.take(lambda one: one.get("id", 0) == request
                                 and one["type"] in ("reply", "error"))
        except ConnectionError:
            # Closed because of an error that is nobody's answer.
            received = next((kept for kept in self.frames
                             if kept["type"] == "error"), None)
            if received is None:
                raise
        if received["type"] == "error":
            raise WireError(received["body"])
        return received["body"]

    def next_error(self):
        """The next error, whatever its id."""
        return WireError(self.take(lambda one: one["type"] == "error")["body"])

    def exit_message(self, request):
        """The record in the `exit` frame of a watched worker."""
        return self.take(lambda one: one["type"] == "exit"
                         and one["id"] == request)["body"]

    def wait_until_closed(self):
        """Everything that comes until the end of the connection."""
        frames = list(self.frames)
        while (received := self.receive()) is not None:
            frames.append(received)
        return frames

    # Requests.
    def request(self, kind, body=None, fds=(), **options):
        return self.answer(self.send(kind, body, fds, **options))

    def spawn(self, argv, passed=(), policy=None, **setup):
        """`passed`: descriptors of ours; `fds` of the setup places them."""
        return self.answer(
            self.send_spawn(argv, passed, policy, **setup))["worker"]

    def wait(self, worker):
        name = worker if isinstance(worker, str) else worker["id"]
        return self.request("wait", {"worker": name})["exit"]

    def stop(self, worker, **options):
        return self.request("stop", {"worker": worker["id"],
                                     **options})["exit"]

    def signal(self, worker, number, **options):
        self.request("signal", {"worker": worker["id"], "signal": number,
                                **options})

    def run(self, argv, **options):
        """What a worker writes to its standard output, and its record."""
        read_end, write_end = os.pipe()
        with open(read_end, "rb") as output:
            try:
                worker = self.spawn(argv, [write_end], fds=[[1, 0]], **options)
            finally:
                os.close(write_end)
            text = output.read().decode(errors="replace")
        return text, self.wait(worker)

    def status(self):
        return self.request("status")

    def workers(self):
        return self.request("list")["workers"]
