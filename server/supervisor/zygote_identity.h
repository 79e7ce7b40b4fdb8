// What a zygote is made of, and so what makes it the same one.
#pragma once

#include <string>
#include <vector>

#include "sdk/protocol/messages.h"

namespace forkserver::server {

// The patterns of variables that a zygote reads once and for ever, plus those
// of the request. "*" only at the end.
std::vector<std::string> FrozenPatterns(const std::vector<std::string>& more);

// The variables of `env` that match, sorted.
std::vector<std::string> FrozenVariables(
    const std::vector<std::string>& env,
    const std::vector<std::string>& patterns);

// The names of the variables that differ between two sorted lists, as
// "LD_PRELOAD, OMP_NUM_THREADS"; empty if none does.
std::string DescribeDifferences(const std::vector<std::string>& left,
                                const std::vector<std::string>& right);

struct ZygoteIdentity {
  std::vector<std::string> argv;
  std::string cwd;
  std::string binary;
  std::string parent;
  std::vector<std::string> preload;
  std::vector<std::string> frozen;  // variables, sorted
  // Of a project's zygote, which is to be no other than its file says: whose
  // it is, all variables, and everything else of the request.
  std::string project;
  std::vector<std::string> environment;  // sorted
  std::string rest;

  static ZygoteIdentity Of(const protocol::ZygoteStart& request,
                           const protocol::Setup& setup);
  // What differs, for a person: "argv, environment (LD_PRELOAD)"; empty if it
  // is the same.
  std::string DifferencesTo(const ZygoteIdentity& other) const;
  // 16 hexadecimal digits, for people to compare.
  std::string Digest() const;
};

}  // namespace forkserver::server
