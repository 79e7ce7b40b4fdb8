"""Frames that are wrong: their bytes, their types, their descriptors."""

import os
import socket
import struct
import unittest

import msgpack

from bystander import BystanderTestCase
from wire import frame, make_setup, pack, wait_for

MAX_FRAME = 4 << 20


class BadBytesTest(BystanderTestCase):

    def assert_refused_and_closed(self, client, code):
        self.assertEqual(client.next_error().code, code)
        self.assertEqual(client.wait_until_closed(), [])

    def assert_malformed(self, payload, code="malformed"):
        client = self.client()
        client.send_bytes(frame(payload))
        self.assertEqual(client.next_error().code, code)
        self.assert_still_open(client)

    def test_a_frame_longer_than_the_limit_is_refused_unread(self):
        for size in (MAX_FRAME + 1, 1 << 31, 0xffffffff):
            client = self.client()
            client.send_bytes(struct.pack(">I", size))
            self.assert_refused_and_closed(client, "frame_too_large")

    def test_one_before_hello_too(self):
        client = self.client(hello=False)
        client.send_bytes(struct.pack(">I", MAX_FRAME + 1) + b"x" * 1000)
        self.assert_refused_and_closed(client, "frame_too_large")

    def test_a_frame_of_the_limit_is_read(self):
        client = self.client()
        body = self.spawn_body()
        overhead = len(pack({"type": "spawn", "id": 7,
                             "body": dict(body, ignored=b"")}))
        # Long bytes have three more bytes of length than none.
        body["ignored"] = b"x" * (MAX_FRAME - overhead - 3)
        payload = pack({"type": "spawn", "id": 7, "body": body})
        self.assertEqual(len(payload), MAX_FRAME)
        client.send_bytes(frame(payload))
        self.assertEqual(client.wait(client.answer(7)["worker"])["code"], 0)

    def test_truncated_msgpack_is_malformed(self):
        whole = pack({"type": "spawn", "id": 7, "body": self.spawn_body()})
        for size in (0, 1, 5, len(whole) // 2, len(whole) - 1):
            with self.subTest(size=size):
                self.assert_malformed(whole[:size])

    def test_bytes_after_the_message_are_malformed(self):
        self.assert_malformed(pack({"type": "list"}) + b"\0")

    def test_lengths_that_lie_are_malformed(self):
        for payload in (b"\xdf\xff\xff\xff\xff", b"\xdd\xff\xff\xff\xff",
                        b"\xdb\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff",
                        b"\xc9\xff\xff\xff\xff\x01", b"\xc1"):
            with self.subTest(payload=payload):
                self.assert_malformed(payload)

    def test_nesting_10000_deep_is_malformed(self):
        for opening in (b"\x91", b"\x81\xa1a"):
            deep = opening * 10_000 + b"\xc0"
            self.assert_malformed(deep)
            self.assert_malformed(b"\x82\xa4type\xa4list\xa4body" + deep)
            client = self.client()
            error = self.assert_error("malformed", client.request, "spawn",
                                      {"setup": deep})
            self.assertTrue(error.message)
            self.assert_still_open(client)

    def test_a_message_that_is_no_map_is_refused(self):
        for value in (None, 1, "list", [1], b"list"):
            with self.subTest(value=value):
                self.assert_malformed(pack(value), "bad_request")

    def test_a_message_without_a_type_is_refused(self):
        client = self.client()
        client.send_bytes(frame(pack({"id": 5, "body": {}})))
        error = client.next_error()
        self.assertEqual(error.code, "missing_key")
        self.assertIn("'type'", error.message)
        self.assert_still_open(client)

    def test_random_bytes_do_no_harm(self):
        for size in (4, 100, 10_000):
            client = self.client(hello=False)
            client.send_bytes(os.urandom(size))
            client.socket.shutdown(socket.SHUT_WR)
            client.wait_until_closed()

    def test_half_a_frame_and_then_nothing(self):
        whole = frame(pack({"type": "spawn", "id": 9,
                            "body": self.spawn_body()}))
        for size in (1, 3, 4, 5, len(whole) - 1):
            client = self.client()
            client.send_bytes(whole[:size])
            self.check_bystander()
            client.send_bytes(whole[size:])  # and here is the rest
            client.wait(client.answer(9)["worker"])
            client.send_bytes(whole[:size])
            client.close()

    def test_a_frame_in_single_bytes(self):
        client = self.client()
        for byte in frame(pack({"type": "status", "id": 9})):
            client.send_bytes(bytes([byte]))
        self.assertEqual(client.answer(9)["pid"], self.daemon.pid)

    def test_closing_with_unread_answers_does_no_harm(self):
        for _ in range(20):
            client = self.client()
            for _ in range(10):
                client.send("list")
            client.close()

    def test_1000_connections(self):
        connections = []
        for _ in range(1000):
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(self.daemon.socket)
            connections.append(connection)
        self.check_bystander()
        wait_for(lambda: self.bystander.status()["clients"] == 1001,
                 "all are there")
        for connection in connections:
            connection.close()
        wait_for(lambda: self.bystander.status()["clients"] == 1,
                 "all are gone")
        for _ in range(1000):  # one after another
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(self.daemon.socket)
            connection.close()


class BadDescriptorsTest(BystanderTestCase):

    def setUp(self):
        super().setUp()
        self.null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        self.addCleanup(os.close, self.null)

    def refuse(self, code, fds, *, sent, announced=None):
        client = self.client()
        error = self.assert_error(code, client.request, "spawn",
                                  self.spawn_body(fds=fds),
                                  [self.null] * sent, announced=announced)
        self.assert_still_open(client)
        return error.message

    def test_an_index_out_of_range(self):
        for index in (1, -1, 253, 2**62, -2**62):
            message = self.refuse("bad_descriptor", [[1, index]], sent=1)
            self.assertIn(f"index {index} is out of range", message)
        self.refuse("bad_descriptor", [[1, 0]], sent=0)

    def test_a_number_out_of_range(self):
        for number in (-1, 65536, 2**40):
            message = self.refuse("bad_descriptor", [[number, 0]], sent=1)
            self.assertIn(str(number), message)

    def test_a_number_named_twice(self):
        self.assertIn("5 is named twice",
                      self.refuse("bad_descriptor", [[5, 0], [5, 1]], sent=2))

    def test_announced_and_not_sent(self):
        message = self.refuse("bad_descriptor", [[1, 0]], sent=0, announced=1)
        self.assertIn("announces 1", message)
        self.refuse("bad_descriptor", [[1, 0]], sent=1, announced=2)
        self.refuse("bad_descriptor", [[1, 0]], sent=1, announced=253)

    def test_sent_and_not_announced(self):
        self.refuse("bad_descriptor", [[1, 0]], sent=1, announced=0)
        self.refuse("bad_descriptor", [[1, 0]], sent=3, announced=1)

    def test_sent_and_not_placed(self):
        self.assertIn("1 was sent", self.refuse("bad_descriptor", [[1, 0]],
                                                sent=2))

    def test_more_than_253_announced(self):
        for announced in (254, 2**32, 2**62):
            self.refuse("too_many_descriptors", [[1, 0]], sent=1,
                        announced=announced)

    def test_254_descriptors_in_two_messages(self):
        client = self.client()
        body = self.spawn_body(fds=[[3 + index, index]
                                    for index in range(254)])
        data = frame(pack({"type": "spawn", "id": 9, "fds": 254,
                           "body": body}))
        # The kernel takes 253 at once at most.
        with self.assertRaises(OSError):
            client.send_bytes(data, [self.null] * 254)
        client.send_bytes(data[:1], [self.null] * 127)
        client.send_bytes(data[1:], [self.null] * 127)
        error = client.next_error()
        self.assertEqual(error.code, "too_many_descriptors")
        self.assert_still_open(client)

    def test_thousands_of_bad_frames_at_once_are_all_answered(self):
        client = self.client()
        client.send_bytes(b"".join(
            frame(pack({"type": "list", "id": 1000 + index, "fds": 1}))
            for index in range(5000)))
        for index in range(5000):
            self.assert_error("bad_descriptor", client.answer, 1000 + index)
        self.assert_still_open(client)

    def test_descriptors_without_end(self):
        client = self.client()
        client.send_bytes(struct.pack(">I", 1000))
        with self.assertRaises(OSError):
            for _ in range(100):
                client.send_bytes(b"x", [self.null] * 253)
        self.assertEqual(client.next_error().code, "too_many_descriptors")
        self.assertEqual(client.wait_until_closed(), [])

    def test_descriptors_with_garbage_are_closed(self):
        client = self.client()
        client.send_bytes(frame(b"\xc1"), [self.null] * 10)
        self.assertEqual(client.next_error().code, "malformed")
        client.send_bytes(frame(pack({"type": "list", "fds": 5, "id": 1000})),
                          [self.null] * 5)
        client.answer(1000)
        client.send_bytes(frame(pack({"type": "nonsense", "fds": 5})),
                          [self.null] * 5)
        self.assertEqual(client.next_error().code, "unknown_request")
        self.assert_still_open(client)

    def test_two_frames_in_one_message_share_out_its_descriptors(self):
        client = self.client()
        read_ends, requests = [], b""
        write_ends = []
        for number in (5, 6):
            read_end, write_end = os.pipe()
            read_ends.append(read_end)
            write_ends.append(write_end)
            requests += frame(pack({
                "type": "spawn", "id": number + 1000, "fds": 1,
                "body": self.spawn_body(["sh", "-c", f"echo {number}"],
                                        fds=[[1, 0]])}))
        client.send_bytes(requests, write_ends)
        for number, read_end, write_end in zip((5, 6), read_ends, write_ends):
            os.close(write_end)
            worker = client.answer(number + 1000)["worker"]
            client.wait(worker)
            with open(read_end, "rb") as output:
                self.assertEqual(output.read(), b"%d\n" % number)


class BadTypesTest(BystanderTestCase):

    def test_each_wrong_type_names_its_key(self):
        setup = msgpack.unpackb(self.spawn_body()["setup"], raw=False)
        cases = [("argv", "true"), ("argv", [1]), ("env", {"A": "1"}),
                 ("env", [None]), ("cwd", 1), ("umask", "022"),
                 ("umask", 2**63), ("limits", [1]),
                 ("limits", {"nofile": 7}), ("limits", {"nofile": [1]}),
                 ("nice", "low"), ("cpus", 1), ("cpus", ["1"]),
                 ("io_priority", "idle"), ("oom_score_adj", "never"),
                 ("no_new_privs", 1), ("group", 3), ("group", "gang"),
                 ("fds", 3), ("fds", [3]), ("fds", [[1, 2, 3]])]
        client = self.client()
        for key, value in cases:
            with self.subTest(key=key, value=value):
                error = self.assert_error(
                    "bad_request", client.request, "spawn",
                    {"setup": pack({**setup, key: value})})
                self.assertIn(key, error.message)
        for key, value in [("name", 5), ("timeout_ms", "1s"), ("detach", 1),
                           ("watch", "yes"), ("grace_ms", 1.5), ("setup", 1)]:
            with self.subTest(key=key, value=value):
                body = {**self.spawn_body(), key: value}
                error = self.assert_error("bad_request", client.request,
                                          "spawn", body)
                self.assertIn(f"spawn.{key}'", error.message)
        self.assert_still_open(client)

    def test_each_missing_key_is_named(self):
        client = self.client()
        for kind, keys in [("spawn", ["setup"]), ("wait", ["worker"]),
                           ("signal", ["worker"]), ("stop", ["worker"]),
                           ("fork", ["zygote"]), ("zygote_start", ["name"]),
                           ("zygote_stop", ["name"]),
                           ("hello", ["min_protocol"])]:
            error = self.assert_error("missing_key", client.request, kind)
            for key in keys:
                self.assertIn(f"{key}'", error.message)
        for key in ("env", "cwd", "umask"):
            setup = {"argv": ["true"], "env": [], "cwd": "/", "umask": 0}
            del setup[key]
            error = self.assert_error("missing_key", client.request, "spawn",
                                      {"setup": pack(setup)})
            self.assertIn(key, error.message)
        self.assert_still_open(client)

    def test_unknown_keys_are_ignored(self):
        client = self.client()
        setup = make_setup(["true"], env=client.env, future=[1, {"a": None}])
        worker = client.request("spawn", {"setup": setup, "future": 1})
        client.wait(worker["worker"])
        client.send_bytes(frame(pack({"type": "list", "id": 1000, "body": {},
                                      "future": {"deep": [1]}})))
        client.answer(1000)
        self.assert_still_open(client)

    def test_an_envelope_of_wrong_types_is_refused(self):
        client = self.client()
        for key, value in (("type", 1), ("id", "x"), ("id", -1),
                           ("fds", "two"), ("fds", -1), ("body", [])):
            message = {"type": "wait", "id": 1000, "body": {}, key: value}
            with self.subTest(key=key, value=value):
                client.send_bytes(frame(pack(message)))
                error = client.next_error()
                self.assertEqual(error.code, "bad_request")
                self.assertIn("map" if key == "body" else key, error.message)
        self.assert_still_open(client)


if __name__ == "__main__":
    unittest.main()
