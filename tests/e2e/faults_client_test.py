"""System calls that fail in a client: the command line, and so the C++ SDK.

As faults_test.py, with the library preloaded into `forkserver`.
"""

import contextlib
import errno
import os
import subprocess
import unittest

from daemon_fixture import FORKSERVER, FORKSERVERD, MARKER
from fault_control import FAIL_NTH, Faults
from wire import WireTestCase, ZYGOTE_PROGRAM, wait_for

MOST = 200
FAILED = 125


class FaultsInClientsTest(WireTestCase):

    def setUp(self):
        super().setUp()
        path = os.path.join(self.folder, "control")
        self.faults = Faults(path)
        self.addCleanup(self.faults.map.close)
        self.environment = dict(
            os.environ, FORKSERVER_BIN=os.path.dirname(FORKSERVERD),
            FORKSERVER_SOCKET=self.daemon.socket, HOME=self.folder,
            LD_PRELOAD=FAIL_NTH, FAIL_CONTROL=path,
            **{MARKER: self.marker})
        self.environment["ASAN_OPTIONS"] = ":".join([
            os.environ.get("ASAN_OPTIONS", ""),
            "verify_asan_link_order=0"]).strip(":")

    def cli(self, *arguments):
        return subprocess.run([FORKSERVER, *arguments], env=self.environment,
                              stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=60, check=False)

    def walk(self, call, number, arguments, code, output=""):
        """It does what it is to do, or fails and says why.

        Returns how often the call was made to fail.
        """
        for nth in range(1, MOST):
            self.faults.arm(call, nth, number)
            result = self.cli(*arguments)
            hit = self.faults.disarm()
            message = (call, errno.errorcode[number], nth, result)
            if result.returncode == code:
                self.assertEqual(result.stdout, output, message)
            else:
                self.assertEqual(result.returncode, FAILED, message)
                self.assertIn("forkserver: ", result.stderr, message)
            self.assert_serves()
            with contextlib.closing(self.daemon.client()) as other:
                wait_for(lambda: not other.workers(), "its worker ends")
            if not hit:
                self.assertEqual(result.returncode, code, message)
                return nth - 1
        self.fail(f"{call} is called more than {MOST} times")

    def walk_all(self, arguments, code, output=""):
        always = ("socket", "connect", "sendmsg", "recvmsg", "poll")
        for call, numbers in (
                ("socket", (errno.EMFILE,)),
                ("connect", (errno.EINTR, errno.EAGAIN, errno.ECONNREFUSED)),
                ("sendmsg", (errno.EAGAIN, errno.EINTR, errno.ENOBUFS,
                             errno.EPIPE)),
                ("recvmsg", (errno.EAGAIN, errno.EINTR, errno.ENOMEM,
                             errno.ECONNRESET)),
                ("poll", (errno.EINTR, errno.ENOMEM)),
                ("pipe2", (errno.EMFILE,)),
                ("open", (errno.EMFILE,)),
                ("fcntl", (errno.EMFILE,)),
                ("pidfd_open", (errno.EMFILE,))):
            for number in numbers:
                with self.subTest(call=call, errno=errno.errorcode[number]):
                    failed = self.walk(call, number, arguments, code, output)
                    if call in always:
                        self.assertGreater(failed, 0, "it is never called")

    def test_run(self):
        self.walk_all(("run", "--clean-env", "--", "sh", "-c",
                       "echo here; exit 3"), 3, "here\n")

    def test_fork(self):
        self.assertEqual(self.start_zygote().returncode, 0)
        self.walk_all(("fork", "z", "--clean-env", "--entry", "exit_code",
                       "--args", "5"), 5)
        self.walk_all(("fork", "z", "--clean-env", "--entry", "echo",
                       "--args", "hello", "--result"), 0, "hello")
        self.stop_zygote()

    def start_zygote(self):
        # Without the library: faults are the client's here.
        return self.cli("zygote", "start", "z", "--clean-env", "--",
                        ZYGOTE_PROGRAM)

    def stop_zygote(self):
        self.cli("zygote", "stop", "z")
        with contextlib.closing(self.daemon.client()) as other:
            wait_for(lambda: not other.request("list")["zygotes"],
                     "the zygote ends")

    def test_run_detached_and_wait(self):
        worker = self.cli("run", "--detach", "--clean-env", "--", "sh", "-c",
                          "exit 6").stdout.strip()
        self.walk_all(("wait", worker), 6)

    def test_starting_a_daemon(self):
        self.environment["FORKSERVER_SOCKET"] = os.path.join(self.folder,
                                                             "other.sock")
        command = ("run", "--clean-env", "--", "sh", "-c", "exit 3")
        for number in (errno.EAGAIN, errno.ENOMEM):
            self.faults.arm("posix_spawn", 1, number)
            result = self.cli(*command)
            self.assertTrue(self.faults.disarm())
            self.assertEqual(result.returncode, FAILED)
            self.assertIn(os.strerror(number), result.stderr)
        self.assertEqual(self.cli(*command).returncode, 3)
        self.assertEqual(self.cli("daemon", "stop").returncode, 0)

    def test_status(self):
        self.walk_all(("zygote", "ls", "--json"), 0, "[]\n")


if __name__ == "__main__":
    unittest.main()
