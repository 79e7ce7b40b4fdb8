#include <cxxabi.h>
#include <elfutils/libdwfl.h>
#include <sys/stat.h>

#include <cstdlib>
#include <map>
#include <memory>
#include <string>

#include "tools/forkserver/symbols.h"

namespace forkserver::cli {
namespace {

struct DwflCloser {
  void operator()(Dwfl* dwfl) const { ::dwfl_end(dwfl); }
};

std::string Demangle(const char* name) {
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> plain(
      abi::__cxa_demangle(name, nullptr, nullptr, &status), &std::free);
  return status == 0 && plain != nullptr ? plain.get() : name;
}

}  // namespace

// One module, as if it were loaded somewhere.
class Symbols::Module {
 public:
  explicit Module(const std::string& path) {
    static const Dwfl_Callbacks kCallbacks = {
        ::dwfl_build_id_find_elf, ::dwfl_standard_find_debuginfo,
        ::dwfl_offline_section_address, nullptr};
    struct stat info = {};
    // The path is the worker's word for it.
    if (::stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return;
    dwfl_.reset(::dwfl_begin(&kCallbacks));
    if (!dwfl_) return;
    module_ = ::dwfl_report_offline(dwfl_.get(), "", path.c_str(), -1);
    ::dwfl_report_end(dwfl_.get(), nullptr, nullptr);
    if (module_ == nullptr) return;
    ::dwfl_module_info(module_, nullptr, &begin_, nullptr, nullptr, nullptr,
                       nullptr, nullptr);
  }

  void Name(NamedFrame& frame) const {
    if (module_ == nullptr) return;
    const Dwarf_Addr address = begin_ + static_cast<Dwarf_Addr>(frame.offset);
    if (const char* name = ::dwfl_module_addrname(module_, address)) {
      frame.function = Demangle(name);
    }
    Dwfl_Line* const line = ::dwfl_module_getsrc(module_, address);
    int number = 0;
    const char* const file = line == nullptr
                                 ? nullptr
                                 : ::dwfl_lineinfo(line, nullptr, &number,
                                                   nullptr, nullptr, nullptr);
    if (file != nullptr) {
      frame.file = file;
      frame.line = number;
    }
  }

 private:
  std::unique_ptr<Dwfl, DwflCloser> dwfl_;
  Dwfl_Module* module_ = nullptr;
  Dwarf_Addr begin_ = 0;
};

Symbols::Symbols() {
  // libdw would ask the servers that it names.
  ::unsetenv("DEBUGINFOD_URLS");
}

Symbols::~Symbols() = default;

NamedFrame Symbols::Name(const CrashFrame& frame) {
  NamedFrame named = {frame.module, frame.offset, {}, {}, 0};
  if (frame.module.empty()) return named;
  std::unique_ptr<Module>& module = modules_[frame.module];
  if (module == nullptr) module = std::make_unique<Module>(frame.module);
  module->Name(named);
  return named;
}

std::vector<NamedFrame> NameFrames(const std::vector<CrashFrame>& frames) {
  Symbols symbols;
  std::vector<NamedFrame> named;
  named.reserve(frames.size());
  for (const CrashFrame& frame : frames) named.push_back(symbols.Name(frame));
  return named;
}

}  // namespace forkserver::cli
