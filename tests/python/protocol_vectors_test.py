"""The codec against the golden bytes that the C++ codec is held to."""

import json
import os
import unittest

from forkserver.errors import (Error, FrameTooLarge, LaunchFailed, Malformed,
                               TooManyDescriptors)
from forkserver.protocol import framing, messages, reports
from forkserver.protocol.fields import Message, pack, unpack

VECTORS = os.path.join(
    os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
    "conformance/vectors.json")
CLASSES = {each.TYPE: each for each in Message.__subclasses__()}
# What is only a part of other messages.
PARTS = {"audit_finding", "crash_frame", "crash_report", "io_priority",
         "journey", "library_answer", "listed_test", "loaded_file", "loaded_folder",
         "preload_report", "service", "test_failure", "thread_note", "worker", "zygote"}


def vectors(kind):
    with open(VECTORS, encoding="ascii") as file:
        return json.load(file)[kind]


def from_json(value):
    if isinstance(value, dict):
        if set(value) == {"bin_hex"}:
            return bytes.fromhex(value["bin_hex"])
        if set(value) == {"str_hex"}:
            return bytes.fromhex(value["str_hex"]).decode(
                "utf-8", "surrogateescape")
        return {key: from_json(each) for key, each in value.items()}
    if isinstance(value, list):
        return [from_json(each) for each in value]
    return value


def plain(value):
    """Tuples as lists."""
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    return value


def only_frame(data):
    reader = framing.FrameReader()
    reader.feed(data)
    frame = reader.next()
    assert frame is not None and reader.at_boundary()
    return frame


class VectorsTest(unittest.TestCase):

    def check_frame(self, vector):
        frame = only_frame(bytes.fromhex(vector["hex"]))
        self.assertEqual(
            {"type": frame.type, "id": frame.id, "fds": frame.announced},
            vector["envelope"])
        body = frame.decode(CLASSES[vector["message"]])
        self.assertEqual(plain(body.to_wire()), from_json(vector["body"]))
        return frame, body

    def test_every_canonical_vector_both_ways(self):
        for vector in vectors("canonical"):
            with self.subTest(vector["name"]):
                data = bytes.fromhex(vector["hex"])
                if vector["envelope"] is None:
                    body = CLASSES[vector["message"]].decode(data)
                    self.assertEqual(plain(body.to_wire()),
                                     from_json(vector["body"]))
                    self.assertEqual(body.encode().hex(), data.hex())
                else:
                    frame, body = self.check_frame(vector)
                    encoded = framing.encode_frame(frame.type, body, frame.id,
                                                   frame.announced)
                    self.assertEqual(encoded.hex(), data.hex())

    def test_what_an_encoder_need_not_produce_is_read_as_well(self):
        for vector in vectors("accepted"):
            with self.subTest(vector["name"]):
                self.check_frame(vector)

    def test_what_is_wrong_is_refused_with_its_code_and_named(self):
        for vector in vectors("refused"):
            with self.subTest(vector["name"]):
                with self.assertRaises(Error) as caught:
                    frame = only_frame(bytes.fromhex(vector["hex"]))
                    frame.decode(CLASSES[vector["message"]])
                self.assertEqual(caught.exception.code, vector["code"])
                self.assertIn(vector["says"], caught.exception.message)

    def test_there_is_a_class_for_every_message(self):
        named = {vector["message"] for vector in vectors("canonical")}
        self.assertEqual(named, set(CLASSES) - PARTS)

    def test_every_key_of_every_message_is_in_a_vector(self):
        present = {}
        for vector in vectors("canonical"):
            present.setdefault(vector["message"], set()).update(vector["body"])
        for name, cls in CLASSES.items():
            if name not in PARTS:
                keys = {key for _, key, _, _, _ in cls._KEYS}
                self.assertEqual(keys, present[name], name)


class MalformedTest(unittest.TestCase):

    def test_every_cut_of_a_frame_is_malformed(self):
        payload = framing.encode_request(
            messages.Spawn(setup=b"abc", name="x", watch=True), 7)[4:]
        for end in range(len(payload)):
            with self.subTest(end=end), self.assertRaises(Malformed):
                unpack(payload[:end])

    def test_a_length_that_is_only_declared_allocates_nothing(self):
        for data in (b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff",
                     b"\xdb\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff",
                     b"\xc9\xff\xff\xff\xff\x01"):
            with self.subTest(data=data.hex()), self.assertRaises(Malformed):
                unpack(data)

    def test_32_levels_are_read_and_33_are_not(self):
        self.assertTrue(unpack(b"\x91" * 31 + b"\x91\xc0"))
        for level in (b"\x91", b"\x81\x01"):
            with self.assertRaises(Malformed):
                unpack(level * 33 + b"\xc0")
        with self.assertRaises(Malformed):
            unpack(b"\x91" * 100_000 + b"\xc0")

    def test_empty_extensions_and_timestamps_are_refused(self):
        for data in (b"\xc7\x00\x05", b"\xd6\xff\x00\x00\x00\x00",
                     b"\xc7\x00\xff"):
            with self.subTest(data=data.hex()), self.assertRaises(Malformed):
                unpack(data)

    def test_keys_of_any_kind_are_ignored(self):
        body = {"worker": "a", 1: 2, None: 3, b"worker": "b", (1, 2): 4}
        self.assertEqual(messages.Wait.from_wire(unpack(pack(body))).worker,
                         "a")

    def test_a_frame_above_the_limit_is_refused_by_its_length(self):
        reader = framing.FrameReader()
        reader.feed(b"\x00\x40\x00\x01")
        with self.assertRaises(FrameTooLarge):
            reader.next()

    def test_too_much_is_not_encoded(self):
        with self.assertRaises(FrameTooLarge):
            framing.encode_request(messages.Spawn(setup=bytes(4 << 20)))
        with self.assertRaises(TooManyDescriptors):
            framing.encode_request(messages.Spawn(), 1, 254)

    def test_what_cannot_be_sent_names_its_key(self):
        for body, says in (
            (messages.Hello(min_protocol="1"), "'hello.min_protocol'"),
            (messages.Hello(max_protocol=2**63), "'hello.max_protocol'"),
            (messages.Setup(env="A=b"), "'setup.env'"),
            (messages.Setup(group="x"), "process_group, session"),
            (messages.Signal(signal=True), "'signal.signal'"),
            (messages.WorkerReply(worker=1), "'worker_reply.worker'"),
            (messages.ForkWorker(limits={"core": 1}), "'fork_worker.limits'"),
            (messages.Wait(worker="\ud800"), "ud800"),
        ):
            with self.subTest(says), self.assertRaises(Error) as caught:
                body.encode()
            self.assertIn(says, caught.exception.message)
            self.assertEqual(caught.exception.code, "bad_request")


class ReportsTest(unittest.TestCase):

    def test_a_long_error_is_cut_to_one_atomic_write(self):
        for text in ("x" * 5000, "\u00e4" * 5000, "\udcff" * 5000):
            with self.subTest(text[0]):
                error = LaunchFailed(text, step="s" * 100, hint="short",
                                     errno=2)
                data = reports.encode_failed("5f2c81a0-12", 4712, error)
                self.assertLessEqual(len(data), 512)
                failed = only_frame(data).decode(messages.Failed)
                self.assertEqual(failed.error.code, "launch_failed")
                self.assertTrue(failed.error.message.startswith(text[:4]))
                self.assertTrue(failed.error.message.endswith("..."))
                self.assertEqual(failed.error.hint, "short")


if __name__ == "__main__":
    unittest.main()
