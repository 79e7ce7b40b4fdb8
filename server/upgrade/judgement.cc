#include "server/upgrade/judgement.h"

#include <initializer_list>
#include <utility>
#include <vector>

#include "sdk/protocol/codec.h"

namespace forkserver::server {
namespace {

// Empty if it can be read.
template <typename Body>
std::string WhyUnreadable(const char* what, const protocol::Bytes& bytes) {
  const Result<Body> decoded = protocol::DecodeBody<Body>(bytes.data);
  if (decoded) return {};
  return std::string("it cannot read the state of the ") + what + ": " +
         decoded.error().ToString();
}

}  // namespace

protocol::UpgradeAnswer Judge(const protocol::HandedDaemon& state,
                              const Abilities& abilities) {
  protocol::UpgradeAnswer answer;
  answer.version = abilities.version;
  if (state.format > abilities.format) {
    answer.why_not = "the state of forkserverd " + state.version +
                     " has format " + std::to_string(state.format) +
                     ", it knows formats up to " +
                     std::to_string(abilities.format);
    answer.hint = "it is older; stop and start the daemon to go back to it";
    return answer;
  }
  for (const auto& [who, protocols] :
       {std::pair("a client", &state.client_protocols),
        std::pair("a zygote", &state.zygote_protocols)}) {
    for (const std::int64_t one : *protocols) {
      if (one >= abilities.min_protocol && one <= abilities.max_protocol) {
        continue;
      }
      answer.why_not = std::string(who) + " speaks protocol " +
                       std::to_string(one) + ", it speaks " +
                       std::to_string(abilities.min_protocol) + ".." +
                       std::to_string(abilities.max_protocol);
      answer.hint = "let that one end, or stop and start the daemon";
      return answer;
    }
  }
  for (std::string why :
       {WhyUnreadable<protocol::HandedControl>("clients", state.control),
        WhyUnreadable<protocol::HandedSupervisor>("workers", state.supervisor),
        WhyUnreadable<protocol::HandedLauncher>("processes", state.launcher),
        WhyUnreadable<protocol::HandedServices>("services", state.services)}) {
    if (why.empty()) continue;
    answer.why_not = std::move(why);
    return answer;
  }
  return answer;
}

}  // namespace forkserver::server
