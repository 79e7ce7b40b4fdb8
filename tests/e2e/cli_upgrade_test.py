"""`forkserver daemon upgrade`, and SIGHUP, of a daemon that has work to do."""

import json
import os
import pty
import select
import shutil
import signal
import subprocess
import unittest

from daemon_fixture import (FORKSERVERD, DaemonTestCase, SandboxTestCase,
                            alive, read_file, wait_for)


class UpgradeTest(DaemonTestCase):
    # It has no terminal, whoever runs this.
    daemon_options = {"start_new_session": True}

    def upgrade(self):
        result = self.cli("daemon", "upgrade")
        self.assertEqual((result.returncode, result.stderr), (0, ""),
                         self.log_text())
        return result.stdout

    def start_service(self, name, *command):
        result = self.cli("start", name, "--", *command)
        self.assertEqual(result.returncode, 0, result.stderr)
        return self.cli_json("status", name)

    def logged(self, name):
        # The log writer makes the file with the first line.
        if not os.path.exists(self.cli_json("status", name)["log"]):
            return []
        result = self.cli("logs", name, "--json")
        self.assertEqual(result.returncode, 0, result.stderr)
        return [json.loads(line)["text"]
                for line in result.stdout.splitlines()]

    def test_the_same_process_serves_and_counts(self):
        before = self.status()
        version = before["version"]
        self.assertEqual(before["upgrades"], 0)
        self.assertEqual(
            self.upgrade(), f"forkserverd (pid {self.daemon.pid}) was "
            f"upgraded from {version} to {version}\n")
        self.assertEqual(self.cli_json("daemon", "upgrade"),
                         {"from": version, "version": version})
        after = self.status()
        self.assertEqual(after["upgrades"], 2)
        for key in ("pid", "instance", "socket", "log", "threads"):
            self.assertEqual(after[key], before[key], key)
        self.assertGreaterEqual(after["uptime_ms"], before["uptime_ms"])
        self.assertIn("forkserver_upgrades_total 2\n",
                      self.cli("metrics").stdout)
        rows = [line.split() for line in self.cli("status").stdout.splitlines()]
        self.assertIn(["upgrades", "2"], rows)

    def test_a_run_in_flight_ends_with_its_exit_code(self):
        run = self.start_cli("run", "--", "sh", "-c", "read line; exit $line",
                             stdin=subprocess.PIPE)
        wait_for(lambda: [each["state"] for each in self.cli_json("ps")] ==
                 ["running"], "a worker")
        [worker] = self.cli_json("ps")
        self.upgrade()
        self.assertEqual(self.cli_json("ps"), [worker])
        output, errors = run.communicate("7\n", timeout=60)
        self.assertEqual((run.returncode, output, errors), (7, "", ""))
        # Its record went nowhere else.
        wait = self.cli("wait", worker["id"])
        self.assertEqual(wait.returncode, 7, wait.stderr)

    def test_a_worker_that_is_waited_for_and_one_that_has_ended(self):
        ended = self.cli("run", "--detach", "--", "sh", "-c",
                         "exit 5").stdout.strip()
        self.assertEqual(self.cli("wait", ended).returncode, 5)
        worker = self.cli("run", "--detach", "--", "sleep",
                          "1000").stdout.strip()
        wait = self.start_cli("wait", worker)
        wait_for(lambda: self.status()["clients"] == 2, "it waits")
        self.upgrade()
        self.assertEqual(self.cli("wait", ended).returncode, 5)
        self.assertIsNone(wait.poll())
        self.cli("kill", "-s", "KILL", worker)
        wait.communicate(timeout=60)
        self.assertEqual(wait.returncode, 128 + signal.SIGKILL)

    def test_a_service_and_its_log_go_on(self):
        fifo = os.path.join(self.folder, "fifo")
        os.mkfifo(fifo)

        def say(line):
            with open(fifo, "w", encoding="ascii") as stream:
                stream.write(line + "\n")
            wait_for(lambda: line in self.logged("web"),
                     lambda: f"{line!r} in {self.logged('web')}")

        before = self.start_service("web", "sh", "-c",
                                    f"while :; do cat {fifo}; done")
        say("before")
        self.upgrade()
        say("after")
        after = self.cli_json("status", "web")
        for key in ("pid", "worker", "state", "runs", "restarts", "since_ns",
                    "log"):
            self.assertEqual(after[key], before[key], key)
        # It is still the daemon's to start again.
        os.kill(after["pid"], signal.SIGKILL)
        wait_for(lambda: self.cli_json("status", "web")["runs"] == 2 and
                 self.cli_json("status", "web")["state"] == "running",
                 lambda: f"another run: {self.cli_json('status', 'web')}")
        say("again")

    def test_who_follows_events_sees_what_comes_after(self):
        events = self.start_cli("events", "--json")
        # It may be connected and not follow yet: until it tells of one.
        wait_for(lambda: self.cli("run", "--", "true").returncode == 0 and
                 select.select([events.stdout], [], [], 0)[0], "it follows")
        self.upgrade()
        worker = self.cli("run", "--detach", "--", "true").stdout.strip()
        seen = []
        while ("worker_ended", worker) not in seen:
            line = events.stdout.readline()
            self.assertTrue(line, "the events end")
            event = json.loads(line)
            seen.append((event["event"], (event["worker"] or {}).get("id")))
        events.terminate()
        events.communicate(timeout=60)
        self.assertEqual(events.returncode, 0)

    def test_a_stop_after_it_is_a_stop(self):
        self.upgrade()
        result = self.cli("daemon", "stop")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(self.daemon.wait(20), 0, self.log_text())

    def test_sighup_is_the_same(self):
        worker = self.cli("run", "--detach", "--", "sleep",
                          "1000").stdout.strip()
        for number in (1, 2):
            self.daemon.send_signal(signal.SIGHUP)
            wait_for(lambda: self.status()["upgrades"] == number,
                     lambda: f"{number} upgrades: {self.log_text()}")
        self.assertEqual(self.status()["pid"], self.daemon.pid)
        self.assertEqual([each["id"] for each in self.cli_json("ps")],
                         [worker])
        self.assertIn("upgrade", self.log_text())


class TerminalTest(SandboxTestCase):

    def test_the_end_of_its_terminal_stops_it(self):
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(FORKSERVERD, [FORKSERVERD, "--socket",
                                    self.sandbox.socket, "--foreground"],
                      self.sandbox.environment)
        wait_for(lambda: self.cli("status").returncode == 0, "it serves")
        os.close(terminal)
        _, status = os.waitpid(pid, 0)
        self.assertEqual(os.waitstatus_to_exitcode(status), 0)


class RefusedUpgradeTest(DaemonTestCase):
    """The old one goes on."""

    def setUp(self):
        super().setUp()
        self.bin = os.path.join(self.folder, "bin")
        os.mkdir(self.bin)
        self.program = os.path.join(self.bin, "forkserverd")

    def install(self, text, mode=0o755):
        with open(self.program, "w", encoding="ascii") as file:
            file.write(text)
        os.chmod(self.program, mode)

    def refused(self, *says):
        """`daemon upgrade` fails with all of that on standard error."""
        worker = self.cli("run", "--detach", "--", "sleep",
                          "1000").stdout.strip()
        before = self.sandbox.environment.copy()
        self.sandbox.environment.update(FORKSERVER_BIN=self.bin,
                                        PATH="/usr/bin:/bin")
        result = self.cli("daemon", "upgrade")
        self.sandbox.environment.update(before)
        self.assertEqual((result.returncode, result.stdout), (125, ""))
        self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)
        for each in says:
            self.assertRegex(result.stderr, each)
        status = self.status()
        self.assertEqual((status["pid"], status["upgrades"]),
                         (self.daemon.pid, 0))
        self.assertEqual([each["id"] for each in self.cli_json("ps")],
                         [worker])
        self.assertEqual(self.cli("run", "--", "sh", "-c",
                                  "exit 4").returncode, 4)
        # Nothing is left under way: the next one works.
        result = self.cli("daemon", "upgrade")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(self.status()["upgrades"], 1)

    def test_one_that_is_missing(self):
        self.refused("no forkserverd was found", self.bin)

    def test_one_that_is_not_executable(self):
        self.install("#!/bin/sh\n", 0o644)
        self.refused(self.bin + r" \(where it cannot be executed\)")

    def test_one_whose_interpreter_is_missing(self):
        self.install("#!/no/such/interpreter\n")
        self.refused(r"\[upgrade_failed", self.program,
                     "No such file or directory")

    def test_one_that_exits_at_once(self):
        self.install("#!/bin/sh\nexit 3\n")
        self.refused(r"\[upgrade_failed", self.program, "code 3")

    def test_one_that_crashes(self):
        self.install("#!/bin/sh\nkill -SEGV $$\n")
        self.refused(r"\[upgrade_failed", self.program, "SIGSEGV|signal 11")

    def test_one_that_never_answers(self):
        self.install("#!/bin/sh\nexec sleep 1000\n")
        self.refused(r"\[upgrade_failed", self.program, "answer|10 s")


class BackgroundDaemonTest(SandboxTestCase):
    """A daemon of `daemon start`, from a file that changes."""

    def setUp(self):
        super().setUp()
        self.bin = os.path.join(self.folder, "bin")
        os.mkdir(self.bin)
        self.program = os.path.join(self.bin, "forkserverd")
        shutil.copy(FORKSERVERD, self.program)
        self.sandbox.environment["FORKSERVER_BIN"] = self.bin
        result = self.cli("daemon", "start")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.status = self.cli_json("status")

    def tearDown(self):
        self.cli("daemon", "stop")
        self.assert_nothing_left()
        super().tearDown()

    def replace(self, source):
        """As installing does it: in one step."""
        shutil.copy(source, self.program + ".new")
        os.chmod(self.program + ".new", 0o755)
        os.rename(self.program + ".new", self.program)

    def log_text(self):
        return read_file(self.status["log"]).decode(errors="replace")

    def upgrades(self):
        return self.cli_json("status")["upgrades"]

    def test_sighup_takes_the_file_as_it_is_now(self):
        pid = self.status["pid"]
        self.replace(FORKSERVERD)
        os.kill(pid, signal.SIGHUP)
        wait_for(lambda: self.upgrades() == 1, self.log_text)
        self.assertEqual(os.stat(f"/proc/{pid}/exe").st_ino,
                         os.stat(self.program).st_ino)

    def test_sighup_that_fails_is_in_the_log(self):
        pid = self.status["pid"]
        script = os.path.join(self.folder, "script")
        with open(script, "w", encoding="ascii") as file:
            file.write("#!/bin/sh\nexit 3\n")
        self.replace(script)
        os.kill(pid, signal.SIGHUP)
        wait_for(lambda: "code 3" in self.log_text(), self.log_text)
        self.assertTrue(alive(pid))
        self.assertEqual(self.upgrades(), 0)
        self.replace(FORKSERVERD)
        os.kill(pid, signal.SIGHUP)
        wait_for(lambda: self.upgrades() == 1, self.log_text)

    def test_another_folder_than_the_daemon_s(self):
        self.sandbox.environment["FORKSERVER_BIN"] = \
            os.path.dirname(FORKSERVERD)
        result = self.cli("daemon", "upgrade")
        self.assertEqual(result.returncode, 0, result.stderr)
        pid = self.status["pid"]
        self.assertEqual(self.cli_json("status")["pid"], pid)
        self.assertEqual(os.stat(f"/proc/{pid}/exe").st_ino,
                         os.stat(FORKSERVERD).st_ino)


class NoDaemonTest(SandboxTestCase):

    def test_it_says_so_and_starts_none(self):
        for arguments in ((), ("--json",)):
            result = self.cli("daemon", "upgrade", *arguments)
            self.assertEqual((result.returncode, result.stdout), (125, ""))
            self.assertIn("no daemon serves " + self.sandbox.socket,
                          result.stderr)
        self.assertEqual(self.cli("daemon", "status").returncode, 1)
        self.assert_nothing_left()


if __name__ == "__main__":
    unittest.main()
