"""Users, expected failures, skips, and tests that are no TestCase of Django."""

import unittest

from django.contrib.auth.models import User
from django.test import SimpleTestCase, TestCase

from blog.models import Entry


class EntryTest(TestCase):

    @classmethod
    def setUpTestData(cls):
        cls.author = User.objects.create_user("ada", password="secret")

    def test_author(self):
        entry = Entry.objects.create(author=self.author, title="first")
        self.assertEqual(self.author.entry_set.get(), entry)

    def test_login(self):
        self.assertTrue(self.client.login(username="ada", password="secret"))

    @unittest.skip("not today")
    def test_skipped(self):
        self.fail("skipped")

    @unittest.expectedFailure
    def test_expected_failure(self):
        self.fail("expected")


class TitleTest(SimpleTestCase):

    def test_title(self):
        self.assertEqual("title".title(), "Title")


class PlainTest(unittest.TestCase):

    def test_plain(self):
        self.assertEqual(1 + 1, 2)
