"""Each row of the table of known cases that Debian's packages can bring is
found in a real process: by a case of cases.py, or here. And the page has the
rows of the table."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import unittest

from cases import CASES
from daemon_fixture import FORKSERVER, ROOT, SandboxTestCase, wait_for

TABLE = os.path.join(ROOT, "sdk/process/audit/known_cases.json")
MAKER = os.path.join(ROOT, "sdk/process/audit/make_known_cases.py")
PAGE = os.path.join(ROOT, "docs/fork_safety.md")
WAIT = "\nprint('READY', flush=True)\nimport time\ntime.sleep(100)\n"
PROGRAMS = {
    "libomp": """
import ctypes, glob
library = ctypes.CDLL(glob.glob("/usr/lib/llvm-*/lib/libomp.so.5")[0])
function = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda data: None)
library.GOMP_parallel(function, None, 4, 0)
""",
    # As a helper thread of libc is made: timer_create(SIGEV_THREAD).
    "libc-helper": """
import ctypes, struct
libc = ctypes.CDLL(None)
notify = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda value: None)
event = ctypes.create_string_buffer(struct.pack(
    "PiiPP", 0, 0, 2, ctypes.cast(notify, ctypes.c_void_p).value, 0), 64)
timer = ctypes.c_void_p()
assert libc.timer_create(1, event, ctypes.byref(timer)) == 0
""",
    "postgres": """
import os, socket
connection = socket.socket(socket.AF_UNIX)
connection.connect(os.environ["SERVER"])
""",
}


def rows():
    with open(TABLE, encoding="utf-8") as file:
        return json.load(file)


class AuditRowsTest(SandboxTestCase):

    @contextlib.contextmanager
    def running(self, command, **environment):
        with subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                env={**self.sandbox.environment, **environment},
                start_new_session=True) as process:
            try:
                yield process
            finally:
                os.killpg(process.pid, signal.SIGKILL)

    def found(self, pid):
        done = subprocess.run([FORKSERVER, "doctor", "--json", str(pid)],
                              stdout=subprocess.PIPE, check=False)
        audit = json.loads(done.stdout)
        return {each["known_as"]
                for each in audit["reasons"] + audit["notes"]}

    def check_program(self, row, **environment):
        command = ["/usr/bin/python3", "-c", PROGRAMS[row] + WAIT]
        with self.running(command, **environment) as process:
            self.assertEqual(process.stdout.readline(), b"READY\n")
            self.assertIn(row, self.found(process.pid))

    def test_libomp(self):
        self.check_program("libomp")

    def test_libc_helper(self):
        self.check_program("libc-helper")

    def test_postgres(self):
        path = os.path.join(self.sandbox.folder, ".s.PGSQL.5432")
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path)
            server.listen()
            self.check_program("postgres", SERVER=path)

    def test_jvm(self):
        # What of Java's own programs runs until it is ended.
        with self.running([shutil.which("rmiregistry"), "0"]) as process:
            wait_for(lambda: "jvm" in self.found(process.pid),
                     "the machine's threads")

    def test_every_row_has_its_program(self):
        shown = {row for case in CASES for row in case.known_as}
        shown |= {*PROGRAMS, "jvm"}
        wanted = {row["id"] for row in rows() if row.get("debian")}
        self.assertEqual(wanted - shown, set())

    def test_the_page_has_the_rows(self):
        copy = os.path.join(self.sandbox.folder, "page.md")
        shutil.copyfile(PAGE, copy)
        subprocess.run(["/usr/bin/python3", MAKER, TABLE, "--page", copy],
                       check=True)
        with open(PAGE, encoding="utf-8") as page, \
                open(copy, encoding="utf-8") as made:
            self.assertEqual(page.read(), made.read(),
                             "run make_known_cases.py TABLE --page")


if __name__ == "__main__":
    unittest.main()
