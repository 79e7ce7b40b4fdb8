"""What a large zygote does so that its forks are cheap."""

import unittest

from daemon_fixture import has_huge_pages
from wire import read_file
from zygote_fixture import ZygoteTestCase


def huge_bytes(pid):
    for line in read_file(f"/proc/{pid}/smaps_rollup").splitlines():
        if line.startswith(b"AnonHugePages:"):
            return int(line.split()[1]) * 1024
    return 0


class ForkCostTest(ZygoteTestCase):

    def test_what_is_large_is_in_huge_pages(self):
        if not has_huge_pages(64 << 20):
            self.skipTest("kernel: it has no huge pages to give")
        client = self.client()
        zygote = self.start(client, preload=["fills_memory"])
        # Of 64 MB, less what there is no huge page for.
        self.assertGreater(huge_bytes(zygote["pid"]), 30 << 20)
        self.assertEqual(self.call(client, "echo", b"x")[0], b"x")

    def test_a_small_one_is_left_alone(self):
        client = self.client()
        zygote = self.start(client)
        self.assertEqual(huge_bytes(zygote["pid"]), 0)


if __name__ == "__main__":
    unittest.main()
