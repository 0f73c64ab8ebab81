#include "common/telemetry/metrics_server.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <limits>
#include <list>
#include <map>
#include <set>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <prometheus/text_serializer.h>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "common/status/limits.h"
#include "common/status/macros.h"
#include "common/telemetry/log.h"

namespace crosskey::telemetry {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::beast::tcp_stream;
using Error = boost::system::error_code;
using TlsStream = asio::ssl::stream<tcp_stream>;

constexpr char kPath[] = "/metrics";
constexpr size_t kRequestBytes = limits::kMetricsRequestKibibytes * 1024;
constexpr absl::Duration kFarewell = absl::Seconds(2);  // for a client to read the end of its answer
constexpr int kBacklog = 1024;
// After an error of accept, which is about the process or the machine and may pass.
constexpr absl::Duration kRest = absl::Milliseconds(100);

tcp_stream& Lowest(tcp_stream& stream) { return stream; }
tcp_stream& Lowest(TlsStream& stream) { return stream.next_layer(); }

// A connection that is open.
class Visit {
 public:
  virtual ~Visit() = default;
  virtual void Begin() = 0;
  // What is under way fails soon.
  virtual void End() = 0;
};

http::response<http::string_body> Text(http::status status, const std::string& text) {
  http::response<http::string_body> answer(status, 11);
  answer.set(http::field::content_type, "text/plain; version=0.0.4; charset=utf-8");
  answer.body() = text;
  return answer;
}

// Handshake, request, answer, farewell: each step begins the next one.
template <typename Stream>
class VisitOf final : public Visit, public std::enable_shared_from_this<VisitOf<Stream>> {
 public:
  template <typename... Parts>
  VisitOf(std::function<std::string()> page, std::function<void()> ended, Parts&&... parts)
      : page_(std::move(page)), ended_(std::move(ended)), stream_(std::forward<Parts>(parts)...) {
    parser_.header_limit(kRequestBytes);
    parser_.body_limit(std::numeric_limits<std::uint64_t>::max());  // it is never read
  }

  void Begin() override {
    Within(limits::kMetricsRequest);
    if constexpr (kTls) {
      stream_.async_handshake(asio::ssl::stream_base::server, [self = this->shared_from_this()](Error error) {
        error ? self->ended_() : self->Read();
      });
    } else {
      Read();
    }
  }

  void End() override { Lowest(stream_).close(); }

 private:
  static constexpr bool kTls = std::is_same_v<Stream, TlsStream>;

  // For all steps from now on together, so that it does not help to send or to read a byte now and then.
  void Within(absl::Duration time) { Lowest(stream_).expires_after(absl::ToChronoMilliseconds(time)); }

  void Read() {
    http::async_read_header(stream_, buffer_, parser_,
                            [self = this->shared_from_this()](Error error, size_t) { self->Answer(error); });
  }

  http::response<http::string_body> AnswerTo(Error error) const {
    if (error == http::error::header_limit || error == http::error::buffer_overflow) {
      return Text(http::status::request_header_fields_too_large, "the request is too long\n");
    }
    if (error) return Text(http::status::bad_request, "this is no request\n");
    const std::string target(parser_.get().target());
    if (target.substr(0, target.find('?')) != kPath) {
      return Text(http::status::not_found, absl::StrCat("there is only ", kPath, "\n"));
    }
    if (parser_.get().method() == http::verb::get) return Text(http::status::ok, page_());
    auto refusal = Text(http::status::method_not_allowed, "there is only GET\n");
    refusal.set(http::field::allow, "GET");
    return refusal;
  }

  void Answer(Error error) {
    // The others are errors of the connection.
    const bool is_of_request = error.category() == Error(http::error::bad_method).category();
    if (error && (!is_of_request || error == http::error::end_of_stream || error == http::error::partial_message)) {
      return ended_();
    }
    Within(limits::kMetricsAnswer);
    answer_ = AnswerTo(error);
    answer_.keep_alive(false);
    answer_.prepare_payload();
    if (parser_.get().method() == http::verb::head) answer_.body().clear();
    http::async_write(stream_, answer_, [self = this->shared_from_this()](Error failure, size_t) {
      failure ? self->ended_() : self->Leave();
    });
  }

  // A socket that is closed with something unread takes back what has been sent, so the client ends first.
  void Leave() {
    Within(kFarewell);
    if constexpr (kTls) {
      stream_.async_shutdown([self = this->shared_from_this()](Error) { self->Leave(Lowest(self->stream_)); });
    } else {
      Leave(stream_);
    }
  }
  void Leave(tcp_stream& stream) {
    Error ignored;
    stream.socket().shutdown(tcp::socket::shutdown_send, ignored);
    Drop();
  }
  void Drop() {
    Lowest(stream_).async_read_some(asio::buffer(dropped_), [self = this->shared_from_this()](Error error, size_t) {
      error ? self->ended_() : self->Drop();
    });
  }

  const std::function<std::string()> page_;
  const std::function<void()> ended_;
  Stream stream_;
  boost::beast::flat_buffer buffer_{kRequestBytes};
  http::request_parser<http::empty_body> parser_;
  http::response<http::string_body> answer_;
  std::array<char, 4096> dropped_{};
};

using TlsContext = std::unique_ptr<asio::ssl::context>;

absl::StatusOr<TlsContext> ContextOf(const std::string& pair) {
  auto context = std::make_unique<asio::ssl::context>(asio::ssl::context::tls_server);
  SSL_CTX_set_min_proto_version(context->native_handle(), TLS1_2_VERSION);
  // By default OpenSSL keeps 20,000 sessions, for clients that come back.
  SSL_CTX_set_session_cache_mode(context->native_handle(), SSL_SESS_CACHE_OFF);
  Error error;
  context->use_certificate_chain(asio::buffer(pair), error);
  if (!error) context->use_private_key(asio::buffer(pair), asio::ssl::context::pem, error);
  if (error) return absl::InvalidArgumentError("metrics: TLS does not take the certificate: " + error.message());
  return context;
}

}  // namespace

class MetricsServer::Site {
 public:
  Site(std::weak_ptr<prometheus::Registry> registry, std::function<PemPair()> pair)
      : registry_(std::move(registry)), pair_(std::move(pair)) {}
  ~Site() {
    io_.stop();
    if (thread_.joinable()) thread_.join();
  }

  absl::Status Open(const std::string& address) {
    if (pair_ != nullptr) CROSSKEY_RETURN_IF_ERROR(TakePair());
    const absl::Status failed = absl::UnavailableError(absl::StrCat(
        "metrics: cannot listen on ", address, ": the port is taken, or it is no address of this machine"));
    const size_t colon = address.rfind(':');
    if (colon == std::string::npos) return failed;
    std::string host = address.substr(0, colon);
    if (absl::StartsWith(host, "[") && absl::EndsWith(host, "]")) host = host.substr(1, host.size() - 2);
    Error error;
    const auto found = tcp::resolver(io_).resolve(host, address.substr(colon + 1),
                                                  tcp::resolver::passive | tcp::resolver::numeric_service, error);
    if (error) return failed;
    std::set<asio::ip::address> seen;
    for (tcp::endpoint place : found) {
      // A name that is twice in /etc/hosts has its address twice.
      if (!seen.insert(place.address()).second) continue;
      if (!doors_.empty()) place.port(port());
      error = Listen(place);
      // A name can have an address that this machine does not have, ::1 where IPv6 is off.
      const bool is_of_no_use =
          error == asio::error::address_family_not_supported || error == boost::system::errc::address_not_available;
      if (error && !is_of_no_use) return failed;
    }
    return doors_.empty() ? failed : absl::OkStatus();
  }

  void Run() {
    for (Door& door : doors_) Accept(door);
    thread_ = std::thread([this] { io_.run(); });
  }

  uint16_t port() const {
    Error ignored;
    return doors_.front().acceptor.local_endpoint(ignored).port();
  }

 private:
  struct Door {
    tcp::acceptor acceptor;
    asio::steady_timer rest;
  };
  struct Guest {
    asio::ip::address from;
    std::shared_ptr<Visit> visit;
  };

  Error Listen(const tcp::endpoint& place) {
    Error error;
    tcp::acceptor acceptor(io_);
    acceptor.open(place.protocol(), error);
    if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error && place.address().is_v6()) acceptor.set_option(asio::ip::v6_only(false), error);
    if (!error) acceptor.bind(place, error);
    if (!error) acceptor.listen(kBacklog, error);
    if (!error) doors_.push_back({std::move(acceptor), asio::steady_timer(io_)});
    return error;
  }

  void Accept(Door& door) {
    door.acceptor.async_accept([this, &door](Error error, tcp::socket socket) {
      if (!error) {
        Welcome(std::move(socket));
        return Accept(door);
      }
      door.rest.expires_after(absl::ToChronoMilliseconds(kRest));
      door.rest.async_wait([this, &door](Error) { Accept(door); });
    });
  }

  void Welcome(tcp::socket socket) {
    if (visits_.size() == limits::kMetricsConnections) EndOne();
    if (pair_ != nullptr && pair_() != taken_) {
      const absl::Status status = TakePair();
      if (!status.ok()) log::Warning("the page of metrics keeps its certificate", {{"error", status.message()}});
    }
    const uint64_t number = ++last_;
    Error ignored;
    const asio::ip::address from = socket.remote_endpoint(ignored).address();
    const auto visit = VisitFor(std::move(socket), [this, number] { visits_.erase(number); });
    visits_.emplace(number, Guest{from, visit});
    visit->Begin();
  }

  // The oldest one of the address that has the most, so that a crowd is at its own expense.
  void EndOne() {
    std::map<asio::ip::address, int> counts;
    int most = 0;
    for (const auto& [number, guest] : visits_) most = std::max(most, ++counts[guest.from]);
    const auto one = std::find_if(visits_.begin(), visits_.end(),
                                  [&](const auto& each) { return counts[each.second.from] == most; });
    one->second.visit->End();
    visits_.erase(one);
  }

  std::shared_ptr<Visit> VisitFor(tcp::socket socket, std::function<void()> ended) {
    auto page = [this] { return Page(); };
    if (pair_ == nullptr) return std::make_shared<VisitOf<tcp_stream>>(page, ended, std::move(socket));
    return std::make_shared<VisitOf<TlsStream>>(page, ended, std::move(socket), *context_);
  }

  absl::Status TakePair() {
    taken_ = pair_();
    CROSSKEY_ASSIGN_OR_RETURN(context_, ContextOf(*taken_));
    return absl::OkStatus();
  }

  std::string Page() const {
    const auto registry = registry_.lock();
    return registry == nullptr ? "" : prometheus::TextSerializer().Serialize(registry->Collect());
  }

  const std::weak_ptr<prometheus::Registry> registry_;
  const std::function<PemPair()> pair_;
  PemPair taken_;
  TlsContext context_;  // connections that are open keep theirs
  asio::io_context io_{1};
  std::list<Door> doors_;
  uint64_t last_ = 0;
  std::map<uint64_t, Guest> visits_;  // by number, so the oldest is the first
  std::thread thread_;
};

absl::StatusOr<std::unique_ptr<MetricsServer>> MetricsServer::Start(const Metrics& metrics, const std::string& address,
                                                                    std::function<PemPair()> pair) {
  auto site = std::make_unique<Site>(metrics.weak_registry(), std::move(pair));
  CROSSKEY_RETURN_IF_ERROR(site->Open(address));
  site->Run();
  return std::unique_ptr<MetricsServer>(new MetricsServer(std::move(site)));
}

MetricsServer::MetricsServer(std::unique_ptr<Site> site) : site_(std::move(site)) {}

MetricsServer::~MetricsServer() = default;

int MetricsServer::port() const { return site_->port(); }

}  // namespace crosskey::telemetry
