"""What the exit record of a worker that crashed says."""

import os
import signal
import subprocess
import unittest

from daemon_fixture import is_sanitized
from wire import WireTestCase, ZYGOTE_PROGRAM, wait_for
from zygote_fixture import ZygoteTestCase


class ForkedWorkerTest(ZygoteTestCase):

    def crash(self, entry, args=b"", **options):
        client = self.client()
        if "z" not in self.zygotes(client):
            self.start(client)
        record = client.wait(self.fork(client, entry, args, **options))
        return record, record.get("crash")

    def assert_frames(self, crash):
        """Empty where a sanitizer is in the place of the handler."""
        if is_sanitized(ZYGOTE_PROGRAM):
            return
        modules = [frame["module"] for frame in crash["frames"]]
        self.assertIn(os.path.realpath(ZYGOTE_PROGRAM), modules)
        for frame in crash["frames"]:
            self.assertGreaterEqual(frame["offset"], 0)

    def assert_crash(self, entry, number, code, **more):
        record, crash = self.crash(entry)
        self.assertEqual((record["signal"], record["reason"]),
                         (number, "signaled"))
        self.assertEqual(crash["signal_name"], signal.Signals(number).name)
        self.assertIs(crash["pristine"], True)
        if not is_sanitized(ZYGOTE_PROGRAM):
            self.assertEqual(crash.get("code_name"), code)
            self.assertEqual(crash["thread"], "zygote_program")
            for key, value in more.items():
                self.assertEqual(crash.get(key), value)
            self.assert_frames(crash)
        return crash

    def test_a_write_to_nowhere_has_its_address(self):
        crash = self.assert_crash("write_to_null", signal.SIGSEGV,
                                  "SEGV_MAPERR", address=0x110)
        if not is_sanitized(ZYGOTE_PROGRAM):
            self.assertEqual(crash["frames"][0]["module"],
                             os.path.realpath(ZYGOTE_PROGRAM))

    def test_an_abort_has_no_address_and_frames_of_libc(self):
        crash = self.assert_crash("abort", signal.SIGABRT, "SI_TKILL",
                                  address=None)
        if not is_sanitized(ZYGOTE_PROGRAM):
            self.assertIn("libc", crash["frames"][0]["module"])

    @unittest.skipIf(is_sanitized(ZYGOTE_PROGRAM), "a sanitizer sees it before")
    def test_a_division_by_zero(self):
        self.assert_crash("divide_by_zero", signal.SIGFPE, "FPE_INTDIV")

    def test_a_call_of_null_knows_the_caller(self):
        crash = self.assert_crash("call_null", signal.SIGSEGV, "SEGV_MAPERR",
                                  address=0)
        if not is_sanitized(ZYGOTE_PROGRAM):
            self.assertEqual(crash["frames"][0], {"module": "", "offset": 0})

    def test_a_stack_that_overflowed_is_told(self):
        crash = self.assert_crash("overflow_stack", signal.SIGSEGV,
                                  "SEGV_MAPERR")
        if not is_sanitized(ZYGOTE_PROGRAM):
            self.assertGreater(len(crash["frames"]), 8)

    def test_an_uncaught_exception_is_an_abort_with_frames(self):
        self.assert_crash("throw", signal.SIGABRT, "SI_TKILL")

    def test_a_signal_of_somebody_else_has_its_sender_as_code(self):
        client = self.client()
        self.start(client)
        worker = self.fork(client, "sleep_forever")
        os.kill(worker["pid"], signal.SIGSEGV)
        crash = client.wait(worker)["crash"]
        if not is_sanitized(ZYGOTE_PROGRAM):
            self.assertEqual(crash["code_name"], "SI_USER")

    def test_standard_error_that_is_a_file_is_quoted(self):
        path = os.path.join(self.folder, "stderr")
        with open(path, "wb") as file:
            file.write(b"x" * 5000 + b"\n")
        with open(path, "ab") as file:
            _, crash = self.crash("abort_loudly", b"the last words",
                                  passed=[file.fileno()], fds=[[2, 0]])
        if not is_sanitized(ZYGOTE_PROGRAM):
            self.assertEqual(len(crash["stderr_tail"]), 1024)
            self.assertTrue(
                crash["stderr_tail"].endswith("x\nthe last words\n"))

    def test_what_a_worker_scribbles_is_no_more_than_text(self):
        for junk in (b"frame  \nsignal x\nat\n", b"\xff\xfe\x00", b"A",
                     b"frame /x 0xffffffffffffffffff\n",
                     b"signal 9 1 0x1\nframe a b 0x10\n",
                     b"stderr\n", b"thread\n\n"):
            with self.subTest(junk=junk):
                record, crash = self.crash("scribble_and_die", junk)
                self.assertEqual(record["signal"], signal.SIGKILL)
                self.assertEqual(crash["signal_name"], "SIGKILL")
        self.assert_serves()

    def test_a_crash_of_its_child_is_not_its_own(self):
        record, crash = self.crash("crash_in_child")
        self.assertEqual(record["signal"], signal.SIGKILL)
        self.assertEqual(crash, {"signal_name": "SIGKILL", "pristine": True})

    def test_a_handler_that_was_taken_away_leaves_the_signal(self):
        record, crash = self.crash("crash")
        self.assertEqual(record["signal"], signal.SIGSEGV)
        self.assertEqual(crash, {"signal_name": "SIGSEGV", "pristine": True})

    def test_slots_are_used_again_and_hold_nothing_of_before(self):
        client = self.client()
        self.start(client)
        for _ in range(3):
            record = client.wait(self.fork(client, "write_to_null"))
            self.assertEqual(record["signal"], signal.SIGSEGV)
            record = client.wait(self.fork(client, "crash"))
            self.assertNotIn("frames", record["crash"])

    def test_a_worker_of_a_nested_zygote_has_one_too(self):
        client = self.client()
        self.start(client)
        self.start(client, "z/n", parent="z")
        record = client.wait(self.fork(client, "write_to_null",
                                       zygote="z/n"))
        self.assert_frames(record["crash"])

    def test_a_worker_that_is_stopped_or_ends_by_itself_has_none(self):
        client = self.client()
        self.start(client)
        worker = self.fork(client, "sleep_forever")
        record = client.request("stop", {"worker": worker["id"],
                                         "grace_ms": 0})["exit"]
        self.assertEqual(record["reason"], "stopped")
        self.assertNotIn("crash", record)
        record = client.wait(self.fork(client, "exit_code", b"3"))
        self.assertNotIn("crash", record)

    def test_a_worker_whose_time_is_up_tells_where_it_was(self):
        client = self.client()
        self.start(client)
        record = client.wait(self.fork(client, "sleep_forever",
                                       policy={"timeout_ms": 100}))
        self.assertEqual((record["reason"], record["signal"]),
                         ("timeout", signal.SIGTERM))
        if not is_sanitized(ZYGOTE_PROGRAM):
            self.assertIn("libc", record["crash"]["frames"][0]["module"])
            self.assert_frames(record["crash"])
        worker = self.fork(client, "sleep_forever")
        record = client.request("stop", {"worker": worker["id"]})["exit"]
        self.assertEqual(record["signal"], signal.SIGTERM)
        self.assertNotIn("crash", record)

    def test_all_crash_at_once(self):
        client = self.client()
        self.start(client)
        workers = [self.fork(client, "sleep_forever") for _ in range(50)]
        for worker in workers:
            os.kill(worker["pid"], signal.SIGBUS)
        for worker in workers:
            crash = client.wait(worker)["crash"]
            self.assertEqual(crash["signal_name"], "SIGBUS")
            self.assert_frames(crash)


class ExecWorkerTest(WireTestCase):

    def test_its_signal_has_a_name_and_its_ancestry_is_clean(self):
        client = self.client()
        worker = client.spawn(["sh", "-c", "kill -SEGV $$"])
        self.assertEqual(client.wait(worker)["crash"],
                         {"signal_name": "SIGSEGV", "pristine": True})

    def test_a_program_with_a_sanitizer_runs_with_a_crash_report(self):
        source = os.path.join(self.folder, "program.c")
        program = os.path.join(self.folder, "program")
        with open(source, "w", encoding="ascii") as file:
            file.write("int main(int n, char **v) {\n"
                       "  if (n > 1) *(volatile int *)0 = 1;\n  return 3;\n}\n")
        subprocess.run(["gcc", "-fsanitize=address", "-o", program, source],
                       check=True)
        client = self.client()
        for words, ended in (([], {"code": 3}),
                             (["x"], {"code": 1})):
            with self.subTest(words):
                _, record = client.run([program, *words],
                                       policy={"crash_report": True},
                                       env=["ASAN_OPTIONS=exitcode=1"])
                self.assertLessEqual(ended.items(), record.items())
        self.assertIn("AddressSanitizer", record["crash"]["stderr_tail"])

    def test_only_the_last_500_are_kept(self):
        client = self.client()
        workers = [client.spawn(["sh", "-c", "kill -KILL $$"])
                   for _ in range(502)]
        wait_for(lambda: not client.workers(), "all ended")
        with_crash = ["crash" in client.wait(worker) for worker in workers]
        self.assertEqual(with_crash.count(True), 500)


if __name__ == "__main__":
    unittest.main()
