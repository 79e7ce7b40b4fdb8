// What a framework says, on the report page.
#pragma once

#include <forkserver/result.h>
#include <forkserver/test_host.h>
#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "sdk/cpp/testing/report_page.h"

namespace forkserver::test_host {

class PageReporter : public Report {
 public:
  // `fd` < 0: tells nobody. `names` of all tests are borrowed.
  static Result<std::unique_ptr<PageReporter>> Open(
      int fd, const std::vector<std::string>& names);

  void Begun(std::size_t test) override;
  void Failed(const Failure& failure) override;
  void Ended(std::size_t test, Status status, const std::string& reason,
             std::int64_t assertions) override;
  // The framework has returned.
  void Complete();

  bool any_failed() const { return any_failed_; }

 private:
  explicit PageReporter(const std::vector<std::string>& names);
  bool IsOtherProcess() const;
  void Write(const protocol::TestProgress& progress);

  const std::vector<std::string>& names_;
  const pid_t pid_;
  std::optional<ReportPageWriter> page_;
  std::mutex mutex_;
  std::size_t current_ = 0;
  bool is_current_ = false;
  std::int64_t begun_ns_ = 0;
  bool any_failed_ = false;
};

}  // namespace forkserver::test_host
