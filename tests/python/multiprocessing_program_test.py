"""Programs that use the start method forkserverd, as scripts, and what ends
them."""

import os
import pty
import signal
import subprocess
import sys
import textwrap
import threading
import unittest
import warnings

import forkserver
import forkserver.multiprocessing
import multiprocessing_programs as programs
from daemon_fixture import alive, wait_for
from multiprocessing_case import SECONDS, MultiprocessingTestCase

try:
    import coverage  # noqa: F401
except ImportError:
    coverage = None


class ScriptTest(MultiprocessingTestCase):

    def test_set_start_method_in_a_script(self):
        output, errors = self.run_program("""
            import multiprocessing
            import forkserver.multiprocessing

            def square(number):
                return number * number

            if __name__ == "__main__":
                multiprocessing.set_start_method("forkserverd")
                with multiprocessing.Pool(2) as pool:
                    print(pool.map(square, range(4)))
        """)
        self.assertEqual((output, errors), ("[0, 1, 4, 9]\n", ""))

    def test_the_main_module_is_imported_again_under_another_name(self):
        output, _ = self.run_program("""
            import sys
            import forkserver.multiprocessing
            print(__name__, __file__ == sys.argv[0], flush=True)

            class Local:
                value = 5

            def show(local):
                import __main__
                print(local.value, type(local) is Local,
                      __main__.show is show, sys.argv[0] == __file__)

            if __name__ == "__main__":
                context = forkserver.multiprocessing.get_context()
                process = context.Process(target=show, args=(Local(),))
                process.start()
                process.join()
        """)
        self.assertEqual(output.splitlines(), [
            "__main__ True", "__mp_main__ True", "5 True True True"])

    def test_a_main_module_that_changes_is_the_new_one(self):
        output, _ = self.run_program("""
            import os
            import forkserver.multiprocessing
            VALUE = 1

            def show():
                print(VALUE, flush=True)

            def start(context):
                process = context.Process(target=show)
                process.start()
                process.join()

            if __name__ == "__main__":
                context = forkserver.multiprocessing.get_context()
                start(context)
                with open(__file__) as file:
                    text = file.read()
                with open(__file__, "w") as file:
                    file.write(text.replace("VALUE = 1", "VALUE = 22"))
                start(context)
        """)
        self.assertEqual(output, "1\n22\n")

    def test_the_main_module_can_be_preloaded(self):
        output, _ = self.run_program("""
            import os
            import forkserver.multiprocessing
            PID = os.getpid()

            def show():
                print(PID == os.getpid())

            if __name__ == "__main__":
                context = forkserver.multiprocessing.get_context(
                    preload=["__main__"])
                process = context.Process(target=show)
                process.start()
                process.join()
        """)
        self.assertEqual(output, "False\n")

    def test_a_script_without_a_guard_is_told(self):
        _, errors = self.run_program("""
            import forkserver.multiprocessing
            context = forkserver.multiprocessing.get_context()
            process = context.Process(target=print)
            process.start()
            process.join()
            raise SystemExit(process.exitcode)
        """, code=1)
        self.assertIn("RuntimeError", errors)
        self.assertIn("bootstrapping phase", errors)

    def test_queues_are_flushed_and_functions_run_at_the_end(self):
        output, _ = self.run_program("""
            import atexit
            import multiprocessing.util
            import sys
            import forkserver.multiprocessing

            def put(queue):
                multiprocessing.util.Finalize(None, print, ("finalized",),
                                              exitpriority=5)
                atexit.register(print, "at exit")
                queue.put("x" * 1000000)

            if __name__ == "__main__":
                context = forkserver.multiprocessing.get_context()
                queue = context.Queue()
                process = context.Process(target=put, args=(queue,))
                process.start()
                print(len(queue.get()))
                process.join()
                print(process.exitcode)
        """)
        lines = output.splitlines()
        # As CPython's own "forkserver" has it.
        at_exit = ["at exit"] if sys.version_info >= (3, 13) else []
        self.assertEqual(sorted(lines),
                         sorted(["1000000", "finalized", "0"] + at_exit))

    def test_processes_that_are_daemons_end_with_the_script(self):
        output, _ = self.run_program("""
            import time
            import forkserver.multiprocessing

            def sleep():
                time.sleep(60)

            if __name__ == "__main__":
                context = forkserver.multiprocessing.get_context()
                process = context.Process(target=sleep, daemon=True)
                process.start()
                print(process.pid)
        """)
        pid = int(output)
        wait_for(lambda: not alive(pid), "the end of the process")

    def test_a_script_that_leaves_waits_for_its_processes(self):
        output, _ = self.run_program("""
            import sys
            import forkserver.multiprocessing

            def say(connection):
                connection.recv()
                print("done")

            if __name__ == "__main__":
                context = forkserver.multiprocessing.get_context()
                ours, theirs = context.Pipe()
                context.Process(target=say, args=(theirs,)).start()
                ours.send(1)
        """)
        self.assertEqual(output, "done\n")

    def test_a_forked_child_starts_processes_of_its_own(self):
        output, _ = self.run_program("""
            import os
            import forkserver.multiprocessing

            def show():
                print(os.getpid(), flush=True)

            def run(context):
                process = context.Process(target=show)
                process.start()
                process.join()
                return process.exitcode

            if __name__ == "__main__":
                context = forkserver.multiprocessing.get_context()
                run(context)
                pid = os.fork()
                if pid == 0:
                    os._exit(run(context))
                assert os.waitpid(pid, 0)[1] == 0
                run(context)
        """)
        self.assertEqual(len(set(output.split())), 3)

    def test_a_child_that_is_forked_beside_a_pool_has_pools_of_its_own(self):
        for _ in range(5):  # some workers have not answered at the fork
            output, _ = self.run_program("""
                import multiprocessing, os, sys
                import forkserver.multiprocessing

                if __name__ == "__main__":
                    multiprocessing.set_start_method("forkserverd")
                    multiprocessing.Pool(1).terminate()
                    pool = multiprocessing.Pool(3)
                    pid = os.fork()
                    if pid == 0:
                        with multiprocessing.Pool(2) as own:
                            print("child", own.map(abs, [-2]))
                        assert len(multiprocessing.active_children()) >= 3
                        sys.stdout.flush()
                        os._exit(0)
                    assert os.waitpid(pid, 0)[1] == 0
                    print("parent", pool.map(abs, [-1]))
                """)
            self.assertEqual(output, "child [2]\nparent [1]\n")

    def test_set_forkserver_preload_counts(self):
        self.write_program("LOADED = True", "warm.py")
        output, _ = self.run_program("""
            import multiprocessing
            import sys
            import forkserver.multiprocessing

            def show():
                print("warm" in sys.modules)

            if __name__ == "__main__":
                multiprocessing.set_start_method("forkserverd")
                multiprocessing.set_forkserver_preload(["warm"])
                process = multiprocessing.Process(target=show)
                process.start()
                process.join()
        """)
        self.assertEqual(output, "True\n")

    @unittest.skipIf(coverage is None, "coverage is not installed "
                     "(python3-coverage)")
    def test_coverage_collects_from_every_process(self):
        self.write_program("""
            [run]
            parallel = True
            concurrency = multiprocessing
        """, ".coveragerc")
        source = """
            import multiprocessing
            import forkserver.multiprocessing

            def only_here(number):
                doubled = number * 2
                return doubled

            if __name__ == "__main__":
                multiprocessing.set_start_method("forkserverd")
                process = multiprocessing.Process(target=only_here, args=(2,))
                process.start()
                process.join()
                print(process.exitcode)
        """
        output, _ = self.run_program(source, "-m", "coverage", "run")
        self.assertEqual(output, "0\n")
        for arguments in (["combine"], ["report", "-m"]):
            result = subprocess.run(
                [sys.executable, "-m", "coverage", *arguments],
                cwd=self.folder, env=os.environ, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                timeout=SECONDS, check=False)
            self.assertEqual(result.returncode, 0, result.stdout)
        self.assertRegex(result.stdout, r"program\.py .* 100%")


class EndTest(MultiprocessingTestCase):

    SLEEPERS = """
        import sys
        import forkserver.multiprocessing
        import multiprocessing_programs as programs

        if __name__ == "__main__":
            context = forkserver.multiprocessing.get_context()
            results, ready = context.SimpleQueue(), context.Event()
            process = context.Process(target=programs.start_and_leave,
                                      args=(results, ready))
            process.start()
            print(process.pid, results.get(), flush=True)
            process.join()
    """

    def start_program(self, source, **options):
        path = self.write_program(source)
        process = subprocess.Popen(
            [sys.executable, path], cwd=self.folder, text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            **options)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def test_a_program_that_is_killed_leaves_nobody(self):
        program = self.start_program(self.SLEEPERS, stdout=subprocess.PIPE)
        with program.stdout:
            pids = [int(each) for each in program.stdout.readline().split()]
        self.assertEqual([alive(pid) for pid in pids], [True, True])
        program.kill()
        program.wait()
        wait_for(lambda: not any(alive(pid) for pid in pids),
                 "the end of its processes, and of theirs")

    def test_the_process_of_a_process_survives_it(self):
        program = self.start_program(self.SLEEPERS, stdout=subprocess.PIPE)
        with program.stdout:
            first, second = (int(each) for each in
                             program.stdout.readline().split())
        os.kill(first, signal.SIGTERM)
        wait_for(lambda: not alive(first), "the end of the process")
        self.assertTrue(alive(second))
        os.kill(second, signal.SIGKILL)
        self.assertEqual(program.wait(), 0)

    def test_a_daemon_that_dies_ends_the_processes_and_nothing_hangs(self):
        context = self.context()
        process = self.start(context, programs.sleep_long)
        pid = process.pid
        self.kill_daemon()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            self.assertEqual(self.code_of(process), 255)
        self.assertIn(f"the exit code of process {pid} is not known",
                      str(caught[0].message))
        self.assertFalse(alive(pid))

    def test_without_a_daemon_start_says_so(self):
        context = self.context(socket=os.path.join(self.folder, "other"))
        self.kill_daemon()
        os.environ["FORKSERVER_BIN"] = self.folder
        os.environ["PATH"] = self.folder
        with self.assertRaises(forkserver.ConnectFailed):
            self.start(context, programs.nothing)

    def test_disconnect_ends_processes(self):
        context = self.context()
        process = self.start(context, programs.sleep_long)
        forkserver.multiprocessing.disconnect()
        wait_for(lambda: not alive(process.pid), "the end of the process")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.assertEqual(self.code_of(process), 255)
        self.code_of(self.start(context, programs.nothing))


class InterruptTest(MultiprocessingTestCase):

    PROGRAM = """
        import sys
        import forkserver.multiprocessing
        import multiprocessing_programs as programs

        if __name__ == "__main__":
            context = forkserver.multiprocessing.get_context()
            ready, results = context.Event(), context.SimpleQueue()
            process = context.Process(target=programs.report_interrupt,
                                      args=(ready, results))
            process.start()
            ready.wait()
            try:
                print("ready", flush=True)
                process.join()
            except KeyboardInterrupt:
                print("parent", results.get(), flush=True)
                process.join()
                sys.exit(process.exitcode)
    """

    def test_ctrl_c_in_a_terminal_reaches_the_processes(self):
        path = self.write_program(self.PROGRAM)
        environment = {**os.environ,
                       "PYTHONPATH": os.pathsep.join(sys.path)}
        pid, terminal = pty.fork()
        if pid == 0:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.chdir(self.folder)
            os.execve(sys.executable, [sys.executable, path], environment)
        watchdog = threading.Timer(SECONDS, os.kill, (pid, signal.SIGKILL))
        watchdog.start()
        self.addCleanup(watchdog.cancel)
        with open(terminal, "r+b", buffering=0) as stream:
            self.assertEqual(stream.readline().strip(), b"ready")
            stream.write(b"\x03")
            lines = [stream.readline()]
            while b"parent" not in lines[-1]:
                lines.append(stream.readline())
            self.assertIn(b"parent interrupted", lines[-1])
            status = os.waitpid(pid, 0)[1]
        self.assertEqual(os.WEXITSTATUS(status), 0, lines)

    def test_without_a_terminal_it_is_for_the_program_alone(self):
        source = textwrap.dedent(self.PROGRAM).replace(
            'results.get(), flush=True)',
            'process.is_alive(), flush=True); process.kill()')
        path = self.write_program(source)
        program = subprocess.Popen(
            [sys.executable, path], cwd=self.folder, start_new_session=True,
            text=True, stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
        with program.stdout as lines:
            self.assertEqual(lines.readline(), "ready\n")
            program.send_signal(signal.SIGINT)
            self.assertEqual(lines.readline(), "parent True\n")
        self.assertNotEqual(program.wait(), 0)


if __name__ == "__main__":
    unittest.main()
