"""forkserver.guard(): unsafe forks as warnings or exceptions."""

import multiprocessing
import os
import pty
import signal
import socket
import subprocess
import threading
import unittest
import warnings
from unittest import mock

import forkserver
from daemon_fixture import FORKSERVER


def wait_for_the_end(end):
    end.wait()


def start_a_thread(test):
    end = threading.Event()
    thread = threading.Thread(target=wait_for_the_end, args=(end,),
                              name="counter", daemon=True)
    thread.start()
    test.addCleanup(thread.join)
    test.addCleanup(end.set)
    return thread


def fork_here():
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    return pid


def nothing():
    pass


class GuardCase(unittest.TestCase):
    mode = "warn"
    command = FORKSERVER

    def setUp(self):
        environment = mock.patch.dict(
            os.environ, {"FORKSERVER_BIN": os.path.dirname(self.command),
                         "PATH": "/usr/bin:/bin", "HOME": "/nowhere"})
        environment.start()
        self.addCleanup(environment.stop)
        self.guard = forkserver.guard(self.mode)
        self.addCleanup(self.guard.stop)
        caught = warnings.catch_warnings(record=True)
        self.warnings = caught.__enter__()
        self.addCleanup(caught.__exit__, None, None, None)
        warnings.simplefilter("always")
        self.fds = os.listdir("/proc/self/fd")
        self.addCleanup(lambda: self.assertEqual(
            len(os.listdir("/proc/self/fd")), len(self.fds)))

    def tearDown(self):
        # Every child was waited for: the doctor too.
        with self.assertRaises(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)

    def told(self):
        return [str(each.message) for each in self.warnings
                if each.category is forkserver.ForkUnsafeWarning]

    def the_warning(self):
        told = self.told()
        self.assertEqual(len(told), 1, told)
        return told[0]


class Warn(GuardCase):

    def test_a_fork_with_a_thread_names_the_thread_and_both_stacks(self):
        start_a_thread(self)
        os.waitpid(fork_here(), 0)
        text = self.the_warning()
        self.assertIn("Python daemon thread 'counter', started at:", text)
        self.assertIn("in start_a_thread", text)
        self.assertIn("It forks at:", text)
        self.assertIn("in fork_here", text)
        self.assertIn("What would have been safe:", text)
        warning, = [each for each in self.warnings
                    if each.category is forkserver.ForkUnsafeWarning]
        self.assertEqual(warning.filename, __file__)

    def test_a_place_is_told_once(self):
        start_a_thread(self)
        for _ in range(5):
            os.waitpid(fork_here(), 0)
        self.the_warning()

    def test_multiprocessing_with_fork(self):
        start_a_thread(self)
        process = multiprocessing.get_context("fork").Process(target=nothing)
        process.start()
        process.join()
        self.assertIn("in start\n", self.the_warning())

    def test_forkpty(self):
        start_a_thread(self)
        pid, fd = pty.fork()
        if pid == 0:
            os._exit(0)
        os.close(fd)
        os.waitpid(pid, 0)
        self.assertIn("pty.py", self.the_warning())

    def test_a_fork_function_that_was_taken_before(self):
        self.guard.stop()
        taken = os.fork
        forkserver.guard()
        start_a_thread(self)
        pid = taken()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
        self.assertIn("test_a_fork_function_that_was_taken_before",
                      self.the_warning())

    def test_a_connection_is_found_by_the_doctor(self):
        with socket.create_server(("127.0.0.1", 0)) as server, \
                socket.create_connection(server.getsockname()):
            os.waitpid(fork_here(), 0)
        text = self.the_warning()
        self.assertIn("connection", text)
        self.assertIn("do: ", text)

    def test_a_process_with_nothing_of_that_forks(self):
        for _ in range(2):
            os.waitpid(fork_here(), 0)
        self.assertEqual(self.told(), [])

    def test_subprocess_and_spawn_are_safe(self):
        start_a_thread(self)
        for _ in range(20):
            subprocess.run(["true"], check=True)
            subprocess.run(["true"], check=True, preexec_fn=nothing)
        os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)
        process = multiprocessing.get_context("spawn").Process(target=nothing)
        process.start()
        process.join()
        from multiprocessing import resource_tracker
        tracker = resource_tracker._resource_tracker
        if tracker._pid is not None:
            os.close(tracker._fd)
            os.waitpid(tracker._pid, 0)
            tracker._fd = tracker._pid = None
        self.assertEqual(self.told(), [])

    def test_with_sigchld_ignored(self):
        before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        self.addCleanup(signal.signal, signal.SIGCHLD, before)
        start_a_thread(self)
        fork_here()
        self.assertIn("'counter'", self.the_warning())
        with self.assertRaises(ChildProcessError):
            os.waitpid(-1, 0)

    def test_after_stop_all_is_as_it_was(self):
        ours = os.fork, os.forkpty, threading.Thread.start
        self.guard.stop()
        self.guard.stop()
        for mine, its in zip(ours,
                             (os.fork, os.forkpty, threading.Thread.start)):
            self.assertIsNot(mine, its)
        start_a_thread(self)
        os.waitpid(fork_here(), 0)
        self.assertEqual(self.told(), [])

    def test_a_wrong_mode(self):
        with self.assertRaises(forkserver.BadRequest):
            forkserver.guard("panic")


class Raise(GuardCase):
    mode = "raise"

    def test_the_fork_does_not_happen(self):
        start_a_thread(self)
        for _ in range(2):
            with self.assertRaises(forkserver.ForkUnsafe) as caught:
                fork_here()
        self.assertIsInstance(caught.exception, forkserver.Error)
        self.assertEqual(caught.exception.code, "fork_unsafe")
        self.assertIn("'counter'", str(caught.exception))

    def test_subprocess_works(self):
        start_a_thread(self)
        result = subprocess.run(["echo", "x"], preexec_fn=nothing, check=True,
                                stdout=subprocess.PIPE)
        self.assertEqual(result.stdout, b"x\n")

    def test_it_ends_with_the_block(self):
        start_a_thread(self)
        with forkserver.guard("raise"):
            with self.assertRaises(forkserver.ForkUnsafe):
                fork_here()
        os.waitpid(fork_here(), 0)

    def test_a_safe_fork_happens(self):
        os.waitpid(fork_here(), 0)


class WithoutTheCommand(GuardCase):
    command = "/nowhere/forkserver"

    def test_pythons_threads_are_looked_at_and_it_says_so(self):
        os.waitpid(fork_here(), 0)
        self.assertEqual(self.told(), [])
        start_a_thread(self)
        os.waitpid(fork_here(), 0)
        text = self.the_warning()
        self.assertIn("'counter'", text)
        self.assertIn("only Python's own threads", text)


if __name__ == "__main__":
    unittest.main()
