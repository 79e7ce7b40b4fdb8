"""TestCase: data of the class, fixtures, sub-tests."""

from django.test import TestCase
from django.test import runner as django_runner

from shop.models import Order, Product


class OrderTest(TestCase):

    @classmethod
    def setUpTestData(cls):
        cls.product = Product.objects.create(name="soap", price=4)

    def test_total(self):
        order = Order.objects.create(product=self.product, count=3)
        self.assertEqual(order.total(), 12)

    def test_rows_of_other_tests_are_gone(self):
        self.assertEqual(Order.objects.count(), 0)

    def test_data_of_migrations_is_there(self):
        self.assertTrue(Product.objects.filter(name="standard").exists())

    def test_sub_tests(self):
        for count in range(3):
            with self.subTest(count=count):
                order = Order(product=self.product, count=count)
                self.assertEqual(order.total(), 4 * count)


class FixtureTest(TestCase):
    fixtures = ["products"]

    def test_fixture_is_loaded(self):
        self.assertEqual(Product.objects.get(pk=100).name, "tea")

    def test_total_of_fixture(self):
        self.assertEqual(Order.objects.get(pk=100).total(), 15)


class WorkerTest(TestCase):

    def test_number_of_the_worker(self):
        # 0 in a run without workers.
        self.assertIn(django_runner._worker_id, range(0, 9))


class ManyProductsTest(TestCase):

    def test_one(self):
        Product.objects.create(name="one", price=1)
        self.assertEqual(Product.objects.count(), 2)

    def test_two(self):
        Product.objects.create(name="two", price=1)
        self.assertEqual(Product.objects.count(), 2)

    def test_three(self):
        Product.objects.create(name="three", price=1)
        self.assertEqual(Product.objects.count(), 2)
