#include "sdk/cpp/zygote_startup.h"

#include <forkserver/version.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <iostream>
#include <memory>
#include <utility>
#include <vector>

#include "sdk/cpp/zygote_report.h"
#include "sdk/process/fork_cost.h"
#include "sdk/process/platform.h"
#include "sdk/protocol/codec.h"

namespace forkserver {
namespace {

const std::string kSdkName = std::string("c++ ") + kVersion;

Error Failed(std::string message) {
  return MakeError(error_code::kZygoteFailed, std::move(message));
}

// The next frame, or nullopt when the daemon is gone.
Result<std::optional<std::string_view>> ReadFrame(
    int control_fd, protocol::FrameReader& reader) {
  for (;;) {
    auto frame = reader.Next();
    if (!frame || frame->has_value()) return frame;
    auto status = reader.Receive(control_fd);
    if (!status) return status.error();
    if (*status == protocol::FrameReader::Status::kClosed) {
      return std::optional<std::string_view>();
    }
    if (*status == protocol::FrameReader::Status::kWouldBlock) {
      WaitUntilReadable(control_fd);
    }
  }
}

// The steps of a request: "*" stands for all.
std::vector<std::string> StepsOf(const std::vector<std::string>& names,
                                 const ZygoteRegistry& registry) {
  std::vector<std::string> steps;
  for (const std::string& name : names) {
    if (name == kAllPreloads) {
      steps.insert(steps.end(), registry.preload_order.begin(),
                   registry.preload_order.end());
    } else {
      steps.push_back(name);
    }
  }
  return steps;
}

Result<std::vector<PreloadReport>> RunPreloads(
    const std::vector<std::string>& names, const ZygoteRegistry& registry,
    SelfAudit& self) {
  std::vector<PreloadReport> reports;
  for (const std::string& name : StepsOf(names, registry)) {
    const auto step = registry.preloads.find(name);
    if (step == registry.preloads.end()) {
      return MakeError(error_code::kUnknownPreload,
                       "there is no preload step '" + name + "'",
                       "the program has: " + JoinKeys(registry.preloads));
    }
    const std::int64_t begun_ns = MonotonicNanoseconds();
    const std::int64_t rss_bytes = ResidentBytes();
    if (auto done = RunPreloadStep(name, step->second); !done) {
      return done.error();
    }
    PreloadReport report;
    report.name = name;
    report.wall_us = (MonotonicNanoseconds() - begun_ns) / 1000;
    report.rss_bytes = ResidentBytes() - rss_bytes;
    self.NoteStep(report);
    reports.push_back(std::move(report));
  }
  return reports;
}

std::vector<int> ChooseKept(const std::vector<int>& own,
                            const ZygoteRegistry& registry) {
  if (!registry.choose_kept) return {};
  std::vector<int> opened;
  for (const int fd : ListOpenFds()) {
    if (fd > 2 && std::find(own.begin(), own.end(), fd) == own.end()) {
      opened.push_back(fd);
    }
  }
  std::vector<int> kept = registry.choose_kept(std::move(opened));
  std::sort(kept.begin(), kept.end());
  return kept;
}

}  // namespace

Result<void> RunPreloadStep(const std::string& name, const PreloadStep& step) {
  const std::string step_name = "preload " + name;
  try {
    auto done = step();
    if (done) return {};
    // The code is ours; whatever the program says goes into the text.
    Error error = done.error();
    error.code = error_code::kZygoteFailed;
    if (!error.step.empty()) error.message += " (" + error.step + ")";
    error.step = step_name;
    return error;
  } catch (const std::exception& exception) {
    Error error = Failed(std::string("an exception: ") + exception.what());
    error.step = step_name;
    return error;
  } catch (...) {
    Error error = Failed("an exception that is not a std::exception");
    error.step = step_name;
    return error;
  }
}

void SendZygoteFailed(int control_fd, const Error& error) {
  SendControlFrame(control_fd,
                   protocol::EncodeRequest(
                       0, 0, protocol::ZygoteFailed{protocol::ToWire(error)}));
}

StartUp StartZygote(
    int control_fd,
    const std::function<std::vector<int>(const protocol::Configure&)>& own_fds,
    protocol::FrameReader& reader, const ZygoteRegistry& registry) {
  auto self = std::make_unique<SelfAudit>();
  const auto fail = [control_fd](const Error& error) {
    std::fprintf(stderr, "forkserver: %s\n", error.ToString().c_str());
    SendZygoteFailed(control_fd, error);
    return StartUp{std::nullopt, nullptr, {}, kSetupFailedExitCode};
  };

  protocol::ZygoteHello hello;
  hello.pid = ::getpid();
  hello.sdk = kSdkName;
  if (!SendControlFrame(control_fd, protocol::EncodeRequest(0, 0, hello))) {
    return {};
  }

  auto frame = ReadFrame(control_fd, reader);
  if (!frame) return fail(frame.error());
  if (!frame->has_value()) return {};
  auto message = protocol::Message::Parse(**frame);
  if (!message) return fail(message.error());
  const std::string& type = message->envelope().type;
  if (type == protocol::Retire::kType) return {};
  if (type != protocol::Configure::kType) {
    return fail(Failed("expected configure, got " + type));
  }
  auto configure = message->Decode<protocol::Configure>();
  if (!configure) return fail(configure.error());
  if (configure->protocol < protocol::kMinProtocol ||
      configure->protocol > protocol::kMaxProtocol) {
    return fail(MakeError(
        error_code::kVersionMismatch,
        "forkserverd chose protocol " + std::to_string(configure->protocol) +
            ", this zygote speaks " + std::to_string(protocol::kMinProtocol) +
            " to " + std::to_string(protocol::kMaxProtocol),
        "build the program with the SDK of this forkserverd"));
  }

  const std::vector<int> own = own_fds(*configure);
  auto preloaded = RunPreloads(configure->preload, registry, *self);
  if (!preloaded) return fail(preloaded.error());
  // What the steps left in buffers would be printed by every worker.
  std::fflush(nullptr);
  std::cout.flush();

  MakeForksCheap();
  protocol::ZygoteReady ready;
  for (const auto& [name, entry] : registry.entries) {
    ready.entries.push_back(name);
  }
  ready.preloads = std::move(*preloaded);
  self->NoteReady(own, configure->ask, ready);
  if (!SendControlFrame(control_fd, protocol::EncodeRequest(0, 0, ready))) {
    return {};
  }
  return {std::move(*configure), std::move(self), ChooseKept(own, registry), 0};
}

}  // namespace forkserver
