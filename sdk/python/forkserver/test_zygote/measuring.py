"""coverage.py under the harness: as in any subprocess that is to be measured,
where the environment has COVERAGE_PROCESS_START."""

from forkserver import coverage_relay
from forkserver.originals import os


def start() -> None:
    """In the zygote. Where a .pth file has started it already, that counts."""
    if not os.environ.get("COVERAGE_PROCESS_START"):
        return
    try:
        import coverage  # pylint: disable=import-outside-toplevel
    except ImportError:
        return
    coverage.process_startup()


def finish() -> None:
    """In a worker: it writes a data file of its own."""
    coverage_relay.finish()
