"""Runs test suites, in a folder of the test's own, with stock runners and with
those of the package.

  class MyTest(RunnerTestCase):
      def test_it_passes(self):
          self.write("test_one.py", "...")
          result = self.python("-m", "forkserver.unittest", "-j", "2")
          self.assertEqual(result.returncode, 0, result.stderr)
"""

import os
import signal
import subprocess
import sys
import textwrap
import threading

import forkserver
from daemon_fixture import DaemonTestCase, restore_signals, wait_for

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(
    forkserver.__file__)))


class RunnerTestCase(DaemonTestCase):

    def setUp(self):
        super().setUp()
        self.suite = os.path.join(self.folder, "suite")
        os.mkdir(self.suite)
        # Python's own settings of whoever runs the test are not the suite's.
        self.environment = {
            name: value for name, value in self.sandbox.environment.items()
            if not name.startswith(("PYTHON", "PYTEST", "COV"))
        }
        self.environment["PYTHONPATH"] = PACKAGE
        self.environment["PYTHONDONTWRITEBYTECODE"] = "1"
        self.flags = os.path.join(self.folder, "flags")
        os.mkdir(self.flags)
        self.environment["FLAGS"] = self.flags

    def write(self, name, content):
        path = os.path.join(self.suite, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(textwrap.dedent(content))
        return path

    def run_program(self, *argv, env=None, timeout=120, **options):
        """Captured text; fails the test after `timeout` seconds."""
        process = self.start_program(*argv, env=env, **options)
        timer = threading.Timer(timeout, process.kill)
        timer.start()
        try:
            stdout, stderr = process.communicate()
        finally:
            timer.cancel()
        return subprocess.CompletedProcess(argv, process.returncode, stdout,
                                           stderr)

    def start_program(self, *argv, env=None, **options):
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("cwd", self.suite)
        options.setdefault("text", True)
        for stream in ("stdout", "stderr"):
            options.setdefault(stream, subprocess.PIPE)
        process = subprocess.Popen(argv, env={**self.environment,
                                              **(env or {})},
                                   preexec_fn=restore_signals, **options)
        self.addCleanup(_end, process)
        return process

    def python(self, *arguments, **options):
        return self.run_program(sys.executable, *arguments, **options)

    def start_python(self, *arguments, **options):
        return self.start_program(sys.executable, *arguments, **options)

    # --- flags: files by which tests of the suite tell that they came by ---

    def raised(self):
        return sorted(os.listdir(self.flags))

    def wait_for_flag(self, name):
        wait_for(lambda: name in self.raised(), f"flag {name}")

    def interrupt(self, process, number=signal.SIGINT):
        """Ctrl-C, and what it says until it ends."""
        process.send_signal(number)
        return process.communicate(timeout=60)


def _end(process):
    if process.poll() is None:
        process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()


# Put at the head of a test module of a suite.
FLAG = '''
import os, signal, sys, threading, time, unittest

def flag(name):
    open(os.path.join(os.environ["FLAGS"], name), "w").close()

def hang():
    while True:
        signal.pause()
'''
