#include "server/services/service.h"

#include <algorithm>
#include <set>
#include <string_view>

#include "sdk/protocol/codec.h"

namespace forkserver::server {
namespace {

// What a shell changes by itself from one command to the next.
bool IsVolatile(std::string_view variable) {
  for (const std::string_view name : {"_", "SHLVL", "PWD", "OLDPWD"}) {
    if (variable.substr(0, variable.find('=')) == name) return true;
  }
  return false;
}

std::set<std::string> Lasting(const std::vector<std::string>& env) {
  std::set<std::string> lasting;
  for (const std::string& variable : env) {
    if (!IsVolatile(variable)) lasting.insert(variable);
  }
  return lasting;
}

std::string DescribeEnvironment(const ServiceDefinition& a,
                                const ServiceDefinition& b) {
  const std::set<std::string> first = Lasting(a.setup.env);
  const std::set<std::string> second = Lasting(b.setup.env);
  std::vector<std::string> changed;
  std::set_symmetric_difference(first.begin(), first.end(), second.begin(),
                                second.end(), std::back_inserter(changed));
  std::set<std::string> names;
  for (const std::string& variable : changed) {
    names.insert(variable.substr(0, variable.find('=')));
  }
  if (names.empty()) return {};
  constexpr std::size_t kMostNames = 5;
  std::string text;
  std::size_t named = 0;
  for (const std::string& name : names) {
    if (named++ == kMostNames) {
      text += ", ...";
      break;
    }
    text += (text.empty() ? "" : ", ") + name;
  }
  return "its environment (" + text + ")";
}

// What of a set-up has no name of its own in DescribeDifference.
std::string RestOf(protocol::Setup setup) {
  setup.argv.clear();
  setup.cwd.clear();
  setup.env.clear();
  return protocol::EncodeBody(setup);
}

}  // namespace

std::string DescribeDifference(const ServiceDefinition& a,
                               const ServiceDefinition& b) {
  std::vector<std::string> parts;
  if (a.zygote != b.zygote) parts.emplace_back("its zygote");
  if (a.setup.argv != b.setup.argv) parts.emplace_back("its command");
  if (a.setup.cwd != b.setup.cwd) parts.emplace_back("its working directory");
  if (std::string env = DescribeEnvironment(a, b); !env.empty()) {
    parts.push_back(std::move(env));
  }
  if (RestOf(a.setup) != RestOf(b.setup)) {
    parts.emplace_back("its set-up (umask, limits, niceness, entry)");
  }
  if (protocol::EncodeBody(a.policy) != protocol::EncodeBody(b.policy)) {
    parts.emplace_back("how it is kept");
  }
  std::string text;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) text += i + 1 == parts.size() ? " and " : ", ";
    text += parts[i];
  }
  return text;
}

std::int64_t Service::NextNs() const {
  std::int64_t next_ns = 0;
  for (const std::int64_t one :
       {backoff_until_ns, ready_until_ns, probe_at_ns, watchdog_until_ns}) {
    if (one != 0 && (next_ns == 0 || one < next_ns)) next_ns = one;
  }
  return next_ns;
}

}  // namespace forkserver::server
