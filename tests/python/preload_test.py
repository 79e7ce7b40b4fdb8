"""What a preload step may do, what is reported, and what is refused."""

import importlib
import importlib.util
import os
import re
import signal
import sys
import unittest

import forkserver
from daemon_fixture import has_huge_pages, read_file
from zygote_case import ZygoteTestCase, alive, wait_for


def has(module):
    return importlib.util.find_spec(module) is not None


class ReportTest(ZygoteTestCase):

    def test_each_step_is_reported_in_order(self):
        names = [self.write("import decimal; data = bytearray(20_000_000)"),
                 self.write("import time; time.sleep(0.05)")]
        zygote = self.zygote(preload=names)
        first, second = zygote.info.preloads
        self.assertEqual([first.name, second.name], names)
        self.assertGreater(first.rss_bytes, 15_000_000)
        self.assertLess(second.rss_bytes, 15_000_000)
        self.assertGreaterEqual(second.wall_us, 50_000)
        self.assertEqual(first.threads, 1)
        reports = zygote.preload_reports()
        self.assertEqual([each["name"] for each in reports], names)
        self.assertEqual(reports[0]["wall_us"], first.wall_us)

    def test_descriptors_that_a_step_leaves_are_reported(self):
        quiet = self.write("")
        name = self.write("""
            import socket
            server = socket.socket()
            server.bind(("127.0.0.1", 0))
            server.listen()
            file = open(__file__)
        """)
        reports = self.zygote(preload=[quiet, name]).preload_reports()
        self.assertEqual(reports[0]["new_fds"], {})
        texts = sorted(reports[1]["new_fds"].values())
        self.assertEqual(len(texts), 2, texts)
        self.assertEqual(texts[0], self.file_of(name))
        self.assertRegex(texts[1],
                         r"socket AF_INET SOCK_STREAM at \('127.0.0.1', \d+")

    def test_a_step_may_be_a_function_or_the_main_module(self):
        name = self.write("""
            calls = []
            class Setup:
                @staticmethod
                def run():
                    calls.append(1)
        """)
        zygote = self.zygote(preload=[name + ":Setup.run"])
        self.assertEqual(zygote.call(eval, f"__import__('{name}').calls"),
                         [1])

    def test_memory_is_frozen_and_collected(self):
        zygote = self.zygote(preload=["decimal"])
        self.assertGreater(zygote.call(eval, "__import__('gc')."
                                       "get_freeze_count()"), 1000)


class MemoryTest(ZygoteTestCase):

    def test_what_is_large_is_in_huge_pages(self):
        if not has_huge_pages(64 << 20):
            self.skipTest("kernel: it has no huge pages to give")
        module = self.write("""
            data = bytearray(b"x") * (64 << 20)
            def end(): return data[-1:]
        """)
        zygote = self.zygote(preload=[module])
        rollup = read_file(f"/proc/{zygote.info.pid}/smaps_rollup").decode()
        kilobytes = int(re.search(r"AnonHugePages: +(\d+) kB", rollup)[1])
        # Of 64 MB, less what there is no huge page for.
        self.assertGreater(kilobytes, 30 << 10)
        self.assertEqual(zygote.call(importlib.import_module(module).end),
                         b"x")


class RefusalTest(ZygoteTestCase):

    def test_an_exception_comes_with_its_traceback(self):
        inner = self.write("""
            def fail():
                raise ValueError("not today")
            fail()
        """)
        name = self.write(f"import {inner}")
        error = self.refused("zygote_failed", preload=["decimal", name])
        self.assertEqual(error.step, f"preload {name}")
        for text in (self.file_of(name), self.file_of(inner), "in fail",
                     "ValueError: not today"):
            self.assertIn(text, error.message)
        for text in ("zygote_host", "importlib"):
            self.assertNotIn(text, error.message)

    def test_whatever_a_step_raises_is_told(self):
        for body, text in (
            ("import no_such_module_anywhere",
             "ModuleNotFoundError: No module named 'no_such_module_anywhere'"),
            ("raise SystemExit(3)", "SystemExit: 3"),
            ("raise KeyboardInterrupt", "KeyboardInterrupt"),
            ("def f(:", "SyntaxError"),
        ):
            error = self.refused("zygote_failed", preload=[self.write(body)])
            self.assertIn(text, error.message)
        error = self.refused("zygote_failed", preload=["no.such"])
        self.assertIn("No module named 'no'", error.message)

    def test_a_python_thread_is_named_with_the_module_that_started_it(self):
        starter = self.write("""
            import threading, time
            threading.Thread(target=time.sleep, args=(1000,), daemon=True,
                             name="poller").start()
        """)
        name = self.write(f"import {starter}")
        error = self.refused("zygote_unsafe", preload=["decimal", name])
        self.assertEqual(error.step, f"preload {name}")
        self.assertIn("'poller'", error.message)
        self.assertIn(f"module {starter}", error.message)
        self.assertIn(f"preload {name}", error.message)

    def test_a_pool_is_named_by_the_module_that_used_it(self):
        name = self.write("""
            import concurrent.futures
            pool = concurrent.futures.ThreadPoolExecutor(
                1, thread_name_prefix="crew")
            pool.submit(print).result()
        """)
        error = self.refused("zygote_unsafe", preload=[name])
        self.assertIn("'crew_0'", error.message)
        self.assertIn(f"module {name}", error.message)

    def test_a_thread_without_an_object_is_named_too(self):
        name = self.write("""
            import _thread, time
            def wait():
                time.sleep(1000)
            _thread.start_new_thread(wait, ())
        """)
        error = self.refused("zygote_unsafe", preload=[name])
        self.assertIn(name, error.message)

    def test_a_thread_that_was_joined_is_none(self):
        name = self.write("""
            import threading
            for _ in range(20):
                thread = threading.Thread(target=print)
                thread.start()
                thread.join()
        """)
        self.assertEqual(self.zygote(preload=[name]).call(abs, -1), 1)

    def test_a_step_that_leaves_is_named(self):
        name = self.write("import os; os._exit(7)")
        error = self.refused("zygote_failed", preload=[name])
        self.assertEqual(error.step, f"preload {name}")
        self.assertIn("os._exit(7)", error.message)

    def test_a_step_that_crashes_shows_where(self):
        name = self.write("import os; os.abort()")
        error = self.refused("zygote_failed", preload=[name])
        self.assertIn("signal 6", error.message)
        self.assertIn(self.file_of(name), error.message)

    def test_a_step_that_closes_all_descriptors_cannot_reach_the_zygotes(self):
        for body in ("os.closerange(3, 65536)", "os.closerange(0, 2**20)", """
for fd in range(3, 4096):
    try:
        os.close(fd)
    except OSError:
        pass
"""):
            name = self.write("import os\n" + body)
            zygote = self.zygote(name=name, preload=[name])
            self.assertEqual(zygote.call(abs, -1), 1)

    def test_functions_of_os_that_a_class_takes_are_no_methods(self):
        name = self.write("""
            import os, sys
            class File:
                close = os.close
                close_range = os.closerange
            kept = sys.stdout
            def run():
                File().close(os.dup(0))
                File().close_range(900, 901)
                return kept is sys.stdout is sys.__stdout__
        """)
        zygote = self.zygote(preload=[name])
        self.assertTrue(zygote.call(__import__(name).run))

    def test_a_step_that_closes_them_behind_python_is_an_error(self):
        name = self.write("""
            import ctypes
            for fd in range(3, 4096):
                ctypes.CDLL(None).close(fd)
        """)
        self.refused("zygote_failed", preload=[name])

    def test_a_thread_that_starts_later_stops_the_forks(self):
        name = self.write("""
            import signal, threading, time
            def start(*_):
                threading.Thread(target=time.sleep, args=(1000,),
                                 daemon=True, name="late").start()
            signal.signal(signal.SIGUSR1, start)
        """)
        zygote = self.zygote(preload=[name])
        self.assertEqual(zygote.call(abs, -1), 1)
        os.kill(zygote.info.pid, signal.SIGUSR1)
        wait_for(lambda: len(os.listdir(
            f"/proc/{zygote.info.pid}/task")) == 2, "the thread runs")
        with self.assertRaises(forkserver.ZygoteUnsafe) as caught:
            zygote.call(abs, -1)
        self.assertIn("'late'", str(caught.exception))

    def test_a_zygote_that_is_killed_while_it_loads_is_an_error(self):
        name = self.write("import os, signal; "
                          "os.kill(os.getpid(), signal.SIGKILL)")
        error = self.refused("zygote_failed", preload=[name])
        self.assertIn("signal 9", error.message)


class KnownThreadsTest(ZygoteTestCase):

    THREAD = """
        import threading, time
        threading.Thread(target=time.sleep, args=(1000,), daemon=True,
                         name="harmless").start()
    """

    def test_a_user_may_know_better(self):
        name = self.write(self.THREAD)
        for index, rule in enumerate((
                "harmless", "harm*", {"thread": "harmless"},
                {"module": name}, {"module": "module_*", "thread": "h*"})):
            zygote = self.zygote(str(index), preload=[name],
                                 known_threads=[rule])
            self.assertEqual(zygote.info.preloads[0].threads, 2)
            self.assertEqual(zygote.call(abs, -1), 1)
            self.assertEqual(zygote.call(abs, -1), 1)

    def test_a_rule_that_does_not_match_changes_nothing(self):
        name = self.write(self.THREAD)
        for rule in ("other", {"module": "other"}, {"library": "libfoo*"},
                     {"thread": "harmless", "safe": False}):
            self.refused("zygote_unsafe", preload=[name],
                         known_threads=[rule])

    def test_a_bad_rule_is_an_error(self):
        for rule in (3, {"treadh": "x"}, {}, {"safe": True}, "",
                     {"multithreaded_symbol": "x"}):
            self.refused("bad_request", known_threads=[rule])

    @unittest.skipUnless(has("numpy"), "numpy is not installed")
    def test_numpy_and_its_openblas_are_safe(self):
        zygote = self.zygote(preload=["numpy"])
        for _ in range(3):
            self.assertEqual(
                zygote.call(eval, "int(__import__('numpy').ones((200, 200))"
                            ".dot(__import__('numpy').ones((200, 200))).sum()"
                            ")"), 200 ** 3)

    @unittest.skipUnless(has("numpy"), "numpy is not installed")
    def test_a_native_thread_is_told_by_its_library(self):
        report = self.zygote(preload=["numpy"]).preload_reports()[0]
        if report["threads"] > 1:
            self.assertRegex(report["new_threads"][0], "openblas|blis|mkl")

    def test_a_native_thread_of_an_unknown_library_is_refused(self):
        name = self.write("""
            import ctypes
            libc = ctypes.CDLL(None)
            thread = ctypes.c_ulong()
            libc.pthread_create(ctypes.byref(thread), None, libc.sleep,
                                ctypes.c_void_p(1000))
        """)
        error = self.refused("zygote_unsafe", preload=[name])
        self.assertEqual(error.step, f"preload {name}")


class HookTest(ZygoteTestCase):

    def test_hooks_run_in_order_and_in_their_process(self):
        name = self.write("""
            import os
            import forkserver.hooks
            log = []
            @forkserver.hooks.before_freeze
            def registered_before():
                log.append(("registered before", os.getpid()))
            @forkserver.hooks.after_fork
            def registered_after():
                log.append(("registered after", os.getpid()))
            def named_before():
                log.append(("named before", os.getpid()))
            def named_after():
                log.append(("named after", os.getpid()))
            def tell():
                return os.getpid(), log
        """)
        zygote = self.zygote(preload=[name],
                             before_freeze=[name + ":named_before"],
                             after_fork=[name + ":named_after"])
        tell = __import__(name).tell
        for _ in range(2):
            pid, log = zygote.call(tell)
            self.assertEqual(log, [("named before", zygote.info.pid),
                                   ("registered before", zygote.info.pid),
                                   ("named after", pid),
                                   ("registered after", pid)])

    def test_a_before_freeze_hook_that_raises_fails_the_zygote(self):
        name = self.write("def hook(): raise ValueError('cold')")
        error = self.refused("zygote_failed", before_freeze=[name + ":hook"])
        self.assertIn("ValueError: cold", error.message)
        self.assertEqual(error.step, f"before_freeze {name}:hook")
        self.refused("zygote_failed", after_fork=[name + ":no_such"])
        self.refused("zygote_failed", after_fork=["os:sep"])
        self.refused("bad_request", after_fork="os:getpid")

    def test_an_after_fork_hook_that_raises_fails_the_worker(self):
        name = self.write("def hook(): raise ValueError('cold')")
        zygote = self.zygote(after_fork=[name + ":hook"])
        with self.assertRaises(forkserver.LaunchFailed) as caught:
            zygote.call(abs, -1)
        self.assertEqual(caught.exception.step, "after_fork")
        self.assertIn("ValueError: cold", str(caught.exception))

    def test_a_hook_that_starts_a_thread_makes_the_zygote_unsafe(self):
        name = self.write("""
            import threading, time
            def hook():
                threading.Thread(target=time.sleep, args=(1000,),
                                 daemon=True, name="hooked").start()
        """)
        error = self.refused("zygote_unsafe", before_freeze=[name + ":hook"])
        self.assertIn("'hooked'", error.message)


class BuiltInTest(ZygoteTestCase):

    def test_workers_draw_numbers_of_their_own(self):
        zygote = self.zygote(preload=["random"])
        drawn = {zygote.call(eval, "__import__('random').random()")
                 for _ in range(5)}
        self.assertEqual(len(drawn), 5)

    @unittest.skipUnless(has("numpy"), "numpy is not installed")
    def test_so_does_numpys_global_generator(self):
        zygote = self.zygote(preload=["numpy.random"])
        drawn = {zygote.call(eval, "float(__import__('numpy').random.rand())")
                 for _ in range(5)}
        self.assertEqual(len(drawn), 5)

    def test_logging_works_where_the_zygote_held_its_lock(self):
        name = self.write("""
            import logging
            logging.basicConfig()
            logging.getLogger().handlers[0].acquire()
            def log():
                logging.error("hello")
                return True
        """)
        self.assertTrue(self.zygote(preload=[name]).run_call(
            __import__(name).log, timeout=20))

    def test_asyncio_starts_from_scratch(self):
        name = self.write("""
            import asyncio
            loop = asyncio.new_event_loop()
            asyncio.set_event_loop(loop)
            loop.run_until_complete(asyncio.sleep(0))
            async def answer():
                await asyncio.sleep(0)
                return 42
            def run():
                fresh = asyncio.new_event_loop()
                assert fresh is not loop
                asyncio.set_event_loop(fresh)
                return fresh.run_until_complete(answer()) + asyncio.run(
                    answer())
        """)
        zygote = self.zygote(preload=[name])
        self.assertEqual(zygote.call(__import__(name).run), 84)

    def test_event_loops_of_modules_work_in_workers(self):
        name = self.write("""
            import asyncio
            other = asyncio.new_event_loop()
            loop = asyncio.new_event_loop()
            asyncio.set_event_loop(loop)
            closed = asyncio.new_event_loop()
            closed.close()
            async def later(loop):
                result = loop.create_future()
                loop.call_later(0.001, result.set_result, 21)
                loop.call_soon_threadsafe(lambda: None)
                return await result
            def run():
                assert asyncio.get_event_loop_policy().get_event_loop() is loop
                assert closed.is_closed()
                return sum(each.run_until_complete(later(each))
                           for each in (loop, other))
        """)
        zygote = self.zygote(preload=[name])
        run = __import__(name).run
        self.assertEqual([zygote.call(run), zygote.call(run)], [42, 42])
        nested = self.client.zygote("nested", parent=zygote, preload=["json"])
        self.assertEqual(nested.call(run), 42)

    @unittest.skipUnless(has("django"), "Django is not installed")
    def test_django_is_set_up_and_its_connections_stay_the_zygotes(self):
        database = os.path.join(self.folder, "db")
        settings = self.write(f"""
            SECRET_KEY = "x"
            INSTALLED_APPS = ["django.contrib.contenttypes"]
            DATABASES = {{"default": {{
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": {database!r}}}}}
        """)
        os.environ["DJANGO_SETTINGS_MODULE"] = settings
        name = self.write("""
            import atexit, os
            from django.db import connection
            closed = []
            def spy(original=connection.close):
                closed.append(os.getpid())
                original()
            connection.close = spy
            with connection.cursor() as cursor:
                cursor.execute("create table t (n int)")
            open_one = connection.connection
            def count():
                assert connection.connection is None
                with connection.cursor() as cursor:
                    cursor.execute("select count(*) from t")
                    return cursor.fetchone()[0], closed
        """)
        zygote = self.zygote(preload=["django",
                                      "django.contrib.contenttypes.models",
                                      name])
        self.assertEqual(zygote.call(eval, f"__import__('{name}').count()"),
                         (0, [zygote.info.pid]))

    def test_a_crash_is_shown_where_the_zygote_had_faulthandler(self):
        name = self.write("import faulthandler; faulthandler.enable()")
        crash = self.write("import ctypes\n"
                           "def entry(context): ctypes.string_at(0)")
        out = os.path.join(self.folder, "err")
        with open(out, "wb") as stderr:
            record = self.zygote(preload=[name]).fork(
                crash + ":entry", stderr=stderr).wait(30)
        self.assertEqual(record.signal, signal.SIGSEGV)
        with open(out, encoding="utf-8") as file:
            self.assertIn(self.file_of(crash), file.read())
        self.assertFalse(alive(record.pid))


if __name__ == "__main__":
    unittest.main()
