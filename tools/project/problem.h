// What is wrong in a forkserver.toml: all of it, in the order of its lines.
#pragma once

#include <string>
#include <vector>

#include "tools/toml/toml_file.h"

namespace forkserver::project {

struct Problem {
  std::string file;
  int line = 0;         // 0: of no line
  std::string key;      // "services.web.restart", or empty
  std::string message;  // "'sometimes' is none of no, on-failure, always"

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("file", self.file);
    visit.Required("line", self.line);
    visit.Required("key", self.key);
    visit.Required("message", self.message);
  }
};

// "forkserver.toml:12: services.web.restart: 'sometimes' is none of ..."
std::string ToText(const Problem& problem);

class Problems {
 public:
  // `file` as it is to be shown.
  explicit Problems(std::string file) : file_(std::move(file)) {}

  void Add(int line, std::string key, std::string message);
  // Of a key that means nothing there. `known` are those that do.
  void AddUnknownKey(const TomlEntry& entry, const std::string& key,
                     const std::vector<std::string>& known);

  bool empty() const { return problems_.empty(); }
  std::vector<Problem> Take();

 private:
  std::string file_;
  std::vector<Problem> problems_;
};

// "; did you mean 'db'?", or empty.
std::string DidYouMean(const std::string& word,
                       const std::vector<std::string>& known);

}  // namespace forkserver::project
