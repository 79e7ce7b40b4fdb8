"""Tests of multiprocessing over a daemon of their own.

  class MyTest(MultiprocessingTestCase):
      def test_a_process_runs(self):
          process = self.start(self.context(), programs.nothing)
          self.assertEqual(self.code_of(process), 0)
"""

import gc
import multiprocessing
import os
import subprocess
import sys
import textwrap
from multiprocessing import heap, resource_tracker

import forkserver.multiprocessing
from client_fixture import ClientTestCase
from forkserver.multiprocessing import popen

SECONDS = 60


def end_children():
    for process in multiprocessing.active_children():
        process.kill()
        process.join(SECONDS)


class MultiprocessingTestCase(ClientTestCase):

    def setUp(self):
        # All live as long as this process does: the tracker must not have
        # the marker of a test in its environment.
        resource_tracker.ensure_running()
        popen._lifeline.reading_end()
        heap.BufferWrapper(8)
        super().setUp()

    def tearDown(self):
        end_children()
        forkserver.multiprocessing.disconnect()
        gc.collect()
        super().tearDown()

    def context(self, **options):
        """Nothing of it outlives the test."""
        return forkserver.multiprocessing.get_context(**options)

    def start(self, context, target, *args, **options):
        process = context.Process(target=target, args=args, **options)
        process.start()
        return process

    def code_of(self, process):
        """Its exit code, once it has ended."""
        process.join(SECONDS)
        self.assertIsNotNone(process.exitcode, "the process does not end")
        return process.exitcode

    def description(self, context, target, *args, **options):
        """What programs.describe() puts into its queue."""
        results = context.SimpleQueue()
        process = self.start(context, target, results, *args, **options)
        found = results.get()
        process.results = results
        return process, found

    def write_program(self, source, name="program.py"):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(textwrap.dedent(source))
        return path

    def run_program(self, source, *flags, code=0, env=None, **options):
        """Runs a script with the method "forkserverd"; returns its output."""
        path = self.write_program(source)
        options.setdefault("stdin", subprocess.DEVNULL)
        result = subprocess.run(
            [sys.executable, *flags, path], cwd=self.folder, text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path),
                 **(env or {})},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=SECONDS,
            check=False, **options)
        self.assertEqual(result.returncode, code,
                         result.stdout + result.stderr)
        return result.stdout, result.stderr
