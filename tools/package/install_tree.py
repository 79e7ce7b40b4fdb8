#!/usr/bin/python3
"""Puts what Bazel built, and the Python package, into a prefix, and takes it
away again.

  install_tree.py install --prefix DIR --built BAZEL_BIN
  install_tree.py uninstall --prefix DIR

tools/install and tools/uninstall call it. PREFIX/share/forkserver/
install_manifest.txt lists the files, and the folders that had to be made.
Uninstalling removes exactly those files, and those of the folders that are
empty then, and what Python compiled of them. Nothing outside the prefix is
touched: a folder in it that is a link to elsewhere is refused.
"""

import argparse
import glob
import os
import re
import site
import sys
import tempfile

MANIFEST = "share/forkserver/install_manifest.txt"
PYTHON = "lib/python3/dist-packages"
# In a user's site-packages: a line that Python adds to sys.path.
PATH_FILE = "forkserver.pth"
HEADERS = [
    "client", "doctest_main", "error", "gtest_main", "result",
    "service_types", "test_host", "testing", "types", "version", "zygote"
]
MANUALS = ["forkserver.1", "forkserverd.1", "forkserver.toml.5"]
ARCHIVES = ["client", "doctest_main", "gtest_main", "test_host", "zygote"]

# Where it is below the built tree: where it is below the prefix.
BUILT = {
    "server/forkserverd": "bin/forkserverd",
    "tools/forkserver/forkserver": "bin/forkserver",
    "sdk/process/libforkserver_crash.so": "lib/libforkserver_crash.so",
    "sdk/guard/libforkguard.so": "lib/forkserver/libforkguard.so",
    **{
        f"tools/package/libforkserver_{name}.a":
            f"lib/libforkserver_{name}.a" for name in ARCHIVES
    },
    **{
        f"tools/package/man/{name}": f"share/man/man{name[-1]}/{name}"
        for name in MANUALS
    },
    **{
        f"tools/package/include/forkserver/{name}.h":
            f"include/forkserver/{name}.h" for name in HEADERS
    },
}

# From this program's folder; @VERSION@ is replaced.
TEMPLATES = {
    "forkserver.pc": "lib/pkgconfig/forkserver.pc",
    "forkserverConfig.cmake": "lib/cmake/forkserver/forkserverConfig.cmake",
    "forkserverConfigVersion.cmake":
        "lib/cmake/forkserver/forkserverConfigVersion.cmake",
    "../../sdk/cmake/ForkserverTests.cmake":
        "lib/cmake/forkserver/ForkserverTests.cmake",
    "../../sdk/cmake/ForkserverAddTests.cmake":
        "lib/cmake/forkserver/ForkserverAddTests.cmake",
}


METADATA = """Metadata-Version: 2.1
Name: forkserver
Version: {version}
Requires-Python: >=3.8
Requires-Dist: msgpack
"""


# By which pytest finds the plugin, wherever the package is on its path. Of the
# module's name: `-p` with that name is the same then.
ENTRY_POINTS = """[pytest11]
forkserver.pytest_plugin = forkserver.pytest_plugin
"""

# In the Python package's source, and below the prefix.
LAUNCHER = "bin/forkserver-python"


class InstallError(Exception):
    """A sentence for the person who installs."""


def python_package(version):
    """{path below the prefix: (bytes, mode)} of the Python package."""
    root = os.path.dirname(
        os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    source = os.path.join(root, "sdk/python")
    files = {}
    for folder, folders, names in os.walk(os.path.join(source, "forkserver")):
        folders[:] = [name for name in folders if name != "__pycache__"]
        for name in names:
            if not name.endswith((".py", ".json", ".typed")):
                continue
            path = os.path.join(folder, name)
            with open(path, "rb") as file:
                files[f"{PYTHON}/{os.path.relpath(path, source)}"] = (
                    file.read(), 0o644)
    if not files:
        raise InstallError(f"the Python package is not in {source}")
    with open(os.path.join(source, LAUNCHER), "rb") as file:
        files[LAUNCHER] = (file.read(), 0o755)
    metadata = METADATA.format(version=version).encode()
    files[f"{PYTHON}/forkserver-{version}.dist-info/METADATA"] = (metadata,
                                                                  0o644)
    files[f"{PYTHON}/forkserver-{version}.dist-info/entry_points.txt"] = (
        ENTRY_POINTS.encode(), 0o644)
    return files


def path_file(prefix, user_site):
    """The same of the file that tells Python where the package is: nothing
    unless its user's site-packages are below the prefix."""
    folder = os.path.relpath(user_site or "/", prefix)
    if folder.startswith(".."):
        return {}
    return {
        f"{folder}/{PATH_FILE}": (f"{prefix}/{PYTHON}\n".encode(), 0o644)
    }


def contents(built):
    """{path below the prefix: (bytes, mode)} of all that is installed."""
    files = {}
    for source, target in BUILT.items():
        try:
            with open(os.path.join(built, source), "rb") as file:
                mode = 0o755 if target.startswith("bin/") else 0o644
                files[target] = (file.read(), mode)
        except FileNotFoundError as error:
            raise InstallError(f"not built: {error.filename}") from error
    version = re.search(rb'kVersion\[\] = "([^"]+)"',
                        files["include/forkserver/version.h"][0]).group(1)
    for source, target in TEMPLATES.items():
        beside = os.path.dirname(os.path.abspath(__file__))
        with open(os.path.join(beside, source), "rb") as file:
            files[target] = (file.read().replace(b"@VERSION@", version), 0o644)
    return {**files, **python_package(version.decode())}


def folders_of(paths):
    """The folders of these paths, outer ones first; "." is the prefix."""
    found = {"."}
    for path in paths:
        while path := os.path.dirname(path):
            found.add(path)
    return sorted(found)


def check_inside(prefix, path):
    """Raises unless `path` is below the prefix, links on its way included."""
    parts = path.split("/")
    if os.path.isabs(path) or ".." in parts or "" in parts:
        raise InstallError(f"not a path below the prefix: {path}")
    root = os.path.realpath(prefix)
    folder = os.path.realpath(os.path.join(prefix, os.path.dirname(path)))
    if os.path.commonpath([root, folder]) != root:
        raise InstallError(f"{os.path.join(prefix, path)} is outside of"
                           f" {prefix}: its folder is {folder}")


def read_manifest(prefix):
    """(files, folders), both empty if nothing is installed here."""
    check_inside(prefix, MANIFEST)
    files, folders = [], []
    try:
        with open(os.path.join(prefix, MANIFEST), encoding="utf-8") as lines:
            for line in lines:
                kind, _, path = line.rstrip("\n").partition(" ")
                if kind == "file":
                    files.append(path)
                elif kind == "folder":
                    folders.append(path)
    except FileNotFoundError:
        pass
    return files, folders


def write_file(path, data, mode):
    """Replaces a file in one step: it may be a program that runs."""
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path),
                                         prefix=".forkserver-install.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            os.fchmod(file.fileno(), mode)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def write_manifest(prefix, files, folders):
    lines = ["# What tools/install made here; tools/uninstall removes it."]
    lines += [f"file {path}" for path in sorted(files)]
    lines += [f"folder {path}" for path in sorted(folders)]
    write_file(os.path.join(prefix, MANIFEST),
               ("\n".join(lines) + "\n").encode(), 0o644)


def remove_compiled(prefix, path):
    """What Python made of a module."""
    folder, name = os.path.split(os.path.join(prefix, path))
    cache = os.path.join(folder, "__pycache__")
    check_inside(prefix, f"{os.path.dirname(path)}/__pycache__/x")
    for compiled in glob.glob(f"{glob.escape(cache)}/{name[:-3]}.*.pyc"):
        os.unlink(compiled)
    try:
        os.rmdir(cache)
    except OSError:
        pass  # Gone, or somebody else's files are in it.


def remove_file(prefix, path):
    check_inside(prefix, path)
    if path.endswith(".py"):
        remove_compiled(prefix, path)
    try:
        os.unlink(os.path.join(prefix, path))
    except FileNotFoundError:
        pass
    except IsADirectoryError as error:
        raise InstallError(f"{error.filename} is a folder now; it stays") \
            from error


def install(prefix, built, user_site=None):
    """Returns a line that says what was done, as uninstall does."""
    files = {**contents(built), **path_file(prefix, user_site)}
    old_files, old_folders = read_manifest(prefix)
    for path in files:
        check_inside(prefix, path)
    foreign = [
        path for path in files
        if path not in old_files and os.path.lexists(f"{prefix}/{path}")
    ]
    if foreign:
        raise InstallError(
            f"these files of {prefix} were not installed by tools/install; "
            f"move them away or choose another --prefix: {' '.join(foreign)}")

    made = set(old_folders)
    for folder in folders_of([*files, MANIFEST]):
        path = os.path.join(prefix, folder)
        if not os.path.isdir(path):
            os.makedirs(path)
            made.add(folder)
    # First the list, then the files: an install that is cut off can be undone.
    write_manifest(prefix, {*old_files, *files}, made)
    for path, (data, mode) in files.items():
        write_file(os.path.join(prefix, path), data, mode)
    for path in set(old_files) - set(files):
        remove_file(prefix, path)
    write_manifest(prefix, files, made)
    return f"Installed {len(files)} files below {prefix}"


def uninstall(prefix):
    files, folders = read_manifest(prefix)
    if not files:
        return f"Nothing is installed below {prefix}"
    for path in [*files, *(f"{folder}/x" for folder in folders)]:
        check_inside(prefix, path)
    for path in [*files, MANIFEST]:
        remove_file(prefix, path)
    # Inner folders first.
    for folder in sorted(folders, reverse=True):
        path = os.path.normpath(os.path.join(prefix, folder))
        try:
            os.rmdir(path)
        except OSError:
            pass  # Gone, or somebody else's files are in it.
    return f"Removed {len(files)} files below {prefix}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["install", "uninstall"])
    parser.add_argument("--prefix", required=True)
    parser.add_argument("--built")
    options = parser.parse_args()
    prefix = os.path.abspath(os.path.expanduser(options.prefix))
    try:
        if options.command == "install":
            if not options.built:
                parser.error("install needs --built")
            user_site = site.getusersitepackages()
            print(install(prefix, options.built, user_site))
            if f"{prefix}/bin" not in os.environ.get("PATH", "").split(":"):
                print(f'By name:  export PATH="{prefix}/bin:$PATH"')
            package = f"{prefix}/{PYTHON}"
            if package not in sys.path and not path_file(prefix, user_site):
                print(f'From Python:  export PYTHONPATH="{package}'
                      '${PYTHONPATH:+:$PYTHONPATH}"')
        else:
            print(uninstall(prefix))
    except (InstallError, OSError) as error:
        print(f"{options.command}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
