"""What zygotes with tests have beside frameworks: which of these it is, what
the tests were loaded from, the report page."""

import os
import sys
import tempfile
import time
import unittest

from forkserver.protocol.messages import TestFailure, TestProgress
from forkserver.test_zygote import choice, names
from forkserver.test_zygote.report_page import ReportPage as Writer
from test_zygote_case import ReportPage, TestZygoteCase

try:
    import pytest as _pytest_is_there  # noqa: F401
except ImportError:
    _pytest_is_there = None

PLAIN = "import unittest\nclass One(unittest.TestCase):\n  def test_one(self): pass\n"


@unittest.skipIf(_pytest_is_there is None, "os: there is no pytest")
class ChoiceTest(unittest.TestCase):

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(folder.name)
        os.mkdir("tests")
        self.write("tests/test_one.py", PLAIN)

    def write(self, path, text):
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    def assert_choice(self, expected):
        for target in ("tests", "tests/test_one.py", "tests.test_one"):
            with self.subTest(target):
                self.assertEqual(choice.choose(target), expected)

    def test_test_cases_alone_are_unittests(self):
        self.assert_choice("unittest")

    def test_a_node_id_is_pytests(self):
        self.assertEqual(choice.choose("tests/test_one.py::One"), "pytest")

    def test_a_configuration_makes_it_pytests(self):
        for name, text, counts in (
                ("pytest.ini", "", True),
                ("pyproject.toml", "[tool.pytest.ini_options]\n", True),
                ("pyproject.toml", "[project]\nname = 'shop'\n", False),
                ("tox.ini", "[tox]\n[pytest]\n", True),
                ("tox.ini", "[tox]\n", False),
                ("setup.cfg", "[tool:pytest]\n", True),
                ("setup.cfg", "not an ini file", False),
                ("conftest.py", "", True),
                ("tests/conftest.py", "", True)):
            with self.subTest(name, text=text):
                self.write(name, text)
                self.assert_choice("pytest" if counts else "unittest")
                os.remove(name)

    def test_what_only_pytest_would_run_makes_it_pytests(self):
        for text, counts in (("def test_one(): pass", True),
                             ("async def test_one(): pass", True),
                             ("class TestOne:\n  pass", True),
                             ("class TestOne(object):\n  pass", True),
                             ("class TestOne(Base):\n  pass", False),
                             ("    def test_one(): pass", False),
                             ("# import pytest", False),
                             ("try:\n    import pytest\nfinally:\n pass",
                              True),
                             ("from pytest import mark", True)):
            with self.subTest(text):
                self.write("tests/test_one.py", PLAIN + text + "\n")
                self.assert_choice("pytest" if counts else "unittest")

    def test_a_conftest_below_counts_for_the_folder(self):
        os.mkdir("tests/deep")
        self.write("tests/deep/conftest.py", "")
        self.assertEqual(choice.choose("tests"), "pytest")
        self.assertEqual(choice.choose("tests/test_one.py"), "unittest")


class NamesTest(unittest.TestCase):

    def test_names_are_unique(self):
        self.assertEqual(
            names.unique(["a", "a", "b", "a", "a (2)", "a (2)"]),
            ["a", "a (2)", "b", "a (3)", "a (2) (2)", "a (2) (3)"])

    def test_names_can_travel(self):
        self.assertEqual(names.travelling("caf\udce9"), "caf\udce9")
        self.assertEqual(names.travelling("\ud800!"), "\\ud800!")


class ReportPageTest(unittest.TestCase):

    def setUp(self):
        self.page = ReportPage()
        self.addCleanup(self.page.close)

    def writer(self):
        return Writer(os.dup(self.page.fd))

    def test_records_come_in_order(self):
        writer = self.writer()
        writer.begun("a")
        writer.ended(TestProgress(test="a", status="passed", wall_us=5))
        writer.complete(["a"])
        self.assertEqual([(each.event, each.test, each.status)
                          for each in self.page.read()],
                         [("begun", "a", ""), ("ended", "a", "passed"),
                          ("complete", "", "")])

    def test_it_is_not_complete_while_a_test_has_no_end(self):
        writer = self.writer()
        writer.begun("a")
        writer.complete(["a"])
        self.assertEqual([each.event for each in self.page.read()],
                         ["begun"])

    def test_its_descriptor_is_closed(self):
        fd = os.dup(self.page.fd)
        Writer(fd)
        with self.assertRaises(OSError):
            os.fstat(fd)

    def test_a_second_writer_is_refused(self):
        self.writer()
        with self.assertRaisesRegex(ValueError, str(os.getpid())):
            self.writer()

    def test_what_is_no_page_is_refused(self):
        with open(__file__, "rb") as file:
            with self.assertRaisesRegex(ValueError, "no report page"):
                Writer(os.dup(file.fileno()))
        read_end, write_end = os.pipe()
        os.close(write_end)
        with self.assertRaisesRegex(ValueError, "no report page"):
            Writer(read_end)

    def test_a_forked_child_writes_nothing(self):
        writer = self.writer()
        child = os.fork()
        if child == 0:
            writer.begun("in the child")
            os._exit(0)
        os.waitpid(child, 0)
        self.assertEqual(self.page.read(), [])

    def test_a_page_that_was_given_up_is_not_written_to(self):
        writer = self.writer()
        self.page.clear()
        writer.begun("late")
        self.assertEqual(self.page.read(), [])

    def test_texts_are_cut_and_statuses_kept(self):
        writer = self.writer()
        for number in range(50):
            writer.ended(TestProgress(
                test=str(number), status="failed", skip_reason="\ud800",
                failures=[TestFailure("\u00e9" * 200_000)
                          for _ in range(3)]))
        records = self.page.read()
        self.assertEqual([each.status for each in records], ["failed"] * 50)
        self.assertLess(len(records[0].failures[0].message.encode()),
                        300 << 10)
        self.assertEqual(records[0].skip_reason, "\\ud800")
        self.assertIn("no room", records[-1].failures[0].message)

    def test_when_it_is_full_nothing_breaks(self):
        writer = self.writer()
        for _ in range(200):
            writer.begun("x" * 100_000)
        self.assertGreater(len(self.page.read()), 150)


class FilesTest(TestZygoteCase):
    """What the harness compares before it uses a zygote again."""

    def load_suite(self, framework="unittest"):
        self.write("tests/test_one.py", '''
            import json, os, unittest, helper
            with open(os.path.join(os.path.dirname(__file__),
                                   "cases.json")) as file:
                CASES = json.load(file)
            class One(unittest.TestCase):
                def test_one(self):
                    import late
        ''')
        self.write("tests/helper.py", "")
        self.write("tests/late.py", "")
        self.write("tests/cases.json", "[1, 2]")
        self.write("tests/notes.txt", "")
        os.mkdir(os.path.join(self.suite, "tests", "pkg"))
        # What has changed just now is not trusted.
        past = time.time() - 3600
        for folder, _, files in os.walk(self.suite):
            for name in files:
                os.utime(os.path.join(folder, name), (past, past))
        time_of_change = time.time_ns
        begun = time_of_change() + 50_000_000
        while time_of_change() < begun:
            pass  # of the inode: it cannot be set
        return self.load("tests", framework).files()

    def test_modules_and_what_they_read_are_there(self):
        files = self.load_suite()
        stamps = {each.path: each for each in files.files}
        folder = os.path.join(self.suite, "tests")
        for name in ("test_one.py", "helper.py", "cases.json"):
            path = os.path.join(folder, name)
            status = os.stat(path)
            self.assertEqual(
                (stamps[path].modified_ns, stamps[path].changed_ns,
                 stamps[path].size, stamps[path].inode),
                (status.st_mtime_ns, status.st_ctime_ns, status.st_size,
                 status.st_ino))
        for name in ("late.py", "notes.txt"):
            self.assertNotIn(os.path.join(folder, name), stamps)
        self.assertIn(unittest.__file__, stamps)
        self.assertFalse([path for path in stamps if path.endswith(".pyc")])

    def test_folders_have_what_could_hold_tests(self):
        files = self.load_suite()
        folders = {each.path: each.names for each in files.folders}
        self.assertEqual(
            folders[os.path.join(self.suite, "tests")],
            ["cases.json", "helper.py", "late.py", "pkg", "test_one.py"])
        self.assertEqual(files.suffixes, [".json", ".py"])

    def test_a_file_that_changes_while_it_is_loaded_is_not_trusted(self):
        self.write("test_new.py", '''
            import os, unittest
            os.utime(__file__)
            class One(unittest.TestCase):
                def test_one(self): pass
        ''')
        files = self.load("test_new.py", "unittest").files()
        stamp, = [each for each in files.files
                  if each.path.endswith("test_new.py")]
        self.assertEqual(stamp.size, -1)

    @unittest.skipIf(_pytest_is_there is None, "os: there is no pytest")
    def test_configuration_and_conftest_of_pytest_are_there(self):
        self.write("pytest.ini", "[pytest]\n")
        self.write("conftest.py", "")
        files = self.load_suite("pytest")
        paths = [os.path.relpath(each.path, self.suite)
                 for each in files.files]
        for path in ("pytest.ini", "conftest.py", "tests/test_one.py",
                     "tests/cases.json"):
            self.assertIn(path, paths)

    def test_bytecode_of_a_source_that_is_new_is_not_kept(self):
        del self.environment["PYTHONDONTWRITEBYTECODE"]
        self.write("test_new.py", PLAIN)
        old = self.write("helper.py", "")
        os.utime(old, (1, 1))
        self.write("test_old.py", "import helper\n" + PLAIN)
        self.load(".", "unittest")
        cached = os.listdir(os.path.join(self.suite, "__pycache__"))
        self.assertEqual([name.partition(".")[0] for name in cached],
                         ["helper"])
        if _pytest_is_there is not None:
            self.load(".", "pytest")
            cached = os.listdir(os.path.join(self.suite, "__pycache__"))
            self.assertEqual({name.partition(".")[0] for name in cached},
                             {"helper"})

    def test_a_thread_that_a_module_starts_is_named(self):
        self.write("test_thread.py", '''
            import threading, unittest
            threading.Thread(target=threading.Event().wait, daemon=True,
                             name="of-a-test-module").start()
            class One(unittest.TestCase):
                def test_one(self): pass
        ''')
        with self.assertRaisesRegex(Exception, "of-a-test-module.*test_thread"
                                    ) as caught:
            self.start("test_thread.py", "unittest")
        self.assertEqual(caught.exception.code, "zygote_unsafe")

    def test_a_framework_that_there_is_not_is_said(self):
        tests = self.load(".", "nose")
        self.assertEqual(tests.names, [])
        self.assertIn("nose", tests.list.errors[0])

    def test_without_pytest_it_says_what_to_do(self):
        self.write("none/pytest.py", "raise ImportError('none of that')")
        self.environment["PYTHONPATH"] = os.pathsep.join(
            [os.path.join(self.suite, "none"),
             self.environment["PYTHONPATH"]])
        self.write("test_one.py", "def test_one(): pass")
        tests = self.load("test_one.py", "pytest")
        self.assertEqual(tests.names, [])
        self.assertIn(f"{sys.executable} cannot import pytest",
                      tests.list.errors[0])
        self.assertIn("--framework unittest", tests.list.errors[0])


if __name__ == "__main__":
    unittest.main()
