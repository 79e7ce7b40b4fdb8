"""unittest's tests under the harness: each has the verdict that unittest gives
it, in a worker of its own."""

import os
import signal
import sys
import unittest

from test_zygote_case import TestZygoteCase

NASTY = '''
    import os, sys, unittest

    class Plain(unittest.TestCase):
        def test_passes(self):
            print("printed by test_passes")
        def test_fails(self):
            self.assertEqual([1, 2], [1, 3])
        def test_raises(self):
            int("x")
        def test_exits(self):
            sys.exit(0)
        @unittest.skip("not today")
        def test_skipped(self):
            pass
        def test_skips_itself(self):
            self.skipTest("not now")
        @unittest.expectedFailure
        def test_fails_as_expected(self):
            self.fail()
        @unittest.expectedFailure
        def test_passes_against_expectation(self):
            pass
        def test_parts(self):
            for number in range(3):
                with self.subTest("odd ones", number=number):
                    self.assertEqual(number % 2, 0)
        def test_cleans_up_badly(self):
            self.addCleanup(lambda: 1 / 0)
        def test_fails_twice(self):
            self.addCleanup(self.fail, "in the cleanup")
            self.fail("in the test")

    class Error(Exception):
        def __str__(self):
            raise RuntimeError("no text")

    class Unprintable(unittest.TestCase):
        def test_raises(self):
            raise Error()

    @unittest.skip("all of it")
    class Skipped(unittest.TestCase):
        def test_one(self):
            pass

    class TearDown(unittest.TestCase):
        def tearDown(self):
            raise RuntimeError("in tearDown")
        def test_one(self):
            pass

    class Inherited(Plain):
        def test_fails(self):
            pass

    class Async(unittest.IsolatedAsyncioTestCase):
        async def test_passes(self):
            pass
        async def test_fails(self):
            self.fail()
'''

FIXTURES = '''
    import os, unittest

    def setUpModule():
        print("setUpModule")

    def tearDownModule():
        print("tearDownModule")

    class Logged(unittest.TestCase):
        @classmethod
        def setUpClass(cls):
            print("setUpClass")
        @classmethod
        def tearDownClass(cls):
            print("tearDownClass")
        def test_one(self):
            print("one")
        def test_two(self):
            print("two")

    class Other(unittest.TestCase):
        @classmethod
        def setUpClass(cls):
            print("setUpClass of Other")
        def test_three(self):
            print("three")

    class BrokenSetUp(unittest.TestCase):
        @classmethod
        def setUpClass(cls):
            raise RuntimeError("setUpClass is broken")
        def test_four(self):
            pass

    class BrokenTearDown(unittest.TestCase):
        @classmethod
        def tearDownClass(cls):
            raise RuntimeError("tearDownClass is broken")
        def test_five(self):
            pass
        def test_six(self):
            pass

    class SkippedSetUp(unittest.TestCase):
        @classmethod
        def setUpClass(cls):
            raise unittest.SkipTest("no class today")
        def test_seven(self):
            pass

    class Crashing(unittest.TestCase):
        @classmethod
        def tearDownClass(cls):
            os._exit(0)
        def test_eight(self):
            pass
'''

ENDS = '''
    import ctypes, os, signal, subprocess, sys, threading, time, unittest

    class Ends(unittest.TestCase):
        def test_segfault(self):
            print("the last words")
            ctypes.string_at(0)
        def test_leaves_with_0(self):
            print("the last words")
            os._exit(0)
        def test_interrupts(self):
            raise KeyboardInterrupt("mine")
        def test_hangs(self):
            self.hang()
        def hang(self):
            while True:
                time.sleep(1)
        def test_kills_itself(self):
            os.kill(os.getpid(), signal.SIGKILL)
        def test_thread(self):
            thread = threading.Thread(target=time.sleep, args=(0.01,))
            thread.start()
        def test_forks(self):
            if os.fork() == 0:
                return  # comes back into unittest, and would report
            os.wait()
        def test_fork_fails(self):
            if os.fork() == 0:
                self.fail("in the child")
            os.wait()
        def test_terminated_child(self):
            child = os.fork()
            if child == 0:
                time.sleep(60)
            os.kill(child, signal.SIGTERM)
            self.assertEqual(os.waitpid(child, 0)[1], signal.SIGTERM)
        def test_own_handler(self):
            self.assertIs(signal.getsignal(signal.SIGTERM), signal.SIG_DFL)
            seen = []
            signal.signal(signal.SIGTERM, lambda *_: seen.append(1))
            os.kill(os.getpid(), signal.SIGTERM)
            self.assertEqual(seen, [1])
'''


class VerdictTest(TestZygoteCase):

    def test_each_test_has_the_verdict_that_unittest_gives_it(self):
        self.write("test_nasty.py", NASTY)
        tests = self.load("test_nasty.py", "unittest")
        verdicts = tests.verdicts()
        self.assertEqual(verdicts, self.stock_unittest("test_nasty"))
        self.assertEqual(sorted(set(verdicts.values())),
                         ["failed", "passed", "skipped"])
        self.assertEqual((tests.list.framework, tests.list.errors),
                         ("unittest", []))

    def test_a_failure_says_what_and_where(self):
        path = self.write("test_nasty.py", NASTY)
        tests = self.load("test_nasty.py", "unittest")
        outcome = tests.run("test_nasty.Plain.test_fails")
        failure, = outcome.one.failures
        self.assertEqual(failure.message.splitlines()[0],
                         "AssertionError: Lists differ: [1, 2] != [1, 3]")
        self.assertIn("First differing element 1", failure.message)
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
        self.assertEqual(failure.file, path)
        self.assertIn("[1, 2], [1, 3]", lines[failure.line - 1])
        self.assertEqual(outcome.record.code, 1)
        self.assertTrue(outcome.complete)
        self.assertEqual([each.where for each in tests.run(
            "test_nasty.Plain.test_fails_twice").one.failures], ["", ""])

    def test_a_failed_part_is_named(self):
        self.write("test_nasty.py", NASTY)
        outcome = self.load("test_nasty.py", "unittest").run(
            "test_nasty.Plain.test_parts")
        self.assertEqual([each.where for each in outcome.one.failures],
                         ["[odd ones] (number=1)"])

    def test_reasons_are_told(self):
        self.write("test_nasty.py", NASTY)
        tests = self.load("test_nasty.py", "unittest")

        def reason(name):
            outcome = tests.run("test_nasty." + name)
            self.assertEqual(outcome.record.code, 0)
            return outcome.one.skip_reason

        self.assertEqual(reason("Plain.test_skipped"), "not today")
        self.assertEqual(reason("Plain.test_skips_itself"), "not now")
        self.assertEqual(reason("Skipped.test_one"), "all of it")
        self.assertEqual(reason("Plain.test_fails_as_expected"),
                         "expected failure: AssertionError: None")
        self.assertEqual(reason("Plain.test_passes"), "")
        self.assertIn("unexpected success", tests.run(
            "test_nasty.Plain.test_passes_against_expectation").text)

    def test_output_is_the_workers(self):
        self.write("test_nasty.py", NASTY)
        outcome = self.load("test_nasty.py", "unittest").run(
            "test_nasty.Plain.test_passes")
        self.assertEqual(outcome.output, "printed by test_passes\n")
        self.assertGreater(outcome.one.wall_us, 0)

    def test_a_list_says_where_tests_are(self):
        self.write("pkg/__init__.py", "")
        self.write("pkg/test_base.py", '''
            import unittest
            class Base(unittest.TestCase):

                def test_inherited(self):
                    pass
        ''')
        self.write("pkg/test_more.py", '''
            from pkg.test_base import Base
            class Derived(Base):
                def test_own(self):
                    pass
        ''')
        tests = self.load("pkg", "unittest")
        places = {each.name: (each.suite, each.file, each.line)
                  for each in tests.list.tests}
        self.assertEqual(places["pkg.test_base.Base.test_inherited"],
                         ("pkg.test_base.Base", "pkg/test_base.py", 5))
        self.assertEqual(places["pkg.test_more.Derived.test_own"],
                         ("pkg.test_more.Derived", "pkg/test_more.py", 4))
        self.assertEqual(places["pkg.test_more.Derived.test_inherited"],
                         ("pkg.test_more.Derived", "pkg/test_more.py", 0))


class FixtureTest(TestZygoteCase):

    def setUp(self):
        super().setUp()
        self.write("test_fixtures.py", FIXTURES)
        self.tests = self.load("test_fixtures.py", "unittest")

    def run_of(self, *names):
        return self.tests.run(*("test_fixtures." + name for name in names))

    def test_they_run_around_each_test_in_its_worker(self):
        self.assertEqual(
            self.run_of("Logged.test_one").output.split("\n"),
            ["setUpModule", "setUpClass", "one", "tearDownClass",
             "tearDownModule", ""])

    def test_they_run_once_for_several_tests_of_a_worker(self):
        outcome = self.run_of("Logged.test_one", "Logged.test_two",
                              "Other.test_three")
        self.assertEqual(
            outcome.output.split(),
            "setUpModule setUpClass one two tearDownClass setUpClass of Other "
            "three tearDownModule".split())
        self.assertEqual([each.status for each in outcome.words.values()],
                         ["passed"] * 3)

    def test_one_that_fails_is_told_by_its_tests(self):
        outcome = self.run_of("BrokenSetUp.test_four")
        self.assertEqual((outcome.status, outcome.one.failures[0].where),
                         ("failed", "setUpClass"))
        self.assertIn("setUpClass is broken", outcome.text)

    def test_one_that_fails_at_the_end_is_told_by_the_last_test(self):
        outcome = self.run_of("BrokenTearDown.test_five",
                              "BrokenTearDown.test_six", "Other.test_three")
        self.assertEqual([each.status for each in outcome.words.values()],
                         ["passed", "failed", "passed"])
        self.assertEqual(
            [each.where for each in outcome.words[
                "test_fixtures.BrokenTearDown.test_six"].failures],
            ["tearDownClass"])

    def test_one_that_skips_skips_its_tests(self):
        outcome = self.run_of("SkippedSetUp.test_seven")
        self.assertEqual((outcome.status, outcome.one.skip_reason),
                         ("skipped", "setUpClass: no class today"))

    def test_there_is_no_verdict_before_its_fixtures_have_ended(self):
        outcome = self.run_of("Crashing.test_eight")
        self.assertEqual((outcome.record.code, outcome.begun, outcome.words,
                          outcome.complete),
                         (0, ["test_fixtures.Crashing.test_eight"], {},
                          False))

    def test_those_of_a_module_fail_or_skip_its_tests(self):
        self.write("test_broken.py", '''
            import unittest
            def setUpModule():
                raise RuntimeError("no module")
            class One(unittest.TestCase):
                def test_one(self): pass
        ''')
        self.write("test_skipped.py", '''
            import unittest
            def setUpModule():
                raise unittest.SkipTest("no module today")
            class One(unittest.TestCase):
                def test_one(self): pass
        ''')
        self.write("test_late.py", '''
            import unittest
            def tearDownModule():
                raise RuntimeError("late")
            class One(unittest.TestCase):
                def test_one(self): pass
        ''')
        tests = self.load(".", "unittest")
        for module, status in (("broken", "failed"), ("skipped", "skipped"),
                               ("late", "failed")):
            with self.subTest(module):
                outcome = tests.run(f"test_{module}.One.test_one")
                self.assertEqual(outcome.status, status)
        outcome = tests.run("test_late.One.test_one",
                            "test_skipped.One.test_one")
        self.assertEqual([each.status for each in outcome.words.values()],
                         ["failed", "skipped"])


class EndTest(TestZygoteCase):

    def setUp(self):
        super().setUp()
        self.path = self.write("test_ends.py", ENDS)
        self.tests = self.load("test_ends.py", "unittest")

    def run_of(self, name, **options):
        return self.tests.run("test_ends.Ends." + name, **options)

    def test_a_crash_leaves_what_was_printed_and_a_traceback(self):
        outcome = self.run_of("test_segfault")
        self.assertEqual(outcome.record.signal, signal.SIGSEGV)
        self.assertEqual((outcome.output, outcome.words),
                         ("the last words\n", {}))
        self.assertIn("in test_segfault", outcome.record.crash.traceback)

    def test_an_exit_of_its_own_is_no_verdict(self):
        outcome = self.run_of("test_leaves_with_0")
        self.assertEqual((outcome.record.code, outcome.words,
                          outcome.complete), (0, {}, False))
        self.assertEqual(outcome.output, "the last words\n")

    def test_keyboard_interrupt_fails_the_test_that_raises_it(self):
        outcome = self.run_of("test_interrupts")
        self.assertEqual((outcome.status, outcome.record.code),
                         ("failed", 1))
        self.assertIn("KeyboardInterrupt: mine", outcome.text)
        several = self.tests.run("test_ends.Ends.test_interrupts",
                                 "test_ends.Ends.test_thread")
        self.assertEqual((list(several.words), several.complete),
                         (["test_ends.Ends.test_interrupts"], False))

    def test_one_that_hangs_leaves_where(self):
        outcome = self.run_of("test_hangs", timeout=1)
        self.assertEqual((outcome.record.reason, outcome.words),
                         ("timeout", {}))
        self.assertIn("in hang", outcome.record.crash.traceback)

    def test_sigkill_leaves_nothing(self):
        outcome = self.run_of("test_kills_itself")
        self.assertEqual((outcome.record.signal, outcome.words),
                         (signal.SIGKILL, {}))

    def test_a_thread_is_waited_for(self):
        self.assertEqual(self.run_of("test_thread").status, "passed")

    def test_a_child_of_the_test_tells_nothing(self):
        outcome = self.run_of("test_forks")
        self.assertEqual([each.event for each in outcome.records],
                         ["begun", "ended", "complete"])
        self.assertEqual(self.run_of("test_fork_fails").status, "passed")

    def test_a_child_that_is_terminated_is_no_business_of_the_harness(self):
        outcome = self.run_of("test_terminated_child")
        self.assertEqual((outcome.status, outcome.output), ("passed", ""))
        # Its slot for crashes is used again.
        self.assertEqual(self.run_of("test_kills_itself").record.crash
                         .traceback, "")

    def test_handlers_of_the_test_are_its_own(self):
        self.assertEqual(self.run_of("test_own_handler").status, "passed")


class LoadingTest(TestZygoteCase):

    def write_suite(self):
        self.write("tests/test_good.py", '''
            import helper, unittest
            class Good(unittest.TestCase):
                def test_one(self): pass
        ''')
        self.write("tests/helper.py", "")

    def test_what_cannot_be_imported_is_an_error_of_the_list(self):
        self.write_suite()
        self.write("tests/test_missing.py", "import no_such_module")
        self.write("tests/test_wrong.py", "def (")
        self.write("tests/test_leaves.py", "import sys; sys.exit(0)")
        tests = self.load("tests", "unittest")
        self.assertEqual(tests.verdicts(), {"test_good.Good.test_one":
                                            "passed"})
        errors = "\n".join(tests.list.errors)
        self.assertEqual(len(tests.list.errors), 3)
        for text in ("No module named 'no_such_module'", "SyntaxError",
                     "SystemExit"):
            self.assertIn(text, errors)

    def test_an_import_that_fails_of_a_single_file_is_one_too(self):
        for source, text in (("import no_such_module", "no_such_module"),
                             ("raise SystemExit(0)", "SystemExit"),
                             ("raise KeyboardInterrupt", "KeyboardInterrupt")):
            with self.subTest(source):
                self.write("test_bad.py", source)
                tests = self.load("test_bad.py", "unittest")
                self.assertEqual(tests.names, [])
                self.assertIn(text, "\n".join(tests.list.errors))
                self.assertIn("test_bad.py", "\n".join(tests.list.errors))

    def test_a_target_is_a_file_a_folder_a_name_or_a_node_id(self):
        self.write_suite()
        name = "test_good.Good.test_one"
        for target in ("tests", "tests/test_good.py", "tests/../tests",
                       "tests/test_good.py::Good",
                       "tests/test_good.py::Good::test_one",
                       os.path.join(self.suite, "tests")):
            with self.subTest(target):
                self.assertEqual(self.load(target, "unittest").names, [name])
        self.write("pkg/__init__.py", "")
        self.write("pkg/deep/__init__.py", "")
        self.write("pkg/deep/test_deep.py", '''
            from . import __name__ as package
            import unittest
            class Deep(unittest.TestCase):
                def test_one(self): self.assertEqual(package, "pkg.deep")
        ''')
        name = "pkg.deep.test_deep.Deep.test_one"
        for target in ("pkg", "pkg/deep", "pkg/deep/test_deep.py",
                       "pkg.deep.test_deep", "pkg.deep.test_deep.Deep",
                       name):
            with self.subTest(target):
                self.assertEqual(self.load(target, "unittest").names, [name])
        self.assertEqual(self.load(name, "unittest").run(name).status,
                         "passed")

    def test_what_is_not_there_is_an_error_that_names_it(self):
        for target in ("no/such/folder", "test_none.py", "no.such.module",
                       "test_none.py::One"):
            with self.subTest(target):
                tests = self.load(target, "unittest")
                self.assertEqual(tests.names, [])
                self.assertEqual(len(tests.list.errors), 1)
                self.assertIn(target.partition("::")[0].partition(".")[0],
                              tests.list.errors[0])

    def test_options_of_unittest_count(self):
        self.write_suite()
        self.write("tests/good_test.py", '''
            import unittest
            class Other(unittest.TestCase):
                def test_two(self): pass
                def test_three(self): pass
        ''')
        tests = self.load("tests", "unittest", "-p", "*_test.py", "-k", "two")
        self.assertEqual(tests.names, ["good_test.Other.test_two"])
        tests = self.load("tests", "unittest", "--no-such-option")
        self.assertIn("--no-such-option", tests.list.errors[0])

    def test_buffered_output_is_in_the_failure(self):
        self.write("test_loud.py", '''
            import unittest
            class Loud(unittest.TestCase):
                def test_one(self):
                    print("loud")
                    self.fail("why")
        ''')
        tests = self.load("test_loud.py", "unittest", "--buffer", "--locals")
        text = tests.run("test_loud.Loud.test_one").text
        self.assertIn("loud", text)
        self.assertIn("self = ", text)

    def test_load_tests_and_suites_with_a_run_of_their_own_are_heeded(self):
        self.write("test_own.py", '''
            import doctest, unittest

            class Around(unittest.TestSuite):
                def run(self, result, debug=False):
                    print("before")
                    super().run(result, debug)
                    print("after")
                    return result

            class Silent(unittest.TestSuite):
                def run(self, result, debug=False):
                    return result

            class One(unittest.TestCase):
                def test_one(self): print("one")
                def test_two(self): print("two")

            def function():
                """
                >>> 1 + 1
                2
                """

            def load_tests(loader, tests, pattern):
                again = loader.loadTestsFromTestCase(One)
                return unittest.TestSuite([
                    Around(tests), doctest.DocTestSuite(), again,
                    Silent([One("test_two")]),
                    unittest.FunctionTestCase(function)])
        ''')
        tests = self.load("test_own.py", "unittest")
        self.assertEqual(tests.names, [
            "test_own.One.test_one", "test_own.One.test_two",
            "test_own.function", "test_own.One.test_one (2)",
            "test_own.One.test_two (2)", "test_own.One.test_two (3)",
            "function"])
        self.assertEqual(tests.run("test_own.One.test_two").output.split(),
                         ["before", "two", "after"])
        self.assertEqual(tests.run("test_own.One.test_two (2)").output,
                         "two\n")
        self.assertEqual(tests.run("test_own.function").status, "passed")
        outcome = tests.run("test_own.One.test_one", "test_own.One.test_two")
        self.assertEqual(outcome.output.split(),
                         ["before", "one", "two", "after"])
        # Never a pass that nobody has seen.
        silent = tests.run("test_own.One.test_two (3)")
        self.assertEqual(silent.status, "failed")
        self.assertIn("did not say", silent.text)

    def test_what_modules_leave_in_the_process_tests_find(self):
        self.write("test_env.py", '''
            import os, sys, unittest
            os.environ["LEFT"] = "by the module"
            del os.environ["GONE"]
            class One(unittest.TestCase):
                def test_one(self):
                    self.assertEqual(os.environ["LEFT"], "by the module")
                    self.assertNotIn("GONE", os.environ)
                    # The harness's own for this worker.
                    self.assertEqual(os.environ["SLOT"], "3")
                    self.assertEqual(sys.path[0], os.getcwd())
        ''')
        self.environment["GONE"] = "1"
        outcome = self.load("test_env.py", "unittest").run(
            "test_env.One.test_one", env={"SLOT": "3"})
        self.assertEqual(outcome.status, "passed", outcome.output)

    def test_preloaded_modules_find_those_of_the_tests(self):
        self.write("warm.py", "def up():\n    global ready\n    ready = True")
        self.write("test_warm.py", '''
            import unittest, warm
            class One(unittest.TestCase):
                def test_one(self): self.assertTrue(warm.ready)
        ''')
        tests = self.load("test_warm.py", "unittest", preload=["warm:up"])
        self.assertEqual(tests.verdicts(), {"test_warm.One.test_one":
                                            "passed"})

    def test_a_seed_is_given_to_the_generator(self):
        self.write("test_random.py", '''
            import random, unittest
            class One(unittest.TestCase):
                def test_one(self): print(random.random())
        ''')
        tests = self.load("test_random.py", "unittest")
        first, second, other, free = (
            tests.run("test_random.One.test_one", seed=seed).output
            for seed in (7, 7, 8, 0))
        self.assertEqual(first, second)
        self.assertEqual(len({first, other, free}), 3)

    def test_2000_tests_are_listed_and_run(self):
        self.write("test_many.py", '''
            import unittest
            class Many(unittest.TestCase):
                pass
            for number in range(2000):
                setattr(Many, f"test_{number}", lambda self: None)
        ''')
        tests = self.load("test_many.py", "unittest")
        self.assertEqual(len(tests.names), 2000)
        outcome = tests.run(*tests.names)
        self.assertEqual({each.status for each in outcome.words.values()},
                         {"passed"})
        self.assertEqual((len(outcome.words), outcome.complete),
                         (2000, True))

    def test_a_failure_without_end_leaves_room_for_those_that_follow(self):
        self.write("test_long.py", '''
            import unittest
            class Long(unittest.TestCase):
                pass
            for number in range(40):
                setattr(Long, f"test_{number:02}",
                        lambda self: self.fail("x" * 500_000))
            Long.test_99 = lambda self: None
        ''')
        tests = self.load("test_long.py", "unittest")
        outcome = tests.run(*tests.names)
        statuses = [each.status for each in outcome.words.values()]
        self.assertEqual(statuses, ["failed"] * 40 + ["passed"])
        self.assertTrue(outcome.complete)
        self.assertIn("no room", outcome.words[
            "test_long.Long.test_39"].failures[0].message)

    def test_a_test_that_is_not_there_is_said(self):
        self.write_suite()
        outcome = self.load("tests", "unittest").run("no.such.test")
        self.assertEqual((outcome.record.code, outcome.words), (2, {}))
        self.assertIn("no.such.test", outcome.output)


@unittest.skipUnless(sys.platform.startswith("linux"), "os: linux only")
class DebugTest(TestZygoteCase):

    def test_breakpoint_works_on_the_terminals_streams(self):
        self.write("test_break.py", '''
            import unittest
            class One(unittest.TestCase):
                def test_one(self):
                    value = 42
                    breakpoint()
        ''')
        tests = self.load("test_break.py", "unittest")
        read_end, write_end = os.pipe()
        os.write(write_end, b"p value\nc\n")
        os.close(write_end)
        with open(read_end, "rb") as stdin:
            self.process["stdin"] = stdin
            outcome = tests.run("test_break.One.test_one", debug=True)
        self.assertIn("42", outcome.output)
        self.assertEqual(outcome.status, "passed")


if __name__ == "__main__":
    unittest.main()
