"""The project's tests on each database that Django can clone.

PostgreSQL is Debian's package, started here and for this file only. It refuses
to serve root, hence setpriv; and the test is local, for Bazel's sandbox has one
user.
"""

import glob
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

from daemon_fixture import wait_for
from django_case import DjangoTestCase

PARALLEL = ("--parallel", "2")
COMMITS = ("shop.tests.test_transactions", "library.tests",
           "trouble.checks.DirtyTest")
# Without tests that flush what migrations have put into the database.
KEPT = ("blog", "shop.tests.test_models")


class PytestDjangoTest(DjangoTestCase):
    """The same by pytest-django, with databases in memory."""

    def setUp(self):
        super().setUp()
        if importlib.util.find_spec("pytest_django") is None:
            self.skipTest("pytest-django is not installed")

    def pytest(self, *arguments):
        """The last line, without the time."""
        run = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "forkserver.pytest_plugin",
             "-p", "no:cacheprovider", "--ds=project.settings",
             "-o", "python_files=tests.py test_*.py checks.py", *arguments],
            cwd=self.project, env=self.environment(), check=False, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=100)
        self.output = run.stdout
        return re.sub(" in .*", "", run.stdout.splitlines()[-1]).strip("= ")

    def test_whole_project_passes(self):
        folders = ("blog", "library", "shop")
        expected = self.pytest(*folders)
        self.assertIn("30 passed", expected)
        for scope in ("function", "class"):
            self.assertEqual(self.pytest(
                "--forkserver", "3", "--forkserver-scope", scope, *folders),
                expected, self.output)
            self.assertNotIn("fixture", self.output)

    def test_killed_worker(self):
        last = self.pytest("--forkserver", "2", "--forkserver-scope", "class",
                           "library", "shop/tests/test_transactions.py",
                           "trouble/checks.py::DirtyTest")
        self.assertRegex(last, "1 failed, 10 passed", self.output)
        self.assertIn("products 1", self.notes())


class PytestDjangoFileTest(PytestDjangoTest):
    database = "file"

    def test_no_clone_is_left(self):
        self.pytest("--forkserver", "2", "shop")
        self.assertEqual(glob.glob(self.folder + "/test_*"), [])


class SqliteFileTest(DjangoTestCase):
    database = "file"

    def test_whole_project_passes(self):
        self.assert_ok(self.run_tests(*PARALLEL))

    def test_without_preload(self):
        self.assert_ok(self.run_tests(*PARALLEL, "--no-preload"))

    def test_kept_databases_are_used_again(self):
        for _ in range(2):
            self.assert_ok(self.run_tests(*PARALLEL, "--keepdb", *KEPT), 16)
        self.assertTrue(glob.glob(self.folder + "/test_db*_2*"))

    def test_killed_worker(self):
        outcome = self.run_tests(*PARALLEL, *COMMITS)
        self.assert_failed(outcome, errors=1, tests=11)
        self.assertIn("products 1", self.notes())


class PostgreSqlServer:
    """A server with its data in a folder of its own under /tmp."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="pg", dir="/tmp")
        self.data = os.path.join(self.folder, "data")
        self._prefix = []
        if os.geteuid() == 0:
            shutil.chown(self.folder, "postgres", "postgres")
            self._prefix = ["setpriv", "--reuid=postgres",
                            "--regid=postgres", "--clear-groups"]
        programs = max(glob.glob("/usr/lib/postgresql/*/bin"))
        subprocess.run(
            [*self._prefix, f"{programs}/initdb", "-A", "trust", "--no-sync",
             "-U", "postgres", "-D", self.data], cwd=self.folder, check=True,
            stdout=subprocess.DEVNULL)
        self.log = os.path.join(self.folder, "log")
        with open(self.log, "wb") as log:
            self._server = subprocess.Popen(
                [*self._prefix, f"{programs}/postgres", "-D", self.data, "-F",
                 "-c", "listen_addresses=", "-k", self.folder],
                cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log,
                stderr=log)
        wait_for(lambda: self._ready(f"{programs}/pg_isready"), self._read_log)

    def _ready(self, program):
        if self._server.poll() is not None:
            raise AssertionError("PostgreSQL ended: " + self._read_log())
        return subprocess.run([program, "-q", "-h", self.folder],
                              check=False).returncode == 0

    def _read_log(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return file.read()

    def stop(self):
        # SIGINT: fast shutdown. It ends its processes.
        self._server.send_signal(2)
        self._server.wait(30)
        shutil.rmtree(self.folder)


class OnPostgreSql:
    database = "postgresql"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if not glob.glob("/usr/lib/postgresql/*/bin"):
            raise unittest.SkipTest("PostgreSQL is not installed")
        cls.server = PostgreSqlServer()
        cls.addClassCleanup(cls.server.stop)

    def environment(self, **variables):
        return super().environment(**{
            "TEST_POSTGRESQL": self.server.folder, **variables})


class PytestDjangoPostgreSqlTest(OnPostgreSql, PytestDjangoTest):
    pass


class PostgreSqlTest(OnPostgreSql, DjangoTestCase):

    def test_whole_project_passes(self):
        self.assert_ok(self.run_tests(*PARALLEL))

    def test_killed_worker(self):
        outcome = self.run_tests(*PARALLEL, *COMMITS)
        self.assert_failed(outcome, errors=1, tests=11)
        self.assertIn("products 1", self.notes())

    def test_kept_databases_are_used_again(self):
        for _ in range(2):
            self.assert_ok(self.run_tests(*PARALLEL, "--keepdb", *KEPT), 16)


if __name__ == "__main__":
    unittest.main()
