#include "sdk/guard/python_caller.h"

#include <dlfcn.h>

#include <cstring>

namespace forkserver::guard {
namespace {

template <typename Function>
Function* Find(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_DEFAULT, name));
}

// The Python function that runs now, compared with those that call
// _posixsubprocess.fork_exec() (3.8 to 3.13).
bool IsInSubprocessFunction() {
  const auto this_thread = Find<void*()>("PyGILState_GetThisThreadState");
  const auto has_lock = Find<int()>("PyGILState_Check");
  const auto get_frame = Find<void*()>("PyEval_GetFrame");
  const auto get = Find<void*(void*, const char*)>("PyObject_GetAttrString");
  const auto text_of = Find<const char*(void*)>("PyUnicode_AsUTF8");
  const auto release = Find<void(void*)>("Py_DecRef");
  if (this_thread == nullptr || has_lock == nullptr || get_frame == nullptr ||
      get == nullptr || text_of == nullptr || release == nullptr ||
      this_thread() == nullptr || has_lock() == 0) {
    return false;
  }
  void* const frame = get_frame();
  void* const code = frame == nullptr ? nullptr : get(frame, "f_code");
  void* const name = code == nullptr ? nullptr : get(code, "co_name");
  const char* const text = name == nullptr ? nullptr : text_of(name);
  const bool found =
      text != nullptr && (std::strcmp(text, "_execute_child") == 0 ||
                          std::strcmp(text, "spawnv_passfds") == 0);
  if (name != nullptr) release(name);
  if (code != nullptr) release(code);
  return found;
}

}  // namespace

bool IsPythonSubprocess(const void* caller) {
  Dl_info place = {};
  if (::dladdr(caller, &place) != 0 && place.dli_fname != nullptr &&
      std::strstr(place.dli_fname, "_posixsubprocess") != nullptr) {
    return true;
  }
  // The module may be part of the interpreter (Debian), which is then the one
  // that forks.
  void* const python = ::dlsym(RTLD_DEFAULT, "PyEval_GetFrame");
  Dl_info interpreter = {};
  return python != nullptr && ::dladdr(python, &interpreter) != 0 &&
         interpreter.dli_fbase == place.dli_fbase && IsInSubprocessFunction();
}

}  // namespace forkserver::guard
