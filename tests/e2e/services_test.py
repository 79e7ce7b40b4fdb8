"""Services: kept as asked, from outside."""

import json
import os
import signal
import threading
import time
import unittest

from daemon_fixture import (FORKSERVER, DaemonTestCase, alive, read_file,
                            wait_for)


class ServicesTestCase(DaemonTestCase):

    def service(self, name):
        for service in self.cli_json("services"):
            if service["name"] == name:
                return service
        return {"name": name, "state": "unknown"}

    def start(self, *arguments):
        result = self.cli("start", *arguments)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout

    def wait_for_state(self, name, state):
        wait_for(lambda: self.service(name)["state"] == state,
                 lambda: f"{name} is {state}: {self.service(name)}")
        return self.service(name)

    def path(self, name):
        return os.path.join(self.folder, name)

    def lines(self, name):
        return read_file(self.path(name)).decode().splitlines()


class RestartTest(ServicesTestCase):

    def test_a_failure_starts_it_again_and_success_does_not(self):
        count = self.path("count")
        self.start("job", "--backoff", "1ms", "--start-limit", "0", "--", "sh",
                   "-c", f'echo >>{count}; test $(wc -l <{count}) -ge 4')
        service = self.wait_for_state("job", "finished")
        self.assertEqual(len(self.lines("count")), 4)
        self.assertEqual((service["runs"], service["restarts"]), (4, 3))
        self.assertEqual(service["exit"]["code"], 0)

    def test_no_restart_leaves_it_failed_with_its_exit(self):
        self.start("job", "--restart", "no", "--", "sh", "-c", "exit 9")
        service = self.wait_for_state("job", "failed")
        self.assertEqual(service["why"], "exit code 9")
        self.assertEqual(service["runs"], 1)

    def test_exit_codes_of_success(self):
        self.start("job", "--success-exit-codes", "7,9", "--", "sh", "-c",
                   "exit 9")
        self.assertEqual(self.wait_for_state("job", "finished")["why"], "")

    def test_always_restarts_what_ends_well(self):
        self.start("job", "--restart", "always", "--backoff", "1ms",
                   "--start-limit", "3", "--", "true")
        service = self.wait_for_state("job", "failed")
        self.assertIn("crash loop: 3 runs in a row", service["why"])
        self.assertEqual(service["runs"], 3)

    def test_a_run_that_is_killed_is_followed_by_another(self):
        self.start("job", "--backoff", "1ms", "--", "sleep", "1000")
        first = self.service("job")["pid"]
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: self.service("job")["pid"] not in (0, first),
                 "another run")
        self.assertEqual(self.service("job")["exit"]["signal"], 9)
        self.assertEqual(self.service("job")["state"], "running")

    def test_a_program_that_is_not_there_is_told_at_once(self):
        result = self.cli("start", "job", "--restart", "always", "--",
                          "no-such-program")
        self.assertEqual(result.returncode, 125)
        self.assertIn("no-such-program", result.stderr)
        self.assertIn("service_failed", result.stderr)
        self.assertEqual(self.service("job")["runs"], 1)

    def test_a_program_that_goes_away_later_is_tried_again(self):
        program = self.path("program")
        os.symlink("/bin/sleep", program)
        self.start("job", "--backoff", "1ms", "--start-limit", "0", "--",
                   program, "1000")
        os.unlink(program)
        os.kill(self.service("job")["pid"], signal.SIGKILL)
        wait_for(lambda: self.service("job")["runs"] > 3, "more tries")
        os.symlink("/bin/sleep", program)
        self.wait_for_state("job", "running")

    def test_a_timeout_fails_the_run(self):
        self.start("job", "--restart", "no", "--timeout", "100ms", "--",
                   "sleep", "1000")
        service = self.wait_for_state("job", "failed")
        self.assertIn("timeout", service["why"])

    def test_the_time_between_runs_grows(self):
        self.start("job", "--backoff", "100ms", "--backoff-factor", "10",
                   "--backoff-max", "1h", "--backoff-jitter", "0", "--",
                   "false")
        service = wait_for(
            lambda: (lambda s: s if s["runs"] == 3 and s["state"] == "backoff"
                     else None)(self.service("job")), "the third backoff")
        left_s = (service["next_ns"] - time.monotonic_ns()) / 1e9
        self.assertLess(5, left_s)
        self.assertLess(left_s, 10.1)
        # A start does not wait for it.
        self.start("job")
        wait_for(lambda: self.service("job")["runs"] > 3, "a run at once")


class ReadyTest(ServicesTestCase):

    def test_a_line_on_a_descriptor(self):
        ready = self.path("ready")
        os.mkfifo(ready)
        start = self.start_cli("start", "job", "--ready", "fd:5", "--", "sh",
                               "-c", f"read x <{ready}; echo >&5; sleep 1000")
        self.wait_for_state("job", "starting")
        with open(ready, "w", encoding="ascii") as fifo:
            fifo.write("\n")
        self.assertEqual(start.wait(timeout=30), 0)
        self.assertEqual(self.service("job")["state"], "running")

    def test_a_command_that_exits_with_0(self):
        flag = self.path("flag")
        start = self.start_cli(
            "start", "job", "--ready",
            f'exec:test "$FORKSERVER_SERVICE" = job && test -e {flag}', "--",
            "sleep", "1000")
        self.wait_for_state("job", "starting")
        with open(flag, "w", encoding="ascii"):
            pass
        self.assertEqual(start.wait(timeout=30), 0)
        self.assertEqual(self.service("job")["state"], "running")

    def notify(self, text):
        return ("import os,socket;s=socket.socket(socket.AF_UNIX,"
                "socket.SOCK_DGRAM);s.connect(os.environ['NOTIFY_SOCKET']);"
                f"s.send({text!r})")

    def test_a_datagram(self):
        program = (self.notify(b"READY=1\nSTATUS=serving")
                   + ";import time;time.sleep(1000)")
        self.start("job", "--ready", "notify", "--", "/usr/bin/python3", "-c",
                   program)
        service = self.service("job")
        self.assertEqual(service["state"], "running")
        self.assertEqual(service["status"], "serving")

    def test_what_a_run_says_is_shown_after_one_that_failed(self):
        program = (self.notify(b"READY=1\nSTATUS=serving")
                   + ";import time;time.sleep(1000)")
        self.start("job", "--ready", "notify", "--backoff", "0", "--",
                   "/usr/bin/python3", "-c", program)
        os.kill(self.service("job")["pid"], signal.SIGKILL)
        wait_for(lambda: self.service("job")["runs"] == 2 and
                 self.service("job")["state"] == "running", "another run")
        service = self.service("job")
        self.assertEqual((service["status"], service.get("why", "")),
                         ("serving", ""))
        self.assertIn("serving", self.cli("services").stdout)

    def test_not_ready_in_time_is_a_failure_that_says_so(self):
        result = self.cli("start", "job", "--ready", "notify", "--restart",
                          "no", "--ready-timeout", "100ms", "--", "sleep",
                          "1000")
        self.assertEqual(result.returncode, 125)
        self.assertIn("not ready within 100 ms", result.stderr)
        self.assertEqual(self.service("job")["pid"], 0)

    def test_a_watchdog_that_is_not_fed_fails_the_run(self):
        program = (self.notify(b"READY=1") + ";import time\n"
                   "for i in range(8): s.send(b'WATCHDOG=1'); time.sleep(.1)\n"
                   "time.sleep(1000)")
        self.start("job", "--ready", "notify", "--watchdog", "600ms",
                   "--restart", "no", "--", "/usr/bin/python3", "-c", program)
        begun = self.service("job")["since_ns"]
        service = self.wait_for_state("job", "failed")
        self.assertIn("no WATCHDOG=1 for 600 ms", service["why"])
        self.assertGreater(service["since_ns"] - begun, 1_200_000_000)

    def test_a_service_that_ends_before_it_is_ready_has_failed(self):
        result = self.cli("start", "job", "--ready", "fd", "--restart", "no",
                          "--", "sh", "-c", "exit 4")
        self.assertEqual(result.returncode, 125)
        self.assertIn("exit code 4", result.stderr)


class DependencyTest(ServicesTestCase):

    def test_it_starts_when_those_before_it_are_ready(self):
        flag = self.path("flag")
        self.cli("start", "db", "--no-wait", "--ready", f"exec:test -e {flag}",
                 "--", "sleep", "1000")
        start = self.start_cli("start", "web", "--after", "db", "--", "sleep",
                               "1000")
        self.wait_for_state("web", "waiting")
        with open(flag, "w", encoding="ascii"):
            pass
        self.assertEqual(start.wait(timeout=30), 0)
        self.assertEqual(self.service("web")["state"], "running")

    def test_it_starts_those_before_it(self):
        self.start("db", "--", "sleep", "1000")
        self.start("web", "--after", "db", "--", "sleep", "1000")
        self.cli("stop", "web")
        self.cli("stop", "db")
        self.start("web")
        self.assertEqual(self.service("db")["state"], "running")

    def test_one_that_has_finished_is_enough(self):
        self.start("setup", "--", "true")
        self.wait_for_state("setup", "finished")
        self.start("web", "--after", "setup", "--", "sleep", "1000")
        self.assertEqual(self.service("setup")["runs"], 1)

    def test_it_fails_with_those_before_it(self):
        self.cli("start", "db", "--no-wait", "--restart", "no", "--ready",
                 "fd", "--", "sh", "-c", "sleep 0.3; exit 3")
        result = self.cli("start", "web", "--after", "db", "--", "true")
        self.assertEqual(result.returncode, 125)
        self.assertIn("'db', which it is after, is failed", result.stderr)

    def test_what_is_not_there_and_what_goes_round_is_refused(self):
        result = self.cli("start", "web", "--after", "nobody", "--", "true")
        self.assertIn("unknown_service", result.stderr)
        self.start("a", "--", "sleep", "1000")
        self.start("b", "--after", "a", "--", "sleep", "1000")
        result = self.cli("start", "a", "--replace", "--after", "b", "--",
                          "sleep", "1000")
        self.assertEqual(result.returncode, 125)
        self.assertIn("after itself", result.stderr)
        self.assertEqual(self.service("a")["state"], "running")

    def test_a_long_chain(self):
        self.start("s0", "--", "sleep", "1000")
        names = [f"s{i}" for i in range(1, 40)]
        for before, name in zip(["s0"] + names, names):
            self.start(name, "--no-wait", "--after", before, "--", "sleep",
                       "1000")
        self.wait_for_state("s39", "running")
        for name in ["s0"] + names:
            self.cli("stop", name)
        self.start("s39")
        states = {service["state"] for service in json.loads(
            self.cli("services", "--json").stdout)}
        self.assertEqual(states, {"running"})


class StopTest(ServicesTestCase):

    def test_everything_that_it_started_is_gone(self):
        pids = self.path("pids")
        self.start(
            "job", "--grace", "1s", "--ready", "fd", "--", "sh", "-c",
            # A child in the group, one in a session of its own, and one that
            # has lost its parents as well.
            f"echo $$ >{pids}; sleep 1000 & echo $! >>{pids};"
            f"setsid sh -c 'echo $$ >>{pids}; sleep 1000' &"
            f"(setsid sh -c 'echo $$ >>{pids}; trap \"\" TERM HUP; echo >&3;"
            f" sleep 1000' &); wait")
        found = [int(line) for line in wait_for(
            lambda: (lambda lines: lines if len(lines) == 4 else None)(
                self.lines("pids")), "four processes")]
        self.assertTrue(all(alive(pid) for pid in found))
        result = self.cli("stop", "job")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual([pid for pid in found if alive(pid)], [])
        self.assertEqual(self.service("job")["state"], "stopped")

    def test_the_end_of_its_first_process_ends_all(self):
        pids = self.path("pids")
        self.start("job", "--", "sh", "-c",
                   f"(setsid sh -c 'echo $$ >{pids}.new; mv {pids}.new {pids};"
                   f" sleep 1000' &); while ! test -e {pids};"
                   f" do sleep 0.01; done")
        self.wait_for_state("job", "finished")
        self.assertFalse(alive(int(self.lines("pids")[0])))

    def test_one_that_forks_faster_than_it_is_killed(self):
        program = (
            "import os, signal\n"
            "os.setsid() if os.fork() == 0 else signal.pause()\n"
            "for i in range(10**9):\n"
            "  if os.fork() == 0:\n"
            f"    if i == 50: open({self.path('forked')!r}, 'w')\n"
            "    if i % 3 == 0: os.setsid()\n"
            "  else: os._exit(0)\n")
        result = self.cli("start", "job", "--grace", "100ms", "--no-wait",
                          "--limit", "nproc=3000", "--", "/usr/bin/python3",
                          "-c", program)
        self.assertEqual(result.returncode, 0, result.stderr)
        wait_for(lambda: os.path.exists(self.path("forked")), "it forks")
        result = self.cli("stop", "job")
        self.assertEqual(result.returncode, 0, result.stderr)
        # The fixture fails if anything is left.

    def test_a_second_stop_means_now(self):
        self.start("job", "--grace", "100s", "--ready", "fd", "--", "sh", "-c",
                   "trap '' TERM; echo >&3; while :; do sleep 1; done")
        first = self.start_cli("stop", "job")
        self.wait_for_state("job", "stopping")
        self.assertEqual(self.cli("stop", "job").returncode, 0)
        self.assertEqual(first.wait(timeout=30), 0)

    def test_a_stop_during_a_start(self):
        start = self.start_cli("start", "job", "--ready", "fd", "--", "sleep",
                               "1000")
        self.wait_for_state("job", "starting")
        self.assertEqual(self.cli("stop", "job").returncode, 0)
        self.assertEqual(start.wait(timeout=30), 125)
        self.assertIn("service_stopped", start.stderr.read())

    def test_a_start_during_a_stop(self):
        self.start("job", "--grace", "500ms", "--ready", "fd", "--", "sh",
                   "-c", "trap '' TERM; echo >&3; while :; do sleep 1; done")
        first = self.service("job")["pid"]
        stop = self.start_cli("stop", "job")
        self.wait_for_state("job", "stopping")
        self.start("job")
        self.assertEqual(stop.wait(timeout=30), 0)
        service = self.service("job")
        self.assertEqual(service["state"], "running")
        self.assertNotEqual(service["pid"], first)
        self.cli("stop", "job", "--grace", "0")

    def test_a_stop_and_a_restart_between_two_runs(self):
        self.start("job", "--backoff", "1h", "--", "false")
        self.wait_for_state("job", "backoff")
        self.start("job", "--no-wait")
        wait_for(lambda: self.service("job")["runs"] == 2, "a second run")
        self.wait_for_state("job", "backoff")
        self.assertEqual(
            self.cli("restart", "job", "--no-wait").returncode, 0)
        wait_for(lambda: self.service("job")["runs"] == 3, "a third run")
        self.wait_for_state("job", "backoff")
        self.assertEqual(self.cli("stop", "job").returncode, 0)
        self.assertEqual(self.service("job")["state"], "stopped")

    def test_the_signal_that_stops_it(self):
        self.start("job", "--stop-signal", "USR1", "--ready", "fd", "--",
                   "sh", "-c", f"trap 'echo usr1 >{self.path('told')}; exit' "
                   "USR1; echo >&3; while :; do sleep 0.01; done")
        self.assertEqual(self.cli("stop", "job").returncode, 0)
        self.assertEqual(self.lines("told"), ["usr1"])

    def test_restart_and_remove(self):
        self.start("job", "--", "sleep", "1000")
        first = self.service("job")["pid"]
        self.assertEqual(self.cli("restart", "job").returncode, 0)
        service = self.service("job")
        self.assertNotEqual(service["pid"], first)
        self.assertEqual(service["restarts"], 0)
        self.assertEqual(self.cli("remove", "job").returncode, 0)
        result = self.cli("status", "job")
        self.assertEqual(result.returncode, 125)
        self.assertIn("unknown_service", result.stderr)

    def test_commands_do_not_block_each_other(self):
        self.start("stubborn", "--grace", "5s", "--ready", "fd", "--", "sh",
                   "-c", "trap '' TERM; echo >&3; while :; do sleep 1; done")
        stop = self.start_cli("stop", "stubborn")
        self.wait_for_state("stubborn", "stopping")
        self.start("other", "--", "true")
        self.assertEqual(self.service("stubborn")["state"], "stopping")
        self.cli("stop", "stubborn")
        self.assertEqual(stop.wait(timeout=30), 0)

    def test_a_daemon_that_stops_starts_nothing_again(self):
        self.start("job", "--restart", "always", "--backoff", "0", "--",
                   "sleep", "1000")
        pid = self.service("job")["pid"]
        self.assertEqual(self.cli("daemon", "stop").returncode, 0)
        self.assertFalse(alive(pid))
        self.assertEqual(self.daemon.wait(20), 0)

    def test_a_daemon_that_stops_gives_each_its_own_grace(self):
        ended = self.path("ended")
        self.start("job", "--grace", "20s", "--ready", "fd", "--", "sh", "-c",
                   f"trap 'sleep 0.5; echo job >>{ended}; exit' TERM;"
                   " echo >&3; while :; do sleep 0.05; done")
        # Of that stop only.
        self.assertEqual(self.cli("stop", "job", "--grace", "0").returncode, 0)
        self.start("job")
        self.assertEqual(self.cli("daemon", "stop").returncode, 0)
        self.assertEqual(self.daemon.wait(20), 0)
        self.assertEqual(self.lines("ended"), ["job"])

    def test_a_daemon_that_stops_ends_them_in_order(self):
        ended = self.path("ended")
        program = (f"trap 'sleep 0.2; echo $0 >>{ended}; exit' TERM;"
                   " echo >&3; while :; do sleep 0.05; done")
        for name, after in (("db", []), ("cache", []),
                            ("web", ["--after", "db", "--after", "cache"]),
                            ("proxy", ["--after", "web"])):
            self.start(name, *after, "--ready", "fd", "--", "sh", "-c",
                       program, name)
        self.assertEqual(self.cli("daemon", "stop").returncode, 0)
        self.assertEqual(self.daemon.wait(20), 0)
        lines = self.lines("ended")
        self.assertEqual(lines[:2], ["proxy", "web"])
        self.assertEqual(sorted(lines[2:]), ["cache", "db"])

    def test_a_daemon_that_is_told_twice_waits_for_none(self):
        self.start("db", "--grace", "1000s", "--ready", "fd", "--", "sh", "-c",
                   "trap '' TERM; echo >&3; while :; do sleep 1; done")
        self.start("web", "--after", "db", "--grace", "1000s", "--ready", "fd",
                   "--", "sh", "-c",
                   "trap '' TERM; echo >&3; while :; do sleep 1; done")
        self.daemon.terminate()
        self.wait_for_state("web", "stopping")
        self.assertEqual(self.service("db")["state"], "running")
        self.daemon.terminate()
        self.assertEqual(self.daemon.wait(20), 0)


class DefinitionTest(ServicesTestCase):

    def test_the_same_is_joined_and_another_is_refused(self):
        self.start("job", "--", "sleep", "1000")
        pid = self.service("job")["pid"]
        self.start("job", "--", "sleep", "1000")
        self.assertEqual(self.service("job")["pid"], pid)
        result = self.cli("start", "job", "--env", "PORT=1", "--restart",
                          "always", "--", "sleep", "1001")
        self.assertEqual(result.returncode, 125)
        for part in ("service_conflict", "its command",
                     "its environment (PORT)", "how it is kept"):
            self.assertIn(part, result.stderr)
        self.start("job", "--replace", "--", "sleep", "1001")
        self.assertEqual(self.service("job")["argv"], ["sleep", "1001"])
        self.assertFalse(alive(pid))

    def test_what_does_not_run_takes_the_new_definition(self):
        self.start("job", "--restart", "no", "--", "sh", "-c", "exit 1")
        self.wait_for_state("job", "failed")
        self.start("job", "--", "true")
        self.wait_for_state("job", "finished")

    def test_its_environment_is_the_caller_s(self):
        out = self.path("out")
        self.start("job", "--clean-env", "--env", "A=1", "--", "/bin/sh", "-c",
                   f"/usr/bin/env >{out}")
        self.wait_for_state("job", "finished")
        variables = dict(line.split("=", 1) for line in self.lines("out"))
        variables.pop("PWD", None)
        variables.pop("_", None)
        variables.pop("SHLVL", None)
        variables.pop("OLDPWD", None)
        self.assertRegex(variables.pop("FORKSERVER_WORKER"), r"^\w+-\d+$")
        self.assertEqual(variables, {"A": "1", "FORKSERVER_SERVICE": "job"})

    def test_what_a_worker_has_is_not_for_the_services_it_starts(self):
        out = self.path("out")
        start = [FORKSERVER, "start", "job", "--", "/bin/sh", "-c",
                 f"/usr/bin/env >{out}; exec sleep 1000"]
        for _ in range(2):  # the second time it is the same service
            result = self.cli("run", "--env", "NOTIFY_SOCKET=/x", "--",
                              *start)
            self.assertEqual(result.returncode, 0, result.stderr)
        wait_for(lambda: self.lines("out"), "its environment")
        variables = dict(line.split("=", 1) for line in self.lines("out"))
        self.assertNotIn("NOTIFY_SOCKET", variables)
        self.assertEqual(variables["FORKSERVER_WORKER"],
                         self.service("job")["worker"])

    def test_bad_names_and_options(self):
        for name in ("", ".x", "a/b", "x" * 65, "a b"):
            result = self.cli("start", name, "--", "true")
            self.assertEqual(result.returncode, 125, name)
            self.assertIn("cannot be the name of a service", result.stderr)
        for option in (["--ready", "maybe"], ["--ready", "fd:2"],
                       ["--restart", "sometimes"], ["--log-size", "-1"],
                       ["--success-exit-codes", "300"],
                       ["--backoff-factor", "0"], ["--stop-signal", "NOPE"]):
            result = self.cli("start", "job", *option, "--", "true")
            self.assertEqual(result.returncode, 2, option)
            self.assertIn(option[0], result.stderr)
        result = self.cli("start", "job")
        self.assertIn("unknown_service", result.stderr)

    def test_events_are_a_snapshot_and_every_change_after_it(self):
        self.start("job", "--", "sleep", "1000")
        events = self.start_cli("events", "--json")
        seen = []
        reader = threading.Thread(
            target=lambda: seen.extend(json.loads(line)
                                       for line in events.stdout))
        reader.start()

        def states():
            return [event["service"]["state"] for event in seen
                    if event["service"]]
        wait_for(lambda: self.cli("restart", "job").returncode == 0
                 and "running" in states(), "it is subscribed")
        self.assertEqual(self.cli("restart", "job").returncode, 0)
        self.cli("remove", "job")
        wait_for(lambda: seen and seen[-1]["event"] == "service_removed",
                 "removed")
        events.send_signal(signal.SIGINT)
        reader.join()
        self.assertEqual(states()[-7:],
                         ["restarting", "waiting", "starting", "running",
                          "stopping", "stopped", "stopped"])


class ZygoteServiceTest(ServicesTestCase):

    def test_a_service_forked_from_a_zygote(self):
        from daemon_fixture import ZYGOTE_PROGRAM
        result = self.cli("zygote", "start", "z", "--", ZYGOTE_PROGRAM)
        self.assertEqual(result.returncode, 0, result.stderr)
        entry = json.loads(
            self.cli("zygote", "ls", "--json").stdout)[0]["entries"]
        self.assertIn("sleep_forever", entry)
        self.start("job", "--zygote", "z", "--entry", "sleep_forever")
        service = self.service("job")
        self.assertEqual(service["zygote"], "z")
        os.kill(service["pid"], signal.SIGKILL)
        wait_for(lambda: self.service("job")["pid"] not in (0, service["pid"]),
                 "another run")
        self.assertEqual(self.cli("stop", "job").returncode, 0)


if __name__ == "__main__":
    unittest.main()
