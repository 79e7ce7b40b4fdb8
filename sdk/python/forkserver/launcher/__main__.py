"""python3 -m forkserver.launcher: the same as forkserver-python."""

from forkserver.launcher.program import main

if __name__ == "__main__":
    main()
