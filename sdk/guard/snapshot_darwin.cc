#include <fcntl.h>
#include <libproc.h>
#include <mach/mach.h>
#include <pthread.h>
#include <sys/proc_info.h>
#include <unistd.h>

#include "sdk/guard/snapshot.h"

namespace forkserver::guard {
namespace {

constexpr int kLooked = 1024;

}  // namespace

std::int64_t ThisThread() {
  std::uint64_t id = 0;
  ::pthread_threadid_np(nullptr, &id);
  return static_cast<std::int64_t>(id);
}

int CountThreads() {
  proc_taskinfo info = {};
  if (::proc_pidinfo(::getpid(), PROC_PIDTASKINFO, 0, &info, sizeof(info)) <=
      0) {
    return 1;
  }
  return info.pti_threadnum;
}

// Their ids do not fit: the report takes them from the process itself.
void ListThreads(ForkRecord& record) { record.thread_count = kMaxThreads + 1; }

void ListDescriptors(ForkRecord& record) {
  record.descriptor_count = kMaxDescriptors + 1;
}

bool HasUncommonDescriptor() {
  proc_fdinfo list[kLooked];
  const int size =
      ::proc_pidinfo(::getpid(), PROC_PIDLISTFDS, 0, list, sizeof(list));
  for (int i = 0; i < size / static_cast<int>(sizeof(proc_fdinfo)); ++i) {
    if (list[i].proc_fd > 2 && list[i].proc_fdtype != PROX_FDTYPE_VNODE &&
        list[i].proc_fdtype != PROX_FDTYPE_PIPE) {
      return true;
    }
  }
  return size >= static_cast<int>(sizeof(list));
}

}  // namespace forkserver::guard
