#include <libproc.h>
#include <mach/vm_prot.h>

#include <cerrno>

#include "sdk/process/audit/process_memory.h"

namespace forkserver::audit {

Result<ProcessMemory> ProcessMemory::Open(pid_t pid) {
  ProcessMemory memory;
  std::uint64_t address = 0;
  for (;;) {
    proc_regionwithpathinfo region = {};
    const int size = ::proc_pidinfo(pid, PROC_PIDREGIONPATHINFO, address,
                                    &region, sizeof(region));
    if (size < static_cast<int>(sizeof(region))) break;
    const proc_regioninfo& info = region.prp_prinfo;
    Mapping mapping;
    mapping.begin = info.pri_address;
    mapping.end = info.pri_address + info.pri_size;
    mapping.offset = info.pri_offset;
    mapping.executable = (info.pri_protection & VM_PROT_EXECUTE) != 0;
    mapping.path = region.prp_vip.vip_path;
    memory.mappings_.push_back(std::move(mapping));
    address = info.pri_address + info.pri_size;
  }
  if (memory.mappings_.empty()) {
    return SystemError("proc_pidinfo(" + std::to_string(pid) + ")", errno);
  }
  return memory;
}

// It takes a right that programs do not have there.
std::string ProcessMemory::Read(std::uint64_t, std::size_t) const { return {}; }

}  // namespace forkserver::audit
