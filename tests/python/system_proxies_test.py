"""The system's proxies are looked up in a worker, never in this process.

_scproxy exists on macOS only. A stand-in is found on sys.path here, and a copy
of urllib.request is loaded as macOS would load it. The stand-in writes down
which process asked it.
"""

import importlib.util
import os
import sys
import time
import unittest
from unittest import mock

import forkserver
from zygote_case import ZygoteTestCase

SCPROXY = """
    import os
    def _note(what):
        with open(LOG, "a") as log:
            log.write(f"{os.getpid()} {what}\\n")
    def _get_proxies():
        _note("proxies")
        return {"http": os.environ.get("STAND_IN", "http://system:1")}
    def _get_proxy_settings():
        _note("settings")
        return {"exclude_simple": True, "exceptions": ["*.internal"]}
"""
VARIABLES = ("http_proxy", "https_proxy", "no_proxy", "all_proxy",
             "ftp_proxy")


class SystemProxiesTest(ZygoteTestCase):

    def setUp(self):
        super().setUp()
        for name in VARIABLES:
            os.environ.pop(name, None)
            os.environ.pop(name.upper(), None)
        self.lookups = os.path.join(self.folder, "lookups")
        self.write(SCPROXY.replace("LOG", repr(self.lookups)), "_scproxy")
        self.addCleanup(sys.modules.pop, "_scproxy", None)
        self.load_as_on_macos()

    def load_as_on_macos(self):
        spec = importlib.util.find_spec("urllib.request")
        module = importlib.util.module_from_spec(spec)
        modules = mock.patch.dict(sys.modules, {"urllib.request": module})
        modules.start()
        self.addCleanup(modules.stop)
        import urllib
        attribute = mock.patch.object(urllib, "request", module)
        attribute.start()
        self.addCleanup(attribute.stop)
        with mock.patch.object(sys, "platform", "darwin"):
            spec.loader.exec_module(module)
        self.request = module

    def asked(self):
        """[(whether it was this process, what)], which is forgotten."""
        if not os.path.exists(self.lookups):
            return []
        with open(self.lookups, encoding="utf-8") as log:
            lines = [line.split() for line in log]
        os.unlink(self.lookups)
        return [(int(pid) == os.getpid(), what) for pid, what in lines]

    def patch(self, **options):
        undo = forkserver.patch_system_proxies(**options)
        self.addCleanup(undo)
        return undo

    def test_unpatched_it_asks_in_this_process(self):
        self.assertEqual(self.request.getproxies(),
                         {"http": "http://system:1"})
        self.assertEqual(self.asked(), [(True, "proxies")])

    def test_patched_it_asks_in_a_worker(self):
        held = self.request.getproxies  # as requests does at its import
        self.patch()
        self.assertEqual(held(), {"http": "http://system:1"})
        self.assertEqual(self.request.getproxies_macosx_sysconf(),
                         {"http": "http://system:1"})
        self.assertTrue(self.request.proxy_bypass("host.internal"))
        self.assertTrue(self.request.proxy_bypass("simple"))
        self.assertFalse(self.request.proxy_bypass("www.example.org"))
        self.assertEqual(self.asked(), [(False, "proxies"),
                                        (False, "settings")])
        # Nor directly.
        self.assertEqual(sys.modules["_scproxy"]._get_proxies(),
                         {"http": "http://system:1"})
        self.assertEqual(self.asked(), [])

    def test_the_answer_is_a_copy_that_is_kept_for_a_time(self):
        self.patch(cache_seconds=1000)
        self.request.getproxies()["http"] = "changed"
        os.environ["STAND_IN"] = "http://other:2"
        self.assertEqual(self.request.getproxies(),
                         {"http": "http://system:1"})
        later = time.monotonic() + 1001
        with mock.patch.object(time, "monotonic", lambda: later):
            self.assertEqual(self.request.getproxies(),
                             {"http": "http://other:2"})
        self.assertEqual(len(self.asked()), 2)

    def test_variables_come_first_and_need_no_worker(self):
        self.patch()
        os.environ["http_proxy"] = "http://variable:3"
        self.assertEqual(self.request.getproxies(),
                         {"http": "http://variable:3"})
        self.assertFalse(self.request.proxy_bypass("host.internal"))
        self.assertEqual(self.asked(), [])
        self.assertEqual(self.client.list().zygotes, [])

    def test_it_can_be_called_again_and_undone(self):
        original = self.request._get_proxies
        undo = self.patch()
        self.assertIs(self.patch(), undo)
        self.assertIsNot(self.request._get_proxies, original)
        undo()
        self.assertIs(self.request._get_proxies, original)
        self.assertIs(sys.modules["_scproxy"]._get_proxies, original)
        undo()
        self.request.getproxies()
        self.assertEqual(self.asked(), [(True, "proxies")])
        self.patch()
        self.request.getproxies()
        self.assertEqual(self.asked(), [(False, "proxies")])

    def test_a_lookup_that_crashes_is_an_error_and_not_done_here(self):
        self.write("""
            import os
            def _get_proxies(): os.abort()
            _get_proxy_settings = _get_proxies
        """, "_scproxy")
        self.patch()
        with self.assertRaises(forkserver.WorkerDied):
            self.request.getproxies()
        self.assertEqual(self.asked(), [])

    def test_without_a_daemon_it_is_an_error_and_not_done_here(self):
        self.patch()
        with mock.patch.dict(os.environ, {
                "FORKSERVER_SOCKET": "/no/such/folder/socket"}):
            with self.assertRaises(forkserver.Error):
                self.request.getproxies()
        self.assertEqual(self.asked(), [])


class PlainTest(ZygoteTestCase):
    """Where urllib.request only reads variables, or was replaced."""

    def test_functions_that_only_read_variables_are_left_alone(self):
        import urllib.request
        before = urllib.request.getproxies
        undo = forkserver.patch_system_proxies()
        self.addCleanup(undo)
        if sys.platform.startswith("linux"):
            self.assertIs(urllib.request.getproxies, before)
            urllib.request.getproxies()
            self.assertEqual(self.client.list().zygotes, [])

    def test_a_replaced_lookup_is_asked_in_a_worker_everywhere(self):
        import urllib.request
        unsafe = self.module("import os\n"
                             "def getproxies(): return {'pid': os.getpid()}")
        with mock.patch.object(urllib.request, "getproxies",
                               unsafe.getproxies):
            user = self.module("from urllib.request import getproxies")
            undo = forkserver.patch_system_proxies()
            self.addCleanup(undo)
            self.assertNotEqual(user.getproxies()["pid"], os.getpid())
            self.assertEqual(user.getproxies(), urllib.request.getproxies())
            undo()
            self.assertEqual(user.getproxies()["pid"], os.getpid())


if __name__ == "__main__":
    unittest.main()
