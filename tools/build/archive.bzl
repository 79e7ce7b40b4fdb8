"""For those who build without Bazel: one position-independent .a of a library
and all of its dependencies, and a folder of public headers."""

def _object_files(dep):
    """The position-independent objects of `dep` and of what it depends on."""
    objects = []
    for linker_input in dep[CcInfo].linking_context.linker_inputs.to_list():
        for library in linker_input.libraries:
            found = library.pic_objects or library.objects
            if not found and (library.pic_static_library or
                              library.static_library):
                fail("{}: its objects are not known".format(linker_input.owner))
            objects += found
    return objects

def _member_name(file):
    """Unique in the archive: sdk_base_error.o."""
    path = file.short_path.replace("_objs/", "")
    return path.replace(".pic.o", ".o").replace("/", "_")

def _static_archive_impl(ctx):
    archive = ctx.actions.declare_file("lib{}.a".format(ctx.attr.name))
    objects = depset(transitive = [
        depset(_object_files(dep))
        for dep in ctx.attr.deps
    ]).to_list()
    arguments = ctx.actions.args()
    arguments.add(archive)
    for file in objects:
        arguments.add(file)
        arguments.add(_member_name(file))
    ctx.actions.run_shell(
        inputs = objects,
        outputs = [archive],
        arguments = [arguments],
        # `ar` names members by their files. D (no times, no owners) is GNU's.
        command = """
            set -e
            archive=$PWD/$1
            shift
            folder=$(mktemp -d)
            trap 'rm -rf "$folder"' EXIT
            while [ $# -gt 0 ]; do
              cp "$1" "$folder/$2"
              shift 2
            done
            cd "$folder"
            if ar --version 2>/dev/null | grep -q GNU; then
              ar rcsD "$archive" *.o
            else
              ar rcs "$archive" *.o
            fi
        """,
        mnemonic = "StaticArchive",
        use_default_shell_env = True,
    )
    return [DefaultInfo(files = depset([archive]))]

fs_static_archive = rule(
    implementation = _static_archive_impl,
    attrs = {
        "deps": attr.label_list(providers = [CcInfo]),
    },
)

def _public_headers_impl(ctx):
    headers = []
    for dep in ctx.attr.deps:
        for header in dep[CcInfo].compilation_context.direct_public_headers:
            # Listed by its path in the tree, too; same file.
            name = "include/forkserver/" + header.basename
            if "/_virtual_includes/" not in header.path:
                continue
            copy = ctx.actions.declare_file(name)
            ctx.actions.symlink(output = copy, target_file = header)
            headers.append(copy)
    return [DefaultInfo(files = depset(headers))]

# The headers that libraries with include_prefix = "forkserver" offer, in
# include/forkserver/ of this package.
fs_public_headers = rule(
    implementation = _public_headers_impl,
    attrs = {
        "deps": attr.label_list(providers = [CcInfo]),
    },
)
