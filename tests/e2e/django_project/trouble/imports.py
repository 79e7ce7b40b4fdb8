"""Tests about what their module sees when it is imported."""

import sys
import unittest

from django.conf import settings
from django.core import mail
from django.test import SimpleTestCase

ARGUMENTS = sys.argv[1:2]
SETTINGS = {name: getattr(settings, name, None) for name in (
    "TESTING", "RUN_ID", "DEBUG", "EMAIL_BACKEND", "CHANGED_BY_RUNNER")}
OUTBOX = getattr(mail, "outbox", None)


class ImportTest(SimpleTestCase):

    def test_arguments_of_the_command(self):
        self.assertEqual(ARGUMENTS, ["test"])
        self.assertIs(SETTINGS["TESTING"], True)

    def test_test_environment(self):
        self.assertIn("locmem", SETTINGS["EMAIL_BACKEND"])
        self.assertIs(SETTINGS["DEBUG"], False)
        self.assertIsNotNone(OUTBOX)

    def test_settings_are_those_of_the_run(self):
        self.assertEqual(SETTINGS, {name: getattr(settings, name, None)
                                    for name in SETTINGS})


@unittest.skipIf(SETTINGS["CHANGED_BY_RUNNER"] is None, "the runner does not")
class RunnerImportTest(SimpleTestCase):

    def test_settings_of_the_runner(self):
        self.assertEqual(SETTINGS["CHANGED_BY_RUNNER"], "yes")
