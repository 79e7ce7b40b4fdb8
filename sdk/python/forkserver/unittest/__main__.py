"""python3 -m forkserver.unittest"""

import sys

from forkserver.unittest.program import main

if __name__ == "__main__":
    sys.exit(main(sys.argv))
