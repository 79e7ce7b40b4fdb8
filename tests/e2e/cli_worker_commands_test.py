"""`forkserver ps`, `wait`, `kill`, `stop`, `status` and `events`."""

import json
import os
import signal
import unittest

from daemon_fixture import DaemonTestCase, SandboxTestCase, alive, wait_for

WORKER_KEYS = [
    "id", "name", "pid", "kind", "zygote", "state", "detach", "exit",
]
EXIT_KEYS = [
    "id", "name", "pid", "kind", "zygote", "code", "signal", "core", "reason",
    "max_rss_bytes", "user_us", "system_us", "wall_us", "journey", "stacks",
    "direct", "crash", "leftovers", "oom_kills",
]
JOURNEY_KEYS = [
    "received_ns", "launch_begun_ns", "launched_ns", "started_ns", "ended_ns",
]
STATUS_KEYS = [
    "pid", "version", "protocol", "instance", "socket", "threads",
    "uptime_ms", "clients", "workers", "zygotes", "launched", "records_kept",
    "open_fds", "log", "cgroup_limits", "cgroup_missing", "upgrades",
]
EVENT_KEYS = ["event", "time_ns", "worker", "zygote", "service", "snapshot"]


class WorkerCommandsTest(DaemonTestCase):

    def detach(self, *command, options=()):
        result = self.cli("run", "--detach", *options, "--", *command)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout.strip()

    def test_ps_lists_live_workers(self):
        self.assertEqual(self.cli_json("ps"), [])
        worker_id = self.detach("sleep", "60", options=("--name", "sleepy"))
        [worker] = self.cli_json("ps")
        self.assertEqual(list(worker), WORKER_KEYS)
        self.assertEqual(
            {key: worker[key] for key in WORKER_KEYS if key != "pid"},
            {"id": worker_id, "name": "sleepy", "kind": "exec", "zygote": "",
             "state": "running", "detach": True, "exit": None})
        self.assertTrue(alive(worker["pid"]))
        heading, row = self.cli("ps").stdout.splitlines()
        self.assertEqual(heading.split(),
                         ["ID", "NAME", "PID", "KIND", "ZYGOTE", "STATE"])
        self.assertEqual(row.split(), [worker_id, "sleepy", str(worker["pid"]),
                                       "exec", "-", "running"])

    def test_ps_shows_what_workers_take(self):
        self.detach("sleep", "60")
        [worker] = self.cli_json("ps", "--memory")
        self.assertEqual(list(worker), [*WORKER_KEYS, "memory"])
        memory = worker["memory"]
        self.assertGreater(memory["private_bytes"], 0)
        self.assertLessEqual(memory["private_bytes"], memory["pss_bytes"])
        self.assertLessEqual(memory["pss_bytes"],
                             memory["private_bytes"] + memory["shared_bytes"])
        heading, row = self.cli("ps", "--memory").stdout.splitlines()
        self.assertEqual(heading.split()[-3:], ["PSS", "SHARED", "PRIVATE"])
        self.assertRegex(row, r" \d+K +\d+K +\d+K *$")

    def test_wait_exits_as_the_worker_did(self):
        record = self.cli_json("wait", self.detach("sh", "-c", "exit 3"),
                               code=3)
        self.assertEqual(list(record), EXIT_KEYS)
        self.assertEqual(list(record["journey"]), JOURNEY_KEYS)
        self.assertEqual((record["code"], record["signal"], record["reason"]),
                         (3, None, "exited"))
        record = self.cli_json(
            "wait", self.detach("sh", "-c", "kill -USR1 $$"),
            code=128 + signal.SIGUSR1)
        self.assertEqual((record["code"], record["signal"], record["reason"]),
                         (None, signal.SIGUSR1, "signaled"))
        worker_id = self.detach("sleep", "60",
                                options=("--timeout", "100ms"))
        record = self.cli_json("wait", worker_id, code=124)
        self.assertEqual(record["reason"], "timeout")

    def test_a_wait_that_gives_up_is_125(self):
        worker_id = self.detach("sleep", "60")
        result = self.cli("wait", worker_id, "--timeout", "50ms")
        self.assertEqual((result.returncode, result.stdout), (125, ""))
        self.assertIn("timeout", result.stderr)
        self.assertEqual(len(self.cli_json("ps")), 1)

    def test_kill_takes_names_and_numbers(self):
        for name, number in (("TERM", 15), ("SIGKILL", 9), ("hup", 1),
                             ("10", 10), (None, 15)):
            with self.subTest(name):
                worker_id = self.detach("sleep", "60")
                option = ("-s", name) if name else ()
                self.assertEqual(
                    self.cli("kill", *option, worker_id).returncode, 0)
                self.assertEqual(self.cli("wait", worker_id).returncode,
                                 128 + number)

    def test_kill_can_reach_the_whole_group(self):
        path = os.path.join(self.folder, "child")
        worker_id = self.detach(
            "sh", "-c",
            f"sleep 60 & echo $! > {path}.new; mv {path}.new {path}; wait")
        wait_for(lambda: os.path.exists(path), "the child")
        self.cli("kill", "--group", worker_id)
        self.assertEqual(self.cli("wait", worker_id).returncode, 143)
        with open(path) as file:
            pid = int(file.read())
        wait_for(lambda: not alive(pid), "the end of the child")

    def test_stop_ends_the_tree_and_tells_how(self):
        worker_id = self.detach("sh", "-c", "sleep 60 & wait")
        record = self.cli_json("stop", worker_id)
        self.assertEqual(list(record), EXIT_KEYS)
        self.assertEqual((record["signal"], record["reason"]),
                         (signal.SIGTERM, "stopped"))
        result = self.cli("stop", self.detach("sleep", "60"))
        self.assertEqual((result.returncode, result.stdout),
                         (0, "SIGTERM (stopped)\n"))

    def test_stop_kills_after_its_own_grace(self):
        path = os.path.join(self.folder, "ready")
        worker_id = self.detach(
            "sh", "-c",
            f"trap '' TERM; : > {path}; while :; do sleep 0.1; done",
            options=("--grace", "1h"))
        wait_for(lambda: os.path.exists(path), "the trap")
        record = self.cli_json("stop", "--grace", "100ms", worker_id)
        self.assertEqual((record["signal"], record["reason"]),
                         (signal.SIGKILL, "stopped"))

    def test_a_worker_that_does_not_exist(self):
        for command in ("wait", "kill", "stop"):
            with self.subTest(command):
                result = self.cli(command, "nobody")
                self.assertEqual(result.returncode, 125)
                self.assertIn("unknown_worker", result.stderr)
                self.assertEqual(result.stderr.count("\n"), 1)

    def test_status(self):
        status = self.cli_json("status")
        self.assertEqual(list(status), STATUS_KEYS)
        self.assertEqual(status["pid"], self.daemon.pid)
        self.assertEqual(status["socket"], self.sandbox.socket)
        self.assertEqual((status["threads"], status["clients"]), (1, 1))
        self.assertIn(str(self.daemon.pid), self.cli("status").stdout)

    def test_output_that_cannot_be_written_is_an_error(self):
        with open("/dev/full", "w") as full:
            result = self.cli("status", stdout=full)
        self.assertEqual(result.returncode, 125)
        self.assertIn("No space left", result.stderr)


class EventsTest(DaemonTestCase):

    def start_events(self, *options):
        """`forkserver events` that is known to be subscribed."""
        events = self.start_cli("events", *options)
        self.addCleanup(events.communicate)
        self.addCleanup(events.kill)
        wait_for(lambda: self.status()["clients"] == 2, "it is connected")
        return events

    def test_events_are_json_lines_as_they_happen(self):
        events = self.start_events("--json")
        # Connected is not yet subscribed: a worker is seen at last.
        lines = []

        def see_worker():
            self.cli("run", "--name", "seen", "--", "sh", "-c", "exit 6")
            os.set_blocking(events.stdout.fileno(), False)
            lines.extend(events.stdout.readlines())
            return any("worker_ended" in line for line in lines)

        wait_for(see_worker, "events")
        values = [json.loads(line) for line in lines]
        for value in values:
            self.assertEqual(list(value), EVENT_KEYS)
        ended = [v for v in values if v["event"] == "worker_ended"][0]
        self.assertEqual(list(ended["worker"]), WORKER_KEYS)
        self.assertEqual((ended["worker"]["name"], ended["zygote"],
                          ended["worker"]["state"]), ("seen", None, "ended"))
        self.assertEqual(list(ended["worker"]["exit"]), EXIT_KEYS)
        self.assertEqual(ended["worker"]["exit"]["code"], 6)
        self.assertIn("worker_launched", [v["event"] for v in values])
        events.send_signal(signal.SIGINT)
        self.assertEqual(events.wait(20), 0)

    def test_an_interrupt_ends_it_with_0(self):
        events = self.start_events()
        events.send_signal(signal.SIGINT)
        self.assertEqual(events.wait(20), 0)

    def test_it_fails_when_the_daemon_ends(self):
        events = self.start_events()
        self.assertEqual(self.cli("daemon", "stop").returncode, 0)
        self.assertEqual(self.daemon.wait(20), 0)
        self.assertEqual(events.wait(20), 125)
        self.assertIn("forkserver: ", events.stderr.read())


class NoDaemonTest(SandboxTestCase):

    def test_commands_that_look_or_stop_do_not_start_a_daemon(self):
        for command in (("ps",), ("status",), ("events",), ("wait", "x"),
                        ("kill", "x"), ("stop", "x"), ("zygote", "ls"),
                        ("zygote", "stop", "x")):
            with self.subTest(command):
                result = self.cli(*command)
                self.assertEqual((result.returncode, result.stdout),
                                 (125, ""))
                self.assertIn("no daemon serves " + self.sandbox.socket,
                              result.stderr)
                self.assertIn("forkserver daemon start", result.stderr)
        self.assertEqual(os.listdir(self.folder), [])


if __name__ == "__main__":
    unittest.main()
