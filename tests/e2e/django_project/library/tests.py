"""A second database."""

from django.db import connections
from django.test import TestCase, TransactionTestCase

from library.models import Book


class BookTest(TestCase):
    databases = ["default", "archive"]

    def test_book(self):
        Book.objects.create(title="Emma")
        self.assertEqual(Book.objects.count(), 1)

    def test_no_book(self):
        self.assertEqual(Book.objects.count(), 0)


class ArchiveTest(TransactionTestCase):
    databases = ["archive"]

    def test_rows_are_in_the_archive(self):
        Book.objects.create(title="Persuasion")
        with connections["archive"].cursor() as cursor:
            cursor.execute("SELECT title FROM library_book")
            self.assertEqual(cursor.fetchall(), [("Persuasion",)])
