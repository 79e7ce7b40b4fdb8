// The requests about services. Part of messages.h, which includes it.
#pragma once

#include <forkserver/service_types.h>
#include <forkserver/types.h>

#include <cstdint>
#include <optional>
#include <string>

namespace forkserver::protocol {

// Opaque bytes: msgpack bin.
struct Bytes {
  std::string data;
};

// Makes a service and starts it, or starts one that is known. Answered by
// ServiceReply when it is ready or has finished, or by an error when it has
// failed or was stopped; with `no_wait` at once.
struct ServiceStart {
  static constexpr char kType[] = "service_start";
  std::string name;
  // What its workers are to be: of an exec worker, or with `zygote` of a forked
  // one. Empty: as it is known.
  Bytes setup;
  std::string zygote;
  ServicePolicy policy;
  // One of the same name that is made of something else is stopped, and made
  // anew.
  bool replace = false;
  bool no_wait = false;
  // Whose it is: the path of a project file, or empty. One of another project,
  // or of none, is never taken over by a project.
  std::string project;
  // Nothing is done; the answer says in what it differs from the one that is
  // known.
  bool compare = false;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("name", self.name);
    visit.Optional("setup", self.setup);
    visit.Optional("zygote", self.zygote);
    visit.Required("policy", self.policy);
    visit.Optional("replace", self.replace);
    visit.Optional("no_wait", self.no_wait);
    visit.Optional("project", self.project);
    visit.Optional("compare", self.compare);
  }
};

// Stops a service. Answered by ServiceReply when nothing of it is left. A
// second one kills what is left of it.
struct ServiceStop {
  static constexpr char kType[] = "service_stop";
  std::string name;
  // Absent: the service's own.
  std::optional<std::int64_t> grace_ms;
  // It is forgotten then.
  bool remove = false;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("name", self.name);
    visit.Optional("grace_ms", self.grace_ms);
    visit.Optional("remove", self.remove);
  }
};

// Stops a service and starts it again. Answered as ServiceStart is.
struct ServiceRestart {
  static constexpr char kType[] = "service_restart";
  std::string name;
  bool no_wait = false;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("name", self.name);
    visit.Optional("no_wait", self.no_wait);
  }
};

struct ServiceReply {
  static constexpr char kType[] = "service_reply";
  ServiceInfo service;
  // Of `compare`: "its command and its environment (PORT)", or empty.
  std::string difference;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("service", self.service);
    visit.Optional("difference", self.difference);
  }
};

}  // namespace forkserver::protocol
