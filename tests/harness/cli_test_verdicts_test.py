"""What `forkserver test` says of programs that end in every way."""

import os
import unittest

from harness_fixture import HarnessTestCase


class VerdictTest(HarnessTestCase):

    def test_exit_0_passes_and_any_other_code_fails(self):
        good = self.script("good", "exit 0")
        bad = self.script("bad", "echo why; echo >&2 because; exit 3")
        outcome = self.run_tests(good, bad, code=1)
        self.assertEqual(outcome.verdicts, {good: "pass", bad: "fail"})
        self.assertEqual(outcome.attempt(bad)["reason"], "exit code 3")
        self.assertEqual(outcome.output(bad), "why\n")
        self.assertEqual(outcome.output(bad, "stderr"), "because\n")
        self.assertEqual((outcome.summary["passed"], outcome.summary["failed"],
                          outcome.summary["planned"]), (1, 1, 2))

    def test_only_passes_exit_with_0(self):
        self.run_tests(self.script("good", "exit 0"), code=0)

    def test_a_signal_is_a_crash_and_is_named(self):
        for name in ("SEGV", "ABRT", "KILL", "TERM", "RTMIN+3"):
            with self.subTest(name):
                program = self.script("crash", f"kill -{name} $$; sleep 60")
                outcome = self.run_tests(program, code=1)
                self.assertEqual(outcome.verdicts, {program: "crash"})
                reason = outcome.attempt(program)["reason"]
                self.assertRegex(reason, "^(SIG" + name.split("+")[0] +
                                 "|signal 37)")

    def test_where_an_exec_worker_crashed_is_told(self):
        program = self.python(
            "crash", "import ctypes\nctypes.string_at(0)")
        attempt = self.run_tests(program, code=1).attempt(program)
        self.assertEqual(attempt["reason"], "SIGSEGV at address 0x0")
        self.assertTrue(attempt["backtrace"])

    def test_a_test_that_takes_too_long_is_ended(self):
        slow = self.script("slow", "echo begun; exec sleep 600")
        outcome = self.run_tests("--timeout", "200ms", slow, code=1)
        self.assertEqual(outcome.verdicts, {slow: "timeout"})
        self.assertEqual(outcome.attempt(slow)["reason"], "exceeded 200ms")
        self.assertEqual(outcome.output(slow), "begun\n")

    def test_a_test_that_ignores_term_is_killed_after_its_grace(self):
        program = self.python(
            "deaf", "import signal, time\n"
            "signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())\n"
            "time.sleep(600)")
        outcome = self.run_tests("--timeout", "300ms", "--grace", "100ms",
                                 program, code=1)
        self.assertEqual(outcome.verdicts, {program: "timeout"})

    def test_a_test_may_use_its_grace_to_say_goodbye(self):
        program = self.script(
            "polite", "trap 'echo goodbye; exit 0' TERM\n"
            "while :; do sleep 0.05; done")
        outcome = self.run_tests("--timeout", "500ms", program, code=1)
        self.assertEqual(outcome.verdicts, {program: "timeout"})
        self.assertEqual(outcome.output(program), "goodbye\n")

    def test_a_slow_test_is_named_while_it_runs(self):
        program = self.script("slow", "sleep 0.5")
        outcome = self.run_tests("--slow-after", "50ms", program, code=0)
        self.assertEqual(len(outcome.of("attempt_slow")), 1)

    def test_what_cannot_be_run_is_nobodys_failure(self):
        good = self.script("good", "exit 0")
        gone = self.script("gone", "exit 0")
        # The first removes the program of the second.
        remover = self.script("a", "rm $PROJECT/gone")
        outcome = self.run_tests("-j", "1", remover, gone, good, code=125)
        self.assertEqual(outcome.verdicts, {
            remover: "pass", gone: "infrastructure", good: "pass"})
        self.assertIn("gone", outcome.attempt(gone)["reason"])

    def test_a_target_that_is_not_there_is_wrong_usage(self):
        result = self.run_text("./none", self.script("good", "exit 0"))
        self.assertEqual(result.returncode, 2)
        self.assertIn("/none", result.stderr)

    def test_a_person_sees_the_failing_output_once(self):
        bad = self.script("bad", "echo unusual words; exit 1")
        result = self.run_text(bad)
        self.assertEqual(result.returncode, 1)
        self.assertEqual(result.stdout.count("unusual words"), 1)


class NameTest(HarnessTestCase):

    def test_a_name_longer_than_a_worker_may_have_runs(self):
        program = self.script("long_" + "n" * 200, "exit 0")
        self.assertEqual(self.run_tests(program).verdicts[program], "pass")


class LeakTest(HarnessTestCase):

    def leaks(self, program, *arguments, code=1):
        outcome = self.run_tests(*arguments, program, code=code)
        return outcome.verdicts[program], outcome.attempt(program)["leaked"]

    def test_a_child_in_the_group_is_a_leak_and_is_killed(self):
        program = self.script(
            "leak", "sleep 600 >/dev/null 2>&1 & echo $! >$PROJECT/pid\n"
            # Before that it has the name of its parent, or none.
            "until grep -q ^sleep /proc/$!/cmdline; do :; done")
        verdict, leaked = self.leaks(program)
        pid = self.pid_in("pid")
        self.assertEqual(verdict, "leak")
        self.assertEqual(leaked, [f"{pid} sleep 600"])
        self.assert_ends(pid)

    def test_a_child_in_a_session_of_its_own_is_a_leak_and_is_killed(self):
        program = self.script(
            "leak", "setsid sh -c 'echo $$ >$PROJECT/pid; exec sleep 600' "
            ">/dev/null 2>&1 </dev/null &\n"
            "while [ ! -s $PROJECT/pid ]; do sleep 0.01; done\n"
            "until grep -q ^sleep /proc/$(cat $PROJECT/pid)/cmdline; do :; "
            "done")
        verdict, leaked = self.leaks(program)
        pid = self.pid_in("pid")
        self.assertEqual(verdict, "leak")
        self.assertEqual(leaked, [f"{pid} sleep 600"])
        self.assert_ends(pid)

    def test_the_whole_tree_of_a_daemon_is_found(self):
        program = self.script(
            "leak", "setsid sh -c 'sleep 601 & echo $! >$PROJECT/inner; "
            "echo $$ >$PROJECT/outer; wait' >/dev/null 2>&1 </dev/null &\n"
            "while [ ! -s $PROJECT/outer ]; do sleep 0.01; done")
        verdict, leaked = self.leaks(program)
        self.assertEqual(verdict, "leak")
        inner, outer = self.pid_in("inner"), self.pid_in("outer")
        self.assertEqual(len(leaked), 2)
        self.assertIn(f"{inner} sleep 601", leaked)
        self.assert_ends(inner)
        self.assert_ends(outer)

    def test_a_stream_that_is_held_open_is_a_leak(self):
        # By a process that hides: no environment, a session of its own.
        program = self.script(
            "leak", "setsid env -i sh -c 'echo $$ >'$PROJECT'/pid; "
            "exec sleep 600' >/dev/null </dev/null &\n"
            "while [ ! -s $PROJECT/pid ]; do sleep 0.01; done")
        verdict, leaked = self.leaks(program)
        self.kill_at_end(self.pid_in("pid"))
        os.kill(self.pid_in("pid"), 9)
        self.assertEqual(verdict, "leak")
        self.assertEqual(leaked, ["its standard error"])

    def test_a_child_that_is_about_to_end_is_no_leak(self):
        program = self.script("good", "(sleep 0.02) >/dev/null 2>&1 &\n"
                              "setsid sleep 0.02 >/dev/null 2>&1 </dev/null &\n"
                              "wait")
        self.assertEqual(self.leaks(program, code=0), ("pass", []))

    def test_leaks_can_be_warned_of_or_let_be(self):
        program = self.script(
            "leak", "sleep 600 >/dev/null 2>&1 & echo $! >$PROJECT/pid")
        verdict, leaked = self.leaks(program, "--leaks", "warn", code=0)
        self.assertEqual((verdict, len(leaked)), ("pass", 1))
        self.assert_ends(self.pid_in("pid"))
        verdict, leaked = self.leaks(program, "--leaks", "off", code=0)
        self.assertEqual((verdict, leaked), ("pass", []))
        self.assert_ends(self.pid_in("pid"))

    def test_a_test_that_fails_and_leaks_has_failed(self):
        program = self.script("leak", "sleep 600 >/dev/null 2>&1 & exit 3")
        verdict, leaked = self.leaks(program)
        self.assertEqual((verdict, len(leaked)), ("fail", 1))

    def test_each_leak_is_named_with_the_test_that_left_it(self):
        programs = [
            self.script(
                f"leak{i}", f"setsid sleep 60{i} >/dev/null 2>&1 </dev/null &\n"
                "sleep 0.2") for i in range(6)
        ]
        outcome = self.run_tests("-j", "3", *programs, code=1)
        for i, program in enumerate(programs):
            leaked = outcome.attempt(program)["leaked"]
            self.assertEqual([each.split()[1:] for each in leaked],
                             [["sleep", f"60{i}"]])


class HostileTest(HarnessTestCase):
    """The run goes on, and each has the verdict that it deserves."""

    def check(self, verdicts, program, *arguments):
        """`program` runs between two others."""
        good = [self.script("a", "sleep 0.05"), self.script("z", "exit 0")]
        outcome = self.run_tests(*arguments, good[0], program, good[1])
        self.assertEqual(outcome.verdicts[good[0]], "pass")
        self.assertEqual(outcome.verdicts[good[1]], "pass")
        self.assertIn(outcome.verdicts[program], verdicts)
        return outcome

    def test_one_that_kills_its_parent_the_daemon(self):
        program = self.script("hostile", "kill -KILL $PPID; sleep 60")
        outcome = self.check(["crash"], program)
        self.assertIn("each time", outcome.attempt(program)["reason"])
        self.assertEqual(outcome.code, 1)

    def test_one_that_kills_the_daemon_once_is_given_another_chance(self):
        program = self.script(
            "hostile", "[ -e $PROJECT/done ] && exit 0\n"
            "touch $PROJECT/done; kill -KILL $PPID; sleep 60")
        self.check(["pass"], program)

    def test_one_that_kills_its_process_group(self):
        program = self.script("hostile", "kill -KILL 0")
        outcome = self.check(["crash"], program)
        self.assertIn("SIGKILL", outcome.attempt(program)["reason"])

    def test_one_that_kills_everything_that_it_may(self):
        # Its own process, group, and parent's group; not other sessions.
        program = self.script("hostile",
                              "kill -TERM -$PPID 2>/dev/null; kill -TERM 0")
        self.check(["crash"], program)

    def test_one_that_closes_all_descriptors(self):
        program = self.python(
            "hostile", "import os\nos.closerange(0, 65536)\nos._exit(0)")
        self.check(["pass"], program)

    def test_one_that_writes_without_end(self):
        program = self.script("hostile", "head -c 300000000 /dev/zero; "
                              "head -c 100000000 /dev/zero >&2")
        outcome = self.check(["pass"], program)
        stdout = outcome.attempt(program)["stdout"]
        self.assertLess(len(stdout["head"]) + len(stdout["tail"]), 1_000_000)
        self.assertGreater(stdout["dropped_bytes"], 299_000_000)

    def test_one_that_writes_until_it_is_ended(self):
        program = self.script("hostile", "exec yes")
        self.check(["timeout"], program, "--timeout", "500ms")

    def test_one_that_stops_itself(self):
        program = self.script("hostile", "kill -STOP $$; sleep 60")
        self.check(["timeout"], program, "--timeout", "500ms", "--grace",
                   "300ms")

    def test_one_that_deletes_its_temporary_folder_and_leaves_files(self):
        program = self.script(
            "hostile", "rm -rf $TMPDIR; mkdir -p $TMPDIR/a/b; "
            "touch $TMPDIR/a/b/c; chmod 0 $TMPDIR/a/b $TMPDIR/a; "
            "chmod 0 $TMPDIR")
        follower = self.script("follower",
                               'ls -A $TMPDIR; [ -z "$(ls -A $TMPDIR)" ]')
        self.check(["pass"], program, "-j", "1", follower)

    def test_one_that_deletes_its_working_directory(self):
        program = self.script(
            "hostile", "mkdir $PROJECT/x; cd $PROJECT/x; rmdir $PROJECT/x")
        self.check(["pass"], program)

    def test_one_that_makes_a_hundred_daemons(self):
        program = self.script(
            "hostile", "for i in $(seq 100); do "
            "(setsid sleep 600 >/dev/null 2>&1 </dev/null &) ; done; sleep 0.3")
        outcome = self.check(["leak"], program)
        self.assertEqual(len(outcome.attempt(program)["leaked"]), 100)

    def test_one_that_replaces_its_own_program(self):
        # What was listed is not what ran: nobody's failure, and never a pass.
        program = self.script(
            "hostile", "echo '#!/bin/sh' >$PROJECT/new; chmod 755 $PROJECT/new;"
            " mv $PROJECT/new $PROJECT/hostile; exit 0")
        outcome = self.check(["infrastructure"], program)
        self.assertEqual(outcome.code, 125)


if __name__ == "__main__":
    unittest.main()
