"""The command line and a daemon of another version, which is a fake."""

import os
import socket
import struct
import threading
import unittest

import msgpack

from daemon_fixture import SandboxTestCase
from wire_client import frame, pack

STATUS = {
    "pid": os.getpid(), "protocol": 1, "instance": "f", "socket": "",
    "threads": 1, "uptime_ms": 0, "clients": 1, "workers": 0, "zygotes": 0,
    "launched": 0, "records_kept": 0, "open_fds": 3, "log": "",
}
SNAPSHOT = {"workers": [], "zygotes": []}
RECORD = {
    "id": "f-1", "name": "", "pid": 4711, "kind": "exec", "zygote": "",
    "code": 7, "signal": None, "core": False, "reason": "exited",
    "max_rss_bytes": 0, "user_us": 0, "system_us": 0, "wall_us": 0,
    "journey": {"received_ns": 1, "launch_begun_ns": 1, "launched_ns": 1,
                "started_ns": 1, "ended_ns": 1},
}


class FakeDaemon:
    """Answers each client, one after the other, by `answers`: a function of
    the request's body, or its answer, for each type of request."""

    def __init__(self, path, answers):
        self._answers = answers
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as stream:
                while header := stream.read(4):
                    request = msgpack.unpackb(
                        stream.read(struct.unpack(">I", header)[0]))
                    answer = self._answers[request["type"]]
                    if callable(answer):
                        answer = answer(request.get("body", {}))
                    kind = "error" if "code" in answer and \
                        "message" in answer else "reply"
                    connection.sendall(frame(pack({
                        "type": kind, "id": request["id"], "body": answer})))

    def close(self):
        # Wakes accept().
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(60)


class FakeDaemonTestCase(SandboxTestCase):

    def serve(self, version, **answers):
        fake = FakeDaemon(self.sandbox.socket, {
            "hello": {"protocol": 1, "version": version, "instance": "f",
                      "pid": os.getpid(), "capabilities": []},
            "status": dict(STATUS, version=version),
            "list": SNAPSHOT,
            **answers,
        })
        self.addCleanup(fake.close)


class VersionSkewTest(FakeDaemonTestCase):

    def own_version(self):
        return self.cli("--version").stdout.split()[1]

    def assert_told_once(self, result, version):
        lines = result.stderr.splitlines()
        self.assertEqual(len(lines), 1, result.stderr)
        self.assertIn(f"this is forkserver {self.own_version()}", lines[0])
        self.assertIn(f"forkserverd {version}", lines[0])
        self.assertNotIn(version, result.stdout)

    def test_it_is_told_once_on_standard_error(self):
        self.serve("0.0.7")
        result = self.cli("ps", "--json")
        self.assertEqual((result.returncode, result.stdout), (0, "[]\n"))
        self.assert_told_once(result, "0.0.7")
        self.assertIn("`forkserver daemon upgrade`", result.stderr)

    def test_the_exit_code_stays_that_of_the_worker(self):
        self.serve("0.0.7", wait={"exit": RECORD})
        result = self.cli("wait", "f-1")
        self.assertEqual(result.returncode, 7, result.stderr)
        self.assert_told_once(result, "0.0.7")

    def test_a_newer_daemon_is_not_to_be_upgraded(self):
        self.serve("999.0.0")
        result = self.cli("ps")
        self.assertEqual(result.returncode, 0)
        self.assert_told_once(result, "999.0.0")
        self.assertNotIn("upgrade", result.stderr)

    def test_nothing_is_told_of_the_same_version(self):
        self.serve(self.own_version())
        self.assertEqual(self.cli("ps").stderr, "")

    def test_doctor_tells_it_in_its_report_alone(self):
        self.serve("0.0.7")
        result = self.cli("doctor")
        self.assertEqual(result.stderr, "")
        [line] = [line for line in result.stdout.splitlines()
                  if line.startswith("to mend ") and "0.0.7" in line]
        self.assertIn("`forkserver daemon upgrade`", line)

    def test_without_a_common_protocol_that_is_the_error(self):
        self.serve("999.0.0", hello={
            "code": "version_mismatch", "message": "no common protocol",
            "step": "", "errno": 0, "hint": ""})
        result = self.cli("ps")
        self.assertEqual((result.returncode, result.stdout), (125, ""))
        self.assertIn("[version_mismatch", result.stderr)
        self.assertNotIn("999.0.0", result.stderr)


class UpgradeTest(FakeDaemonTestCase):
    """`daemon upgrade`, as it asks and tells."""

    def test_it_tells_both_versions_and_nothing_else(self):
        programs = []

        def upgrade(body):
            programs.append(body["program"])
            return {"from": "0.0.7", "version": "0.0.8"}

        self.serve("0.0.7", upgrade=upgrade)
        result = self.cli("daemon", "upgrade")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertEqual(result.stdout, f"forkserverd (pid {os.getpid()}) was "
                         "upgraded from 0.0.7 to 0.0.8\n")
        self.assertEqual(self.cli_json("daemon", "upgrade"),
                         {"from": "0.0.7", "version": "0.0.8"})
        self.assertEqual(programs, [os.path.abspath(os.path.join(
            self.sandbox.environment["FORKSERVER_BIN"], "forkserverd"))] * 2)

    def test_a_folder_may_be_relative(self):
        programs = []

        def upgrade(body):
            programs.append(body["program"])
            return {"from": "0.0.7", "version": "0.0.7"}

        self.serve("0.0.7", upgrade=upgrade)
        os.symlink(self.sandbox.environment["FORKSERVER_BIN"],
                   os.path.join(self.folder, "bin"))
        self.sandbox.environment["FORKSERVER_BIN"] = "bin"
        result = self.cli("daemon", "upgrade", cwd=self.folder)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(programs, [self.folder + "/bin/forkserverd"])

    def test_a_daemon_that_is_too_old_for_it(self):
        self.serve("0.0.7", upgrade={
            "code": "unknown_request", "message": "no such request 'upgrade'",
            "step": "", "errno": 0, "hint": ""})
        result = self.cli("daemon", "upgrade")
        self.assertEqual((result.returncode, result.stdout), (125, ""))
        self.assertIn("forkserver daemon stop", result.stderr)


if __name__ == "__main__":
    unittest.main()
