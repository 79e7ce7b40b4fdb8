"""The start method forkserverd: processes, and everything that is passed to
them."""

import concurrent.futures
import multiprocessing
import os
import signal
import sys
import threading
import time
import unittest
import warnings
from multiprocessing import shared_memory
from multiprocessing.connection import wait
from unittest import mock

import forkserver
import forkserver.multiprocessing
import multiprocessing_programs as programs
from daemon_fixture import wait_for
from forkserver.connection import Connection
from forkserver.multiprocessing import batch, popen
from forkserver.sentinel import ended_sentinel
from multiprocessing_case import SECONDS, MultiprocessingTestCase


class ProcessTest(MultiprocessingTestCase):

    def test_a_process_runs_and_ends_with_0(self):
        process = self.start(self.context(), programs.nothing)
        self.assertEqual(self.code_of(process), 0)

    def test_its_exit_code_is_the_one_it_gave(self):
        process = self.start(self.context(), programs.exit_with, 7)
        self.assertEqual(self.code_of(process), 7)

    def test_an_exception_is_exit_code_1(self):
        process = self.start(self.context(), programs.square, "x" * 3)
        self.assertEqual(self.code_of(process), 1)

    def test_its_exit_code_names_the_signal(self):
        for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1):
            process = self.start(self.context(), programs.die_of, number)
            self.assertEqual(self.code_of(process), -number)

    def test_terminate_and_kill(self):
        for end, number in (("terminate", signal.SIGTERM),
                            ("kill", signal.SIGKILL)):
            process = self.start(self.context(), programs.sleep_long)
            self.assertTrue(process.is_alive())
            getattr(process, end)()
            self.assertEqual(self.code_of(process), -number)
            self.assertFalse(process.is_alive())
            getattr(process, end)()  # nothing happens

    def test_its_pid_is_one_of_this_machine(self):
        process = self.start(self.context(), programs.sleep_long)
        os.kill(process.pid, signal.SIGKILL)
        self.assertEqual(self.code_of(process), -signal.SIGKILL)

    def test_its_sentinel_is_readable_when_it_has_ended(self):
        process = self.start(self.context(), programs.sleep_long)
        self.assertEqual(wait([process.sentinel], 0), [])
        process.kill()
        self.assertEqual(wait([process.sentinel], SECONDS),
                         [process.sentinel])
        self.assertEqual(process.exitcode, -signal.SIGKILL)

    def test_a_child_of_it_does_not_keep_its_sentinel_open(self):
        context = self.context()
        results, ready = context.SimpleQueue(), context.Event()
        process = self.start(context, programs.start_and_leave, results,
                             ready)
        nested = results.get()
        process.kill()
        self.assertEqual(self.code_of(process), -signal.SIGKILL)
        os.kill(nested, 0)  # it is there
        os.kill(nested, signal.SIGKILL)

    def test_join_returns_after_its_timeout(self):
        process = self.start(self.context(), programs.sleep_long)
        for seconds in (0, 0.01, -1):
            process.join(seconds)
            self.assertIsNone(process.exitcode)
        process.kill()

    def test_a_closed_process_has_no_sentinel(self):
        process = self.start(self.context(), programs.nothing)
        self.code_of(process)
        process.close()
        with self.assertRaises(ValueError):
            process.sentinel
        with self.assertRaises(ValueError):
            self.context().Process(target=programs.nothing).sentinel

    def test_it_has_what_its_parent_has(self):
        os.environ["SHOP"] = "open"
        context = self.context()
        process, found = self.description(context, programs.describe,
                                          name="teller", daemon=True)
        self.assertEqual(found["pid"], process.pid)
        self.assertEqual((found["name"], found["daemon"]), ("teller", True))
        self.assertEqual((found["parent"], found["parent_alive"]),
                         (os.getpid(), True))
        self.assertEqual((found["cwd"], found["argv"], found["variable"]),
                         (os.getcwd(), sys.argv, "open"))
        self.assertEqual(found["path"], sys.path)
        self.assertEqual((found["stdin"], found["threads"]), ("", 1))
        self.assertEqual(self.code_of(process), 0)

    def test_the_environment_is_that_of_its_start(self):
        context = self.context()
        for value in ("open", "closed"):
            os.environ["SHOP"] = value
            process, found = self.description(context, programs.describe)
            self.assertEqual(found["variable"], value)
            self.code_of(process)

    def test_its_time_zone_is_that_of_its_environment(self):
        self.addCleanup(time.tzset)  # when the variable is as it was
        context = self.context()
        for zone in ("AAA-9", "BBB5", None):
            os.environ.pop("TZ", None)
            if zone:
                os.environ["TZ"] = zone
            time.tzset()
            process, found = self.description(context, programs.describe)
            self.assertEqual(found["time_zone"], time.localtime(0).tm_zone)
            self.code_of(process)

    def test_it_sees_a_folder_of_the_path_that_has_been_made_since(self):
        folder = os.path.join(self.folder, "late")
        sys.path.insert(0, folder)
        self.addCleanup(sys.path.remove, folder)
        context = self.context()
        self.code_of(self.start(context, programs.nothing))
        os.mkdir(folder)
        with open(os.path.join(folder, "late_shop.py"), "w",
                  encoding="utf-8") as file:
            file.write("WARES = 3\n")
        results = context.SimpleQueue()
        process = self.start(context, programs.import_late, results)
        self.assertEqual(results.get(), 3)
        self.code_of(process)

    def test_a_frozen_variable_that_changed_makes_another_zygote(self):
        context = self.context()
        self.code_of(self.start(context, programs.nothing))
        os.environ["PYTHONSHOP"] = "1"
        self.code_of(self.start(context, programs.nothing))
        self.assertEqual(len(self.client.list().zygotes), 2)

    def test_it_has_the_modules_of_the_preload(self):
        with open(os.path.join(self.folder, "warm_shop.py"), "w",
                  encoding="utf-8") as file:
            file.write("LOADED = True\n")
        sys.path.insert(0, self.folder)
        self.addCleanup(sys.path.remove, self.folder)
        for preload, there in (([], False), (["warm_shop"], True)):
            process, found = self.description(self.context(preload=preload),
                                              programs.describe)
            self.assertEqual("warm_shop" in found["modules"], there)
            self.code_of(process)

    def test_a_subclass_of_the_context_runs(self):
        ours, theirs = programs.SUBCLASSED.Pipe()
        process = programs.Shouter(theirs)
        process.start()
        ours.send("hello")
        self.assertEqual(ours.recv(), "HELLO")
        self.code_of(process)

    def test_processes_from_many_threads(self):
        context = self.context()
        codes = []

        def run(code):
            process = self.start(context, programs.exit_with, code)
            codes.append(self.code_of(process))

        threads = [threading.Thread(target=run, args=(code,))
                   for code in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(SECONDS)
        self.assertEqual(sorted(codes), list(range(12)))
        self.assertEqual(len(self.client.list().zygotes), 1)

    def test_arguments_of_megabytes(self):
        path = os.path.join(self.folder, "size")
        size = 6 << 20
        process = self.start(self.context(), programs.write_to, path, size,
                             b"x" * size)
        self.assertEqual(self.code_of(process), 0)
        with open(path, encoding="utf-8") as file:
            self.assertEqual(file.read(), f"{size} {size}")

    def test_a_process_of_a_process_comes_from_the_same_zygote(self):
        context = self.context()
        process, found = self.description(context, programs.start_nested, {})
        self.assertEqual(found["parent"], process.pid)
        self.assertEqual(process.results.get(), 0)
        self.assertEqual(self.code_of(process), 0)
        self.assertEqual(len(self.client.list().zygotes), 1)

    def test_a_process_of_a_process_with_a_preload_of_its_own(self):
        process, found = self.description(
            self.context(), programs.start_nested, {"preload": ["decimal"]})
        self.assertIn("decimal", found["modules"])
        self.assertEqual(process.results.get(), 0)
        self.code_of(process)

    def test_active_children_are_those_that_run(self):
        process = self.start(self.context(), programs.sleep_long)
        self.assertEqual(multiprocessing.active_children(), [process])
        process.kill()
        self.code_of(process)
        self.assertEqual(multiprocessing.active_children(), [])


class SharedTest(MultiprocessingTestCase):
    """What processes share, each kind once."""

    def test_queue(self):
        context = self.context()
        queue = context.Queue()
        process = self.start(context, programs.put_many, queue, 2000)
        self.assertEqual([queue.get(timeout=SECONDS) for _ in range(2000)],
                         list(range(2000)))
        self.assertEqual(self.code_of(process), 0)
        queue.close()
        queue.join_thread()

    def test_joinable_queue(self):
        context = self.context()
        queue = context.JoinableQueue()
        process = self.start(context, programs.join_queue, queue)
        for number in range(5):
            queue.put(number)
        queue.join()
        process.kill()
        self.code_of(process)
        queue.close()
        queue.join_thread()

    def test_pipe(self):
        context = self.context()
        ours, theirs = context.Pipe()
        process = self.start(context, programs.echo, theirs)
        theirs.close()
        ours.send({"number": 3})
        self.assertEqual(ours.recv(), {"number": 3})
        self.code_of(process)
        with self.assertRaises(EOFError):
            ours.recv()
        ours.close()

    def test_locks_values_and_arrays(self):
        for make in ("Lock", "RLock"):
            context = self.context()
            value = context.Value("i", 0)
            array = context.Array("d", 1)
            lock = getattr(context, make)()
            processes = [self.start(context, programs.count_up, value, array,
                                    lock) for _ in range(3)]
            self.assertEqual([self.code_of(each) for each in processes],
                             [0] * 3)
            self.assertEqual((value.value, array[0]), (300, 4.5))

    def test_semaphores(self):
        context = self.context()
        for make in ("Semaphore", "BoundedSemaphore"):
            semaphore = getattr(context, make)(1)
            inside = context.SimpleQueue()
            with semaphore:
                process = self.start(context, programs.enter, semaphore,
                                     inside)
                self.assertTrue(inside.empty())
            self.assertEqual(inside.get(), process.pid)
            self.assertEqual(self.code_of(process), 0)

    def test_event_and_condition(self):
        context = self.context()
        condition, results = context.Condition(), context.SimpleQueue()
        process = self.start(context, programs.wait_and_put, condition,
                             results)
        self.assertEqual(results.get(), "waits")
        with condition:
            condition.notify()
        self.assertEqual(results.get(), "woken")
        self.code_of(process)
        ready = context.Event()
        process = self.start(context, programs.say_ready_and_sleep, ready)
        self.assertTrue(ready.wait(SECONDS))
        process.kill()

    def test_barrier(self):
        context = self.context()
        barrier, results = context.Barrier(2), context.SimpleQueue()
        processes = [self.start(context, programs.pass_barrier, barrier,
                                results) for _ in range(2)]
        self.assertEqual(sorted([results.get(), results.get()]), [0, 1])
        for process in processes:
            self.code_of(process)

    def test_shared_memory(self):
        memory = shared_memory.SharedMemory(create=True, size=16)
        try:
            process = self.start(self.context(), programs.fill_shared_memory,
                                 memory.name, b"hello")
            self.assertEqual(self.code_of(process), 0)
            self.assertEqual(bytes(memory.buf[:5]), b"hello")
        finally:
            memory.close()
            memory.unlink()

    def test_manager(self):
        context = self.context()
        with context.Manager() as manager:
            mapping = manager.dict()
            process = self.start(context, programs.fill_managed, mapping, "a")
            self.code_of(process)
            self.assertEqual(mapping.copy(), {"a": process.pid})


class PoolTest(MultiprocessingTestCase):

    def test_map(self):
        with self.context().Pool(3) as pool:
            self.assertEqual(pool.map(programs.square, range(20)),
                             [number * number for number in range(20)])

    def test_workers_are_replaced(self):
        with self.context().Pool(2, maxtasksperchild=1) as pool:
            self.assertEqual(
                pool.map(programs.square, range(6), chunksize=1),
                [0, 1, 4, 9, 16, 25])

    def test_a_worker_that_dies_is_replaced(self):
        with self.context().Pool(2) as pool:
            before = {each.pid for each in pool._pool}
            pool.apply_async(programs.die_of, (signal.SIGKILL,))
            wait_for(lambda: {each.pid for each in pool._pool} - before,
                     "another worker")
            self.assertEqual(pool.map(programs.square, [3]), [9])

    def test_a_pool_that_is_left_at_once(self):
        for _ in range(3):
            pool = self.context().Pool(3)
            pool.terminate()
            pool.join()

    def test_the_zygote_may_have_gone_meanwhile(self):
        context = self.context()
        self.code_of(self.start(context, programs.nothing))
        self.client.stop_zygote(self.client.list().zygotes[0].name)
        with context.Pool(2) as pool:
            self.assertEqual(pool.map(programs.square, [2, 3]), [4, 9])

    def test_its_workers_are_asked_for_when_its_threads_run(self):
        context = self.context()
        self.code_of(self.start(context, programs.nothing))
        me = threading.get_ident()
        seen = []

        def seen_in(function, name):
            def call(*args):
                if threading.get_ident() == me:
                    seen.append(name)
                return function(*args)
            return call

        with mock.patch.object(Connection, "flush",
                               seen_in(Connection.flush, "flush")), \
                mock.patch.object(threading.Thread, "start",
                                  seen_in(threading.Thread.start, "thread")):
            pool = context.Pool(3)
        self.assertEqual(seen, ["thread"] * 3 + ["flush"])
        with pool:
            self.assertEqual(pool.map(programs.square, [2, 3]), [4, 9])

    def test_one_that_had_ended_before_anybody_looked_takes_no_signal(self):
        worker = mock.Mock(sentinel=ended_sentinel())
        try:
            popen._send_signal_to(worker, signal.SIGTERM)
        finally:
            os.close(worker.sentinel)

    def test_who_waits_for_one_sends_what_it_asked_for(self):
        context = self.context()
        self.code_of(self.start(context, programs.nothing))
        with batch.sent_together():
            with context.Pool(2) as pool:
                self.assertIsNotNone(pool._pool[1].pid)
                self.assertEqual(pool.map(programs.square, [3]), [9])

    def test_pools_of_several_threads(self):
        context = self.context()
        self.code_of(self.start(context, programs.nothing))

        def run(numbers):
            with context.Pool(3) as pool:
                return pool.map(programs.square, numbers)

        with concurrent.futures.ThreadPoolExecutor(4) as threads:
            self.assertEqual(list(threads.map(run, [[each] for each in
                                                    range(8)])),
                             [[each * each] for each in range(8)])

    def test_many_workers_with_few_descriptors(self):
        output, _ = self.run_program("""
            import multiprocessing, resource
            import forkserver.multiprocessing

            if __name__ == "__main__":
                multiprocessing.set_start_method("forkserverd")
                resource.setrlimit(resource.RLIMIT_NOFILE, (80, 80))
                for _ in range(2):
                    with multiprocessing.Pool(24, maxtasksperchild=2) as pool:
                        print(sum(pool.map(len, ["a"] * 200, chunksize=1)))
            """)
        self.assertEqual(output, "200\n200\n")

    def test_process_pool_executor(self):
        with concurrent.futures.ProcessPoolExecutor(
                2, mp_context=self.context()) as executor:
            self.assertEqual(list(executor.map(programs.square, range(9))),
                             [number * number for number in range(9)])

    def test_an_executor_notices_a_worker_that_is_killed(self):
        with concurrent.futures.ProcessPoolExecutor(
                1, mp_context=self.context()) as executor:
            future = executor.submit(programs.die_of, signal.SIGKILL)
            with self.assertRaises(
                    concurrent.futures.process.BrokenProcessPool):
                future.result(SECONDS)


class ContextTest(MultiprocessingTestCase):

    def test_the_method_is_registered(self):
        context = multiprocessing.get_context("forkserverd")
        self.assertEqual(context.get_start_method(), "forkserverd")
        self.code_of(self.start(context, programs.nothing))

    def test_a_zygote_of_the_caller(self):
        zygote = self.client.zygote("shop", preload=["decimal"])
        context = self.context(zygote=zygote)
        process, found = self.description(context, programs.describe)
        self.assertIn("decimal", found["modules"])
        self.code_of(process)
        by_name = self.context(zygote="shop", socket=self.sandbox.socket)
        self.code_of(self.start(by_name, programs.nothing))
        self.assertEqual([each.name for each in self.client.list().zygotes],
                         ["shop"])

    def test_a_client_of_the_caller(self):
        context = self.context(client=self.client)
        self.code_of(self.start(context, programs.nothing))
        self.assertEqual(self.client.status().clients, 1)

    def test_processes_carry_the_options_of_their_context(self):
        context = self.context(preload=["decimal"])
        process, found = self.description(context, programs.start_nested, {})
        self.assertIn("decimal", found["modules"])
        self.code_of(process)

    def test_processes_of_processes_use_the_client_of_the_caller(self):
        del os.environ["FORKSERVER_SOCKET"]
        for context in (
                self.context(client=self.client),
                self.context(zygote=self.client.zygote("shop"))):
            process, found = self.description(context, programs.start_nested,
                                              {})
            self.assertEqual(found["parent"], process.pid)
            self.assertEqual(process.results.get(), 0)
            self.code_of(process)
        self.assertEqual(len(self.client.list().zygotes), 2)

    def test_equal_contexts_share_a_zygote(self):
        for _ in range(2):
            context = self.context(preload=["decimal"])
            process, _ = self.description(context, programs.start_nested,
                                          {"preload": ["decimal"]})
            self.code_of(process)
        self.assertEqual(len(self.client.list().zygotes), 1)

    def test_a_pool_warns_of_workers_that_cannot_start(self):
        zygote = self.client.zygote("shop")
        context = self.context(zygote=zygote)
        self.code_of(self.start(context, programs.nothing))
        zygote.stop()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with context.Pool(1):
                wait_for(lambda: caught, "a warning")
        self.assertIn("a process was not started", str(caught[0].message))

    def test_a_context_can_be_pickled(self):
        import pickle
        context = pickle.loads(pickle.dumps(self.context(preload=["json"])))
        self.code_of(self.start(context, programs.nothing))

    def test_contradictions_are_refused(self):
        for options, text in (
                ({"zygote": "a", "preload": ["b"]}, "preload="),
                ({"client": self.client, "socket": "/a"}, "client=")):
            with self.assertRaisesRegex(ValueError, text):
                self.context(**options)
        with self.assertRaisesRegex(TypeError, "preload must be a list"):
            self.context(preload="json")
        with self.assertRaisesRegex(TypeError, "module_names"):
            self.context().set_forkserver_preload("json")

    def test_a_preload_that_raises_is_what_start_raises(self):
        context = self.context(preload=["no_such_module"])
        process = context.Process(target=programs.nothing)
        with self.assertRaises(forkserver.ZygoteFailed) as caught:
            process.start()
        self.assertIn("no_such_module", str(caught.exception))
        with self.assertRaises(forkserver.ZygoteFailed):
            context.Pool(2)

    def test_an_unknown_zygote_is_what_start_raises(self):
        context = self.context(zygote="nobody")
        with self.assertRaises(forkserver.UnknownZygote):
            self.start(context, programs.nothing)
        with self.assertRaises(forkserver.UnknownZygote):
            context.Pool(2)

    def test_what_cannot_be_pickled_is_what_start_raises(self):
        context = self.context()
        for target, args in ((lambda: None, ()),
                             (programs.square, (threading.Lock(),))):
            process = context.Process(target=target, args=args)
            with self.assertRaises(Exception) as caught:
                process.start()
            self.assertIn("pickle", str(caught.exception))
        self.code_of(self.start(context, programs.nothing))

    def test_a_zygote_that_dies_before_a_process_begins_is_replaced(self):
        context = self.context(spares=(0, 0))  # they would take it
        self.code_of(self.start(context, programs.nothing))
        zygote = self.client.list().zygotes[0]
        os.kill(zygote.pid, signal.SIGSTOP)

        def end_it():
            wait_for(lambda: self.client.list().workers, "it is asked")
            os.kill(zygote.pid, signal.SIGKILL)

        end = threading.Thread(target=end_it)
        end.start()
        process = self.start(context, programs.exit_with, 7)
        end.join()
        self.assertEqual(self.code_of(process), 7)

    def test_an_idle_zygote_is_replaced(self):
        context = self.context()
        self.code_of(self.start(context, programs.nothing))
        first = self.client.list().zygotes[0]
        self.client.stop_zygote(first.name)
        self.code_of(self.start(context, programs.nothing))
        self.assertNotEqual(self.client.list().zygotes[-1].id, first.id)


if __name__ == "__main__":
    unittest.main()
