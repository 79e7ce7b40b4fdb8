"""Holds the pages against the tree and against --help.

Reads the workspace itself, not its runfiles: a new file must not need a new
line in a BUILD file to be missed here. Tagged local and external, so that it
is never cached.
"""

import functools
import os
import re
import subprocess
import unittest

RUNFILES = os.environ.get("FORKSERVER_TEST_ROOT", os.getcwd())
ROOT = os.path.dirname(
    os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
FOLDERS = ("server", "sdk", "tools", "tests")
# Stand-ins for what Bazel would download, and data of one kind.
UNLISTED_FOLDERS = ("rules_cc", "rules_java", "remote_coverage_tools", "kept_states")
PAIRED = (".cc", ".h", ".S")
# What `pip install ./sdk/python` leaves there.
LEFT_BY_PIP = re.compile(r"sdk/python/(build|.*\.egg-info)$")
UNLISTED = re.compile(r"^(BUILD(\.bazel)?|WORKSPACE|\..*|.*\.BUILD|.*\.pyc)$")


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def pages():
    docs = [
        "docs/" + name
        for name in sorted(os.listdir(os.path.join(ROOT, "docs")))
        if name.endswith(".md")
    ]
    return ["README.md"] + docs


def listed_name(file_name):
    stem, extension = os.path.splitext(file_name)
    return stem if extension in PAIRED else file_name


def tests_of_no_target():
    """Files that BUILD does not name: nobody runs them."""
    lost = []
    for folder, _, names in os.walk(os.path.join(ROOT, "tests")):
        for name in names:
            stem, extension = os.path.splitext(name)
            if not stem.endswith("_test") or extension not in (".py", ".cc"):
                continue
            build = os.path.join(folder, "BUILD")
            if not os.path.exists(build) or f'"{stem}' not in read(build):
                lost.append(os.path.relpath(os.path.join(folder, name), ROOT))
    return lost


def files_of_the_tree():
    """{folder: {listed name}}"""
    found = {}
    for top in FOLDERS:
        for folder, folders, names in os.walk(os.path.join(ROOT, top)):
            folders[:] = [
                name for name in folders
                if name not in UNLISTED_FOLDERS and name != "__pycache__" and
                not LEFT_BY_PIP.search(os.path.join(folder, name))
            ]
            names = {
                listed_name(name) for name in names if not UNLISTED.match(name)
            }
            if names:
                found[os.path.relpath(folder, ROOT) + "/"] = names
    return found


def files_of_the_page():
    """The same, from the lists of docs/architecture.md."""
    found = {}
    names = None
    for line in read("docs/architecture.md").splitlines():
        heading = re.match(r"^#+ `([^`]+/)`$", line)
        item = re.match(r"^- `([^`]+)`: \S", line)
        if heading:
            names = found.setdefault(heading.group(1), [])
        elif line.startswith("#"):
            names = None
        elif item and names is not None:
            names.append(item.group(1))
    return found


def without_code(text):
    text = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`\n]*`", "", text)


def anchors(text):
    text = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return {
        re.sub(r"[^\w \-]", "", title.lower()).replace(" ", "-")
        for title in re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    }


def code_of(text):
    """Every line of code: fenced, indented, or in backquotes."""
    fenced = re.compile(r"^```[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    for block in fenced.findall(text):
        yield from block.replace("\\\n", " ").splitlines()
    text = fenced.sub("", text)
    for line in text.splitlines():
        if line.startswith("    "):
            yield line.strip()
    yield from re.findall(r"`([^`\n]+)`", text)


@functools.lru_cache(maxsize=None)
def help_of(program, *words):
    """What `program WORDS --help` prints."""
    return subprocess.run([os.path.join(RUNFILES, program), *words, "--help"],
                          stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL,
                          check=False,
                          text=True).stdout


def flags_in(words):
    for word in words:
        if word == "--":
            return
        flag = re.match(r"^\[?(--[a-z][a-z-]*)", word)
        if flag:
            yield flag.group(1)


class FilesTest(unittest.TestCase):

    def test_every_test_is_run(self):
        self.assertEqual(tests_of_no_target(), [])

    def test_quickstart_installs_every_library_that_bazel_looks_for(self):
        """Bazel builds nothing while one of @system_libs is missing."""
        wanted = set(re.findall(r'debian = "(.+)"',
                                read("tools/build/system_libs.bzl")))
        built_with = set(re.findall(r"^build +(\S+)", read("tools/deps"), re.M))
        self.assertTrue(wanted)
        self.assertEqual(wanted - built_with, set())

    def test_every_file_has_a_line_in_its_folder_and_no_other_has(self):
        tree, page = files_of_the_tree(), files_of_the_page()
        missing = [
            folder + name for folder, names in sorted(tree.items())
            for name in sorted(names) if name not in page.get(folder, ())
        ]
        gone = [
            folder + name for folder, names in sorted(page.items())
            for name in names if name not in tree.get(folder, ())
        ]
        self.assertFalse(
            missing or gone,
            f"docs/architecture.md lacks {missing}, and names {gone}")

    def test_no_file_has_two_lines(self):
        for folder, names in files_of_the_page().items():
            self.assertEqual(len(names), len(set(names)), folder)

    def test_tests_and_paths_that_are_named_exist(self):
        stems = {
            os.path.splitext(name)[0]
            for names in files_of_the_tree().values() for name in names
        }
        for page in pages():
            for code in re.findall(r"`([^`\n]+)`", read(page)):
                with self.subTest(page=page, code=code):
                    if re.fullmatch(r"\w+_test", code) and code != "x_test":
                        self.assertTrue(code in stems, "there is no such test")
                    path = re.fullmatch(
                        r"(?:\./)?((?:server|sdk|tools|tests|docs)"
                        r"(?:/[\w.]+)+/?)", code)
                    if path:
                        self.assertTrue(
                            os.path.exists(os.path.join(ROOT, path.group(1))),
                            "there is no such file")


class LinksTest(unittest.TestCase):

    def test_every_relative_link_leads_somewhere(self):
        for page in pages():
            text = without_code(read(page))
            for link in re.findall(r"\]\(([^)\s]+)\)", text):
                if re.match(r"^[a-z]+:", link):
                    continue
                with self.subTest(page=page, link=link):
                    path, _, anchor = link.partition("#")
                    target = (os.path.normpath(
                        os.path.join(os.path.dirname(page), path))
                              if path else page)
                    self.assertTrue(
                        os.path.exists(os.path.join(ROOT, target)),
                        "there is no such page")
                    if anchor and target.endswith(".md"):
                        self.assertIn(anchor, anchors(read(target)))

    def test_the_readme_links_to_every_page(self):
        links = re.findall(r"\]\(([^)\s]+)\)", without_code(read("README.md")))
        for page in pages()[1:]:
            self.assertIn(page, links)


class CommandsTest(unittest.TestCase):

    def check_forkserver(self, text):
        words = text.split()
        command = []
        while (words and len(command) < 2 and
               re.fullmatch(r"[a-z][a-z-]*", words[0]) and
               (not command or command[0] in ("zygote", "daemon"))):
            command.append(words.pop(0))
        known = help_of("tools/forkserver/forkserver", *command)
        # What it does not know it passes over, and prints what it does.
        usage = " ".join(["Usage: forkserver", *command])
        self.assertTrue(usage in known, "forkserver has no such command")
        for flag in flags_in(words):
            self.assertTrue(re.search(rf"{flag}\b", known), "no such option")

    def test_no_page_names_what_forkserver_does_not_know(self):
        for page in pages():
            for code in code_of(read(page)):
                for text in re.findall(
                        r"(?:^|[\s(/])forkserver[ \t]+([a-z\[-][^|;&)#]*)",
                        code):
                    if re.search(r"(apt|pkg-config|cmake|class|namespace|struct)",
                                 code):
                        continue
                    with self.subTest(page=page, code=code):
                        self.check_forkserver(text)

    def test_no_page_names_a_flag_that_forkserverd_does_not_know(self):
        known = help_of("server/forkserverd")
        for page in pages():
            for code in code_of(read(page)):
                for text in re.findall(r"forkserverd[ \t]+(-[^|;&)#]*)", code):
                    for flag in flags_in(text.split()):
                        with self.subTest(page=page, code=code):
                            self.assertTrue(
                                re.search(rf"{flag}\b", known),
                                "forkserverd has no such option")

    def test_every_tool_that_is_named_is_there(self):
        for page in pages():
            for name in re.findall(r"\./(tools/\w+)", read(page)):
                with self.subTest(page=page):
                    self.assertTrue(
                        os.access(os.path.join(ROOT, name), os.X_OK), name)


if __name__ == "__main__":
    unittest.main()
