"""Spares of a C++ zygote, in every order of events."""

import os
import unittest

from scripted_daemon import ScriptedDaemon
from spare_races_case import SpareRaces
from wire import ZYGOTE_PROGRAM


class CppSpareRacesTest(SpareRaces, unittest.TestCase):

    sleep, exit = "sleep_forever", "exit_code"
    late_thread = "starts_thread_at_signal"

    def start(self):
        return ScriptedDaemon([ZYGOTE_PROGRAM], dict(os.environ))


if __name__ == "__main__":
    unittest.main()
