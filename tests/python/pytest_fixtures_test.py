"""pytest --forkserver: where fixtures are set up, and how often; coverage."""

import os
import unittest

from pytest_fixture import PytestTestCase, comparable
from runner_fixture import FLAG

try:
    import coverage
    import pytest_cov
except ImportError:
    coverage = pytest_cov = None

CONFTEST = FLAG + '''
import pytest
@pytest.fixture(scope="session")
def session():
    flag(f"session up {os.getpid()}")
    yield os.getpid()
    flag(f"session down {os.getpid()}")
@pytest.fixture(scope="module")
def module(session, request):
    name = request.module.__name__
    flag(f"{name} up {os.getpid()}")
    yield os.getpid()
    flag(f"{name} down {os.getpid()}")
'''

USES = '''
import os
def test_one(session, module):
    assert len({session, module, os.getpid()}) == 3
def test_two(session, module):
    assert len({session, module, os.getpid()}) == 3
'''


class PytestFixturesTest(PytestTestCase):

    def counted(self):
        """{"session up": how often}, and the pids of each."""
        pids = {}
        for each in self.raised():
            name, _, pid = each.rpartition(" ")
            pids.setdefault(name, []).append(pid)
        return {name: len(each) for name, each in pids.items()}, pids

    def test_session_and_module_fixtures_are_set_up_once(self):
        self.write("conftest.py", CONFTEST)
        self.write("test_a.py", USES)
        self.write("test_b.py", USES)
        mine = self.ours("-v")
        self.assertEqual(mine.returncode, 0, mine.stdout)
        counts, pids = self.counted()
        self.assertEqual(counts, dict.fromkeys(
            ("session up", "session down", "test_a up", "test_a down",
             "test_b up", "test_b down"), 1))
        for name in ("session", "test_a", "test_b"):
            self.assertEqual(pids[f"{name} up"], pids[f"{name} down"])

    def test_xunit_functions_of_a_module_run_once(self):
        self.write("test_module.py", FLAG + '''
def setup_module(module): flag(f"setup {os.getpid()}")
def teardown_module(module): flag(f"teardown {os.getpid()}")
def test_one(): pass
def test_two(): pass
''')
        self.assertEqual(self.ours().returncode, 0)
        self.assertEqual(self.counted()[0], {"setup": 1, "teardown": 1})

    def test_with_file_scope_module_fixtures_are_the_workers(self):
        self.write("conftest.py", CONFTEST)
        self.write("test_a.py", '''
import os
def test_one(session, module):
    assert session != module == os.getpid()
test_two = test_one
''')
        mine = self.ours("--forkserver-scope=file")
        self.assertEqual(mine.returncode, 0, mine.stdout)
        self.assertEqual(self.counted()[0], dict.fromkeys(
            ("session up", "session down", "test_a up", "test_a down"), 1))

    def test_a_session_fixture_that_fails_fails_each_of_its_tests(self):
        self.write("test_broken.py", """
            import pytest
            @pytest.fixture(scope="session")
            def broken():
                raise RuntimeError("broken for all")
            @pytest.fixture(scope="module")
            def skipping():
                pytest.skip("nothing here")
            def test_one(broken): pass
            def test_two(broken): pass
            def test_three(skipping): pass
            def test_four(skipping): pass
        """)
        mine = self.assert_same("-rs", code=1)
        self.assertIn("2 skipped, 2 errors", mine.stdout)

    def test_errors_of_late_teardowns_are_reported(self):
        self.write("test_late.py", """
            import pytest
            @pytest.fixture(scope="session")
            def session():
                yield
                raise RuntimeError("session teardown")
            @pytest.fixture(scope="module")
            def module():
                yield
                raise RuntimeError("module teardown")
            def test_one(session, module): pass
            def test_two(session, module): pass
        """)
        mine = self.ours()
        self.assertEqual(mine.returncode, 1)
        self.assertIn("2 passed, 2 errors", mine.stdout)
        self.assertIn("RuntimeError: session teardown", mine.stdout)
        self.assertIn("RuntimeError: module teardown", mine.stdout)

    def test_a_teardown_may_take_long(self):
        self.write("test_late.py", """
            import pytest, time
            @pytest.fixture(scope="session")
            def session():
                yield
                time.sleep(6)
                open("session-down", "w").close()
            def test_one(session): pass
        """)
        self.assertEqual(self.ours().returncode, 0)
        self.assertTrue(os.path.exists(os.path.join(self.folder, "suite",
                                                    "session-down")))

    def test_a_teardown_that_ends_its_zygote_is_an_error(self):
        self.write("test_late.py", """
            import os, pytest
            @pytest.fixture(scope="session")
            def session():
                yield
                os.abort()
            @pytest.fixture(scope="module")
            def module():
                yield
                os._exit(0)
            def test_one(session, module): pass
            def test_two(session, module): pass
        """)
        mine = self.ours()
        self.assertEqual(mine.returncode, 1, mine.stdout)
        self.assertIn("2 passed, 2 errors", mine.stdout)
        for what in ("the session", "test_late.py"):
            self.assertIn(f"the zygote of {what} ended before its fixtures "
                          "were torn down", mine.stdout)

    def test_such_an_error_is_told_as_that_of_the_last_test(self):
        self.write("test_late.py", """
            import logging, pytest, sys, warnings
            @pytest.fixture(scope="module")
            def module():
                yield
                print("to stdout")
                print("to stderr", file=sys.stderr)
                logging.warning("to the log")
                warnings.warn("a warning")
                raise RuntimeError("cannot drop")
            def test_one(module): pass
            def test_two(module): pass
        """)
        for style in ("auto", "short", "line"):
            stock, mine = (comparable(run(f"--tb={style}").stdout)
                           .partition("ERRORS ") for run in
                           (self.stock, self.ours))
            self.assertIn("RuntimeError: cannot drop", mine[2])
            self.assertEqual(mine[2], stock[2])
        stock, mine = self.stock("-q"), self.ours("-q")
        self.assertIn("to the log", mine.stdout)
        for run in (stock, mine):
            self.assertIn("2 passed, 1 warning, 1 error", run.stdout)

    def test_workers_that_run_at_once_have_different_ids(self):
        self.write("conftest.py", """
            import os, pytest
            @pytest.fixture(scope="session")
            def worker_id(pytestconfig): return pytestconfig.workerinput["workerid"]
            @pytest.fixture(scope="session")
            def own(worker_id):
                os.mkdir(worker_id)
                yield worker_id
                os.rmdir(worker_id)
        """)
        self.write("test_ids.py", """
            import pytest, time
            @pytest.mark.parametrize("number", range(6))
            def test_id(own, number):
                assert own in ("gw0", "gw1")
                time.sleep(0.05)
        """)
        mine = self.ours()
        self.assertEqual(mine.returncode, 0, mine.stdout)

    def test_teardowns_may_start_threads(self):
        self.write("test_threads.py", """
            import pytest
            from concurrent.futures import ThreadPoolExecutor
            def use_threads():
                with ThreadPoolExecutor(1) as pool:
                    assert pool.submit(abs, -1).result() == 1
            @pytest.fixture(scope="session")
            def session():
                yield
                use_threads()
            @pytest.fixture(scope="module")
            def module():
                yield
                use_threads()
            def test_one(session, module): pass
            def test_two(session, module): pass
        """)
        mine = self.ours()
        self.assertEqual(mine.returncode, 0, mine.stdout)

    def test_time_zone_and_umask_of_fixtures_are_the_tests(self):
        self.write("conftest.py", """
            import os, pytest, time
            @pytest.fixture(scope="session", autouse=True)
            def zone():
                os.environ["TZ"] = "XYZ-9"
                time.tzset()
            @pytest.fixture(scope="module", autouse=True)
            def mask():
                os.umask(0o057)
        """)
        self.write("test_state.py", """
            import os, time
            def test_state():
                assert time.localtime(0).tm_hour == 9
                assert os.umask(0) == 0o057
            def test_state_too(): test_state()
        """)
        mine = self.ours()
        self.assertEqual(mine.returncode, 0, mine.stdout)

    def test_what_a_fixture_says_when_it_is_set_up_is_told(self):
        self.write("test_early.py", """
            import logging, pytest, warnings
            @pytest.fixture(scope="session")
            def session():
                print("printed")
                logging.warning("logged")
                warnings.warn("warned")
                raise RuntimeError("cannot make")
            @pytest.fixture(scope="module")
            def module(): logging.warning("by the module")
            def test_one(session): pass
            def test_two(module): assert 0
            def test_three(module): pass
        """)
        for options in ((), ("-p", "no:logging"), ("--show-capture=log",)):
            stock, mine = (comparable(run(*options).stdout)
                           .partition("ERRORS ")[2] for run in
                           (self.stock, self.ours))
            self.assertEqual(mine, stock)
        self.ours("--log-file=log.txt")
        with open(os.path.join(self.suite, "log.txt"),
                  encoding="utf-8") as file:
            self.assertEqual([line.split()[-1] for line in file],
                             ["logged", "module"])
    def test_warnings_of_fixtures_are_told(self):
        self.write("test_warn.py", """
            import pytest, warnings
            @pytest.fixture(scope="session")
            def session(): warnings.warn("of the session", DeprecationWarning)
            @pytest.fixture(scope="module")
            def module():
                warnings.warn("of the module")
                yield
                warnings.warn("at its end")
            def setup_module():
                warnings.warn("of setup_module")
            def test_session(session): pass
            def test_module(module): pass
        """)
        for options in ((), ("-p", "no:warnings")):
            stock = self.stock("-q", *options)
            mine = self.ours("-q", *options)
            with self.subTest(options=options):
                self.assertEqual(mine.returncode, 0)
                self.assertEqual(mine.stdout.splitlines()[-1].split(" in ")[0],
                                 stock.stdout.splitlines()[-1].split(" in ")[0])
        for text in ("of the session", "of the module", "at its end",
                     "of setup_module"):
            self.assertIn(text, self.ours("-q").stdout)

    def test_warnings_of_fixtures_can_be_errors(self):
        self.write("test_warn.py", """
            import pytest, warnings
            @pytest.fixture(scope="session")
            def session(): warnings.warn("of the session")
            @pytest.fixture(scope="module")
            def module(): warnings.warn("of the module")
            def test_session(session): pass
            def test_module(module): pass
            def test_none(): pass
        """)
        mine = self.ours("-q", "-W", "error")
        self.assertEqual(mine.returncode, 1)
        self.assertIn("1 passed, 2 errors", mine.stdout)

    def test_a_fixture_of_a_module_that_interrupts_ends_the_run(self):
        self.write("test_interrupt.py", """
            import pytest
            @pytest.fixture(scope="module")
            def module(): raise KeyboardInterrupt
            def test_one(module): pass
            def test_two(): pass
        """)
        self.assertEqual(self.ours().returncode, 2)

    def test_parametrized_session_fixtures_are_set_up_in_workers(self):
        self.write("test_parameters.py", """
            import os, pytest
            @pytest.fixture(scope="session", params=[1, 2])
            def number(request):
                return request.param, os.getpid()
            @pytest.fixture(scope="module")
            def more(number):
                return number
            def test_one(number, more):
                assert number == more and number[1] == os.getpid()
            def test_two(number): pass
        """)
        self.assert_same("-v", code=0)

    def test_fixtures_that_do_not_survive_a_fork_are_named(self):
        self.write("conftest.py", FLAG + '''
import pytest, socket
@pytest.fixture(scope="session")
def server():
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait, name="serving")
    thread.start()
    yield thread
    stop.set()
    thread.join()
@pytest.fixture(scope="session")
def uses_server(server):
    return server
@pytest.fixture(scope="session")
def safe():
    return os.getpid()
@pytest.fixture(scope="module")
def connection():
    ends = socket.socketpair()
    yield ends
    for end in ends:
        end.close()
''')
        self.write("test_unsafe.py", """
            import os
            def test_server(server, uses_server):
                assert server.is_alive() and uses_server is server
            def test_connection(connection):
                connection[0].send(b"text")
                assert connection[1].recv(9) == b"text"
            def test_safe(safe, connection):
                assert safe != os.getpid()
        """)
        mine = self.ours("-v")
        self.assertEqual(mine.returncode, 0, mine.stdout)
        self.assertIn("3 passed", mine.stdout)
        self.assertIn("session fixture 'server' of conftest started thread "
                      "'serving'", mine.stdout)
        self.assertIn("module fixture 'connection' of conftest left "
                      "descriptor", mine.stdout)
        self.assertNotIn("fixture 'safe'", mine.stdout)

    def test_tests_of_all_workers_share_one_temporary_folder(self):
        self.write("test_tmp.py", """
            import pytest
            @pytest.fixture(scope="session")
            def shared(tmp_path_factory):
                folder = tmp_path_factory.mktemp("shared")
                (folder / "file").write_text("text")
                return folder
            @pytest.mark.parametrize("number", range(6))
            def test_it(number, shared, tmp_path):
                assert (shared / "file").read_text() == "text"
                assert tmp_path.parent == shared.parent
                assert not list(tmp_path.iterdir())
                (tmp_path / "mine").touch()
        """)
        mine = self.ours("--basetemp", os.path.join(self.folder, "base"))
        self.assertEqual(mine.returncode, 0, mine.stdout)
        with os.scandir(os.path.join(self.folder, "base")) as entries:
            # The others are links to the last of a name.
            self.assertEqual(len([each for each in entries
                                  if each.is_dir(follow_symlinks=False)]), 7)

    @unittest.skipIf(pytest_cov is None, "there is no coverage")
    def test_coverage_is_collected_from_every_worker(self):
        self.write("measured.py", """
            def at_import():
                return 1
            VALUE = at_import()
            def in_fixture():
                return 2
            def in_first():
                return 3
            def in_second():
                return 4
            def in_teardown():
                return 5
            def nowhere():
                return 6
        """)
        self.write("test_measured.py", """
            import measured, pytest
            @pytest.fixture(scope="session")
            def fixture():
                return measured.in_fixture()
            @pytest.fixture
            def ending():
                yield
                measured.in_teardown()
            def test_first(fixture, ending): measured.in_first()
            def test_second(fixture): measured.in_second()
        """)
        self.python("-m", "coverage", "run", "-p", "--include=measured.py",
                    "-m", "pytest", "-p", "forkserver.pytest_plugin",
                    "--forkserver", "2")
        self.python("-m", "coverage", "combine")
        report = self.python("-m", "coverage", "report", "-m")
        self.assertRegex(report.stdout, r"measured.py\s+13\s+1\s+92%\s+14\n")
        stock = self.stock("--cov=measured", "--cov-report=term-missing")
        mine = self.ours("--cov=measured", "--cov-report=term-missing")
        for run in (stock, mine):
            self.assertRegex(run.stdout,
                             r"measured.py\s+13\s+1\s+92%\s+14\n")
        self.python("-m", "coverage", "erase")
        self.write("test_case.py", """
            import measured, unittest
            class One(unittest.TestCase):
                def test_one(self): measured.in_first()
            class Two(unittest.TestCase):
                def test_two(self): measured.in_second()
        """)
        self.python("-m", "coverage", "run", "-p", "--include=measured.py",
                    "-m", "forkserver.unittest", "-j", "2", "test_case")
        self.python("-m", "coverage", "combine")
        report = self.python("-m", "coverage", "report", "-m")
        self.assertRegex(report.stdout,
                         r"measured.py\s+13\s+3\s+77%\s+6, 12, 14\n")


if __name__ == "__main__":
    unittest.main()
