"""Frames and their descriptors over a real socket."""

import os
import socket
import unittest

from forkserver.errors import LaunchFailed, make_error
from forkserver.protocol import framing
from forkserver.protocol.framing import Received
from forkserver.protocol.messages import ErrorBody, Retire, Wait

from client_fixture import open_fds


class FramingTest(unittest.TestCase):

    def setUp(self):
        self.fds_before = open_fds()
        self.ours, self.theirs = socket.socketpair()
        self.theirs.setblocking(False)
        self.reader = framing.FrameReader()
        self.writer = framing.FrameWriter(self.ours)

    def tearDown(self):
        self.reader.close()
        self.ours.close()
        self.theirs.close()
        self.assertEqual(open_fds(), self.fds_before)

    def receive_all(self):
        frames = []
        while self.reader.receive(self.theirs) is Received.PROGRESS:
            frames += self.reader
        return frames

    def send_with_fds(self, count, name="x"):
        fds = [os.open(os.devnull, os.O_RDONLY) for _ in range(count)]
        self.writer.send(
            framing.encode_request(Wait(worker=name), 1, count), fds)
        for fd in fds:
            os.close(fd)

    def test_frames_come_out_as_they_went_in(self):
        for number in range(3):
            self.writer.send(
                framing.encode_request(Wait(worker=str(number)), number + 1))
        frames = self.receive_all()
        self.assertEqual([each.id for each in frames], [1, 2, 3])
        self.assertEqual([each.decode(Wait).worker for each in frames],
                         ["0", "1", "2"])
        self.assertTrue(self.reader.at_boundary())

    def test_bytes_one_by_one(self):
        for byte in framing.encode_request(Retire()):
            self.assertIsNone(self.reader.next())
            self.reader.feed(bytes([byte]))
        self.assertEqual(self.reader.next().type, "retire")

    def test_each_frame_has_its_own_descriptors(self):
        for count in (2, 0, 253, 1):
            self.send_with_fds(count, str(count))
        frames = self.receive_all()
        self.assertEqual([len(each.fds) for each in frames], [2, 0, 253, 1])
        for frame in frames:
            self.assertTrue(frame.complete)
            self.assertFalse(any(map(os.get_inheritable, frame.fds)))
            frame.close_fds()

    def test_it_is_told_when_descriptors_have_been_sent(self):
        self.ours.setblocking(False)
        sent = []
        writer = framing.FrameWriter(self.ours, sent.append)
        fds = list(os.pipe())
        large = framing.encode_request(Wait(worker="x" * 1_000_000), 9)
        writer.push(large)
        writer.push(framing.encode_request(Wait(), 10, 2), fds)
        self.assertFalse(writer.flush())
        self.assertEqual(sent, [])
        frames = []
        while len(frames) < 2:
            if self.reader.receive(self.theirs) is Received.WOULD_BLOCK:
                writer.flush()
            frames += self.reader
        self.assertIs(sent[0], fds)
        frames[1].close_fds()
        framing.close_all(fds)

    def test_descriptors_that_were_not_sent_are_missed(self):
        self.writer.send(framing.encode_request(Wait(), 1, 2))
        self.send_with_fds(1)
        first, second = self.receive_all()
        self.assertFalse(first.complete)
        for frame in (first, second):
            frame.close_fds()

    def test_descriptors_that_the_kernel_dropped_are_missed(self):
        frame = framing.encode_request(Wait(), 1, 2)
        for at in (1, len(frame)):
            with self.subTest(at=at):
                fd = os.open(os.devnull, os.O_RDONLY)
                self.reader.feed(frame[:at], [fd], fds_lost=True)
                first = self.reader.next()
                if first is None:
                    self.reader.feed(frame[at:])
                    first = self.reader.next()
                self.assertFalse(first.complete)
                first.close_fds()
                # The next one is not mixed up with it.
                self.send_with_fds(1)
                second, = self.receive_all()
                self.assertTrue(second.complete)
                self.assertEqual(len(second.fds), 1)
                second.close_fds()

    def test_a_full_socket_is_said_and_goes_on(self):
        self.ours.setblocking(False)
        data = framing.encode_request(Wait(worker="x" * 1_000_000), 9)
        self.writer.push(data)
        self.assertFalse(self.writer.flush())
        frames = []
        while not frames:
            if self.reader.receive(self.theirs) is Received.WOULD_BLOCK:
                self.writer.flush()
            frames += self.reader
        self.assertEqual(len(frames[0].decode(Wait).worker), 1_000_000)

    def test_the_end_is_told(self):
        self.assertIs(self.reader.receive(self.theirs), Received.WOULD_BLOCK)
        self.ours.close()
        self.assertIs(self.reader.receive(self.theirs), Received.CLOSED)

    def test_reports_are_written_until_nobody_reads(self):
        read_end, write_end = os.pipe()
        try:
            report = framing.encode_request(Retire())
            self.assertTrue(framing.write_report(write_end, report))
            with self.assertRaises(ValueError):
                framing.write_report(write_end, bytes(513))
            os.close(read_end)
            self.assertFalse(framing.write_report(write_end, report))
        finally:
            os.close(write_end)


class ErrorsTest(unittest.TestCase):

    def test_an_error_travels_with_all_it_says(self):
        error = LaunchFailed("execve(x): No such file or directory",
                             step="execve", errno=2, hint="look")
        again = ErrorBody.from_wire(
            ErrorBody.from_exception(error).to_wire()).to_exception()
        self.assertIs(type(again), LaunchFailed)
        self.assertEqual(again.__reduce__(), error.__reduce__())

    def test_a_code_without_a_class_is_kept(self):
        error = make_error("from_the_future", "text")
        self.assertEqual(error.code, "from_the_future")
        self.assertIn("[from_the_future]", str(error))


if __name__ == "__main__":
    unittest.main()
