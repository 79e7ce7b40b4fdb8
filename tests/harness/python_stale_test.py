"""A Python zygote that was kept is used again only if nothing has changed of
what its tests were loaded from: never a stale green."""

import os
import unittest

from python_target_case import PythonTargetCase, needs_pytest

TEST = '''
    import unittest
    class One(unittest.TestCase):
        def test_one(self): self.assertEqual({}, 1)
'''
AGAIN = ["its zygote is used again: nothing has changed"]


class StaleTest(PythonTargetCase):

    def setUp(self):
        super().setUp()
        # Compiled files are a part of the danger.
        del self.sandbox.environment["PYTHONDONTWRITEBYTECODE"]

    def why(self, *arguments, verdict="pass", **options):
        """Of a run, whose only test has the verdict."""
        run = self.harness(*(arguments or ["tests"]), **options)
        self.assertEqual(list(run.verdicts.values()), [verdict],
                         run.errors or run.stderr)
        return run.ready["why"]

    def settle(self, *arguments):
        """Until a run finds nothing new: what was written a moment ago may
        have changed while it was loaded."""
        for _ in range(5):
            if self.why(*arguments) == AGAIN:
                return
        self.fail("there always is something new")

    def test_one_that_nothing_has_changed_of_is_used_again(self):
        self.write("tests/test_one.py", TEST.format(1))
        self.assertEqual(self.why(), ["there was no zygote of an earlier run"])
        self.settle()
        zygotes = self.cli_json("zygote", "ls")
        self.assertEqual(self.why(), AGAIN)
        self.assertEqual([each["id"] for each in self.cli_json("zygote",
                                                               "ls")],
                         [each["id"] for each in zygotes])

    def test_every_change_of_a_test_counts_however_small_and_fast(self):
        for number in (1, 2, 1, 2, 2, 1):
            self.write("tests/test_one.py", TEST.format(number))
            self.why(verdict="pass" if number == 1 else "fail")

    def test_a_helper_or_a_file_that_modules_read_counts(self):
        self.write("tests/helper.py", "VALUE = 1")
        self.write("tests/data.json", "[1]")
        self.write("tests/test_one.py", '''
            import json, os, unittest, helper
            with open(os.path.join(os.path.dirname(__file__),
                                   "data.json")) as file:
                DATA = json.load(file)
            class One(unittest.TestCase):
                def test_one(self):
                    self.assertEqual((helper.VALUE, DATA), (1, [1]))
        ''')
        self.settle()
        self.write("tests/helper.py", "VALUE = 2")
        self.assertEqual(self.why(verdict="fail"),
                         ["changed: tests/helper.py"])
        self.write("tests/helper.py", "VALUE = 1")
        self.settle()
        self.write("tests/data.json", "[2]")
        self.assertIn("changed: tests/data.json", self.why(verdict="fail"))

    def test_what_only_tests_import_is_read_anew(self):
        self.write("tests/late.py", "VALUE = 1")
        self.write("tests/test_one.py", '''
            import unittest
            class One(unittest.TestCase):
                def test_one(self):
                    import late
                    self.assertEqual(late.VALUE, 1)
        ''')
        self.settle()
        self.write("tests/late.py", "VALUE = 2")
        self.assertEqual(self.why(verdict="fail"), AGAIN)

    def test_files_that_come_and_go_count(self):
        self.write("tests/test_one.py", TEST.format(1))
        self.settle()
        path = self.write("tests/test_two.py", "")
        self.assertIn("new: tests/test_two.py", self.why())
        self.settle()
        os.remove(path)
        self.assertIn("gone: tests/test_two.py", self.why())
        self.settle()
        os.mkdir(os.path.join(self.suite, "tests", "more"))
        self.assertIn("new: tests/more", self.why())
        self.settle()
        for name in ("notes.txt", ".hidden.py", "__pycache__"):
            self.write(f"tests/{name}x/y" if name == "__pycache__"
                       else f"tests/{name}", "")
        why = self.why()
        self.assertTrue(why == AGAIN or why == ["new: tests/__pycache__x"])

    def test_a_file_that_was_only_touched_does_not_count(self):
        path = self.write("tests/test_one.py", TEST.format(1))
        self.settle()
        os.utime(path)
        self.assertEqual(self.why(), AGAIN)

    def test_a_file_that_is_written_while_it_is_loaded_is_not_trusted(self):
        self.write("tests/test_one.py", '''
            import os, unittest
            os.utime(__file__)
            class One(unittest.TestCase):
                def test_one(self): pass
        ''')
        self.why()
        self.assertEqual(self.why(), ["changed while it was loaded: "
                                      "tests/test_one.py"])

    def test_environment_options_and_interpreter_count(self):
        self.write("tests/test_one.py", TEST.format(1))
        self.settle()
        self.sandbox.environment["SHOP"] = "open"
        self.assertEqual(self.why(), ["environment: SHOP is set to open"])
        self.sandbox.environment["SHOP"] = "closed"
        self.assertEqual(self.why(),
                         ["environment: SHOP open -> closed"])
        self.settle()
        self.sandbox.environment["COLUMNS"] = "17"  # of the terminal
        self.assertEqual(self.why(), AGAIN)
        why, = self.why("tests", "--argument=-k", "--argument=one")
        self.assertIn("arguments: ", why)
        link = os.path.join(self.folder, "another-python")
        os.symlink(os.path.realpath("/usr/bin/python3"), link)
        self.assertIn("another-python",
                      "".join(self.why("tests", python=link)))

    def test_a_zygote_that_has_ended_is_made_anew(self):
        self.write("tests/test_one.py", TEST.format(1))
        self.settle()
        for zygote in self.cli_json("zygote", "ls"):
            self.cli("zygote", "stop", zygote["name"])
        self.assertEqual(self.why(), ["the zygote of the earlier run has "
                                      "ended"])

    def test_a_record_that_is_damaged_is_not_believed(self):
        self.write("tests/test_one.py", TEST.format(1))
        self.settle()
        damaged = 0
        for folder, _, names in os.walk(self.folder):
            for name in names:
                if name.startswith("zygote-") and name.endswith(".files"):
                    with open(os.path.join(folder, name), "r+b") as file:
                        file.truncate(100)
                    damaged += 1
        self.assertEqual(damaged, 1)
        self.assertEqual(self.why(),
                         ["what it was loaded from is not known any more"])

    @needs_pytest
    def test_configuration_conftest_and_parameters_of_pytest_count(self):
        self.write("pytest.ini", "[pytest]\n")
        self.write("tests/conftest.py", "VALUE = 1\n")
        self.write("tests/test_one.py", "def test_one(): pass\n")
        self.settle()
        self.write("tests/conftest.py", "VALUE = 2\n")
        self.assertEqual(self.why(), ["changed: tests/conftest.py"])
        self.settle()
        self.write("pytest.ini", "[pytest]\nmarkers = slow\n")
        self.assertEqual(self.why(), ["changed: pytest.ini"])
        self.settle()
        self.write("tests/test_one.py", "def test_one(): assert False\n")
        self.assertEqual(self.why(verdict="fail"),
                         ["changed: tests/test_one.py"])
        self.write("tests/test_two.py", "def test_two(): assert False\n")
        run = self.harness("tests")
        self.assertEqual(sorted(run.verdicts.values()), ["fail", "fail"])

    @needs_pytest
    def test_fixtures_are_set_up_for_each_run(self):
        self.write("tests/test_one.py", '''
            import os
            import pytest
            @pytest.fixture(scope="session")
            def fresh():
                with open(os.path.join(os.environ["FLAGS"], "log"), "a") as f:
                    f.write("up ")
                yield
                with open(os.path.join(os.environ["FLAGS"], "log"), "a") as f:
                    f.write("down ")
            def test_one(fresh): pass
        ''')
        self.settle()
        self.assertEqual(self.why(), AGAIN)
        with open(os.path.join(self.flags, "log"), encoding="utf-8") as file:
            words = file.read().split()
        self.assertEqual(words, ["up", "down"] * (len(words) // 2))
        self.assertGreaterEqual(len(words), 6)


if __name__ == "__main__":
    unittest.main()
