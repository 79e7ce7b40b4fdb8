"""The requests about services. Part of forkserver.protocol.messages."""

from dataclasses import dataclass
from typing import Optional

from forkserver.protocol.fields import (BINARY, BOOLEAN, INTEGER, TEXT,
                                        Message, message, nested, optional,
                                        required)
from forkserver.records import ServiceInfo
from forkserver.service_policy import ServicePolicy


@message("service_start")
@dataclass
class ServiceStart(Message):
    """Without `setup` the service is started as it is known."""
    name: str = required(TEXT, "")
    setup: bytes = optional(BINARY, b"")
    zygote: str = optional(TEXT, "")
    policy: ServicePolicy = required(nested(ServicePolicy), ServicePolicy)
    replace: bool = optional(BOOLEAN, False)
    no_wait: bool = optional(BOOLEAN, False)
    project: str = optional(TEXT, "")
    compare: bool = optional(BOOLEAN, False)


@message("service_stop")
@dataclass
class ServiceStop(Message):
    name: str = required(TEXT, "")
    grace_ms: Optional[int] = optional(INTEGER, None)
    remove: bool = optional(BOOLEAN, False)


@message("service_restart")
@dataclass
class ServiceRestart(Message):
    name: str = required(TEXT, "")
    no_wait: bool = optional(BOOLEAN, False)


@message("service_reply")
@dataclass
class ServiceReply(Message):
    service: ServiceInfo = required(nested(ServiceInfo), ServiceInfo)
    difference: str = optional(TEXT, "")
