#include "server/handed_fds.h"

#include <fcntl.h>

#include <string>

namespace forkserver::server {

std::int64_t HandedFds::Add(const UniqueFd& fd) {
  if (fd) numbers_.push_back(fd.get());
  return fd.get();
}

std::vector<std::int64_t> HandedFds::Add(const std::vector<UniqueFd>& fds) {
  std::vector<std::int64_t> numbers;
  numbers.reserve(fds.size());
  for (const UniqueFd& fd : fds) numbers.push_back(Add(fd));
  return numbers;
}

protocol::HandedReader HandedFds::Add(const protocol::FrameReader& reader) {
  return {{std::string(reader.held_bytes())},
          Add(reader.held_fds()),
          reader.fds_lost()};
}

void KeepOnExec(const std::vector<std::int64_t>& numbers, bool keep) {
  for (const std::int64_t number : numbers) {
    ::fcntl(static_cast<int>(number), F_SETFD, keep ? 0 : FD_CLOEXEC);
  }
}

UniqueFd TakeHanded(std::int64_t number) {
  return UniqueFd(static_cast<int>(number));
}

std::vector<UniqueFd> TakeHanded(const std::vector<std::int64_t>& numbers) {
  std::vector<UniqueFd> fds;
  fds.reserve(numbers.size());
  for (const std::int64_t number : numbers) fds.push_back(TakeHanded(number));
  return fds;
}

void TakeHanded(const protocol::HandedReader& handed,
                protocol::FrameReader& reader) {
  reader.Hold(handed.bytes.data, TakeHanded(handed.fds), handed.fds_lost);
}

}  // namespace forkserver::server
