"""`forkserver run`: exit codes, streams, environment, signals, detaching."""

import os
import signal
import subprocess
import unittest

from daemon_fixture import (FORKSERVER, DaemonTestCase, SandboxTestCase,
                            alive, wait_for)


class ExitCodeTest(DaemonTestCase):

    def assert_exit(self, code, *arguments):
        result = self.cli("run", *arguments)
        self.assertEqual(result.returncode, code, result.stderr)
        return result

    def test_the_exit_code_is_the_commands(self):
        self.assert_exit(7, "--", "sh", "-c", "exit 7")
        self.assert_exit(0, "--", "true")

    def test_a_signal_is_128_and_its_number(self):
        result = self.assert_exit(128 + 9, "--", "sh", "-c", "kill -KILL $$")
        self.assertEqual(result.stderr, "")

    def test_a_timeout_is_124(self):
        result = self.assert_exit(124, "--timeout", "100ms", "--",
                                  "sleep", "60")
        self.assertIn("timeout", result.stderr)

    def test_a_timeout_with_a_stubborn_command_ends_after_the_grace(self):
        self.assert_exit(124, "--timeout", "200ms", "--grace", "200ms", "--",
                         "sh", "-c", "trap '' TERM; while :; do sleep 1; done")

    def test_a_missing_command_is_127(self):
        self.assert_exit(127, "--", "/no/such/program")
        result = self.assert_exit(127, "--", "no-such-program")
        self.assertIn("forkserver: ", result.stderr)
        self.assertEqual(result.stderr.count("\n"), 1)

    def test_a_command_that_cannot_be_executed_is_126(self):
        path = os.path.join(self.folder, "text")
        with open(path, "w") as file:
            file.write("not a program")
        self.assert_exit(126, "--", path)
        self.assert_exit(126, "--", self.folder)

    def test_a_setup_that_fails_is_125(self):
        result = self.assert_exit(125, "--cwd", "/no/such/folder", "--",
                                  "true")
        self.assertIn("chdir", result.stderr)
        self.assert_exit(125, "--limit", "bogus=1", "--", "true")


class ProcessTest(DaemonTestCase):

    def output(self, *arguments, **options):
        result = self.cli("run", *arguments, **options)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout

    def test_a_megabyte_passes_through_cat(self):
        data = os.urandom(1 << 20)
        self.assertTrue(
            self.output("--", "cat", input=data, text=False) == data)

    def test_standard_error_passes_through(self):
        result = self.cli("run", "--", "sh", "-c", "echo problem >&2")
        self.assertEqual((result.stdout, result.stderr), ("", "problem\n"))

    def test_a_closed_stream_is_not_taken_for_another_one(self):
        # Without care the connection becomes descriptor 0.
        result = self.cli("run", "--", "cat", stdin=None,
                          preexec_fn=lambda: os.close(0))
        self.assertEqual((result.returncode, result.stdout), (0, ""))

    def test_the_environment_is_the_callers(self):
        self.sandbox.environment["FROM_CALLER"] = "yes"
        out = self.output("--", "sh", "-c", "echo $FROM_CALLER")
        self.assertEqual(out, "yes\n")

    def test_env_sets_variables_and_replaces_them(self):
        self.sandbox.environment["CHANGED"] = "old"
        out = self.output("--env", "CHANGED=a=b", "--env", "NEW=", "--", "env")
        lines = out.splitlines()
        self.assertIn("CHANGED=a=b", lines)
        self.assertNotIn("CHANGED=old", lines)
        self.assertIn("NEW=", lines)

    def test_clean_env_leaves_only_env(self):
        out = self.output("--clean-env", "--env", "ONLY=1", "--",
                          "/usr/bin/env")
        self.assertRegex(out, r"\AONLY=1\nFORKSERVER_WORKER=[0-9a-z]+-\d+\n\Z")

    def test_cwd_is_relative_to_the_caller(self):
        os.mkdir(os.path.join(self.folder, "below"))
        out = self.output("--cwd", "below", "--", "pwd", cwd=self.folder)
        self.assertEqual(os.path.realpath(out.strip()),
                         os.path.realpath(self.folder + "/below"))
        out = self.output("--", "pwd", "-P", cwd="/")
        self.assertEqual(out, "/\n")

    def test_umask(self):
        self.assertEqual(
            self.output("--umask", "027", "--", "sh", "-c", "umask"),
            "0027\n")

    def test_limits(self):
        out = self.output("--limit", "nofile=100:200", "--limit", "core=0",
                          "--", "sh", "-c",
                          "ulimit -Sn; ulimit -Hn; ulimit -c")
        self.assertEqual(out.split(), ["100", "200", "0"])
        out = self.output("--limit", "fsize=1M", "--", "bash", "-c",
                          "ulimit -f")
        self.assertEqual(out.strip(), "1024")

    def test_nice(self):
        # Relative to where the test runs: only root may go below.
        niceness = str(min(os.nice(0) + 7, 19))
        self.assertEqual(self.output("--nice", niceness, "--", "nice"),
                         niceness + "\n")

    def test_cpus_io_priority_oom_score_and_no_new_privs(self):
        cpu = str(min(os.sched_getaffinity(0)))
        script = ("grep Cpus_allowed_list /proc/self/status; ionice; "
                  "cat /proc/self/oom_score_adj; "
                  "grep NoNewPrivs /proc/self/status")
        out = self.output("--cpus", f"{cpu}-{cpu}", "--io-priority", "idle",
                          "--oom-score-adj", "901", "--no-new-privs", "--",
                          "sh", "-c", script)
        self.assertEqual(out.split(), ["Cpus_allowed_list:", cpu, "idle",
                                       "901", "NoNewPrivs:", "1"])
        out = self.output("--io-priority", "best-effort:6", "--", "ionice")
        self.assertEqual(out, "best-effort: prio 6\n")
        result = self.cli("run", "--cpus", "8191", "--", "true")
        self.assertEqual(result.returncode, 125)
        self.assertIn("no such CPU", result.stderr)
        result = self.cli("run", "--oom-score-adj", "-1001", "--", "true")
        self.assertIn("-1000..1000", result.stderr)

    def test_session(self):
        script = "ps -o pid=,sid= -p $$"
        pid, sid = self.output("--session", "--", "sh", "-c", script).split()
        self.assertEqual(pid, sid)
        pid, sid = self.output("--", "sh", "-c", script).split()
        self.assertNotEqual(pid, sid)

    def test_the_double_dash_may_be_left_out(self):
        self.assertEqual(self.output("echo", "-n", "--", "-x"), "-- -x")


class SignalTest(DaemonTestCase):

    def start(self, script, *options):
        """A command that has printed "ready"."""
        running = self.start_cli("run", *options, "--", "sh", "-c", script)
        self.addCleanup(running.communicate)
        self.addCleanup(running.kill)
        self.assertEqual(running.stdout.readline(), "ready\n")
        return running

    def test_signals_reach_the_command(self):
        for name in ("INT", "TERM", "HUP", "QUIT"):
            with self.subTest(name):
                running = self.start(
                    f"trap 'echo got; exit 5' {name}; echo ready;"
                    " while :; do sleep 0.05; done")
                running.send_signal(getattr(signal, "SIG" + name))
                self.assertEqual(running.stdout.readline(), "got\n")
                self.assertEqual(running.wait(20), 5)

    def test_a_signal_that_ends_the_command_is_its_exit_code(self):
        running = self.start("echo ready; exec sleep 60")
        running.send_signal(signal.SIGTERM)
        self.assertEqual(running.wait(20), 128 + signal.SIGTERM)

    def test_the_whole_group_gets_the_signal(self):
        # A shell's background jobs ignore INT.
        running = self.start(
            "trap : TERM; sh -c 'trap \"echo child; exit\" TERM; echo ready;"
            " while :; do sleep 0.05; done' & wait; wait; exit 4")
        running.send_signal(signal.SIGTERM)
        self.assertEqual(running.stdout.readline(), "child\n")
        self.assertEqual(running.wait(20), 4)

    def test_a_second_interrupt_is_forwarded_too(self):
        running = self.start(
            "n=0; trap 'n=$((n+1)); echo $n; [ $n = 2 ] && exit 3' INT;"
            " echo ready; while :; do sleep 0.05; done")
        running.send_signal(signal.SIGINT)
        self.assertEqual(running.stdout.readline(), "1\n")
        running.send_signal(signal.SIGINT)
        self.assertEqual(running.stdout.readline(), "2\n")
        self.assertEqual(running.wait(20), 3)

    def test_a_killed_command_line_takes_its_worker_along(self):
        running = self.start("echo ready; echo $$; exec sleep 60")
        pid = int(running.stdout.readline())
        running.kill()
        wait_for(lambda: not alive(pid), "the worker ends")

    def test_it_fails_with_125_when_the_daemon_is_killed(self):
        running = self.start("echo ready; exec sleep 60")
        self.kill_daemon()
        self.assertEqual(running.wait(20), 125)
        self.assertIn("forkserver: ", running.stderr.read())


class DetachTest(DaemonTestCase):

    def test_a_detached_worker_lives_on_and_can_be_waited_for(self):
        go = os.path.join(self.folder, "go")
        result = self.cli(
            "run", "--detach", "--name", "patient", "--", "sh", "-c",
            f"while [ ! -e {go} ]; do sleep 0.05; done; exit 9")
        self.assertEqual(result.returncode, 0, result.stderr)
        worker_id = result.stdout.strip()
        [worker] = self.cli_json("ps")
        self.assertEqual((worker["id"], worker["name"], worker["detach"]),
                         (worker_id, "patient", True))
        with open(go, "w"):
            pass
        self.assertEqual(self.cli("wait", worker_id).returncode, 9)

    def test_a_stream_that_is_a_file_is_passed_on(self):
        path = os.path.join(self.folder, "out")
        with open(path, "w") as out:
            worker_id = self.cli("run", "--detach", "--", "sh", "-c",
                                 "cat >&2", stderr=out, input="text"
                                 ).stdout.strip()
        self.assertEqual(self.cli("wait", worker_id).returncode, 0)
        with open(path) as out:
            self.assertEqual(out.read(), "text")

    def test_a_launch_that_fails_is_told(self):
        result = self.cli("run", "--detach", "--", "no-such-program")
        self.assertEqual((result.returncode, result.stdout), (127, ""))


class NoDaemonTest(SandboxTestCase):

    def test_command_substitution_with_a_new_daemon_does_not_hang(self):
        script = 'x=$("$0" run -- echo hi 2>&1); echo "<$x>"'
        result = subprocess.run(["sh", "-c", script, FORKSERVER],
                                env=self.sandbox.environment, timeout=30,
                                stdin=subprocess.DEVNULL, check=True,
                                stdout=subprocess.PIPE, text=True)
        self.assertEqual(result.stdout, "<hi>\n")
        self.assertEqual(self.cli("daemon", "stop").returncode, 0)
        self.assert_nothing_left()

    def test_without_forkserverd_it_is_125_and_says_where_it_looked(self):
        self.sandbox.environment["FORKSERVER_BIN"] = "/no/bin"
        self.sandbox.environment["PATH"] = "/no/path"
        result = self.cli("run", "--", "true")
        self.assertEqual(result.returncode, 125)
        self.assertIn("/no/bin", result.stderr)

    def test_disabled_it_runs_the_command_itself(self):
        self.sandbox.environment["FORKSERVER_DISABLE"] = "1"
        for code, arguments in (
            (7, ("--", "sh", "-c", "exit 7")),
            (143, ("--", "sh", "-c", "kill $$")),
            (124, ("--timeout", "100ms", "--", "sleep", "60")),
            (127, ("--", "no-such-program")),
        ):
            with self.subTest(code):
                result = self.cli("run", *arguments)
                self.assertEqual(result.returncode, code, result.stderr)
        self.assertFalse(os.path.exists(self.sandbox.socket))
        running = self.start_cli("run", "--", "sh", "-c",
                                 "echo ready; exec sleep 60")
        self.assertEqual(running.stdout.readline(), "ready\n")
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=20)
        self.assertEqual(running.returncode, 128 + signal.SIGINT)
        self.assert_nothing_left()


if __name__ == "__main__":
    unittest.main()
