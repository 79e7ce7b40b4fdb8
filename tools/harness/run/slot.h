// A slot: where one worker at a time runs, and what belongs to it: a folder
// for its files, one for its TMPDIR, and the report page. Made when it is
// first used; what the tests of one attempt leave in it is gone before the
// next one.
#pragma once

#include <forkserver/client.h>
#include <forkserver/result.h>

#include <memory>
#include <optional>
#include <string>

#include "sdk/cpp/testing/report_page.h"
#include "tools/harness/targets/target.h"

namespace forkserver::harness {

class SlotFiles {
 public:
  // Below `folder`, which exists.
  SlotFiles(const std::string& folder, const std::string& run_id, int slot);

  // Makes everything as new. Does little where nothing was used.
  Result<void> Prepare();

  const AttemptFiles& files() const { return files_; }
  const std::string& tmp() const { return tmp_; }
  // The name of the page, as /proc/PID/maps of a worker shows it.
  const std::string& page_name() const { return page_name_; }
  int page_fd() const { return page_ ? page_->fd() : -1; }

 private:
  std::string tmp_;
  std::string page_name_;
  AttemptFiles files_;
  std::optional<ReportPage> page_;
};

// Makes a folder that exists and is empty. One that was found empty before and
// not written to since costs one system call.
Result<void> EmptyFolder(const std::string& path);

}  // namespace forkserver::harness
