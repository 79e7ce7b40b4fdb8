"""The pages of man(1): they are sound, and say what the programs say."""

import json
import os
import re
import shutil
import subprocess
import unittest

import install_tree
from daemon_fixture import FORKSERVERD, ROOT, SandboxTestCase

# What the system does not have: these pages themselves.
OWN = r"(?m)^.*referenced manual not found: Xr forkserver(d|\.toml)? \d.*\n"


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


class ManualTestCase(SandboxTestCase):

    def setUp(self):
        super().setUp()
        install_tree.install(self.folder + "/prefix", ROOT)
        self.pages = {
            name: f"{self.folder}/prefix/share/man/man{name[-1]}/{name}"
            for name in ("forkserver.1", "forkserverd.1", "forkserver.toml.5")
        }

    def shown(self, name):
        """The page as one line of words."""
        text = subprocess.run(
            ["mandoc", "-T", "ascii", "-O", "width=1000", self.pages[name]],
            stdout=subprocess.PIPE, text=True, check=True).stdout
        return " ".join(re.sub(".\b", "", text).split())

    def assert_says(self, page, text):
        # Not the whole page in a message.
        self.assertTrue(" ".join(text.split()) in page, text)


@unittest.skipUnless(shutil.which("mandoc"), "os: no mandoc")
class PagesTest(ManualTestCase):

    def test_they_pass_lint(self):
        for name, path in self.pages.items():
            with self.subTest(name):
                said = subprocess.run(
                    ["mandoc", "-T", "lint", path], stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT, text=True, check=False).stdout
                self.assertEqual(re.sub(OWN, "", said), "")

    def test_lint_would_say_something(self):
        path = self.folder + "/bad.1"
        with open(path, "w", encoding="utf-8") as file:
            file.write(read("tools/package/man/forkserver.1") + ".El\n")
        said = subprocess.run(["mandoc", "-T", "lint", path],
                              stdout=subprocess.PIPE, text=True, check=False)
        self.assertIn("ERROR", said.stdout)

    def test_uninstall_leaves_none(self):
        install_tree.uninstall(self.folder + "/prefix")
        self.assertFalse(os.path.exists(self.folder + "/prefix"))


@unittest.skipUnless(shutil.which("mandoc"), "os: no mandoc")
class CommandsTest(ManualTestCase):

    def commands(self, *group):
        """Those that --help lists."""
        words = []
        for line in self.cli("complete", "--", *group,
                             "").stdout.splitlines():
            word = line.split("\t")[0]
            inner = [] if group else self.commands(word)
            words += [f"{word} {each}" for each in inner] or [word]
        return words

    def test_every_command_with_all_that_its_help_says(self):
        page = self.shown("forkserver.1")
        commands = self.commands()
        self.assertIn("zygote start", commands)
        self.assertIn("top", commands)
        for command in commands:
            with self.subTest(command):
                text = self.cli(*command.split(), "--help").stdout
                usage = re.search(r"Usage: (.*)", text).group(1)
                self.assert_says(page, usage)
                # "  -s,--signal SIG    Name ..."
                for names, value in re.findall(
                        r"(?m)^  ((?:-\w,)?--[a-z-]+)(?: ([^ \n]+))?", text):
                    if names.endswith("--help"):
                        continue
                    shown = names.replace(",", ", ")
                    if value and not value.startswith("Excludes"):
                        # What CLI11 adds to it.
                        shown += " " + re.sub(
                            r":(\{|value$|INT$|POSITIVE$|NONNEGATIVE$).*", "",
                            value)
                    self.assert_says(page, shown)

    def test_exit_codes_are_those_of_the_help(self):
        page = self.shown("forkserver.1")
        for command in ("run", "up", "doctor", "daemon start"):
            text = self.cli(*command.split(), "--help").stdout
            codes = text.partition("Exit codes")[2]
            for code, meaning in re.findall(r"(?m)^  +(\S+) +(.*)$", codes):
                self.assert_says(page, f"{code} {meaning}")

    def test_what_is_hidden_is_not_there(self):
        page = self.shown("forkserver.1")
        for word in ("guard-report", "forkserver complete ", "--quiet"):
            self.assertNotIn(word, page)

    def test_the_daemon_says_the_same(self):
        page = self.shown("forkserverd.1")
        text = subprocess.run([FORKSERVERD, "--help"], text=True,
                              stdout=subprocess.PIPE, check=True).stdout
        options, _, codes = text.partition("exit codes: ")
        found = re.findall(r"(?m)^  (--[a-z-]+(?: [A-Z]+)?) +(.*)$", options)
        self.assertGreater(len(found), 5)
        for option, meaning in found:
            self.assert_says(page, f"{option} {meaning}")
        for code in codes.replace("\n", " ").strip().split("; "):
            self.assert_says(page, code)


class KeysTest(ManualTestCase):
    """forkserver.toml(5) has the keys of its reader, and no other."""

    def keys(self, title, part=0):
        """Of the part-th list of a subsection."""
        section = re.search(rf"(?m)^\.Ss {title}\n((?:(?!\.S[sh]).*\n)*)",
                            read("tools/package/man/forkserver.toml.5"))
        lists = section.group(1).split(".Bl ")[1:]
        return {
            key for item in re.findall(r"(?m)^\.It Ic (.*)$", lists[part])
            for key in item.split(" , ")
        }

    def unknown(self, text, pattern):
        with open(self.folder + "/forkserver.toml", "w",
                  encoding="utf-8") as file:
            file.write(text)
        problems = json.loads(
            self.cli("check", "--json", cwd=self.folder).stdout)
        return {found.group(1) for each in problems
                if (found := re.search(pattern,
                                       each["key"] + " " + each["message"]))}

    def check(self, head, keys, pattern):
        text = head + "".join(f"{key} = {{ zzz = {{}} }}\n"
                              for key in sorted(keys | {"zzz"}))
        self.assertEqual(self.unknown(text, pattern), {"zzz"})

    def test_no_key_that_the_reader_does_not_know(self):
        both = self.keys("Of services and zygotes")
        no_such = r"([\w-]+) there is no such key"
        self.check("", self.keys("Of the file"), r"^([\w-]+) there is no such")
        self.check("[services.x]\n", both | self.keys("Of services"), no_such)
        self.check("[zygotes.x]\n", both | self.keys("Of zygotes"), no_such)
        self.check("[test]\n", self.keys("Of tests"),
                   r"unknown key 'test\.([\w-]+)'")
        self.check("[[test.override]]\n", self.keys("Of tests", 1),
                   r"unknown key 'test\.override\.([\w-]+)'")

    def test_every_key_of_the_pages(self):
        page = read("docs/project_file.md")
        for title in ("Of services and zygotes", "Of services", "Of zygotes"):
            part = re.search(rf"(?ms)^### {title}\n(.*?)^##", page).group(1)
            self.assertEqual(
                self.keys(title),
                set(re.findall(r"(?m)^\| `([a-z-]+)` \|", part)))
        line = re.search(r"(?m)^Of the file: (.*?)\.", page).group(1)
        self.assertEqual(self.keys("Of the file"),
                         set(re.findall(r"`(\w+)`", line)))
        text = " ".join(read("docs/command_line.md").split())
        found = re.search(r"A section, and a profile, can have `([^`]*)`; "
                          r"an override `([^`]*)`", text)
        self.assertEqual(self.keys("Of tests"), set(found.group(1).split()))
        self.assertEqual(self.keys("Of tests", 1),
                         set(found.group(2).split()))


if __name__ == "__main__":
    unittest.main()
