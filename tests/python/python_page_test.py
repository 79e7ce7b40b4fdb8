"""Every block of Python in docs/python.md runs."""

import os
import re
import subprocess
import sys
import unittest

from client_fixture import ClientTestCase

ROOT = os.path.dirname(
    os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PAGE = "docs/python.md"
PREAMBLE = """\
import forkserver
client = forkserver.connect(autostart=False)
"""


def blocks():
    """(line, code) of each."""
    with open(os.path.join(ROOT, PAGE), encoding="utf-8") as file:
        text = file.read()
    for found in re.finditer(r"^```python\n(.*?)^```$", text,
                             re.MULTILINE | re.DOTALL):
        yield text.count("\n", 0, found.start()) + 2, found.group(1)


class PageTest(ClientTestCase):

    def test_every_block_runs(self):
        self.assertTrue(list(blocks()))
        for line, code in blocks():
            with self.subTest(f"{PAGE}:{line}"):
                result = subprocess.run(
                    [sys.executable, "-W", "error", "-c", PREAMBLE + code],
                    env={**os.environ, "PYTHONPATH": os.pathsep.join(
                        sys.path)}, cwd=self.folder, text=True, timeout=60,
                    stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                    check=False)
                self.assertEqual((result.returncode, result.stderr), (0, ""))


if __name__ == "__main__":
    unittest.main()
