#include "tools/harness/targets/test_zygote.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "tools/harness/targets/loaded_libraries.h"

namespace forkserver::harness {
namespace {

// The last step of a warm test program, whatever warm-ups are asked for.
constexpr char kIndexStep[] = "forkserver.test_index";
constexpr char kAllSteps[] = "*";
// Of the program's own name in the name of a zygote, which has 128 bytes.
constexpr std::size_t kMostBaseName = 64;

std::string BaseName(const std::string& path) {
  return path.substr(path.rfind('/') + 1);
}

// What is not safe to fork is told by forkserverd; what to do about it in a
// test program is said here.
Error Explain(Error error) {
  if (error.code == error_code::kZygoteUnsafe) {
    const std::string advice =
        "a test program must not start it before its tests: move it into them, "
        "or link the framework's own main function, which runs them cold";
    error.hint = error.hint.empty() ? advice : error.hint + "; " + advice;
  }
  return error;
}

}  // namespace

TestZygote::TestZygote(std::string path, const TargetOptions& options)
    : path_(std::move(path)), options_(options) {}

ZygoteOptions TestZygote::Options() const {
  ZygoteOptions zygote;
  zygote.name = name_;
  zygote.argv = {path_};
  zygote.argv.insert(zygote.argv.end(), options_.arguments.begin(),
                     options_.arguments.end());
  zygote.preload = options_.preload;
  if (zygote.preload.empty()) {
    zygote.preload = {kAllSteps};
  } else {
    zygote.preload.emplace_back(kIndexStep);
  }
  zygote.env = options_.env;
  zygote.cwd = options_.cwd;
  return zygote;
}

Result<void> TestZygote::Start(Client& client, std::vector<std::string>& why) {
  if (options_.keep_zygote && !options_.state_directory.empty()) {
    return StartKept(client, why);
  }
  return StartForThisRun(client);
}

Result<void> TestZygote::StartAnother(Client& client) {
  return StartForThisRun(client);
}

Result<void> TestZygote::StartForThisRun(Client& client) {
  static int made = 0;
  name_ = "test:" + BaseName(path_).substr(0, kMostBaseName) + ":" +
          std::to_string(::getpid()) + "." + std::to_string(++made);
  auto started = client.StartZygote(Options());
  if (!started) return Explain(started.error());
  files_ = ListMappedCode(static_cast<pid_t>(started->pid));
  return {};
}

Result<Fingerprint> TestZygote::Take(Client& client,
                                     const ZygoteRecord* record) const {
  std::vector<std::string> paths = ListLibrariesOf(client, path_, options_);
  paths.push_back(path_);
  if (record != nullptr) {
    for (const auto& [path, content] : record->fingerprint.files) {
      // One that is gone is missing in the new one.
      if (::access(path.c_str(), R_OK) == 0) paths.push_back(path);
    }
  }
  return TakeFingerprint(path_, paths, options_,
                         record != nullptr ? &record->fingerprint : nullptr);
}

std::vector<std::string> TestZygote::FindReasons(const ZygoteInfo* kept,
                                                 const ZygoteRecord* record,
                                                 const ZygoteRecord* last,
                                                 const Fingerprint& now) const {
  if (record == nullptr) {
    std::vector<std::string> reasons;
    if (last != nullptr) reasons = DescribeDifferences(last->fingerprint, now);
    if (reasons.empty()) reasons = {"there was no zygote of an earlier run"};
    return reasons;
  }
  if (kept == nullptr) return {"the zygote of the earlier run has ended"};
  if (kept->id != record->zygote) {
    return {"its zygote is not the one of the last run"};
  }
  return DescribeDifferences(record->fingerprint, now);
}

Result<void> TestZygote::StartKept(Client& client,
                                   std::vector<std::string>& why) {
  auto asked = TakeFingerprint(path_, {}, options_, nullptr);
  if (!asked) return asked.error();
  const std::string program = DigestOf(path_).substr(0, 16);
  const std::string digest =
      program + "-" + DigestOfOptions(*asked).substr(0, 8);
  name_ = "test:" + BaseName(path_).substr(0, kMostBaseName) + ":" + digest;
  const UniqueFd lock = LockZygote(options_.state_directory, digest);
  record_path_ = options_.state_directory + "/zygote-" + digest;
  last_path_ = options_.state_directory + "/last-" + program;
  const auto record = ReadZygoteRecord(record_path_);
  const auto last = ReadZygoteRecord(last_path_);
  const ZygoteRecord* const own = record ? &*record : nullptr;
  const ZygoteRecord* const known = record ? own : last ? &*last : nullptr;

  // A program that is built anew meanwhile is looked at again.
  constexpr int kAttempts = 3;
  for (int attempt = 1;; ++attempt) {
    auto now = Take(client, known);
    if (!now) return now.error();
    auto snapshot = client.List();
    if (!snapshot) return snapshot.error();
    const auto kept = std::find_if(
        snapshot->zygotes.begin(), snapshot->zygotes.end(),
        [&](const ZygoteInfo& each) {
          return each.name == name_ && each.state == ZygoteState::kReady;
        });
    const ZygoteInfo* const found =
        kept != snapshot->zygotes.end() ? &*kept : nullptr;
    std::vector<std::string> reasons =
        FindReasons(found, own, last ? &*last : nullptr, *now);
    if (reasons.empty()) {
      // Not to be started again: for the daemon a program that was touched is
      // another one.
      files_ = ListMappedCode(static_cast<pid_t>(found->pid));
      why.emplace_back("its zygote is used again: nothing has changed");
      return {};
    }
    if (found != nullptr) (void)client.StopZygote(name_);

    ZygoteOptions zygote = Options();
    zygote.keep = true;
    zygote.replace = true;
    auto started = client.StartZygote(zygote);
    if (!started) return Explain(started.error());
    auto after = Take(client, known);
    if (!after) return after.error();
    if (DescribeDifferences(*now, *after).empty()) {
      why = std::move(reasons);
      return Record(*started, *now);
    }
    (void)client.StopZygote(name_);
    if (attempt == kAttempts) {
      return MakeError(error_code::kZygoteFailed,
                       path_ + " changes while its zygote is being started",
                       "start the run when it is built");
    }
  }
}

Result<void> TestZygote::Record(const ZygoteInfo& zygote,
                                const Fingerprint& fingerprint) {
  // What a warm-up has loaded belongs to it.
  files_ = ListMappedCode(static_cast<pid_t>(zygote.pid));
  std::vector<std::string> loaded = files_;
  loaded.push_back(path_);
  for (const auto& [path, content] : fingerprint.files) loaded.push_back(path);
  loaded.erase(std::remove_if(loaded.begin(), loaded.end(),
                              [](const std::string& path) {
                                return ::access(path.c_str(), R_OK) != 0;
                              }),
               loaded.end());
  auto whole = TakeFingerprint(path_, loaded, options_, &fingerprint);
  if (!whole) return whole.error();
  const ZygoteRecord record = {zygote.id, *std::move(whole)};
  if (auto written = WriteZygoteRecord(last_path_, record); !written) {
    return written;
  }
  return WriteZygoteRecord(record_path_, record);
}

}  // namespace forkserver::harness
