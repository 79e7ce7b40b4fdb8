"""What is left of a Python worker that crashed."""

import os
import signal
import subprocess
import sys
import unittest

import forkserver
from zygote_case import ZygoteTestCase

CRASHING = """
    import ctypes, faulthandler, os, signal, subprocess, sys
    def deeper():
        ctypes.string_at(0)
    def entry(context):
        deeper()
    def abort(context):
        os.abort()
    def kill(context):
        os.kill(os.getpid(), signal.SIGKILL)
    def with_own(context):
        faulthandler.enable(open(context.args.decode(), "w"))
        deeper()
    def in_child(context):
        if os.fork() == 0:
            os.abort()
        os.wait()
        os.kill(os.getpid(), signal.SIGKILL)
    def leave(context):
        return 3
    def leave_a_process(context):
        child = subprocess.Popen(["sleep", "1005"], stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL)
        # Popen returns in the midst of its execve.
        while not open(f"/proc/{child.pid}/cmdline", "rb").read():
            pass
"""


class CrashReportTest(ZygoteTestCase):

    def setUp(self):
        super().setUp()
        self.name = self.write(CRASHING)

    def crash(self, entry="entry", zygote=None, **options):
        zygote = zygote or self.zygote()
        return zygote.fork(f"{self.name}:{entry}", **options).wait(30)

    def assert_traceback(self, crash, function="deeper"):
        self.assertIn("Fatal Python error: ", crash.traceback)
        self.assertIn(f'"{self.file_of(self.name)}", line', crash.traceback)
        self.assertIn(f"in {function}\n", crash.traceback)

    def test_a_process_that_it_leaves_is_named(self):
        record = self.crash("leave_a_process", report_leftovers=True)
        self.assertEqual(record.code, 0)
        self.assertEqual([each.split(" ", 1)[1] for each in record.leftovers],
                         ["sleep 1005"])
        self.assertEqual(self.crash("leave", report_leftovers=True).leftovers,
                         [])

    def test_the_record_has_traceback_and_native_frames(self):
        record = self.crash()
        crash = record.crash
        self.assertEqual((record.signal, record.reason, crash.signal_name),
                         (signal.SIGSEGV, "signaled", "SIGSEGV"))
        self.assertEqual((crash.code_name, crash.address),
                         ("SEGV_MAPERR", 0))
        self.assert_traceback(crash)
        self.assertIn("libffi", " ".join(each.module
                                         for each in crash.frames))
        self.assertIs(crash.pristine, True)

    def test_an_abort_has_both_too(self):
        crash = self.crash("abort").crash
        self.assertEqual(crash.signal_name, "SIGABRT")
        self.assert_traceback(crash, "abort")
        self.assertIn("libc", crash.frames[0].module)

    def test_a_worker_without_a_crash_leaves_nothing(self):
        self.assertIsNone(self.crash("leave").crash)
        crash = self.crash("kill").crash
        self.assertEqual((crash.signal_name, crash.traceback, crash.frames),
                         ("SIGKILL", "", []))

    def test_a_slot_that_is_used_again_holds_nothing_of_before(self):
        zygote = self.zygote()
        for _ in range(3):
            self.assert_traceback(self.crash(zygote=zygote).crash)
            self.assertEqual(self.crash("kill", zygote).crash.traceback, "")
        shorter = self.crash("abort", zygote).crash.traceback
        self.assertNotIn("deeper", shorter)

    def test_a_crash_of_its_child_has_no_frames_of_its_own(self):
        crash = self.crash("in_child").crash
        self.assertEqual((crash.signal_name, crash.frames), ("SIGKILL", []))

    def test_all_at_once_do_not_mix(self):
        zygote = self.zygote()
        workers = [zygote.fork(f"{self.name}:{entry}")
                   for _ in range(10) for entry in ("entry", "abort")]
        for index, worker in enumerate(workers):
            crash = worker.wait(30).crash
            self.assert_traceback(crash, "abort" if index % 2 else "deeper")
            self.assertEqual(crash.traceback.count("Fatal Python error"), 1)

    def test_a_nested_zygote_reports_as_well(self):
        parent = self.zygote("parent")
        nested = self.client.zygote("nested", parent=parent.name)
        deeper = self.client.zygote("deeper", parent=nested.name)
        for zygote in (deeper, nested, parent):
            crash = self.crash(zygote=zygote).crash
            self.assert_traceback(crash)
            self.assertEqual((crash.code_name, crash.address),
                             ("SEGV_MAPERR", 0))
            self.assertTrue(crash.frames)

    def test_faulthandler_of_somebody_else_stays_where_it_is(self):
        path = os.path.join(self.folder, "own")
        crash = self.crash("with_own", args=path.encode()).crash
        self.assertEqual(crash.traceback, "")
        self.assertTrue(crash.frames)
        with open(path, encoding="utf-8") as file:
            self.assertIn("in deeper", file.read())

    def test_a_zygote_that_enabled_it_keeps_it_on_standard_error(self):
        preload = self.write("import faulthandler; faulthandler.enable()")
        path = os.path.join(self.folder, "stderr")
        with open(path, "wb") as stderr:
            crash = self.crash(zygote=self.zygote(preload=[preload]),
                               stderr=stderr).crash
        self.assertEqual(crash.traceback, "")
        self.assertEqual(crash.code_name, "SEGV_MAPERR")
        self.assertTrue(crash.frames)
        with open(path, encoding="utf-8") as file:
            self.assertIn("in deeper", file.read())

    def test_an_exec_worker_has_it_on_request(self):
        script = "import os, sys; print('last', file=sys.stderr, flush=True);" \
            "os.abort()"
        worker = self.client.spawn([sys.executable, "-c", script],
                                   stderr=subprocess.DEVNULL,
                                   crash_report=True)
        crash = worker.wait(30).crash
        self.assertEqual((crash.signal_name, crash.stderr_tail),
                         ("SIGABRT", "last\n"))
        self.assertTrue(crash.frames)
        record = self.client.run(["sh", "-c", "exit 3"], crash_report=True)
        self.assertEqual(record.crash.signal_name, "")
        with self.assertRaises(forkserver.BadRequest):
            self.client.spawn(["true"], crash_report=True, detach=True)

    def test_a_call_that_crashed_says_so_in_its_record(self):
        module = self.module(CRASHING)
        self.name = module.__name__
        with self.assertRaises(forkserver.WorkerDied) as caught:
            self.zygote().call(module.deeper)
        self.assert_traceback(caught.exception.exit.crash)


if __name__ == "__main__":
    unittest.main()
