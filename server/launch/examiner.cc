#include "server/launch/examiner.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <string_view>
#include <utility>

#include "sdk/base/unix_socket.h"
#include "sdk/process/platform.h"
#include "server/launch/token.h"

namespace forkserver::server {
namespace {

// The children are the reaper's like any others, under keys that no worker
// has.
constexpr ProcessKey kFirstKey = ProcessKey{1} << 59;
// What a process can make an examination say, at most.
constexpr std::size_t kMaxBytes = std::size_t{1} << 20;

[[noreturn]] void Examine(const Examiner::Work& work, int pipe, int keep_fd) {
  ::setpgid(0, 0);
  ResetSignals();
  CloseDescriptorsFrom(3, {pipe, keep_fd});
  ::alarm(Examiner::kPatienceSeconds);
  const std::string bytes = work(pipe);
  std::string_view rest = bytes;
  while (!rest.empty()) {
    const ssize_t written = ::write(pipe, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) break;
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
  ::_exit(0);
}

}  // namespace

Examiner::Examiner(PollSet& poll_set, Reaper& reaper)
    : poll_set_(poll_set), reaper_(reaper), next_key_(kFirstKey) {}

Result<void> Examiner::Start(const Work& work, Purpose purpose, int keep_fd) {
  Result<Pipe> pipe = MakePipe();
  if (!pipe) return pipe.error();
  ::fcntl(pipe->read_end.get(), F_SETFL, O_NONBLOCK);
  const pid_t pid = ::fork();
  if (pid == 0) Examine(work, pipe->write_end.get(), keep_fd);
  if (pid < 0) return SystemError("fork()", errno);
  const ProcessKey key = next_key_++;
  // Unwatched it is read when the child has ended.
  static_cast<void>(poll_set_.Add(pipe->read_end.get(),
                                  MakeToken(key, TokenKind::kExamination)));
  running_[key] = {std::move(pipe->read_end), {}, purpose};
  reaper_.Adopt(key, pid, UniqueFd(), {.kill_group = true, .keep_pidfd = true});
  return {};
}

void Examiner::EndTrial() {
  for (const auto& [key, running] : running_) {
    if (running.purpose.audited == 0 && running.purpose.stacks == 0) {
      reaper_.Signal(key, SIGKILL, /*group=*/true);
    }
  }
}

void Examiner::OnReadable(ProcessKey key) {
  const auto found = running_.find(key);
  if (found != running_.end()) ReadAll(found->second);
}

void Examiner::ReadAll(Running& running) {
  char buffer[16384];
  while (running.pipe) {
    const ssize_t size = ::read(running.pipe.get(), buffer, sizeof(buffer));
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return;
    if (size == 0 || running.bytes.size() > kMaxBytes) {
      poll_set_.Remove(running.pipe.get());
      running.pipe.Reset();
      return;
    }
    running.bytes.append(buffer, static_cast<std::size_t>(size));
  }
}

Examiner::Outcome Examiner::OnEnded(ProcessKey key) {
  const auto found = running_.find(key);
  ReadAll(found->second);
  if (found->second.pipe) poll_set_.Remove(found->second.pipe.get());
  Running ended = std::move(found->second);
  running_.erase(found);
  return {ended.purpose, std::move(ended.bytes)};
}

std::vector<protocol::HandedExamination> Examiner::WriteDown(
    HandedFds& fds) const {
  std::vector<protocol::HandedExamination> handed;
  for (const auto& [key, running] : running_) {
    handed.push_back({static_cast<std::int64_t>(key),
                      fds.Add(running.pipe),
                      {running.bytes},
                      static_cast<std::int64_t>(running.purpose.audited),
                      static_cast<std::int64_t>(running.purpose.stacks)});
  }
  return handed;
}

void Examiner::Resume(std::vector<protocol::HandedExamination> handed) {
  for (protocol::HandedExamination& one : handed) {
    const auto key = static_cast<ProcessKey>(one.key);
    next_key_ = std::max(next_key_, key + 1);
    Running& running = running_[key];
    running.pipe = TakeHanded(one.pipe);
    running.bytes = std::move(one.bytes.data);
    running.purpose = {static_cast<ProcessKey>(one.audited),
                       static_cast<ProcessKey>(one.stacks)};
    if (running.pipe) {
      static_cast<void>(poll_set_.Add(running.pipe.get(),
                                      MakeToken(key, TokenKind::kExamination)));
    }
  }
}

}  // namespace forkserver::server
