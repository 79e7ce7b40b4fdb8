"""The client, a live server, and real requests over HTTP."""

import os
import unittest

import requests
from django.conf import settings
from django.core import mail
from django.test import LiveServerTestCase, SimpleTestCase, TestCase

from shop.models import Order, Product


class ClientTest(TestCase):
    fixtures = ["products"]

    def test_index(self):
        self.assertContains(self.client.get("/"), "the shop")

    def test_total(self):
        self.assertEqual(self.client.get("/total/").json(), {"total": 15})


class LiveTest(LiveServerTestCase):
    fixtures = ["products"]

    def test_index_over_http(self):
        answer = requests.get(self.live_server_url, timeout=30)
        self.assertEqual(answer.text, "the shop")

    def test_rows_of_the_test_are_seen_by_the_server(self):
        Order.objects.create(product=Product.objects.get(pk=101), count=10)
        answer = requests.get(self.live_server_url + "/total/", timeout=30)
        self.assertEqual(answer.json(), {"total": 35})


class EnvironmentTest(SimpleTestCase):

    def test_outbox(self):
        mail.send_mail("subject", "text", "a@example.com", ["b@example.com"])
        self.assertEqual(len(mail.outbox), 1)

    def test_hosts(self):
        self.assertIn("testserver", settings.ALLOWED_HOSTS)

    def test_templates_are_instrumented(self):
        from django.template import Template
        self.assertEqual(Template._render.__name__,
                         "instrumented_test_render")


@unittest.skipUnless(os.environ.get("TEST_SERVICE"), "there is no service")
class ServiceTest(SimpleTestCase):

    def test_settings_are_from_the_service(self):
        self.assertEqual(settings.CONFIGURATION, {"answer": 42})

    def test_service_answers(self):
        answer = requests.get(settings.SERVICE + "/configuration",
                              timeout=30)
        self.assertEqual(answer.json(), {"answer": 42})
