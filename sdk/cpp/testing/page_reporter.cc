#include "sdk/cpp/testing/page_reporter.h"

#include <unistd.h>

#include <utility>

#include "sdk/base/unique_fd.h"
#include "sdk/process/platform.h"

namespace forkserver::test_host {
namespace {

const char* NameOf(Status status) {
  switch (status) {
    case Status::kPassed:
      return "passed";
    case Status::kFailed:
      return "failed";
    case Status::kSkipped:
      return "skipped";
  }
  return "";
}

}  // namespace

PageReporter::PageReporter(const std::vector<std::string>& names)
    : names_(names), pid_(::getpid()) {}

Result<std::unique_ptr<PageReporter>> PageReporter::Open(
    int fd, const std::vector<std::string>& names) {
  std::unique_ptr<PageReporter> reporter(new PageReporter(names));
  if (fd >= 0) {
    auto page = ReportPageWriter::Open(UniqueFd(fd));
    if (!page) return page.error();
    reporter->page_.emplace(*std::move(page));
  }
  return reporter;
}

// One that the test forked. Asked before the mutex, which may have been held by
// a thread that the fork did not copy.
bool PageReporter::IsOtherProcess() const { return ::getpid() != pid_; }

void PageReporter::Write(const protocol::TestProgress& progress) {
  if (page_) page_->Write(progress);
}

void PageReporter::Begun(std::size_t test) {
  if (IsOtherProcess()) return;
  const std::lock_guard<std::mutex> lock(mutex_);
  current_ = test;
  is_current_ = true;
  begun_ns_ = MonotonicNanoseconds();
  protocol::TestProgress progress;
  progress.event = "begun";
  progress.test = names_[test];
  Write(progress);
}

void PageReporter::Failed(const Failure& failure) {
  if (IsOtherProcess()) return;
  const std::lock_guard<std::mutex> lock(mutex_);
  protocol::TestProgress progress;
  progress.event = "failure";
  if (is_current_) progress.test = names_[current_];
  progress.failures.push_back(
      {failure.message, failure.file, failure.line, failure.where});
  Write(progress);
}

void PageReporter::Ended(std::size_t test, Status status,
                         const std::string& reason, std::int64_t assertions) {
  if (IsOtherProcess()) return;
  const std::lock_guard<std::mutex> lock(mutex_);
  any_failed_ |= status == Status::kFailed;
  protocol::TestProgress progress;
  progress.event = "ended";
  progress.test = names_[test];
  progress.status = NameOf(status);
  progress.skip_reason = reason;
  progress.assertions = assertions;
  if (is_current_ && current_ == test) {
    progress.wall_us = (MonotonicNanoseconds() - begun_ns_) / 1000;
  }
  is_current_ = false;
  Write(progress);
}

void PageReporter::Complete() {
  if (IsOtherProcess()) return;
  protocol::TestProgress progress;
  progress.event = "complete";
  Write(progress);
}

}  // namespace forkserver::test_host
