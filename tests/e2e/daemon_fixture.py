"""A forkserverd of its own for a test, and a check that it leaves nothing.

  class MyTest(DaemonTestCase):
      def test_a_worker_exits(self):
          result = self.cli("run", "--", "sh", "-c", "exit 7")
          self.assertEqual(result.returncode, 7)

Each test has its own folder (self.folder), socket and daemon. Tear-down ends
what the test left alive in the daemon, and fails the test unless the daemon's
descriptors are as many as at first, it has no zombie, it exits 0 on SIGTERM,
and no process that it made lives on.
"""

import ctypes
import json
import mmap
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest
import uuid

# Bazel runs a test in the root of its runfiles. By hand: bazel-bin.
ROOT = os.environ.get("FORKSERVER_TEST_ROOT", os.getcwd())
FORKSERVERD = os.path.join(ROOT, "server/forkserverd")
FORKSERVER = os.path.join(ROOT, "tools/forkserver/forkserver")
ZYGOTE_PROGRAM = os.path.join(ROOT, "tests/child_programs/zygote_program")

MARKER = "FORKSERVER_TEST_MARKER"


def wait_for(predicate, message, timeout=20):
    """Returns the first true value of predicate(); fails after `timeout` s.

    `message` says what was waited for; if it is callable, it is called.
    """
    deadline = time.monotonic() + timeout
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > deadline:
            text = message() if callable(message) else message
            raise AssertionError(f"not within {timeout} s: {text}")
        time.sleep(0.01)


def read_file(path):
    """The bytes of a file of /proc, empty if its process is gone."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def is_sanitized(program):
    """A sanitizer's handler is in the place of ours, and of the system's."""
    return b"__asan_init" in read_file(program)


def has_huge_pages(size):
    """This machine can move so many bytes into huge pages now: they are not
    switched off, it is Linux 6.1 or later, and memory is not too scattered."""
    enabled = read_file("/sys/kernel/mm/transparent_hugepage/enabled")
    if not enabled or b"[never]" in enabled:
        return False
    libc = ctypes.CDLL(None)
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    with mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        memory.write(b"x" * size)
        first = ctypes.c_char.from_buffer(memory)
        address = ctypes.addressof(first)
        del first
        begin = -(-address // (2 << 20)) * (2 << 20)
        collapse = 25
        return libc.madvise(begin, address + size - begin >> 21 << 21,
                            collapse) == 0


def processes():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def state_and_parent(pid):
    """("S", 1); (None, None) if there is no such process."""
    fields = read_file(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    return (fields[0].decode(), int(fields[1])) if fields else (None, None)


def alive(pid):
    return state_and_parent(pid)[0] not in (None, "Z")


def restore_signals():
    for number in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)


class Sandbox:
    """A folder, an environment that is not the user's, and a marker in it."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="fs", dir="/tmp")
        self.socket = os.path.join(self.folder, "d.sock")
        self.marker = uuid.uuid4().hex
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("FORKSERVER_")
        }
        self.environment.update({
            MARKER: self.marker,
            "FORKSERVER_BIN": os.path.dirname(FORKSERVERD),
            "FORKSERVER_SOCKET": self.socket,
            "HOME": self.folder,
            "XDG_RUNTIME_DIR": self.folder,
            "XDG_STATE_HOME": self.folder,
        })

    def cli(self, *arguments, timeout=60, **options):
        """Runs `forkserver ARGUMENTS`; streams are captured text."""
        options.setdefault("stdin", subprocess.DEVNULL)
        if options.get("input") is not None:
            del options["stdin"]
        options.setdefault("text", True)
        for stream in ("stdout", "stderr"):
            options.setdefault(stream, subprocess.PIPE)
        return subprocess.run([FORKSERVER, *arguments],
                              env=self.environment, timeout=timeout,
                              check=False, **options)

    def start_cli(self, *arguments, **options):
        """The same in the background, for a minute at most.

        Its signals have their default actions, even where the test itself
        runs in the background of a shell.
        """
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("text", True)
        for stream in ("stdout", "stderr"):
            options.setdefault(stream, subprocess.PIPE)
        process = subprocess.Popen([FORKSERVER, *arguments],
                                   env=self.environment,
                                   preexec_fn=restore_signals, **options)
        watchdog = threading.Timer(60, process.kill)
        watchdog.daemon = True
        watchdog.start()
        return process

    def leftovers(self):
        """Live processes with the marker: daemons, zygotes, workers."""
        wanted = f"{MARKER}={self.marker}".encode()
        return [
            pid for pid in processes()
            if wanted in read_file(f"/proc/{pid}/environ").split(b"\0")
            and alive(pid)
        ]

    def describe_leftovers(self):
        return "processes to end: " + ", ".join(
            f"{pid} {read_file(f'/proc/{pid}/cmdline')!r}"
            for pid in self.leftovers())

    def remove(self):
        for pid in self.leftovers():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        shutil.rmtree(self.folder, ignore_errors=True)


class SandboxTestCase(unittest.TestCase):
    """Each test in a sandbox, in which it may start a daemon or none."""

    def setUp(self):
        self.sandbox = Sandbox()
        self.addCleanup(self.sandbox.remove)
        self.folder = self.sandbox.folder
        self.cli = self.sandbox.cli
        self.start_cli = self.sandbox.start_cli

    def cli_json(self, *arguments, code=0, **options):
        """What a command prints as JSON; it must exit with `code`."""
        at = arguments.index("--") if "--" in arguments else len(arguments)
        result = self.cli(*arguments[:at], "--json", *arguments[at:],
                          **options)
        self.assertEqual(result.returncode, code, result.stderr)
        return json.loads(result.stdout)

    def assert_nothing_left(self):
        wait_for(lambda: not self.sandbox.leftovers(),
                 self.sandbox.describe_leftovers)


class DaemonTestCase(SandboxTestCase):
    """Each test with a forkserverd in the foreground."""

    daemon_arguments = ()
    daemon_options = {}  # of subprocess.Popen

    def setUp(self):
        super().setUp()
        self.log = os.path.join(self.folder, "log")
        self.addCleanup(self._end_daemon)
        self.start_daemon()
        self.open_fds = self.status()["open_fds"]

    def tearDown(self):
        if self.daemon.returncode is None:
            self._check_and_stop()
        self.assert_nothing_left()
        super().tearDown()

    def status(self):
        return self.cli_json("status")

    def log_text(self):
        return read_file(self.log).decode(errors="replace")

    def start_daemon(self):
        """Again, for tests in which it has ended."""
        with open(self.log, "ab") as log:
            self.daemon = subprocess.Popen(
                [FORKSERVERD, "--socket", self.sandbox.socket, "--foreground",
                 *self.daemon_arguments],
                env=self.sandbox.environment, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, **self.daemon_options)
        wait_for(self._serves, lambda: "the daemon serves: " + self.log_text())

    def kill_daemon(self):
        """For tests of a daemon that is killed."""
        self.daemon.kill()
        self.daemon.wait()

    def _serves(self):
        if self.daemon.poll() is not None:
            self.fail("forkserverd ended: " + self.log_text())
        return self.cli("status").returncode == 0

    def _check_and_stop(self):
        for service in self.cli_json("services"):
            self.cli("remove", service["name"], "--grace", "0")
        for zygote in self.cli_json("zygote", "ls"):
            self.cli("zygote", "stop", zygote["name"])
        for worker in self.cli_json("ps"):
            self.cli("stop", worker["id"], "--grace", "0")
        wait_for(lambda: self.status()["open_fds"] == self.open_fds,
                 lambda: f"{self.open_fds} descriptors: {self.status()}")
        wait_for(lambda: not self._zombies(),
                 lambda: f"no zombies: {self._zombies()}")
        self.daemon.terminate()
        try:
            self.daemon.wait(20)
        except subprocess.TimeoutExpired:
            self.fail("forkserverd does not stop: " + self.log_text())
        self.assertEqual(self.daemon.returncode, 0, self.log_text())

    def _zombies(self):
        return [pid for pid in processes()
                if state_and_parent(pid) == ("Z", self.daemon.pid)]

    def _end_daemon(self):
        if self.daemon.poll() is None:
            self.daemon.kill()
            self.daemon.wait()
