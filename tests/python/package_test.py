"""`pip install ./sdk/python` without a network, and what it installs."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import forkserver
from client_fixture import EnvironmentTestCase

PROJECT = os.path.dirname(
    os.path.dirname(os.path.abspath(forkserver.__file__)))
HAS_PIP = all(map(importlib.util.find_spec, ("pip", "setuptools", "wheel")))


def files_below(folder):
    return {
        os.path.relpath(os.path.join(path, name), folder)
        for path, _, names in os.walk(folder) for name in names
        if not name.endswith(".pyc")
    }


@unittest.skipUnless(HAS_PIP, "pip, setuptools or wheel is not installed")
class InstallTest(EnvironmentTestCase):

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        folder = tempfile.mkdtemp(prefix="fs", dir="/tmp")
        cls.addClassCleanup(shutil.rmtree, folder)
        project = os.path.join(folder, "project")
        shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns(
            "__pycache__", "build", "*.egg-info"))
        cls.target = os.path.join(folder, "target")
        cls.run_python("-m", "pip", "install", "--no-build-isolation",
                       "--no-deps", "--no-index", "--no-cache-dir",
                       "--disable-pip-version-check", "--target",
                       cls.target, project)

    @classmethod
    def run_python(cls, *arguments):
        result = subprocess.run(
            [sys.executable, *arguments], text=True, capture_output=True,
            env={**os.environ, "PYTHONPATH": cls.target}, cwd="/",
            timeout=300, check=False)
        if result.returncode != 0:
            raise AssertionError(result.stdout + result.stderr)
        return result.stdout

    def test_all_of_the_package_and_nothing_else(self):
        self.assertEqual(files_below(os.path.join(self.target, "forkserver")),
                         files_below(os.path.join(PROJECT, "forkserver")))
        others = set(os.listdir(self.target)) - {"forkserver"}
        self.assertEqual(others, {"bin", "forkserver-0.1.0.dist-info"})

    def test_its_metadata(self):
        path = os.path.join(self.target, "forkserver-0.1.0.dist-info")
        with open(os.path.join(path, "METADATA"), encoding="utf-8") as file:
            lines = file.read().splitlines()
        self.assertIn(f"Version: {forkserver.__version__}", lines)
        self.assertIn("Requires-Python: >=3.8", lines)
        self.assertEqual([each for each in lines if "Requires-Dist" in each],
                         ["Requires-Dist: msgpack"])

    def test_it_works(self):
        printed = self.run_python(
            "-c", "import forkserver\n"
            "print(forkserver.__file__)\n"
            "with forkserver.connect() as client:\n"
            "    print(client.run(['sh', '-c', 'exit 3']).code)\n"
            "    client.shutdown()\n").split()
        self.assertEqual(printed, [
            os.path.join(self.target, "forkserver/__init__.py"), "3"])


class SourceTest(unittest.TestCase):

    def test_the_version_is_written_the_same_everywhere(self):
        path = os.path.join(PROJECT, "pyproject.toml")
        with open(path, encoding="utf-8") as file:
            version, = re.findall(r'^version = "(.*)"$', file.read(), re.M)
        self.assertEqual(version, forkserver.__version__)

    def test_a_zygote_loads_no_client(self):
        printed = subprocess.run(
            [sys.executable, "-c",
             "import sys, forkserver.protocol.framing\n"
             "print(sorted(m for m in sys.modules if m.split('.')[0] in "
             "('forkserver', 'asyncio', 'threading', 'subprocess')))"],
            env={**os.environ, "PYTHONPATH": PROJECT}, text=True,
            stdout=subprocess.PIPE, check=True).stdout
        self.assertNotIn("client", printed)
        self.assertNotIn("asyncio", printed)


if __name__ == "__main__":
    unittest.main()
