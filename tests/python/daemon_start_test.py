"""Finding the socket and the daemon's program, and starting a daemon."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import unittest
from unittest import mock

import forkserver
from client_fixture import Call, EnvironmentTestCase, open_fds
from daemon_fixture import read_file
from forkserver import daemon

SDK = os.path.dirname(os.path.dirname(os.path.abspath(forkserver.__file__)))


class SocketPathTest(EnvironmentTestCase):

    def test_it_is_the_one_of_the_command_line(self):
        for variables in (
            {"FORKSERVER_SOCKET": "/x/y.sock"},
            {"FORKSERVER_SOCKET": "", "XDG_RUNTIME_DIR": "/r"},
            {"FORKSERVER_SOCKET": "", "XDG_RUNTIME_DIR": "relative"},
            {"FORKSERVER_SOCKET": "", "XDG_RUNTIME_DIR": ""},
        ):
            with self.subTest(variables), mock.patch.dict(
                    os.environ, variables), mock.patch.dict(
                        self.sandbox.environment, variables):
                self.assertEqual(forkserver.default_socket_path(),
                                 self.cli("socket-path").stdout.strip())

    def test_an_argument_comes_first(self):
        self.assertEqual(daemon.socket_path(b"/a/b"), "/a/b")
        self.assertEqual(daemon.socket_path(""),
                         forkserver.default_socket_path())

    def test_bad_ones(self):
        for path, says in (("/" + "x" * 107, "108 bytes"), ("/a\0b", "NUL"),
                           (5, "must be a string")):
            with self.subTest(says), self.assertRaisesRegex(
                    forkserver.BadSocketPath, says):
                forkserver.connect(path)
        self.assertEqual(len(daemon.socket_path("/" + "x" * 106)), 107)


class FindDaemonTest(EnvironmentTestCase):

    def make_program(self, folder, script="exit 0"):
        folder = os.path.join(self.folder, folder)
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, "forkserverd")
        with open(path, "w", encoding="ascii") as file:
            file.write(f'#!/bin/sh\necho "$@" >>{self.folder}/args\n{script}\n')
        os.chmod(path, 0o755)
        return path

    def set(self, **variables):
        os.environ.update(variables)

    def test_forkserver_bin_comes_before_path(self):
        in_bin, in_path = self.make_program("a"), self.make_program("b")
        self.set(FORKSERVER_BIN=os.path.dirname(in_bin),
                 PATH=f"/nowhere::{os.path.dirname(in_path)}")
        self.assertEqual(daemon.find_daemon(), in_bin)
        self.set(FORKSERVER_BIN="/nowhere")
        self.assertEqual(daemon.find_daemon(), in_path)
        os.chmod(in_path, 0o644)
        self.set(PATH="")
        at_home = self.make_program(".local/bin")
        self.assertEqual(daemon.find_daemon(), at_home)

    def test_beside_its_own_installation(self):
        package = os.path.join(self.folder, "lib/python3/dist-packages")
        os.makedirs(package)
        os.symlink(os.path.join(SDK, "forkserver"),
                   os.path.join(package, "forkserver"))
        installed = self.make_program("bin")
        self.set(FORKSERVER_BIN="", PATH="")
        where = os.path.join(package, "forkserver/daemon.py")
        with mock.patch.object(daemon, "__file__", where):
            self.assertEqual(daemon.find_daemon(), installed)

    def test_none(self):
        self.set(FORKSERVER_BIN="/nowhere", PATH="/none")
        with self.assertRaises(forkserver.ConnectFailed) as caught:
            forkserver.connect()
        self.assertIn("/nowhere, /none, ", str(caught.exception))
        self.assertIn("FORKSERVER_BIN", caught.exception.hint)
        with self.assertRaisesRegex(forkserver.ConnectFailed, "/no/program"):
            forkserver.connect(daemon_program="/no/program")

    def test_one_that_fails_to_start(self):
        for script, says in (("exit 5", "exit code 5"),
                             ("kill -SEGV $$", "signal 11")):
            program = self.make_program("a", script)
            with self.subTest(says), self.assertRaisesRegex(
                    forkserver.ConnectFailed, says):
                forkserver.connect(daemon_program=program)
        self.assertEqual(
            read_file(os.path.join(self.folder, "args")).decode().split("\n"),
            [f"--socket {self.sandbox.socket} --idle-exit 600"] * 2 + [""])
        self.assert_no_children()

    def test_one_that_never_becomes_ready(self):
        program = self.make_program("a", "exec sleep 1000")
        with self.assertRaisesRegex(TimeoutError, "did not become ready"):
            forkserver.connect(daemon_program=program, start_timeout=0.2)
        self.assert_no_children()

    def test_one_that_ends_without_serving(self):
        program = self.make_program("a")
        # On a busy machine it has not even ended within that time.
        with self.assertRaises((forkserver.ConnectFailed,
                                forkserver.Timeout)):
            forkserver.connect(daemon_program=program, start_timeout=0.5)

    def test_cancelled(self):
        program = self.make_program("a", "exec sleep 1000")

        async def body():
            with self.assertRaises(asyncio.TimeoutError):
                await asyncio.wait_for(
                    forkserver.connect_async(daemon_program=program), 0.1)

        asyncio.run(body())
        self.assert_no_children()

    def assert_no_children(self):
        with self.assertRaises(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)


class StartTest(EnvironmentTestCase):

    def setUp(self):
        super().setUp()
        self.fds_before = open_fds()

    def tearDown(self):
        self.cli("daemon", "stop")
        self.assertEqual(open_fds(), self.fds_before)
        self.assert_nothing_left()
        super().tearDown()

    def kill(self, pid):
        os.kill(pid, signal.SIGKILL)
        self.assert_nothing_left()

    def test_without_a_daemon(self):
        with self.assertRaises(forkserver.ConnectFailed) as caught:
            forkserver.connect(autostart=False)
        self.assertIn("forkserverd --socket " + self.sandbox.socket,
                      caught.exception.hint)
        # A socket file that nobody serves any more.
        with forkserver.connect() as client:
            self.kill(client.status().pid)
        with self.assertRaises(forkserver.ConnectFailed):
            forkserver.connect(autostart=False)
        with forkserver.connect() as client:
            self.assertEqual(client.status().threads, 1)

    def test_it_inherits_nothing(self):
        read_end, write_end = os.pipe()
        os.set_inheritable(write_end, True)
        old = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        ignored = signal.signal(signal.SIGUSR2, signal.SIG_IGN)
        try:
            with forkserver.connect() as client:
                pid = client.status().pid
        finally:
            signal.signal(signal.SIGUSR2, ignored)
            signal.pthread_sigmask(signal.SIG_SETMASK, old)
            os.close(write_end)
        with open(read_end, "rb") as pipe:
            self.assertEqual(pipe.read(), b"")
        for fd in range(2):
            self.assertEqual(os.readlink(f"/proc/{pid}/fd/{fd}"),
                             "/dev/null")
        masks = dict(line.split(b":") for line in read_file(
            f"/proc/{pid}/status").splitlines() if line.startswith(b"Sig"))
        for mask, number in ((b"SigBlk", signal.SIGTERM),
                             (b"SigIgn", signal.SIGUSR2)):
            self.assertFalse(int(masks[mask], 16) & 1 << number - 1)
        arguments = read_file(f"/proc/{pid}/cmdline").split(b"\0")
        self.assertIn(b"--idle-exit", arguments)
        self.assertNotEqual(os.getpgid(pid), os.getpgrp())

    def test_many_at_once_end_up_with_the_same(self):

        def connect():
            with forkserver.connect() as client:
                return client.status().pid

        for _ in range(3):
            pids = {call.result()
                    for call in [Call(connect) for _ in range(8)]}
            self.assertEqual(len(pids), 1)
            self.kill(pids.pop())

    def test_while_another_is_stopping(self):
        for _ in range(5):
            with forkserver.connect() as client:
                old = client.status().pid
                client.shutdown()
            with forkserver.connect() as client:
                self.assertNotEqual(client.status().pid, old)

    def test_in_a_program_that_ignores_sigchld(self):
        previous = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        try:
            with forkserver.connect() as client:
                self.assertEqual(client.run(["false"]).code, 1)
        finally:
            signal.signal(signal.SIGCHLD, previous)

    def test_async(self):

        async def body():
            clients = await asyncio.gather(
                *(forkserver.connect_async() for _ in range(4)))
            pids = {(await each.status()).pid for each in clients}
            self.assertEqual(len(pids), 1)
            for each in clients:
                await each.close()

        asyncio.run(body())

    def test_a_process_of_its_own(self):
        result = subprocess.run(
            [sys.executable, "-c",
             "import forkserver\n"
             "with forkserver.connect(client_name='my program') as c:\n"
             "    print(c.run(['sh', '-c', 'exit 3']).code)\n"],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            text=True,
            capture_output=True, timeout=60, check=False)
        self.assertEqual((result.stdout, result.stderr), ("3\n", ""))


class PeerTest(EnvironmentTestCase):

    def test_a_daemon_of_another_user_is_told_nothing(self):
        listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(listener.close)
        listener.bind(self.sandbox.socket)
        listener.listen()
        with mock.patch("os.geteuid", return_value=os.geteuid() + 1):
            with self.assertRaisesRegex(forkserver.PeerRefused,
                                        "belongs to user"):
                forkserver.connect(autostart=False)
        peer, _ = listener.accept()
        with peer:
            self.assertEqual(peer.recv(1), b"")


if __name__ == "__main__":
    unittest.main()
