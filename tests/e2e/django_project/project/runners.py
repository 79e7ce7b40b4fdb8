"""Test runners as projects have them."""

from django.conf import settings
from django.test import runner as django_runner

from forkserver.django import (ForkserverDiscoverRunner,
                               ForkserverParallelTestSuite)


def initialize(*args):
    """An initializer around Django's, with a service for each worker."""
    django_runner._init_worker(*args)
    settings.SEARCH_INDEX = f"index_{django_runner._worker_id}"


class Suite(ForkserverParallelTestSuite):
    init_worker = initialize


class Runner(ForkserverDiscoverRunner):
    """Changes settings, and has an initializer of its own."""

    parallel_test_suite = Suite

    def setup_test_environment(self, **kwargs):
        super().setup_test_environment(**kwargs)
        settings.CHANGED_BY_RUNNER = "yes"
