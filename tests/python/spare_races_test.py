"""Spares of a Python zygote, in every order of events."""

import os
import sys
import tempfile
import textwrap
import unittest

import forkserver
from scripted_daemon import ScriptedDaemon
from spare_races_case import SpareRaces

ENTRIES = """
    import signal

    def sleep(context):
        signal.pause()

    def leave(context):
        return int(context.args)
"""


THREADS = """
    import signal, threading, time

    def start(*_):
        threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()

    signal.signal(signal.SIGUSR1, start)
"""


class PythonSpareRacesTest(SpareRaces, unittest.TestCase):

    sleep, exit = "race_entries:sleep", "race_entries:leave"
    late_thread = "race_threads"

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="fs", dir="/tmp")
        self.addCleanup(self.folder.cleanup)
        for name, source in (("race_entries", ENTRIES),
                             ("race_threads", THREADS)):
            with open(os.path.join(self.folder.name, name + ".py"), "w",
                      encoding="utf-8") as file:
                file.write(textwrap.dedent(source))

    def start(self):
        package = os.path.dirname(os.path.dirname(forkserver.__file__))
        path = os.pathsep.join([os.path.abspath(package), self.folder.name,
                                *filter(None, [os.environ.get("PYTHONPATH")])])
        return ScriptedDaemon(
            [sys.executable, "-m", "forkserver.zygote_host"],
            {**os.environ, "PYTHONPATH": path})


if __name__ == "__main__":
    unittest.main()
