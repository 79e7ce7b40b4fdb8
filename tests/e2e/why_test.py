"""`forkserver why`: how a worker ended, for a person."""

import os
import re
import signal
import unittest

from daemon_fixture import ZYGOTE_PROGRAM, DaemonTestCase

PYTHON = "/usr/bin/python3"


def sanitized():
    with open(ZYGOTE_PROGRAM, "rb") as file:
        return b"__asan_init" in file.read()


class WhyTest(DaemonTestCase):

    def run_worker(self, *words, code):
        """A worker in the foreground; returns its id."""
        name = f"worker {len(self.ids)}"
        result = self.cli(words[0], "--name", name, *words[1:])
        self.assertEqual(result.returncode, code, result.stderr)
        self.ids.append(name)
        found = re.search(r"forkserver why (\S+)", result.stderr)
        return found and found.group(1)

    def setUp(self):
        super().setUp()
        self.ids = []

    def detach(self, *words):
        result = self.cli("run", "--detach", "--", *words)
        self.assertEqual(result.returncode, 0, result.stderr)
        worker = result.stdout.strip()
        self.cli("wait", worker)
        return worker

    def why(self, worker):
        result = self.cli("why", worker)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        return result.stdout

    def start_zygote(self):
        self.cli("zygote", "start", "z", "--", ZYGOTE_PROGRAM)

    def crash(self, entry, number, *options):
        self.start_zygote()
        return self.run_worker("fork", "z", "--entry", entry, *options,
                               code=128 + number)

    @unittest.skipIf(sanitized(), "os: the sanitizer's handler is in place")
    def test_a_crash_of_a_forked_worker(self):
        text = self.why(self.crash("write_to_null", signal.SIGSEGV))
        self.assertRegex(
            text, r"\AWorker \S+ 'worker 0' \(pid \d+\) was ended by SIGSEGV "
            r"\(SEGV_MAPERR\): it must not touch address 0x110, a null "
            r"pointer, in zygote_program(; a core was dumped)?\.\n")
        self.assertIn("Ancestry: clean: forked from zygote 'z'", text)
        self.assertIn("Thread: zygote_program\n", text)
        # By the program's own symbols.
        self.assertRegex(text, r"#0 .*WriteToNull\(.*zygote_program\+0x")
        self.assertRegex(text, r"#\d+ main  \(|#\d+ main at ")
        self.assertNotIn("This is known", text)

    @unittest.skipIf(sanitized(), "os: the sanitizer's handler is in place")
    def test_an_overflow_of_the_stack_is_called_that(self):
        text = self.why(self.crash("overflow_stack", signal.SIGSEGV))
        self.assertIn("a function called itself without end", text)

    @unittest.skipIf(sanitized(), "os: the sanitizer's handler is in place")
    def test_a_call_of_null_and_a_division(self):
        text = self.why(self.crash("call_null", signal.SIGSEGV))
        self.assertIn("#0 at 0x0, which is no code\n", text)
        self.assertRegex(text, r"#1 .*CallNull")
        text = self.why(self.crash("divide_by_zero", signal.SIGFPE))
        self.assertIn("SIGFPE (FPE_INTDIV)", text)

    def test_its_last_words_with_the_option(self):
        worker = self.crash("abort_loudly", signal.SIGABRT, "--crash-report",
                            "--args", "\x1b[31mred\x07 words")
        if worker is None:
            self.skipTest("os: the sanitizer's handler is in place")
        text = self.why(worker)
        self.assertIn("The end of its standard error:\n  ?[31mred? words\n",
                      text)
        self.assertIn("abort", text)

    @unittest.skipIf(sanitized(), "os: the sanitizer's handler is in place")
    def test_a_timeout_tells_where_it_waited(self):
        self.start_zygote()
        worker = self.run_worker("fork", "z", "--entry", "sleep_forever",
                                 "--timeout", "100ms", code=124)
        text = self.why(worker)
        self.assertIn("was stopped by forkserverd: its timeout ran out; "
                      "SIGTERM (timeout).", text)
        self.assertRegex(text, r"#\d+ .*SleepForever")

    def test_an_exec_worker_with_the_option(self):
        worker = self.run_worker(
            "run", "--crash-report", "--", PYTHON, "-c",
            "import os, sys; sys.stderr.write('last\\n'); "
            "sys.stderr.flush(); os.abort()", code=128 + signal.SIGABRT)
        text = self.why(worker)
        self.assertIn("was ended by SIGABRT", text)
        self.assertIn("Ancestry: clean: a program that forkserverd started",
                      text)
        self.assertIn("The end of its standard error:\n  last\n", text)
        self.assertRegex(text, r"#\d+ .*os_abort|#\d+ .*abort")

    def test_an_exec_worker_without_it_has_its_signal(self):
        text = self.why(self.detach("sh", "-c", "kill -SEGV $$"))
        self.assertIn("was ended by SIGSEGV", text)
        self.assertNotIn("stack", text)

    def test_one_that_ended_normally_or_was_stopped_says_so(self):
        self.assertIn("ended normally, with exit code 0.",
                      self.why(self.detach("true")))
        self.assertIn("ended by itself, with exit code 3.",
                      self.why(self.detach("sh", "-c", "exit 3")))
        result = self.cli("run", "--detach", "--", "sleep", "60")
        worker = result.stdout.strip()
        refused = self.cli("why", worker)
        self.assertEqual(refused.returncode, 125)
        self.assertIn("has not ended", refused.stderr)
        self.cli("stop", worker)
        self.assertIn("was stopped because somebody asked for it; SIGTERM",
                      self.why(worker))

    def test_a_known_death_has_its_sentence_and_page(self):
        worker = self.detach("sh", "-c", "kill -KILL $$")
        text = self.why(worker)
        self.assertIn("This is known: Somebody killed it", text)
        self.assertIn("See docs/fork_safety.md#death-killed\n", text)
        value = self.cli_json("why", worker)
        self.assertEqual(list(value), ["summary", "known", "frames", "exit"])
        self.assertEqual(value["known"][0]["id"], "killed")
        self.assertEqual(value["exit"]["crash"]["signal_name"], "SIGKILL")

    def test_a_worker_that_failed_with_a_known_text(self):
        self.cli("run", "--crash-report", "--", "sh", "-c",
                 "echo 'ssl: bad record mac' >&2; exit 1")
        worker = self.last_worker()
        self.assertIn("#death-tls", self.why(worker))

    def last_worker(self):
        """Ids are numbered: that of one that has just ended."""
        ended = self.detach("true")
        instance, _, number = ended.rpartition("-")
        return f"{instance}-{int(number) - 1}"

    def test_no_such_worker(self):
        result = self.cli("why", "nobody")
        self.assertEqual(result.returncode, 125)
        self.assertIn("unknown_worker", result.stderr)
        self.assertEqual(self.cli("why").returncode, 2)


class PythonTest(DaemonTestCase):

    def test_a_python_worker_has_its_traceback(self):
        script = os.path.join(self.folder, "crashing.py")
        with open(script, "w", encoding="utf-8") as file:
            file.write("import ctypes\n"
                       "def entry(context):\n"
                       "    ctypes.string_at(0)\n")
        package = os.path.abspath("sdk/python")
        environment = f"PYTHONPATH={package}:{self.folder}"
        started = self.cli("zygote", "start", "p", "--env", environment, "--",
                           PYTHON, "-m", "forkserver.zygote_host")
        self.assertEqual(started.returncode, 0, started.stderr)
        result = self.cli("fork", "p", "--env", environment, "--entry",
                          "crashing:entry")
        self.assertEqual(result.returncode, 128 + signal.SIGSEGV)
        worker = re.search(r"forkserver why (\S+)", result.stderr).group(1)
        text = self.cli("why", worker).stdout
        self.assertIn('Python:\n  Fatal Python error: Segmentation fault\n',
                      text)
        self.assertIn(f'File "{script}", line 3 in entry\n', text)
        self.assertIn("libffi", text)


if __name__ == "__main__":
    unittest.main()
