"""The code on the pages: C++ compiles, and the README's examples run.

A block marked cpp is a part of a function that has a Client `client`, unless
it begins with #include: then it is a file.
"""

import os
import re
import subprocess
import tempfile
import unittest

from daemon_fixture import FORKSERVER, FORKSERVERD, SandboxTestCase

RUNFILES = os.environ.get("FORKSERVER_TEST_ROOT", os.getcwd())
ROOT = os.path.dirname(
    os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
README_EXAMPLE = os.path.join(RUNFILES, "tests/docs/readme_example")
PUBLIC_HEADERS = {
    "base": ("error.h", "result.h", "version.h"),
    "cpp": ("client.h", "zygote.h"),
    "protocol": ("service_types.h", "types.h"),
}
PREAMBLE = """
#include <forkserver/client.h>
#include <csignal>
#include <cstdio>
#include <poll.h>
#include <unistd.h>
using namespace std::chrono_literals;
"""
FRAGMENT = """
static void Line{line}([[maybe_unused]] forkserver::Client& client) {{
#line {line} "{page}"
{code}
}}
"""


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def blocks(page, language):
    """(line, code) of each fenced block of a page."""
    text = read(page)
    for found in re.finditer(rf"^```{language}\n(.*?)^```$", text,
                             re.MULTILINE | re.DOTALL):
        yield text.count("\n", 0, found.start()) + 2, found.group(1)


class SnippetsTest(unittest.TestCase):

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="fs")
        self.addCleanup(self.folder.cleanup)
        include = os.path.join(self.folder.name, "forkserver")
        os.mkdir(include)
        for layer, names in PUBLIC_HEADERS.items():
            for name in names:
                os.symlink(os.path.join(ROOT, "sdk", layer, name),
                           os.path.join(include, name))

    def assert_compiles(self, code):
        result = subprocess.run(
            ["c++", "-std=c++17", "-fsyntax-only", "-Wall", "-Wextra",
             "-Werror", "-Wno-unused-variable",
             "-Wno-unused-but-set-variable", "-Wno-unused-function",
             "-I", self.folder.name, "-x", "c++", "-"],
            input=code, text=True, stderr=subprocess.PIPE, check=False)
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_every_cpp_block_compiles(self):
        fragments = []
        for page in ("README.md", "docs/cpp_sdk.md"):
            for line, code in blocks(page, "cpp"):
                if code.startswith("#include"):
                    with self.subTest(page=page, line=line):
                        self.assert_compiles(f'#line {line} "{page}"\n{code}')
                else:
                    fragments.append(
                        FRAGMENT.format(page=page, line=line, code=code))
        self.assertGreater(len(fragments), 8)
        self.assert_compiles(PREAMBLE + "".join(fragments))


class ReadmeTest(SandboxTestCase):

    def tearDown(self):
        self.cli("daemon", "stop")
        self.assert_nothing_left()
        super().tearDown()

    def run_in_sandbox(self, arguments):
        environment = dict(self.sandbox.environment)
        environment["PATH"] = ":".join([
            os.path.dirname(FORKSERVER), os.path.dirname(FORKSERVERD),
            environment.get("PATH", "/usr/bin:/bin")])
        return subprocess.run(arguments, env=environment, cwd=self.folder,
                              stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=60, check=False)

    def test_the_cpp_example_runs(self):
        (_, code), = blocks("README.md", "cpp")
        self.assertEqual(code, read("tests/docs/readme_example.cc"))
        result = self.run_in_sandbox([README_EXAMPLE])
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertEqual(result.stdout,
                         "hello from a worker\nits exit code is 3\n")

    def test_the_shell_examples_run(self):
        examples = list(blocks("README.md", "sh"))
        self.assertTrue(examples)
        for line, code in examples:
            with self.subTest(f"README.md:{line}"):
                result = self.run_in_sandbox(["sh", "-e", "-c", code])
                self.assertEqual(result.returncode, 0, result.stderr)
                # What a comment promises is a line of the output.
                for promised in re.findall(r"# prints (.*)$", code,
                                           re.MULTILINE):
                    self.assertIn(promised, result.stdout.splitlines())


if __name__ == "__main__":
    unittest.main()
