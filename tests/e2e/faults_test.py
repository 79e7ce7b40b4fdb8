"""System calls of forkserverd that fail, one after another.

For each call, n walks upward until a round of work needs no nth call. After
each the daemon lives, every request was answered or its connection closed,
and the next round works; tear-down finds no process or descriptor too many.
Tagged local with the others of its kind; see tests/faults/fail_nth.cc.
"""

import contextlib
import errno
import os
import signal
import unittest

from fault_control import FAIL_NTH, Faults
from wire import (Client, WireError, WireTestCase, ZYGOTE_PROGRAM,
                  children_of, make_setup, read_file, wait_for)

class FaultsTest(WireTestCase):
    starts_daemon = False

    def setUp(self):
        super().setUp()
        path = os.path.join(self.folder, "control")
        self.faults = Faults(path)
        self.addCleanup(self.faults.map.close)
        self.start_daemon(env={"LD_PRELOAD": FAIL_NTH, "FAIL_CONTROL": path})
        maps = read_file(f"/proc/{self.daemon.pid}/maps")
        self.assertIn(b"fail_nth.so", maps)

    def attempt(self, call, function, *arguments, **options):
        """None when the daemon refused it or closed the connection."""
        try:
            return function(*arguments, **options)
        except WireError as error:
            # A launch that fails names the step and the errno.
            if error.code == "launch_failed":
                self.assertTrue(error.step, (call, error))
                self.assertNotEqual(error.errno, 0, (call, error))
            self.assertTrue(error.message)
        except ConnectionError:
            pass
        return None

    def work(self, call):
        """A bit of everything. Timeouts of the client fail the test."""
        def connect():
            client = Client(self.daemon.socket, self.marker)
            self.addCleanup(client.close)
            return client

        client = self.attempt(call, connect)
        if client is None:
            return
        null = os.open("/dev/null", os.O_RDWR)
        with contextlib.closing(client):
            try:
                worker = self.attempt(call, client.spawn, ["sh", "-c",
                                                           "exit 3"],
                                      [null, null], fds=[[1, 0], [9, 1]])
                record = worker and self.attempt(call, client.wait, worker)
                if record:
                    self.assertEqual(record["code"], 3)
                body = {"name": "z", "spares_min": 1, "spares_max": 2,
                        "setup": make_setup([ZYGOTE_PROGRAM], env=client.env,
                                            fds=[[1, 0]])}
                self.attempt(call, client.request, "zygote_start", body,
                             [null])
                nested = {"name": "n", "parent": "z",
                          "setup": make_setup([], env=client.env)}
                self.attempt(call, client.request, "zygote_start", nested)
                body = {"zygote": "z", "watch": True,
                        "setup": make_setup([], env=client.env,
                                            entry="exit_code", args=b"4",
                                            fds=[[5, 0]])}
                request = client.send("fork", body, [null])
                if self.attempt(call, client.answer, request):
                    record = self.attempt(call, client.exit_message, request)
                    if record:
                        self.assertIn(record["reason"],
                                      ("exited", "zygote_died"))
            except (BrokenPipeError, ConnectionResetError):
                pass
            finally:
                os.close(null)

    def walk(self, call, number, most=400):
        self.work(call)  # what is needed once only is had now
        for nth in range(1, most):
            self.faults.arm(call, nth, number)
            try:
                self.work(call)
            except TimeoutError:
                self.fail(f"no answer with {call} {nth}: "
                          f"{self.daemon.log_text()}")
            hit = self.faults.disarm()
            self.assertIsNone(self.daemon.process.poll(), (
                f"forkserverd died of {call} {nth}", self.daemon.log_text()))
            self.assert_serves()
            if not hit:
                self.assertGreater(nth, 1, f"{call} is never called")
                self.assert_clean()
                return
        self.fail(f"{call} is called more than {most} times")

    def test_clone(self):
        self.walk("clone", errno.EAGAIN)
        self.walk("clone", errno.ENOMEM)

    def test_clone_that_is_not_permitted_falls_back_to_fork(self):
        client = self.client()
        self.faults.arm("clone", 1, errno.EPERM)
        self.assertEqual(client.wait(client.spawn(["true"]))["code"], 0)
        self.assertTrue(self.faults.disarm())

    def test_pipe2(self):
        self.walk("pipe2", errno.EMFILE)

    def test_socketpair(self):
        self.walk("socketpair", errno.ENFILE)

    def test_dup(self):
        self.walk("fcntl", errno.EMFILE)

    def test_recvmsg(self):
        self.walk("recvmsg", errno.EAGAIN)
        self.walk("recvmsg", errno.ENOMEM)
        self.walk("recvmsg", errno.ECONNRESET)

    def test_sendmsg(self):
        self.walk("sendmsg", errno.EAGAIN)
        self.walk("sendmsg", errno.EPIPE)

    def test_sendmsg_without_buffers(self):
        self.walk("sendmsg", errno.ENOBUFS)

    def test_accept4(self):
        for number in (errno.EMFILE, errno.ENFILE, errno.ECONNABORTED,
                       errno.ENOMEM, errno.EINTR):
            self.walk("accept4", number)

    def test_epoll_ctl(self):
        self.walk("epoll_ctl", errno.ENOMEM)
        self.walk("epoll_ctl", errno.ENOSPC)

    def test_epoll_ctl_of_libuv(self):
        self.walk("uv_epoll_ctl", errno.ENOMEM)
        self.walk("uv_epoll_ctl", errno.ENOSPC)

    def test_epoll_ctl_for_a_client_that_does_not_read(self):
        """What it is watched for changes while answers wait for it."""
        client = self.client()
        for nth in (1, 2):
            stalled = self.client()
            self.faults.arm("epoll_ctl", nth, errno.ENOMEM)
            with contextlib.suppress(ConnectionError):
                for _ in range(300):
                    last = stalled.send("stop", {"worker": "x" * 4000})
                while (answer := stalled.receive()) and answer["id"] != last:
                    pass
            # The last answer is here before the daemon watches for less.
            client.status()
            stalled.close()
            self.assertTrue(self.faults.disarm())
            self.assertIsNone(self.daemon.process.poll(),
                              self.daemon.log_text())
            self.assertEqual(client.wait(client.spawn(["true"]))["code"], 0)

    def test_mmap_of_a_stack(self):
        client = self.client()
        self.faults.arm("mmap", 1, errno.ENOMEM)
        error = self.assert_error("launch_failed", client.spawn, ["true"])
        self.assertTrue(self.faults.disarm())
        self.assertEqual((error.step, error.errno), ("mmap", errno.ENOMEM))
        self.assertEqual(client.wait(client.spawn(["true"]))["code"], 0)

    def test_open(self):
        self.work("open")
        for nth in range(1, 100):
            self.faults.arm("open", nth, errno.ENFILE)
            self.work("open")
            hit = self.faults.disarm()
            self.assert_serves()
            if not hit:
                break
        self.assertFalse(hit)

    def keeper(self):
        return next((pid for pid in children_of(self.daemon.pid)
                     if read_file(f"/proc/{pid}/comm").startswith(
                         b"forkserver-keep")), None)

    def test_a_keeper_that_cannot_be_replaced_at_once_is_replaced_later(self):
        for call, number in (("fork", errno.EAGAIN), ("pipe2", errno.EMFILE)):
            keeper = wait_for(self.keeper, "a keeper")
            self.faults.arm(call, 1, number)
            os.kill(keeper, signal.SIGKILL)
            wait_for(lambda: self.keeper() not in (None, keeper),
                     "another keeper")
            self.assertTrue(self.faults.disarm())
            self.assert_serves()


if __name__ == "__main__":
    unittest.main()
