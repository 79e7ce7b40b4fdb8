"""A daemon that goes away, stops answering or says nonsense."""

import os
import signal
import struct
import unittest

import forkserver
from client_fixture import (Call, ClientTestCase, EnvironmentTestCase,
                            FakeDaemon)
from daemon_fixture import wait_for
from forkserver import ConnectionLost
from forkserver.protocol import framing, messages


class KilledDaemonTest(ClientTestCase):

    def test_in_the_middle_of_a_wait(self):
        worker = self.client.spawn(["sleep", "60"])
        other = self.connect()
        waits = [Call(worker.wait), Call(worker.wait),
                 Call(other.wait, worker.id)]
        events = self.client.subscribe()
        event = Call(events.next)
        wait_for(lambda: self.client._connection._reader is not None and
                 other._connection._reader is not None, "they wait")
        self.kill_daemon()
        for call in waits:
            with self.assertRaisesRegex(ConnectionLost, worker.id):
                call.result()
        with self.assertRaises(ConnectionLost):
            event.result()
        for call in (self.client.status, worker.wait, worker.stop,
                     self.client.process, events.next,
                     lambda: self.client.run(["true"])):
            with self.assertRaises(ConnectionLost):
                call()
        other.close()

    def test_in_the_middle_of_a_request(self):
        self.daemon.send_signal(signal.SIGSTOP)
        calls = [Call(self.client.run, ["true"]),
                 Call(self.client.spawn, ["true"]),
                 Call(self.client.status)]
        wait_for(lambda: len(self.client._connection.session._pending) == 3,
                 "they are sent")
        self.kill_daemon()
        for call in calls:
            with self.assertRaises(ConnectionLost):
                call.result()

    def test_while_a_large_request_is_sent(self):
        self.daemon.send_signal(signal.SIGSTOP)
        call = Call(self.client.run, ["true", "x" * 3_000_000])
        wait_for(lambda: self.client._connection._polling, "it is full")
        # Nor does it keep others from being closed.
        self.kill_daemon()
        with self.assertRaises(ConnectionLost):
            call.result()

    def test_a_record_that_has_come_is_kept(self):
        worker = self.client.spawn(["true"])
        self.client.wait(worker.id)
        self.kill_daemon()
        self.assertEqual(worker.wait().code, 0)

    def test_a_new_connection_has_a_new_daemon(self):
        self.kill_daemon()
        with self.assertRaises(ConnectionLost):
            self.client.status()
        with forkserver.connect() as client:
            self.assertEqual(client.run(["true"]).code, 0)
            client.shutdown()


class StoppedDaemonTest(ClientTestCase):

    def test_connecting_gives_up(self):
        self.daemon.send_signal(signal.SIGSTOP)
        with self.assertRaisesRegex(TimeoutError, "does not answer"):
            forkserver.connect(start_timeout=0.1)
        self.daemon.send_signal(signal.SIGCONT)

    def test_a_wait_times_out(self):
        worker = self.client.spawn(["sleep", "60"])
        self.daemon.send_signal(signal.SIGSTOP)
        with self.assertRaises(TimeoutError):
            self.client.wait(worker.id, 0.05)
        self.daemon.send_signal(signal.SIGCONT)
        self.assertEqual(worker.stop().reason, "stopped")

    def test_a_large_request_goes_on_when_the_daemon_does(self):
        self.daemon.send_signal(signal.SIGSTOP)
        large = Call(self.client.run, ["true", "x" * 3_000_000])
        wait_for(lambda: self.client._connection._polling, "it is full")
        small = Call(self.client.status)
        self.daemon.send_signal(signal.SIGCONT)
        # Linux takes no argument that long.
        with self.assertRaisesRegex(forkserver.LaunchFailed, "execve"):
            large.result()
        self.assertEqual(small.result().threads, 1)


class NonsenseTest(EnvironmentTestCase):

    def client_of(self, answer, hello=True):
        fake = FakeDaemon(self.sandbox.socket, answer, hello)
        self.addCleanup(fake.close)
        client = forkserver.connect(autostart=False)
        self.addCleanup(client.close)
        return client

    def lost(self, says, answer):
        client = self.client_of(answer)
        with self.assertRaisesRegex(ConnectionLost, says):
            client.status()
        with self.assertRaisesRegex(ConnectionLost, says):
            client.list()

    def test_no_msgpack(self):
        self.lost("malformed", lambda frame: struct.pack(">I", 1) + b"\xc1")

    def test_a_frame_that_is_too_large(self):
        self.lost("frame_too_large", lambda frame: b"\xff\xff\xff\xff")

    def test_an_answer_of_another_kind(self):
        self.lost("daemon_status", lambda frame: framing.encode_frame(
            "reply", messages.Done(), frame.id))

    def test_the_end(self):
        self.lost("closed", lambda frame: None)

    def test_the_last_words_are_told(self):
        error = messages.ErrorBody("client_stalled", "too slow")
        seen = []

        def answer(frame):
            seen.append(frame)
            if len(seen) > 1:
                return None
            return framing.encode_frame("error", error)

        client = self.client_of(answer)
        call = Call(client.status)
        wait_for(lambda: client._connection.session.farewell, "it has come")
        client._connection.start(
            lambda session: session.ask(messages.Status(),
                                        messages.DaemonStatus))
        with self.assertRaisesRegex(ConnectionLost, "too slow"):
            call.result()

    def test_answers_that_nobody_asked_for_are_ignored(self):
        client = self.client_of(lambda frame: framing.encode_frame(
            "reply", messages.Done(), 4711) + framing.encode_frame(
                "later", messages.Done(), frame.id + 1) +
            framing.encode_frame("reply", messages.DaemonStatus(pid=7),
                                 frame.id))
        self.assertEqual(client.status().pid, 7)

    def test_descriptors_that_come_are_closed(self):
        client = self.client_of(lambda frame: None)
        fd = os.open(os.devnull, os.O_RDONLY)
        client._connection.session.feed(
            framing.encode_frame("later", messages.Done(), 4711), [fd])
        with self.assertRaises(OSError):
            os.fstat(fd)

    def test_a_daemon_that_refuses_this_peer(self):
        error = messages.ErrorBody("peer_confined", "more confined", hint="h")
        with self.assertRaisesRegex(forkserver.PeerConfined, "more confined"):
            self.client_of(lambda frame: framing.encode_frame("error", error),
                           hello=False)

    def test_another_protocol(self):
        with self.assertRaisesRegex(forkserver.VersionMismatch, "protocol 7"):
            self.client_of(lambda frame: framing.encode_frame(
                "reply", messages.HelloReply(protocol=7), frame.id),
                           hello=False)


if __name__ == "__main__":
    unittest.main()
