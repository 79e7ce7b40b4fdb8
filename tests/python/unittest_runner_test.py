"""python3 -m forkserver.unittest, compared with python3 -m unittest."""

import os
import re
import signal
import unittest

from daemon_fixture import read_file, wait_for
from runner_fixture import FLAG, RunnerTestCase

EVERY_OUTCOME = FLAG + '''
class Outcomes(unittest.TestCase):
    def test_docstring(self):
        """What it is about."""
    def test_error(self):
        raise ValueError("broken")
    @unittest.expectedFailure
    def test_expected_failure(self):
        self.fail()
    def test_failure(self):
        some_local = 42
        print("printed by test_failure")
        self.assertEqual(1, 2)
    @unittest.skip("not today")
    def test_skip(self):
        pass
    def test_subtests(self):
        for number in range(4):
            with self.subTest(number=number):
                self.assertNotEqual(number, 1)
                if number == 2:
                    raise KeyError(number)
                if number == 3:
                    self.skipTest("not 3")
    @unittest.expectedFailure
    def test_unexpected_success(self):
        pass

class Second(unittest.TestCase):
    def test_one(self):
        pass
    def test_two(self):
        pass

@unittest.skip("the class")
class Skipped(unittest.TestCase):
    def test_one(self):
        pass

class NoSetUp(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        raise RuntimeError("setUpClass")
    def test_one(self):
        pass

class SkippingSetUp(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        raise unittest.SkipTest("setUpClass says so")
    def test_one(self):
        pass

class NoTearDown(unittest.TestCase):
    @classmethod
    def tearDownClass(cls):
        raise RuntimeError("tearDownClass")
    def test_one(self):
        pass
'''

BROKEN_MODULE = FLAG + '''
def setUpModule():
    raise RuntimeError("setUpModule")
class First(unittest.TestCase):
    def test_one(self):
        pass
class Second(unittest.TestCase):
    def test_one(self):
        pass
'''

CRASH = FLAG + '''
class Crashing(unittest.TestCase):
    def test_1_before(self):
        pass
    def test_2_crash(self):
        if os.environ.get("CRASH"):
            os.kill(os.getpid(), 11)
    def test_3_after(self):
        pass
    def test_4_exit(self):
        if os.environ.get("CRASH"):
            os._exit(0)
class Other(unittest.TestCase):
    def test_one(self):
        pass
'''

HANG = FLAG + '''
class Hanging(unittest.TestCase):
    def test_1_quick(self):
        pass
    def test_2_hang(self):
        flag("hangs")
        try:
            hang()
        finally:
            flag("cleaned up")
    def test_3_after(self):
        flag("after")
'''


def comparable(text):
    """Without what differs from run to run, and our own frames."""
    text = re.sub(r"in [0-9.]+s", "in TIMEs", text)
    text = re.sub(r"^[0-9.]+s( +)", r"TIME\1", text, flags=re.M)
    return text.replace("forkserver.unittest", "unittest")


class UnittestRunnerTest(RunnerTestCase):

    def run_stock(self, *arguments, **options):
        return self.python("-m", "unittest", *arguments, **options)

    def run_ours(self, *arguments, **options):
        return self.python("-m", "forkserver.unittest", *arguments, **options)

    def assert_same(self, *arguments, ours=("-j", "2")):
        stock = self.run_stock(*arguments)
        mine = self.run_ours(*ours, *arguments)
        self.assertEqual(comparable(mine.stderr), comparable(stock.stderr))
        self.assertEqual(mine.returncode, stock.returncode)
        return mine

    def test_every_outcome_is_printed_as_by_unittest(self):
        self.write("test_outcomes.py", EVERY_OUTCOME)
        self.write("test_broken.py", BROKEN_MODULE)
        self.write("test_import.py", "import nothing_of_that_name\n")
        for arguments in ((), ("-v",), ("-q",), ("-b",), ("--locals", "-b"),
                          ("-v", "-k", "one"), ("-v", "test_outcomes.Second"),
                          ("test_outcomes.py",),
                          ("test_outcomes.Second.test_two", "test_import"),
                          ("no_such_module",)):
            with self.subTest(arguments=arguments):
                self.assert_same(*arguments)

    def test_verdict_of_success_and_of_no_tests(self):
        self.assert_same()
        self.assert_same("-k", "nothing")
        self.write("test_outcomes.py", EVERY_OUTCOME)
        self.assertEqual(
            self.assert_same("test_outcomes.Second", "-v").returncode, 0)
        self.assertEqual(self.assert_same("test_outcomes.Skipped").returncode,
                         self.run_stock("test_outcomes.Skipped").returncode)

    def test_discover_takes_its_arguments(self):
        self.write("sub/case_one.py", EVERY_OUTCOME)
        self.write("sub/__init__.py", "")
        for arguments in (("-s", "sub", "-p", "case_*.py", "-t", "."),
                          ("sub", "case_*.py"), ("-v", "-s", "sub")):
            with self.subTest(arguments=arguments):
                self.assert_same("discover", *arguments)
        self.assert_same("discover", "-s", "sub", "-p", "case_*.py",
                         ours=("--jobs=1",))

    def test_wrong_arguments_exit_as_those_of_unittest(self):
        for arguments in (("--no-such-option",), ("discover", "a", "b", "c",
                                                  "d")):
            stock = self.run_stock(*arguments)
            mine = self.run_ours(*arguments)
            self.assertEqual(mine.returncode, stock.returncode)
            last = [run.stderr.splitlines()[-1].partition("error")[2]
                    for run in (mine, stock)]
            self.assertEqual(*last)
        for jobs in ("0", "many", ""):
            mine = self.run_ours("-j", jobs)
            self.assertEqual(mine.returncode, 2)
            self.assertIn("-j needs a number", mine.stderr)
        mine = self.run_ours("discover", "-s", "no/such/folder")
        self.assertEqual(mine.returncode, 1)
        self.assertIn("is not importable", mine.stderr)
        self.assertIn("--jobs", self.run_ours("--help").stdout)

    def test_failfast_ends_the_run_where_unittest_would(self):
        self.write("test_outcomes.py", EVERY_OUTCOME)
        self.write("test_z.py", EVERY_OUTCOME)
        mine = self.assert_same("-f", "-v")
        self.assertIn("Ran 0 tests", mine.stderr)

    def test_what_modules_made_is_there(self):
        self.write("test_made.py", """
            import gc, os, tempfile, unittest
            data = tempfile.TemporaryFile()
            data.write(b"abc")
            reader, writer = os.pipe()
            kept = [object()]
            class First(unittest.TestCase):
                def test_made(self):
                    data.seek(0)
                    self.assertEqual(data.read(), b"abc")
                    os.write(writer, b"x")
                    self.assertEqual(os.read(reader, 9), b"x")
                    self.assertIn(kept, gc.get_referrers(kept[0]))
            class Second(First):
                pass
        """)
        self.assertEqual(self.assert_same().returncode, 0)
        self.write("test_socket.py", """
            import socket, unittest
            pair = socket.socketpair()
            class Test(unittest.TestCase):
                def test_it(self):
                    with self.assertRaises(OSError):
                        pair[0].send(b"x")
        """)
        mine = self.run_ours("test_socket")
        self.assertEqual(mine.returncode, 0)
        self.assertRegex(mine.stderr, r"do not have descriptor \d+ \(socket")

    def test_each_class_has_a_process_of_its_own(self):
        self.write("test_classes.py", FLAG + '''
def setUpModule():
    flag(f"module {os.getpid()}")
class Base(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        flag(f"class {cls.__name__} {os.getpid()}")
    def test_one(self):
        flag(f"test {os.getpid()}")
        self.assertIs(threading.current_thread(), threading.main_thread())
    test_two = test_one
for number in range(5):
    globals()[f"Case{number}"] = type(f"Case{number}", (Base,), {})
del Base
''')
        self.assertEqual(self.run_ours("-j", "3").returncode, 0)
        flags = self.raised()
        pids = {each.split()[-1] for each in flags}
        self.assertEqual(len(pids), 5)
        self.assertEqual(len(flags), 15, flags)

    def test_no_more_than_n_at_a_time(self):
        self.write("test_count.py", FLAG + '''
class Base(unittest.TestCase):
    def test_one(self):
        mine = f"in {os.getpid()}"
        flag(mine)
        while time.monotonic() < START + 20:
            inside = [each for each in os.listdir(os.environ["FLAGS"])
                      if each.startswith("in ")]
            if len(inside) > 1 or os.path.exists(
                    os.environ["FLAGS"] + "/met"):
                flag("met")
                break
        self.assertLessEqual(len(inside), 2)
        os.unlink(os.path.join(os.environ["FLAGS"], mine))
START = time.monotonic()
for number in range(8):
    globals()[f"Case{number}"] = type(f"Case{number}", (Base,), {})
del Base
''')
        mine = self.run_ours("-j", "2")
        self.assertEqual(mine.returncode, 0, mine.stderr)
        self.assertEqual(self.raised(), ["met"])

    def test_a_crash_is_an_error_of_its_test_and_the_run_goes_on(self):
        self.write("test_crash.py", CRASH)
        mine = self.run_ours("-j", "2", "-v", env={"CRASH": "1"})
        self.assertEqual(mine.returncode, 1)
        self.assertRegex(mine.stderr, r"test_2_crash \(.*\) \.\.\. ERROR\n"
                         r"test_3_after \(.*\) \.\.\. ok\n")
        self.assertIn("was killed by SIGSEGV", mine.stderr)
        self.assertIn("in test_2_crash", mine.stderr)  # faulthandler
        self.assertIn("exited with code 0 while it ran this test",
                      mine.stderr)
        self.assertIn("Ran 5 tests", mine.stderr)
        self.assertIn("FAILED (errors=2)", mine.stderr)
        self.assert_same("-v")

    def test_a_test_that_interrupts_is_named(self):
        self.write("test_interrupt.py", FLAG + '''
class One(unittest.TestCase):
    def test_1(self):
        pass
    def test_2(self):
        raise KeyboardInterrupt
    def test_3(self):
        flag("after")
''')
        mine = self.run_ours("-j", "2", "-v")
        self.assertEqual(mine.returncode, 1)
        self.assertRegex(mine.stderr, r"ERROR: test_2 (?s:.)*in test_2\n"
                         r".*\nKeyboardInterrupt")
        self.assertRegex(mine.stderr, r"test_3 \(.*\) \.\.\. ok")

    def test_a_crash_between_tests_is_reported_once(self):
        self.write("test_crash.py", FLAG + '''
class Crashing(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        os.abort()
    def test_1(self):
        pass
    def test_2(self):
        pass
class Late(unittest.TestCase):
    @classmethod
    def tearDownClass(cls):
        os.kill(os.getpid(), 9)
    def test_1(self):
        pass
class Other(unittest.TestCase):
    def test_one(self):
        pass
''')
        mine = self.run_ours("-j", "2")
        self.assertEqual(mine.returncode, 1)
        self.assertIn("ERROR: worker (test_crash.Crashing)", mine.stderr)
        self.assertIn("was killed by SIGABRT", mine.stderr)
        self.assertIn("ERROR: worker (test_crash.Late)", mine.stderr)
        self.assertIn("Ran 2 tests", mine.stderr)
        self.assertIn("FAILED (errors=2)", mine.stderr)

    def test_a_worker_that_closes_every_descriptor_is_an_error(self):
        self.write("test_close.py", FLAG + '''
class Closing(unittest.TestCase):
    def test_1(self):
        os.closerange(0, 4096)
    def test_2(self):
        pass
''')
        mine = self.run_ours("-j", "2")
        self.assertEqual(mine.returncode, 1)
        self.assertIn("ERROR: test_1 (test_close.Closing", mine.stderr)
        self.assertIn("FAILED (errors=1)", mine.stderr)

    def test_a_child_that_lives_on_does_not_hold_the_run(self):
        self.write("test_child.py", FLAG + '''
class Leaving(unittest.TestCase):
    def test_1(self):
        if os.fork() == 0:
            hang()
''')
        self.assertEqual(self.run_ours("-j", "2").returncode, 0)

    def test_ctrl_c_ends_the_tests_and_tells_the_shell(self):
        self.write("test_hang.py", HANG)
        with open(os.path.join(self.folder, "stderr"), "w+b") as file:
            process = self.start_python("-m", "forkserver.unittest", "-v",
                                        stderr=file)
            wait_for(lambda: b"test_2_hang" in read_file(file.name),
                     "the test that hangs is announced")
            self.wait_for_flag("hangs")
            self.interrupt(process)
            stderr = read_file(file.name).decode()
        self.assertEqual(process.returncode, -signal.SIGINT)
        self.assertIn("KeyboardInterrupt", stderr)
        self.assertIn("Interrupted:\n  test_2_hang", stderr)
        self.assertIn("in test_2_hang", stderr)  # the worker's traceback
        self.assertEqual(self.raised(), ["cleaned up", "hangs"])

    def test_ctrl_c_ends_a_worker_that_ignores_it(self):
        self.write("test_hang.py", HANG.replace(
            'flag("hangs")',
            'signal.signal(2, signal.SIG_IGN); '
            'signal.signal(15, signal.SIG_IGN); flag("hangs")'))
        process = self.start_python("-m", "forkserver.unittest", "-j", "2")
        self.wait_for_flag("hangs")
        self.interrupt(process)
        self.assertEqual(process.returncode, -signal.SIGINT)
        self.assert_nothing_of_the_suite()

    def assert_nothing_of_the_suite(self):
        wait_for(lambda: self.cli_json("ps") == [],
                 lambda: f"no worker: {self.cli_json('ps')}")

    def test_with_catch_ctrl_c_lets_tests_end_and_prints_results(self):
        self.write("test_hang.py", FLAG + '''
class Waiting(unittest.TestCase):
    def test_1(self):
        flag("waits")
        while not signal.getsignal(signal.SIGINT).called:
            time.sleep(0.01)
    def test_2(self):
        flag("after")
class ZLater(unittest.TestCase):
    test_1 = Waiting.test_2
''')
        process = self.start_python("-m", "forkserver.unittest", "-j", "1",
                                    "-c")
        self.wait_for_flag("waits")
        _, stderr = self.interrupt(process)
        self.assertEqual(process.returncode, 0)
        self.assertIn("Ran 1 test in", stderr)
        self.assertEqual(self.raised(), ["waits"])

    def test_a_module_that_starts_a_thread_is_refused_by_name(self):
        self.write("test_thread.py", FLAG + '''
threading.Thread(target=time.sleep, args=(1000,), daemon=True,
                 name="poison").start()
class Threaded(unittest.TestCase):
    def test_one(self):
        pass
''')
        mine = self.run_ours("-j", "2")
        self.assertEqual(mine.returncode, 2)
        self.assertIn("poison", mine.stderr)
        self.assertIn("test_thread", mine.stderr)
        self.assertIn("--no-preload", mine.stderr)
        mine = self.run_ours("-j", "2", "--no-preload", "-v")
        self.assertEqual(mine.returncode, 0, mine.stderr)
        self.assertIn("Ran 1 test", mine.stderr)

    def test_workers_are_clean_when_the_runner_is_poisoned(self):
        self.write("sitecustomize.py", '''
import os, sys, threading
if os.environ.get("POISON") and "forkserver.unittest" in " ".join(
        sys.orig_argv) and "-j" in sys.orig_argv:
    poison = threading.Lock()
    poison.acquire()
    os.register_at_fork(after_in_child=poison.acquire)
''')
        self.write("test_outcomes.py", EVERY_OUTCOME)
        mine = self.run_ours("-j", "2", env={
            "POISON": "1", "PYTHONPATH": self.suite + ":" +
            self.environment["PYTHONPATH"]})
        self.assertIn("Ran 11 tests", mine.stderr)

    def test_tests_see_the_process_that_unittest_would_give_them(self):
        self.write("test_process.py", FLAG + '''
class Process(unittest.TestCase):
    def test_it(self):
        print(sys.argv[1:], os.getcwd(), os.environ["FROM_SHELL"],
              sys.stdin.read(), sys.path[0], __name__)
''')
        outputs = []
        for module in ("unittest", "forkserver.unittest"):
            process = self.start_python("-m", module, "-v", stdin=-1,
                                        env={"FROM_SHELL": "yes"})
            outputs.append(process.communicate("typed\n")[0])
        self.assertEqual(*outputs)
        self.assertIn("typed", outputs[0])

    def test_what_tests_execute_carries_the_id_of_their_worker(self):
        self.write("test_process.py", FLAG + '''
class Process(unittest.TestCase):
    def test_it(self):
        print(os.popen("echo id $FORKSERVER_WORKER").read())
''')
        process = self.start_python("-m", "forkserver.unittest",
                                    env={"FORKSERVER_WORKER": "of-the-runner"})
        self.assertRegex(process.communicate()[0], r"(?m)^id [0-9a-z]+-\d+$")

    def test_a_daemon_that_dies_ends_the_run_with_an_error(self):
        self.write("test_hang.py", HANG)
        process = self.start_python("-m", "forkserver.unittest", "-j", "2")
        self.wait_for_flag("hangs")
        self.kill_daemon()
        _, stderr = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 2)
        self.assertIn("forkserver.unittest: ", stderr)
        self.assertIn("connection", stderr)

    def test_two_runs_at_a_time_share_the_daemon(self):
        self.write("test_outcomes.py", EVERY_OUTCOME)
        runs = [self.start_python("-m", "forkserver.unittest", "-j", "2")
                for _ in range(2)]
        for process in runs:
            self.assertIn("Ran 11 tests", process.communicate(timeout=60)[1])


if __name__ == "__main__":
    unittest.main()
