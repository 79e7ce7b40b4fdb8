"""How a Python zygote names itself in the daemon's log."""

import sys

SDK_NAME = "python %d.%d.%d" % sys.version_info[:3]
