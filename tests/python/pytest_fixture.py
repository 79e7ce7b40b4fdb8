"""Runs pytest, stock and with --forkserver, on a suite of the test's own."""

import os
import re
import unittest
import xml.etree.ElementTree as ElementTree

from runner_fixture import RunnerTestCase

try:
    import pytest as _pytest_is_there  # noqa: F401
except ImportError:
    _pytest_is_there = None

SUITE = '''
import os, warnings
import pytest

def test_passes():
    print("printed by test_passes")

def test_fails():
    print("printed by test_fails")
    assert [1, 2] == [1, 3]

@pytest.fixture
def broken():
    raise RuntimeError("the fixture is broken")

def test_error(broken):
    pass

@pytest.fixture
def broken_at_the_end():
    yield
    raise RuntimeError("the fixture breaks at its end")

def test_error_at_teardown(broken_at_the_end):
    pass

@pytest.mark.skip(reason="not today")
def test_skipped():
    pass

@pytest.mark.xfail(reason="known")
def test_xfails():
    assert False

@pytest.mark.xfail
def test_xpasses():
    pass

@pytest.mark.slow
def test_warns():
    warnings.warn("careful")

@pytest.mark.parametrize("number", [1, 2, 3])
def test_parameters(number, record_property, tmp_path):
    record_property("number", number)
    (tmp_path / "file").write_text("text")
    assert number != 2

class TestClass:
    def setup_class(cls):
        cls.value = 1
    def test_one(self, caplog):
        import logging
        logging.warning("logged")
        assert self.value == 1
        assert caplog.messages == ["logged"]
    def test_two(self, capfd):
        os.write(1, b"to descriptor 1")
        assert capfd.readouterr().out == "to descriptor 1"
        pytest.skip("in the middle")
'''


def comparable(text):
    """Without times, addresses and what only the plugin prints."""
    text = re.sub(r"^forkserver: .*\n", "", text, flags=re.M)
    text = re.sub(r"=+( .* in )[0-9.]+s.*", r"=\1", text)
    text = re.sub(r"( in )[0-9.]+s.*", r"\1", text)
    text = re.sub(r"\b[0-9.]+s (call|setup|teardown)", r"\1", text)
    text = re.sub(r"0x[0-9a-f]+", "0x", text)
    return re.sub(r"pytest-\d+", "pytest-N", text)


@unittest.skipIf(_pytest_is_there is None, "there is no pytest")
class PytestTestCase(RunnerTestCase):

    def setUp(self):
        super().setUp()
        self.environment["PYTEST_ADDOPTS"] = ""
        self.write("pytest.ini", "[pytest]\nmarkers = slow: takes long\n")

    def stock(self, *arguments, **options):
        return self.python("-m", "pytest", *arguments, **options)

    def ours(self, *arguments, count="2", **options):
        return self.python("-m", "pytest", "-p", "forkserver.pytest_plugin",
                           "--forkserver", count, *arguments, **options)

    def start_ours(self, *arguments, **options):
        return self.start_python("-m", "pytest", "-p",
                                 "forkserver.pytest_plugin", "--forkserver",
                                 "2", *arguments, **options)

    def assert_same(self, *arguments, scope=None, code=None):
        """The same text and exit code. Returns our run."""
        scopes = ("--forkserver-scope", scope) if scope else ()
        stock = self.stock(*arguments)
        mine = self.ours(*scopes, *arguments)
        self.maxDiff = 8000
        self.assertEqual(comparable(mine.stdout), comparable(stock.stdout))
        self.assertEqual(mine.stderr, stock.stderr)
        self.assertEqual(mine.returncode, stock.returncode)
        if code is not None:
            self.assertEqual(mine.returncode, code)
        return mine

    def junit(self, run, *arguments):
        """{test: outcomes} of the file that --junit-xml writes."""
        path = os.path.join(self.folder, "junit.xml")
        run("--junit-xml", path, *arguments)
        cases = {}
        root = ElementTree.parse(path).getroot()
        for case in root.iter("testcase"):
            cases[(case.get("classname"), case.get("name"))] = [
                (child.tag, child.get("message"),
                 [(each.get("name"), each.get("value")) for each in child])
                for child in case]
        suite = next(root.iter("testsuite"))
        return cases, [suite.get(name) for name in
                       ("tests", "failures", "errors", "skipped")]
