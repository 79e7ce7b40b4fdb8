"""Which forkserverd `forkserver test` uses, and what it leaves of it."""

import os
import signal
import unittest

from harness_fixture import HarnessTestCase


class DaemonChoiceTest(HarnessTestCase):

    def setUp(self):
        super().setUp()
        self.script("parent", "echo $PPID")

    def parent_of_a_test(self, *arguments, **options):
        """The pid of the daemon that a test ran under."""
        outcome = self.run_tests(*arguments, "./parent", code=0, **options)
        return int(outcome.output("./parent"))

    def test_without_a_daemon_it_has_one_of_its_own_for_a_while(self):
        daemon = self.parent_of_a_test()
        self.assert_ends(daemon)
        self.assertFalse(os.path.exists(self.sandbox.socket))

    def test_a_running_daemon_is_used_and_lives_on(self):
        daemon, end = self.start_session_daemon()
        self.assertEqual(self.parent_of_a_test(), daemon.pid)
        self.assertIsNone(daemon.poll())
        self.assertEqual(self.cli_json("ps"), [])
        end()

    def test_a_private_daemon_can_be_asked_for(self):
        daemon, end = self.start_session_daemon()
        self.assertNotEqual(self.parent_of_a_test("--private-daemon"),
                            daemon.pid)
        end()

    def test_a_private_daemon_has_the_niceness_and_the_cpus_of_the_run(self):
        self.python("look", "import os\n"
                    "print(os.nice(0), sorted(os.sched_getaffinity(0)))")
        cpu = max(os.sched_getaffinity(0))
        wanted = min(os.nice(0) + 3, 19)

        def restrict():
            os.setpriority(os.PRIO_PROCESS, 0, wanted)
            os.sched_setaffinity(0, {cpu})

        outcome = self.run_tests("./look", code=0, preexec_fn=restrict)
        self.assertEqual(outcome.output("./look").strip(),
                         f"{wanted} [{cpu}]")

    def test_under_bazel_it_is_always_private(self):
        daemon, end = self.start_session_daemon()
        self.sandbox.environment.update({
            "TEST_TMPDIR": self.temporary, "TEST_TARGET": "//some:test"})
        self.assertNotEqual(self.parent_of_a_test(), daemon.pid)
        end()

    def test_a_temporary_folder_with_a_long_name_is_no_obstacle(self):
        long = os.path.join(self.temporary, "x" * 150)
        os.mkdir(long)
        self.sandbox.environment["TMPDIR"] = long
        self.parent_of_a_test()
        os.rmdir(long)

    def test_a_named_socket_that_nobody_serves_is_an_error(self):
        result = self.run_text("--socket", self.path("none.sock"), "./parent")
        self.assertEqual(result.returncode, 125)
        self.assertIn("none.sock", result.stderr)

    def test_without_forkserverd_nothing_can_be_run(self):
        self.sandbox.environment["FORKSERVER_DISABLE"] = "1"
        result = self.run_text("./parent")
        self.assertEqual(result.returncode, 125)
        self.assertIn("FORKSERVER_DISABLE", result.stderr)

    def test_a_daemon_that_dies_takes_no_verdict_with_it(self):
        self.script(
            "victim", "[ -e $PROJECT/second ] && exit 0\n"
            "touch $PROJECT/second; echo $PPID >$PROJECT/pid; sleep 600")
        others = [self.script(f"t{i}", "sleep 0.05") for i in range(6)]
        process = self.start_tests("-j", "2", "./victim", *others)
        os.kill(self.pid_in("pid"), signal.SIGKILL)
        outcome = self.finish(process)
        self.assertEqual(outcome.code, 0, outcome.stderr)
        self.assertEqual(set(outcome.verdicts.values()), {"pass"})
        self.assertEqual(len(outcome.verdicts), 7)

    def test_a_session_daemon_that_dies_is_replaced_by_a_private_one(self):
        daemon, _ = self.start_session_daemon()
        self.script(
            "victim", "[ -e $PROJECT/second ] && exit 0\n"
            "touch $PROJECT/second; echo $PPID >$PROJECT/pid; sleep 600")
        process = self.start_tests("./victim", "./parent")
        self.assertEqual(self.pid_in("pid"), daemon.pid)
        daemon.kill()
        daemon.wait(20)
        outcome = self.finish(process)
        self.assertEqual(outcome.code, 0, outcome.stderr)


if __name__ == "__main__":
    unittest.main()
