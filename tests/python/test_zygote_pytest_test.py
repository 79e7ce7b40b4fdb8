"""pytest's tests under the harness: each has the verdict that pytest gives it,
in a worker of its own; fixtures of sessions and files are in zygotes."""

import os
import re
import signal
import tempfile
import unittest

from forkserver import event_pipe
from forkserver.protocol.messages import TestRun
from pytest_fixture import SUITE
from test_zygote_case import ReportPage, TestZygoteCase

try:
    import pytest as _pytest_is_there  # noqa: F401
except ImportError:
    _pytest_is_there = None

NASTY = '''
import ctypes, logging, os, sys, time, unittest
import pytest

@pytest.mark.xfail(strict=True, reason="it is known")
def test_xpasses_strictly():
    pass

@pytest.mark.xfail(raises=ValueError)
def test_xfails_with_another_error():
    raise TypeError

@pytest.mark.xfail(run=False, reason="would crash")
def test_xfail_that_is_not_run():
    os.abort()

@pytest.mark.skipif(sys.version_info > (3,), reason="too new")
def test_skipif():
    pass

@pytest.fixture
def skipping():
    pytest.skip("in the fixture")

def test_skipped_by_a_fixture(skipping):
    pass

def test_imperative_xfail():
    pytest.xfail("right now")

@pytest.mark.parametrize("text", ["a b", "[x]", "::", "/", "\\u00f6", "", "\\n",
                                  "'\\"", "\\x00"])
def test_any(text):
    assert text != "::"

@pytest.fixture(params=["one", "two"])
def parametrised(request):
    return request.param

def test_fixture_parameter(parametrised):
    assert parametrised == "one"

class TestNested:
    class TestDeep:
        @pytest.mark.slow
        def test_one(self):
            pass

def test_exits():
    sys.exit(3)

def test_reads():
    with pytest.raises(OSError):
        sys.stdin.read()

def test_captures(capfd, capsys):
    pass

def test_captures_descriptors(capfd):
    os.system("echo from a child")
    assert capfd.readouterr().out == "from a child\\n"

def test_monkeypatched(monkeypatch, tmp_path):
    monkeypatch.setenv("NAME", "value")
    monkeypatch.chdir(tmp_path)

def test_logs():
    logging.getLogger("shop").warning("out of stock")
    assert False

@pytest.mark.usefixtures("skipping")
class TestUsing:
    def test_one(self):
        pass

class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.value = 1
    def test_passes(self):
        self.assertEqual(self.value, 1)
    def test_fails(self):
        self.fail()
    @unittest.expectedFailure
    def test_expected(self):
        self.fail()
    @unittest.skip("a skip of unittest")
    def test_skipped(self):
        pass

class TestBrokenClass:
    @classmethod
    def setup_class(cls):
        raise RuntimeError("no class")
    def test_one(self):
        pass

def test_dependent_on_nothing_that_is_there(no_such_fixture):
    pass

@pytest.fixture
def doubly_broken():
    yield
    raise RuntimeError("tear-down, too")

def test_fails_and_breaks(doubly_broken):
    assert False
'''

ENDS = '''
import ctypes, os, time
import pytest

def test_segfault():
    print("the last words")
    ctypes.string_at(0)

def test_leaves_with_0():
    os._exit(0)

@pytest.fixture
def noted():
    yield
    print("torn down")

def test_interrupts(noted):
    raise KeyboardInterrupt

def test_exits_pytest(noted):
    pytest.exit("enough")

def test_hangs():
    time.sleep(60)

def test_forks():
    if os.fork() == 0:
        return
    os.wait()
'''


@unittest.skipIf(_pytest_is_there is None, "there is no pytest")
class PytestZygoteCase(TestZygoteCase):

    def setUp(self):
        super().setUp()
        # Its session fixtures are those of every test.
        self.environment["PYTEST_ADDOPTS"] = "-p no:django"
        self.write("pytest.ini", "[pytest]\nmarkers = slow: takes long\n")

    def assert_as_stock(self, target, *arguments):
        """Our list and verdicts are those of pytest. Returns the tests."""
        tests = self.load(target, "", *arguments)
        stock, _ = self.stock_pytest(target, *arguments)
        self.assertEqual(tests.verdicts(), stock)
        return tests


class VerdictTest(PytestZygoteCase):

    def test_each_test_has_the_verdict_that_pytest_gives_it(self):
        self.write("test_nasty.py", NASTY)
        self.write("test_suite.py", SUITE)
        tests = self.assert_as_stock(".")
        self.assertEqual((tests.list.framework, tests.list.errors),
                         ("pytest", []))

    def test_a_failure_says_what_and_where(self):
        path = self.write("test_nasty.py", NASTY)
        tests = self.load("test_nasty.py")
        outcome = tests.run("test_nasty.py::test_any[::]")
        failure, = outcome.one.failures
        self.assertEqual(failure.message.splitlines()[0],
                         "AssertionError: assert '::' != '::'")
        with open(path, encoding="utf-8") as file:
            line = file.read().splitlines()[failure.line - 1]
        self.assertEqual((failure.file, line.strip()),
                         (path, 'assert text != "::"'))
        self.assertEqual((outcome.record.code, outcome.complete), (1, True))
        both = tests.run("test_nasty.py::test_fails_and_breaks").one.failures
        self.assertEqual([each.where for each in both], ["", "tear-down"])
        broken = tests.run("test_nasty.py::TestBrokenClass::test_one").one
        self.assertEqual(broken.failures[0].where, "set-up")
        self.assertIn("out of stock",
                      tests.run("test_nasty.py::test_logs").text)

    def test_reasons_are_told(self):
        self.write("test_nasty.py", NASTY)
        self.write("test_suite.py", SUITE)
        tests = self.load(".")

        def reason(name):
            outcome = tests.run(name)
            self.assertEqual(outcome.record.code, 0, outcome.text)
            return outcome.status, outcome.one.skip_reason

        for name, expected in (
                ("nasty.py::test_skipif", ("skipped", "too new")),
                ("nasty.py::test_skipped_by_a_fixture",
                 ("skipped", "in the fixture")),
                ("nasty.py::test_imperative_xfail",
                 ("passed", "expected failure: right now")),
                ("suite.py::test_xfails", ("passed",
                                           "expected failure: known")),
                ("suite.py::test_xpasses", ("passed", "unexpected success")),
                ("suite.py::TestClass::test_two", ("skipped",
                                                   "in the middle"))):
            with self.subTest(name):
                self.assertEqual(reason("test_" + name), expected)
        self.assertIn("it is known", tests.run(
            "test_nasty.py::test_xpasses_strictly").text)

    def test_a_list_has_places_classes_and_markers(self):
        self.write("test_nasty.py", NASTY)
        listed = {each.name: each for each in
                  self.load("test_nasty.py").list.tests}
        deep = listed["test_nasty.py::TestNested::TestDeep::test_one"]
        self.assertEqual((deep.suite, deep.file, deep.tags),
                         ("test_nasty.py::TestNested::TestDeep",
                          "test_nasty.py", ["slow"]))
        self.assertGreater(deep.line, 0)
        self.assertEqual(listed["test_nasty.py::test_exits"].suite,
                         "test_nasty.py")

    def test_output_is_the_workers(self):
        self.write("test_suite.py", SUITE)
        outcome = self.load("test_suite.py").run("test_suite.py::test_fails")
        self.assertEqual(outcome.output, "printed by test_fails\n")

    def test_output_to_streams_that_modules_keep(self):
        self.write("conftest.py", """
            import logging
            from sys import stdout
            logging.basicConfig(stream=stdout)
        """)
        self.write("test_keeps.py", """
            import logging
            from conftest import stdout
            def test_keeps():
                print("printed", file=stdout)
                logging.warning("logged")
        """)
        outcome = self.load("test_keeps.py").run("test_keeps.py::test_keeps")
        self.assertEqual(outcome.output.split(),
                         ["printed", "WARNING:root:logged"])

    def test_several_share_a_worker(self):
        self.write("test_suite.py", SUITE)
        tests = self.load("test_suite.py")
        outcome = tests.run(*tests.names)
        stock, _ = self.stock_pytest("test_suite.py")
        self.assertEqual({name: word.status
                          for name, word in outcome.words.items()}, stock)
        self.assertTrue(outcome.complete)


class EndTest(PytestZygoteCase):

    def setUp(self):
        super().setUp()
        self.write("test_ends.py", ENDS)
        self.tests = self.load("test_ends.py")

    def run_of(self, name, **options):
        return self.tests.run("test_ends.py::" + name, **options)

    def test_a_crash_leaves_what_was_printed_and_a_traceback(self):
        outcome = self.run_of("test_segfault")
        self.assertEqual((outcome.record.signal, outcome.output,
                          outcome.words),
                         (signal.SIGSEGV, "the last words\n", {}))
        self.assertIn("in test_segfault", outcome.record.crash.traceback)

    def test_an_exit_of_its_own_is_no_verdict(self):
        outcome = self.run_of("test_leaves_with_0")
        self.assertEqual((outcome.record.code, outcome.words,
                          outcome.complete), (0, {}, False))

    def test_an_interrupt_fails_the_test_and_its_fixtures_end(self):
        for name, text in (("test_interrupts", "KeyboardInterrupt"),
                           ("test_exits_pytest", "enough")):
            with self.subTest(name):
                outcome = self.run_of(name)
                self.assertEqual((outcome.status, outcome.record.code),
                                 ("failed", 1))
                self.assertIn(text, outcome.text)
                self.assertEqual(outcome.output, "torn down\n")

    def test_one_that_hangs_leaves_where(self):
        outcome = self.run_of("test_hangs", timeout=1)
        self.assertEqual(outcome.record.reason, "timeout")
        self.assertIn("in test_hangs", outcome.record.crash.traceback)

    def test_a_child_of_the_test_tells_nothing(self):
        outcome = self.run_of("test_forks")
        self.assertEqual([each.event for each in outcome.records],
                         ["begun", "ended", "complete"])


class LoadingTest(PytestZygoteCase):

    def test_what_cannot_be_collected_is_an_error_of_the_list(self):
        self.write("test_good.py", "def test_one(): pass")
        self.write("test_missing.py", "import no_such_module")
        self.write("test_wrong.py", "def (")
        tests = self.load(".")
        self.assertEqual(tests.verdicts(), {"test_good.py::test_one":
                                            "passed"})
        self.assertEqual(len(tests.list.errors), 2)
        errors = "\n".join(tests.list.errors)
        self.assertIn("cannot collect test_missing.py", errors)
        self.assertIn("No module named 'no_such_module'", errors)
        self.assertIn("SyntaxError", errors)

    def test_a_module_that_skips_itself_is_a_skipped_test(self):
        self.write("test_skips.py", '''
            import pytest
            pytest.importorskip("no_such_module")
            def test_one(): pass
        ''')
        self.write("test_good.py", "def test_one(): pass")
        tests = self.load(".")
        self.assertEqual(tests.names, ["test_good.py::test_one",
                                       "test_skips.py"])
        self.assertIn("no_such_module", tests.list.tests[1].skip)
        outcome = tests.run("test_skips.py")
        self.assertEqual((outcome.status, outcome.complete),
                         ("skipped", True))

    def test_a_conftest_that_cannot_be_loaded_is_an_error(self):
        self.write("conftest.py", "import no_such_module")
        self.write("test_good.py", "def test_one(): pass")
        tests = self.load(".")
        self.assertEqual(tests.names, [])
        self.assertIn("conftest.py", tests.list.errors[0])
        self.assertIn("No module named 'no_such_module'",
                      tests.list.errors[0])

    def test_wrong_options_are_errors(self):
        self.write("test_good.py", "def test_one(): pass")
        for argument in ("--no-such-option", "--tb=nonsense"):
            tests = self.load(".", "pytest", argument)
            self.assertEqual(tests.names, [])
            self.assertIn(argument.partition("=")[0], tests.list.errors[0])
        tests = self.load("test_good.py::test_none")
        self.assertIn("test_none", tests.list.errors[0])

    def test_configuration_and_options_count(self):
        self.write("pytest.ini", "[pytest]\npython_files = check_*.py\n"
                   "python_functions = check_*\nmarkers = slow\n"
                   "addopts = -x --maxfail=1 -p no:cacheprovider --pdb\n")
        self.write("check_shop.py", '''
            import pytest
            def check_one(): assert False
            def check_two(): pass
            @pytest.mark.slow
            def check_three(): pass
        ''')
        tests = self.load(".")
        self.assertEqual(tests.verdicts(), {
            "check_shop.py::check_one": "failed",
            "check_shop.py::check_two": "passed",
            "check_shop.py::check_three": "passed"})
        outcome = tests.run(*tests.names)  # -x is for the harness to decide
        self.assertEqual(len(outcome.words), 3)
        self.assertEqual(self.load(".", "", "-m", "slow").names,
                         ["check_shop.py::check_three"])

    def test_options_of_xdist_in_a_configuration_are_left_out(self):
        try:
            import xdist as _  # noqa: F401
        except ImportError:
            self.skipTest("os: there is no pytest-xdist")
        self.write("pytest.ini",
                   "[pytest]\naddopts = -n 2 --dist loadscope\n")
        self.write("test_good.py", "def test_one(): pass")
        self.assertEqual(self.load(".").verdicts(),
                         {"test_good.py::test_one": "passed"})

    def test_conftests_hooks_see_the_session_and_its_tests(self):
        self.write("conftest.py", '''
            import pytest
            seen = []
            def pytest_configure(config): seen.append("configure")
            def pytest_sessionstart(session): seen.append("start")
            def pytest_collection_modifyitems(items):
                seen.append("collected"); items.reverse()
            def pytest_runtest_setup(item): seen.append("setup")
            @pytest.hookimpl(hookwrapper=True)
            def pytest_runtest_call(item):
                outcome = yield
                seen.append("call")
            @pytest.fixture
            def hooks(): return seen
        ''')
        self.write("test_hooks.py", '''
            def test_one(hooks):
                assert hooks == ["configure", "start", "collected", "setup"]
            def test_two(): pass
        ''')
        tests = self.load(".")
        self.assertEqual(tests.names, ["test_hooks.py::test_two",
                                       "test_hooks.py::test_one"])
        outcome = tests.run("test_hooks.py::test_one")
        self.assertEqual(outcome.status, "passed", outcome.text
                         if outcome.words else "")

    def test_a_target_may_be_a_module_by_its_name(self):
        self.write("pkg/__init__.py", "")
        self.write("pkg/test_shop.py", '''
            class TestShop:
                def test_one(self): pass
            def test_two(): pass
        ''')
        for target, count in (("pkg.test_shop", 2),
                              ("pkg.test_shop.TestShop", 1),
                              ("pkg.test_shop.test_two", 1),
                              ("pkg/test_shop.py::TestShop::test_one", 1),
                              ("pkg", 2)):
            with self.subTest(target):
                tests = self.load(target, "pytest")
                self.assertEqual(len(tests.names), count, tests.list.errors)

    def test_output_of_the_collection_does_not_appear_in_tests(self):
        self.write("conftest.py", "print('loading')")
        self.write("test_good.py", "print('too')\ndef test_one(): print(1)")
        self.assertEqual(self.load(".").run("test_good.py::test_one").output,
                         "1\n")

    def test_coverage_is_measured_where_the_environment_says_so(self):
        self.write("shop.py", "def buy():\n    return 1\n")
        self.write("test_shop.py", '''
            import shop
            def test_one(): assert shop.buy() == 1
        ''')
        self.write(".coveragerc", "[run]\nparallel = True\nsource = .\n"
                   f"data_file = {self.suite}/.coverage\n")
        self.environment["COVERAGE_PROCESS_START"] = os.path.join(
            self.suite, ".coveragerc")
        tests = self.load("test_shop.py")
        self.assertEqual(tests.run("test_shop.py::test_one").status, "passed")
        self.assertEqual(self.python("-m", "coverage", "combine").returncode,
                         0)
        report = self.python("-m", "coverage", "report", "-m").stdout
        self.assertRegex(report, r"shop\.py +2 +1 +50%|shop\.py +2 +0 +100%")


FIXTURES = '''
import os, threading
import pytest

@pytest.fixture(scope="session")
def session_pid(tmp_path_factory):
    os.environ["FROM_SESSION"] = "yes"
    yield os.getpid()
    raise RuntimeError("the session breaks at its end")

@pytest.fixture(scope="session")
def with_thread():
    end = threading.Event()
    thread = threading.Thread(target=end.wait, name="left-by-fixture")
    thread.start()
    yield os.getpid()
    end.set()
    thread.join()
'''

MODULE = '''
import os
import pytest

@pytest.fixture(scope="module")
def module_pid(session_pid):
    yield os.getpid()
    raise RuntimeError("the module breaks at its end")

def test_one(module_pid, session_pid):
    assert os.environ["FROM_SESSION"] == "yes"
    assert len({os.getpid(), module_pid, session_pid}) == 3
    print(module_pid, session_pid)

def test_two(module_pid, session_pid):
    print(module_pid, session_pid)

def test_thread(with_thread):
    assert with_thread == os.getpid()
'''


class FixtureTest(PytestZygoteCase):
    """The zygotes as the harness makes them (fixture_zygotes.cc)."""

    def nested(self, tests, step, parent, names, excluded=()):
        """Its name, its report page, and the error of its start."""
        page = ReportPage()
        self.addCleanup(page.close)
        with tempfile.TemporaryFile() as request:
            request.write(TestRun(list(names), 3,
                                  arguments=list(excluded)).encode())
            request.flush()
            request.seek(0)
            self._zygotes += 1
            try:
                zygote = self.client.start_zygote(
                    f"nested-{self._zygotes}", parent=parent.name,
                    preload=["forkserver.test_zygote.pytest_fixtures:" +
                             step],
                    fds={3: page.fd, event_pipe.REQUEST_FD: request}, **self.process)
            except Exception as error:
                return None, page, error
        return zygote, page, None

    def setUp(self):
        super().setUp()
        self.write("conftest.py", FIXTURES)
        self.write("test_module.py", MODULE)
        self.write("test_plain.py", "def test_one(): pass")
        self.base = self.start(".", "pytest")

    def test_the_plan_says_who_needs_what(self):
        tests = self.load(".")
        plan = tests.plan()
        self.assertEqual((plan.session, plan.files),
                         (True, ["test_module.py"]))
        plan = tests.plan("test_plain.py::test_one")
        self.assertEqual((plan.session, plan.files), (False, []))
        # For a single test its worker does as well.
        plan = tests.plan("test_module.py::test_one")
        self.assertEqual((plan.session, plan.files), (True, []))

    def test_fixtures_of_session_and_file_are_set_up_once(self):
        tests = self.load(".")
        names = ["test_module.py::test_one", "test_module.py::test_two"]
        session, session_page, error = self.nested(
            tests, "set_up_session", tests._zygote, names)
        self.assertIsNone(error)
        file, file_page, error = self.nested(tests, "set_up_file", session,
                                             names)
        self.assertIsNone(error)
        outcomes = [tests.run(name, fork=file.fork) for name in names]
        self.assertEqual([each.status for each in outcomes],
                         ["passed", "passed"],
                         "\n".join(each.text for each in outcomes))
        pids = {each.output for each in outcomes}
        self.assertEqual(pids, {f"{file.info.pid} {session.info.pid}\n"})
        # They are torn down where they were set up, and only there.
        self.assertEqual((session_page.read(), file_page.read()), ([], []))
        for zygote, page, text in ((file, file_page, "the module breaks"),
                                   (session, session_page,
                                    "the session breaks")):
            zygote.stop()
            self.wait_for_end(zygote)
            record, end = page.read()
            self.assertEqual((record.event, end.event),
                             ("teardown", "torn_down"))
            self.assertIn(text, record.failures[0].message)

    def wait_for_end(self, zygote):
        from daemon_fixture import alive, wait_for
        wait_for(lambda: not alive(zygote.info.pid), "the zygote ends")

    def test_without_them_each_worker_sets_up_its_own(self):
        tests = self.load(".")
        outcome = tests.run("test_module.py::test_two")
        self.assertEqual(outcome.status, "failed")  # it tears down, too
        self.assertIn("the module breaks", outcome.text)
        pids = re.findall(r"\d+", outcome.output)
        self.assertEqual(pids, [str(outcome.record.pid)] * 2)

    def test_a_fixture_that_no_fork_survives_is_named_and_left_out(self):
        tests = self.load(".")
        names = ["test_module.py::test_thread"]
        _, page, error = self.nested(tests, "set_up_session", tests._zygote,
                                     names)
        self.assertIn("left-by-fixture", str(error))
        unsafe, = [each for each in page.read() if each.event == "unsafe"]
        self.assertIn("with_thread", unsafe.failures[0].message)
        session, _, error = self.nested(tests, "set_up_session",
                                        tests._zygote, names, [unsafe.test])
        self.assertIsNone(error)
        outcome = tests.run(*names, fork=session.fork)
        self.assertEqual(outcome.status, "passed", outcome.text
                         if outcome.words else "")


if __name__ == "__main__":
    unittest.main()
