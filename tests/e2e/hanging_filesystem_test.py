"""A filesystem that never answers holds up nobody but who asked for it.

The filesystem is FUSE by hand: /dev/fuse is opened and mounted, and nobody
reads the requests. Tagged local: it mounts.
"""

import ctypes
import os
import signal
import unittest

from wire import WireTestCase, wait_for

LIBC = ctypes.CDLL(None, use_errno=True)
MS_NOSUID, MS_NODEV, MNT_DETACH = 2, 4, 2


class HangingFilesystemTest(WireTestCase):

    def setUp(self):
        super().setUp()
        self.path = os.path.join(self.folder, "hangs")
        os.mkdir(self.path)
        try:
            self.fuse = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            self.skipTest(f"kernel: no /dev/fuse: {error}")
        options = f"fd={self.fuse},rootmode=40000,user_id=0,group_id=0"
        if LIBC.mount(b"forkserver-test", self.path.encode(), b"fuse",
                      MS_NOSUID | MS_NODEV, options.encode()) != 0:
            reason = os.strerror(ctypes.get_errno())
            os.close(self.fuse)
            self.skipTest(f"kernel: a FUSE mount is not permitted: {reason}")
        self.mounted = True
        self.addCleanup(self.let_go)

    def let_go(self):
        """Whoever waits for an answer gets an error."""
        if self.mounted:
            LIBC.umount2(self.path.encode(), MNT_DETACH)
            os.close(self.fuse)
            self.mounted = False

    def tearDown(self):
        self.let_go()
        super().tearDown()

    def send_hanging(self, client, argv, **setup):
        """A spawn that hangs; its request and worker."""
        request = client.send_spawn(argv, policy={"grace_ms": 100}, **setup)
        other = self.client()
        (worker,) = wait_for(other.workers, "it is launching")
        self.assertEqual((worker["state"], worker["pid"]), ("launching", 0))
        other.close()
        return request, worker

    def check_others_are_served(self):
        for _ in range(5):
            self.assert_serves()

    def stop_hanging(self, client, request, worker):
        """It can be stopped; its launch and its waiter are answered."""
        record = self.client().stop(worker)
        self.assertEqual(record["reason"], "stopped")
        # All signals are blocked until just before the exec.
        self.assertIn(record["signal"], (signal.SIGTERM, signal.SIGKILL))
        self.assertEqual(client.answer(request)["worker"]["id"], worker["id"])

    def test_a_working_directory_that_hangs(self):
        client = self.client()
        request, worker = self.send_hanging(
            client, ["true"], cwd=os.path.join(self.path, "folder"))
        self.check_others_are_served()
        self.stop_hanging(client, request, worker)

    def test_a_program_that_hangs(self):
        client = self.client()
        request, worker = self.send_hanging(
            client, [os.path.join(self.path, "program")])
        self.check_others_are_served()
        self.stop_hanging(client, request, worker)

    def test_a_hanging_launch_ends_with_its_client(self):
        client = self.client()
        self.send_hanging(client, [os.path.join(self.path, "program")])
        client.close()
        other = self.client()
        wait_for(lambda: not other.workers(), "it is killed")

    def test_a_launch_that_stops_hanging_is_answered_with_its_error(self):
        client = self.client()
        request, _ = self.send_hanging(client, ["true"],
                                       cwd=os.path.join(self.path, "folder"))
        self.let_go()
        error = self.assert_error("launch_failed", client.answer, request)
        self.assertEqual(error.step, "chdir")

    def test_sigterm_stops_the_daemon_while_a_launch_hangs(self):
        client = self.client()
        _, worker = self.send_hanging(
            client, ["true"], cwd=os.path.join(self.path, "folder"))
        waiting = client.send("wait", {"worker": worker["id"]})
        self.daemon.process.terminate()
        self.assertEqual(client.answer(waiting)["exit"]["reason"],
                         "daemon_stopping")
        self.assertEqual(self.daemon.process.wait(30), 0)
        self.assert_nothing_left()

    def test_a_killed_daemon_takes_a_hanging_launch_with_it(self):
        client = self.client()
        self.send_hanging(client, ["true"],
                          cwd=os.path.join(self.path, "folder"))
        self.daemon.kill()
        self.assert_nothing_left()


if __name__ == "__main__":
    unittest.main()
