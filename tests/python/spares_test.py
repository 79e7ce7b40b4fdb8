"""Workers that a Python zygote has forked in advance."""

import json
import os
import signal
import unittest
from subprocess import DEVNULL

import forkserver
from zygote_case import ZygoteTestCase, alive, wait_for

TELL = """
    import ctypes, json, os, random, resource, signal, sys
    ctypes.CDLL(None).setenv(b"HIDDEN", b"in the zygote", 1)
    os.environ["SHOWN"] = "in the zygote"
    libc = ctypes.CDLL(None)
    libc.getenv.restype = ctypes.c_char_p
    def entry(context):
        sys.stdout.write("written")
        context.set_result(json.dumps({
            "pid": os.getpid(), "argv": context.argv, "cwd": os.getcwd(),
            "args": context.args.decode(), "session": os.getsid(0),
            "environment": dict(os.environ), "umask": os.umask(0),
            "c": [str(libc.getenv(each)) for each in (b"HIDDEN", b"SHOP")],
            "streams": [[each.name, each.mode, each.isatty(),
                         each.seekable(), each.line_buffering, each.encoding]
                        for each in (sys.stdin, sys.stdout, sys.stderr)],
            "same": sys.stdout is sys.__stdout__,
            "files": [os.readlink(f"/proc/self/fd/{each}").split(":")[0]
                      for each in range(3)],
            "limits": [resource.getrlimit(each) for each in range(16)],
            "signals": [str(signal.getsignal(each)) for each in (2, 17)],
            "draw": random.random()}).encode())
"""


def children_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(word) for word in file.read().split()]


class SparesTest(ZygoteTestCase):

    def start_with(self, least, most, name="z", **options):
        """The zygote, when it has its spares."""
        zygote = self.zygote(name, spares=(least, most), **options)
        self.await_spares(zygote, most)
        return zygote

    def await_spares(self, zygote, count):
        wait_for(lambda: len(self.parked(zygote)) == count,
                 lambda: f"{count} spares, not {self.parked(zygote)}")

    @staticmethod
    def parked(zygote):
        return [pid for pid in children_of(zygote.info.pid) if alive(pid)]

    def test_a_call_is_handed_to_one_and_another_takes_its_place(self):
        zygote = self.start_with(1, 2)
        spares = self.parked(zygote)
        self.assertIn(zygote.call(os.getpid), spares)
        self.await_spares(zygote, 2)
        self.assertNotEqual(self.parked(zygote), spares)

    def test_it_is_the_worker_that_was_asked_for(self):
        options = {"env": {**os.environ, "SHOP": "open"}, "cwd": "/usr",
                   "args": b"words", "argv": ["a", "b"], "umask": 0o27,
                   "group": "session"}
        module = self.write(TELL)
        told = []
        for zygote in (self.zygote("plain"), self.start_with(1, 2)):
            spares = self.parked(zygote)
            found, record = self.tell(zygote, module, **options)
            self.assertEqual(found["pid"] in spares, bool(spares))
            self.assertEqual(found["environment"].pop("FORKSERVER_WORKER"),
                             record.id)
            self.assertEqual(found.pop("session"), found.pop("pid"))
            told.append(found)
        self.assertNotEqual(told[0].pop("draw"), told[1].pop("draw"))
        self.assertEqual(told[0], told[1])

    def test_streams_and_limits_are_those_of_the_request(self):
        module = self.write(TELL)
        plain = self.zygote("plain", preload=[module])
        ready = self.start_with(1, 2, preload=[module])
        with open(self.file_of("output"), "w+b") as file:
            for options in (
                    {"stdin": DEVNULL, "stdout": DEVNULL, "stderr": DEVNULL},
                    {"stdout": file, "stderr": file},
                    {"limits": {"core": 0, "nofile": (100, 200)}},
                    {"env": {**os.environ, "HIDDEN": "asked for"}}):
                with self.subTest(options):
                    self.await_spares(ready, 2)
                    spares = self.parked(ready)
                    answers = [self.tell(zygote, module, **options)
                               for zygote in (plain, ready)]
                    told = [found for found, _ in answers]
                    self.assertIn(told[1].pop("pid"), spares)
                    for each, record in answers:
                        self.assertEqual(
                            each["environment"].pop("FORKSERVER_WORKER"),
                            record.id)
                        for own in ("pid", "draw", "session"):
                            each.pop(own, None)
                    self.assertEqual(told[0], told[1])
            self.assertEqual(os.fstat(file.fileno()).st_size,
                             2 * len("written"))

    def test_hooks_of_the_user_run_when_there_is_a_request(self):
        module = self.module("""
            import os, forkserver.hooks
            found = []
            @forkserver.hooks.after_fork
            def note(): found.append(os.environ.get("SHOP"))
            def told(): return found
        """)
        zygote = self.start_with(1, 1, preload=[module.__name__])
        spares = self.parked(zygote)
        os.environ["SHOP"] = "open"
        self.assertEqual(zygote.call(module.told), ["open"])
        self.await_spares(zygote, 1)
        self.assertNotEqual(self.parked(zygote), spares)

    def tell(self, zygote, module, **options):
        read_end, write_end = os.pipe()
        with open(read_end, "rb") as result:
            worker = zygote.fork(module + ":entry", result=write_end,
                                 **options)
            os.close(write_end)
            text = result.read()
        record = worker.wait(30)
        self.assertEqual(record.code, 0)
        return json.loads(text), record

    def test_each_draws_numbers_of_its_own(self):
        module = self.module("""
            import random
            def draw(): return random.random()
        """)
        zygote = self.start_with(0, 4, preload=["random"])
        drawn = {zygote.call(module.draw) for _ in range(4)}
        self.assertEqual(len(drawn), 4)

    def test_more_requests_than_spares(self):
        module = self.write("def entry(context): return int(context.args)")
        zygote = self.start_with(1, 2)
        workers = [zygote.fork(module + ":entry", args=b"%d" % i)
                   for i in range(12)]
        for i, worker in enumerate(workers):
            self.assertEqual(worker.wait(30).code, i)
        self.await_spares(zygote, 2)

    def test_spares_that_die_are_not_noticed(self):
        zygote = self.start_with(2, 2)
        for pid in self.parked(zygote):
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda pid=pid: not alive(pid), "it is dead")
        self.assertEqual(zygote.call(abs, -3), 3)
        self.await_spares(zygote, 2)

    def test_a_detached_worker_is_none_of_them(self):
        zygote = self.start_with(1, 1)
        spares = self.parked(zygote)
        worker = zygote.fork("signal:pause", detach=True)
        self.assertNotIn(worker.pid, spares)
        worker.stop(0)

    def test_they_end_with_their_zygote(self):
        for end in (lambda zygote: os.kill(zygote.info.pid, signal.SIGKILL),
                    lambda zygote: self.client.stop_zygote("z")):
            zygote = self.start_with(1, 3)
            spares = self.parked(zygote)
            end(zygote)
            for pid in [zygote.info.pid, *spares]:
                wait_for(lambda pid=pid: not alive(pid), "it ends")

    def test_requests_that_are_wrong_get_the_errors_of_a_fork(self):
        zygote = self.start_with(1, 2)
        for code, entry, options in (
                ("unknown_entry", "nothing", {}),
                ("unknown_entry", "no_such_module:entry", {}),
                ("stale_environment", "call",
                 {"env": {**os.environ, "LD_PRELOAD": "/nothing"}}),
                ("launch_failed", "call", {"cwd": "/does/not/exist"})):
            with self.subTest(code):
                with self.assertRaises(forkserver.Error) as caught:
                    zygote.fork(entry, **options)
                self.assertEqual(caught.exception.code, code)
                self.await_spares(zygote, 2)

    def test_what_crashes_says_where(self):
        zygote = self.start_with(1, 1)
        module = self.write("""
            import ctypes
            def entry(context): ctypes.string_at(0)
        """)
        record = zygote.fork(module + ":entry").wait(30)
        self.assertEqual(record.signal, signal.SIGSEGV)
        self.assertIn("in entry", record.crash.traceback)

    def test_values_that_are_wrong(self):
        for bad in (3, (1, 2, 3), ("1", "2"), (2, 1), (0, 65), None):
            with self.subTest(bad):
                with self.assertRaises(forkserver.Error) as caught:
                    self.zygote("bad", spares=bad)
                self.assertEqual(caught.exception.code, "bad_request")


if __name__ == "__main__":
    unittest.main()
