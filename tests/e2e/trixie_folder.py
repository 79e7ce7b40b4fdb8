"""Debian 13 in a folder, for tests of what Debian 12 does not have.

It is made by debootstrap, which needs root, the network and about 500 MB under
/tmp.
"""

import os
import shutil
import subprocess
import tempfile
import unittest

MIRROR = "http://deb.debian.org/debian"
BUILD_SECONDS = 900


class TrixieFolder:
    """A folder with the named packages, until the tests of a class are over."""

    def __init__(self, test_class, packages):
        if os.geteuid() != 0 or shutil.which("debootstrap") is None:
            raise unittest.SkipTest("this needs root and debootstrap")
        self.root = tempfile.mkdtemp(prefix="trixie", dir="/tmp")
        test_class.addClassCleanup(shutil.rmtree, self.root,
                                   ignore_errors=True)
        subprocess.run(
            ["debootstrap", "--variant=minbase",
             "--include=" + ",".join(packages), "trixie", self.root, MIRROR],
            check=True, stdout=subprocess.DEVNULL, timeout=BUILD_SECONDS)

    def path(self, name):
        return os.path.join(self.root, name)

    def run(self, *command, cwd="/", **options):
        """As subprocess.run, inside, with a PID namespace of its own.

        The end of the first process ends every other one.
        """
        return subprocess.run(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child",
             "--mount-proc=" + self.path("proc"), "chroot", self.root,
             "sh", "-c", 'cd "$0" && "$@"', cwd, *command],
            stdin=subprocess.DEVNULL, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, **options)
