"""CPython's own tests of multiprocessing pass with the method forkserverd."""

import json
import os
import signal
import subprocess
import sys
import unittest

from daemon_fixture import DaemonTestCase

SUITE = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                     "multiprocessing_suite.py")
# Tests run, and skipped, with CPython's own "forkserver" on Debian 12.
STOCK = {(3, 11): (375, 33)}
# They are about CPython's own server.
OF_THE_STOCK_SERVER = {"test_forkserver_sigint", "test_forkserver_sigkill",
                       "test_preload_resources"}
# From 3.12 on it starts an interpreter with -E -S, in which only Python itself
# could register a method.
WITHOUT_SITE = "TestFlags.test_flags" if sys.version_info >= (3, 12) else None
SECONDS = 280

try:
    import test._test_multiprocessing  # noqa: F401
    MISSING = ""
except ImportError:
    MISSING = "the tests of CPython are not installed " \
        "(libpython3.11-testsuite)"


@unittest.skipIf(MISSING, MISSING)
class SuiteTest(DaemonTestCase):

    def run_suite(self):
        site = os.path.join(self.folder, "site")
        os.mkdir(site)
        with open(os.path.join(site, "sitecustomize.py"), "w",
                  encoding="utf-8") as file:
            file.write("import forkserver.multiprocessing\n")
        report = os.path.join(self.folder, "report.json")
        environment = dict(
            self.sandbox.environment, TMPDIR=self.folder,
            PYTHONPATH=os.pathsep.join([site, *sys.path]))
        # A session of its own: what a test leaves behind is found, and a
        # group that is killed is not this test's.
        suite = subprocess.Popen(
            [sys.executable, SUITE, report], env=environment, text=True,
            cwd=self.folder, stdin=subprocess.DEVNULL, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            output, _ = suite.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(suite.pid, signal.SIGKILL)
            self.fail(f"not within {SECONDS} s:\n{suite.communicate()[0]}")
        if not os.path.exists(report):
            self.fail(output)
        with open(report, encoding="utf-8") as file:
            return json.load(file), output

    def test_as_many_run_as_with_the_stock_server_and_none_fails(self):
        figures, output = self.run_suite()
        bad = [name for name in figures["bad"]
               if name.partition(".")[2] != WITHOUT_SITE]
        self.assertEqual(bad, [], output)
        skipped = {name.rpartition(".")[2] for name in figures["skipped"]}
        self.assertLessEqual(OF_THE_STOCK_SERVER, skipped, output)
        known = STOCK.get(sys.version_info[:2])
        if known is None:
            self.assertGreater(figures["run"], 300, output)
            return
        self.assertEqual(
            (figures["run"], len(figures["skipped"])),
            (known[0], known[1] + len(OF_THE_STOCK_SERVER)), output)


if __name__ == "__main__":
    unittest.main()
