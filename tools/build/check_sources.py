#!/usr/bin/python3
"""Runs a compiler-like command over C++ sources, and remembers successes.

  check_sources.py --name N --cache DIR [--exclude GLOB]... [--salt TEXT]
      FOLDER... -- COMMAND...

COMMAND runs once for each .cc file below the folders, from the root of the
tree; {source} in it is the file and {includes} a folder in which the public
headers can be found as forkserver/<name>.h, as Bazel offers them; {object} is
a file that it may write. A file is left out while it, everything of this tree
that it includes, COMMAND and the salt are what they were when it last passed.
"""

import argparse
import concurrent.futures
import fnmatch
import glob
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import time

INCLUDE = re.compile(rb'^\s*#\s*include\s*["<]([^">]+)[">]', re.MULTILINE)
PUBLIC_FOLDERS = ("sdk/*/", "sdk/cpp/testing/")
FORGET_AFTER_S = 30 * 24 * 3600


class SourceTree:
    """The sources below the working directory and what they include."""

    def __init__(self):
        self._contents = {}

    def read(self, path):
        if path not in self._contents:
            with open(path, "rb") as file:
                self._contents[path] = file.read()
        return self._contents[path]

    def included_files(self, path):
        for name in INCLUDE.findall(self.read(path)):
            name = name.decode(errors="replace")
            found = public_header(name)
            if found is None:
                beside = os.path.join(os.path.dirname(path), name)
                found = next(filter(os.path.isfile, (name, beside)), None)
            if found:
                yield os.path.normpath(found)

    def closure(self, path):
        """`path` and, directly or not, everything of this tree it includes."""
        seen, waiting = set(), [path]
        while waiting:
            path = waiting.pop()
            if path not in seen:
                seen.add(path)
                waiting.extend(self.included_files(path))
        return sorted(seen)

    def digest(self, path, salt):
        digest = hashlib.sha256(salt.encode())
        for member in self.closure(path):
            digest.update(b"\0%s\0" % member.encode())
            digest.update(hashlib.sha256(self.read(member)).digest())
        return digest.hexdigest()


def public_header(name):
    """Where the tree keeps <forkserver/...>; None for any other header."""
    if not name.startswith("forkserver/"):
        return None
    name = name[len("forkserver/"):]
    found = [path for folder in PUBLIC_FOLDERS for path in glob.glob(folder + name)]
    if len(found) > 1:
        sys.exit(f"<forkserver/{name}> is ambiguous: {' '.join(found)}")
    return found[0] if found else None


def link_public_headers(folder):
    for pattern in PUBLIC_FOLDERS:
        depth = pattern.count("/")
        for path in glob.glob(pattern + "**/*.h", recursive=True):
            link = os.path.join(folder, "forkserver", *path.split(os.sep)[depth:])
            os.makedirs(os.path.dirname(link), exist_ok=True)
            if not os.path.lexists(link):
                os.symlink(os.path.abspath(path), link)


def find_sources(folders, excluded):
    for folder in folders:
        for path in glob.glob(folder + "/**/*.cc", recursive=True):
            if not any(fnmatch.fnmatch(path, e) for e in excluded):
                yield path


def forget_old_markers(folder):
    for entry in os.scandir(folder):
        if entry.stat().st_mtime < time.time() - FORGET_AFTER_S:
            os.unlink(entry.path)


def parse_arguments(arguments):
    if "--" not in arguments:
        sys.exit(__doc__)
    end = arguments.index("--")
    parser = argparse.ArgumentParser()
    parser.add_argument("--name", required=True)
    parser.add_argument("--cache", required=True)
    parser.add_argument("--exclude", action="append", default=[])
    parser.add_argument("--salt", default="")
    parser.add_argument("folders", nargs="+")
    options = parser.parse_args(arguments[:end])
    options.command = arguments[end + 1:]
    return options


def main():
    options = parse_arguments(sys.argv[1:])
    markers = os.path.join(options.cache, options.name)
    os.makedirs(markers, exist_ok=True)
    forget_old_markers(markers)
    tree = SourceTree()
    salt = "\n".join([options.salt] + options.command)

    def check(source, marker, includes):
        values = {
            "{source}": source,
            "{includes}": includes,
            "{object}": os.path.join(includes, os.path.basename(marker) + ".o"),
        }
        command = list(options.command)
        for name, value in values.items():
            command = [word.replace(name, value) for word in command]
        started = time.monotonic()
        result = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        passed = result.returncode == 0
        if passed:
            open(marker, "w").close()
        seconds = time.monotonic() - started
        print(f"{options.name}: {source} {'ok' if passed else 'FAILED'}"
              f" ({seconds:.1f} s)", flush=True)
        if not passed:
            print(result.stdout, flush=True)
        return passed

    unchanged = 0
    checks = []
    with tempfile.TemporaryDirectory() as includes, \
            concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        link_public_headers(includes)
        for source in sorted(find_sources(options.folders, options.exclude)):
            marker = os.path.join(markers, tree.digest(source, salt))
            if os.path.exists(marker):
                os.utime(marker)
                unchanged += 1
            else:
                checks.append(pool.submit(check, source, marker, includes))
        failed = sum(not c.result() for c in checks)
    print(f"{options.name}: {len(checks)} checked, {failed} failed,"
          f" {unchanged} unchanged since they passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
