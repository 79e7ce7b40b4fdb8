#include "tools/harness/targets/python_zygote.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <utility>

#include "sdk/protocol/codec.h"
#include "tools/harness/targets/loaded_files.h"
#include "tools/harness/targets/python_program.h"

namespace forkserver::harness {
namespace {

constexpr char kFilesEntry[] = "forkserver.test_files";
// In the record, in place of a file: the digest of what is beside it.
constexpr char kFilesKey[] = "(files)";
// Of the target in the name of a zygote, which has 128 bytes.
constexpr std::size_t kMostTarget = 64;

std::string PathOfFiles(const std::string& record_path) {
  return record_path + ".files";
}

std::string ReadWhole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

PythonZygote::PythonZygote(std::string target, const TargetOptions& options)
    : target_(std::move(target)), options_(options) {}

ZygoteOptions PythonZygote::Options() const {
  ZygoteOptions zygote;
  zygote.name = name_;
  zygote.argv = PythonZygoteArgv(
      options_.python, {target_, options_.framework, options_.arguments});
  zygote.preload = PythonPreload(options_.preload);
  zygote.env = options_.env;
  zygote.cwd = options_.cwd;
  return zygote;
}

ForkOptions PythonZygote::Fork(const std::string& entry) const {
  ForkOptions fork;
  fork.zygote = name_;
  fork.entry = entry;
  fork.cwd = options_.cwd;
  return fork;
}

Result<std::string> PythonZygote::Call(Client& client, const std::string& entry,
                                       const std::string& args) {
  ForkOptions fork = Fork(entry);
  fork.args = args;
  fork.env = options_.env;
  fork.null_streams = true;
  auto call = client.Call(fork);
  if (!call) return call.error();
  if (call->exit.code != 0) {
    return MakeError(
        error_code::kZygoteFailed,
        "the worker that was to run " + entry + " of " + target_ + " failed",
        "look at it: forkserver why " + call->exit.id);
  }
  return std::move(call->result);
}

Result<void> PythonZygote::Start(Client& client,
                                 std::vector<std::string>& why) {
  if (options_.keep_zygote && !options_.state_directory.empty()) {
    return StartKept(client, why);
  }
  return StartForThisRun(client);
}

Result<void> PythonZygote::StartAnother(Client& client) {
  return StartForThisRun(client);
}

Result<void> PythonZygote::StartForThisRun(Client& client) {
  static int made = 0;
  name_ = "test:" + target_.substr(0, kMostTarget) + ":" +
          std::to_string(::getpid()) + "." + std::to_string(++made);
  auto started = client.StartZygote(Options());
  if (!started) return ExplainPythonError(started.error(), options_.python);
  return {};
}

Result<Fingerprint> PythonZygote::TakeOptions() const {
  TargetOptions options = options_;
  // What else the tests depend on is in words, too.
  options.arguments.insert(options.arguments.begin(),
                           {options.python, options.framework});
  return TakeFingerprint(options.python, {}, options, nullptr);
}

std::vector<std::string> PythonZygote::FindOtherOptions() const {
  std::vector<std::string> reasons;
  auto now = TakeOptions();
  auto last = ReadZygoteRecord(last_path_);
  if (now && last) {
    last->fingerprint.files.clear();
    reasons = DescribeDifferences(last->fingerprint, *now);
  }
  if (reasons.empty()) reasons = {"there was no zygote of an earlier run"};
  return reasons;
}

std::vector<std::string> PythonZygote::FindReasons(Client& client) {
  const auto record = ReadZygoteRecord(record_path_);
  if (!record) return FindOtherOptions();
  auto snapshot = client.List();
  if (!snapshot) return {snapshot.error().message};
  const bool is_kept =
      std::any_of(snapshot->zygotes.begin(), snapshot->zygotes.end(),
                  [&](const ZygoteInfo& each) {
                    return each.name == name_ && each.id == record->zygote &&
                           each.state == ZygoteState::kReady;
                  });
  if (!is_kept) return {"the zygote of the earlier run has ended"};

  auto now = TakeOptions();
  if (!now) return {now.error().message};
  Fingerprint before = record->fingerprint;
  std::map<std::string, FileContent> contents;
  before.files.swap(contents);
  std::vector<std::string> reasons = DescribeDifferences(before, *now);

  const std::string bytes = ReadWhole(PathOfFiles(record_path_));
  const auto key = contents.find(kFilesKey);
  auto files = protocol::DecodeBody<protocol::TestFiles>(bytes);
  if (!files || key == contents.end() ||
      key->second.digest != DigestOf(bytes)) {
    return {"what it was loaded from is not known any more"};
  }
  contents.erase(key);
  for (std::string& change : ChangesOf(contents, *files, options_.cwd)) {
    reasons.push_back(std::move(change));
  }
  return reasons;
}

Result<void> PythonZygote::StartKept(Client& client,
                                     std::vector<std::string>& why) {
  auto asked = TakeOptions();
  if (!asked) return asked.error();
  const std::string target =
      DigestOf(options_.cwd + '\0' + target_).substr(0, 16);
  const std::string digest =
      target + "-" + DigestOfOptions(*asked).substr(0, 8);
  name_ = "test:" + target_.substr(0, kMostTarget) + ":" + digest;
  const UniqueFd lock = LockZygote(options_.state_directory, digest);
  record_path_ = options_.state_directory + "/zygote-" + digest;
  last_path_ = options_.state_directory + "/last-" + target;
  why = FindReasons(client);
  // The same by its identity, but not by what it has loaded.
  if (!why.empty()) (void)client.StopZygote(name_);

  ZygoteOptions zygote = Options();
  zygote.keep = true;
  zygote.replace = true;
  auto started = client.StartZygote(zygote);
  if (!started) return ExplainPythonError(started.error(), options_.python);
  const auto record = ReadZygoteRecord(record_path_);
  if (why.empty() && record && started->id == record->zygote) {
    why.emplace_back("its zygote is used again: nothing has changed");
    return {};
  }
  if (why.empty()) why.emplace_back("its zygote was made anew");
  return Record(client, started->id);
}

Result<void> PythonZygote::Record(Client& client,
                                  const std::string& zygote_id) {
  auto bytes = Call(client, kFilesEntry);
  if (!bytes) return bytes.error();
  auto files = protocol::DecodeBody<protocol::TestFiles>(*bytes);
  if (!files) return files.error();
  auto fingerprint = TakeOptions();
  if (!fingerprint) return fingerprint.error();
  fingerprint->files = ContentsOf(*files);
  fingerprint->files[kFilesKey].digest = DigestOf(*bytes);
  // The record last: it says what the other file must be.
  std::ofstream file(PathOfFiles(record_path_),
                     std::ios::binary | std::ios::trunc);
  file << *bytes;
  file.close();
  const ZygoteRecord record = {zygote_id, *std::move(fingerprint)};
  if (auto written = WriteZygoteRecord(last_path_, record); !written) {
    return written;
  }
  return WriteZygoteRecord(record_path_, record);
}

}  // namespace forkserver::harness
