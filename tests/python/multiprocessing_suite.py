"""CPython's own tests of multiprocessing, with the start method forkserverd.

Run by multiprocessing_suite_test.py, as the main module of a process of its
own: processes of these tests import it again. Writes the figures as JSON to
the file that is its last argument.
"""

import json
import sys
import unittest

import forkserver.multiprocessing
from test import _test_multiprocessing
from test.support import script_helper

METHOD = forkserver.multiprocessing.METHOD

# Interpreters that the tests start register the method by a sitecustomize,
# which -E and -I would keep from them.
script_helper.__dict__["__cached_interp_requires_environment"] = True

_test_multiprocessing.install_tests_in_module_dict(globals(), METHOD)


class Result(unittest.TextTestResult):
    """Names what is skipped."""

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.stream.writeln(f"skipped {test.id()}: {reason}")


def main():
    report = sys.argv.pop()
    program = unittest.main(
        argv=sys.argv, exit=False, verbosity=1,
        testRunner=unittest.TextTestRunner(resultclass=Result, verbosity=1))
    result = program.result
    with open(report, "w", encoding="utf-8") as file:
        json.dump({
            "run": result.testsRun,
            "bad": [test.id() for test, _ in
                    result.errors + result.failures] +
                   [test.id() for test in result.unexpectedSuccesses],
            "skipped": {test.id(): reason for test, reason in result.skipped},
        }, file)


if __name__ == "__main__":
    main()
