"""check_sources.py runs its command again only where something changed."""

import os
import subprocess
import sys
import tempfile
import unittest

SCRIPT = os.path.abspath("tools/build/check_sources.py")


class CheckSources(unittest.TestCase):

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.write("sdk/base/public.h", "// one\n")
        self.write("server/a.cc", '#include "server/a.h"\n')
        self.write("server/a.h", "#include <forkserver/public.h>\n")
        self.write("server/b.cc", "// good\n")
        self.write("server/c_linux.cc", "// good\n")

    def write(self, path, text):
        path = os.path.join(self.folder.name, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    def check(self, *command):
        """Exit status, and the summary line without its name."""
        result = subprocess.run(
            [sys.executable, SCRIPT, "--name", "check", "--cache", "cache",
             "--exclude", "*_linux.cc", "server", "--", *command],
            cwd=self.folder.name, stdout=subprocess.PIPE, text=True,
            check=False)
        summary = result.stdout.splitlines()[-1]
        return result.returncode, summary.partition(": ")[2]

    def test_a_source_that_passed_is_left_out_until_an_include_changes(self):
        command = ["test", "-e", "{includes}/forkserver/public.h"]
        self.assertEqual(
            self.check(*command),
            (0, "2 checked, 0 failed, 0 unchanged since they passed"))
        self.assertEqual(
            self.check(*command),
            (0, "0 checked, 0 failed, 2 unchanged since they passed"))
        self.write("sdk/base/public.h", "// two\n")
        self.assertEqual(
            self.check(*command),
            (0, "1 checked, 0 failed, 1 unchanged since they passed"))

    def test_a_source_that_failed_is_checked_again(self):
        command = ["grep", "good", "{source}"]
        self.assertEqual(
            self.check(*command),
            (1, "2 checked, 1 failed, 0 unchanged since they passed"))
        self.assertEqual(
            self.check(*command),
            (1, "1 checked, 1 failed, 1 unchanged since they passed"))


if __name__ == "__main__":
    unittest.main()
