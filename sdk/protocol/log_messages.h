// What the daemon and its log writer tell each other. Not a part of the
// protocol that clients speak. Still, it crosses versions: a log writer lives
// on when its daemon is upgraded.
//
//   daemon to log writer                        log writer to daemon
//   open_log, with the reading ends of two      log_event
//   pipes; log_note; close_log
#pragma once

#include <cstdint>
#include <string>

namespace forkserver::protocol {

struct OpenLog {
  static constexpr char kType[] = "open_log";
  std::int64_t key = 0;
  std::string path;
  std::int64_t max_bytes = 0;
  std::int64_t files = 0;
  bool drop = false;
  std::string match;
  std::string note;  // before anything else

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("key", self.key);
    visit.Required("path", self.path);
    visit.Required("max_bytes", self.max_bytes);
    visit.Required("files", self.files);
    visit.Optional("drop", self.drop);
    visit.Optional("match", self.match);
    visit.Optional("note", self.note);
  }
};

struct LogNote {
  static constexpr char kType[] = "log_note";
  std::int64_t key = 0;
  std::string text;
  std::int64_t lost = 0;  // notes before this one that were not sent

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("key", self.key);
    visit.Required("text", self.text);
    visit.Optional("lost", self.lost);
  }
};

// No more notes will come.
struct CloseLog {
  static constexpr char kType[] = "close_log";
  std::int64_t key = 0;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("key", self.key);
  }
};

struct LogEvent {
  static constexpr char kType[] = "log_event";
  std::int64_t key = 0;
  std::string kind;       // opened failed matched closed
  std::string text;       // why it failed; the line that matched
  std::int64_t lost = 0;  // closed: lines that are not in the file

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("key", self.key);
    visit.Required("kind", self.kind);
    visit.Optional("text", self.text);
    visit.Optional("lost", self.lost);
  }
};

// clang-format off
#define FORKSERVER_LOG_BODIES(X) X(OpenLog) X(LogNote) X(CloseLog) X(LogEvent)
// clang-format on

}  // namespace forkserver::protocol
