// Whether a program can take a daemon over. Passive.
#pragma once

#include <forkserver/version.h>

#include <cstdint>
#include <string>

#include "sdk/protocol/messages.h"
#include "sdk/protocol/upgrade_messages.h"

namespace forkserver::server {

// What a program knows.
struct Abilities {
  std::string version = kVersion;
  std::int64_t format = protocol::kUpgradeFormat;
  std::int64_t min_protocol = protocol::kMinProtocol;
  std::int64_t max_protocol = protocol::kMaxProtocol;
};

// Reads all of the state, and changes nothing.
protocol::UpgradeAnswer Judge(const protocol::HandedDaemon& state,
                              const Abilities& abilities = {});

}  // namespace forkserver::server
