"""The functions that find_package(forkserver) brings for CTest, used in a CMake
project of a user against an installed tree."""

import json
import os
import subprocess
import unittest
import xml.etree.ElementTree as ElementTree

import install_tree
from daemon_fixture import Sandbox, wait_for

ROOT = os.getcwd()
CXX = os.environ.get("CXX", "g++")

# Objects of the tests are built once, for the warm and the cold program.
CMAKE_LISTS = """
cmake_minimum_required(VERSION 3.19)
project(consumer CXX)
enable_testing()
find_package(forkserver 0.1 REQUIRED)
find_package(doctest REQUIRED)
find_package(GTest REQUIRED)

add_library(words OBJECT words.cc)
target_link_libraries(words PUBLIC forkserver::doctest_main doctest::doctest)
add_executable(warm_words $<TARGET_OBJECTS:words>)
target_link_libraries(warm_words forkserver::doctest_main)

add_library(numbers OBJECT numbers.cc)
target_link_libraries(numbers PUBLIC GTest::gtest)
add_executable(warm_numbers $<TARGET_OBJECTS:numbers>)
target_link_libraries(warm_numbers forkserver::gtest_main GTest::gtest)
add_executable(cold_numbers $<TARGET_OBJECTS:numbers>)
target_link_libraries(cold_numbers GTest::gtest_main)

add_executable(plain plain.cc)

set_target_properties(warm_words warm_numbers cold_numbers PROPERTIES
                      LINKER_LANGUAGE CXX)
forkserver_discover_tests(warm_words PREFIX "words;[0] "
                          OPTIONS --timeout 40s --argument=--no-colors=1
                          PROPERTIES LABELS "of words" TIMEOUT 50)
forkserver_discover_tests(warm_numbers PREFIX warm.)
forkserver_discover_tests(cold_numbers PREFIX cold.)
forkserver_discover_tests(plain)
forkserver_add_tests(all_words warm_words OPTIONS --timeout 40s)
forkserver_add_tests(all_plain plain)
"""

# Names that CMake, CTest, a shell, an expression or a filter could mistake for
# something else.
STRANGE = [
    "a;b, c",
    "${HOME} $ENV{HOME} @HOME@ $<1:x>",
    "\"quoted\" 'twice' \\ back\\slash",
    "[0]]=] ]==]",
    "ends in ]=",
    "ends in ]",
    "text",
    "script",
    "ON",
    "# no comment",
    "*",
    "=equals",
    "-h",
    "größer ☃",
]

WORDS = """
#include <doctest/doctest.h>

TEST_CASE("good") { CHECK(1 == 1); }
TEST_CASE("bad") { CHECK(1 == 2); }
TEST_CASE("crashes") { __builtin_trap(); }
TEST_CASE("left out" * doctest::skip()) { CHECK(1 == 2); }
""" + "".join("TEST_CASE(%s) { CHECK(1 == 1); }\n" % json.dumps(
    name, ensure_ascii=False) for name in STRANGE)

NUMBERS = """
#include <gtest/gtest.h>

TEST(Numbers, Good) { EXPECT_EQ(1, 1); }
TEST(Numbers, Bad) { EXPECT_EQ(1, 2); }
TEST(Numbers, DISABLED_LeftOut) { EXPECT_EQ(1, 2); }
TEST(Numbers, SkipsItself) { GTEST_SKIP() << "no numbers here"; }
class Many : public testing::TestWithParam<int> {};
TEST_P(Many, AreSmall) { EXPECT_LT(GetParam(), 2); }
INSTANTIATE_TEST_SUITE_P(Few, Many, testing::Range(1, 3));
"""
NUMBERS_VERDICTS = {
    "Numbers.Good": "passed",
    "Numbers.Bad": "failed",
    "Numbers.DISABLED_LeftOut": "disabled",
    "Numbers.SkipsItself": "passed",
    "Few/Many.AreSmall/0": "passed",
    "Few/Many.AreSmall/1": "failed",
}


class Project:
    """A user's project: sources, a build folder and an installed forkserver."""

    def __init__(self, cmake_lists, **sources):
        self.sandbox = Sandbox()
        self.environment = {
            name: value for name, value in self.sandbox.environment.items()
            if not name.startswith(("TEST_", "TESTBRIDGE_", "XML_OUTPUT"))
        }
        self.environment.update({
            # What is installed finds its own daemon.
            "FORKSERVER_BIN": "",
            "XDG_CACHE_HOME": os.path.join(self.sandbox.folder, "cache"),
        })
        # Names that need quoting where somebody forgot to.
        self.prefix = os.path.join(self.sandbox.folder, "pre fix")
        self.source = os.path.join(self.sandbox.folder, "so urce")
        self.build_folder = os.path.join(self.sandbox.folder, "bu ild")
        os.makedirs(self.source)
        install_tree.install(self.prefix, ROOT)
        self.write("CMakeLists.txt", cmake_lists)
        for name, text in sources.items():
            self.write(name + ".cc", text)

    def write(self, name, text):
        with open(os.path.join(self.source, name), "w",
                  encoding="utf-8") as file:
            file.write(text)

    def run(self, *command, **environment):
        return subprocess.run(
            command, env={**self.environment, **environment}, text=True,
            timeout=240, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, cwd=self.sandbox.folder, check=False)

    def configure(self):
        return self.run("cmake", "-S", self.source, "-B", self.build_folder,
                        "-Werror=dev",
                        f"-DCMAKE_PREFIX_PATH={self.prefix}",
                        f"-DCMAKE_CXX_COMPILER={CXX}")

    def build(self, **environment):
        return self.run("cmake", "--build", self.build_folder, **environment)

    def must(self, result):
        if result.returncode != 0:
            raise AssertionError(f"{result.args}: {result.stdout}")
        return result.stdout

    def make(self):
        self.must(self.configure())
        return self.must(self.build())

    def forkserver(self, *words):
        return self.must(self.run(f"{self.prefix}/bin/forkserver", *words))

    def tests(self):
        """{name: the test} of what CTest knows."""
        shown = self.must(self.run("ctest", "--test-dir", self.build_folder,
                                   "--show-only=json-v1"))
        return {each["name"]: each
                for each in json.loads(shown[shown.index("{"):])["tests"]}

    def ctest(self, *words, **environment):
        """({name: verdict}, exit code, {name: output}) of a run."""
        report = os.path.join(self.sandbox.folder, "ctest.xml")
        result = self.run("ctest", "--test-dir", self.build_folder, "-j", "2",
                          "--output-junit", report, *words, **environment)
        verdicts, outputs = {}, {}
        for case in ElementTree.parse(report).iter("testcase"):
            status = case.get("status")
            verdicts[case.get("name")] = {
                "run": "passed", "fail": "failed", "notrun": "skipped",
            }.get(status, status)
            outputs[case.get("name")] = case.findtext("system-out") or ""
        return verdicts, result.returncode, outputs

    def leave(self):
        """Checks that no process is left."""
        wait_for(lambda: not self.sandbox.leftovers(),
                 self.sandbox.describe_leftovers)


class OneProject(unittest.TestCase):
    """What is built once and looked at in several ways."""

    @classmethod
    def setUpClass(cls):
        cls.project = Project(CMAKE_LISTS, words=WORDS, numbers=NUMBERS,
                              plain="int main() { return 0; }\n")
        cls.addClassCleanup(cls.project.sandbox.remove)
        cls.project.must(cls.project.configure())
        cls.before = cls.project.ctest()
        cls.output = cls.project.must(cls.project.build())

    def tearDown(self):
        self.project.leave()

    def test_until_a_program_is_built_a_test_says_so(self):
        verdicts, code, _ = self.before
        self.assertNotEqual(code, 0)
        self.assertEqual(
            {name: verdict for name, verdict in verdicts.items()
             if name.endswith("_NOT_BUILT")},
            {f"{name}_NOT_BUILT": "skipped" for name in (
                "warm_words", "warm_numbers", "cold_numbers", "plain")})
        self.assertNotIn("passed", verdicts.values())

    def test_a_build_says_nothing_of_ours(self):
        self.assertNotIn("Warning", self.output)
        self.assertNotIn("CMP0", self.output)

    def test_every_case_of_doctest_is_a_test_with_its_verdict(self):
        verdicts, code, outputs = self.project.ctest("-R", "^words")
        self.assertEqual(code, 8)
        prefix = "words;[0] "
        expected = {prefix + name: "passed" for name in ["good", *STRANGE]}
        expected.update({prefix + "bad": "failed", prefix + "crashes": "failed",
                         prefix + "left out": "disabled"})
        self.assertEqual(verdicts, expected)
        self.assertIn("CHECK( 1 == 2 )", outputs[prefix + "bad"])
        # Nothing but this one ran.
        self.assertNotIn("crashes", outputs[prefix + "bad"])
        self.assertRegex(outputs[prefix + "crashes"], "SIGILL|SIGTRAP")

    def test_every_test_of_googletest_is_a_test_with_its_verdict(self):
        verdicts, code, outputs = self.project.ctest("-R", r"^(warm|cold)\.")
        self.assertEqual(code, 8)
        self.assertEqual(verdicts, {
            prefix + name: verdict
            for prefix in ("warm.", "cold.")
            for name, verdict in NUMBERS_VERDICTS.items()
        })
        for name in ("warm.Numbers.Bad", "cold.Numbers.Bad"):
            self.assertIn("Expected equality", outputs[name])
        for name in ("warm.Numbers.SkipsItself", "cold.Numbers.SkipsItself"):
            self.assertIn("1 skipped", outputs[name])

    def test_a_program_of_no_framework_is_one_test(self):
        self.assertEqual(self.project.ctest("-R", "^plain$")[:2],
                         ({"plain": "passed"}, 0))

    def test_a_whole_program_is_one_test(self):
        verdicts, code, outputs = self.project.ctest("-R", "^all_")
        self.assertEqual((verdicts, code), (
            {"all_words": "failed", "all_plain": "passed"}, 8))
        # The report of each case is in it.
        self.assertIn("CHECK( 1 == 2 )", outputs["all_words"])
        self.assertRegex(outputs["all_words"], "SIGILL|SIGTRAP")

    def test_options_and_properties_are_handed_on(self):
        tests = self.project.tests()
        for name in ("words;[0] good", "words;[0] a;b, c"):
            properties = {each["name"]: each["value"]
                          for each in tests[name]["properties"]}
            self.assertEqual(properties["LABELS"], ["of words"])
            self.assertEqual(properties["TIMEOUT"], 50)
            self.assertEqual(
                tests[name]["command"][:6],
                [f"{self.project.prefix}/bin/forkserver", "test", "--partition",
                 "hash:1/1", "--timeout", "40s"])
            self.assertIn("--argument=--no-colors=1", tests[name]["command"])
        self.assertEqual(tests["all_words"]["command"][1:4],
                         ["test", "--timeout", "40s"])

    def test_a_machine_of_several_runs_all_that_ctest_asks_for(self):
        # CTest has chosen already; a part of one test is none.
        for index in ("1", "2"):
            verdicts, code, _ = self.project.ctest(
                "-R", "good$", CI_NODE_INDEX=index, CI_NODE_TOTAL="2")
            self.assertEqual((verdicts, code),
                             ({"words;[0] good": "passed"}, 0))

    def test_a_daemon_keeps_the_zygote_between_tests(self):
        self.project.forkserver("daemon", "start")
        try:
            self.project.ctest("-R", "good$")
            zygotes = json.loads(
                self.project.forkserver("zygote", "ls", "--json"))
            self.assertEqual(len(zygotes), 1)
            self.assertEqual(self.project.ctest("-R", "good$|bad$")[1], 8)
            again = json.loads(
                self.project.forkserver("zygote", "ls", "--json"))
            self.assertEqual([each["id"] for each in again],
                             [each["id"] for each in zygotes])
        finally:
            self.project.forkserver("daemon", "stop")


SMALL = """
cmake_minimum_required(VERSION 3.19)
project(consumer CXX)
enable_testing()
find_package(forkserver 0.1 REQUIRED)
add_executable(tests tests.cc)
"""


class OtherProjects(unittest.TestCase):

    def project_with(self, cmake_lists, tests="int main() { return 0; }\n"):
        project = Project(SMALL + cmake_lists, tests=tests)
        self.addCleanup(project.sandbox.remove)
        self.addCleanup(project.leave)
        return project

    def test_a_program_that_is_built_again_is_asked_again(self):
        source = "#include <doctest/doctest.h>\n%s"
        project = self.project_with(
            "target_link_libraries(tests forkserver::doctest_main)\n"
            "forkserver_discover_tests(tests)\n",
            source % 'TEST_CASE("one") { CHECK(1 == 1); }')
        project.make()
        self.assertEqual(project.ctest()[:2], ({"one": "passed"}, 0))
        project.write("tests.cc", source % 'TEST_CASE("two") { CHECK(1 == 2); }')
        project.must(project.build())
        self.assertEqual(project.ctest()[:2], ({"two": "failed"}, 8))
        # Without a test there is none, and that is no mistake.
        project.write("tests.cc", source % "")
        project.must(project.build())
        self.assertEqual(project.tests(), {})

    def test_a_program_that_cannot_be_listed_is_not_built(self):
        project = self.project_with(
            "forkserver_discover_tests(tests OPTIONS --framework doctest)\n")
        project.must(project.configure())
        result = project.build()
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("cannot be listed by --dt-list-test-cases",
                      " ".join(result.stdout.split()))
        self.assertNotEqual(project.ctest()[1], 0)

    def test_functions_can_be_called_where_the_package_was_not_looked_for(self):
        project = self.project_with("add_subdirectory(inner)\n")
        project.write("CMakeLists.txt", """
            cmake_minimum_required(VERSION 3.19)
            project(consumer CXX)
            enable_testing()
            function(look)
              find_package(forkserver 0.1 REQUIRED)
            endfunction()
            look()
            add_executable(tests tests.cc)
            forkserver_discover_tests(tests)
            """)
        project.make()
        self.assertEqual(project.ctest()[:2], ({"tests": "passed"}, 0))

    def test_wrong_usage_is_named(self):
        for text, message in [
            ("forkserver_discover_tests(nothing)", "nothing is not a target"),
            ("forkserver_add_tests(all nothing)", "nothing is not a target"),
            ("forkserver_discover_tests(tests OPTION -v)", "unknown OPTION"),
            ("forkserver_add_tests(all tests OPTION -v)", "unknown OPTION"),
            ("set(FORKSERVER_EXECUTABLE FORKSERVER_EXECUTABLE-NOTFOUND)\n"
             "forkserver_discover_tests(tests)", "forkserver is not found"),
        ]:
            with self.subTest(text):
                result = self.project_with(text + "\n").configure()
                self.assertNotEqual(result.returncode, 0)
                self.assertIn(message, " ".join(result.stdout.split()))


if __name__ == "__main__":
    unittest.main()
