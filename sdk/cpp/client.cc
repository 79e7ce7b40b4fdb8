#include <forkserver/client.h>
#include <sys/types.h>
#include <unistd.h>

#include <cstdlib>
#include <string_view>
#include <utility>

#include "sdk/cpp/connect.h"
#include "sdk/cpp/direct.h"
#include "sdk/cpp/session.h"
#include "sdk/process/socket_path.h"

namespace forkserver {
namespace {

bool IsDisabled() {
  const char* value = std::getenv("FORKSERVER_DISABLE");
  return value != nullptr && *value != '\0' && std::string_view(value) != "0";
}

Error Disabled(const char* what) {
  return MakeError(
      error_code::kDisabled,
      std::string(what) + " needs a daemon, and FORKSERVER_DISABLE is set",
      "unset FORKSERVER_DISABLE to use forkserverd");
}

}  // namespace

// Exactly one of the two is there.
class Client::Impl {
 public:
  explicit Impl(std::unique_ptr<Connection> connection)
      : session_(std::make_unique<Session>(std::move(connection))) {}
  Impl() : direct_(std::make_unique<DirectWorkers>()) {}

  enum class Kind { kBlocks, kAsync };
  // Whether a call may go on.
  static Result<void> Check(const Impl* impl, Kind kind) {
    if (impl == nullptr) {
      return MakeError(error_code::kBadRequest, "the client was moved away");
    }
    if (impl->pid_ != ::getpid()) {
      return MakeError(error_code::kUseAfterFork,
                       "this client was connected by process " +
                           std::to_string(impl->pid_) +
                           ", of which this one was forked",
                       "connect again in the child");
    }
    const bool in_callback = impl->session_ ? impl->session_->in_callback()
                                            : impl->direct_->in_callback();
    if (kind == Kind::kBlocks && in_callback) {
      return MakeError(error_code::kBadRequest,
                       "a callback made a call that blocks",
                       "use the Async functions in callbacks");
    }
    return {};
  }

  Session* session() { return session_.get(); }
  DirectWorkers* direct() { return direct_.get(); }
  const Session* session() const { return session_.get(); }

 private:
  pid_t pid_ = ::getpid();
  std::unique_ptr<Session> session_;
  std::unique_ptr<DirectWorkers> direct_;
};

std::string DefaultSocketPath() { return FindSocketPath(); }

Result<Client> Client::Connect(const ConnectOptions& options) {
  if (IsDisabled()) return Client(std::make_unique<Impl>());
  auto connection = ConnectToDaemon(options);
  if (!connection) return connection.error();
  return Client(std::make_unique<Impl>(*std::move(connection)));
}

Client::Client(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;
Client::~Client() = default;

Result<Worker> Client::Spawn(const SpawnOptions& options) {
  auto checked = Impl::Check(impl_.get(), Impl::Kind::kBlocks);
  if (!checked) return checked.error();
  if (impl_->direct()) return impl_->direct()->Spawn(options);
  return impl_->session()->Spawn(options);
}

Result<ExitRecord> Client::Run(const SpawnOptions& options) {
  auto checked = Impl::Check(impl_.get(), Impl::Kind::kBlocks);
  if (!checked) return checked.error();
  if (impl_->session()) return impl_->session()->Run(options);
  Result<Worker> worker = impl_->direct()->Spawn(options);
  if (!worker) return worker.error();
  return impl_->direct()->Wait(worker->id, std::nullopt);
}

Result<ExitRecord> Client::Run(const ForkOptions& options) {
  auto checked = Impl::Check(impl_.get(), Impl::Kind::kBlocks);
  if (!checked) return checked.error();
  if (!impl_->session()) return Disabled("Run of a forked worker");
  return impl_->session()->Run(options);
}

Result<ZygoteInfo> Client::StartZygote(const ZygoteOptions& options) {
  auto checked = Impl::Check(impl_.get(), Impl::Kind::kBlocks);
  if (!checked) return checked.error();
  if (!impl_->session()) return Disabled("StartZygote");
  return impl_->session()->StartZygote(options);
}

Result<std::string> Client::CompareZygote(const ZygoteOptions& options) {
  auto checked = Impl::Check(impl_.get(), Impl::Kind::kBlocks);
  if (!checked) return checked.error();
  if (!impl_->session()) return Disabled("CompareZygote");
  return impl_->session()->CompareZygote(options);
}

Result<void> Client::StopZygote(const std::string& name) {
  auto checked = Impl::Check(impl_.get(), Impl::Kind::kBlocks);
  if (!checked) return checked;
  if (!impl_->session()) return Disabled("StopZygote");
  return impl_->session()->StopZygote(name);
}

Result<ServiceInfo> Client::StartService(const ServiceOptions& options) {
  auto checked = Impl::Check(impl_.get(), Impl::Kind::kBlocks);
  if (!checked) return checked.error();
  if (!impl_->session()) return Disabled("StartService");
  return impl_->session()->StartService(options);
}

Result<ServiceInfo> Client::StartService(const std::string& name,
                                         bool no_wait) {
  auto checked = Impl::Check(impl_.get(), Impl::Kind::kBlocks);
  if (!checked) return checked.error();
  if (!impl_->session()) return Disabled("StartService");
  return impl_->session()->StartService(name, no_wait);
}

Result<ServiceInfo> Client::StopService(
    const std::string& name, std::optional<std::chrono::milliseconds> grace,
    bool remove) {
  auto checked = Impl::Check(impl_.get(), Impl::Kind::kBlocks);
  if (!checked) return checked.error();
  if (!impl_->session()) return Disabled("StopService");
  return impl_->session()->StopService(name, grace, remove);
}

Result<ServiceInfo> Client::RestartService(const std::string& name,
                                           bool no_wait) {
  auto checked = Impl::Check(impl_.get(), Impl::Kind::kBlocks);
  if (!checked) return checked.error();
  if (!impl_->session()) return Disabled("RestartService");
  return impl_->session()->RestartService(name, no_wait);
}

Result<std::string> Client::CompareService(const ServiceOptions& options) {
  auto checked = Impl::Check(impl_.get(), Impl::Kind::kBlocks);
  if (!checked) return checked.error();
  if (!impl_->session()) return Disabled("CompareService");
  return impl_->session()->CompareService(options);
}

Result<Worker> Client::Fork(const ForkOptions& options) {
  auto checked = Impl::Check(impl_.get(), Impl::Kind::kBlocks);
  if (!checked) return checked.error();
  if (!impl_->session()) return Disabled("Fork");
  return impl_->session()->Fork(options);
}

Result<CallResult> Client::Call(const ForkOptions& options) {
  auto checked = Impl::Check(impl_.get(), Impl::Kind::kBlocks);
  if (!checked) return checked.error();
  if (!impl_->session()) return Disabled("Call");
  return impl_->session()->Call(options);
}

Result<ExitRecord> Client::Wait(
    const std::string& worker_id,
    std::optional<std::chrono::milliseconds> timeout) {
  auto checked = Impl::Check(impl_.get(), Impl::Kind::kBlocks);
  if (!checked) return checked.error();
  if (impl_->direct()) return impl_->direct()->Wait(worker_id, timeout);
  return impl_->session()->Wait(worker_id, timeout);
}

Result<void> Client::Signal(const std::string& worker_id, int signal,
                            bool group) {
  auto checked = Impl::Check(impl_.get(), Impl::Kind::kBlocks);
  if (!checked) return checked;
  if (impl_->direct()) return impl_->direct()->Signal(worker_id, signal, group);
  return impl_->session()->Signal(worker_id, signal, group);
}

Result<ExitRecord> Client::Stop(
    const std::string& worker_id,
    std::optional<std::chrono::milliseconds> grace) {
  auto checked = Impl::Check(impl_.get(), Impl::Kind::kBlocks);
  if (!checked) return checked.error();
  if (impl_->direct()) return impl_->direct()->Stop(worker_id, grace);
  return impl_->session()->Stop(worker_id, grace);
}

Result<Snapshot> Client::List() {
  auto checked = Impl::Check(impl_.get(), Impl::Kind::kBlocks);
  if (!checked) return checked.error();
  if (!impl_->session()) return Disabled("List");
  return impl_->session()->List();
}

Result<DaemonStatus> Client::Status() {
  auto checked = Impl::Check(impl_.get(), Impl::Kind::kBlocks);
  if (!checked) return checked.error();
  if (!impl_->session()) return Disabled("Status");
  return impl_->session()->Status();
}

Result<void> Client::Shutdown() {
  auto checked = Impl::Check(impl_.get(), Impl::Kind::kBlocks);
  if (!checked) return checked;
  if (!impl_->session()) return Disabled("Shutdown");
  return impl_->session()->Shutdown();
}

Result<DaemonUpgrade> Client::Upgrade(const std::string& program) {
  auto checked = Impl::Check(impl_.get(), Impl::Kind::kBlocks);
  if (!checked) return checked.error();
  if (!impl_->session()) return Disabled("Upgrade");
  return impl_->session()->Upgrade(program);
}

std::string Client::daemon_version() const {
  if (!impl_ || !impl_->session()) return {};
  return impl_->session()->daemon_version();
}

Result<Snapshot> Client::Subscribe(std::function<void(const Event&)> on_event) {
  auto checked = Impl::Check(impl_.get(), Impl::Kind::kBlocks);
  if (!checked) return checked.error();
  if (!impl_->session()) return Disabled("Subscribe");
  return impl_->session()->Subscribe(std::move(on_event));
}

int Client::descriptor() const {
  if (!impl_ || !impl_->session()) return -1;
  return impl_->session()->descriptor();
}

Result<void> Client::Process() {
  // In a callback there is nothing to do: whoever runs it goes on reading.
  auto checked = Impl::Check(impl_.get(), Impl::Kind::kAsync);
  if (!checked) return checked;
  if (impl_->session()) return impl_->session()->Process();
  impl_->direct()->Process();
  return {};
}

void Client::SpawnAsync(const SpawnOptions& options,
                        std::function<void(Result<Worker>)> done) {
  auto checked = Impl::Check(impl_.get(), Impl::Kind::kAsync);
  if (!checked) return done(checked.error());
  if (impl_->direct()) return done(impl_->direct()->Spawn(options));
  impl_->session()->SpawnAsync(options, std::move(done));
}

void Client::ForkAsync(const ForkOptions& options,
                       std::function<void(Result<Worker>)> done) {
  auto checked = Impl::Check(impl_.get(), Impl::Kind::kAsync);
  if (!checked) return done(checked.error());
  if (!impl_->session()) return done(Disabled("ForkAsync"));
  impl_->session()->ForkAsync(options, std::move(done));
}

void Client::StartZygoteAsync(const ZygoteOptions& options,
                              std::function<void(Result<ZygoteInfo>)> done) {
  auto checked = Impl::Check(impl_.get(), Impl::Kind::kAsync);
  if (!checked) return done(checked.error());
  if (!impl_->session()) return done(Disabled("StartZygoteAsync"));
  impl_->session()->StartZygoteAsync(options, std::move(done));
}

void Client::StopZygoteAsync(const std::string& name,
                             std::function<void(Result<void>)> done) {
  auto checked = Impl::Check(impl_.get(), Impl::Kind::kAsync);
  if (!checked) return done(checked.error());
  if (!impl_->session()) return done(Disabled("StopZygoteAsync"));
  impl_->session()->StopZygoteAsync(name, std::move(done));
}

void Client::StartServiceAsync(const ServiceOptions& options,
                               std::function<void(Result<ServiceInfo>)> done) {
  auto checked = Impl::Check(impl_.get(), Impl::Kind::kAsync);
  if (!checked) return done(checked.error());
  if (!impl_->session()) return done(Disabled("StartServiceAsync"));
  impl_->session()->StartServiceAsync(options, std::move(done));
}

void Client::StopServiceAsync(const std::string& name,
                              std::optional<std::chrono::milliseconds> grace,
                              bool remove,
                              std::function<void(Result<ServiceInfo>)> done) {
  auto checked = Impl::Check(impl_.get(), Impl::Kind::kAsync);
  if (!checked) return done(checked.error());
  if (!impl_->session()) return done(Disabled("StopServiceAsync"));
  impl_->session()->StopServiceAsync(name, grace, remove, std::move(done));
}

void Client::OnExit(const std::string& worker_id,
                    std::function<void(Result<ExitRecord>)> done) {
  auto checked = Impl::Check(impl_.get(), Impl::Kind::kAsync);
  if (!checked) return done(checked.error());
  if (impl_->direct()) return impl_->direct()->OnExit(worker_id, done);
  impl_->session()->OnExit(worker_id, std::move(done));
}

}  // namespace forkserver
