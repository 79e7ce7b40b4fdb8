#include "sdk/cpp/crash_slots.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

namespace forkserver {

CrashSlots::~CrashSlots() {
  if (texts_ == nullptr) return;
  InstallCrashHandler(nullptr, OtherHandlers::kKeep);
  ::munmap(texts_, kCount * kCrashTextBytes);
}

void CrashSlots::Start() {
  texts_ = MapCrashTexts(kCount);
  if (texts_ == nullptr) return;
  current_.parent = ::getpid();
  InstallCrashHandler(&current_, OtherHandlers::kKeep);
}

int CrashSlots::TakeForChild() {
  if (texts_ == nullptr || taken_.all()) return kNone;
  while (taken_.test(static_cast<std::size_t>(next_))) {
    next_ = (next_ + 1) % kCount;
  }
  taken_.set(static_cast<std::size_t>(next_));
  current_.text = texts_ + static_cast<std::size_t>(next_) * kCrashTextBytes;
  return next_;
}

std::string CrashSlots::TakeText(int slot) {
  if (slot == kNone) return {};
  char* const text = texts_ + static_cast<std::size_t>(slot) * kCrashTextBytes;
  std::string taken(text, ::strnlen(text, kCrashTextBytes));
  text[0] = '\0';
  return taken;
}

void CrashSlots::Give(int slot) {
  if (slot == kNone) return;
  taken_.reset(static_cast<std::size_t>(slot));
  // The page of the last one is likely to be there.
  next_ = slot;
}

}  // namespace forkserver
