"""`forkserver zygote` and `forkserver fork`."""

import os
import signal
import unittest

from daemon_fixture import ZYGOTE_PROGRAM, DaemonTestCase, wait_for

ZYGOTE_KEYS = [
    "name", "id", "pid", "state", "parent", "identity", "keep", "workers",
    "forks", "argv", "entries", "preloads", "audit_policy", "audit",
    "quarantine", "spares_min", "spares_max", "project",
]


class ZygoteTestCase(DaemonTestCase):

    def start_zygote(self, name="z", *options):
        return self.cli_json("zygote", "start", name, *options, "--",
                             ZYGOTE_PROGRAM)

    def fork(self, *arguments, code=0, **options):
        result = self.cli("fork", "z", *arguments, **options)
        self.assertEqual(result.returncode, code, result.stderr)
        return result.stdout


class ZygoteCommandsTest(ZygoteTestCase):

    def test_a_started_zygote_is_kept_listed_and_stopped(self):
        started = self.start_zygote("z", "--preload", "ok")
        self.assertEqual(list(started), ZYGOTE_KEYS)
        self.assertEqual((started["name"], started["state"], started["keep"]),
                         ("z", "ready", True))
        self.assertIn("echo", started["entries"])
        self.assertEqual([p["name"] for p in started["preloads"]], ["ok"])
        self.assertEqual(list(started["preloads"][0]),
                         ["name", "wall_us", "rss_bytes", "threads",
                          "new_threads", "new_fds", "new_libraries"])
        [listed] = self.cli_json("zygote", "ls")
        self.assertEqual(listed, started)
        self.assertEqual(self.cli("zygote", "stop", "z").returncode, 0)
        wait_for(lambda: self.cli_json("zygote", "ls") == [], "no zygote")

    def test_the_tables_name_the_zygote_and_its_entries(self):
        started = self.cli("zygote", "start", "z", "--", ZYGOTE_PROGRAM)
        listed = self.cli("zygote", "ls")
        for text in (started.stdout, listed.stdout):
            heading, row = text.splitlines()
            self.assertEqual(heading.split()[:3], ["NAME", "PID", "STATE"])
            self.assertEqual(row.split()[0], "z")
            self.assertIn("echo", row)

    def test_the_same_again_joins_and_another_needs_replace(self):
        first = self.start_zygote()
        self.assertEqual(self.start_zygote()["pid"], first["pid"])
        result = self.cli("zygote", "start", "z", "--preload", "ok", "--",
                          ZYGOTE_PROGRAM)
        self.assertEqual(result.returncode, 125)
        self.assertIn("zygote_conflict", result.stderr)
        replaced = self.start_zygote("z", "--replace", "--preload", "ok")
        self.assertNotEqual(replaced["pid"], first["pid"])

    def test_a_zygote_is_forked_from_its_parent(self):
        parent = self.start_zygote()
        child = self.cli_json("zygote", "start", "z/child", "--parent", "z",
                              "--preload", "ok")
        self.assertEqual(child["parent"], "z")
        self.assertNotEqual(child["pid"], parent["pid"])
        result = self.cli("fork", "z/child", "--entry", "exit_code", "--args",
                          "4")
        self.assertEqual(result.returncode, 4, result.stderr)
        self.cli("zygote", "stop", "z/child")

    def test_a_failing_preload_is_named(self):
        result = self.cli("zygote", "start", "z", "--preload", "fails", "--",
                          ZYGOTE_PROGRAM)
        self.assertEqual((result.returncode, result.stdout), (125, ""))
        self.assertIn("the model file is missing", result.stderr)
        self.assertEqual(result.stderr.count("\n"), 1)

    def test_a_zygote_that_does_not_exist(self):
        for arguments in (("zygote", "stop", "z"), ("fork", "z"),
                          ("fork", "z", "--entry", "echo")):
            with self.subTest(arguments):
                result = self.cli(*arguments)
                self.assertEqual(result.returncode, 125)
                self.assertIn("unknown_zygote", result.stderr)


class ForkTest(ZygoteTestCase):

    def setUp(self):
        super().setUp()
        self.start_zygote()

    def test_exit_codes(self):
        self.fork("--entry", "exit_code", "--args", "7", code=7)
        self.fork("--entry", "crash", code=128 + signal.SIGSEGV)
        self.fork("--entry", "sleep_forever", "--timeout", "100ms", code=124)
        self.fork("--entry", "no_such_entry", code=125)
        self.fork("--entry", "echo", "--cwd", "/no/such/folder", code=125)

    def test_a_timeout_before_the_entry_began(self):
        (zygote,) = self.cli_json("zygote", "ls")
        os.kill(zygote["pid"], signal.SIGSTOP)
        result = self.cli("fork", "z", "--entry", "echo", "--timeout", "1ms",
                          "--grace", "0")
        self.assertEqual(result.returncode, 124, result.stderr)
        self.assertIn("its timeout ran out", result.stderr)

    def test_standard_output_passes_through(self):
        out = self.fork("--entry", "write_to_stdout", "--args", "hello")
        self.assertEqual(out, "hello")

    def test_the_result_is_printed_only_when_asked_for(self):
        self.assertEqual(self.fork("--entry", "echo", "--args", "x y"), "")
        self.assertEqual(
            self.fork("--entry", "echo", "--args", "x y", "--result"), "x y")
        big = self.fork("--entry", "set_big_result", "--args", "300000",
                        "--result", code=7)
        self.assertEqual(big, "x" * 300000)

    def test_the_arguments_after_the_double_dash(self):
        out = self.fork("--entry", "print_context", "--result", "--", "-a",
                        "--", "b")
        self.assertEqual(out.split("|")[1:], ["print_context", "-a", "--", "b"])

    def test_cwd_umask_and_environment(self):
        out = self.fork("--entry", "print_cwd", "--cwd", "/", "--umask", "027",
                        "--result")
        self.assertEqual(out, "/ 027")
        out = self.fork("--entry", "print_env", "--env", "NEW=1", "--result")
        self.assertIn("NEW=1", out.splitlines())

    def test_an_entry_must_be_named_when_there_are_several(self):
        result = self.cli("fork", "z")
        self.assertEqual(result.returncode, 125)
        self.assertIn("--entry", result.stderr)
        self.assertIn("print_env", result.stderr)

    def test_an_interrupt_is_forwarded(self):
        running = self.start_cli("fork", "z", "--entry", "sleep_forever")
        wait_for(lambda: [w for w in self.cli_json("ps")
                          if w["state"] == "running"], "the worker runs")
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=20)
        self.assertEqual(running.returncode, 128 + signal.SIGINT)

    def test_detached_it_is_waited_for(self):
        worker_id = self.fork("--entry", "sleep_forever", "--detach").strip()
        [worker] = self.cli_json("ps")
        self.assertEqual((worker["kind"], worker["zygote"]), ("forked", "z"))
        self.cli("kill", "-s", "KILL", worker_id)
        self.assertEqual(self.cli("wait", worker_id).returncode,
                         128 + signal.SIGKILL)

    def test_a_dead_zygote_is_the_reason(self):
        running = self.start_cli("fork", "z", "--entry", "sleep_forever")
        [zygote] = wait_for(lambda: [z for z in self.cli_json("zygote", "ls")
                                     if z["workers"] == 1], "a worker")
        os.kill(zygote["pid"], signal.SIGKILL)
        _, errors = running.communicate(timeout=20)
        self.assertIn("zygote died", errors)
        self.assertGreater(running.returncode, 124)


if __name__ == "__main__":
    unittest.main()
