"""A document of ClosedXml is complete whenever its writer is killed."""

import os
import subprocess
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree

ROOT = os.environ.get("FORKSERVER_TEST_ROOT", os.getcwd())
PROGRAM = os.path.join(ROOT, "tests/unit/harness/report/closed_xml_states")


def states(output):
    """(contents of the file, records that were begun), one after another."""
    at = 0
    while at < len(output):
        end = output.index(b"\n", at)
        size, records = map(int, output[at:end].split())
        yield output[end + 1:end + 1 + size], records
        at = end + 1 + size


class ClosedXmlTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "a.xml")
            output = subprocess.run([PROGRAM, path],
                                    check=True,
                                    stdout=subprocess.PIPE).stdout
            with open(path, "rb") as file:
                cls.last = file.read()
        cls.states = list(states(output))

    def test_every_state_is_a_document_with_every_record_but_the_last(self):
        # Each record, and many pages of the long ones.
        self.assertGreater(len(self.states), 150)
        for number, (text, begun) in enumerate(self.states):
            with self.subTest(state=number):
                # A strict parser: expat.
                root = ElementTree.fromstring(text)
                self.assertEqual(root.tag, "all")
                there = [int(r.get("n")) for r in root.iter("r")]
                self.assertIn(there,
                              (list(range(begun)), list(range(begun - 1))))

    def test_what_is_read_is_what_was_appended(self):
        root = ElementTree.fromstring(self.last)
        records = list(root.iter("r"))
        self.assertEqual(len(records), 120)
        for record in records:
            # Whole characters only, and no space between them.
            text = record.text or ""
            self.assertNotIn("\ufffd", text)
            self.assertFalse(
                set(text) - set("x\u00e4\u6771\U0001f642-?>"),
                record.get("n"))

    def test_a_document_costs_little_more_than_what_is_in_it(self):
        written = len(b"".join(
            ElementTree.tostring(record, encoding="utf-8")
            for record in ElementTree.fromstring(self.last).iter("r")))
        self.assertLess(len(self.last), 2.5 * written)


if __name__ == "__main__":
    unittest.main()
