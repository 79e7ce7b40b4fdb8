// The memory that the workers of a zygote write to when they crash: a slot for
// each of the live ones, shared with them, and the handler that writes it.
//
// Passive; costs nothing as long as nobody crashes. Every worker can write to
// every slot: what is read is text of any kind.
#pragma once

#include <bitset>
#include <cstddef>
#include <string>

#include "sdk/process/crash_handler.h"

namespace forkserver {

class CrashSlots {
 public:
  // More live workers than this are not looked after.
  static constexpr int kCount = 1024;
  static constexpr int kNone = -1;

  CrashSlots() = default;
  // The handler writes nothing any more.
  ~CrashSlots();
  CrashSlots(const CrashSlots&) = delete;
  CrashSlots& operator=(const CrashSlots&) = delete;

  // Installs the handler, in this process and those forked from it.
  void Start();

  // For the child that is forked next; kNone if there is no more, or before
  // Start. The zygote's own crashes are written nowhere.
  int TakeForChild();
  // After the fork, in the zygote.
  void ForgetChild() { current_.text = nullptr; }
  // What was written, which is forgotten. Empty for kNone.
  std::string TakeText(int slot);
  void Give(int slot);

 private:
  // Here and not in memory of their own: a page that the zygote writes between
  // two forks costs it a page fault.
  std::bitset<kCount> taken_;
  int next_ = 0;
  CrashSlot current_;
  char* texts_ = nullptr;
};

}  // namespace forkserver
