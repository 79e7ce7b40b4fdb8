"""Celery's prefork pool with workers of forkserverd.

    app.conf.worker_pool = "forkserver.celery:TaskPool"

and then `celery -A proj worker` as ever, without -P. From Celery 5.3 also, with
the configuration left alone:

    CELERY_CUSTOM_WORKER_POOL=forkserver.celery:TaskPool \\
        celery -A proj worker -P custom

Its worker processes are forked from a clean zygote that has loaded the app and
its tasks, whatever the main process has started or looked up. Everything else
is the prefork pool's: time limits, revoke(terminate=True), max-tasks-per-child,
max-memory-per-child, autoscale, pool restarts.

Settings of the app:

forkserver_preload        modules that the workers start with, besides those of
                          the app and its tasks
forkserver_preload_app    False: each worker imports the app for itself, after
                          its fork. For an app that starts threads when it is
                          imported
forkserver_known_threads  as in Client.zygote()

docs/python.md says what else differs from prefork.
"""

from forkserver.celery.forkserver_prefork import TaskPool

__all__ = ["TaskPool"]
