"""Upgrades to programs that cannot take over, and to none: the daemon goes on
with everything that it has."""

import contextlib
import itertools
import os
import resource
import shutil
import signal
import subprocess
import threading
import time
import unittest

import forkserver

from daemon_fixture import (FORKSERVERD, ROOT, DaemonTestCase,
                            SandboxTestCase, wait_for)
from wire import WireTestCase, frame, make_setup, pack

SUCCESSOR_PROGRAM = os.path.join(ROOT, "tests/child_programs/successor_program")


class FaultTestCase(DaemonTestCase):

    def setUp(self):
        super().setUp()
        self.client = forkserver.connect(self.sandbox.socket, autostart=False)
        self.addCleanup(self.client.close)

    def tearDown(self):
        self.client.close()
        super().tearDown()

    def successor(self, name):
        path = os.path.join(self.folder, name)
        shutil.copy(SUCCESSOR_PROGRAM, path)
        return path

    def refuse(self, program):
        """The error of an upgrade to it; whoever worked before does after."""
        worker = self.client.spawn(["sh", "-c", "read line; exit 7"],
                                   stdin=self.hold())
        before = self.client.status()
        with self.assertRaises(forkserver.Error) as caught:
            self.client.upgrade(program)
        after = self.client.status()
        self.assertEqual((after.pid, after.upgrades, after.instance),
                         (self.daemon.pid, before.upgrades, before.instance))
        self.assertEqual(caught.exception.code, "upgrade_failed")
        self.let_go()
        self.assertEqual(worker.wait(20).code, 7)
        # It serves others, and can be upgraded.
        self.assertEqual(self.cli("run", "--", "sh", "-c", "exit 5").returncode,
                         5)
        self.client.upgrade()
        self.assertEqual(self.client.status().upgrades, before.upgrades + 1)
        return caught.exception

    def hold(self):
        read_end, self.held = os.pipe()
        self.addCleanup(os.close, read_end)
        return read_end

    def let_go(self):
        os.close(self.held)


class RefusedTest(FaultTestCase):

    def test_one_of_an_older_state(self):
        error = self.refuse(self.successor("older"))
        self.assertEqual(error.step, "try")
        self.assertIn("forkserverd 0.0.9) cannot take over", error.message)
        self.assertIn("formats up to 0", error.message)
        self.assertIn("stop and start", error.hint)

    def test_one_of_an_older_protocol(self):
        error = self.refuse(self.successor("older_protocol"))
        self.assertIn("a client speaks protocol 1, it speaks 0..0",
                      error.message)

    def test_one_that_says_that_it_can_and_then_cannot(self):
        error = self.refuse(self.successor("fails"))
        self.assertEqual(error.step, "take_over")
        self.assertIn("there is nothing left to take: over", error.message)
        self.assertIn("not upgraded", self.log_text())

    def test_one_that_cannot_and_the_old_file_is_gone(self):
        # The program that goes back has no name any more.
        program = os.path.join(self.folder, "forkserverd")
        shutil.copy(FORKSERVERD, program)
        self.client.upgrade(program)
        os.unlink(program)
        worker = self.client.spawn(["sleep", "1000"])
        with self.assertRaises(forkserver.Error) as caught:
            self.client.upgrade(self.successor("fails"))
        self.assertEqual(caught.exception.step, "take_over")
        worker.stop(0)
        # By its own name it cannot be upgraded; it says so.
        with self.assertRaises(forkserver.Error) as caught:
            self.client.upgrade()
        self.assertIn(program, caught.exception.message)
        self.client.upgrade(FORKSERVERD)

    def test_one_that_is_no_program(self):
        path = os.path.join(self.folder, "text")
        with open(path, "w", encoding="ascii") as file:
            file.write("no program")
        os.chmod(path, 0o755)
        error = self.refuse(path)
        self.assertIn("Exec format error", error.message)

    def test_one_that_hangs(self):
        error = self.refuse(self.successor("hangs"))
        self.assertIn("said nothing for 10 s", error.message)

    def test_a_program_that_executes_another_one(self):
        # While it is not forkserverd yet nobody knows what it does with our
        # children.
        path = os.path.join(self.folder, "wrapper")
        with open(path, "w", encoding="ascii") as file:
            file.write(f"#!/bin/sh\nexec {FORKSERVERD} \"$@\"\n")
        os.chmod(path, 0o755)
        self.assertIn("executes another program", self.refuse(path).message)

    def test_a_folder(self):
        self.assertIn("is not a file", self.refuse(self.folder).message)


class LimitsTest(SandboxTestCase):

    def test_without_large_files_it_serves_and_is_not_upgraded(self):
        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        daemon = subprocess.Popen(
            [FORKSERVERD, "--socket", self.sandbox.socket, "--foreground"],
            env=self.sandbox.environment, stderr=subprocess.DEVNULL,
            preexec_fn=limit)
        wait_for(lambda: self.cli("status").returncode == 0, "it serves")
        result = self.cli("daemon", "upgrade")
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("a limit of file sizes", result.stderr)
        self.assertEqual(self.cli("run", "--", "sh", "-c",
                                  "exit 7").returncode, 7)
        # A worker ends by the signal, as it would without forkserverd.
        self.assertEqual(
            self.cli("run", "--", "sh", "-c",
                     f"ulimit -f 1; yes >{self.folder}/large").returncode,
            128 + signal.SIGXFSZ)
        daemon.terminate()
        self.assertEqual(daemon.wait(20), 0)


class LinkTest(SandboxTestCase):

    def test_a_link_is_followed_to_where_it_leads_now(self):
        versions = []
        for version in ("v1", "v2"):
            folder = os.path.join(self.folder, version)
            os.mkdir(folder)
            versions.append(shutil.copy(FORKSERVERD, folder))
        link = os.path.join(self.folder, "forkserverd")
        os.symlink(versions[0], link)
        # By its name in the working directory.
        daemon = subprocess.Popen(
            ["./forkserverd", "--socket", self.sandbox.socket, "--foreground"],
            env=self.sandbox.environment, stderr=subprocess.DEVNULL,
            cwd=self.folder, start_new_session=True)
        wait_for(lambda: self.cli("status").returncode == 0, "it serves")
        for count, program in ((1, versions[1]), (2, versions[0])):
            os.unlink(link)
            os.symlink(program, link)
            daemon.send_signal(signal.SIGHUP)
            wait_for(lambda n=count: self.cli_json("status")["upgrades"] == n,
                     "an upgrade")
            self.assertEqual(os.readlink(f"/proc/{daemon.pid}/exe"), program)
        daemon.terminate()
        self.assertEqual(daemon.wait(20), 0)


class NoDescriptorsTest(FaultTestCase):

    def test_with_any_number_of_free_ones_nothing_is_lost(self):
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        for free in range(12):
            worker = self.client.spawn(["sleep", "1000"])
            used = {int(name)
                    for name in os.listdir(f"/proc/{self.daemon.pid}/fd")}
            numbers = (n for n in itertools.count() if n not in used)
            limit = next(itertools.islice(numbers, free, None))
            before = self.client.status().upgrades
            resource.prlimit(self.daemon.pid, resource.RLIMIT_NOFILE,
                             (limit, hard))
            try:
                self.client.upgrade()
                upgraded = 1
            except forkserver.Error as error:
                self.assertEqual(error.code, "upgrade_failed", error)
                upgraded = 0
            resource.prlimit(self.daemon.pid, resource.RLIMIT_NOFILE,
                             (hard, hard))
            status = self.client.status()
            self.assertEqual((status.upgrades, status.workers, status.pid),
                             (before + upgraded, 1, self.daemon.pid))
            self.assertEqual(worker.stop(0).reason, "stopped")
        self.assertEqual(upgraded, 1)


class AtOnceTest(FaultTestCase):

    def slow(self, before):
        """A program that becomes forkserverd when it may."""
        gate = os.path.join(self.folder, "gate")
        path = os.path.join(self.folder, "slow")
        with open(path, "w", encoding="ascii") as file:
            file.write(f"#!/bin/sh\nread line < {gate}\n{before}\n"
                       f"exec {FORKSERVERD} \"$@\"\n")
        os.chmod(path, 0o755)
        os.mkfifo(gate)
        return path, gate

    def begin(self, program):
        outcome = {}

        def upgrade():
            with forkserver.connect(self.sandbox.socket,
                                    autostart=False) as client:
                try:
                    outcome["reply"] = client.upgrade(program)
                except forkserver.Error as error:
                    outcome["error"] = error
        thread = threading.Thread(target=upgrade)
        thread.start()
        self.addCleanup(thread.join)
        return thread, outcome

    def test_two_at_once(self):
        program, gate = self.slow("exit 3")
        thread, outcome = self.begin(program)
        # Opening blocks until it reads.
        with open(gate, "w", encoding="ascii") as stream:
            with self.assertRaises(forkserver.Error) as caught:
                self.client.upgrade()
            self.assertIn("under way", caught.exception.message)
            stream.write("go\n")
        thread.join(20)
        self.assertEqual(outcome["error"].step, "try")
        self.client.upgrade()
        self.assertEqual(self.client.status().upgrades, 1)

    def test_stop_while_it_is_tried(self):
        for by in ("request", "signal"):
            with self.subTest(by):
                program, gate = self.slow("")
                worker = self.client.spawn(["sleep", "1000"], grace=0.1)
                thread, outcome = self.begin(program)
                # Nobody tries a program any more when it stops.
                with contextlib.suppress(BrokenPipeError), \
                        open(gate, "w", encoding="ascii") as stream:
                    if by == "request":
                        self.client.shutdown()
                    else:
                        self.daemon.terminate()
                    wait_for(lambda: "told to stop" in self.log_text() or
                             "asks for a shutdown" in self.log_text(), "a stop")
                    stream.write("go\n")
                thread.join(20)
                self.assertIn(outcome["error"].code,
                              ("daemon_stopping", "connection_lost",
                               "upgrade_failed"))
                self.assertEqual(self.daemon.wait(30), 0, self.log_text())
                self.assertIsNotNone(worker.id)
                self.client.close()
                os.unlink(gate)
                os.unlink(self.log)
                self.start_daemon()
                self.client = forkserver.connect(self.sandbox.socket,
                                                 autostart=False)

    def test_a_signal_just_before_the_hand_over_is_not_lost(self):
        program = self.successor("stops")
        shutil.copy(FORKSERVERD, os.path.join(self.folder, "forkserverd"))
        for _ in range(100):
            with contextlib.suppress(forkserver.Error):
                self.client.upgrade(program)
            self.client.close()
            self.assertEqual(self.daemon.wait(30), 0, self.log_text())
            self.start_daemon()
            self.client = forkserver.connect(self.sandbox.socket,
                                             autostart=False)

    def test_signals_at_random_moments_are_never_lost(self):
        for i in range(40):
            self.client.close()
            thread, outcome = self.begin("")
            time.sleep(i * 0.0005)
            self.daemon.terminate()
            thread.join(30)
            self.assertFalse(thread.is_alive())
            self.assertEqual(self.daemon.wait(30), 0, self.log_text())
            self.start_daemon()
        self.client = forkserver.connect(self.sandbox.socket, autostart=False)


class ReapsTest(FaultTestCase):

    def test_a_worker_that_somebody_else_has_reaped_is_lost(self):
        program = self.successor("reaps")
        shutil.copy(FORKSERVERD, os.path.join(self.folder, "forkserverd"))
        gate = os.path.join(self.folder, "gate")
        os.mkfifo(gate)
        worker = self.client.spawn(["sh", "-c", f"read line <{gate}; exit 7"])
        # More than have a descriptor each.
        others = [self.client.spawn(["sleep", "1000"]) for _ in range(40)]
        thread = threading.Thread(target=self.client.upgrade, args=(program,))
        thread.start()
        wait_for(lambda: os.readlink(f"/proc/{self.daemon.pid}/exe") == program,
                 "it reaps")
        with open(gate, "w", encoding="ascii") as stream:
            stream.write("go\n")
        thread.join(30)
        record = worker.wait(30)
        self.assertEqual((record.reason, record.code), ("lost", None))
        for other in others:
            self.assertEqual(other.stop(0).reason, "stopped")


class DiesTest(FaultTestCase):

    def test_kills_at_random_moments_leave_nothing_behind(self):
        # With all that it started, whichever program it is at that moment.
        for i in range(40):
            worker = self.client.spawn(["sleep", "1000"])
            self.client.close()
            thread = threading.Thread(target=self.cli, args=("daemon",
                                                             "upgrade"))
            thread.start()
            time.sleep(0.005 + i * 0.0005)
            self.kill_daemon()
            thread.join(30)
            self.assertFalse(thread.is_alive())
            wait_for(lambda pid=worker.pid: not os.path.exists(f"/proc/{pid}"),
                     "the keeper has ended the worker")
            self.start_daemon()
            self.client = forkserver.connect(self.sandbox.socket,
                                             autostart=False)

    def test_it_is_as_if_the_daemon_was_killed(self):
        worker = self.client.spawn(["sleep", "1000"])
        detached = self.cli("start", "kept", "--detach", "--", "sleep", "1000")
        self.assertEqual(detached.returncode, 0, detached.stderr)
        kept = self.cli_json("status", "kept")["pid"]
        with self.assertRaises(forkserver.ConnectionLost):
            self.client.upgrade(self.successor("dies"))
        self.assertEqual(self.daemon.wait(20), -signal.SIGKILL)
        wait_for(lambda: not os.path.exists(f"/proc/{worker.pid}"),
                 "the keeper has ended the worker")
        self.client.close()
        self.start_daemon()
        self.assertEqual(self.cli_json("status", "kept")["pid"], kept)


class WireTest(WireTestCase):

    def setUp(self):
        super().setUp()
        self.first = self.client()
        self.other = self.client()

    def test_what_has_come_of_a_request_is_not_lost(self):
        request = self.frame_of("list", {})
        for byte in request:
            self.first.send_bytes(bytes([byte]))
            self.other.request("upgrade")
        self.assertEqual(self.first.answer(self.first.last_id),
                         {"workers": [], "zygotes": []})
        self.assertEqual(self.other.status()["upgrades"], len(request))

    def test_descriptors_of_half_a_frame_go_over(self):
        read_end, write_end = os.pipe()
        setup = make_setup(["echo", "here"], env=self.first.env, fds=[[1, 0]])
        request = self.frame_of("spawn", {"setup": setup}, fds=1)
        self.first.send_bytes(request[:10], [write_end])
        os.close(write_end)
        self.other.request("upgrade")
        self.first.send_bytes(request[10:])
        worker = self.first.answer(self.first.last_id)["worker"]
        with open(read_end, "rb") as stream:
            self.assertEqual(stream.read(), b"here\n")
        self.assertEqual(self.first.wait(worker)["code"], 0)

    def test_answers_that_nobody_has_read_go_over(self):
        # More than the socket takes, less than makes the daemon give up.
        env = ["X" * 100_000]
        requests = [self.first.send_spawn(["true"], env=env)
                    for _ in range(10)]
        lists = [self.first.send("list") for _ in range(2000)]
        wait_for(lambda: self.other.status()["workers"] == 0, "they end")
        for _ in range(3):
            self.other.request("upgrade")
        for request in requests:
            self.assertIn("worker", self.first.answer(request))
        for request in lists:
            self.assertIn("workers", self.first.answer(request))

    def test_a_relative_path(self):
        self.assert_error("bad_request", self.other.request, "upgrade",
                          {"program": "forkserverd"})

    def frame_of(self, kind, body, fds=0):
        self.first.last_id += 1
        envelope = {"type": kind, "id": self.first.last_id, "body": body}
        if fds:
            envelope["fds"] = fds
        return frame(pack(envelope))


if __name__ == "__main__":
    unittest.main()
