// What a test changes of its own process, put back at its end.
#ifndef TESTS_UNIT_SDK_CPP_SCOPED_TEST_STATE_H_
#define TESTS_UNIT_SDK_CPP_SCOPED_TEST_STATE_H_

#include <functional>
#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <utility>

namespace forkserver::test {

// Sets environment variables; nullopt unsets.
class ScopedEnvironment {
 public:
  ScopedEnvironment(
      std::initializer_list<std::pair<std::string, std::optional<std::string>>>
          variables);
  ~ScopedEnvironment();
  ScopedEnvironment(const ScopedEnvironment&) = delete;
  ScopedEnvironment& operator=(const ScopedEnvironment&) = delete;

 private:
  std::map<std::string, std::optional<std::string>> before_;
};

// A folder of mode 0700 with a short path, removed with what is in it.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const {
    return path_ + "/" + name;
  }

 private:
  std::string path_;
};

// Open descriptors of this process.
int CountFds();

// Fails the test if a child is left that nobody reaped.
void CheckNoChildren();

// True once `predicate` is, false after ten seconds.
bool WaitFor(const std::function<bool()>& predicate);

// Runs `body` in a forked child and returns its result as the exit code.
int RunInForkedChild(const std::function<int()>& body);

std::string ReadFile(const std::string& path);
void WriteFile(const std::string& path, const std::string& text,
               bool executable = false);

}  // namespace forkserver::test

#endif  // TESTS_UNIT_SDK_CPP_SCOPED_TEST_STATE_H_
