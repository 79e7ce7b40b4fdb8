"""What tools/install puts into a prefix is enough to build and run programs."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import unittest

import install_tree
from daemon_fixture import Sandbox, wait_for

ROOT = os.getcwd()
CXX = os.environ.get("CXX", "g++")
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]

CLIENT = r"""
#include <forkserver/client.h>

#include <cstdio>

// Spawns a worker, and calls an entry of the zygote program argv[1].
int main(int argc, char** argv) {
  if (argc != 2) return 2;
  auto client = forkserver::Client::Connect();
  if (!client) {
    std::fprintf(stderr, "%s\n", client.error().ToString().c_str());
    return 1;
  }
  forkserver::SpawnOptions options;
  options.argv = {"sh", "-c", "exit 7"};
  auto worker = client->Spawn(options);
  if (!worker) {
    std::fprintf(stderr, "%s\n", worker.error().ToString().c_str());
    return 1;
  }
  auto record = client->Wait(worker->id);
  if (!record || record->code != 7) return 3;

  forkserver::ZygoteOptions zygote;
  zygote.name = "greeter";
  zygote.argv = {argv[1]};
  if (auto started = client->StartZygote(zygote); !started) {
    std::fprintf(stderr, "%s\n", started.error().ToString().c_str());
    return 1;
  }
  forkserver::ForkOptions fork;
  fork.zygote = "greeter";
  fork.entry = "greet";
  fork.args = "Ada";
  auto call = client->Call(fork);
  if (!call || call->exit.code != 0) return 4;
  std::printf("%s\n", call->result.c_str());
  return 0;
}
"""

ZYGOTE = r"""
#include <forkserver/zygote.h>

int main(int argc, char** argv) {
  forkserver::Zygote zygote(argc, argv);
  zygote.AddEntry("greet", [](forkserver::WorkerContext& context) {
    context.SetResult("hello, " + context.args());
    return 0;
  });
  return zygote.Serve();
}
"""

# Uses both halves, so that a shared library needs both archives.
PLUGIN = r"""
#include <forkserver/client.h>
#include <forkserver/version.h>
#include <forkserver/zygote.h>

extern "C" int ServeOrConnect(int argc, char** argv) {
  forkserver::Zygote zygote(argc, argv);
  if (zygote.started_by_daemon()) return zygote.Serve();
  return forkserver::Client::Connect() ? 0 : 1;
}
"""

CMAKE_LISTS = """
cmake_minimum_required(VERSION 3.16)
project(consumer CXX)
find_package(forkserver 0.1 REQUIRED)
add_executable(client client.cc)
target_link_libraries(client forkserver::client)
add_executable(greeter greeter.cc)
target_link_libraries(greeter forkserver::zygote)
"""


def tree(folder):
    """{path: what it is} of everything in a folder."""
    found = {}
    for path, folders, files in os.walk(folder):
        for name in folders + files:
            full = os.path.join(path, name)
            content = ""
            if os.path.isfile(full):
                with open(full, "rb") as file:
                    content = file.read()
            found[os.path.relpath(full, folder)] = content
    return found


class InstallTestCase(unittest.TestCase):
    """A prefix with somebody else's files, and forkserver installed in it."""

    def setUp(self):
        self.sandbox = Sandbox()
        self.addCleanup(self.sandbox.remove)
        # A name that needs quoting where somebody forgot to.
        self.prefix = os.path.join(self.sandbox.folder, "pre fix")
        for name in ("bin/theirs", "lib/pkgconfig/theirs.pc"):
            path = os.path.join(self.prefix, name)
            os.makedirs(os.path.dirname(path))
            with open(path, "w", encoding="utf-8") as file:
                file.write("theirs")
        self.before = tree(self.prefix)
        install_tree.install(self.prefix, ROOT)

    def write(self, name, text):
        path = os.path.join(self.sandbox.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path


class Uninstall(InstallTestCase):

    def test_the_prefix_is_as_it_was(self):
        install_tree.uninstall(self.prefix)
        self.assertEqual(tree(self.prefix), self.before)
        install_tree.uninstall(self.prefix)
        self.assertEqual(tree(self.prefix), self.before)

    def test_installing_twice_changes_nothing(self):
        once = tree(self.prefix)
        install_tree.install(self.prefix, ROOT)
        self.assertEqual(tree(self.prefix), once)
        install_tree.uninstall(self.prefix)
        self.assertEqual(tree(self.prefix), self.before)

    def test_a_prefix_that_was_made_goes_away(self):
        made = os.path.join(self.sandbox.folder, "made")
        install_tree.install(made, ROOT)
        install_tree.uninstall(made)
        self.assertFalse(os.path.exists(made))

    def test_files_that_came_later_stay(self):
        path = os.path.join(self.prefix, "include/forkserver/theirs.h")
        with open(path, "w", encoding="utf-8"):
            pass
        install_tree.uninstall(self.prefix)
        self.assertTrue(os.path.exists(path))

    def test_a_file_of_somebody_else_is_not_replaced(self):
        other = os.path.join(self.sandbox.folder, "other")
        os.makedirs(os.path.join(other, "bin"))
        with open(os.path.join(other, "bin/forkserver"), "w",
                  encoding="utf-8") as file:
            file.write("theirs")
        before = tree(other)
        with self.assertRaisesRegex(install_tree.InstallError,
                                    "bin/forkserver"):
            install_tree.install(other, ROOT)
        self.assertEqual(tree(other), before)

    def test_nothing_outside_the_prefix_is_removed(self):
        outside = os.path.join(self.sandbox.folder, "outside")
        shutil.move(os.path.join(self.prefix, "lib"), outside)
        os.symlink(outside, os.path.join(self.prefix, "lib"))
        before = tree(outside)
        with self.assertRaises(install_tree.InstallError):
            install_tree.uninstall(self.prefix)
        self.assertEqual(tree(outside), before)

        victim = self.write("victim", "precious")
        with open(os.path.join(self.prefix, install_tree.MANIFEST), "a",
                  encoding="utf-8") as manifest:
            manifest.write("file ../victim\n" + f"file {victim}\n")
        with self.assertRaises(install_tree.InstallError):
            install_tree.uninstall(self.prefix)
        self.assertTrue(os.path.exists(victim))


class PythonPackage(InstallTestCase):
    """The Python package, by PYTHONPATH and by itself."""

    def run_python(self, code, **environment):
        result = subprocess.run(
            [sys.executable, "-c", code], text=True, timeout=120,
            env={**self.sandbox.environment, **environment},
            cwd=self.sandbox.folder, capture_output=True, check=False)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout

    def install_tree(self, command, prefix, **environment):
        return subprocess.run(
            [sys.executable, install_tree.__file__, command, "--prefix",
             prefix, "--built", ROOT], text=True, timeout=120,
            env={**self.sandbox.environment, **environment},
            stdout=subprocess.PIPE, check=True).stdout

    def test_a_client_and_a_daemon_of_the_same_prefix(self):
        # Neither FORKSERVER_BIN nor PATH says where the daemon is.
        printed = self.run_python(
            "import forkserver\n"
            "with forkserver.connect() as client:\n"
            "    print(client.run(['/bin/sh', '-c', 'exit 7']).code,\n"
            "          client.status().version == forkserver.__version__)\n"
            "    client.shutdown()\n", FORKSERVER_BIN="", PATH="/nowhere",
            PYTHONDONTWRITEBYTECODE="",
            PYTHONPATH=os.path.join(self.prefix, install_tree.PYTHON))
        self.assertEqual(printed, "7 True\n")
        wait_for(lambda: not self.sandbox.leftovers(),
                 self.sandbox.describe_leftovers)
        # What Python compiled goes away with the rest.
        self.assertTrue(any("__pycache__" in name
                            for name in tree(self.prefix)))
        install_tree.uninstall(self.prefix)
        self.assertEqual(tree(self.prefix), self.before)

    @unittest.skipIf(importlib.util.find_spec("pytest") is None,
                     "there is no pytest")
    def test_pytest_finds_its_plugin_named_or_not(self):
        for named in ([], ["-p", "forkserver.pytest_plugin"]):
            result = subprocess.run(
                [sys.executable, "-B", "-m", "pytest", *named, "--help"],
                env={**self.sandbox.environment, "PYTHONPATH": os.path.join(
                    self.prefix, install_tree.PYTHON)},
                cwd=self.sandbox.folder, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
            self.assertEqual(result.returncode, 0, result.stdout)
            self.assertIn("--forkserver-scope", result.stdout)

    def test_the_line_that_is_printed_is_enough(self):
        prefix = os.path.join(self.sandbox.folder, "other")
        printed = self.install_tree("install", prefix)
        line = re.search(r"^From Python:  (.*)$", printed, re.M).group(1)
        result = subprocess.run(
            ["sh", "-c", line + "; exec \"$0\" -c 'import forkserver'",
             sys.executable], env=self.sandbox.environment, timeout=60,
            check=False)
        self.assertEqual(result.returncode, 0)

    def test_the_default_prefix_is_found_without_a_line(self):
        home = os.path.join(self.sandbox.folder, "ho me")
        os.makedirs(home)
        printed = self.install_tree("install", f"{home}/.local", HOME=home)
        self.assertNotIn("PYTHONPATH", printed)
        where = self.run_python(
            "import forkserver; print(forkserver.__file__)", HOME=home)
        self.assertEqual(
            where, f"{home}/.local/{install_tree.PYTHON}/forkserver/"
            "__init__.py\n")
        self.install_tree("uninstall", f"{home}/.local", HOME=home)
        self.assertEqual(tree(home), {})


class Guard(InstallTestCase):
    """`forkserver guard` finds its library in the prefix."""

    def setUp(self):
        super().setUp()
        self.plain = os.path.join(self.sandbox.folder, "plain")
        install_tree.install(self.plain, ROOT)

    def guard(self, prefix, *words):
        return subprocess.run(
            [f"{prefix}/bin/forkserver", "guard", "--", *words],
            env={**self.sandbox.environment, "FORKSERVER_BIN": ""},
            text=True, timeout=120, capture_output=True, check=False)

    def test_a_prefix_with_a_space_is_refused(self):
        result = self.guard(self.prefix, "true")
        self.assertEqual(result.returncode, 125)
        self.assertIn("there is a space or a colon in its path",
                      result.stderr)

    def test_an_unsafe_fork_is_reported(self):
        code = ("import os, threading\n"
                "end = threading.Event()\n"
                "threading.Thread(target=end.wait, daemon=True).start()\n"
                "if os.fork() == 0: os._exit(0)\n"
                "os.wait()\n")
        result = self.guard(self.plain, sys.executable, "-c", code)
        self.assertEqual((result.returncode, result.stdout), (0, ""))
        self.assertEqual(result.stderr.count("forkguard:"), 1, result.stderr)
        self.assertIn("unsafe to fork", result.stderr)


class Consumers(InstallTestCase):
    """Programs built with what is in the prefix, and with nothing else."""

    def setUp(self):
        super().setUp()
        self.client = self.write("client.cc", CLIENT)
        self.greeter = self.write("greeter.cc", ZYGOTE)
        self.addCleanup(self.end_daemon)

    def end_daemon(self):
        self.run_program(f"{self.prefix}/bin/forkserver", "daemon", "stop")
        wait_for(lambda: not self.sandbox.leftovers(),
                 self.sandbox.describe_leftovers)

    def run_program(self, *command, **environment):
        environment = {
            **self.sandbox.environment,
            "FORKSERVER_BIN": os.path.join(self.prefix, "bin"),
            **environment,
        }
        return subprocess.run(command, env=environment, text=True, timeout=120,
                              stdin=subprocess.DEVNULL, capture_output=True,
                              cwd=self.sandbox.folder, check=False)

    def succeed(self, *command, **environment):
        result = self.run_program(*command, **environment)
        self.assertEqual(result.returncode, 0,
                         f"{command}: {result.stdout}{result.stderr}")
        return result.stdout

    def flags(self, *kinds):
        output = self.succeed(
            "pkg-config", *kinds, "forkserver",
            PKG_CONFIG_PATH=os.path.join(self.prefix, "lib/pkgconfig"))
        return [word.replace("\0", " ")
                for word in output.replace("\\ ", "\0").split()]

    def compile(self, *arguments):
        self.succeed(CXX, "-std=c++17", *WARNINGS, *arguments)

    def test_a_client_and_a_zygote_by_pkg_config(self):
        flags = self.flags("--cflags", "--libs")
        self.compile("-o", "client", self.client, *flags)
        self.compile("-o", "greeter", self.greeter, *flags)
        # The daemon is found by FORKSERVER_BIN, then by PATH.
        self.assertEqual(self.succeed("./client", "./greeter"), "hello, Ada\n")
        self.succeed(f"{self.prefix}/bin/forkserver", "daemon", "stop")
        self.assertEqual(
            self.succeed("./client", "./greeter", FORKSERVER_BIN="",
                         PATH=f"{self.prefix}/bin:{os.environ['PATH']}"),
            "hello, Ada\n")

    def test_the_archives_can_be_part_of_a_shared_library(self):
        plugin = self.write("plugin.cc", PLUGIN)
        self.compile("-fPIC", "-shared", "-Wl,-z,defs", "-Wl,-z,text", "-o",
                     "libplugin.so", plugin, *self.flags("--cflags", "--libs"))
        for name in ("client", "zygote"):
            archive = f"{self.prefix}/lib/libforkserver_{name}.a"
            self.compile("-shared", "-Wl,-z,defs", "-Wl,-z,text", "-o",
                         f"lib{name}.so", "-Wl,--whole-archive", archive,
                         "-Wl,--no-whole-archive")

    def test_every_public_header_stands_alone(self):
        compilers = [CXX] + [c for c in ("clang++",) if shutil.which(c)]
        for name in install_tree.HEADERS:
            header = self.write("header.cc", f"#include <forkserver/{name}.h>\n")
            for compiler in compilers:
                self.succeed(compiler, "-std=c++17", *WARNINGS,
                             "-fsyntax-only", *self.flags("--cflags"), header)

    @unittest.skipUnless(shutil.which("cmake"), "cmake is not installed")
    def test_a_client_and_a_zygote_by_cmake(self):
        self.write("CMakeLists.txt", CMAKE_LISTS)
        self.succeed("cmake", "-S", ".", "-B", "build",
                     f"-DCMAKE_PREFIX_PATH={self.prefix}",
                     f"-DCMAKE_CXX_COMPILER={CXX}")
        self.succeed("cmake", "--build", "build")
        self.assertEqual(self.succeed("build/client", "build/greeter"),
                         "hello, Ada\n")


if __name__ == "__main__":
    unittest.main()
