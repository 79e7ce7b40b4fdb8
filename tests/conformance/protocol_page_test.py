"""Holds docs/protocol.md against the messages of the code.

A message is described in the section whose heading names it in backquotes,
and its keys are the backquoted words in the first column of that section's
first table.
"""

import json
import re
import subprocess
import unittest

HEADING = re.compile(r"^(#+) (.*)$")
QUOTED = re.compile(r"`([^`]+)`")
HEX_LINE = re.compile(r"^    ((?:[0-9a-f]{2} )*[0-9a-f]{2})(?:  .*)?$")


def read_page():
    with open("docs/protocol.md", encoding="utf-8") as file:
        return file.read()


def sections(page):
    """(title, lines) of each section, without those below it."""
    found = []
    for line in page.splitlines():
        heading = HEADING.match(line)
        if heading:
            found.append((heading.group(2), []))
        elif found:
            found[-1][1].append(line)
    return found


def first_table(lines):
    """The rows of the first table whose first column is a key."""
    rows = []
    in_table = False
    for line in lines:
        if line.startswith("| key |"):
            in_table = True
        elif in_table and line.startswith("|"):
            rows.append([cell.strip() for cell in line.split("|")[1:-1]])
        elif in_table:
            break
    return rows[1:]  # the line below the heading


def keys_of(lines):
    return [key for row in first_table(lines) for key in QUOTED.findall(row[0])]


def described_messages():
    output = subprocess.run(["tests/conformance/describe_messages"],
                            stdout=subprocess.PIPE,
                            check=True).stdout
    return json.loads(output)


def read_vectors():
    with open("tests/conformance/vectors.json", encoding="ascii") as file:
        return json.load(file)["canonical"]


class ProtocolPage(unittest.TestCase):

    def setUp(self):
        self.page = read_page()
        self.sections = sections(self.page)
        # message: the lines of the section about it
        self.about = {}
        for title, lines in self.sections:
            for name in QUOTED.findall(title):
                self.assertNotIn(name, self.about, "two sections about it")
                self.about[name] = lines

    def test_has_a_section_for_every_message_and_for_no_other(self):
        self.assertEqual(sorted(self.about), sorted(described_messages()))

    def test_lists_every_key_of_every_message_and_no_other(self):
        messages = described_messages()
        # The two share a table; `zygote` is the second's alone.
        self.assertEqual(set(messages["spawn"]) | {"zygote"},
                         set(messages["fork"]))
        messages["spawn"] = messages["fork"]
        for name, keys in messages.items():
            with self.subTest(message=name):
                self.assertEqual(sorted(keys_of(self.about[name])),
                                 sorted(keys))

    def test_lists_every_key_of_the_maps_inside_of_messages(self):
        plain = dict(self.sections)
        inner = {
            "worker": lambda v: v["message"] == "worker_reply" and
                      v["body"]["worker"],
            "zygote": lambda v: v["message"] == "zygote_reply" and
                      v["body"]["zygote"],
            "service": lambda v: v["message"] == "service_reply" and
                       v["body"]["service"],
            "preload report": lambda v: v["message"] == "zygote_ready" and
                              (v["body"]["preloads"] or [None])[0],
            "thread note": lambda v: v["message"] == "zygote_ready" and
                           (v["body"]["preloads"] or
                            [{"new_threads": [None]}])[0]["new_threads"][0],
            "finding": lambda v: v["message"] == "audit" and
                       (v["body"]["reasons"] or [None])[0],
            "listed test": lambda v: v["message"] == "test_list" and
                           (v["body"]["tests"] or [None])[0],
            "test failure": lambda v: v["message"] == "test_progress" and
                            v["body"].get("failures", [None])[0],
            "loaded file": lambda v: v["message"] == "test_files" and
                           (v["body"]["files"] or [None])[0],
            "loaded folder": lambda v: v["message"] == "test_files" and
                             (v["body"]["folders"] or [None])[0],
            "journey": lambda v: v["message"] == "exit_reply" and
                       v["body"]["exit"]["journey"],
        }
        for title, select in inner.items():
            with self.subTest(section=title):
                keys = set()
                for vector in read_vectors():
                    keys |= set(select(vector) or ())
                self.assertTrue(keys)
                self.assertEqual(sorted(keys_of(plain[title])), sorted(keys))

    def test_says_default_for_optional_keys_and_none_for_required_ones(self):
        # A key is optional if some vector of its message lacks it.
        for name, lines in self.about.items():
            rows = {}
            for row in first_table(lines):
                for key in QUOTED.findall(row[0]):
                    rows[key] = row
            vectors = [v for v in read_vectors() if v["message"] == name]
            for key, row in rows.items():
                if (name, key) == ("spawn", "zygote"):
                    continue
                with self.subTest(message=name, key=key):
                    optional = any(key not in v["body"] for v in vectors)
                    says = (len(row) == 4 and row[2] != "" or
                            row[-1].startswith("optional"))
                    self.assertEqual(says, optional)

    def test_example_is_what_the_vectors_are(self):
        expected = {v["name"]: v["hex"] for v in read_vectors()}
        plain = dict(self.sections)
        for name in ("hello", "hello_reply", "spawn"):
            with self.subTest(example=name):
                pairs = [
                    match.group(1)
                    for match in map(HEX_LINE.match, plain[name])
                    if match
                ]
                data = bytes.fromhex(" ".join(pairs))
                self.assertEqual(data.hex(), expected[name])
                self.assertEqual(int.from_bytes(data[:4], "big"),
                                 len(data) - 4)
                self.assertIn(f"{len(data) - 4} bytes follow",
                              "\n".join(plain[name]))

    def test_links_lead_to_sections(self):
        anchors = {
            re.sub(r"[^a-z0-9 _-]", "", title.lower()).replace(" ", "-")
            for title, _ in self.sections
        }
        for anchor in re.findall(r"\]\(#([^)]*)\)", self.page):
            self.assertIn(anchor, anchors)

    def test_names_every_value_that_the_vectors_have_seen(self):
        for vector in read_vectors():
            text = json.dumps(vector["body"])
            for key in ("kind", "state", "reason", "event", "group", "code"):
                for value in re.findall(rf'"{key}": "([a-z_]+)"', text):
                    self.assertIn(f"`{value}`", self.page)


if __name__ == "__main__":
    unittest.main()
