"""What forkserverd takes from a service manager, and what it tells it."""

import os
import socket
import subprocess
import unittest

from wire import (FORKSERVERD, Client, WireTestCase, child_program,
                  wait_for)

# As systemd executes a service: the pid is that of the process itself.
EXEC = 'eval "$1"; shift; exec "$@"'
OWN_PID = "export LISTEN_PID=$$ SYSTEMD_EXEC_PID=$$"


class ServiceManagerTestCase(WireTestCase):
    starts_daemon = False

    def setUp(self):
        super().setUp()
        self.path = os.path.join(self.folder, "d.sock")

    def start_service(self, *arguments, script=OWN_PID, env=None, fds=(),
                      foreground=("--foreground",)):
        """As a service manager starts it: `fds` are 3, 4, ... of it."""
        copies = " ".join(f"{3 + i}<&{fd}" for i, fd in enumerate(fds))
        if copies:
            # By way of numbers that are not in the way.
            script += f"; exec {copies}"
        return subprocess.Popen(
            ["bash", "-c", EXEC, "sh", script, FORKSERVERD, "--socket",
             self.path, *foreground, *arguments],
            env={**os.environ, "LISTEN_FDS": str(len(fds)), **(env or {})},
            pass_fds=fds, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def connect(self, path=None):
        def attempt():
            try:
                return Client(path or self.path)
            except (FileNotFoundError, ConnectionRefusedError):
                return None
        client = wait_for(attempt, "it serves")
        self.connections.callback(client.close)
        return client

    def end(self, process):
        self.connections.close()
        process.terminate()
        self.assertEqual(process.wait(30), 0)
        self.assert_nothing_left()


class NotifyTest(ServiceManagerTestCase):

    def listen(self, address):
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(manager.close)
        manager.bind(address)
        manager.settimeout(30)
        return manager

    def said_nothing(self, manager):
        manager.setblocking(False)
        with self.assertRaises(BlockingIOError):
            manager.recv(100)

    def check_ready_and_stopping(self, manager, name):
        process = self.start_service(env={"NOTIFY_SOCKET": name})
        self.assertEqual(manager.recv(100), b"READY=1")
        # Who waited for that is served: no more attempts.
        client = Client(self.path)
        self.connections.callback(client.close)
        worker = client.spawn(["sleep", "600"])
        client.close()
        self.said_nothing(manager)
        manager.settimeout(30)
        process.terminate()
        self.assertEqual(manager.recv(100), b"STOPPING=1")
        self.assertEqual(process.wait(30), 0)
        self.said_nothing(manager)
        self.assertFalse(os.path.exists(f"/proc/{worker['pid']}"))
        self.assert_nothing_left()

    def test_a_socket_in_the_file_system(self):
        name = os.path.join(self.folder, "notify")
        self.check_ready_and_stopping(self.listen(name), name)

    def test_an_abstract_socket(self):
        name = "fs-notify-" + self.marker
        self.check_ready_and_stopping(self.listen("\0" + name), "@" + name)

    def test_a_shutdown_that_a_client_asks_for_is_told(self):
        name = os.path.join(self.folder, "notify")
        manager = self.listen(name)
        process = self.start_service(env={"NOTIFY_SOCKET": name})
        self.assertEqual(manager.recv(100), b"READY=1")
        self.connect().request("shutdown")
        self.assertEqual(manager.recv(100), b"STOPPING=1")
        self.assertEqual(process.wait(30), 0)
        self.assert_nothing_left()

    def test_the_manager_of_an_ancestor_is_told_nothing(self):
        name = os.path.join(self.folder, "notify")
        manager = self.listen(name)
        process = self.start_service(
            script="export SYSTEMD_EXEC_PID=1", env={"NOTIFY_SOCKET": name})
        self.connect()
        self.end(process)
        self.said_nothing(manager)

    def test_in_the_background_nobody_is_told(self):
        name = os.path.join(self.folder, "notify")
        manager = self.listen(name)
        process = self.start_service(env={"NOTIFY_SOCKET": name},
                                     foreground=())
        self.assertEqual(process.wait(60), 0)
        self.said_nothing(manager)
        client = self.connect()
        pid = client.hello["pid"]
        client.request("shutdown")
        self.assertEqual(os.waitpid(pid, 0)[1], 0)
        self.said_nothing(manager)
        self.assert_nothing_left()

    def test_a_manager_that_cannot_be_told_is_no_harm(self):
        for name in ("@", "", "relative", "/no/such", "@" + "x" * 200,
                     "vsock:2:1"):
            with self.subTest(name):
                process = self.start_service(env={"NOTIFY_SOCKET": name})
                self.connect()
                self.end(process)

    def test_nothing_of_it_reaches_workers(self):
        name = os.path.join(self.folder, "notify")
        self.listen(name)
        process = self.start_service(env={"NOTIFY_SOCKET": name})
        text, _ = self.connect().run([child_program("print_process")])
        self.assertIn("env PATH=", text)
        for variable in ("NOTIFY_SOCKET", "LISTEN_", "SYSTEMD_"):
            self.assertNotIn(variable, text)
        self.end(process)


class ActivationTest(ServiceManagerTestCase):

    def listen(self, path, kind=socket.SOCK_STREAM):
        listening = socket.socket(socket.AF_UNIX, kind)
        self.addCleanup(listening.close)
        listening.bind(path)
        if kind == socket.SOCK_STREAM:
            listening.listen(8)
        # Away from 3 and 4, which become copies.
        fd = os.open("/dev/null", os.O_RDONLY)
        os.close(fd)
        os.dup2(listening.fileno(), fd + 50)
        self.addCleanup(os.close, fd + 50)
        listening.close()
        return fd + 50

    def test_of_what_it_gets_it_takes_the_socket_that_listens(self):
        other = self.listen(os.path.join(self.folder, "dgram"),
                            socket.SOCK_DGRAM)
        read_end, write_end = os.pipe()
        os.dup2(read_end, 150)
        self.addCleanup(os.close, 150)
        wanted = self.listen(self.path)
        process = self.start_service(fds=(other, 150, wanted))
        os.close(read_end)
        os.close(write_end)
        client = self.connect()
        self.assertEqual(client.hello["pid"], process.pid)
        inherited = [os.readlink(f"/proc/{process.pid}/fd/{fd}")
                     for fd in os.listdir(f"/proc/{process.pid}/fd")]
        self.assertNotIn(os.readlink("/proc/self/fd/150"), inherited)
        text, _ = client.run([child_program("print_fds")])
        self.assertEqual(text, "0 1 2")
        client.close()
        self.end(process)
        self.assertTrue(os.path.exists(self.path))  # the manager's

    def test_its_path_is_that_of_the_socket(self):
        bound = os.path.join(self.folder, "bound.sock")
        process = self.start_service(fds=(self.listen(bound),))
        client = self.connect(bound)
        self.assertEqual(client.status()["socket"], bound)
        self.assertFalse(os.path.exists(self.path))
        self.end(process)

    def test_in_the_background_it_takes_it_too(self):
        process = self.start_service(fds=(self.listen(self.path),),
                                     foreground=())
        self.assertEqual(process.wait(60), 0)
        client = self.connect()
        self.assertEqual(client.status()["socket"], self.path)
        client.request("shutdown")
        self.assertEqual(os.waitpid(client.hello["pid"], 0)[1], 0)
        self.assertTrue(os.path.exists(self.path))  # the manager's
        self.assert_nothing_left()

    def test_a_second_one_by_hand_finds_it_served(self):
        process = self.start_service(fds=(self.listen(self.path),))
        self.connect()
        second = subprocess.run(
            [FORKSERVERD, "--socket", self.path], stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, timeout=60,
            check=False)
        self.assertEqual(second.returncode, 1, second.stdout)
        self.end(process)

    def test_ids_go_on_from_one_that_was_started_by_hand(self):
        by_hand = subprocess.Popen(
            [FORKSERVERD, "--socket", self.path, "--foreground"],
            stderr=subprocess.DEVNULL)
        first = self.connect().hello["instance"]
        self.end(by_hand)
        process = self.start_service(fds=(self.listen(self.path),))
        self.assertGreater(self.connect().hello["instance"], first)
        self.end(process)

    def test_one_that_was_started_by_hand_keeps_its_clients(self):
        by_hand = subprocess.Popen(
            [FORKSERVERD, "--socket", self.path, "--foreground"],
            stderr=subprocess.DEVNULL)
        old = self.connect()
        # As systemd does with a socket that is in its way.
        os.unlink(self.path)
        process = self.start_service(fds=(self.listen(self.path),))
        new = self.connect()
        self.assertEqual(new.hello["pid"], process.pid)
        self.assertEqual(old.run(["echo", "old"])[0], "old\n")
        old.request("shutdown")
        self.assertEqual(by_hand.wait(30), 0)
        self.assertEqual(new.run(["echo", "new"])[0], "new\n")
        self.end(process)

    def test_sockets_that_are_another_process_s_are_not_taken(self):
        mine = self.listen(os.path.join(self.folder, "mine"))
        process = self.start_service(script="export LISTEN_PID=1",
                                     fds=(mine,))
        self.assertEqual(self.connect().status()["socket"], self.path)
        self.end(process)

    def test_nonsense_in_the_variables_is_no_harm(self):
        for count in ("", "x", "-1", "0", "999999999999999999999"):
            with self.subTest(count):
                process = self.start_service(env={"LISTEN_FDS": count})
                self.connect()
                self.end(process)


if __name__ == "__main__":
    unittest.main()
