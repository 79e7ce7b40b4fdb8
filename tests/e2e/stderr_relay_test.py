"""Requests with `crash_report`: the end of standard error, and where an exec
worker crashed."""

import os
import signal
import socket
import unittest

from wire import WireTestCase, wait_for
from zygote_fixture import ZygoteTestCase

REPORT = {"crash_report": True}
PYTHON = "/usr/bin/python3"


def read_all(fd):
    with open(fd, "rb") as file:
        return file.read()


class StderrRelayTest(ZygoteTestCase):

    def pipe(self):
        read_end, write_end = os.pipe()
        self.addCleanup(self.close, read_end)
        return read_end, write_end

    @staticmethod
    def close(fd):
        try:
            os.close(fd)
        except OSError:
            pass

    def spawn(self, script, fds=(), places=(), **policy):
        client = self.client()
        worker = client.spawn(["sh", "-c", script], fds=list(fds),
                              passed=list(places),
                              policy=dict(REPORT, **policy))
        return client, worker

    def test_what_it_wrote_arrives_and_its_end_is_in_the_record(self):
        read_end, write_end = self.pipe()
        client, worker = self.spawn(
            "echo first >&2; seq 1000 >&2; echo last words >&2; kill -ABRT $$",
            [[2, 0]], [write_end])
        os.close(write_end)
        text = read_all(os.dup(read_end)).decode()
        self.assertEqual(text.split("\n")[:2], ["first", "1"])
        self.assertTrue(text.endswith("1000\nlast words\n"))
        record = client.wait(worker)
        self.assertEqual(record["signal"], signal.SIGABRT)
        self.assertEqual(record["crash"]["stderr_tail"], text[-2048:])

    def test_a_failure_has_it_and_a_success_has_not(self):
        client, worker = self.spawn("echo no such luck >&2; exit 3")
        crash = client.wait(worker)["crash"]
        self.assertEqual(crash, {"signal_name": "", "pristine": True,
                                 "stderr_tail": "no such luck\n"})
        client, worker = self.spawn("echo fine >&2; exit 0")
        self.assertNotIn("crash", client.wait(worker))

    def test_one_descriptor_for_both_streams_is_relayed_once(self):
        read_end, write_end = self.pipe()
        client, worker = self.spawn("echo out; echo err >&2; exit 1",
                                    [[1, 0], [2, 0]], [write_end])
        os.close(write_end)
        self.assertEqual(sorted(read_all(os.dup(read_end)).split()),
                         [b"err", b"out"])
        self.assertEqual(client.wait(worker)["crash"]["stderr_tail"], "err\n")

    def test_a_file_is_left_alone(self):
        path = os.path.join(self.folder, "stderr")
        with open(path, "wb") as file:
            file.write(b"before\n")
            file.flush()
            client, worker = self.spawn("echo after >&2; exit 1", [[2, 0]],
                                        [file.fileno()])
            self.assertNotIn("stderr_tail", client.wait(worker)["crash"])
        with open(path, "rb") as file:
            self.assertEqual(file.read(), b"before\nafter\n")

    def flood(self, target, finish):
        """A worker writes 50 MB to `target`, which nobody reads until the
        daemon has been looked at; then `finish` does."""
        size = 50_000_000
        client = self.client()
        before = self.resident()
        worker = client.spawn(
            [PYTHON, "-c", f"import os\nleft = {size}\nwhile left: "
             "left -= os.write(2, b'0123456789' * min(left // 10, 10000))"],
            fds=[[2, 0]], passed=[target], policy=REPORT)
        # It is blocked: the pipe that it writes to is full.
        wait_for(lambda: b"pipe_write" in self.wchan(worker["pid"]) or
                 self.asleep(worker["pid"]), "it waits")
        for _ in range(20):
            self.assert_serves()
        self.assertLess(self.resident() - before, 4 << 20)
        self.assertEqual(len(client.workers()), 1)
        received = finish()
        self.assertEqual(len(received), size)
        self.assertEqual(received, b"0123456789" * (size // 10))
        self.assertEqual(client.wait(worker)["code"], 0)
        self.assertLess(self.resident() - before, 4 << 20)

    @staticmethod
    def wchan(pid):
        with open(f"/proc/{pid}/wchan", "rb") as file:
            return file.read()

    @staticmethod
    def asleep(pid):
        with open(f"/proc/{pid}/stat", "rb") as file:
            state = file.read().rsplit(b")", 1)[1].split()[0]
        with open(f"/proc/{pid}/syscall", "rb") as file:
            return state == b"S" and file.read().split()[0] == b"1"

    def resident(self):
        with open(f"/proc/{self.daemon.pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * 4096

    def test_a_reader_that_does_not_read_holds_up_its_worker_only(self):
        read_end, write_end = self.pipe()

        def finish():
            os.close(write_end)
            return read_all(os.dup(read_end))

        self.flood(write_end, finish)

    def test_the_same_with_a_socket(self):
        ours, theirs = socket.socketpair()

        def finish():
            theirs.recv(1)
            theirs.close()
            with ours, ours.makefile("rb") as file:
                return file.read()

        # Something to read on it must not wake the daemon up for ever.
        ours.send(b"x")
        self.flood(theirs.fileno(), finish)

    def test_a_reader_that_is_gone_ends_the_worker_as_without_a_relay(self):
        read_end, write_end = self.pipe()
        client, worker = self.spawn("read _; yes >&2; echo $?; exit 7",
                                    [[2, 0]], [write_end])
        os.close(write_end)
        os.close(read_end)
        record = client.wait(worker)
        self.assertEqual(record["code"], 7)

    def test_what_is_left_when_it_has_ended_is_handed_on_later(self):
        read_end, write_end = self.pipe()
        os.set_blocking(write_end, False)
        filled = 0
        while True:
            try:
                filled += os.write(write_end, b"x" * 4096)
            except BlockingIOError:
                break
        client, worker = self.spawn("seq 5000 >&2; echo end >&2; exit 1",
                                    [[2, 0]], [write_end])
        os.close(write_end)
        crash = client.wait(worker)["crash"]
        self.assertTrue(crash["stderr_tail"].endswith("5000\nend\n"))
        text = read_all(os.dup(read_end))
        self.assertEqual(text[filled:].split()[-1], b"end")
        self.assertEqual(len(text[filled:].split()), 5001)

    def test_a_grandchild_may_go_on_writing(self):
        read_end, write_end = self.pipe()
        left, go_on = (os.path.join(self.folder, name)
                       for name in ("left", "go_on"))
        os.mkfifo(left)
        os.mkfifo(go_on)
        client, worker = self.spawn(
            f"setsid sh -c ': >{left}; : <{go_on}; echo later >&2' & "
            f": <{left}; exit 1", [[2, 0]], [write_end])
        os.close(write_end)
        self.assertEqual(client.wait(worker)["code"], 1)
        with open(go_on, "wb"):
            pass
        self.assertEqual(read_all(os.dup(read_end)), b"later\n")

    def test_a_forked_worker_has_a_relay_too(self):
        client = self.client()
        self.start(client)
        read_end, write_end = self.pipe()
        worker = self.fork(client, "abort_loudly", b"I cannot go on",
                           passed=[write_end], policy=REPORT,
                           fds=[[1, 0], [2, 0]])
        os.close(write_end)
        self.assertEqual(read_all(os.dup(read_end)), b"I cannot go on\n")
        crash = client.wait(worker)["crash"]
        self.assertEqual(crash["stderr_tail"], "I cannot go on\n")
        self.assertEqual(crash["signal_name"], "SIGABRT")
        # Refused by the zygote; nothing is left of the relay.
        self.assert_error("unknown_entry", self.fork, client, "no_such",
                          policy=REPORT)

    def test_it_is_not_for_detached_workers(self):
        self.assert_error("bad_request", self.spawn, "true", detach=True)

    def test_a_launch_that_fails_leaves_no_relay(self):
        client = self.client()
        self.assert_error("launch_failed", client.spawn, ["/no/such"],
                          policy=REPORT)


class ExecFramesTest(WireTestCase):

    def crash(self, argv):
        client = self.client()
        worker = client.spawn(argv, policy=REPORT)
        return client.wait(worker)["crash"]

    def modules(self, crash):
        return " ".join(frame["module"] for frame in crash.get("frames", []))

    def test_a_program_that_crashes_has_frames(self):
        crash = self.crash([PYTHON, "-c",
                            "import ctypes; ctypes.string_at(0x110)"])
        self.assertEqual((crash["code_name"], crash["address"]),
                         ("SEGV_MAPERR", 0x110))
        self.assertIn("libffi", self.modules(crash))

    def test_a_program_that_executes_another_hands_it_on(self):
        crash = self.crash(["env", "X=1", "sh", "-c",
                            f"exec {PYTHON} -c 'import os; os.abort()'"])
        self.assertEqual(crash["signal_name"], "SIGABRT")
        self.assertIn("python3", self.modules(crash))

    def test_a_crash_of_its_child_is_not_its_own(self):
        crash = self.crash(["sh", "-c", f"{PYTHON} -c "
                            "'import os; os.abort()'; kill -KILL $$"])
        self.assertEqual(crash["signal_name"], "SIGKILL")
        self.assertEqual(self.modules(crash), "")

    def test_the_environments_own_preload_stays(self):
        client = self.client()
        worker = client.spawn(
            ["sh", "-c", "echo $LD_PRELOAD >&2; exit 1"], policy=REPORT,
            env=client.env + ["LD_PRELOAD=libm.so.6"])
        tail = client.wait(worker)["crash"]["stderr_tail"]
        self.assertRegex(tail, r"^/.*/libforkserver_crash\.so:libm\.so\.6\n$")

    def test_without_the_option_there_is_nothing_of_it(self):
        client = self.client()
        read_end, write_end = os.pipe()
        worker = client.spawn(["sh", "-c", "env; ls /proc/self/fd"],
                              fds=[[1, 0]], passed=[write_end])
        os.close(write_end)
        text = read_all(read_end).decode()
        self.assertNotIn("CRASH", text)
        self.assertNotIn("LD_PRELOAD", text)
        self.assertEqual(client.wait(worker)["code"], 0)


if __name__ == "__main__":
    unittest.main()
