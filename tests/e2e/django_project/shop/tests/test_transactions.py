"""TransactionTestCase: real commits, flushed afterwards; contents of the
migrations come back by serialized_rollback."""

from django.db import IntegrityError, connection, transaction
from django.test import TransactionTestCase

from shop.models import Product


class CommitTest(TransactionTestCase):

    def test_committed_rows_are_seen(self):
        with transaction.atomic():
            Product.objects.create(name="committed", price=1)
        self.assertTrue(Product.objects.filter(name="committed").exists())

    def test_they_are_gone_after_the_test(self):
        self.assertFalse(Product.objects.filter(name="committed").exists())

    def test_violated_constraint(self):
        Product.objects.create(name="twice", price=1)
        with self.assertRaises(IntegrityError), transaction.atomic():
            Product.objects.create(name="twice", price=1)

    def test_on_commit(self):
        done = []
        with transaction.atomic():
            transaction.on_commit(lambda: done.append(connection.alias))
            self.assertEqual(done, [])
        self.assertEqual(done, ["default"])


class SerializedTest(TransactionTestCase):
    serialized_rollback = True

    def test_data_of_migrations(self):
        self.assertTrue(Product.objects.filter(name="standard").exists())

    def test_data_of_migrations_again(self):
        self.assertTrue(Product.objects.filter(name="standard").exists())
