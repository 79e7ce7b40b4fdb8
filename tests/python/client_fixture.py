"""A daemon of its own for each test, and this process as its client.

  class MyTest(ClientTestCase):
      def test_a_worker_exits(self):
          self.assertEqual(self.client.run(["true"]).code, 0)
"""

import os
import socket
import threading
from unittest import mock

import forkserver
from daemon_fixture import ROOT, DaemonTestCase, SandboxTestCase
from forkserver.protocol import framing, messages

ZYGOTE_PROGRAM = os.path.join(ROOT, "tests/child_programs/zygote_program")


def use_environment_of(test):
    """This process's environment is the sandbox's: workers carry its marker,
    and are found if they are left behind."""
    environment = mock.patch.dict(os.environ, test.sandbox.environment,
                                  clear=True)
    environment.start()
    test.addCleanup(environment.stop)


def open_fds():
    return sorted(os.listdir("/proc/self/fd"))


def in_child(function):
    """The text that function() returns in a forked child of this process."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(write_end, function().encode())
        finally:
            os._exit(0)
    os.close(write_end)
    with open(read_end, encoding="utf-8") as pipe:
        text = pipe.read()
    os.waitpid(pid, 0)
    return text


class Call(threading.Thread):
    """A call in a thread; result() joins it."""

    def __init__(self, function, *arguments):
        super().__init__(daemon=True)
        self._call = lambda: function(*arguments)
        self._value = None
        self._error = None
        self.start()

    def run(self):
        try:
            self._value = self._call()
        except BaseException as error:
            self._error = error

    def result(self):
        self.join(60)
        if self.is_alive():
            raise AssertionError("the call hangs")
        if self._error is not None:
            raise self._error
        return self._value


class FakeDaemon:
    """Says hello, then what it is told to, to one client after the other."""

    def __init__(self, path, answer, hello=True, version="", clients=1):
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen()
        self._answer = answer
        self._hello = hello
        self._version = version
        self._clients = clients
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        for _ in range(self._clients):
            connection, _ = self._listener.accept()
            with connection:
                self._serve(connection)

    def _serve(self, connection):
        reader = framing.FrameReader()
        while reader.receive(connection) is framing.Received.PROGRESS:
            for frame in reader:
                if frame.type == "hello" and self._hello:
                    connection.sendall(framing.encode_frame(
                        "reply", messages.HelloReply(
                            protocol=1, version=self._version), frame.id))
                    continue
                data = self._answer(frame)
                if data is None:
                    return
                connection.sendall(data)
                if not self._hello:
                    return

    def close(self):
        self._listener.close()
        self._thread.join(60)


class EnvironmentTestCase(SandboxTestCase):
    """No daemon yet."""

    def setUp(self):
        super().setUp()
        use_environment_of(self)


class ClientTestCase(DaemonTestCase):

    def setUp(self):
        super().setUp()
        use_environment_of(self)
        self.fds_before = open_fds()
        self.client = self.connect()

    def connect(self):
        return forkserver.connect(self.sandbox.socket, autostart=False)

    def tearDown(self):
        self.client.close()
        self.assertEqual(open_fds(), self.fds_before)
        super().tearDown()

    def assert_error(self, cls, says, function, *arguments, **options):
        """It raises exactly this class, and the message has this text."""
        with self.assertRaises(forkserver.Error) as caught:
            function(*arguments, **options)
        self.assertIs(type(caught.exception), cls, str(caught.exception))
        self.assertIn(says, str(caught.exception))
        return caught.exception

    def start_zygote(self, name="z", **options):
        return self.client.start_zygote(name, [ZYGOTE_PROGRAM], **options)
