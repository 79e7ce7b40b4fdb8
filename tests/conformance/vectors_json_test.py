"""Holds the checked-in vectors.json against the script that makes it."""

import json
import unittest

import make_vectors


def read_vectors():
    with open("tests/conformance/vectors.json", encoding="ascii") as file:
        return file.read()


class VectorsFile(unittest.TestCase):
    maxDiff = 2000

    def test_is_what_the_script_makes(self):
        self.assertEqual(
            read_vectors(), make_vectors.make(),
            "run tests/conformance/make_vectors.py >"
            "tests/conformance/vectors.json")

    def test_names_no_vector_twice(self):
        for kind, vectors in json.loads(read_vectors()).items():
            names = [vector["name"] for vector in vectors]
            self.assertEqual(len(names), len(set(names)), kind)

    def test_reports_fit_into_one_atomic_write(self):
        for vector in json.loads(read_vectors())["canonical"]:
            if vector["message"] in ("started", "failed", "exited"):
                self.assertLessEqual(len(vector["hex"]) // 2, 512,
                                     vector["name"])


if __name__ == "__main__":
    unittest.main()
