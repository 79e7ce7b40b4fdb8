"""Functions that run in a fresh worker: values, exceptions, deaths."""

import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import time
import unittest

import forkserver
from zygote_case import ZygoteTestCase, alive, wait_for


class CallTest(ZygoteTestCase):

    def setUp(self):
        super().setUp()
        self.z = self.zygote()

    def test_a_value_comes_back_from_a_fresh_worker(self):
        self.assertEqual(self.z.call(divmod, 17, 5), (3, 2))
        self.assertEqual(self.z.call(int, "ff", base=16), 255)
        pids = {self.z.call(os.getpid) for _ in range(3)}
        self.assertEqual(len(pids), 3)
        self.assertNotIn(os.getpid(), pids)
        self.assertEqual(self.z.call(os.getppid), self.z.info.pid)

    def test_it_leaves_no_worker_behind(self):
        pid = self.z.call(os.getpid)
        self.assertFalse(alive(pid))
        self.assertEqual(self.client.list().workers, [])

    def test_the_worker_is_where_the_caller_is(self):
        module = self.module("""
            import os, sys
            def where():
                return (os.getcwd(), dict(os.environ), sys.path, sys.argv,
                        os.readlink("/proc/self/fd/0"))
        """)
        os.environ["SET_LATER"] = "1"
        here = os.getcwd()
        os.chdir(self.folder)
        self.addCleanup(os.chdir, here)
        cwd, environment, path, argv, stdin = self.z.call(module.where)
        self.assertEqual(cwd, self.folder)
        self.assertRegex(environment.pop("FORKSERVER_WORKER"),
                         r"\A[0-9a-z]+-\d+\Z")
        self.assertEqual(environment, dict(os.environ))
        self.assertEqual(path[0], self.folder)
        self.assertEqual(argv, sys.argv)
        self.assertEqual(stdin, "/dev/null")

    def test_large_arguments_and_results_travel(self):
        data = os.urandom(6_000_000)
        self.assertEqual(self.z.call(bytes.__add__, data, data), data + data)

    def test_an_exception_has_the_remote_traceback_as_its_cause(self):
        module = self.module("""
            class Odd(Exception): pass
            def fail():
                raise Odd("not today", 7)
            def both():
                try:
                    fail()
                except Odd:
                    raise KeyError("second")
        """)
        with self.assertRaises(module.Odd) as caught:
            self.z.call(module.fail)
        self.assertEqual(caught.exception.args, ("not today", 7))
        cause = caught.exception.__cause__
        self.assertIsInstance(cause, forkserver.RemoteTraceback)
        self.assertIn("in fail", str(cause))
        self.assertIn("not today", str(cause))
        self.assertNotIn("zygote_host", str(cause))
        with self.assertRaises(KeyError) as caught:
            self.z.call(module.both)
        self.assertIn("During handling", str(caught.exception.__cause__))

    def test_an_exception_that_cannot_travel_is_described(self):
        module = self.module("""
            class Two(Exception):
                def __init__(self, one, two):
                    super().__init__(one)
            def two():
                raise Two("uno", "dos")
            def local():
                class Local(Exception): pass
                raise Local("mine")
            def holding():
                raise ValueError(lambda: 1)
        """)
        for function, text in ((module.two, "Two: uno"),
                               (module.local, "Local: mine"),
                               (module.holding, "ValueError")):
            with self.assertRaises(forkserver.RemoteError) as caught:
                self.z.call(function)
            self.assertIn(text, str(caught.exception))
            self.assertIn("in " + function.__name__,
                          str(caught.exception.__cause__))
        self.assertEqual(caught.exception.type_name, "builtins.ValueError")

    def test_what_cannot_be_pickled_is_named(self):
        module = self.module("def give(): return lambda: 1")

        def local():
            pass

        for arguments, text in (
            ((local,), "the function"),
            ((lambda: 1,), "the function"),
            ((abs, threading.Lock()), "argument 0 of builtins.abs"),
            ((max, 1, threading.Lock()), "argument 1 of builtins.max"),
            ((module.give,), "the result, of type function"),
        ):
            with self.assertRaises(forkserver.NotPicklable) as caught:
                self.z.call(*arguments)
            self.assertIn(text, str(caught.exception))
        with self.assertRaisesRegex(forkserver.NotPicklable,
                                    "argument 'key' of"):
            self.z.call(max, 1, key=threading.Lock())
        # Some want an ordinary exception.
        self.assertIsInstance(caught.exception, TypeError)

    def test_a_module_that_the_worker_does_not_find_is_named(self):
        module = self.module("def f(): pass")
        os.unlink(self.file_of(module.__name__))
        with self.assertRaises(forkserver.NotPicklable) as caught:
            self.z.call(module.f)
        self.assertIn(module.__name__, str(caught.exception))

    def test_a_worker_that_dies_is_an_error_that_names_the_signal(self):
        module = self.module("""
            import os, sys
            def die(number): os.kill(os.getpid(), number)
            def leave(code): os._exit(code)
        """)
        with self.assertRaises(forkserver.WorkerDied) as caught:
            self.z.call(module.die, signal.SIGSEGV)
        self.assertIn("SIGSEGV", str(caught.exception))
        self.assertIn(f"{module.__name__}.die", str(caught.exception))
        self.assertEqual(caught.exception.exit.signal, signal.SIGSEGV)
        for function, code in ((module.leave, 0), (module.leave, 3),
                               (sys.exit, 4)):
            with self.assertRaises(forkserver.WorkerDied) as caught:
                self.z.call(function, code)
            self.assertEqual(caught.exception.exit.code, code)
            self.assertIn(f"code {code}", str(caught.exception))

    def test_a_worker_that_closes_its_descriptors_is_an_error(self):
        with self.assertRaises(forkserver.WorkerDied):
            self.z.run_call(os.closerange, (0, 65536),
                            stderr=subprocess.DEVNULL)

    def test_a_timeout_stops_the_worker(self):
        begun = time.monotonic()
        with self.assertRaises(TimeoutError) as caught:
            self.z.run_call(time.sleep, (60,), timeout=0.3)
        self.assertEqual(caught.exception.code, "timeout")
        self.assertLess(time.monotonic() - begun, 30)
        self.assertEqual(self.client.list().workers, [])

    def test_an_interrupted_call_stops_its_worker(self):
        signal.signal(signal.SIGALRM, self.interrupt)
        self.addCleanup(signal.signal, signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with self.assertRaises(InterruptedError):
            self.z.call(time.sleep, 60)
        wait_for(lambda: not self.client.list().workers, "it is stopped")

    @staticmethod
    def interrupt(*_):
        raise InterruptedError

    def test_calls_of_several_threads_do_not_mix(self):
        results = {}

        def work(index):
            results[index] = [self.z.call(pow, index, 2) for _ in range(3)]

        threads = [threading.Thread(target=work, args=(index,))
                   for index in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(results,
                         {index: [index ** 2] * 3 for index in range(4)})

    def test_a_dead_daemon_ends_the_call(self):
        thread = threading.Timer(0.3, self.daemon.kill)
        thread.start()
        with self.assertRaises(forkserver.ConnectionLost):
            self.z.call(time.sleep, 60)
        thread.join()
        self.daemon.wait()

    def test_errors_of_calls_can_be_pickled(self):
        for error in (forkserver.WorkerDied("x"),
                      forkserver.NotPicklable("x", hint="y")):
            again = pickle.loads(pickle.dumps(error))
            self.assertEqual((type(again), str(again)),
                             (type(error), str(error)))


class ScriptTest(ZygoteTestCase):
    """A main module of its own."""

    def run_script(self, source, *arguments, flags=(), **options):
        path = os.path.join(self.folder, "script.py")
        with open(path, "w", encoding="utf-8") as file:
            file.write(textwrap.dedent(source))
        command = [path] if not flags else list(flags)
        return subprocess.run([sys.executable, *command, *arguments],
                              cwd=self.folder, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True,
                              timeout=60, check=False, **options)

    MAIN = """
        import forkserver, os, sys
        print("imported as", __name__, flush=True)
        class Odd(Exception): pass
        class Value:
            def __init__(self, value): self.value = value
        def double(value):
            return Value(value.value * 2)
        def fail():
            raise Odd("of main")
        @forkserver.isolated
        def pid(): return os.getpid()
        if __name__ == "__main__":
            zygote = forkserver.connect().zygote("main", preload=PRELOAD)
            assert zygote.call(double, Value(21)).value == 42
            try:
                zygote.call(fail)
            except Odd as error:
                assert "in fail" in str(error.__cause__)
            assert pid() != os.getpid()
            print("done")
    """

    def test_functions_of_the_main_module_work(self):
        result = self.run_script(self.MAIN.replace("PRELOAD", "()"))
        self.assertTrue(result.stdout.endswith("done\n"), result.stdout)
        self.assertEqual(result.stdout.count("imported as __main__\n"), 1)
        self.assertEqual(result.stdout.count("imported as __mp_main__\n"), 3)

    def test_so_do_those_of_a_module_that_is_run(self):
        result = self.run_script(self.MAIN.replace("PRELOAD", "()"),
                                 flags=["-m", "script"])
        self.assertTrue(result.stdout.endswith("done\n"), result.stdout)

    def test_a_preloaded_main_module_is_imported_once(self):
        result = self.run_script(
            self.MAIN.replace("PRELOAD", "['__main__']"))
        self.assertTrue(result.stdout.endswith("done\n"), result.stdout)
        # In the zygote, whose standard output is /dev/null; and in the
        # worker of pid(), which has another zygote.
        self.assertEqual(result.stdout.count("imported as __mp_main__\n"), 1)

    def test_a_main_module_without_a_file_is_an_error_that_says_so(self):
        result = self.run_script("", flags=["-c", textwrap.dedent("""
            import forkserver
            def f(): pass
            zygote = forkserver.connect().zygote("main")
            try:
                zygote.call(f)
            except forkserver.NotPicklable as error:
                print(error)
        """)])
        self.assertIn("has no file", result.stdout)


class IsolatedTest(ZygoteTestCase):

    def test_each_call_has_a_worker_of_its_own(self):
        module = self.module("""
            import os, sys, time
            import forkserver
            count = 0
            @forkserver.isolated
            def pid(value=0):
                "Doc."
                global count
                count += 1
                return os.getpid(), count, value
            @forkserver.isolated(timeout=0.3)
            def slow(): time.sleep(60)
            @forkserver.isolated(preload=["decimal"])
            def loaded(): return "decimal" in sys.modules
            @forkserver.isolated
            def fail(): raise ValueError("inside")
            @forkserver.isolated
            def nested(): return os.getpid(), pid()[0]
            class Thing:
                @forkserver.isolated
                def method(self): return type(self).__name__
        """)
        first, second = module.pid(), module.pid(value=3)
        self.assertNotEqual(first[0], second[0])
        self.assertEqual((first[1:], second[1:]), ((1, 0), (1, 3)))
        self.assertEqual(module.pid.__doc__, "Doc.")
        self.assertEqual(module.pid.__wrapped__()[0], os.getpid())
        self.assertTrue(module.loaded())
        self.assertEqual(module.Thing().method(), "Thing")
        with self.assertRaises(TimeoutError):
            module.slow()
        with self.assertRaisesRegex(ValueError, "inside"):
            module.fail()
        outer, inner = module.nested()
        self.assertNotEqual(outer, inner)

    def test_it_survives_the_end_of_its_zygote_and_a_fork(self):
        module = self.module("""
            import os, forkserver
            @forkserver.isolated
            def parent(): return os.getppid()
        """)
        zygote = module.parent()
        self.assertEqual(module.parent(), zygote)
        os.environ["PYTHONTRACEMALLOC"] = "0"  # a frozen one
        self.assertNotEqual(module.parent(), zygote)
        zygote = module.parent()
        for each in self.client.list().zygotes:
            self.client.stop_zygote(each.name)
        again = module.parent()
        self.assertNotEqual(again, zygote)
        child = os.fork()
        if child == 0:
            try:
                os._exit(0 if module.parent() != again else 1)
            finally:
                os._exit(2)
        self.assertEqual(os.waitpid(child, 0)[1], 0)
        self.assertEqual(module.parent(), again)

    def test_it_may_have_a_zygote_given(self):
        module = self.module("import os\ndef parent(): return os.getppid()")
        zygote = self.zygote()
        with self.assertRaises(forkserver.BadRequest):
            forkserver.isolated(module.parent, zygote=zygote, preload=["os"])
        with self.assertRaises(forkserver.BadRequest):
            forkserver.isolated(3)
        module.parent = forkserver.isolated(module.parent, zygote=zygote)
        # The worker finds the plain function under the name of the wrapper.
        self.assertEqual(module.parent(), zygote.info.pid)


if __name__ == "__main__":
    unittest.main()
