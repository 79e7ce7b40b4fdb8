"""forkserverd's wire, by hand: a socket and msgpack, no SDK.

  class MyTest(WireTestCase):
      def test_a_worker_ends_with_its_code(self):
          client = self.client()
          worker = client.spawn(["sh", "-c", "exit 7"])
          self.assertEqual(client.wait(worker)["code"], 7)

Each test has its own folder, socket and daemon. Tear-down closes the clients
and fails the test unless the daemon has its first number of descriptors
again, no worker, no zombie, exits 0 on SIGTERM and leaves no process behind.
The test process is a subreaper: what the daemon leaves comes to it.
"""

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import tempfile
import unittest
import uuid

from daemon_fixture import (FORKSERVERD, MARKER, ROOT, ZYGOTE_PROGRAM, alive,
                            processes, read_file, state_and_parent, wait_for)
from wire_client import Client, WireError, frame, make_setup, pack

__all__ = [
    "Client", "Daemon", "FORKSERVERD", "ROOT", "WireError", "WireTestCase",
    "ZYGOTE_PROGRAM", "alive", "child_program", "children_of", "frame",
    "make_setup", "pack", "prctl", "processes", "read_file",
    "state_and_parent", "threads_of", "wait_for",
]

LIBC = ctypes.CDLL(None, use_errno=True)
PR_SET_CHILD_SUBREAPER = 36


def child_program(name):
    return os.path.join(ROOT, "tests/child_programs", name)


def prctl(*arguments):
    words = [ctypes.c_ulong(argument) for argument in arguments]
    words += [ctypes.c_ulong(0)] * (5 - len(words))
    if LIBC.prctl(*words) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def children_of(pid):
    """The pids of its children, zombies too."""
    return [int(child)
            for thread in os.listdir(f"/proc/{pid}/task")
            for child in read_file(
                f"/proc/{pid}/task/{thread}/children").split()]


def threads_of(pid):
    return os.listdir(f"/proc/{pid}/task")


class Daemon:
    """A forkserverd in the foreground."""

    def __init__(self, folder, marker, arguments=(), env=None,
                 program=FORKSERVERD, **options):
        self.socket = os.path.join(folder, "d.sock")
        self.log = os.path.join(folder, "log")
        self.marker = marker
        environment = dict(os.environ, **{MARKER: marker}, **(env or {}))
        # Sanitizers: libraries are preloaded before theirs; and a child that
        # shares our memory would share the stacks that they fake.
        environment["ASAN_OPTIONS"] = ":".join([
            environment.get("ASAN_OPTIONS", ""), "verify_asan_link_order=0",
            "detect_stack_use_after_return=0"]).strip(":")
        options.setdefault("stdin", subprocess.DEVNULL)
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [program, "--socket", self.socket, "--foreground",
                 *arguments], env=environment, stdout=log, stderr=log,
                **options)
        self.pid = self.process.pid
        self.client().close()

    def client(self, **options):
        """A connection, once the daemon serves."""

        def connect():
            if self.process.poll() is not None:
                raise AssertionError("forkserverd ended: " + self.log_text())
            try:
                return Client(self.socket, self.marker, **options)
            except (FileNotFoundError, ConnectionRefusedError):
                return None

        return wait_for(connect, lambda: "the daemon serves: " +
                        self.log_text())

    def log_text(self):
        return read_file(self.log).decode(errors="replace")

    def zombies(self):
        return [child for child in children_of(self.pid)
                if state_and_parent(child)[0] == "Z"]

    def stop(self):
        """SIGTERM; returns the exit code."""
        self.process.terminate()
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError("forkserverd does not stop: " +
                                 self.log_text()) from None

    def kill(self):
        self.process.kill()
        self.process.wait()


class WireTestCase(unittest.TestCase):
    """Each test with a daemon of its own."""

    daemon_arguments = ()
    starts_daemon = True

    def setUp(self):
        prctl(PR_SET_CHILD_SUBREAPER, 1)
        self.folder = tempfile.mkdtemp(prefix="fs", dir="/tmp")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.marker = uuid.uuid4().hex
        self.addCleanup(self._kill_what_is_left)
        self.connections = contextlib.ExitStack()
        self.daemon = None
        if self.starts_daemon:
            self.start_daemon(*self.daemon_arguments)

    def start_daemon(self, *arguments, **options):
        self.daemon = Daemon(self.folder, self.marker, arguments, **options)
        with contextlib.closing(self.daemon.client()) as client:
            wait_for(lambda: client.status()["clients"] == 1, "one client")
            self.open_fds = client.status()["open_fds"]
        return self.daemon

    def public_program(self):
        """forkserverd where another user can run it."""
        path = os.path.join(self.folder, "forkserverd")
        shutil.copy(FORKSERVERD, path)
        os.chmod(path, 0o755)
        return path

    def client(self, **options):
        """A connection that is closed in the tear-down."""
        client = self.daemon.client(**options)
        self.connections.callback(client.close)
        return client

    def assert_serves(self):
        """Others are served: a fresh client runs a worker."""
        with contextlib.closing(self.daemon.client()) as other:
            record = other.wait(other.spawn(["sh", "-c", "exit 11"]))
        self.assertEqual((record["code"], record["reason"]), (11, "exited"))

    def assert_error(self, code, function, *arguments, **options):
        """Calls it, expects that error and returns it."""
        with self.assertRaises(WireError) as caught:
            function(*arguments, **options)
        self.assertEqual(caught.exception.code, code, caught.exception)
        return caught.exception

    def assert_clean(self):
        """No client but one of our own, no worker, no leaked descriptor."""
        with contextlib.closing(self.daemon.client()) as client:
            wait_for(lambda: (lambda status: status["clients"] == 1 and
                              status["workers"] == 0 and
                              status["open_fds"] == self.open_fds)(
                                  client.status()),
                     lambda: f"{self.open_fds} descriptors and no worker: "
                     f"{client.status()} {client.request('list')}")
            self.assertEqual(client.status()["threads"], 1)
        wait_for(lambda: not self.daemon.zombies(),
                 lambda: f"no zombies: {self.daemon.zombies()}")

    def tearDown(self):
        self.connections.close()
        if self.daemon is None or self.daemon.process.returncode is not None:
            return
        self.assert_clean()
        self.assertEqual(self.daemon.stop(), 0, self.daemon.log_text())
        self.assertFalse(os.path.exists(self.daemon.socket))
        self.assert_nothing_left()

    def assert_nothing_left(self):
        """No live descendant: it would have come to us.

        What was killed just now may become a zombie after the daemon's end;
        we are its subreaper, and reap it as init would.
        """

        def nothing_left():
            for pid in self.descendants():
                if not alive(pid):
                    os.waitpid(pid, 0)
            return not self.descendants()

        wait_for(nothing_left,
                 lambda: "processes to end: " + ", ".join(
                     f"{pid} {state_and_parent(pid)} "
                     f"{read_file(f'/proc/{pid}/cmdline')!r}"
                     for pid in self.descendants()))

    @staticmethod
    def descendants():
        return children_of(os.getpid())

    def _kill_what_is_left(self):
        self.connections.close()
        while pids := self.descendants():
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, 0)
