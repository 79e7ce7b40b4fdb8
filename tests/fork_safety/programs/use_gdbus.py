"""A connection to a message bus, which GLib serves in threads."""

import functools
import os

from gi.repository import Gio, GLib


@functools.lru_cache(None)
def bus():
    return Gio.DBusConnection.new_for_address_sync(
        os.environ["CASE_ADDRESS"],
        Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT |
        Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION, None, None)


def work(_number):
    name = "org.freedesktop.DBus"
    reply = bus().call_sync(
        name, "/org/freedesktop/DBus", name, "NameHasOwner",
        GLib.Variant("(s)", (name,)), None, Gio.DBusCallFlags.NONE,
        GLib.MAXINT32, None)  # MAXINT32: without a timeout.
    return reply.unpack()[0]


def right_answer(_number):
    return True
