#include "tools/harness/targets/fixture_zygotes.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <utility>

#include "sdk/base/unix_socket.h"
#include "sdk/process/platform.h"
#include "sdk/protocol/codec.h"

namespace forkserver::harness {
namespace {

constexpr char kSteps[] = "forkserver.test_zygote.pytest_fixtures:";
constexpr char kPlanEntry[] = "forkserver.test_plan";
constexpr int kRequestFd = 201;  // event_pipe.REQUEST_FD
constexpr int kEndFd = 5;
// How often fixtures may turn out not to be fork-safe, one because of another.
constexpr int kAttempts = 10;
// More zygotes of files than these are not kept for tests to come.
constexpr int kMostFiles = 24;
// What Finish gives up is not left to itself for longer.
constexpr std::chrono::minutes kGrace{10};

// A file without a name that begins with `bytes`.
Result<UniqueFd> FileOf(const std::string& bytes) {
  const char* folder = std::getenv("TMPDIR");
  std::string path = folder != nullptr && *folder == '/' ? folder : "/tmp";
  path += "/forkserver-request-XXXXXX";
  UniqueFd fd(::mkostemp(path.data(), O_CLOEXEC));
  if (!fd) return SystemError("mkostemp(" + path + ")", errno);
  ::unlink(path.c_str());
  std::size_t written = 0;
  while (written < bytes.size()) {
    const ssize_t size =
        ::pwrite(fd.get(), bytes.data() + written, bytes.size() - written,
                 static_cast<off_t>(written));
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return SystemError("write(" + path + ")", errno);
    written += static_cast<std::size_t>(size);
  }
  return fd;
}

bool IsLost(Client& client) {
  pollfd connection{client.descriptor(), 0, 0};
  return ::poll(&connection, 1, 0) > 0;
}

// Of a node id, the node id of its file.
std::string FileOfTest(const std::string& test) {
  return test.substr(0, test.find("::"));
}

}  // namespace

struct FixtureZygotes::Zygote {
  std::string name;
  std::string what;  // "the session", "tests/test_cart.py"
  std::optional<ReportPage> page;
  UniqueFd request;
  UniqueFd write_end;  // until it has its copy
  UniqueFd end;        // end of file: the zygote has ended
};

struct FixtureZygotes::File {
  enum class State { kNone, kStarting, kReady, kWithout };
  std::string id;
  std::vector<std::string> tests;
  std::vector<std::string> excluded;
  State state = State::kNone;
  int attempts = 0;
  std::unique_ptr<Zygote> zygote;
  std::uint64_t last_use = 0;
};

FixtureZygotes::FixtureZygotes(std::string base, const TargetOptions& options)
    : base_(std::move(base)), options_(options) {}

FixtureZygotes::~FixtureZygotes() { *alive_ = false; }

const std::string& FixtureZygotes::parent() const {
  return session_ ? session_->name : base_;
}

Result<void> FixtureZygotes::Plan(Client& client,
                                  const std::vector<std::string>& selected) {
  selected_ = selected;
  protocol::TestRun run;
  run.tests = selected;
  ForkOptions fork;
  fork.zygote = base_;
  fork.entry = kPlanEntry;
  fork.args = protocol::EncodeBody(run);
  fork.env = options_.env;
  fork.cwd = options_.cwd;
  fork.null_streams = true;
  auto call = client.Call(fork);
  if (!call) return call.error();
  auto plan = protocol::DecodeBody<protocol::TestPlan>(call->result);
  if (!plan) return plan.error();
  files_.clear();
  for (const std::string& id : plan->files) {
    files_[id] = std::make_unique<File>();
    files_[id]->id = id;
  }
  for (const std::string& test : selected) {
    const auto file = files_.find(FileOfTest(test));
    if (file != files_.end()) file->second->tests.push_back(test);
  }
  return plan->session ? StartSession(client) : Result<void>();
}

std::unique_ptr<FixtureZygotes::Zygote> FixtureZygotes::Prepare(
    const std::string& parent, const std::string& step,
    const std::vector<std::string>& tests, std::vector<std::string> excluded,
    ZygoteOptions& options) {
  auto zygote = std::make_unique<Zygote>();
  zygote->name = base_ + "/" + std::to_string(++made_);
  auto page = ReportPage::Create("forkserver fixtures");
  Result<Pipe> pipe = MakePipe();
  protocol::TestRun run;
  run.tests = tests;
  run.report_fd = kReportFd;
  run.arguments = std::move(excluded);
  Result<UniqueFd> request = FileOf(protocol::EncodeBody(run));
  if (!page || !pipe || !request) return nullptr;
  zygote->page.emplace(*std::move(page));
  zygote->request = *std::move(request);
  zygote->write_end = std::move(pipe->write_end);
  zygote->end = std::move(pipe->read_end);

  options.name = zygote->name;
  options.parent = parent;
  options.grace = kGrace;
  options.preload = {kSteps + step};
  options.env = options_.env;
  options.cwd = options_.cwd;
  options.fds = {{kReportFd, zygote->page->fd()},
                 {kRequestFd, zygote->request.get()},
                 {kEndFd, zygote->write_end.get()}};
  return zygote;
}

bool FixtureZygotes::LearnUnsafe(const Zygote& zygote,
                                 std::vector<std::string>& excluded) {
  auto records = zygote.page->Read();
  if (!records) return false;
  bool learned = false;
  for (const protocol::TestProgress& record : *records) {
    if (record.event != "unsafe" || std::find(excluded.begin(), excluded.end(),
                                              record.test) != excluded.end()) {
      continue;
    }
    learned = true;
    excluded.push_back(record.test);
    if (!record.failures.empty()) {
      notes_.push_back(record.failures.front().message +
                       ": each worker sets it up for itself");
    }
  }
  return learned;
}

Result<void> FixtureZygotes::StartSession(Client& client) {
  std::vector<std::string> excluded;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    ZygoteOptions options;
    auto zygote =
        Prepare(base_, "set_up_session", selected_, excluded, options);
    if (zygote == nullptr) return SystemError("set up fixtures", errno);
    zygote->what = "the session";
    auto started = client.StartZygote(options);
    zygote->write_end.Reset();
    if (started) {
      session_ = std::move(zygote);
      return {};
    }
    if (LearnUnsafe(*zygote, excluded)) continue;
    if (started.error().code == error_code::kConnectionLost) {
      return started.error();
    }
    notes_.push_back("each worker sets up the fixtures of the session: " +
                     started.error().ToString());
    return {};
  }
  notes_.push_back(
      "each worker sets up the fixtures of the session: too many "
      "of them are not fork-safe");
  return {};
}

bool FixtureZygotes::IsReady(Client& client, const std::string& test) {
  const auto found = files_.find(FileOfTest(test));
  if (found == files_.end()) return true;
  File& file = *found->second;
  file.last_use = ++uses_;
  if (file.state == File::State::kNone) {
    file.attempts = 0;
    StartFile(client, file);
  }
  return file.state != File::State::kStarting;
}

std::string FixtureZygotes::Choose(const std::string& test) {
  const auto found = files_.find(FileOfTest(test));
  if (found == files_.end() || found->second->zygote == nullptr) {
    return parent();
  }
  return found->second->zygote->name;
}

void FixtureZygotes::StartFile(Client& client, File& file) {
  ZygoteOptions options;
  file.zygote =
      Prepare(parent(), "set_up_file", file.tests, file.excluded, options);
  if (file.zygote == nullptr) {
    file.state = File::State::kWithout;
    return;
  }
  file.zygote->what = file.id;
  file.state = File::State::kStarting;
  ++file.attempts;
  RetireIdle(client);
  client.StartZygoteAsync(
      options, [this, alive = alive_, &client, id = file.id,
                name = options.name](const Result<ZygoteInfo>& started) {
        if (!*alive) return;
        const auto found = files_.find(id);
        // It was given up meanwhile.
        if (found == files_.end() || found->second->zygote == nullptr ||
            found->second->zygote->name != name) {
          return;
        }
        OnFileStarted(client, *found->second, started);
      });
  if (file.zygote != nullptr) file.zygote->write_end.Reset();
}

void FixtureZygotes::OnFileStarted(Client& client, File& file,
                                   const Result<ZygoteInfo>& started) {
  if (started) {
    file.state = File::State::kReady;
    return;
  }
  const std::unique_ptr<Zygote> failed = std::move(file.zygote);
  if (file.attempts < kAttempts && LearnUnsafe(*failed, file.excluded)) {
    return StartFile(client, file);
  }
  file.state = File::State::kWithout;
  notes_.push_back("each worker sets up the module fixtures of " + file.id +
                   ": " + started.error().ToString());
}

void FixtureZygotes::RetireIdle(Client& client) {
  int alive = 0;
  File* oldest = nullptr;
  for (const auto& [id, file] : files_) {
    if (file->zygote == nullptr) continue;
    ++alive;
    if (file->state == File::State::kReady &&
        (oldest == nullptr || file->last_use < oldest->last_use)) {
      oldest = file.get();
    }
  }
  if (alive <= kMostFiles || oldest == nullptr) return;
  oldest->state = File::State::kNone;
  Retire(client, std::move(oldest->zygote));
  Collect(errors_, 0);
}

void FixtureZygotes::Retire(Client& client, std::unique_ptr<Zygote> zygote) {
  // It may be gone already.
  client.StopZygoteAsync(zygote->name, [](const Result<void>&) {});
  ending_.push_back(std::move(zygote));
}

// What those say that have ended, after waiting for one of them.
void FixtureZygotes::Collect(std::vector<std::string>& errors, int timeout_ms) {
  std::vector<pollfd> ends;
  for (const auto& zygote : ending_) {
    ends.push_back({zygote->end.get(), POLLIN, 0});
  }
  if (::poll(ends.data(), ends.size(), timeout_ms) <= 0) return;
  std::vector<std::unique_ptr<Zygote>> left;
  for (std::size_t i = 0; i < ends.size(); ++i) {
    if (ends[i].revents == 0) {
      left.push_back(std::move(ending_[i]));
      continue;
    }
    auto records = ending_[i]->page->Read();
    if (!records) continue;
    bool torn_down = false;
    for (const protocol::TestProgress& record : *records) {
      if (record.event == "torn_down") torn_down = true;
      if (record.event != "teardown" || record.failures.empty()) continue;
      errors.push_back("tear-down of fixtures of " + ending_[i]->what + ":\n" +
                       record.failures.front().message);
    }
    if (!torn_down) {
      errors.push_back("the zygote of " + ending_[i]->what +
                       " ended before its fixtures were torn down");
    }
  }
  ending_ = std::move(left);
}

Result<void> FixtureZygotes::Revive(Client& client, std::string base) {
  for (auto& [id, file] : files_) {
    if (file->zygote != nullptr) Retire(client, std::move(file->zygote));
  }
  if (session_ != nullptr) Retire(client, std::move(session_));
  // What they tore down, if they could, they have told; nobody waits for it.
  Collect(errors_, 0);
  ending_.clear();
  base_ = std::move(base);
  return Plan(client, std::vector<std::string>(selected_));
}

std::vector<std::string> FixtureZygotes::Finish(
    Client& client, std::chrono::milliseconds patience) {
  for (auto& [id, file] : files_) {
    file->state = File::State::kWithout;
    if (file->zygote != nullptr) Retire(client, std::move(file->zygote));
  }
  if (session_ != nullptr) Retire(client, std::move(session_));
  const std::int64_t deadline_ns =
      MonotonicNanoseconds() + patience.count() * 1'000'000;
  while (!ending_.empty()) {
    const std::int64_t left_ms =
        (deadline_ns - MonotonicNanoseconds()) / 1'000'000;
    if (left_ms <= 0 || IsLost(client)) break;
    Collect(errors_, static_cast<int>(left_ms));
  }
  const std::string why =
      IsLost(client)
          ? ", as the run was ended"
          : " within " + std::to_string(patience.count() / 1000) + " s";
  for (const auto& zygote : ending_) {
    errors_.push_back("fixtures of " + zygote->what + " were not torn down" +
                      why);
  }
  ending_.clear();
  return std::exchange(errors_, {});
}

}  // namespace forkserver::harness
