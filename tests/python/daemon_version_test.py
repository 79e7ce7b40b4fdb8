"""Daemons of another version, and upgrades, as clients see them."""

import asyncio
import os
import unittest
import warnings
from unittest import mock

import forkserver
from client_fixture import EnvironmentTestCase, FakeDaemon
from forkserver.protocol import framing, messages


class VersionTestCase(EnvironmentTestCase):

    def setUp(self):
        super().setUp()
        not_told = mock.patch("forkserver.daemon_version._told", False)
        not_told.start()
        self.addCleanup(not_told.stop)

    def serve(self, version, answer=lambda frame: None, clients=1):
        fake = FakeDaemon(self.sandbox.socket, answer, version=version,
                          clients=clients)
        self.addCleanup(fake.close)


class WarningTest(VersionTestCase):

    def warnings_of(self, function):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            function()
        for each in caught:
            self.assertIs(each.category, forkserver.DaemonVersionWarning)
            self.assertEqual(each.filename, __file__)
        return [str(each.message) for each in caught]

    def connect_twice(self):
        for _ in range(2):
            with forkserver.connect(autostart=False) as client:
                self.assertTrue(client.daemon_version)

    def test_it_comes_once(self):
        self.serve("0.0.7", clients=3)
        [text] = self.warnings_of(self.connect_twice)
        self.assertIn(f"forkserver {forkserver.__version__}", text)
        self.assertIn("forkserverd 0.0.7", text)
        self.assertIn("`forkserver daemon upgrade`", text)

        async def connect():
            async with await forkserver.connect_async(
                    autostart=False) as client:
                self.assertEqual(client.daemon_version, "0.0.7")

        self.assertEqual(self.warnings_of(lambda: asyncio.run(connect())), [])

    def test_it_comes_of_asyncio_too(self):
        self.serve("0.0.7")

        async def connect():
            await (await forkserver.connect_async(autostart=False)).close()

        self.assertEqual(len(self.warnings_of(lambda: asyncio.run(connect()))),
                         1)

    def test_a_newer_daemon_is_not_to_be_upgraded(self):
        self.serve("999.0.0", clients=2)
        [text] = self.warnings_of(self.connect_twice)
        self.assertIn("forkserverd 999.0.0", text)
        self.assertNotIn("upgrade", text)

    def test_none_comes_of_the_same_version(self):
        self.serve(forkserver.__version__, clients=2)
        self.assertEqual(self.warnings_of(self.connect_twice), [])

    def test_as_an_error_it_leaves_no_connection(self):
        self.serve("0.0.7")
        before = len(os.listdir("/proc/self/fd"))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with self.assertRaises(forkserver.DaemonVersionWarning):
                forkserver.connect(autostart=False)
        # The fake's end closes when it has seen the end of ours.
        self.assertLessEqual(len(os.listdir("/proc/self/fd")), before + 1)


class UpgradeTest(VersionTestCase):

    def setUp(self):
        super().setUp()
        self.programs = []

    def answer(self, frame):
        self.programs.append(frame.decode(messages.Upgrade).program)
        if len(self.programs) == 1:
            return framing.encode_frame("error", messages.ErrorBody(
                "upgrade_failed", "it crashed"), frame.id)
        return framing.encode_frame("reply", messages.DaemonUpgrade(
            from_=forkserver.__version__, version="9.9"), frame.id)

    def check(self, upgrade):
        self.assertEqual((upgrade.from_, upgrade.version),
                         (forkserver.__version__, "9.9"))
        self.assertEqual(self.programs, ["", os.path.join(os.getcwd(), "new")])

    def test_an_upgrade(self):
        self.serve(forkserver.__version__, self.answer)
        with forkserver.connect(autostart=False) as client:
            with self.assertRaisesRegex(forkserver.UpgradeFailed,
                                        "it crashed"):
                client.upgrade()
            self.assertEqual(client.daemon_version, forkserver.__version__)
            with self.assertRaises(forkserver.BadRequest):
                client.upgrade("")
            self.check(client.upgrade("new"))
            self.assertEqual(client.daemon_version, "9.9")

    def test_an_upgrade_with_asyncio(self):
        self.serve(forkserver.__version__, self.answer)

        async def upgrade():
            async with await forkserver.connect_async(
                    autostart=False) as client:
                with self.assertRaisesRegex(forkserver.UpgradeFailed,
                                            "it crashed"):
                    await client.upgrade()
                self.check(await client.upgrade("new"))
                self.assertEqual(client.daemon_version, "9.9")

        asyncio.run(upgrade())


if __name__ == "__main__":
    unittest.main()
