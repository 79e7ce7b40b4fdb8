"""A daemon that is killed: what is found again, and what is gone."""

import os
import platform
import random
import signal
import subprocess
import time
import unittest

import msgpack

from daemon_fixture import (ZYGOTE_PROGRAM, alive, processes, read_file,
                            wait_for)
from services_test import ServicesTestCase

# It tells others than the parent how a process has ended.
TELLS_ENDS = tuple(map(int, platform.release().split(".")[:2])) >= (6, 15)


def kill(pid):
    """One that no daemon knows."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    wait_for(lambda: not alive(pid), "it is gone")


class DetachedTestCase(ServicesTestCase):

    def start_detached(self, name, *words, options=()):
        self.start(name, "--detach", "--grace", "5s", *options, "--", *words)
        return self.service(name)["pid"]

    def kill_and_start_again(self):
        self.kill_daemon()
        self.start_daemon()

    def saved(self, name):
        return os.path.join(self.sandbox.socket + ".state", name + ".service")

    def change_saved(self, name, **changes):
        with open(self.saved(name), "rb") as file:
            state = msgpack.unpackb(file.read())
        state.update(changes)
        with open(self.saved(name), "wb") as file:
            file.write(msgpack.packb(state))

    def with_variable(self, worker):
        wanted = f"FORKSERVER_WORKER={worker}".encode()
        return [pid for pid in processes() if alive(pid)
                and wanted in read_file(f"/proc/{pid}/environ").split(b"\0")]


class AdoptedTest(DetachedTestCase):

    def test_it_goes_on_and_is_known_again(self):
        pid = self.start_detached(
            "job", "sh", "-c", "while :; do echo line; sleep 0.05; done")
        self.kill_and_start_again()
        service = self.service("job")
        self.assertEqual((service["state"], service["pid"], service["runs"]),
                         ("running", pid, 1))
        self.assertEqual([each["pid"] for each in self.cli_json("ps")], [pid])
        # Its output is still written.
        def lines():
            return self.cli("logs", "job").stdout.count(" out line")
        before = lines()
        wait_for(lambda: lines() > before, "more lines")
        # A start finds it running.
        self.start("job", "--detach", "--grace", "5s", "--", "sh", "-c",
                   "while :; do echo line; sleep 0.05; done")
        self.assertEqual(self.service("job")["pid"], pid)
        self.assertEqual(self.cli("stop", "job").returncode, 0)
        self.assertFalse(alive(pid))
        self.assertEqual(self.service("job")["state"], "stopped")

    def test_again_and_again(self):
        pids = {f"job{i}": self.start_detached(f"job{i}", "sleep", "1000")
                for i in range(5)}
        for _ in range(10):
            self.kill_and_start_again()
            self.assertEqual({each["name"]: each["pid"]
                              for each in self.cli_json("services")}, pids)

    def test_how_it_ends_is_known_or_said_to_be_lost(self):
        pid = self.start_detached("job", "sh", "-c", "sleep 1000 & wait; exit 7",
                                  options=["--restart", "no"])
        self.kill_and_start_again()
        (child,) = [each for each in self.with_variable(
            self.worker_variable(pid)) if each != pid]
        os.kill(child, signal.SIGKILL)
        service = self.wait_for_state("job", "failed")
        if TELLS_ENDS:
            self.assertEqual(service["why"], "exit code 7")
        else:
            self.assertEqual(service["exit"]["reason"], "lost")

    def test_a_signal_that_ends_it_leads_to_another_run(self):
        pid = self.start_detached("job", "sleep", "1000",
                                  options=["--backoff", "1ms"])
        self.kill_and_start_again()
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: self.service("job")["pid"] not in (0, pid)
                 and self.service("job")["state"] == "running", "another run")
        self.assertEqual(self.service("job")["runs"], 2)
        if TELLS_ENDS:
            self.assertEqual(self.service("job")["exit"]["signal"], 9)

    def worker_variable(self, pid):
        for variable in read_file(f"/proc/{pid}/environ").split(b"\0"):
            if variable.startswith(b"FORKSERVER_WORKER="):
                return variable.partition(b"=")[2].decode()
        return None

    def test_its_whole_tree_is_stopped(self):
        ready = self.path("ready")
        pid = self.start_detached(
            "job", "sh", "-c",
            f"setsid sh -c 'trap \"\" TERM; touch {ready};"
            " while :; do sleep 1; done' & wait")
        wait_for(lambda: os.path.exists(ready), "it is deaf")
        worker = self.worker_variable(pid)
        self.assertGreaterEqual(len(self.with_variable(worker)), 2)
        self.kill_and_start_again()
        self.assertEqual(
            self.cli("stop", "job", "--grace", "100ms").returncode, 0)
        self.assertEqual(self.with_variable(worker), [])

    def test_a_stop_that_was_under_way_goes_on(self):
        pid = self.start_detached("job", "sh", "-c",
                                  "trap '' TERM; while :; do sleep 1; done")
        stop = self.start_cli("stop", "job")
        self.wait_for_state("job", "stopping")
        self.kill_and_start_again()
        self.assertEqual(stop.wait(30), 125)
        self.wait_for_state("job", "stopped")
        self.assertFalse(alive(pid))

    def test_its_timeout_goes_on(self):
        pid = self.start_detached("job", "sleep", "1000", options=[
            "--timeout", "3s", "--restart", "no"])
        self.kill_and_start_again()
        self.assertIn("timeout", self.wait_for_state("job", "failed")["why"])
        self.assertFalse(alive(pid))

    def test_one_that_was_forked_from_a_zygote(self):
        result = self.cli("zygote", "start", "demo", "--", ZYGOTE_PROGRAM)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.start("job", "--detach", "--zygote", "demo", "--entry",
                   "sleep_forever")
        pid = self.service("job")["pid"]
        self.kill_and_start_again()
        self.assertEqual(self.cli_json("zygote", "ls"), [])
        self.assertEqual(self.service("job")["pid"], pid)
        self.assertEqual(self.cli("stop", "job").returncode, 0)
        self.assertFalse(alive(pid))


class EndedTest(DetachedTestCase):

    def end_it_meanwhile(self, pid):
        self.kill_daemon()
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not alive(pid), "it has ended")

    def test_it_is_lost_and_runs_again_as_asked(self):
        pid = self.start_detached("job", "sleep", "1000",
                                  options=["--backoff", "1ms"])
        self.end_it_meanwhile(pid)
        self.start_daemon()
        wait_for(lambda: self.service("job")["state"] == "running"
                 and self.service("job")["runs"] == 2, "another run")
        self.assertEqual(self.service("job")["exit"]["reason"], "lost")
        self.assertNotEqual(self.service("job")["pid"], pid)

    def test_what_it_left_is_gone_before_it_runs_again(self):
        pids = self.path("pids")
        pid = self.start_detached(
            "job", "sh", "-c", f"setsid sh -c 'echo $$ >>{pids};"
            " exec sleep 1000' & wait", options=["--backoff", "1ms"])
        (left,) = wait_for(lambda: self.lines("pids"), "a child")
        self.end_it_meanwhile(pid)
        self.assertTrue(alive(int(left)))
        self.start_daemon()
        wait_for(lambda: len(self.lines("pids")) == 2, "another run")
        self.assertFalse(alive(int(left)))

    def test_one_that_is_not_to_run_again_has_failed(self):
        pid = self.start_detached("job", "sleep", "1000",
                                  options=["--restart", "no"])
        self.end_it_meanwhile(pid)
        self.start_daemon()
        service = self.wait_for_state("job", "failed")
        self.assertEqual(service["exit"]["reason"], "lost")

    def test_another_process_of_that_number_is_left_alone(self):
        pid = self.start_detached("job", "sleep", "1000",
                                  options=["--restart", "no"])
        self.end_it_meanwhile(pid)
        with subprocess.Popen(["sleep", "1000"]) as other:
            self.addCleanup(other.kill)
            self.change_saved("job", pid=other.pid)
            self.start_daemon()
            self.wait_for_state("job", "failed")
            self.cli("stop", "job", "--grace", "0")
            self.assertIsNone(other.poll())
            other.kill()

    def test_one_that_waited_for_its_next_run(self):
        count = self.path("count")
        self.start("job", "--detach", "--backoff", "1000s", "--no-wait", "--",
                   "sh", "-c", f"echo >>{count}; exit 1")
        self.wait_for_state("job", "backoff")
        self.kill_and_start_again()
        wait_for(lambda: len(self.lines("count")) == 2, "another run")

    def test_the_first_one_is_saved_without_complaint(self):
        self.start_detached("job", "sleep", "1000")
        self.assertEqual(self.service("job").get("why", ""), "")
        self.cli("stop", "job")

    def test_a_daemon_that_stops_in_order_leaves_none_behind(self):
        self.start_detached("running", "sleep", "1000")
        self.start_detached("stopped", "sleep", "1000")
        self.cli("stop", "stopped")
        self.assertEqual(self.cli("daemon", "stop").returncode, 0)
        for name in ("running", "stopped"):
            self.assertFalse(os.path.exists(self.saved(name)), name)
        self.start_daemon()
        self.assertEqual(self.cli_json("services"), [])

    def test_one_that_was_stopped_stays_stopped(self):
        self.start_detached("job", "sleep", "1000")
        self.cli("stop", "job")
        self.kill_and_start_again()
        self.assertEqual(self.service("job")["state"], "stopped")
        self.start("job")
        self.assertEqual(self.service("job")["state"], "running")


class StateFileTest(DetachedTestCase):

    def test_one_whose_pid_was_not_written_down(self):
        pid = self.start_detached("job", "sleep", "1000")
        self.kill_daemon()
        self.change_saved("job", pid=0, start_time=0)
        self.start_daemon()
        self.assertEqual(self.service("job")["pid"], pid)

    def test_a_forked_one_whose_pid_was_not_written_down_is_not_repeated(self):
        result = self.cli("zygote", "start", "demo", "--", ZYGOTE_PROGRAM)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.start("job", "--detach", "--zygote", "demo", "--entry",
                   "sleep_forever")
        pid = self.service("job")["pid"]
        self.addCleanup(kill, pid)
        self.kill_daemon()
        self.change_saved("job", pid=0, start_time=0)
        self.start_daemon()
        service = self.service("job")
        self.assertEqual(service["state"], "failed")
        self.assertIn("may run unseen", service["why"])
        kill(pid)

    def test_what_was_before_the_system_started_is_forgotten(self):
        pid = self.start_detached("job", "sleep", "1000")
        self.addCleanup(kill, pid)
        self.kill_daemon()
        self.change_saved("job", boot="another")
        self.start_daemon()
        self.assertEqual(self.cli_json("services"), [])
        self.assertFalse(os.path.exists(self.saved("job")))
        self.assertTrue(alive(pid))
        kill(pid)

    def test_a_damaged_file_is_named_and_left(self):
        pid = self.start_detached("job", "sleep", "1000")
        other = self.start_detached("other", "sleep", "1000")
        self.addCleanup(kill, pid)
        self.kill_daemon()
        with open(self.saved("job"), "wb") as file:
            file.write(b"\x81\xa4boot")
        self.start_daemon()
        self.assertEqual([each["pid"] for each in self.cli_json("services")],
                         [other])
        self.assertIn("cannot be read", self.log_text())
        self.assertTrue(os.path.exists(self.saved("job")))
        kill(pid)

    def test_what_cannot_be_written_down_is_not_started(self):
        os.makedirs(self.saved("job"))
        result = self.cli("start", "job", "--detach", "--", "sleep", "1000")
        self.assertEqual(result.returncode, 125)
        self.assertIn("its state cannot be saved", result.stderr)
        self.assertEqual(self.cli_json("ps"), [])
        os.rmdir(self.saved("job"))
        self.start("job", "--detach", "--", "sleep", "1000")

    def test_a_folder_in_which_others_write_is_not_believed(self):
        pid = self.start_detached("job", "sleep", "1000")
        self.kill_daemon()
        os.chmod(os.path.dirname(self.saved("job")), 0o777)
        self.start_daemon()
        self.assertEqual(self.cli_json("services"), [])
        self.assertIn("is not a folder of this user's alone", self.log_text())
        result = self.cli("start", "other", "--", "sleep", "1000")
        self.assertEqual(result.returncode, 125)
        self.assertIn("is not a folder of this user's alone", result.stderr)
        self.cli("remove", "other")
        kill(pid)

    def test_there_is_a_file_as_long_as_there_is_a_service(self):
        self.start("job", "--", "sleep", "1000")
        self.assertFalse(os.path.exists(self.saved("job")))
        self.start("job", "--replace", "--detach", "--", "sleep", "1000")
        self.assertEqual(os.stat(self.saved("job")).st_mode & 0o777, 0o600)
        self.start("job", "--replace", "--", "sleep", "1000")
        self.assertFalse(os.path.exists(self.saved("job")))
        self.start("job", "--replace", "--detach", "--", "sleep", "1000")
        self.cli("remove", "job")
        self.assertFalse(os.path.exists(self.saved("job")))

    def test_a_daemon_that_is_stopped_leaves_nothing(self):
        pid = self.start_detached("job", "sleep", "1000")
        self.daemon.terminate()
        self.assertEqual(self.daemon.wait(30), 0)
        self.assertFalse(alive(pid))
        self.assertFalse(os.path.exists(self.saved("job")))
        self.start_daemon()
        self.assertEqual(self.cli_json("services"), [])


class GoneTest(DetachedTestCase):

    def test_everything_else_is_gone(self):
        ready = self.path("ready")
        program = (f"setsid sh -c 'echo >>{ready}; exec sleep 1000' &"
                   f" echo >>{ready}; wait")
        self.start("service", "--", "sh", "-c", program)
        self.start_cli("run", "--", "sh", "-c", program)
        self.cli("zygote", "start", "demo", "--", ZYGOTE_PROGRAM)
        self.start_cli("fork", "demo", "--entry", "run_shell", "--args",
                       program)
        kept = self.start_detached("kept", "sh", "-c", program)
        wait_for(lambda: len(self.lines("ready")) == 8, "all of them")
        self.kill_daemon()
        wait_for(lambda: len(self.sandbox.leftovers()) <= 3,
                 self.sandbox.describe_leftovers)
        self.start_daemon()
        self.assertEqual(self.service("kept")["pid"], kept)
        self.assertEqual([each["pid"] for each in self.cli_json("ps")],
                         [kept])

    def test_at_random_moments(self):
        """No service is lost and none runs twice."""
        chance = random.Random(7)
        names = [f"job{i}" for i in range(4)]
        for name in names:
            self.start_detached(name, "sh", "-c", "while :; do sleep 1; done")
        for _ in range(12):
            for name in names:
                # Neither starts a daemon.
                self.start_cli(chance.choice(["restart", "stop"]), name,
                               stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
            time.sleep(chance.random() / 10)
            self.kill_and_start_again()
            self.assertEqual([each["name"]
                              for each in self.cli_json("services")], names)
            for name in names:
                self.start(name)
                self.assertEqual(self.runs_of(name),
                                 [self.service(name)["pid"]])

    @staticmethod
    def runs_of(name):
        wanted = f"FORKSERVER_SERVICE={name}".encode()
        return [pid for pid in processes() if alive(pid)
                and wanted in read_file(f"/proc/{pid}/environ").split(b"\0")
                and os.getpgid(pid) == pid]


if __name__ == "__main__":
    unittest.main()
