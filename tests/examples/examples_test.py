"""The programs in the comments of client.h and zygote.h do what they say."""

import os
import subprocess
import unittest

from daemon_fixture import ROOT, DaemonTestCase

EXAMPLES = os.path.join(ROOT, "tests/examples")
CLIENT = os.path.join(EXAMPLES, "client_example")
ZYGOTE = os.path.join(EXAMPLES, "zygote_example")


class Examples(DaemonTestCase):

    def run_program(self, *command):
        return subprocess.run(command, env=self.sandbox.environment,
                              stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=60, check=False)

    def test_the_client_sees_the_exit_code_of_its_worker(self):
        result = self.run_program(CLIENT)
        self.assertEqual((result.returncode, result.stdout),
                         (0, "from a worker\n"), result.stderr)

    def test_the_zygote_forks_workers(self):
        started = self.cli("zygote", "start", "greeter", "--", ZYGOTE)
        self.assertEqual(started.returncode, 0, started.stderr)
        forked = self.cli("fork", "greeter", "--entry", "greet")
        self.assertEqual(forked.returncode, 0, forked.stderr)

    def test_the_zygote_runs_an_entry_by_hand(self):
        result = self.run_program(ZYGOTE, "greet", "--args", "Ada")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("hello, Ada", result.stdout)
        self.assertEqual(self.run_program(ZYGOTE, "--list").stdout.split(),
                         ["greet"])


if __name__ == "__main__":
    unittest.main()
