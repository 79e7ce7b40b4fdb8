"""Requests that are well formed and wrong."""

import errno
import os
import socket
import unittest

from bystander import BystanderTestCase
from wire import make_setup, pack, wait_for


class HelloTest(BystanderTestCase):

    def test_everything_before_hello_is_refused(self):
        client = self.client(hello=False)
        for kind in ("spawn", "fork", "wait", "signal", "stop", "list",
                     "status", "subscribe", "zygote_start", "zygote_stop",
                     "shutdown"):
            error = self.assert_error("hello_required", client.request, kind)
            self.assertIn(kind, error.message)
        client.request("hello", {"min_protocol": 1, "max_protocol": 1})
        self.assert_still_open(client)

    def test_protocol_ranges(self):
        client = self.client(hello=False)
        for lowest, highest in ((2, 9), (0, 0), (-5, 0), (9, 1)):
            error = self.assert_error(
                "version_mismatch", client.request, "hello",
                {"min_protocol": lowest, "max_protocol": highest})
            self.assertIn("1..1", error.message)
        hello = client.request("hello", {"min_protocol": 0,
                                         "max_protocol": 2**62})
        self.assertEqual((hello["protocol"], hello["pid"]),
                         (1, self.daemon.pid))
        self.assert_still_open(client)

    def test_an_unknown_request_is_told_the_known_ones(self):
        client = self.client()
        for kind in ("frobnicate", "", "SPAWN", "reply", "zygote_hello",
                     "x" * 100_000):
            error = self.assert_error("unknown_request", client.request, kind)
            self.assertIn("spawn", error.message)
        self.assert_still_open(client)


class SpawnTest(BystanderTestCase):

    def refuse(self, code, argv=("true",), **setup):
        client = self.client()
        error = self.assert_error(code, client.spawn, list(argv), **setup)
        self.assert_still_open(client)
        self.assertEqual(len(client.workers()), 1)
        return error

    def refuse_launch(self, step, number, argv=("true",), **setup):
        error = self.refuse("launch_failed", argv, **setup)
        self.assertEqual((error.step, error.errno), (step, number), error)
        return error

    def test_argv_must_name_a_program(self):
        for argv in ([], [""]):
            self.assertIn("argv", self.refuse("bad_request", argv).message)

    def test_nul_bytes_are_refused(self):
        self.assertIn("argv", self.refuse("bad_request",
                                          ["true", "a\0b"]).message)
        self.assertIn("env", self.refuse("bad_request",
                                         env=["A=\0"]).message)
        self.assertIn("cwd", self.refuse("bad_request",
                                         cwd="/\0tmp").message)

    def test_a_working_directory_must_be_absolute_and_exist(self):
        for cwd in ("", "tmp", "./"):
            self.assertIn("cwd", self.refuse("bad_request", cwd=cwd).message)
        error = self.refuse_launch("chdir", errno.ENOENT, cwd="/no/such/dir")
        self.assertIn("/no/such/dir", error.message)
        self.refuse_launch("chdir", errno.ENOTDIR, cwd="/etc/passwd")

    def test_a_program_that_is_not_there_or_not_executable(self):
        error = self.refuse_launch("execve", errno.ENOENT, ["no-such-tool"])
        self.assertIn("no-such-tool", error.message)
        self.assertIn("PATH", error.hint)
        self.refuse_launch("execve", errno.ENOENT, ["/no/such/tool"])
        self.refuse_launch("execve", errno.EACCES, ["/etc/passwd"])
        self.refuse_launch("execve", errno.EACCES, ["/etc"])
        text = os.path.join(self.folder, "text")
        with open(text, "w", opener=lambda path, flags: os.open(
                path, flags, 0o755), encoding="ascii") as file:
            file.write("not a program\n")
        self.refuse_launch("execve", errno.ENOEXEC, [text])

    def test_bad_numbers_of_the_setup(self):
        for umask in (-1, 0o1000, 2**40):
            self.assertIn("umask", self.refuse("bad_request",
                                               umask=umask).message)
        for nice in (-21, 20, 2**40):
            self.assertIn("nice", self.refuse("bad_request",
                                              nice=nice).message)
        for limits in ({"files": [1, 1]}, {"nofile": [2, 1]}, {"": [1, 1]},
                       {"nofile": [-1, 5]}):
            message = self.refuse("bad_request", limits=limits).message
            self.assertIn(next(iter(limits)), message)
        for fields in ({"entry": "x"}, {"result": 0}):
            self.assertIn(next(iter(fields)),
                          self.refuse("bad_request", **fields).message)

    def test_a_bad_policy(self):
        client = self.client()
        for key, value in (("memory_max_bytes", -1), ("tasks_max", 2**62),
                           ("cpu_max_percent", -1), ("timeout_ms", -1),
                           ("timeout_ms", 2**62),
                           ("grace_ms", -1), ("grace_ms", 2**62),
                           ("name", "x" * 129), ("name", "a\0b")):
            error = self.assert_error("bad_request", client.spawn, ["true"],
                                      policy={key: value})
            self.assertIn(key, error.message)
        self.assert_still_open(client)

    def test_1_mb_of_environment_works_and_2_mb_is_told_by_execve(self):
        client = self.client()
        env = [f"V{index}=" + "x" * 10_000 for index in range(100)]
        text, _ = client.run(["sh", "-c", "echo $V99 | wc -c"],
                             env=client.env + env)
        self.assertEqual(text, "10001\n")
        # A quarter of the stack; of the usual 8 MiB.
        self.refuse_launch("execve", errno.E2BIG,
                           env=client.env + env * 2 + env[:20],
                           limits={"stack": [8 << 20, 8 << 20]})
        # One string may have 128 KiB only.
        self.refuse_launch("execve", errno.E2BIG, ["true", "x" * (128 << 10)])
        self.refuse("malformed", ["true"] * 70_000)

    def test_a_setup_that_is_no_message(self):
        client = self.client()
        for setup in (b"", b"\xc1", pack([1]), pack(None)):
            with self.assertRaises(Exception) as caught:
                client.request("spawn", {"setup": setup})
            self.assertIn(caught.exception.code, ("malformed", "bad_request"))
        self.assert_still_open(client)


class NamesTest(BystanderTestCase):

    def test_an_unknown_worker(self):
        client = self.client()
        instance = client.hello["instance"]
        for name in ("", "1", "x", f"{instance}-", f"{instance}-x", "-1",
                     f"{instance}-0", f"{instance}-999999",
                     f"{instance}-{2**70}", "w" * 100_000):
            for kind in ("wait", "stop", "signal"):
                error = self.assert_error("unknown_worker", client.request,
                                          kind, {"worker": name, "signal": 0})
                self.assertTrue(error.hint)
        self.assert_still_open(client)

    def test_an_ended_worker(self):
        client = self.client()
        worker = client.spawn(["sh", "-c", "exit 3"])
        record = client.wait(worker)
        self.assertEqual(client.wait(worker), record)
        self.assertEqual(client.stop(worker), record)
        self.assert_error("worker_ended", client.signal, worker, 15)

    def test_a_launch_that_failed_has_no_record(self):
        client = self.client()
        self.assert_error("launch_failed", client.spawn, ["/no/such"])
        self.assertEqual(len(client.workers()), 1)
        self.assertEqual(client.status()["records_kept"], 0)

    def test_a_signal_that_is_none(self):
        client = self.client()
        for number in (-1, 65, 1000, 2**40):
            self.assert_error("bad_request", client.signal, self.worker,
                              number)
        client.signal(self.worker, 0)

    def test_a_worker_of_before_a_restart(self):
        client = self.client()
        worker = client.spawn(["true"])
        client.wait(worker)
        self.check_bystander()
        self.connections.close()
        self.assertEqual(self.daemon.stop(), 0)
        self.start_daemon()
        client = self.client()
        for kind in ("wait", "stop", "signal"):
            error = self.assert_error(
                "unknown_worker", client.request, kind,
                {"worker": worker["id"], "signal": 0})
            self.assertIn("another run", error.message)
        self.assertNotEqual(client.spawn(["true"])["id"], worker["id"])
        self.bystander = self.client()
        self.worker = self.bystander.spawn(["sleep", "1000"])

    def test_an_unknown_zygote(self):
        client = self.client()
        setup = make_setup([], env=[], entry="x")
        error = self.assert_error("unknown_zygote", client.request, "fork",
                                  {"zygote": "nobody", "setup": setup})
        self.assertIn("'nobody'", error.message)
        self.assert_error("unknown_zygote", client.request, "zygote_stop",
                          {"name": "nobody"})
        self.assert_error("unknown_zygote", client.request, "zygote_start",
                          {"name": "child", "setup": setup, "parent": "none"})
        self.assert_still_open(client)


class RecordsTest(BystanderTestCase):

    def test_more_than_10000_workers_expire_the_oldest_record(self):
        client = self.client()
        # A launch of something that is not there counts for nothing; tiny.
        body = self.spawn_body(["/bin/true"])
        body["watch"] = True
        first = None
        left, under_way = 10_001, 0
        while left or under_way:
            while left and under_way < 64:
                client.send("spawn", body)
                left -= 1
                under_way += 1
            received = client.receive()
            if received["type"] == "exit":
                first = first or received["body"]
                under_way -= 1
            else:
                self.assertEqual(received["type"], "reply")
        error = self.assert_error("record_expired", client.wait, first["id"])
        self.assertIn("10000", error.hint)
        self.assertEqual(client.status()["records_kept"], 10_000)
        self.assert_error("record_expired", client.request, "signal",
                          {"worker": first["id"], "signal": 0})


class StalledTest(BystanderTestCase):

    def test_a_subscriber_that_does_not_read_gets_a_snapshot_later(self):
        subscriber = self.client()
        subscriber.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF,
                                     4096)
        subscription = subscriber.send("subscribe")
        subscriber.answer(subscription)
        client = self.client()
        name = "n" * 128
        body = {**self.spawn_body(["/bin/true"]), "name": name,
                "watch": True}
        for _ in range(40):
            for _ in range(64):
                client.send("spawn", body)
            for _ in range(128):
                self.assertIn(client.receive()["type"], ("reply", "exit"))
        live = {self.worker["id"]}
        events = []

        def read_until(done):
            """Keeps `live` as a subscriber does."""
            while not done():
                event = subscriber.take(
                    lambda one: one["type"] == "event" and
                    one["id"] == subscription)["body"]
                events.append(event["event"])
                if event["event"] == "overrun":
                    live.clear()
                    live.update(worker["id"]
                                for worker in event["snapshot"]["workers"])
                elif event["event"] == "worker_launched":
                    live.add(event["worker"]["id"])
                else:
                    live.discard(event["worker"]["id"])

        read_until(lambda: "overrun" in events)
        # And on it goes from there.
        last = client.spawn(["sleep", "1000"])
        read_until(lambda: last["id"] in live)
        client.stop(last)
        read_until(lambda: last["id"] not in live)
        self.assertEqual(live, {self.worker["id"]})
        self.assertLess(len(events), 2 * 40 * 64)

    def test_a_client_that_reads_no_replies_is_closed(self):
        client = self.client()
        client.socket.settimeout(5)
        workers = [client.spawn(["sleep", "1000"],
                                policy={"name": "n" * 120})
                   for _ in range(50)]
        try:
            for _ in range(2000):
                client.send("list")
        except (BrokenPipeError, ConnectionResetError):
            pass
        wait_for(lambda: self.bystander.status()["clients"] == 1,
                 "it is closed")
        self.assertIn("client_stalled", self.daemon.log_text())
        for worker in workers:
            self.assertEqual(self.bystander.wait(worker)["reason"],
                             "client_gone")


if __name__ == "__main__":
    unittest.main()
