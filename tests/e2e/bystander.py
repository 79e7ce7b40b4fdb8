"""Tests of bad input: whatever one client does, another one is served."""

from wire import WireTestCase, make_setup


class BystanderTestCase(WireTestCase):
    """The bystander is there before the bad input and works after it."""

    def setUp(self):
        super().setUp()
        self.bystander = self.client()
        self.worker = self.bystander.spawn(["sleep", "1000"])

    def tearDown(self):
        if self.daemon.process.returncode is None:
            self.check_bystander()
            self.bystander.close()
        super().tearDown()

    def check_bystander(self):
        """Its worker still runs, and it can have another."""
        text, record = self.bystander.run(["sh", "-c", "echo fine; exit 9"])
        self.assertEqual((text, record["code"]), ("fine\n", 9))
        self.assertEqual([worker["state"]
                          for worker in self.bystander.workers()
                          if worker["id"] == self.worker["id"]], ["running"])
        self.assertFalse(self.bystander.frames)

    def spawn_body(self, argv=("true",), **setup):
        setup.setdefault("env", self.bystander.env)
        return {"setup": make_setup(list(argv), **setup)}

    def assert_still_open(self, client):
        """The connection survived the error, and is in step."""
        self.assertEqual(client.wait(client.spawn(["true"]))["code"], 0)
        self.assertFalse(client.frames)
