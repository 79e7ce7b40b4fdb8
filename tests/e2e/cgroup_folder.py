"""A cgroup (version 2) for a test: as if it had been delegated."""

import os
import re
import unittest
import uuid

from daemon_fixture import read_file, wait_for


def _own_folder():
    """That of this process, or None."""
    own = re.search(r"^0::(/.*)$", read_file("/proc/self/cgroup").decode(),
                    re.MULTILINE)
    mount = re.search(r"^\S+ \S+ \S+ / (\S+) .* - cgroup2 ",
                      read_file("/proc/self/mountinfo").decode(),
                      re.MULTILINE)
    return own and mount and mount[1] + own[1].rstrip("/")


class CgroupFolder:
    """`enter` is a preexec_fn. Processes in it are killed at the end."""

    def __init__(self, test):
        own = _own_folder()
        if own is None:
            raise unittest.SkipTest("kernel: no cgroup v2")
        self.path = os.path.join(own, f"forkserver-test-{uuid.uuid4().hex}")
        try:
            os.mkdir(self.path)
        except OSError as error:
            raise unittest.SkipTest(f"os: no cgroup can be made: {error}")
        test.addCleanup(self.remove)
        if not os.path.exists(self.path + "/cgroup.kill"):
            raise unittest.SkipTest("kernel: no cgroup.kill before Linux 5.14")

    def enter(self):
        self.write("cgroup.procs", "0")

    def read(self, name):
        return read_file(os.path.join(self.path, name)).decode()

    def write(self, name, text):
        with open(os.path.join(self.path, name), "w",
                  encoding="ascii") as file:
            file.write(text)

    def below(self, prefix=""):
        """The names of the folders in it."""
        return sorted(name for name in os.listdir(self.path)
                      if name.startswith(prefix) and
                      os.path.isdir(os.path.join(self.path, name)))

    def remove(self):
        self.write("cgroup.kill", "1")
        wait_for(lambda: "populated 0" in self.read("cgroup.events"),
                 "nobody is in the cgroup")
        for name in self.below():
            os.rmdir(os.path.join(self.path, name))
        os.rmdir(self.path)


def cgroup_of(pid):
    return re.search(r"^0::(.*)$", read_file(f"/proc/{pid}/cgroup").decode(),
                     re.MULTILINE)[1]
