"""What every process of a pool uses: a preload step."""

import billiard.connection
import billiard.pool
import billiard.util
import celery.app.trace
import celery.concurrency.prefork
import celery.worker.state

import forkserver.celery.context
import forkserver.celery.worker
