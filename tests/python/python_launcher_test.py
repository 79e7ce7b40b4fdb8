"""forkserver-python, compared with the python that it stands for."""

import importlib.util
import os
import signal
import sys
import unittest

from daemon_fixture import alive, read_file, wait_for
from runner_fixture import PACKAGE, RunnerTestCase

# As installed by tools/install; `python3 -m forkserver.launcher` is the same.
LAUNCHER = os.path.join(PACKAGE, "bin/forkserver-python")

TELL = ("import os, signal, sys; "
        "print(sys.argv, sys.path, sys.flags, os.getcwd(), sorted(os.environ),"
        " sys.stdin.read(), "
        "signal.getsignal(2), signal.getsignal(1), __name__, "
        "sorted(globals()), os.umask(0), getattr(sys, 'orig_argv', 0)); ")


class PythonLauncherTest(RunnerTestCase):

    def setUp(self):
        super().setUp()
        # The launcher is found by its interpreter's path, as env(1) does it.
        self.environment["PATH"] = (os.path.dirname(sys.executable) + ":" +
                                    self.environment["PATH"])
        self.write("script.py", TELL + "print(__file__, __spec__)")
        self.write("package/__init__.py", "")
        self.write("package/__main__.py", TELL + "sys.exit('said at the end')")
        self.write("module.py", "import sys\n" + TELL)

    def launch(self, *arguments, **options):
        return self.run_program(sys.executable, LAUNCHER, *arguments,
                                **options)

    def start_launcher(self, *arguments, **options):
        return self.start_program(sys.executable, LAUNCHER, *arguments,
                                  **options)

    def assert_same(self, *arguments, **options):
        # What a worker has besides.
        environment = {**options.pop("env", {}), "FORKSERVER_WORKER": "its id"}
        stock = self.python(*arguments, env=environment, **options)
        mine = self.launch(*arguments, env=environment, **options)
        self.assertEqual(mine.stdout, stock.stdout)
        self.assertEqual(mine.stderr, stock.stderr)
        self.assertEqual(mine.returncode, stock.returncode)
        return mine

    @property
    def zygotes(self):
        """How many the daemon has."""
        return len([each for each in self.cli_json("zygote", "ls")
                    if each["name"].startswith("python-")])

    def test_each_kind_of_program_runs_as_under_python(self):
        os.mkdir(os.path.join(self.suite, "sub"))
        for arguments in (
                ("-c", TELL), ("-c", TELL, "-x", "a b"),
                ("-uc", TELL), ("-c" + TELL,),
                ("script.py", "a"), ("-W", "error", "./script.py"),
                (os.path.join(self.suite, "script.py"),),
                ("-m", "module", "a"), ("-m", "package"), ("package", "b"),
                ("-I", "-c", TELL), ("-B", "-O", "-s", "-c", TELL),
                ("-X", "utf8", "-Wignore", "-c", TELL)):
            with self.subTest(arguments=arguments):
                mine = self.assert_same(*arguments)
                self.assertIn("sys.flags", mine.stdout)

    def test_ends_are_those_of_python(self):
        for code in ("import sys; sys.exit(7)", "import sys; sys.exit('why')",
                     "import sys; sys.exit(-1)", "import sys; sys.exit()",
                     "1 / 0", "import nothing_of_that_name", "x = ",
                     "raise KeyboardInterrupt",
                     "import os; os._exit(9)",
                     "import os; os.kill(os.getpid(), 9)",
                     "import os; os.kill(os.getpid(), 15)",
                     "import os; os.abort()",
                     "import atexit; atexit.register(print, 'at the end')",
                     "import threading, time; threading.Thread("
                     "target=lambda: print('thread')).start()",
                     "f = open('left_open', 'w'); f.write('text')",
                     "import sys; sys.stderr.write('no newline')"):
            with self.subTest(code=code):
                self.assert_same("-c", code)
        self.assertEqual(read_file(os.path.join(self.suite, "left_open")),
                         b"text")

    def test_a_closed_output_is_noticed_as_by_python(self):
        for program in ([sys.executable], [sys.executable, LAUNCHER]):
            read_end, write_end = os.pipe()
            os.close(read_end)
            result = self.run_program(*program, "-c", "print(1)",
                                      stdout=write_end)
            os.close(write_end)
            self.assertEqual(result.returncode, 120, result.stderr)
            self.assertIn("BrokenPipeError", result.stderr)

    def test_python_itself_does_what_no_worker_can(self):
        for arguments, text in ((("--version",), None), (("-h",), None),
                                (("-",), "print('from stdin')"),
                                ((), "print('from stdin')"),
                                (("no_such_file.py",), None),
                                (("-c",), None), (("--no-such",), None)):
            with self.subTest(arguments=arguments):
                outcomes = []
                for program in ([sys.executable], [sys.executable, LAUNCHER]):
                    process = self.start_program(*program, *arguments,
                                                 stdin=-1)
                    outcomes.append((process.communicate(text),
                                     process.returncode))
                self.assertEqual(*outcomes)
        self.assertEqual(self.zygotes, 0)

    def test_the_process_is_what_the_caller_made_of_it(self):
        self.assert_same("-c", TELL, env={"ONE_MORE": "1"}, cwd="/")
        read_end, write_end = os.pipe()
        with open(read_end, "rb") as pipe:
            self.launch("-c", f"import os; os.write({write_end}, b'inherited')",
                        pass_fds=[write_end])
            os.close(write_end)
            self.assertEqual(pipe.read(), b"inherited")
        process = self.start_launcher("-c", TELL, stdin=-1)
        self.assertIn("typed", process.communicate("typed")[0])

    def test_ignored_signals_stay_ignored(self):
        code = ("import signal; print([signal.getsignal(signal.SIGHUP), "
                "signal.getsignal(signal.SIGINT)])")
        outputs = [self.run_program(
            "sh", "-c", 'trap "" HUP INT; exec "$@"', "sh", *program, "-c",
            code).stdout for program in ([sys.executable],
                                         [sys.executable, LAUNCHER])]
        self.assertEqual(*outputs)
        self.assertIn("SIG_IGN", outputs[0])

    def test_signals_go_to_the_worker(self):
        self.write("signals.py", '''
import os, signal, sys
def tell(number, frame):
    # Not print(), which it may interrupt.
    os.write(1, b"got %s\\n" % signal.Signals(number).name.encode())
for number in (signal.SIGUSR1, signal.SIGHUP, signal.SIGTERM):
    signal.signal(number, tell)
print("ready", os.getpid(), flush=True)
while True:
    signal.pause()
''')
        process = self.start_launcher("signals.py")
        pid = int(process.stdout.readline().split()[1])
        self.assertNotEqual(pid, process.pid)
        for number in (signal.SIGUSR1, signal.SIGHUP, signal.SIGTERM):
            process.send_signal(number)
            self.assertEqual(process.stdout.readline(),
                             f"got {signal.Signals(number).name}\n")
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
        self.assertEqual(process.returncode, -signal.SIGINT)
        self.assertIn("KeyboardInterrupt", stderr)
        self.assertFalse(alive(pid))

    def test_a_stopped_launcher_stops_its_worker(self):
        process = self.start_launcher("-uc", "import os; print(os.getpid()); "
                                      "input(); print('went on')", stdin=-1)
        pid = int(process.stdout.readline())
        for number, state in ((signal.SIGTSTP, b"T"), (signal.SIGCONT, b"S")):
            process.send_signal(number)
            for each in (pid, process.pid):
                wait_for(lambda each=each, state=state: state == read_file(
                    f"/proc/{each}/stat").rpartition(b")")[2].split()[0],
                         f"{each} is {state}")
        self.assertEqual(process.communicate("\n")[0], "went on\n")
        self.assertEqual(process.returncode, 0)

    def test_a_killed_launcher_takes_its_worker_along(self):
        process = self.start_launcher(
            "-uc", "import os, signal; signal.signal(15, signal.SIG_IGN); "
            "print(os.getpid()); signal.pause()")
        pid = int(process.stdout.readline())
        process.kill()
        wait_for(lambda: not alive(pid), "the worker is gone")

    def test_commands_share_a_zygote_and_flags_do_not(self):
        for _ in range(3):
            self.launch("-c", "pass")
        self.assertEqual(self.zygotes, 1)
        self.launch("-O", "-c", "pass")
        self.assertEqual(self.zygotes, 2)
        self.launch("-c", "pass", env={"PYTHONWARNINGS": "error"})
        self.assertEqual(self.zygotes, 3)

    def test_the_user_names_what_is_warm(self):
        code = "import sys; print('decimal' in sys.modules)"
        self.assertEqual(self.launch("-c", code).stdout, "False\n")
        self.assertEqual(
            self.launch("-c", code, env={
                "FORKSERVER_PYTHON_PRELOAD": "decimal, json"}).stdout,
            "True\n")
        broken = self.launch("-c", code, env={
            "FORKSERVER_PYTHON_PRELOAD": "nothing_of_that_name"})
        self.assertEqual(broken.stdout, "False\n")
        self.assertIn("nothing_of_that_name", broken.stderr)
        self.assertIn("itself", broken.stderr)

    def test_without_a_daemon_python_itself_runs(self):
        missing = self.launch("-c", "print(1)", env={
            "FORKSERVER_SOCKET": "/no/such/folder/socket"})
        self.assertEqual(missing.stdout, "1\n")
        self.assertIn("forkserver-python: ", missing.stderr)
        disabled = self.launch("-c", "print(1)", env={
            "FORKSERVER_DISABLE": "1"})
        self.assertEqual((disabled.stdout, disabled.stderr), ("1\n", ""))

    def test_a_daemon_that_dies_ends_it_with_an_error(self):
        process = self.start_launcher(
            "-uc", "import signal; print('runs'); signal.pause()")
        self.assertEqual(process.stdout.readline(), "runs\n")
        self.kill_daemon()
        _, stderr = process.communicate(timeout=60)
        self.assertNotEqual(process.returncode, 0)
        self.assertIn("forkserver-python: ", stderr)

    @unittest.skipUnless(importlib.util.find_spec("xdist"),
                         "there is no pytest-xdist")
    def test_xdist_runs_its_workers_by_it(self):
        self.write("test_some.py", '''
import os, sys
import pytest
@pytest.mark.parametrize("number", range(20))
def test_some(number):
    assert number != 13
def test_warm():
    with open(f"/proc/{os.getppid()}/cmdline") as file:
        assert "zygote_host" in file.read()
''')
        results = [self.python("-m", "pytest", "-p", "no:cacheprovider", "-q",
                               *arguments) for arguments in (
            ("-n", "2"),
            ("--dist", "load", "--tx", f"2*popen//python={LAUNCHER}"))]
        for result in results:
            self.assertIn("1 failed, 20 passed" if result is results[1]
                          else "2 failed, 19 passed", result.stdout)
        self.assertEqual(self.zygotes, 1)


if __name__ == "__main__":
    unittest.main()
