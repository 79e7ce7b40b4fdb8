// What is known of a worker's end: its record, and what can be made of it.
// Plain values.
#pragma once

#include <forkserver/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace forkserver::cli {

// A frame with what its module says about it; empty and 0 where it says
// nothing.
struct NamedFrame {
  std::string module;
  std::int64_t offset = 0;
  std::string function;
  std::string file;
  std::int64_t line = 0;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("module", self.module);
    visit.Required("offset", self.offset);
    visit.Required("function", self.function);
    visit.Required("file", self.file);
    visit.Required("line", self.line);
  }
};

// A pattern that others have met before.
struct KnownDeath {
  std::string id;
  std::string sentence;
  std::string page;  // "docs/fork_safety.md#death-libgomp"

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("id", self.id);
    visit.Required("sentence", self.sentence);
    visit.Required("page", self.page);
  }
};

struct Explanation {
  ExitRecord exit;
  std::string summary;  // a sentence
  std::vector<NamedFrame> frames;
  std::vector<KnownDeath> known;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("summary", self.summary);
    visit.Required("known", self.known);
    visit.Required("frames", self.frames);
    visit.Required("exit", self.exit);
  }
};

}  // namespace forkserver::cli
