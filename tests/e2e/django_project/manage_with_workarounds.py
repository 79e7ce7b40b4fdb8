#!/usr/bin/python3
"""A manage.py as the web advises it against crashes of forked workers."""

import multiprocessing
import os
import sys

# "Disable the fork safety checks of macOS."
os.environ["OBJC_DISABLE_INITIALIZE_FORK_SAFETY"] = "YES"
os.environ["no_proxy"] = os.environ.get("no_proxy", "")
# "Since Python 3.8 the default is spawn on macOS."
multiprocessing.set_start_method("fork")


def main():
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    from django.core.management import execute_from_command_line
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
