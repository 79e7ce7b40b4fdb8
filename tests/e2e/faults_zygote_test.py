"""System calls that fail in a zygote and in the workers that it forks.

As faults_test.py, with the library preloaded into the zygote: it is in the
zygote's environment and, because LD_* is frozen, in that of its workers.
"""

import errno
import os
import unittest

from fault_control import FAIL_NTH, Faults
from wire import WireError, read_file
from zygote_fixture import ZygoteTestCase

MOST = 200


class FaultsInZygotesTest(ZygoteTestCase):

    options = {}

    def setUp(self):
        super().setUp()
        path = os.path.join(self.folder, "control")
        self.faults = Faults(path)
        self.addCleanup(self.faults.map.close)
        self.env = ["PATH=/usr/bin:/bin", f"LD_PRELOAD={FAIL_NTH}",
                    f"FAIL_CONTROL={path}",
                    "ASAN_OPTIONS=verify_asan_link_order=0"]
        self.c = self.client()
        self.c.env += self.env

    def attempt(self, function, *arguments, **options):
        """None when it was refused, with words."""
        try:
            return function(*arguments, **options)
        except WireError as error:
            self.assertTrue(error.code and error.message, error)
            if error.code == "launch_failed":
                self.assertTrue(error.step, error)
            return None

    def start_here(self):
        zygote = self.attempt(self.start, self.c, "z", ["ok"], **self.options)
        if zygote is None:
            return False
        maps = read_file(f"/proc/{zygote['pid']}/maps")
        if maps:  # else it has died of the fault already
            self.assertIn(b"fail_nth.so", maps)
        return True

    def work(self):
        """A bit of everything that a zygote does, in its second half."""
        requests = [self.send_fork(self.c, "exit_code", b"4",
                                   policy={"watch": True}) for _ in range(3)]
        for request in requests:
            if self.attempt(self.c.answer, request):
                self.check(self.c.exit_message(request), 4)
        self.check_call()
        if self.attempt(self.start, self.c, "n", parent="z"):
            self.check_call(zygote="n")

    def check_call(self, **options):
        """A result that could not be written does not pass for one."""
        called = self.attempt(self.call, self.c, "echo", b"hello", **options)
        if not called:
            return
        result, record = called
        self.check(record, 0, 125)
        if record["code"] == 0:
            self.assertEqual(result, b"hello")

    def check(self, record, *codes):
        if record["reason"] == "exited":
            self.assertIn(record["code"], codes)
        else:
            self.assertEqual(record["reason"], "zygote_died")

    def end(self):
        for name in ("n", "z"):
            self.attempt(self.c.request, "zygote_stop", {"name": name})
        self.assert_serves()

    def walk(self, call, number):
        """A fault anywhere in the life of a zygote."""
        for nth in range(1, MOST):
            with self.subTest(call=call, errno=errno.errorcode[number],
                              nth=nth):
                self.faults.arm(call, nth, number)
                try:
                    if self.start_here():
                        self.work()
                finally:
                    hit = self.faults.disarm()
                self.end()
                self.assertIsNone(self.daemon.process.poll())
            if not hit:
                self.assertGreater(nth, 1, f"{call} is never called")
                return
        self.fail(f"{call} is called more than {MOST} times")

    def test_fork(self):
        self.walk("fork", errno.EAGAIN)
        self.walk("fork", errno.ENOMEM)

    def test_recvmsg(self):
        for number in (errno.EAGAIN, errno.EINTR, errno.ENOMEM):
            self.walk("recvmsg", number)

    def test_sendmsg(self):
        for number in (errno.EAGAIN, errno.EINTR, errno.ENOBUFS, errno.EPIPE):
            self.walk("sendmsg", number)

    def test_write(self):
        for number in (errno.EAGAIN, errno.EINTR, errno.ENOMEM, errno.ENOSPC):
            self.walk("write", number)

    def test_pselect(self):
        self.walk("pselect", errno.EINTR)
        self.walk("pselect", errno.ENOMEM)

    def test_open(self):
        self.walk("open", errno.EMFILE)

    def test_stat(self):
        self.walk("stat", errno.ENOMEM)

    def test_waitid(self):
        self.walk("waitid", errno.EINTR)

    def test_waitpid(self):
        self.walk("waitpid", errno.EINTR)


class FaultsWithSparesTest(FaultsInZygotesTest):
    """The same where workers are forked in advance."""

    options = {"spares_min": 1, "spares_max": 3}

    def work(self):
        super().work()
        # By now there are some, whatever has failed.
        self.check_call()

    def test_socketpair(self):
        self.walk("socketpair", errno.EMFILE)


if __name__ == "__main__":
    unittest.main()
