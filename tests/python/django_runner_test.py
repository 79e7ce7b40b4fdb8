"""manage.py test over forkserverd: what users ask for, and what goes wrong."""

import os
import re
import unittest

from django_case import DjangoTestCase

PARALLEL = ("--parallel", "2")


def labels(*names):
    return [f"trouble.checks.{name}" for name in names]


class RunnerTest(DjangoTestCase):

    def test_whole_project_passes(self):
        outcome = self.run_tests(*PARALLEL, "-v", "3")
        self.assert_ok(outcome)
        self.assertEqual((outcome.count("skipped"),
                          outcome.count("expected failures")), (3, 1))
        self.assertRegex(outcome.text, r"test_total \(.*\) \.\.\. ok")
        self.assertNotIn("not preloaded", outcome.text)

    def test_without_preload(self):
        self.assert_ok(self.run_tests(*PARALLEL, "--no-preload"))

    def test_more_workers_than_test_cases(self):
        self.assert_ok(self.run_tests("--parallel", "3", *labels(
            "GoodTest", "OtherGoodTest")), 2)

    def test_one_process_needs_no_daemon(self):
        self.assert_ok(self.run_tests(
            "--parallel", "1", *labels("GoodTest"),
            FORKSERVER_SOCKET="/nonexistent/socket"), 1)

    def test_disabled_is_stock_django(self):
        self.assert_ok(self.run_tests(*PARALLEL, FORKSERVER_DISABLE="1"))

    def test_no_daemon_is_a_clear_error(self):
        outcome = self.run_tests(*PARALLEL,
                                 FORKSERVER_SOCKET="/dev/null/socket")
        self.assertNotIn(outcome.code, (0, None))
        self.assertIn("/dev/null", outcome.text)

    def test_pdb_is_refused(self):
        outcome = self.run_tests(*PARALLEL, "--pdb")
        self.assertEqual(outcome.code, 1, outcome.text)
        self.assertIn("CommandError: --pdb", outcome.text)
        self.assertNotIn("Traceback", outcome.text)

    def test_debug_mode_reaches_workers(self):
        for options in ((), ("--debug-mode",)):
            self.assert_ok(self.run_tests(
                *PARALLEL, *options, *labels("DebugModeTest", "GoodTest")), 2)
        self.assertEqual([each for each in self.notes()
                          if each.startswith("debug")],
                         ["debug False", "debug True"])

    def test_runner_and_initializer_of_the_project(self):
        self.assert_ok(self.run_tests(
            *PARALLEL, *labels("RunnerTest", "GoodTest"),
            runner="project.runners.Runner"), 3)

    def test_modules_of_tests_see_the_run_when_they_are_imported(self):
        label = ("trouble.imports",)
        for options in ((), ("--no-preload",), ("--keep-zygote",),
                        ("--keep-zygote", "--debug-mode")):
            outcome = self.run_tests(*PARALLEL, *options, *label,
                                     TEST_RANDOM="1")
            if "--debug-mode" in options:
                self.assert_failed(outcome, failures=1, tests=4)
            else:
                self.assert_ok(outcome, 4)
                self.assertEqual(outcome.count("skipped"), 1)
            self.assertNotIn("not preloaded", outcome.text)
        outcome = self.run_tests(*PARALLEL, *label,
                                 runner="project.runners.Runner")
        self.assert_ok(outcome, 4)
        self.assertEqual(outcome.count("skipped"), 0)

    def test_tests_that_start_processes(self):
        self.assert_ok(self.run_tests(
            *PARALLEL, *labels("MultiprocessingTest", "GoodTest")), 4)
        self.assertIn("from a process of a test", self.notes())

    def test_tests_that_cannot_be_sent_run_here(self):
        self.assert_ok(self.run_tests(*PARALLEL, *labels(
            "Made", "OtherMade", "GoodTest", "OtherGoodTest")), 4)
        self.assertEqual([each for each in self.notes() if each != "good"],
                         ["made in worker 0", "torn down"] * 2)

    def test_unguarded_main_module(self):
        path = self.project + "/unguarded.py"
        with open(self.project + "/manage.py", encoding="utf-8") as file:
            text = file.read()
        with open(path, "w", encoding="utf-8") as file:
            file.write(text.replace('if __name__ == "__main__":', "if True:"))
        outcome = self.run_tests(
            *PARALLEL, "--no-preload", *labels("GoodTest", "DebugModeTest"),
            manage="unguarded.py")
        self.assert_ok(outcome, 2)
        self.assertIn("main module", outcome.text)


class FailuresTest(DjangoTestCase):

    def test_failure_with_its_traceback(self):
        outcome = self.run_tests(*PARALLEL, *labels(
            "FailureTest", "ErrorInHelperTest", "GoodTest"))
        self.assert_failed(outcome, errors=1, failures=1, tests=4)
        self.assertIn("AssertionError: 1 != 2", outcome.text)
        self.assertRegex(outcome.text, r'checks.py", line \d+, in raise_deeply')

    def test_failure_without_tblib(self):
        with open(self.project + "/tblib.py", "w", encoding="utf-8") as file:
            file.write("raise ImportError('not installed')\n")
        outcome = self.run_tests(*PARALLEL, *labels(
            "FailureTest", "ErrorInHelperTest", "GoodTest"))
        self.assert_failed(outcome, errors=1, failures=1, tests=4)
        self.assertRegex(outcome.text, r'checks.py", line \d+, in raise_deeply')
        self.assertIn("KeyError: 'deep'", outcome.text)
        self.assertIn("in test_failure", outcome.text)

    def test_failure_with_what_was_being_handled(self):
        outcome = self.run_tests(*PARALLEL, *labels("ChainedErrorTest",
                                                    "GoodTest"))
        self.assert_failed(outcome, errors=2, tests=3)
        for text in ("ZeroDivisionError: the first", "'the second'",
                     "ValueError: the third", "OSError: the cause",
                     "RuntimeError: the effect"):
            self.assertIn(text, outcome.text)

    def test_what_cannot_be_pickled_is_reported(self):
        outcome = self.run_tests(*PARALLEL, *labels("UnpicklableTest",
                                                    "GoodTest"))
        self.assert_failed(outcome, errors=1, failures=1, tests=3)
        self.assertIn("Local: cannot travel", outcome.text)
        self.assertRegex(outcome.text, r"\[a message\] \(function=.*number=7")

    def test_buffer_shows_output_of_failures_only(self):
        outcome = self.run_tests(*PARALLEL, "--buffer", *labels(
            "FailureTest", "GoodTest"))
        self.assert_failed(outcome, failures=1, tests=3)
        self.assertIn("Stdout:\nprinted by the failing test", outcome.text)
        self.assertNotIn("printed by the good test", outcome.text)

    def test_error_of_a_class(self):
        outcome = self.run_tests(*PARALLEL, *labels(
            "ClassErrorTest", "ClassSkipTest", "GoodTest"))
        self.assert_failed(outcome, errors=1, tests=1)
        self.assertRegex(outcome.text, r"ERROR: setUpClass \(.*ClassErrorTest")
        self.assertIn("ValueError: no class today", outcome.text)
        self.assertEqual(outcome.count("skipped"), 1)
        self.assertEqual(self.notes(), ["good"])

    def test_errors_before_and_after_a_test_are_its_own(self):
        outcome = self.run_tests(*PARALLEL, "-v", "2", *labels(
            "PreSetupErrorTest", "GoodTest"))
        self.assert_failed(outcome, errors=2, tests=4)
        self.assertEqual(re.findall(r"^ERROR: (\w+)", outcome.text, re.M),
                         ["test_b", "test_c"])
        for name in ("test_a", "test_c", "test_d"):
            self.assertRegex(outcome.text, rf"{name} \(.*\) \.\.\. ok")

    def test_buffer_and_error_of_a_class(self):
        outcome = self.run_tests(*PARALLEL, "--buffer", *labels(
            "ClassErrorTest", "ClassCrashTest", "GoodTest"))
        self.assert_failed(outcome, errors=2, tests=1)
        self.assertIn("Stdout:\nprinted by the class", outcome.text)

    def test_what_workers_cannot_load_runs_here_and_that_is_said(self):
        path = os.path.join(self.project, "trouble", "only_here.py")
        with open(path, "w", encoding="utf-8") as file:
            file.write("""
from django.test import SimpleTestCase, runner
if runner._worker_id:
    raise ImportError("not in a worker")
class FirstTest(SimpleTestCase):
    def test_it(self): pass
class SecondTest(FirstTest): pass
""")
        outcome = self.run_tests(*PARALLEL, "--no-preload",
                                 "trouble.only_here")
        self.assert_ok(outcome, 2)
        self.assertRegex(outcome.text, "2 test classes could not be loaded by "
                         "workers .*: ImportError: not in a worker")

    def test_module_that_cannot_be_loaded(self):
        outcome = self.run_tests(*PARALLEL, "trouble.nothing", *labels(
            "GoodTest", "OtherGoodTest"))
        self.assert_failed(outcome, errors=1, tests=3)

    def test_failfast_stops_the_others(self):
        outcome = self.run_tests(*PARALLEL, "--failfast", *labels(
            "HangingTest", "FailsWhenOtherHangsTest", "GoodTest"))
        self.assert_failed(outcome, failures=1, tests=1)
        self.assertEqual(self.notes(), ["hangs"])


class DyingWorkersTest(DjangoTestCase):

    def test_crash_is_an_error_of_its_test(self):
        outcome = self.run_tests(*PARALLEL, *labels(
            "SegfaultTest", "GoodTest", "OtherGoodTest"))
        self.assert_failed(outcome, errors=1, tests=5)
        self.assertRegex(outcome.text, r"ERROR: test_b_crash")
        self.assertRegex(outcome.text,
                         r"worker [12] \(pid \d+\) was killed by SIGSEGV")
        self.assertIn("Fatal Python error: Segmentation fault", outcome.text)
        # Its number is used again, with what was left to do.
        notes = [each for each in self.notes() if each.startswith("worker")]
        self.assertEqual(len({each.split()[1] for each in notes}), 1, notes)
        self.assertEqual(notes[-1].split()[-1], "after")
        self.assertEqual(self.notes().count("good"), 1)

    def test_a_test_that_interrupts_is_named(self):
        outcome = self.run_tests(*PARALLEL, *labels("InterruptingTest",
                                                    "GoodTest"))
        self.assertEqual(outcome.code, 1, outcome.text)
        self.assertRegex(outcome.text, r"ERROR: test_b_interrupt (?s:.)*"
                         r"in test_b_interrupt\n(?s:.)*KeyboardInterrupt")
        self.assertEqual(sorted(self.notes()), ["after", "good"])

    def test_killed_worker_is_not_asked_twice(self):
        outcome = self.run_tests(*PARALLEL, *labels("KilledTest", "GoodTest"))
        self.assert_failed(outcome, errors=1, tests=3)
        self.assertIn("was killed by SIGKILL", outcome.text)
        killed = [each for each in self.notes() if "killed" in each]
        self.assertEqual(len(killed), 1)

    def test_numbers_stay_below_the_number_of_workers(self):
        outcome = self.run_tests(*PARALLEL, *labels(
            "SegfaultTest", "KilledTest", "ExitTest", "GoodTest"))
        self.assert_failed(outcome, errors=3, tests=7)
        self.assertIn("exited with code 3 while it ran trouble.checks."
                      "ExitTest.test_exit", outcome.text)
        numbers = re.findall(r"^worker (\d+)", "\n".join(self.notes()), re.M)
        self.assertLessEqual(set(numbers), {"1", "2"})

    def test_crash_of_a_class(self):
        outcome = self.run_tests(*PARALLEL, *labels("ClassCrashTest",
                                                    "GoodTest"))
        self.assert_failed(outcome, errors=1, tests=1)
        self.assertRegex(outcome.text, r"ERROR: setUpClass \(.*ClassCrashTest")
        self.assertEqual(self.notes(), ["good"])

    def test_failfast_after_a_crash(self):
        outcome = self.run_tests(*PARALLEL, "--failfast", *labels(
            "KilledTest", "HangingTest"))
        self.assert_failed(outcome, errors=1, tests=1)

    def test_worker_that_closes_its_descriptors(self):
        outcome = self.run_tests(*PARALLEL, *labels("ClosesDescriptorsTest",
                                                    "GoodTest"))
        self.assert_failed(outcome, errors=1, tests=2)
        self.assertRegex(outcome.text, "ERROR: test_closes")

    def test_databases_of_a_killed_worker_are_made_anew(self):
        outcome = self.run_tests(*PARALLEL, *labels("DirtyTest", "GoodTest"))
        self.assert_failed(outcome, errors=1, tests=3)
        self.assertIn("products 1", self.notes())

    def test_daemon_that_dies_ends_the_run(self):
        with open(self.project + "/trouble/checks.py", "a",
                  encoding="utf-8") as file:
            file.write(f"\n\nclass DaemonTest(SimpleTestCase):\n"
                       f"    def test_kill(self):\n"
                       f"        os.kill({self.daemon.pid}, signal.SIGKILL)\n"
                       f"        threading.Event().wait()\n")
        outcome = self.run_tests(*PARALLEL, *labels("DaemonTest",
                                                    "HangingTest"))
        self.daemon.wait()
        self.assertEqual(outcome.code, 1, outcome.text)
        self.assertIn("ERROR: forkserver", outcome.text)

    def test_thread_that_is_left_does_not_hang_the_run(self):
        outcome = self.run_tests(*PARALLEL, *labels("ThreadLeftTest",
                                                    "GoodTest"))
        self.assert_ok(outcome, 2)
        self.assertIn("a thread may be left", outcome.text)


class PreloadTest(DjangoTestCase):
    """What cannot be preloaded safely is not."""

    def check(self, reason, **variables):
        outcome = self.run_tests(*PARALLEL, "-v", "2", **variables)
        self.assert_ok(outcome)
        self.assertIn("not preloaded", outcome.text)
        self.assertIn(reason, outcome.text)

    def test_settings_that_leave_a_socket_open(self):
        self.check("socket AF_UNIX", TEST_OPEN_SOCKET="1")

    def test_settings_that_start_a_thread(self):
        self.check("'reporter'", TEST_THREAD="1")

    def zygotes(self):
        return {each["name"]: each["pid"]
                for each in self.cli_json("zygote", "ls")}

    def test_kept_zygotes_serve_the_next_run(self):
        self.assert_ok(self.run_tests(*PARALLEL, "--keep-zygote"))
        first = self.zygotes()
        self.assertEqual(len(first), 2, first)
        # By a caller that is a worker, and another one each time.
        self.assert_ok(self.run_tests(*PARALLEL, "--keep-zygote",
                                      FORKSERVER_WORKER="5f2c81a0-12"))
        self.assertEqual(self.zygotes(), first)

    def test_kept_zygotes_see_changed_files(self):
        self.assert_ok(self.run_tests(*PARALLEL, "--keep-zygote"))
        path = self.project + "/shop/views.py"
        with open(path, encoding="utf-8") as file:
            text = file.read()
        with open(path, "w", encoding="utf-8") as file:
            file.write(text.replace('"the shop"', '"another text"'))
        outcome = self.run_tests(*PARALLEL, "--keep-zygote")
        self.assert_failed(outcome, failures=2)
        self.assertIn("another text", outcome.text)

    def test_no_zygote_is_left_otherwise(self):
        self.assert_ok(self.run_tests(*PARALLEL))
        self.assertEqual(self.zygotes(), {})

    def test_log_file_is_written_by_every_worker(self):
        self.assert_ok(self.run_tests(*PARALLEL))
        with open(self.folder + "/project.log", encoding="utf-8") as file:
            self.assertEqual(file.read(), "index\n" * 2)


if __name__ == "__main__":
    unittest.main()
