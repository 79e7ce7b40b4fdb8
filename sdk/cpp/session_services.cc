// The part of Session that asks about services.
#include <utility>

#include "sdk/cpp/session.h"
#include "sdk/protocol/codec.h"

namespace forkserver {

Result<protocol::ServiceStart> Session::PrepareServiceStart(
    const ServiceOptions& options) {
  if (options.zygote.empty()) {
    if (auto checked = CheckProgram(options.argv); !checked) {
      return checked.error();
    }
  }
  if (!options.fds.empty()) {
    return MakeError(error_code::kBadRequest,
                     "a service takes no descriptors of its client",
                     "its input is /dev/null, its output goes to its log");
  }
  auto prepared = PrepareSetup(options, options.argv);
  if (!prepared) return prepared.error();
  prepared->setup.entry = options.entry;
  prepared->setup.args.data = options.args;
  protocol::ServiceStart request;
  request.name = options.name;
  request.setup.data = protocol::EncodeBody(prepared->setup);
  request.zygote = options.zygote;
  request.policy = options.policy;
  request.replace = options.replace;
  request.no_wait = options.no_wait;
  request.project = options.project;
  return request;
}

Result<ServiceInfo> Session::StartService(const ServiceOptions& options) {
  auto request = PrepareServiceStart(options);
  if (!request) return request.error();
  auto reply = Ask<protocol::ServiceReply>(*request);
  if (!reply) return reply.error();
  return std::move(reply->service);
}

Result<std::string> Session::CompareService(const ServiceOptions& options) {
  auto request = PrepareServiceStart(options);
  if (!request) return request.error();
  request->compare = true;
  auto reply = Ask<protocol::ServiceReply>(*request);
  if (!reply) return reply.error();
  return std::move(reply->difference);
}

template <typename Request>
void Session::AskAboutService(const Result<Request>& request,
                              std::function<void(Result<ServiceInfo>)> done) {
  const auto finish = [this, done = std::move(done)](Result<ServiceInfo> info) {
    callbacks_.push_back([done, info = std::move(info)] { done(info); });
  };
  Result<void> sent = request ? Result<void>() : request.error();
  if (request) {
    sent = connection_->Request(
        *request, {}, Connection::Answers::kOne,
        [finish](const Connection::Answer& answer) {
          auto reply = DecodeAnswer<protocol::ServiceReply>(answer);
          finish(reply ? Result<ServiceInfo>(std::move(reply->service))
                       : reply.error());
        });
  }
  if (!sent) finish(sent.error());
  RunCallbacks();
}

void Session::StartServiceAsync(const ServiceOptions& options,
                                std::function<void(Result<ServiceInfo>)> done) {
  AskAboutService(PrepareServiceStart(options), std::move(done));
}

void Session::StopServiceAsync(const std::string& name,
                               std::optional<std::chrono::milliseconds> grace,
                               bool remove,
                               std::function<void(Result<ServiceInfo>)> done) {
  protocol::ServiceStop request;
  request.name = name;
  if (grace) request.grace_ms = grace->count();
  request.remove = remove;
  AskAboutService(Result<protocol::ServiceStop>(std::move(request)),
                  std::move(done));
}

Result<ServiceInfo> Session::StartService(const std::string& name,
                                          bool no_wait) {
  protocol::ServiceStart request;
  request.name = name;
  request.no_wait = no_wait;
  auto reply = Ask<protocol::ServiceReply>(request);
  if (!reply) return reply.error();
  return std::move(reply->service);
}

Result<ServiceInfo> Session::StopService(
    const std::string& name, std::optional<std::chrono::milliseconds> grace,
    bool remove) {
  protocol::ServiceStop request;
  request.name = name;
  if (grace) request.grace_ms = grace->count();
  request.remove = remove;
  auto reply = Ask<protocol::ServiceReply>(request);
  if (!reply) return reply.error();
  return std::move(reply->service);
}

Result<ServiceInfo> Session::RestartService(const std::string& name,
                                            bool no_wait) {
  auto reply =
      Ask<protocol::ServiceReply>(protocol::ServiceRestart{name, no_wait});
  if (!reply) return reply.error();
  return std::move(reply->service);
}

}  // namespace forkserver
