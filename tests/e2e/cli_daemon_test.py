"""`forkserver daemon` and `forkserver socket-path`."""

import os
import unittest

from daemon_fixture import (SandboxTestCase, alive, read_file,
                            state_and_parent, wait_for)


class DaemonCommandsTest(SandboxTestCase):

    def tearDown(self):
        self.cli("daemon", "stop")
        self.assert_nothing_left()
        super().tearDown()

    def test_start_status_stop(self):
        result = self.cli("daemon", "status")
        self.assertEqual(result.returncode, 1)
        self.assertIn("no daemon serves", result.stdout)
        self.assertIsNone(self.cli_json("daemon", "status", code=1))

        result = self.cli("daemon", "start", "--log-level", "debug")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn(self.sandbox.socket, result.stdout)
        pid = self.cli_json("daemon", "status")["pid"]
        self.assertIn(f"pid {pid}", self.cli("daemon", "status").stdout)
        self.assertEqual(self.cli("daemon", "start").returncode, 1)
        self.assertEqual(self.cli_json("status")["pid"], pid)

        result = self.cli("daemon", "stop")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn(f"pid {pid}", result.stdout)
        # A zombie until whoever adopted it has reaped it.
        wait_for(lambda: not alive(pid), "the process to be gone")
        result = self.cli("daemon", "stop")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("no daemon serves", result.stdout)

    def test_it_can_be_started_again_at_once(self):
        for _ in range(3):
            self.assertEqual(self.cli("daemon", "start").returncode, 0)
            self.assertEqual(self.cli("daemon", "stop").returncode, 0)

    def test_of_30_clients_at_once_one_starts_it(self):
        for _ in range(3):
            clients = [self.start_cli("run", "--", "sh", "-c", "echo $PPID")
                       for _ in range(30)]
            results = [(client.communicate(timeout=60), client.returncode)
                       for client in clients]
            self.assertEqual([code for _, code in results], [0] * 30, results)
            pid = self.cli_json("daemon", "status")["pid"]
            self.assertEqual({output.strip() for (output, _), _ in results},
                             {str(pid)})
            wait_for(lambda: self.daemons() == [pid],
                     lambda: f"only {pid}: {self.daemons()}")
            self.assertEqual(self.cli("daemon", "stop").returncode, 0)
            self.assert_nothing_left()

    def daemons(self):
        """Every forkserverd but the keepers, which are their children."""
        found = [
            pid for pid in self.sandbox.leftovers()
            if b"forkserverd" in read_file(f"/proc/{pid}/cmdline")
        ]
        return [pid for pid in found if state_and_parent(pid)[1] not in found]

    def test_stop_ends_the_workers(self):
        self.cli("daemon", "start")
        self.cli("run", "--detach", "--", "sleep", "60")
        self.assertEqual(self.cli("daemon", "stop").returncode, 0)
        self.assert_nothing_left()

    def test_options_reach_the_daemon(self):
        self.cli("daemon", "start", "--idle-exit", "200ms", "--zygote-idle",
                 "1m", "--allow-confined")
        # Looking at the socket would be a use of it.
        pid = self.cli_json("daemon", "status")["pid"]
        wait_for(lambda: not alive(pid), "it ends when it is idle")
        result = self.cli("daemon", "start", "--idle-exit", "soon")
        self.assertEqual(result.returncode, 2)
        self.assertIn("soon", result.stderr)

    def test_another_socket(self):
        other = os.path.join(self.folder, "other.sock")
        self.cli("--socket", other, "daemon", "start")
        try:
            self.assertEqual(self.cli("daemon", "status").returncode, 1)
            status = self.cli_json("status", "--socket", other)
            self.assertEqual(status["socket"], other)
        finally:
            self.cli("daemon", "stop", "--socket", other)

    def test_without_forkserverd(self):
        self.sandbox.environment["FORKSERVER_BIN"] = "/no/bin"
        self.sandbox.environment["PATH"] = "/no/path"
        result = self.cli("daemon", "start")
        self.assertEqual(result.returncode, 125)
        self.assertIn("/no/bin", result.stderr)

    def test_socket_path(self):
        def path(*arguments):
            return self.cli("socket-path", *arguments).stdout.strip()

        self.assertEqual(path(), self.sandbox.socket)
        self.assertEqual(path("--socket", "/x/y"), "/x/y")
        del self.sandbox.environment["FORKSERVER_SOCKET"]
        self.assertEqual(path(), self.folder + "/forkserver/default.sock")


if __name__ == "__main__":
    unittest.main()
