"""The time slices of daemon and zygotes, which are not their workers'."""

import ctypes
import os
import platform
import struct
import unittest

from wire import LIBC
from zygote_fixture import ZygoteTestCase

GETATTR = {"x86_64": 315, "aarch64": 275}.get(platform.machine())
LAYOUT = struct.Struct("=IIQiIQQQ")
SHORT_NS = 100_000


def slice_of(pid):
    """In ns; 0 before Linux 6.12."""
    attributes = ctypes.create_string_buffer(LAYOUT.size)
    if LIBC.syscall(GETATTR, pid, attributes, LAYOUT.size, 0) != 0:
        raise OSError(ctypes.get_errno(), "sched_getattr")
    return LAYOUT.unpack(attributes.raw)[5]


class SchedulingTest(ZygoteTestCase):

    @unittest.skipIf(GETATTR is None, "os: no number of sched_getattr(2)")
    def test_who_answers_has_short_ones_and_workers_the_default(self):
        default = slice_of(0)
        if default == 0:
            self.skipTest("kernel: processes have no slices of their own")
        client = self.client()
        zygote = self.start(client)
        for pid in (self.daemon.process.pid, zygote["pid"]):
            self.assertEqual(slice_of(pid), SHORT_NS)
        workers = [client.spawn(["sleep", "600"]),
                   self.fork(client, "sleep_forever")]
        for worker in workers:
            self.assertEqual(slice_of(worker["pid"]), default)
            client.stop(worker)

    def test_a_niceness_below_zero_is_workers_too(self):
        try:
            os.setpriority(os.PRIO_PROCESS, 0, -1)
        except PermissionError:
            self.skipTest("os: it takes privileges")
        try:
            self.daemon.stop()
            self.start_daemon()
        finally:
            os.setpriority(os.PRIO_PROCESS, 0, 0)
        client = self.client()
        worker = client.spawn(["sleep", "600"])
        self.assertEqual(os.getpriority(os.PRIO_PROCESS, worker["pid"]), -1)
        client.stop(worker)


if __name__ == "__main__":
    unittest.main()
