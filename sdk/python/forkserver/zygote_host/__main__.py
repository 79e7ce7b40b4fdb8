"""python3 -m forkserver.zygote_host"""

import sys

from forkserver.zygote_host.host import main
from forkserver.zygote_host.settings import Settings

if __name__ == "__main__":
    sys.exit(main(Settings()))
