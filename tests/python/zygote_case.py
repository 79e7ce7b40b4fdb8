"""Tests of Python zygotes: a daemon, a client and modules of the test's own.

  class MyTest(ZygoteTestCase):
      def test_a_function_runs_in_a_worker(self):
          shop = self.module("def add(a, b): return a + b")
          self.assertEqual(self.zygote().call(shop.add, 1, 2), 3)
"""

import importlib
import itertools
import os
import sys
import textwrap
from unittest import mock

import forkserver
from daemon_fixture import MARKER, DaemonTestCase, alive, wait_for
from forkserver import isolation

__all__ = ["ZygoteTestCase", "alive", "wait_for"]

_numbers = itertools.count()


class ZygoteTestCase(DaemonTestCase):

    def setUp(self):
        super().setUp()
        environment = mock.patch.dict(os.environ, {
            MARKER: self.sandbox.marker,
            "FORKSERVER_BIN": self.sandbox.environment["FORKSERVER_BIN"],
            "FORKSERVER_SOCKET": self.sandbox.socket,
            # For scripts, wherever they run.
            "PYTHONPATH": os.pathsep.join(map(os.path.abspath, [
                os.path.dirname(os.path.dirname(forkserver.__file__)),
                *filter(None, os.environ.get(
                    "PYTHONPATH", "").split(os.pathsep))])),
        })
        environment.start()
        self.addCleanup(environment.stop)
        path = mock.patch.object(sys, "path", [self.folder, *sys.path])
        path.start()
        self.addCleanup(path.stop)
        self.client = forkserver.connect(autostart=False)

    def tearDown(self):
        isolation.close()
        self.client.close()
        super().tearDown()

    def write(self, source, name=None):
        """A module of this test that is not imported; returns its name."""
        name = name or f"module_{os.getpid()}_{next(_numbers)}"
        with open(self.file_of(name), "w", encoding="utf-8") as file:
            file.write(textwrap.dedent(source))
        importlib.invalidate_caches()
        return name

    def file_of(self, name):
        return os.path.join(self.folder, name + ".py")

    def module(self, source):
        """A module of this test, imported."""
        return importlib.import_module(self.write(source))

    def zygote(self, name="z", **options):
        return self.client.zygote(name, **options)

    def refused(self, code, **options):
        """The error of a zygote that cannot start."""
        with self.assertRaises(forkserver.Error) as caught:
            self.zygote(**options)
        self.assertEqual(caught.exception.code, code, caught.exception)
        return caught.exception

    def run_entry(self, source, zygote=None, **options):
        """Runs the function `entry(context)` of a module in a worker.
        Returns the result's bytes and the record."""
        name = self.write(source)
        zygote = zygote or self.zygote()
        read_end, write_end = os.pipe()
        with open(read_end, "rb") as result:
            try:
                worker = zygote.fork(name + ":entry", result=write_end,
                                     **options)
            finally:
                os.close(write_end)
            return result.read(), worker.wait(30)
