"""FORKSERVER_DISABLE=1: exec workers without a daemon."""

import asyncio
import errno
import os
import re
import signal
import subprocess
import unittest

import forkserver
from client_fixture import EnvironmentTestCase, in_child, open_fds
from daemon_fixture import alive, read_file, wait_for


class DirectTest(EnvironmentTestCase):

    def setUp(self):
        super().setUp()
        os.environ["FORKSERVER_DISABLE"] = "1"
        self.fds_before = open_fds()
        self.client = forkserver.connect()

    def tearDown(self):
        self.client.close()
        self.assertEqual(open_fds(), self.fds_before)
        with self.assertRaises(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)
        self.assertFalse(os.path.exists(self.sandbox.socket))
        super().tearDown()

    def test_the_record_says_so(self):
        worker = self.client.spawn(["sh", "-c", "exit 3"], name="n")
        record = worker.wait()
        self.assertEqual((record.code, record.reason, record.name,
                          record.direct), (3, "exited", "n", True))
        self.assertGreater(record.max_rss_bytes, 0)
        record = self.client.run(["sh", "-c", "kill -9 $$"])
        self.assertEqual((record.signal, record.reason), (9, "signaled"))

    def test_everything_that_can_be_said(self):
        read_end, write_end = os.pipe()
        record = self.client.run(
            ["sh", "-c", 'echo "$A|$PWD|$(umask)|$(ulimit -n)|$(nice)" >&7; '
             "ls /proc/self/fd >&7"],
            env={"A": "b", "PATH": "/usr/bin:/bin"}, cwd=self.folder,
            umask=0o077, limits={"nofile": 50}, nice=5, group="session",
            fds={7: write_end})
        os.close(write_end)
        self.assertEqual(record.code, 0)
        with open(read_end, encoding="ascii") as pipe:
            lines = pipe.read().split()
        # 3 is the folder that ls reads.
        self.assertEqual(lines, [f"b|{self.folder}|0077|50|5",
                                 "0", "1", "2", "3", "7"])

    def test_descriptor_0_is_its_terminal(self):
        ours, theirs = os.openpty()
        try:
            record = self.client.run(
                ["sh", "-c", "test $(ps -o tpgid= $$) = $$ && test -t 0"],
                group="terminal", fds={0: theirs})
            self.assertEqual(record.code, 0)
            with open(os.devnull, "rb") as null:
                with self.assertRaises(forkserver.LaunchFailed) as caught:
                    self.client.run(["true"], group="terminal",
                                    fds={0: null.fileno()})
            self.assertEqual((caught.exception.step, caught.exception.errno),
                             ("ioctl", errno.ENOTTY))
        finally:
            os.close(ours)
            os.close(theirs)

    def test_cpus_io_priority_oom_score_and_no_new_privs(self):
        cpu = min(os.sched_getaffinity(0))
        with self.client.spawn(["sleep", "60"], cpus=[cpu],
                               io_priority="idle", oom_score_adj=900,
                               no_new_privs=True) as worker:
            self.assertEqual(os.sched_getaffinity(worker.pid), {cpu})
            self.assertEqual(
                read_file(f"/proc/{worker.pid}/oom_score_adj"), b"900\n")
            self.assertIn(b"NoNewPrivs:\t1",
                          read_file(f"/proc/{worker.pid}/status"))
            self.assertEqual(
                subprocess.check_output(["ionice", "-p", str(worker.pid)]),
                b"idle\n")
        for options, error in (({"tasks_max": 9}, forkserver.Disabled),
                               ({"cpus": [8191]}, forkserver.LaunchFailed),
                               ({"cpus": [-1]}, forkserver.BadRequest)):
            with self.assertRaises(error):
                self.client.spawn(["true"], **options)

    def test_descriptors_that_cross(self):
        """Each is moved to where another one was."""
        files = [open(os.path.join(self.folder, name), "w+b")
                 for name in ("a", "b", "c")]
        numbers = [file.fileno() for file in files]
        fds = dict(zip(numbers, numbers[1:] + numbers[:1]))
        script = "; ".join(f"echo {fd} >&{fd}" for fd in fds)
        self.assertEqual(self.client.run(["sh", "-c", script],
                                         fds=fds).code, 0)
        for fd, file in zip(fds, files[1:] + files[:1]):
            self.assertEqual(read_file(file.name), b"%d\n" % fd)
        for file in files:
            file.close()

    def test_what_cannot_be_executed(self):
        for argv, options, step, errno in (
            (["/nowhere"], {}, "execve", 2),
            (["/etc/passwd"], {}, "execve", 13),
            (["true"], {"cwd": "/nowhere"}, "chdir", 2),
        ):
            with self.assertRaises(forkserver.LaunchFailed) as caught:
                self.client.spawn(argv, **options)
            self.assertEqual((caught.exception.step, caught.exception.errno),
                             (step, errno))

    def test_signals_are_at_their_defaults(self):
        old = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        ignored = signal.signal(signal.SIGUSR2, signal.SIG_IGN)
        try:
            with self.client.spawn(["sleep", "60"]) as worker:
                status = read_file(f"/proc/{worker.pid}/status").decode()
                for name in ("SigBlk", "SigIgn"):
                    mask = int(re.search(name + r":\s*(\w+)", status)[1], 16)
                    # 32 and 33 are libc's own: out of reach of a program.
                    self.assertEqual(mask & ~(3 << 31), 0, status)
        finally:
            signal.signal(signal.SIGUSR2, ignored)
            signal.pthread_sigmask(signal.SIG_SETMASK, old)

    def test_timeouts_and_stops(self):
        worker = self.client.spawn(["sleep", "60"])
        with self.assertRaises(TimeoutError):
            worker.wait(0.02)
        self.assertIsNone(worker.poll())
        worker.signal(signal.SIGCONT)
        self.assertEqual(worker.stop().reason, "stopped")
        record = self.client.spawn(["sleep", "60"], timeout=0.02).wait()
        self.assertEqual((record.reason, record.signal), ("timeout", 15))
        worker = self.client.spawn(
            ["sh", "-c", "trap '' TERM; echo >ready; while :; do sleep 60 & "
             "wait; done"], cwd=self.folder)
        ready = os.path.join(self.folder, "ready")
        wait_for(lambda: os.path.exists(ready), "the trap is set")
        self.assertEqual(worker.stop(grace=0.02).signal, 9)
        worker = self.client.spawn(["sleep", "60"],
                                   stop_signal=signal.SIGUSR1)
        self.assertEqual(worker.stop().signal, signal.SIGUSR1)
        self.assert_nothing_left_but_me()

    def assert_nothing_left_but_me(self):
        wait_for(lambda: not self.sandbox.leftovers(),
                 self.sandbox.describe_leftovers)

    def test_close_stops_what_is_not_detached(self):
        detached = self.client.spawn(["sleep", "60"], detach=True)
        worker = self.client.spawn(["sleep", "60"])
        self.client.close()
        self.assertFalse(alive(worker.pid))
        self.assertTrue(alive(detached.pid))
        os.kill(detached.pid, signal.SIGKILL)
        os.waitpid(detached.pid, 0)

    def test_a_status_that_was_taken_is_lost(self):
        worker = self.client.spawn(["true"])
        os.waitpid(worker.pid, 0)
        record = worker.wait()
        self.assertEqual((record.reason, record.code, record.signal),
                         ("lost", None, None))

    def test_what_needs_a_daemon_says_so(self):
        for call in (self.client.list, self.client.status,
                     self.client.subscribe, self.client.shutdown,
                     self.client.upgrade,
                     lambda: self.client.fork("z", "e"),
                     lambda: self.client.run_fork("z", "e"),
                     lambda: self.client.start_zygote("z", ["true"])):
            with self.assertRaises(forkserver.Disabled):
                call()
        with self.assertRaises(forkserver.Disabled):
            asyncio.run(forkserver.connect_async())
        with self.assertRaises(forkserver.UnknownWorker):
            self.client.wait("x-1")
        self.assertEqual(self.client.daemon_version, "")

    def test_a_child_cannot_use_it(self):
        worker = self.client.spawn(["sleep", "60"])

        def use():
            try:
                worker.stop()
            except forkserver.UseAfterFork as error:
                self.client.close()
                return error.code

        self.assertEqual(in_child(use), "use_after_fork")
        self.assertEqual(worker.stop().reason, "stopped")

    def test_0_means_enabled(self):
        os.environ["FORKSERVER_DISABLE"] = "0"
        with self.assertRaises(forkserver.ConnectFailed):
            forkserver.connect(autostart=False)


if __name__ == "__main__":
    unittest.main()
