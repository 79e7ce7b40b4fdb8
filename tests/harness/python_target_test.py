"""`forkserver test` of Python tests: the same verdicts as the stock runners
where these have one, and the right ones where they hang, crash or believe what
they are told."""

import json
import os
import signal
import subprocess
import sys
import unittest
from xml.etree import ElementTree

from daemon_fixture import wait_for
from python_target_case import FRAMEWORKS, PythonTargetCase, needs_pytest

ENDS = '''
    import ctypes, os, signal, subprocess, sys, threading, time, unittest

    class Ends(unittest.TestCase):
        def test_passes(self):
            print("printed by test_passes")
        def test_fails(self):
            print("printed by test_fails")
            print("and on stderr", file=sys.stderr)
            self.assertEqual(1, 2)
        @unittest.skip("not today")
        def test_skipped(self):
            pass
        def test_crashes(self):
            print("the last words")
            ctypes.string_at(0)
        def test_leaves(self):
            os._exit(0)
        def test_hangs(self):
            while True:
                time.sleep(1)
        def test_ignores_term(self):
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            while True:
                time.sleep(1)
        def test_leaks(self):
            subprocess.Popen(["sleep", "1000"])
        def test_exits(self):
            sys.exit(0)
        def test_interrupts(self):
            raise KeyboardInterrupt
        def test_thread_passes(self):
            threading.Thread(target=time.sleep, args=(0.01,)).start()
        def test_closes_all(self):
            os.closerange(0, 1024)
        def test_kills_its_group(self):
            os.killpg(0, signal.SIGKILL)
        def test_stops_its_parent(self):
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(60)
        def test_lies(self):
            import atexit
            atexit.register(os._exit, 3)
'''

VERDICTS = {
    "test_passes": "pass", "test_fails": "fail", "test_skipped": "skip",
    "test_crashes": "crash", "test_leaves": "crash", "test_hangs": "timeout",
    "test_ignores_term": "timeout", "test_leaks": "leak",
    "test_exits": "fail", "test_interrupts": "fail",
    "test_thread_passes": "pass", "test_closes_all": "pass",
    "test_kills_its_group": "crash", "test_lies": "crash",
}


class VerdictTest(PythonTargetCase):

    def test_every_end_of_a_test_has_its_verdict(self):
        self.write("test_ends.py", ENDS)
        run = self.harness("test_ends.py", "--timeout", "3", "--grace", "1",
                        "-j", "4", "--", *VERDICTS)
        self.assertEqual(
            {name.rpartition(".")[2]: verdict
             for name, verdict in run.verdicts.items()}, VERDICTS)
        self.assertEqual(run.code, 1)
        self.assertEqual((run.ready["framework"], run.ready["warm"]),
                         ("unittest", True))

        fails = run.attempt("test_fails")
        self.assertEqual(fails["reason"], "AssertionError: 1 != 2")
        self.assertEqual((fails["stdout"]["head"], fails["stderr"]["head"]),
                         ("printed by test_fails\n", "and on stderr\n"))
        self.assertTrue(fails["failures"][0]["file"].endswith("test_ends.py"))
        self.assertEqual(run.attempt("test_skipped")["skip_reason"],
                         "not today")
        crashes = run.attempt("test_crashes")
        self.assertIn("SIGSEGV", crashes["reason"])
        self.assertEqual(crashes["stdout"]["head"], "the last words\n")
        self.assertIn("in test_crashes", crashes["exit"]["crash"]["traceback"])
        self.assertEqual(run.attempt("test_leaves")["reason"],
                         "exited early with code 0")
        self.assertIn("in test_hangs", run.attempt("test_hangs")["exit"]
                      ["crash"]["traceback"])
        self.assertIn("sleep 1000", "".join(
            run.attempt("test_leaks")["leaked"]))

    def test_a_test_that_kills_its_zygote_does_not_harm_others(self):
        self.write("test_ends.py", ENDS)
        run = self.harness("test_ends.py", "-j", "2", "--timeout", "30", "--",
                        "test_stops_its_parent", "test_passes",
                        "test_thread_passes", "test_closes_all")
        verdicts = {name.rpartition(".")[2]: verdict
                    for name, verdict in run.verdicts.items()}
        killer = verdicts.pop("test_stops_its_parent")
        self.assertIn(killer, ("infrastructure", "crash"))
        self.assertEqual(set(verdicts.values()), {"pass"}, verdicts)
        self.assertEqual(len(verdicts), 3)

    def test_2000_small_tests_pass(self):
        self.write("test_many.py", '''
            import unittest
            class Many(unittest.TestCase):
                pass
            for number in range(2000):
                setattr(Many, f"test_{number}", lambda self: None)
        ''')
        run = self.harness("test_many.py", "-j", "4")
        self.assertEqual(run.code, 0, run.errors)
        self.assertEqual(len(run.verdicts), 2000)
        self.assertEqual(set(run.verdicts.values()), {"pass"})

    def test_a_suite_or_a_file_shares_a_worker(self):
        self.write("test_shared.py", '''
            import os, unittest
            class One(unittest.TestCase):
                @classmethod
                def setUpClass(cls): print("set up")
                def test_a(self): print(os.getpid())
                def test_b(self): print(os.getpid())
            class Two(unittest.TestCase):
                def test_c(self): print(os.getpid())
        ''')

        def pids(isolate):
            run = self.harness("test_shared.py", "--isolate", isolate)
            self.assertEqual(run.code, 0, run.errors)
            return {each["id"][-1]: each["exit"]["pid"]
                    for each in run.of("attempt_ended")}

        by_test, by_suite, by_file = map(pids, ("test", "suite", "file"))
        self.assertEqual(len(set(by_test.values())), 3)
        self.assertEqual(by_suite["a"], by_suite["b"])
        self.assertNotEqual(by_suite["a"], by_suite["c"])
        self.assertEqual(len(set(by_file.values())), 1)

    def test_a_crash_in_a_shared_worker_is_that_of_its_test(self):
        self.write("test_shared.py", '''
            import os, unittest
            class One(unittest.TestCase):
                def test_a(self): pass
                def test_b(self): os.abort()
                def test_c(self): pass
        ''')
        run = self.harness("test_shared.py", "--isolate", "file")
        self.assertEqual({name[-1]: verdict
                          for name, verdict in run.verdicts.items()},
                         {"a": "pass", "b": "crash", "c": "pass"})

    def test_what_a_shared_worker_leaves_is_no_flaky_test(self):
        self.write("test_shared.py", '''
            import subprocess, unittest
            class One(unittest.TestCase):
                def test_a(self):
                    subprocess.Popen(["sleep", "600"], start_new_session=True,
                                     stdout=subprocess.DEVNULL,
                                     stderr=subprocess.DEVNULL)
                def test_b(self): pass
                @unittest.skip("not today")
                def test_c(self): pass
        ''')
        run = self.harness("test_shared.py", "--isolate", "file", "--retries",
                           "2")
        self.assertEqual({name[-1]: verdict
                          for name, verdict in run.verdicts.items()},
                         {"a": "pass", "b": "leak", "c": "skip"})
        self.assertEqual(run.code, 1)
        attempt = run.attempt("test_b")
        self.assertIn("by it or another test of its worker",
                      attempt["reason"])
        self.assertIn("sleep 600", attempt["leaked"][0])

    def test_retries_make_a_flaky_test_of_one_that_passes_then(self):
        self.write("test_flaky.py", '''
            import os, unittest
            class One(unittest.TestCase):
                def test_it(self):
                    flag = os.path.join(os.environ["FLAGS"], "was-here")
                    if not os.path.exists(flag):
                        open(flag, "w").close()
                        self.fail("the first time")
        ''')
        run = self.harness("test_flaky.py", "--retries", "2")
        self.assertEqual(list(run.verdicts.values()), ["flaky"])


@needs_pytest
class PytestTest(PythonTargetCase):

    def test_fixtures_of_sessions_and_files_are_set_up_once(self):
        self.write("conftest.py", '''
            import os
            import pytest

            def note(what):
                with open(os.path.join(os.environ["FLAGS"], "log"), "a") as f:
                    f.write(what + "\\n")

            @pytest.fixture(scope="session")
            def session():
                note("session up")
                yield os.getpid()
                note("session down")

            @pytest.fixture(scope="module")
            def module(session):
                note("module up")
                yield os.getpid()
                note("module down")
        ''')
        for name in ("one", "two"):
            self.write(f"test_{name}.py", '''
                import os
                import pytest
                @pytest.mark.parametrize("number", range(5))
                def test_it(session, module, number):
                    assert len({session, module, os.getpid()}) == 3
            ''')
        run = self.harness(".", "-j", "3")
        self.assertEqual(run.code, 0, run.errors)
        self.assertEqual(len(run.verdicts), 10)
        with open(os.path.join(self.flags, "log"), encoding="utf-8") as file:
            lines = file.read().splitlines()
        self.assertEqual(sorted(lines), ["module down"] * 2 +
                         ["module up"] * 2 + ["session down", "session up"])
        self.assertEqual(lines[0], "session up")
        self.assertEqual(lines[-1], "session down")

    def test_only_what_is_chosen_is_set_up(self):
        self.write("conftest.py", '''
            import os
            import pytest
            @pytest.fixture(scope="session")
            def costly():
                open(os.path.join(os.environ["FLAGS"], "costly"), "w").close()
        ''')
        self.write("test_it.py", '''
            def test_cheap(): pass
            def test_costly(costly): pass
        ''')
        flag = os.path.join(self.flags, "costly")
        self.assertEqual(self.harness(".", "--", "cheap").code, 0)
        listed = self.cli("test", "--list", "--python", sys.executable, ".",
                          cwd=self.suite)
        self.assertEqual(listed.returncode, 0, listed.stderr)
        self.assertFalse(os.path.exists(flag))
        self.assertEqual(self.harness(".", "--", "costly").code, 0)
        self.assertTrue(os.path.exists(flag))

    def test_a_fixture_that_breaks_at_its_end_fails_the_run(self):
        self.write("test_it.py", '''
            import pytest
            @pytest.fixture(scope="session")
            def breaking():
                yield
                raise RuntimeError("it breaks at its end")
            def test_one(breaking): pass
        ''')
        run = self.harness("test_it.py")
        self.assertEqual(list(run.verdicts.values()), ["pass"])
        self.assertEqual(run.code, 1)
        self.assertIn("it breaks at its end", run.errors)

    def write_slow_fixtures(self):
        self.write("test_it.py", '''
            import os
            import pytest
            import time

            def note(what):
                with open(os.path.join(os.environ["FLAGS"], what), "w") as f:
                    f.write(what)

            def stand(what):
                note(what)
                go = os.path.join(os.environ["FLAGS"], "go-" + what)
                while not os.path.exists(go):
                    time.sleep(0.01)

            @pytest.fixture(scope="session")
            def first():
                stand("up")
                yield
                stand("ending")
                note("down")
            def test_one(first): note("ran")
        ''')

    def let_go(self, flag):
        with open(os.path.join(self.flags, "go-" + flag), "w"):
            pass

    def interrupt(self, *flags, stuck=False):
        """A run that gets a signal when each of these is there, and goes on
        then; `stuck`: but from the last."""
        run = self.start_cli("test", "--json", "--python", sys.executable,
                             "--junit", os.path.join(self.flags, "junit"),
                             "test_it.py", cwd=self.suite)
        for flag in flags:
            wait_for(lambda flag=flag: self.is_noted(flag), flag)
            run.send_signal(signal.SIGINT)
            if not (stuck and flag == flags[-1]):
                self.let_go(flag)
        stdout, stderr = run.communicate(timeout=60)
        self.assertEqual(run.returncode, 130, stdout + stderr)
        junit = ElementTree.parse(os.path.join(self.flags, "junit")).getroot()
        self.assertEqual(junit.get("errors"), "1")
        return json.loads(stdout.splitlines()[-1])

    def is_noted(self, flag):
        return os.path.exists(os.path.join(self.flags, flag))

    def test_fixtures_that_are_set_up_at_a_signal_are_torn_down(self):
        self.write_slow_fixtures()
        self.let_go("ending")
        summary = self.interrupt("up")
        self.assertEqual((summary["not_run"], summary["errors"]), (1, []))
        self.assertTrue(self.is_noted("down"))
        self.assertFalse(self.is_noted("ran"))

    def test_fixtures_that_are_torn_down_at_a_signal_go_on(self):
        self.write_slow_fixtures()
        self.let_go("up")
        summary = self.interrupt("ending")
        self.assertEqual((summary["passed"], summary["errors"]), (1, []))
        self.assertTrue(self.is_noted("down"))

    def test_the_second_signal_ends_fixtures(self):
        self.write_slow_fixtures()
        summary = self.interrupt("up", "ending", stuck=True)
        self.assertIn("fixtures of the session were not torn down, as the run "
                      "was ended", summary["errors"][0])
        self.assertFalse(self.is_noted("down"))
        self.let_go("ending")  # in the daemon, which the test has not ended

    def test_a_fixture_that_ends_its_zygote_fails_the_run(self):
        self.write("test_it.py", '''
            import os
            import pytest
            @pytest.fixture(scope="session")
            def ending():
                yield
                os._exit(0)
            def test_one(ending): pass
        ''')
        run = self.harness("test_it.py")
        self.assertEqual(run.code, 1)
        self.assertIn("the zygote of the session ended before its fixtures "
                      "were torn down", run.errors)

    def test_a_teardown_may_take_long(self):
        self.write("test_it.py", '''
            import os
            import pytest
            import time
            @pytest.fixture(scope="session")
            def slow():
                yield
                time.sleep(6)
                open(os.path.join(os.environ["FLAGS"], "down"), "w").close()
            def test_one(slow): pass
        ''')
        self.assertEqual(self.harness("test_it.py").code, 0)
        self.assertTrue(os.path.exists(os.path.join(self.flags, "down")))

    def test_a_fixture_that_cannot_be_forked_is_named_and_each_has_it(self):
        self.write("test_it.py", '''
            import threading
            import pytest
            @pytest.fixture(scope="module")
            def threaded():
                end = threading.Event()
                thread = threading.Thread(target=end.wait, name="left-over")
                thread.start()
                yield threading.active_count()
                end.set()
                thread.join()
            def test_one(threaded): assert threaded == 2
            def test_two(threaded): assert threaded == 2
        ''')
        run = self.harness("test_it.py")
        self.assertEqual(run.code, 0, run.errors)
        warnings = "\n".join(each["text"] for each in run.of("warning"))
        self.assertIn("threaded", warnings)
        self.assertIn("left-over", warnings)

    def test_ids_of_any_characters_and_markers_can_be_chosen(self):
        self.write("pytest.ini", "[pytest]\nmarkers = slow\n")
        self.write("test_it.py", '''
            import pytest
            @pytest.mark.parametrize("text", ["a b", "[x]", "::", "\\u00f6",
                                              "*", "'", ""])
            def test_any(text): pass
            @pytest.mark.slow
            def test_slow(): pass
            @pytest.mark.xfail(strict=True)
            def test_strict(): pass
        ''')
        run = self.harness("test_it.py")
        stock = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "test_it.py"],
            cwd=self.suite, env=self.sandbox.environment, check=False,
            capture_output=True, text=True)
        self.assertIn("1 failed, 8 passed", stock.stdout)
        verdicts = list(run.verdicts.values())
        self.assertEqual((verdicts.count("fail"), verdicts.count("pass")),
                         (1, 8))
        listed = {each["name"]: each["tags"]
                  for each in run.of("run_began")[0]["tests"]}
        self.assertEqual(listed["test_it.py::test_slow"], ["slow"])

    def test_a_single_test_is_a_target(self):
        self.write("test_it.py", '''
            def test_one(): pass
            def test_two(): assert False
        ''')
        run = self.harness("test_it.py::test_one")
        self.assertEqual((run.code, run.verdicts),
                         (0, {"test_one::test_it.py::test_one": "pass"}))


class LoadingTest(PythonTargetCase):

    def test_what_cannot_be_loaded_fails_the_run(self):
        self.write("test_good.py", '''
            import unittest
            class One(unittest.TestCase):
                def test_one(self): pass
        ''')
        self.write("test_bad.py", "import no_such_module")
        for framework in FRAMEWORKS:
            with self.subTest(framework):
                run = self.harness(".", "--framework", framework)
                self.assertEqual(list(run.verdicts.values()), ["pass"])
                self.assertEqual(run.code, 1)
                self.assertIn("no_such_module", run.errors)
                # Also where what is chosen has nothing to do with it.
                run = self.harness(".", "--framework", framework, "--", "Good")
                self.assertEqual(run.code, 1)

    def test_no_tests_are_exit_code_4(self):
        self.write("test_none.py", "")
        self.assertEqual(self.harness("test_none.py").code, 4)

    def test_a_thread_at_import_is_named_with_what_to_do(self):
        self.write("test_thread.py", '''
            import threading, unittest
            threading.Thread(target=threading.Event().wait, daemon=True,
                             name="of-a-test-module").start()
            class One(unittest.TestCase):
                def test_one(self): pass
        ''')
        run = self.harness("test_thread.py")
        self.assertEqual((run.code, run.verdicts), (125, {}))
        for text in ("of-a-test-module", "test_thread", "setUpModule"):
            self.assertIn(text, run.errors)

    def test_interpreters_that_will_not_do_are_explained(self):
        self.write("test_one.py", '''
            import unittest
            class One(unittest.TestCase):
                def test_one(self): pass
        ''')
        run = self.harness("test_one.py", python="no-such-python")
        self.assertEqual(run.code, 125)
        self.assertIn("no-such-python", run.errors)
        self.assertIn("--python", run.errors)
        for module, text in (("msgpack", "python3-msgpack"),
                             ("forkserver", "pip install")):
            with self.subTest(module):
                fake = os.path.join(self.folder, "without-" + module)
                with open(fake, "w", encoding="utf-8") as file:
                    file.write(f"#!{sys.executable}\n")
                    file.write("import sys\n"
                               f"raise ModuleNotFoundError(\"No module named "
                               f"'{module}'\")\n")
                os.chmod(fake, 0o755)
                run = self.harness("test_one.py", python=fake)
                self.assertEqual(run.code, 125)
                self.assertIn(f"cannot import {module}"
                              if module == "msgpack" else
                              "cannot import the package forkserver",
                              run.errors)
                self.assertIn(text, run.errors)

    def test_what_is_not_there_is_an_error_of_usage(self):
        for target in ("test_none.py", "no/folder.py", "test_none.py::One"):
            with self.subTest(target):
                result = self.cli("test", target, cwd=self.suite)
                self.assertEqual(result.returncode, 2, result.stderr)
                self.assertIn(target.partition("::")[0], result.stderr)

    def test_tests_have_their_slot_and_the_environment_of_the_command(self):
        self.write("test_env.py", '''
            import os, unittest
            os.environ["LEFT"] = "by the module"
            class One(unittest.TestCase):
                def test_one(self):
                    self.assertIn(os.environ["FORKSERVER_TEST_SLOT"], "01")
                    self.assertEqual(os.environ["MINE"], "yes")
                    self.assertEqual(os.environ["LEFT"], "by the module")
                    self.assertTrue(os.path.isdir(os.environ["TMPDIR"]))
                    self.assertEqual(os.getcwd(), os.path.dirname(
                        os.path.abspath(__file__)))
        ''')
        self.sandbox.environment["MINE"] = "yes"
        run = self.harness("test_env.py", "-j", "2")
        self.assertEqual(run.code, 0, run.attempt("test_one"))

    def test_preload_steps_run_before_the_tests_are_loaded(self):
        self.write("warm.py", "def up():\n    global ready\n    ready = 1\n")
        self.write("test_warm.py", '''
            import unittest, warm
            assert warm.ready
            class One(unittest.TestCase):
                def test_one(self): pass
        ''')
        run = self.harness("test_warm.py", "--preload", "warm:up")
        self.assertEqual(run.code, 0, run.errors)


if __name__ == "__main__":
    unittest.main()
