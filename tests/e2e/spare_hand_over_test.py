"""What the daemon does with the spares of a zygote: the zygote is a script."""

import os
import signal
import socket
import subprocess
import sys
import unittest

from scripted_daemon import SocketFrames, encode
from wire import alive, wait_for
from zygote_fixture import ZygoteTestCase

# Hands its descriptors to the test, and does nothing more.
PROGRAM = """
import os, signal, socket, sys
fds = [int(os.environ["FORKSERVER_ZYGOTE_" + name + "_FD"])
       for name in ("CONTROL", "REPORT")]
with socket.socket(socket.AF_UNIX) as test:
    test.connect(sys.argv[1])
    socket.send_fds(test, [str(os.getpid()).encode()], fds)
for fd in fds:
    os.close(fd)
signal.pause()
"""
MOST = 64


class ScriptedZygote:

    def __init__(self, case, client):
        path = os.path.join(case.folder, "zygote.sock")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen()
            request = client.send("zygote_start", case.start_body(
                client, "z", argv=[sys.executable, "-c", PROGRAM, path],
                audit_policy="allow", spares_max=MOST))
            sock, _ = listener.accept()
        with sock:
            pid, fds, _, _ = socket.recv_fds(sock, 100, 2)
        self.case = case
        self.processes = []
        self.pid = int(pid)
        self.socket = socket.socket(fileno=fds[0])
        self.report_fd = fds[1]
        self.control = SocketFrames(self.socket)
        self.say("zygote_hello", {"min_protocol": 1, "max_protocol": 1,
                                  "pid": self.pid})
        self.configure = self.expect("configure")
        self.say("zygote_ready", {"entries": ["entry"], "preloads": []})
        canary = self.expect("fork_worker")["worker"]
        self.report_started(canary, self.process())
        self.report_exited(canary, 1, 0)
        client.answer(request)

    def end(self):
        """Before the daemon is asked whether anything is left."""
        self.socket.close()
        os.close(self.report_fd)
        for process in self.processes:
            process.kill()
            process.wait()

    def process(self):
        """The pid of one that stands for what the zygote has forked."""
        process = subprocess.Popen(["sleep", "100"], start_new_session=True,
                                   stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        self.processes.append(process)
        return process.pid

    def say(self, kind, body, fds=()):
        socket.send_fds(self.socket, [encode(kind, body, len(fds))], fds)

    def expect(self, kind):
        said = self.control.next()
        self.case.assertIsNotNone(said, kind)
        self.case.assertEqual(said[0], kind, said)
        return said[1]

    def silent(self):
        self.case.assertIsNone(self.control.next(timeout=0.05))

    def report(self, kind, body):
        os.write(self.report_fd, encode(kind, body))

    def report_started(self, worker, pid):
        self.report("started", {"worker": worker, "pid": pid, "forked_ns": 1,
                                "started_ns": 2})

    def report_exited(self, worker, pid, code):
        self.report("exited", {
            "worker": worker, "pid": pid, "code": code, "signal": None,
            "core": False, "max_rss_bytes": 1, "user_us": 1, "system_us": 1,
            "ended_ns": 3})

    def park(self):
        """A spare."""
        ours, theirs = socket.socketpair()
        spare = ScriptedSpare(self.case, self.process(), ours)
        self.say("spare_parked", {"pid": spare.pid}, [theirs.fileno()])
        theirs.close()
        return spare


class ScriptedSpare:

    def __init__(self, case, pid, sock):
        case.addCleanup(sock.close)
        self.pid = pid
        self.socket = sock
        self.frames = SocketFrames(sock)

    def expect_request(self):
        kind, body = self.frames.next()
        assert kind == "fork_worker", kind
        return body

    def is_closed(self):
        """Waits for it a while."""
        self.socket.settimeout(0.2)
        try:
            return self.socket.recv(1) == b""
        except TimeoutError:
            return False


class SpareHandOverTest(ZygoteTestCase):

    def setUp(self):
        super().setUp()
        self.c = self.client()
        self.zygote = ScriptedZygote(self, self.c)

    def tearDown(self):
        self.zygote.end()
        super().tearDown()

    def settle_daemon(self):
        """The daemon has read what was said to it."""
        self.c.request("list")

    def send(self, **options):
        return self.send_fork(self.c, "entry", **options)

    def end(self, worker, pid, code=0):
        self.zygote.report_exited(worker, pid, code)

    def test_it_is_offered(self):
        self.assertTrue(self.zygote.configure["takes_spares"])
        self.assertEqual(self.zygote.configure["spares_max"], MOST)

    def test_a_request_goes_to_the_spare_that_is_there_longest(self):
        first, second = self.zygote.park(), self.zygote.park()
        self.settle_daemon()
        read_end, write_end = os.pipe()
        request = self.send(passed=[write_end], fds=[[1, 0]])
        body = first.expect_request()
        os.close(write_end)
        (received,) = first.frames.fds
        os.write(received, b"x")
        os.close(received)
        self.assertEqual(os.read(read_end, 2), b"x")
        self.assertEqual(os.read(read_end, 2), b"")  # nobody else has it
        os.close(read_end)
        # The zygote is not told before the worker runs, so as not to compete
        # with it.
        self.zygote.silent()
        self.zygote.report_started(body["worker"], first.pid)
        self.assertEqual(self.zygote.expect("spare_settled"),
                         {"pid": first.pid, "worker": body["worker"]})
        worker = self.c.answer(request)["worker"]
        self.assertEqual((worker["pid"], worker["id"], worker["kind"]),
                         (first.pid, body["worker"], "forked"))
        self.end(body["worker"], first.pid, 5)
        self.assertEqual(self.c.wait(worker)["code"], 5)
        self.send()
        self.end(second.expect_request()["worker"], second.pid)

    def test_none_is_there(self):
        request = self.send()
        self.end(self.zygote.expect("fork_worker")["worker"], 1)
        self.assert_error("launch_failed", self.c.answer, request)

    def test_those_that_are_dead_are_left_out(self):
        dead, alive_one = self.zygote.park(), self.zygote.park()
        dead.socket.close()
        self.settle_daemon()
        self.send()
        worker = alive_one.expect_request()["worker"]
        self.zygote.say("spare_withdrawn", {"pid": dead.pid})
        # What is known of others is told at once.
        self.assertEqual(self.zygote.expect("spare_settled"),
                         {"pid": alive_one.pid, "worker": worker})
        self.end(worker, alive_one.pid)

    def test_all_are_dead(self):
        for _ in range(3):
            self.zygote.park().socket.close()
        self.settle_daemon()
        self.send()
        self.end(self.zygote.expect("fork_worker")["worker"], 1)

    def test_withdrawn(self):
        spare = self.zygote.park()
        self.zygote.say("spare_withdrawn", {"pid": spare.pid})
        self.assertEqual(self.zygote.expect("spare_settled"),
                         {"pid": spare.pid})
        self.assertTrue(spare.is_closed())
        self.send()
        self.end(self.zygote.expect("fork_worker")["worker"], 1)
        # Again, or of one that never was.
        self.zygote.say("spare_withdrawn", {"pid": spare.pid})
        self.zygote.say("spare_withdrawn", {"pid": 1})
        self.zygote.silent()

    def test_withdrawn_when_it_was_handed_over(self):
        spare = self.zygote.park()
        self.settle_daemon()
        request = self.send()
        worker = spare.expect_request()["worker"]
        self.zygote.say("spare_withdrawn", {"pid": spare.pid})
        self.assertEqual(self.zygote.expect("spare_settled"),
                         {"pid": spare.pid, "worker": worker})
        self.end(worker, spare.pid, 9)
        error = self.assert_error("launch_failed", self.c.answer, request)
        self.assertIn("exit code 9", error.message)
        self.zygote.silent()

    def test_it_is_told_of_a_worker_before_anything_is_said_of_it(self):
        spare = self.zygote.park()
        self.settle_daemon()
        request = self.send(policy={"timeout_ms": 200})
        worker = spare.expect_request()["worker"]
        self.assertEqual(self.zygote.expect("spare_settled")["worker"], worker)
        self.assertEqual(self.zygote.expect("signal_worker")["worker"], worker)
        self.end(worker, spare.pid)
        self.c.answer(request)

    def test_what_a_spare_does_not_take_goes_to_the_zygote(self):
        spare = self.zygote.park()
        self.settle_daemon()
        for options in ({"policy": {"detach": True}},
                        {"args": bytes(100_000)}):
            with self.subTest(options):
                self.send(**options)
                self.end(self.zygote.expect("fork_worker")["worker"], 1)
        self.send()
        self.end(spare.expect_request()["worker"], spare.pid)

    def test_a_channel_that_is_full_holds_nobody_up(self):
        theirs, ours = socket.socketpair()
        theirs.setblocking(False)
        with theirs, ours:
            with self.assertRaises(BlockingIOError):
                while True:
                    theirs.send(bytes(1 << 16))
            self.zygote.say("spare_parked", {"pid": self.zygote.process()},
                            [theirs.fileno()])
            self.settle_daemon()
            self.send()
            self.end(self.zygote.expect("fork_worker")["worker"], 1)

    def test_one_that_the_daemon_cannot_have(self):
        pid = self.zygote.process()
        self.zygote.say("spare_parked", {"pid": pid})  # and no descriptor
        self.assertEqual(self.zygote.expect("spare_settled"), {"pid": pid})
        spares = [self.zygote.park() for _ in range(MOST)]
        self.zygote.silent()
        one_more = self.zygote.park()
        self.assertEqual(self.zygote.expect("spare_settled"),
                         {"pid": one_more.pid})
        self.assertTrue(one_more.is_closed())
        self.assertFalse(any(each.is_closed() for each in spares[:2]))

    def test_retired(self):
        busy, spare = self.zygote.park(), self.zygote.park()
        self.settle_daemon()
        request = self.send()
        worker = busy.expect_request()["worker"]
        self.c.request("zygote_stop", {"name": "z"})
        # In this order: what is not a worker is dismissed.
        self.assertEqual(self.zygote.expect("spare_settled")["worker"], worker)
        self.zygote.expect("retire")
        self.assertTrue(spare.is_closed())
        self.assertTrue(self.zygote.park().is_closed())
        self.zygote.silent()
        self.zygote.report_started(worker, busy.pid)
        self.c.answer(request)
        self.end(worker, busy.pid)

    def test_the_zygote_dies_when_one_was_handed_over(self):
        unstarted, started, parked = [self.zygote.park() for _ in range(3)]
        self.settle_daemon()
        requests = [self.send(), self.send()]
        unstarted.expect_request()
        body = started.expect_request()
        self.zygote.report_started(body["worker"], started.pid)
        worker = self.c.answer(requests[1])["worker"]
        os.kill(self.zygote.pid, signal.SIGKILL)
        self.assert_error("zygote_failed", self.c.answer, requests[0])
        # Its process is no child of the daemon's in this test.
        self.assertEqual(self.c.wait(worker)["reason"], "zygote_died")
        self.assertTrue(parked.is_closed())

    def test_nonsense_ends_the_zygote_and_nobody_else(self):
        self.zygote.say("spare_parked", {"pid": "x"})
        wait_for(lambda: not alive(self.zygote.pid), "it is killed")
        self.c.request("list")


if __name__ == "__main__":
    unittest.main()
