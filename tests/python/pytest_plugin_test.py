"""pytest --forkserver, compared with pytest."""

import os
import shutil
import unittest

from daemon_fixture import read_file, wait_for
from pytest_fixture import SUITE, PytestTestCase, comparable
from runner_fixture import FLAG


class PytestPluginTest(PytestTestCase):

    def test_every_outcome_is_printed_as_by_pytest(self):
        self.write("test_suite.py", SUITE)
        self.write("sub/test_other.py", "def test_other(): pass\n")
        for arguments in ((), ("-v",), ("-q",), ("-rA",),
                          ("-v", "-k", "parameters or Class"),
                          ("-m", "slow"), ("-x",), ("--maxfail=2", "-v"),
                          ("test_suite.py::TestClass", "-v"),
                          ("--tb=short", "-p", "no:cacheprovider"),
                          ("-W", "error", "--tb=line"), ("--no-header",)):
            with self.subTest(arguments=arguments):
                self.assert_same(*arguments)

    def test_each_scope_gives_the_same_verdicts(self):
        self.write("test_suite.py", SUITE)
        self.write("sub/test_other.py", "def test_other(): pass\n")
        for scope in ("function", "class", "file"):
            with self.subTest(scope=scope):
                self.assert_same("-v", scope=scope, code=1)

    def test_durations_are_those_of_the_tests(self):
        self.write("test_slow.py", """
            import time
            def test_slow():
                deadline = time.monotonic() + 0.3
                while time.monotonic() < deadline:
                    pass
            def test_fast(): pass
        """)
        mine = self.ours("--durations=1")
        line = next(each for each in mine.stdout.splitlines()
                    if "test_slow.py::test_slow" in each)
        self.assertGreaterEqual(float(line.split("s ")[0]), 0.3)

    def test_nothing_to_run_and_wrong_arguments(self):
        self.assert_same(code=5)
        self.assert_same("no_such_file.py", code=4)
        self.assert_same("-k", "nothing", code=5)
        self.write("test_suite.py", SUITE)
        self.assert_same("-k", "nothing", code=5)
        self.assert_same("--collect-only", "-q")
        for option in ("--pdb", "--setup-show", "--setup-only",
                       "--setup-plan", "--trace"):
            mine = self.ours(option)
            self.assertEqual(mine.returncode, 4)
            self.assertIn(f"cannot be used with {option}", mine.stderr)
        mine = self.ours(count="many")
        self.assertEqual(mine.returncode, 4)
        self.assertIn("--forkserver needs a number", mine.stderr)
        self.assertIn("--forkserver-scope", self.ours("--help").stdout)

    def test_errors_of_collection_are_those_of_pytest(self):
        self.write("test_broken.py", "import nothing_of_that_name\n")
        self.write("test_syntax.py", "def :\n")
        self.write("test_skipped.py",
                   "import pytest\npytest.importorskip('no_such_module')\n")
        self.write("test_suite.py", SUITE)
        self.assert_same(code=2)
        self.assert_same("--continue-on-collection-errors", code=1)
        self.assert_same("-x", code=1)
        self.write("conftest.py", "1 / 0\n")
        self.assertEqual(self.ours().returncode, self.stock().returncode)

    def test_the_cache_of_failures_works(self):
        self.write("test_suite.py", SUITE)
        self.assert_same("-q")
        self.assert_same("--lf", "-v")
        self.assert_same("--ff", "-v")
        fixed = SUITE.replace("[1, 2] == [1, 3]", "True")
        self.write("test_suite.py", fixed)
        self.ours("--lf")
        mine = self.ours("--lf", "-v")
        self.assertNotIn("test_fails", mine.stdout)
        self.write("test_new.py", "def test_new(): pass\n")
        self.ours("-q")
        self.assert_same("--nf", "-v")
        self.write("test_broken.py", "import nothing_of_that_name\n")
        self.ours("-q")
        self.write("test_broken.py", "def test_repaired(): pass\n")
        self.assertIn("test_repaired", self.ours("--lf", "-v").stdout)
        self.assertNotIn("test_broken", read_file(os.path.join(
            self.suite, ".pytest_cache/v/cache/lastfailed")).decode())

    def test_stepwise_goes_on_where_it_stopped(self):
        self.write("test_suite.py", SUITE)
        outputs = []
        for run in (self.stock, self.ours):
            shutil.rmtree(os.path.join(self.suite, ".pytest_cache"),
                          ignore_errors=True)
            outputs.append([comparable(run("--sw", "-v").stdout)
                            for _ in range(2)])
        self.assertEqual(*outputs)

    def test_junit_xml_has_the_same_content(self):
        self.write("test_suite.py", SUITE)
        self.assertEqual(self.junit(self.ours), self.junit(self.stock))

    def test_output_is_not_captured_with_s(self):
        self.write("test_print.py", "def test_print(): print('seen')\n"
                   "def test_input():\n    assert input() == 'typed'\n")
        process = self.start_ours("-s", "--forkserver-scope=file", stdin=-1)
        stdout, _ = process.communicate("typed\n")
        self.assertIn("seen", stdout)
        self.assertEqual(process.returncode, 0, stdout)

    def test_each_unit_has_a_process_of_its_own(self):
        self.write("test_pids.py", FLAG + '''
def test_one(): flag(f"one {os.getpid()}")
def test_two(): flag(f"two {os.getpid()}")
class TestClass:
    def test_three(self): flag(f"three {os.getpid()}")
    def test_four(self): flag(f"four {os.getpid()}")
''')
        for scope, count in (("function", 4), ("class", 3), ("file", 1)):
            for name in self.raised():
                os.unlink(os.path.join(self.flags, name))
            self.assertEqual(self.ours("--forkserver-scope", scope).returncode,
                             0)
            self.assertEqual(
                len({each.split()[1] for each in self.raised()}), count)

    def test_unittest_classes_and_doctests_run(self):
        self.write("test_unit.py", FLAG + '''
"""
>>> 1 + 1
2
"""
class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.value = 1
    def test_one(self):
        self.assertEqual(self.value, 1)
    def test_two(self):
        for number in (1, 2):
            with self.subTest(number=number):
                self.assertEqual(number, 1)
''')
        for scope in ("function", "class", "file"):
            self.assert_same("-v", "--doctest-modules", scope=scope)

    def test_what_conftest_changes_is_there_in_workers(self):
        self.write("sub/conftest.py", """
            import os, pytest, sys
            os.environ["FROM_CONFTEST"] = "yes"
            sys.path.insert(0, "/from/conftest")
            @pytest.fixture(scope="session", autouse=True)
            def change():
                os.environ["FROM_FIXTURE"] = "yes"
                os.chdir("/")
                yield
                del os.environ["FROM_FIXTURE"]
        """)
        self.write("sub/test_environment.py", """
            import os, sys
            def test_it():
                assert os.environ["FROM_CONFTEST"] == "yes"
                assert os.environ["FROM_FIXTURE"] == "yes"
                assert "/from/conftest" in sys.path
                assert os.getcwd() == "/"
        """)
        self.assert_same("-q", code=0)

    def test_what_tests_execute_carries_the_id_of_their_worker(self):
        self.write("test_process.py", """
            import os
            def test_it():
                words = os.popen("echo $FORKSERVER_WORKER").read().split()
                assert len(words) == 1 and words[0] != "of-the-runner"
        """)
        result = self.ours("-q", env={"FORKSERVER_WORKER":
                                      "of-the-runner"})
        self.assertEqual(result.returncode, 0, result.stdout)

    def test_streams_that_modules_keep_are_captured(self):
        self.write("conftest.py", """
            import logging, sys
            logging.basicConfig(level=logging.INFO)
            out = sys.stdout
        """)
        self.write("test_keeps.py", """
            import conftest, logging, pytest
            @pytest.fixture(scope="module")
            def module(): logging.info("of a fixture")
            def test_keeps(module):
                logging.info("hello")
                print("direct", file=conftest.out)
                assert 0
            def test_too(module): pass
        """)
        for options in ((), ("-s",), ("--capture=sys",),
                        ("--capture=tee-sys",), ("-p", "no:logging"),
                        ("-p", "no:capture")):
            with self.subTest(options=options):
                stock, mine = self.stock(*options), self.ours(*options)
                for text in ("direct\n", "INFO:root:hello\n"):
                    self.assertEqual((mine.stdout + mine.stderr).count(text),
                                     (stock.stdout + stock.stderr).count(text))
                self.assertNotIn("Logging error", mine.stdout + mine.stderr)

    def test_plugins_hand_over_what_their_workers_need(self):
        self.write("conftest.py", """
            import pytest
            class Database:
                def __init__(self, port):
                    self.port = port
                    self.sock = open(__file__)
            @pytest.hookimpl(optionalhook=True)
            def pytest_configure_node(node):
                node.workerinput["sock_port"] = node.config.port
                node.workerinput["gateway"] = node.gateway.id
            def pytest_addoption(parser):
                parser.addoption("--seed", dest="randomly_seed", default=17)
            def pytest_configure(config):
                if hasattr(config, "workerinput"):
                    assert config.workerinput["randomly_seed"] == 17
                    config.failures_db = Database(
                        config.workerinput["sock_port"])
                else:
                    config.port = 4711
        """)
        self.write("test_given.py", """
            import gc
            def test_given(pytestconfig):
                assert pytestconfig.workerinput["gateway"] == "forkserver"
                assert pytestconfig.failures_db.port == 4711
                assert not pytestconfig.failures_db.sock.closed
        """)
        mine = self.ours()
        self.assertEqual(mine.returncode, 0, mine.stdout)

    def test_tests_may_replace_functions_of_the_system(self):
        self.write("conftest.py", """
            import os, pytest, signal, socket, time
            def broken(*_, **__): raise RuntimeError("not in tests")
            class Guard(socket.socket):
                def __new__(cls, *_, **__): broken()
            @pytest.fixture(scope="session", autouse=True)
            def session():
                with pytest.MonkeyPatch.context() as patch:
                    patch.setattr(socket, "socket", Guard)
                    for module, names in {
                            os: "getcwd chdir dup close read pipe fork umask "
                                "getpid listdir open waitpid",
                            time: "monotonic clock_gettime_ns",
                            signal: "signal"}.items():
                        for name in names.split():
                            patch.setattr(module, name, broken)
                    yield
        """)
        self.write("test_patches.py", """
            import os, pickle
            def test_fails(monkeypatch):
                monkeypatch.setattr(os, "write", lambda fd, data: len(data))
                assert 0
            def test_passes(monkeypatch):
                monkeypatch.setattr(os, "write", lambda fd, data: 0)
                monkeypatch.setattr(os, "_exit", lambda code: None)
                monkeypatch.setattr(pickle, "dumps", lambda *_: b"")
        """)
        mine = self.ours("-s")
        self.assertIn("1 failed, 1 passed", mine.stdout)

    def test_a_test_of_which_nothing_is_told_has_failed(self):
        self.write("conftest.py", """
            import pytest
            @pytest.hookimpl(tryfirst=True)
            def pytest_runtest_protocol(item, nextitem):
                if "silent" in item.name:
                    item.ihook.pytest_runtest_logstart(
                        nodeid=item.nodeid, location=item.location)
                    return True
        """)
        self.write("test_silence.py", """
            def test_silent(): pass
            def test_loud(): pass
            def test_silent_too(): pass
        """)
        for scope in ("function", "file"):
            mine = self.ours("--forkserver-scope", scope)
            self.assertIn("2 failed, 1 passed", mine.stdout)
            self.assertIn("told nothing of this test", mine.stdout)

    def test_files_and_pipes_of_modules_are_there(self):
        self.write("conftest.py", """
            log = open("log.txt", "a")
            log.write("loaded\\n")
            log.flush()
        """)
        self.write("data.txt", "first\nsecond\n")
        self.write("test_open.py", """
            import conftest, multiprocessing, os, pytest, socket, tempfile
            data = open("data.txt")
            data.readline()
            temporary = tempfile.TemporaryFile()
            temporary.write(b"abc")
            null = open(os.devnull, "w")
            reader, writer = os.pipe()
            queue = multiprocessing.SimpleQueue()
            pair = socket.socketpair()
            @pytest.mark.parametrize("number", range(4))
            def test_open(number):
                assert os.read(data.fileno(), 99) == b"" and (
                    data.readline() == "second\\n")
                assert temporary.seek(0) == 0 and temporary.read() == b"abc"
                print("nothing", file=null, flush=True)
                os.write(writer, b"x" * (number + 1))
                assert len(os.read(reader, 99)) == number + 1
                queue.put(number)
                assert queue.get() == number
                print(f"test {number}", file=conftest.log, flush=True)
            def test_missing():
                with pytest.raises(OSError):
                    pair[0].send(b"x")
        """)
        mine = self.ours()
        self.assertEqual(mine.returncode, 0, mine.stdout)
        self.assertEqual(
            sorted(read_file(os.path.join(self.suite, "log.txt")).split(b"\n")),
            sorted([b""] + [b"loaded"] * 2 + [b"test %d" % number
                                              for number in range(4)]))
        self.assertRegex(mine.stdout, r"test_open.py opened descriptor \d+ "
                         r"\(socket AF_UNIX")

    def test_the_garbage_collector_knows_what_the_modules_made(self):
        self.write("test_gc.py", """
            import gc, weakref
            class Node: pass
            kept = [Node()]
            loop = Node()
            loop.itself = loop
            def test_gc():
                global loop
                assert kept in gc.get_referrers(kept[0])
                reference = weakref.ref(loop)
                loop = None
                gc.collect()
                assert reference() is None
        """)
        mine = self.ours()
        self.assertEqual(mine.returncode, 0, mine.stdout)

    def test_logs_of_the_session_are_written_by_workers(self):
        self.write("test_logs.py", """
            import logging
            def test_one(): logging.warning("from one")
            def test_two(): logging.warning("from two")
        """)
        path = os.path.join(self.folder, "tests.log")
        mine = self.ours("--log-file", path)
        self.assertEqual((mine.returncode, mine.stderr), (0, ""))
        text = read_file(path).decode()
        self.assertIn("from one", text)
        self.assertIn("from two", text)

    # --- ends ---

    def test_a_test_that_interrupts_ends_the_run(self):
        self.write("test_interrupt.py", """
            def test_before(): pass
            def test_interrupt(): raise KeyboardInterrupt
            def test_after(): pass
        """)
        for scope in ("function", "file"):
            mine = self.ours("-v", "--forkserver-scope", scope)
            self.assertEqual(mine.returncode, 2)
            self.assertIn("test_before PASSED", mine.stdout)
            self.assertIn("KeyboardInterrupt", mine.stdout)
            self.assertIn("interrupted: test_interrupt.py::test_interrupt",
                          mine.stdout)

    def test_a_crash_is_a_failure_of_its_test_and_the_run_goes_on(self):
        self.write("test_crash.py", FLAG + '''
def test_before(): pass
def test_crash():
    os.kill(os.getpid(), 11)
def test_exit():
    os._exit(0)
def test_after(): pass
''')
        for scope in ("function", "file"):
            mine = self.ours("-v", "--forkserver-scope", scope)
            self.assertEqual(mine.returncode, 1)
            self.assertIn("was killed by SIGSEGV while it ran this test",
                          mine.stdout)
            self.assertIn("in test_crash", mine.stdout)  # faulthandler
            self.assertIn("exited with code 0 while it ran", mine.stdout)
            self.assertIn("2 failed, 2 passed", mine.stdout)
            self.assertIn("test_after PASSED", mine.stdout)
        cases, counts = self.junit(self.ours)
        self.assertEqual(counts, ["4", "2", "0", "0"])
        self.assertEqual(cases[("test_crash", "test_crash")][0][0], "failure")
        self.assertIn("2 failed", self.ours("--lf").stdout)

    def test_ctrl_c_lets_fixtures_end_and_tells_where_it_was(self):
        self.write("conftest.py", FLAG + '''
import pytest
@pytest.fixture(scope="session")
def session():
    yield
    flag("session torn down")
@pytest.fixture(scope="module")
def module(session):
    yield
    flag("module torn down")
@pytest.fixture
def function(module):
    yield
    flag("function torn down")
''')
        self.write("test_hang.py", FLAG + '''
def test_before(): pass
def test_hang(function):
    flag("hangs")
    hang()
def test_after(module): flag("after")
''')
        process = self.start_ours("-v", "--forkserver-scope=file")
        self.wait_for_flag("hangs")
        stdout, _ = self.interrupt(process)
        self.assertEqual(process.returncode, 2)
        self.assertIn("KeyboardInterrupt", stdout)
        self.assertIn("interrupted: test_hang.py::test_hang", stdout)
        self.assertEqual(self.raised(),
                         ["function torn down", "hangs", "module torn down",
                          "session torn down"])

    def test_a_worker_that_ignores_ctrl_c_is_killed(self):
        self.write("test_hang.py", FLAG + '''
def test_hang():
    signal.signal(2, signal.SIG_IGN)
    flag("hangs")
    hang()
''')
        process = self.start_ours()
        self.wait_for_flag("hangs")
        self.interrupt(process)
        self.assertEqual(process.returncode, 2)
        wait_for(lambda: self.cli_json("ps") == [], "no worker")

    def test_pytest_exit_ends_the_run(self):
        self.write("test_exit.py", """
            import pytest
            def test_one(): pass
            def test_exit(): pytest.exit("enough", returncode=9)
            def test_after(): pass
        """)
        mine = self.assert_same("-v", code=9)
        self.assertIn("enough", mine.stdout)

    def test_a_daemon_that_dies_ends_the_run_with_an_error(self):
        self.write("test_hang.py", FLAG + '''
def test_hang():
    flag("hangs")
    hang()
''')
        process = self.start_ours()
        self.wait_for_flag("hangs")
        self.kill_daemon()
        stdout, _ = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 2)
        self.assertIn("Interrupted: forkserver: ", stdout)

    def test_a_module_that_starts_a_thread_is_refused_by_name(self):
        self.write("test_thread.py", FLAG + '''
threading.Thread(target=time.sleep, args=(1000,), daemon=True,
                 name="poison").start()
def test_one(): pass
''')
        mine = self.ours()
        self.assertEqual(mine.returncode, 4)
        self.assertIn("poison", mine.stderr)
        self.assertIn("test_thread", mine.stderr)

    def test_the_main_process_may_be_poisoned(self):
        self.write("poisoning.py", FLAG + '''
def pytest_configure(config):
    if hasattr(config, "workerinput"):
        return
    lock = threading.Lock()
    lock.acquire()
    os.register_at_fork(after_in_child=lock.acquire)
    threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
''')
        self.write("test_suite.py", SUITE)
        self.assertEqual(
            comparable(self.ours("-q", "-p", "poisoning").stdout),
            comparable(self.stock("-q").stdout))


if __name__ == "__main__":
    unittest.main()
