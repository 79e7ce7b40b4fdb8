"""`forkserver test` is interrupted, stopped, asked and killed."""

import os
import signal
import time
import unittest
from xml.etree import ElementTree

from harness_fixture import (HarnessTestCase, Outcome, alive, read_file,
                             wait_for)


def state(pid):
    """"S", "T" and so on; None if there is no such process."""
    fields = read_file(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    return fields[0].decode() if fields else None


class InterruptTest(HarnessTestCase):

    WAITS = "echo $$ >$PROJECT/pid; exec sleep 600"

    def check_interrupted(self, number, program, *arguments, again=None):
        """`again`: a file that tells that a second signal may be sent."""
        self.script("waits", program)
        self.script("later", "touch $PROJECT/ran-later")
        process = self.start_tests("-j", "1", *arguments, "./waits", "./later")
        pid = self.pid_in("pid")
        process.send_signal(number)
        if again:
            self.wait_for_file(again)
            process.send_signal(number)
        outcome = self.finish(process)
        self.assertEqual(outcome.code, 130, outcome.stderr)
        self.assertTrue(outcome.summary["interrupted"])
        self.assertEqual(outcome.summary["not_run"], 1)
        self.assertFalse(os.path.exists(self.path("ran-later")))
        self.assert_ends(pid)
        return outcome

    def test_the_first_signal_stops_in_order_and_reports(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with self.subTest(number):
                outcome = self.check_interrupted(number, self.WAITS)
                self.assertIn("interrupted",
                              outcome.attempt("./waits")["reason"])
                os.unlink(self.path("pid"))

    def test_a_test_has_its_grace(self):
        outcome = self.check_interrupted(
            signal.SIGINT,
            "trap 'echo goodbye; exit 1' TERM\necho $$ >$PROJECT/pid\n"
            "while :; do sleep 0.05; done")
        self.assertEqual(outcome.output("./waits"), "goodbye\n")

    def test_the_second_signal_stops_at_once(self):
        # It would wait for the grace period of an hour.
        self.check_interrupted(
            signal.SIGINT,
            "trap 'touch $PROJECT/told' TERM\necho $$ >$PROJECT/pid\n"
            "while :; do sleep 0.05; done", "--grace", "1h", again="told")

    def test_failures_before_it_are_reported(self):
        self.script("bad", "exit 1")
        self.script("waits", self.WAITS)
        process = self.start_tests("-j", "1", "./bad", "./waits")
        self.pid_in("pid")
        process.send_signal(signal.SIGINT)
        outcome = self.finish(process)
        self.assertEqual(outcome.code, 130)
        self.assertEqual(outcome.summary["failed"], 1)


class SetUpTest(HarnessTestCase):
    """Targets are set up before the first test runs."""

    # Is asked for its tests, and answers never.
    LISTS = "echo $$ >$PROJECT/pid; sleep 600"

    def interrupt(self, number, *arguments):
        self.script("lists", self.LISTS)
        process = self.start_cli("test", *arguments, "--framework", "gtest",
                                 "./lists", cwd=self.project)
        pid = self.pid_in("pid")
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130, stdout + stderr)
        self.assert_ends(pid)
        os.unlink(self.path("pid"))
        return stdout, stderr

    def test_a_signal_ends_it_with_a_report(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with self.subTest(number):
                stdout, stderr = self.interrupt(number, "--json", "--junit",
                                                "junit.xml")
                summary = Outcome(130, stdout, stderr).summary
                self.assertTrue(summary["interrupted"])
                self.assertEqual(summary["exit_code"], 130)
                self.assertIn("./lists: interrupted while it was set up",
                              summary["errors"])
                junit = ElementTree.parse(self.path("junit.xml")).getroot()
                self.assertEqual(junit.get("errors"), "1")

    def test_a_listing_is_interrupted_too(self):
        stdout, stderr = self.interrupt(signal.SIGINT, "--list")
        self.assertEqual(stdout, "")
        self.assertIn("./lists: interrupted while it was set up", stderr)

    def test_tests_that_were_ready_have_not_run(self):
        self.script("ready", "case $* in *list_tests*) printf 'S.\\n  t\\n';;\n"
                    "*) touch $PROJECT/ran;; esac")
        stdout, stderr = self.interrupt(signal.SIGINT, "--json", "./ready")
        outcome = Outcome(130, stdout, stderr)
        self.assertEqual(len(outcome.plan["tests"]), 1)
        self.assertEqual(outcome.summary["not_run"], 1)
        self.assertFalse(os.path.exists(self.path("ran")))


class SuspendTest(HarnessTestCase):

    def test_the_clocks_and_the_tests_stand_still(self):
        # No shell: while one waits for its child to execute a program it is in
        # another state, and stopped all the same.
        self.python("t", "import os, time\n"
                    "project = os.environ['PROJECT']\n"
                    "with open(project + '/pid', 'w') as file:\n"
                    "    print(os.getpid(), file=file)\n"
                    "while not os.path.exists(project + '/go'):\n"
                    "    with open(project + '/ticks', 'a') as file:\n"
                    "        print('x', file=file)\n"
                    "    time.sleep(0.05)\n")
        process = self.start_tests("--timeout", "4s", "--slow-after", "3s",
                                   "./t")
        pid = self.pid_in("pid")
        process.send_signal(signal.SIGTSTP)
        wait_for(lambda: state(process.pid) == "T", "the command is stopped")
        wait_for(lambda: state(pid) == "T", "the test is stopped")
        ticks = len(self.lines("ticks"))
        # Longer than the timeout: nothing but time can show this.
        end = time.monotonic() + 5
        wait_for(lambda: time.monotonic() >= end, "the time")
        self.assertEqual(len(self.lines("ticks")), ticks)
        open(self.path("go"), "wb").close()
        process.send_signal(signal.SIGCONT)
        outcome = self.finish(process)
        self.assertEqual(outcome.code, 0, outcome.events)
        self.assertEqual(outcome.of("attempt_slow"), [])

    def test_a_stopped_run_can_be_interrupted(self):
        self.script("t", "echo $$ >$PROJECT/pid; exec sleep 600")
        process = self.start_tests("./t")
        self.pid_in("pid")
        process.send_signal(signal.SIGTSTP)
        wait_for(lambda: state(process.pid) == "T", "the command is stopped")
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGCONT)
        self.assertEqual(self.finish(process).code, 130)


class ShowTest(HarnessTestCase):

    def test_usr1_shows_what_runs_and_its_output_so_far(self):
        self.script("t", "echo so far\ntouch $PROJECT/runs\n"
                    "while [ ! -e $PROJECT/enough ]; do sleep 0.02; done")
        process = self.start_cli("test", "./t", cwd=self.project)
        self.wait_for_file("runs")
        process.send_signal(signal.SIGUSR1)
        shown = []
        while "so far" not in "".join(shown):
            line = process.stdout.readline()
            self.assertTrue(line, "".join(shown))
            shown.append(line)
        self.assertIn("./t", "".join(shown))
        open(self.path("enough"), "wb").close()
        process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0)


class KilledTest(HarnessTestCase):

    def test_nothing_is_left_when_the_command_is_killed(self):
        self.script("t", "echo $$ >$PROJECT/pid; trap '' TERM\n"
                    "while :; do sleep 0.05; done")
        process = self.start_tests("--grace", "100ms", "./t")
        pid = self.pid_in("pid")
        process.kill()
        process.communicate(timeout=60)
        self.assert_ends(pid)
        # The private daemon ends by itself.
        self.assert_nothing_left()
        # The next run removes its folder.
        self.assertEqual(len(os.listdir(self.temporary)), 1)
        self.script("good", "exit 0")
        self.run_tests("./good", code=0)

    def test_it_ends_when_nobody_reads_its_output(self):
        self.script("t", "exit 0")
        process = self.start_cli("test", "./t", cwd=self.project)
        process.stdout.close()
        process.wait(60)
        process.stderr.close()
        self.assertFalse(alive(process.pid))


if __name__ == "__main__":
    unittest.main()
