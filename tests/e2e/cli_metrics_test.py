"""`forkserver metrics`, read by Prometheus' own parser."""

import unittest

from prometheus_client.openmetrics.parser import text_string_to_metric_families

from daemon_fixture import ZYGOTE_PROGRAM, DaemonTestCase


class MetricsTest(DaemonTestCase):

    def metrics(self):
        """{"name{label}": value} of every sample."""
        result = self.cli("metrics")
        self.assertEqual(result.returncode, 0, result.stderr)
        return {
            (sample.name, *sorted(sample.labels.values())): sample.value
            for family in text_string_to_metric_families(result.stdout)
            for sample in family.samples
        }

    def test_the_numbers_are_those_of_the_daemon(self):
        self.cli("zygote", "start", "z", "--", ZYGOTE_PROGRAM)
        self.cli("start", "web", "--", "sleep", "1000")
        self.cli("start", "job", "--restart", "no", "--", "true")
        self.cli("run", "--", "true")
        metrics = self.metrics()
        self.assertEqual(metrics[("forkserver_service_ready", "web")], 1)
        self.assertEqual(metrics[("forkserver_service_ready", "job")], 0)
        self.assertEqual(
            metrics[("forkserver_service_state_info", "running", "web")], 1)
        self.assertEqual(metrics[("forkserver_service_runs_total", "job")], 1)
        self.assertEqual(
            metrics[("forkserver_service_restarts_total", "job")], 0)
        self.assertGreater(
            metrics[("forkserver_service_memory_bytes", "web")], 10_000)
        self.assertNotIn(("forkserver_service_memory_bytes", "job"), metrics)
        self.assertEqual(metrics[("forkserver_zygotes",)], 1)
        self.assertEqual(metrics[("forkserver_zygote_workers", "z")], 0)
        self.assertEqual(metrics[("forkserver_workers",)], 1)
        self.assertEqual(metrics[("forkserver_workers_launched_total",)], 3)
        self.assertEqual(metrics[("forkserver_upgrades_total",)], 0)
        self.assertGreater(metrics[("forkserver_uptime_seconds",)], 0)

    def test_any_name_of_a_zygote_is_a_label(self):
        name = 'a"b\\c\nd'
        started = self.cli("zygote", "start", name, "--", ZYGOTE_PROGRAM)
        self.assertEqual(started.returncode, 0, started.stderr)
        self.assertEqual(
            self.metrics()[("forkserver_zygote_workers", name)], 0)

    def test_nothing_but_metrics_without_a_daemon(self):
        result = self.cli("metrics", "--socket", self.folder + "/none")
        self.assertEqual((result.returncode, result.stdout), (125, ""))


if __name__ == "__main__":
    unittest.main()
