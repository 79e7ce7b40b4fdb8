#include "server/supervisor/zygote_identity.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <iterator>
#include <set>
#include <string_view>
#include <utility>

#include "sdk/protocol/codec.h"

namespace forkserver::server {
namespace {

bool Matches(std::string_view name, std::string_view pattern) {
  if (!pattern.empty() && pattern.back() == '*') {
    pattern.remove_suffix(1);
    return name.substr(0, pattern.size()) == pattern;
  }
  return name == pattern;
}

std::string_view NameOf(std::string_view variable) {
  return variable.substr(0, variable.find('='));
}

}  // namespace

std::vector<std::string> FrozenPatterns(const std::vector<std::string>& more) {
  std::vector<std::string> patterns = {"LD_*",  "DYLD_*",  "MALLOC_*",
                                       "OMP_*", "PYTHON*", "LC_*"};
  patterns.insert(patterns.end(), more.begin(), more.end());
  return patterns;
}

std::vector<std::string> FrozenVariables(
    const std::vector<std::string>& env,
    const std::vector<std::string>& patterns) {
  std::vector<std::string> frozen;
  for (const std::string& variable : env) {
    const std::string_view name = NameOf(variable);
    if (std::any_of(patterns.begin(), patterns.end(),
                    [&](const std::string& pattern) {
                      return Matches(name, pattern);
                    })) {
      frozen.push_back(variable);
    }
  }
  std::sort(frozen.begin(), frozen.end());
  return frozen;
}

std::string DescribeDifferences(const std::vector<std::string>& left,
                                const std::vector<std::string>& right) {
  std::vector<std::string> different;
  std::set_symmetric_difference(left.begin(), left.end(), right.begin(),
                                right.end(), std::back_inserter(different));
  std::set<std::string_view> names;
  for (const std::string& variable : different) names.insert(NameOf(variable));
  std::string text;
  for (const std::string_view name : names) {
    text += text.empty() ? "" : ", ";
    text += name;
  }
  return text;
}

ZygoteIdentity ZygoteIdentity::Of(const protocol::ZygoteStart& request,
                                  const protocol::Setup& setup) {
  ZygoteIdentity identity = {
      setup.argv,
      setup.cwd,
      request.binary,
      request.parent,
      request.preload,
      FrozenVariables(setup.env, FrozenPatterns(request.freeze)),
      request.project,
      {},
      {}};
  if (request.project.empty()) return identity;
  identity.environment = setup.env;
  std::sort(identity.environment.begin(), identity.environment.end());
  protocol::Setup bare = setup;
  bare.argv.clear();
  bare.cwd.clear();
  bare.env.clear();
  protocol::ZygoteStart rest;
  rest.setup.data = protocol::EncodeBody(bare);
  rest.freeze = request.freeze;
  rest.audit_policy = request.audit_policy;
  rest.entry_deadline_ms = request.entry_deadline_ms;
  rest.grace_ms = request.grace_ms;
  rest.spares_min = request.spares_min;
  rest.spares_max = request.spares_max;
  identity.rest = protocol::EncodeBody(rest);
  return identity;
}

std::string ZygoteIdentity::DifferencesTo(const ZygoteIdentity& other) const {
  std::string text;
  const auto add = [&text](bool differs, const std::string& what) {
    if (!differs) return;
    text += text.empty() ? "" : ", ";
    text += what;
  };
  add(argv != other.argv, "argv");
  add(cwd != other.cwd, "working directory");
  add(binary != other.binary, "program file");
  add(parent != other.parent, "parent");
  add(preload != other.preload, "preload list");
  // Who asks for no project's takes that of a project as it is.
  const bool whole = !project.empty() && project == other.project;
  const std::string variables =
      whole ? DescribeDifferences(environment, other.environment)
            : DescribeDifferences(frozen, other.frozen);
  add(!variables.empty(), "environment (" + variables + ")");
  add(whole && rest != other.rest,
      "set-up (umask, limits, niceness, audit, spares, entry deadline)");
  return text;
}

std::string ZygoteIdentity::Digest() const {
  // FNV-1a, 64 bits: for people to compare, not against an adversary.
  std::uint64_t hash = 14695981039346656037ULL;
  const auto mix = [&hash](std::string_view text) {
    for (const char byte : text) {
      hash = (hash ^ static_cast<unsigned char>(byte)) * 1099511628211ULL;
    }
    hash = (hash ^ 0xff) * 1099511628211ULL;  // between two strings
  };
  const auto mix_all = [&](const std::vector<std::string>& texts) {
    for (const std::string& text : texts) mix(text);
    mix("");
  };
  mix_all(argv);
  mix(cwd);
  mix(binary);
  mix(parent);
  mix_all(preload);
  mix_all(frozen);
  if (!project.empty()) {
    mix(project);
    mix_all(environment);
    mix(rest);
  }
  char digits[17];
  std::snprintf(digits, sizeof(digits), "%016llx",
                static_cast<unsigned long long>(hash));
  return digits;
}

}  // namespace forkserver::server
