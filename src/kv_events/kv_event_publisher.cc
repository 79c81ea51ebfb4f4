#include "kv_events/kv_event_publisher.h"

#include <fmt/core.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <zmq.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <deque>
#include <limits>
#include <mutex>
#include <thread>
#include <utility>

#include "base/log.h"

#ifdef __SANITIZE_THREAD__
// Debian's libzmq is not instrumented: what its own threads pass to each other without locks looks like
// races.
extern "C" const char* __tsan_default_suppressions() {
  return "called_from_lib:libzmq.so\n";
}
#endif

namespace pagoda {
namespace {

constexpr int kLingerMs = 200;        // what the kernel has not taken by then is lost at the end
constexpr int64_t kRequestMax = 256;  // bytes of a request for replay; more closes its connection

using SequenceBytes = std::array<uint8_t, 8>;

SequenceBytes big_endian(uint64_t number) {
  SequenceBytes bytes;
  for (int i = 0; i < 8; ++i)
    bytes[static_cast<std::size_t>(i)] = static_cast<uint8_t>(number >> (56 - 8 * i));
  return bytes;
}

double seconds_since_1970() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

struct ZmqClose {
  void operator()(void* socket) const { zmq_close(socket); }
};
struct ZmqTerm {
  void operator()(void* context) const { zmq_ctx_term(context); }
};
using Socket = std::unique_ptr<void, ZmqClose>;
using Context = std::unique_ptr<void, ZmqTerm>;

// vLLM's rule: what many may come to is bound, a single address is connected to.
bool is_bound(const std::string& endpoint) {
  return endpoint.find('*') != std::string::npos || endpoint.find("::") != std::string::npos ||
         endpoint.starts_with("ipc://") || endpoint.starts_with("inproc://");
}

struct Endpoint {
  Socket socket;
  std::string name;
};

Result<Endpoint> open_socket(void* context, int type, const std::string& address, bool bind, int hwm) {
  Endpoint out{Socket(zmq_socket(context, type)), address};
  const int ipv6 = address.find("::") != std::string::npos || address.find('[') != std::string::npos;
  const int linger = kLingerMs;
  void* socket = out.socket.get();
  zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger);
  zmq_setsockopt(socket, ZMQ_IPV6, &ipv6, sizeof ipv6);
  zmq_setsockopt(socket, ZMQ_SNDHWM, &hwm, sizeof hwm);
  zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &kRequestMax, sizeof kRequestMax);  // of what is received
  if ((bind ? zmq_bind(socket, address.c_str()) : zmq_connect(socket, address.c_str())) != 0)
    return invalid_argument(fmt::format("KV events cannot be published at '{}': {}; choose another with "
                                        "--kv-events-config",
                                        address, zmq_strerror(zmq_errno())),
                            "kv-events-config");
  char name[256];
  std::size_t size = sizeof name;
  if (bind && zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, name, &size) == 0) out.name = name;
  return out;
}

// The frames of one message; those beyond the third are dropped and counted.
int receive(void* socket, std::array<std::string, 3>* frames) {
  int count = 0, more = 1;
  while (more != 0) {
    zmq_msg_t message;
    zmq_msg_init(&message);
    if (zmq_msg_recv(&message, socket, ZMQ_DONTWAIT) < 0) return 0;
    if (count < 3)
      (*frames)[static_cast<std::size_t>(count)].assign(static_cast<const char*>(zmq_msg_data(&message)),
                                                        zmq_msg_size(&message));
    more = zmq_msg_more(&message);
    zmq_msg_close(&message);
    ++count;
  }
  return count;
}

}  // namespace

struct KvEventPublisher::Impl {
  Impl(KvEventsConfig publisher_config, const KvEventFormat& event_format, KvEventMetrics event_metrics)
      : config(std::move(publisher_config)), format(event_format), metrics(event_metrics) {}
  ~Impl();

  void run();
  void attempt(void (Impl::*work)()) noexcept;
  void send_waiting();
  void answer_replays();
  void replay(const std::string& client, uint64_t first);

  const KvEventsConfig config;
  const KvEventFormat format;
  KvEventMetrics metrics;
  Context context;
  Endpoint live, replays;
  int wake_fd = -1;  // an eventfd: there is something in the queue, or the end

  struct Batch {
    uint64_t sequence;
    double timestamp;
    std::vector<KvEvent> events;
  };
  std::mutex mutex;
  std::deque<Batch> queue;  // under the mutex
  std::atomic<bool> stopping{false};
  uint64_t next_sequence = 0;  // the publishing thread's

  // The own thread's.
  std::deque<Batch> taken;
  bool has_warned = false;                            // of a malformed request; once is enough
  std::deque<std::pair<uint64_t, std::string>> sent;  // the last buffer_steps
  std::thread thread;
};

KvEventPublisher::Impl::~Impl() {
  stopping.store(true);
  if (wake_fd >= 0) eventfd_write(wake_fd, 1);
  if (thread.joinable()) thread.join();
  if (wake_fd >= 0) ::close(wake_fd);
}

void KvEventPublisher::Impl::run() {
  std::array<zmq_pollitem_t, 2> items = {
      {{nullptr, wake_fd, ZMQ_POLLIN, 0}, {replays.socket.get(), 0, ZMQ_POLLIN, 0}}};
  const int num_items = replays.socket ? 2 : 1;
  while (!stopping.load()) {
    if (zmq_poll(items.data(), num_items, -1) < 0) continue;  // a signal
    if (items[0].revents != 0) {
      eventfd_t unused;
      eventfd_read(wake_fd, &unused);
    }
    attempt(&Impl::send_waiting);
    if (num_items == 2 && items[1].revents != 0) attempt(&Impl::answer_replays);
  }
  attempt(&Impl::send_waiting);
}

// What there is no memory for is lost, and subscribers see it by the gap in the sequence.
void KvEventPublisher::Impl::attempt(void (Impl::*work)()) noexcept {
  try {
    (this->*work)();
  } catch (const std::exception& error) {
    metrics.dropped.add(static_cast<double>(taken.size()));
    taken.clear();
    log_error("KV events were lost: {}", error.what());
  }
}

// A subscriber that is too slow loses messages; the PUB socket drops them and never waits.
void KvEventPublisher::Impl::send_waiting() {
  {
    std::lock_guard lock(mutex);
    taken.swap(queue);
  }
  for (const Batch& batch : taken) {
    std::string payload = encode_kv_events(batch.timestamp, batch.events, format);
    const SequenceBytes number = big_endian(batch.sequence);
    void* socket = live.socket.get();
    zmq_send(socket, config.topic.data(), config.topic.size(), ZMQ_SNDMORE);
    zmq_send(socket, number.data(), number.size(), ZMQ_SNDMORE);
    zmq_send(socket, payload.data(), payload.size(), 0);
    metrics.published.add();
    sent.emplace_back(batch.sequence, std::move(payload));
    while (static_cast<int64_t>(sent.size()) > config.buffer_steps) sent.pop_front();
  }
  taken.clear();
}

// A few at a time: a subscriber that asks again and again does not keep new events from the others.
void KvEventPublisher::Impl::answer_replays() {
  constexpr int kAtATime = 16;
  std::array<std::string, 3> frames;
  for (int i = 0; i < kAtATime; ++i) {
    const int count = receive(replays.socket.get(), &frames);
    if (count == 0) return;
    const auto& [client, empty, number] = frames;
    if (count != 3 || !empty.empty() || number.size() != sizeof(uint64_t)) {
      if (!std::exchange(has_warned, true))
        log_warning(
            "A request for KV events was ignored: expected are an empty frame and a sequence number of 8 "
            "bytes");
      continue;
    }
    uint64_t first = 0;
    for (char byte : number) first = first << 8 | static_cast<uint8_t>(byte);
    replay(client, first);
  }
}

void KvEventPublisher::Impl::replay(const std::string& client, uint64_t first) {
  // Asking for the events takes in which messages clients have read since; sends do so once in a while, and
  // would still count a client's last replay against its high-water mark.
  int events = 0;
  std::size_t size = sizeof events;
  zmq_getsockopt(replays.socket.get(), ZMQ_EVENTS, &events, &size);
  auto send = [&](uint64_t sequence, const std::string& payload) {
    const SequenceBytes number = big_endian(sequence);
    void* socket = replays.socket.get();
    zmq_send(socket, client.data(), client.size(), ZMQ_SNDMORE | ZMQ_DONTWAIT);
    zmq_send(socket, "", 0, ZMQ_SNDMORE | ZMQ_DONTWAIT);
    zmq_send(socket, number.data(), number.size(), ZMQ_SNDMORE | ZMQ_DONTWAIT);
    zmq_send(socket, payload.data(), payload.size(), ZMQ_DONTWAIT);
  };
  for (const auto& [sequence, payload] : sent) {
    if (sequence < first) continue;
    send(sequence, payload);
    metrics.replayed.add();
  }
  constexpr auto kEnd = static_cast<uint64_t>(-1);
  send(kEnd, {});
}

Result<std::unique_ptr<KvEventPublisher>> KvEventPublisher::open(const KvEventsConfig& config,
                                                                 const KvEventFormat& format,
                                                                 KvEventMetrics metrics) {
  auto impl = std::make_unique<Impl>(config, format, metrics);
  impl->context.reset(zmq_ctx_new());
  void* context = impl->context.get();
  PAGODA_TRY(impl->live, open_socket(context, ZMQ_PUB, config.endpoint, is_bound(config.endpoint),
                                     static_cast<int>(config.hwm)));
  if (!config.replay_endpoint.empty()) {
    // ROUTER drops what is more. A client's reads count in steps of half the mark, and a client that has its
    // last replay whole has room for another.
    const int64_t hwm = std::min<int64_t>(2 * (config.buffer_steps + 1), std::numeric_limits<int>::max());
    PAGODA_TRY(impl->replays,
               open_socket(context, ZMQ_ROUTER, config.replay_endpoint, true, static_cast<int>(hwm)));
  }
  impl->wake_fd = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (impl->wake_fd < 0) return Status(StatusCode::kIo, "no descriptor is left for the KV events' publisher");
  impl->thread = std::thread([raw = impl.get()] { raw->run(); });
  return std::unique_ptr<KvEventPublisher>(new KvEventPublisher(std::move(impl)));
}

KvEventPublisher::KvEventPublisher(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
KvEventPublisher::~KvEventPublisher() = default;

void KvEventPublisher::publish(std::vector<KvEvent>&& events) {
  Impl& impl = *impl_;
  {
    std::lock_guard lock(impl.mutex);
    impl.queue.push_back({impl.next_sequence++, seconds_since_1970(), std::move(events)});
    if (static_cast<int64_t>(impl.queue.size()) > impl.config.max_queue_size) {
      impl.queue.pop_front();
      impl.metrics.dropped.add();
    }
  }
  eventfd_write(impl.wake_fd, 1);
}

const std::string& KvEventPublisher::endpoint() const {
  return impl_->live.name;
}
const std::string& KvEventPublisher::replay_endpoint() const {
  return impl_->replays.name;
}

}  // namespace pagoda
