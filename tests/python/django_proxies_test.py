"""The seed's story: the command has looked up the system's proxies before its
workers are forked, by Darwin's rule. Stock workers crash, and the run hangs;
workers of forkserverd do not notice."""

import http.server
import json
import shutil
import subprocess
import threading
import unittest

from daemon_fixture import wait_for
from django_case import SDK, STOCK, DjangoTestCase

PARALLEL = ("--parallel", "2")
# How long it is waited for the end of a run after the first crash.
HANG_SECONDS = 5
CRASH = "Fatal Python error: Segmentation fault"


class Service(http.server.BaseHTTPRequestHandler):
    """What settings and tests ask by HTTP."""

    def do_GET(self):
        body = json.dumps({"answer": 42}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class ProxiesTest(DjangoTestCase):

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service)
        threading.Thread(target=cls.server.serve_forever, daemon=True).start()
        cls.addClassCleanup(cls.server.server_close)
        cls.addClassCleanup(cls.server.shutdown)

        cls.VARIABLES = {
            "TEST_PROXIES": "1",
            "TEST_SERVICE": "http://%s:%d" % cls.server.server_address,
        }

    def run_tests(self, *arguments, **options):
        return super().run_tests(*arguments, **{**self.VARIABLES, **options})

    def assert_all_run(self, outcome):
        self.assert_ok(outcome)
        self.assertEqual(outcome.count("skipped"), 1)
        self.assertNotIn(CRASH, outcome.text)

    def test_stock_workers_of_a_clean_command_pass(self):
        self.assert_all_run(self.run_tests(*PARALLEL, runner=STOCK,
                                           TEST_PROXIES=""))

    def test_stock_workers_of_a_poisoned_command_hang(self):
        process = self.start_tests(*PARALLEL, "--failfast", runner=STOCK,
                                   **self.VARIABLES)
        wait_for(lambda: CRASH in process.text() or
                 process.poll() is not None, process.text, timeout=100)
        with self.assertRaises(subprocess.TimeoutExpired):
            process.wait(HANG_SECONDS)
        process.end()
        process.close()

    def test_workers_of_forkserverd_pass(self):
        self.assert_all_run(self.run_tests(*PARALLEL))

    def test_zygote_that_would_be_poisoned_too_is_not_used(self):
        outcome = self.run_tests(*PARALLEL, "-v", "2")
        self.assert_all_run(outcome)
        self.assertRegex(outcome.text,
                         "not preloaded: .*proxies.*killed by SIGSEGV")

    def test_lookup_while_the_project_is_loaded_poisons_nothing(self):
        # There before the settings are, as _scproxy is on macOS.
        shutil.copy(self.project + "/project/system_proxies.py",
                    self.folder + "/darwin_proxies.py")
        with open(self.folder + "/sitecustomize.py", "w",
                  encoding="utf-8") as file:
            file.write("import darwin_proxies\n"
                       "darwin_proxies.install(hidden=False)\n")
        outcome = self.run_tests(*PARALLEL, "-v", "2", TEST_PROXIES="",
                                 PYTHONPATH=f"{self.folder}:{SDK}")
        self.assert_all_run(outcome)
        self.assertNotIn("not preloaded", outcome.text)

    def test_without_preload(self):
        self.assert_all_run(self.run_tests(*PARALLEL, "--no-preload"))

    def test_poison_that_nobody_could_see_beforehand(self):
        # The lookup that crashes is not the one that is tried out.
        outcome = self.run_tests(*PARALLEL, TEST_PROXIES="hidden")
        self.assert_ok(outcome)
        self.assertIn(CRASH, outcome.text)
        self.assertIn("crashed in a worker with the project preloaded",
                      outcome.text)

    def test_with_the_workarounds_of_the_web(self):
        self.assert_all_run(self.run_tests(
            *PARALLEL, manage="manage_with_workarounds.py"))

if __name__ == "__main__":
    unittest.main()
