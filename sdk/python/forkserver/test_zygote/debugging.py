"""A test that somebody looks at, with a terminal."""

import sys
import traceback
from typing import Any


def post_mortem(err: Any) -> None:
    """Where the test failed, in pdb. Nothing without a terminal."""
    if not (sys.stdin and sys.stdin.isatty() and err[2] is not None):
        return
    import pdb  # pylint: disable=import-outside-toplevel
    traceback.print_exception(*err)
    pdb.post_mortem(err[2])
