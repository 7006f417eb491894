// Sockets of many viewers, read by one thread that counts media by its clear headers and copies no payload. What is
// not media (STUN, DTLS) goes to JavaScript, and so does all that comes to a socket that is watched whole, with the
// kernel's time of its arrival.
#define NAPI_VERSION 8
#include <arpa/inet.h>
#include <node_api.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

namespace {

constexpr int kBatch = 64;        // datagrams per system call
constexpr int kEvents = 512;
constexpr size_t kWhole = 2048;   // of a socket that is not yet counting, or watched whole
constexpr size_t kHead = 384;     // of one that counts: RTP headers, and any usual STUN message or alert
constexpr int kStreams = 4;       // of a viewer: sound, picture, and RTX of each
constexpr int kWindow = 1024;     // numbers in which what comes late or twice is told apart
constexpr int kWaitMs = 50;
constexpr size_t kMaxWaiting = 65536;

struct Stream {
  uint32_t ssrc = 0;
  uint32_t payloadType = 0;
  int64_t first = -1, highest = -1;
  uint64_t unique = 0, gaps = 0, duplicates = 0;
  uint32_t timestamp = 0;
  uint64_t seen[kWindow / 64] = {};

  void note(uint16_t sequence, uint32_t at) {
    if (highest < 0) {
      first = highest = sequence;
      mark(highest);
      unique = 1;
      timestamp = at;
      return;
    }
    const int64_t extended = highest + int16_t(sequence - uint16_t(highest));
    if (extended > highest) {
      if (extended > highest + 1) gaps++;
      // Bits of numbers that left the window are those of numbers that come into it.
      const int64_t clear = extended - highest > kWindow ? extended - kWindow : highest;
      for (int64_t number = clear + 1; number <= extended; number++) seen[word(number)] &= ~bit(number);
      highest = extended;
      timestamp = at;
      mark(extended);
      unique++;
    } else if (extended > highest - kWindow && extended >= first) {
      if (seen[word(extended)] & bit(extended)) {
        duplicates++;
      } else {
        mark(extended);
        unique++;
      }
    }
  }
  static size_t word(int64_t number) { return size_t(number % kWindow) / 64; }
  static uint64_t bit(int64_t number) { return uint64_t(1) << (number % 64); }
  void mark(int64_t number) { seen[word(number)] |= bit(number); }
};

// Written by the thread that reads, read by the other: single counters are good enough, as they only grow.
struct Slot {
  int id = 0, fd = -1;
  std::atomic<bool> counting{false}, closed{false};
  bool whole = false;
  uint64_t packets = 0, bytes = 0, rtcp = 0;
  double firstMs = -1;
  int streamCount = 0;
  Stream streams[kStreams];
};

struct Datagram {
  int slot;
  double atMs;
  std::string bytes;
};

// As performance.now() counts, less its origin, which JavaScript adds: CLOCK_MONOTONIC.
double monotonicMs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return double(now.tv_sec) * 1e3 + double(now.tv_nsec) / 1e6;
}

double realMs() {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return double(now.tv_sec) * 1e3 + double(now.tv_nsec) / 1e6;
}

class Receiver {
 public:
  napi_threadsafe_function wake = nullptr;
  std::atomic<uint64_t> cpuNs{0}, calls{0}, cut{0};

  explicit Receiver(double restMs) : restNs_(long(restMs * 1e6)), epoll_(epoll_create1(EPOLL_CLOEXEC)) {
    for (int i = 0; i < kBatch; i++) {
      vectors_[i].iov_base = buffers_[i];
      memset(&messages_[i], 0, sizeof messages_[i]);
      messages_[i].msg_hdr.msg_iov = &vectors_[i];
      messages_[i].msg_hdr.msg_iovlen = 1;
    }
    running_ = pthread_create(&thread_, nullptr, [](void* self) -> void* {
                 static_cast<Receiver*>(self)->run();
                 return nullptr;
               }, this) == 0;
  }

  void stop() {
    if (!running_) return;
    running_ = false;
    stopping_ = true;
    pthread_join(thread_, nullptr);
    for (auto& entry : slots_) {
      close(entry.second->fd);
      delete entry.second;
    }
    slots_.clear();
    close(epoll_);
  }

  Slot* open(uint32_t address, bool whole, int receiveBytes) {
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return nullptr;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receiveBytes, sizeof receiveBytes);
    const int on = 1;
    if (whole) setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
    sockaddr_in local = {};
    local.sin_family = AF_INET;
    local.sin_addr.s_addr = htonl(address);
    auto* slot = new Slot();
    slot->id = nextId_++;
    slot->fd = fd;
    slot->whole = whole;
    epoll_event event = {};
    event.events = EPOLLIN;
    event.data.ptr = slot;
    if (bind(fd, reinterpret_cast<sockaddr*>(&local), sizeof local) != 0 ||
        epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) {
      const int error = errno;
      close(fd);
      delete slot;
      errno = error;
      return nullptr;
    }
    slots_[slot->id] = slot;
    return slot;
  }

  Slot* find(int id) {
    const auto found = slots_.find(id);
    return found == slots_.end() ? nullptr : found->second;
  }

  // The thread may be at it just now: it ends what is left.
  void release(Slot* slot) {
    slots_.erase(slot->id);
    slot->closed = true;
    epoll_ctl(epoll_, EPOLL_CTL_DEL, slot->fd, nullptr);
    std::lock_guard<std::mutex> guard(mutex_);
    released_.push_back(slot);
  }

  std::vector<Datagram> take() {
    std::lock_guard<std::mutex> guard(mutex_);
    signalled_ = false;
    return std::move(waiting_);
  }

 private:
  void run() {
    std::vector<epoll_event> events(kEvents);
    while (!stopping_) {
      free();
      const int ready = epoll_wait(epoll_, events.data(), kEvents, kWaitMs);
      for (int i = 0; i < ready; i++) drain(static_cast<Slot*>(events[size_t(i)].data.ptr));
      timespec used;
      clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
      cpuNs = uint64_t(used.tv_sec) * 1000000000u + uint64_t(used.tv_nsec);
      // What comes meanwhile waits in the sockets' buffers and is read together.
      if (ready < kEvents && restNs_ > 0) {
        const timespec rest = {0, restNs_};
        nanosleep(&rest, nullptr);
      }
    }
    free();
  }

  void free() {
    std::vector<Slot*> released;
    {
      std::lock_guard<std::mutex> guard(mutex_);
      released.swap(released_);
    }
    for (auto* slot : released) {
      close(slot->fd);
      delete slot;
    }
  }

  void drain(Slot* slot) {
    for (int got = kBatch; got == kBatch && !slot->closed;) {
      const bool heads = slot->counting && !slot->whole;
      for (int i = 0; i < kBatch; i++) {
        vectors_[i].iov_len = heads ? kHead : kWhole;
        messages_[i].msg_hdr.msg_control = slot->whole ? controls_[i] : nullptr;
        messages_[i].msg_hdr.msg_controllen = slot->whole ? sizeof controls_[i] : 0;
      }
      got = recvmmsg(slot->fd, messages_, kBatch, MSG_DONTWAIT | MSG_TRUNC, nullptr);
      calls++;
      for (int i = 0; i < got; i++) one(slot, buffers_[i], messages_[i]);
    }
  }

  void one(Slot* slot, const uint8_t* data, mmsghdr& message) {
    const size_t length = message.msg_len;
    const size_t read = std::min(length, vectors_[0].iov_len);
    if (length >= 12 && data[0] >= 128 && data[0] < 192) {
      if (data[1] >= 192 && data[1] <= 223) slot->rtcp++;
      else count(slot, data, length);
      if (!slot->whole) return;
    }
    if (length > read) {
      cut++;
      return;
    }
    pass(slot->id, arrival(message), data, length);
  }

  void count(Slot* slot, const uint8_t* data, size_t length) {
    if (slot->packets == 0) slot->firstMs = monotonicMs();
    slot->packets++;
    slot->bytes += length;
    uint32_t ssrc, timestamp;
    memcpy(&timestamp, data + 4, 4);
    memcpy(&ssrc, data + 8, 4);
    ssrc = ntohl(ssrc);
    Stream* stream = nullptr;
    for (int i = 0; i < slot->streamCount && stream == nullptr; i++) {
      if (slot->streams[i].ssrc == ssrc) stream = &slot->streams[i];
    }
    if (stream == nullptr) {
      if (slot->streamCount == kStreams) return;
      stream = &slot->streams[slot->streamCount];
      stream->ssrc = ssrc;
      stream->payloadType = data[1] & 0x7f;
      slot->streamCount++;
    }
    stream->note(uint16_t(data[2] << 8 | data[3]), ntohl(timestamp));
  }

  double arrival(mmsghdr& message) {
    for (cmsghdr* at = CMSG_FIRSTHDR(&message.msg_hdr); at != nullptr; at = CMSG_NXTHDR(&message.msg_hdr, at)) {
      if (at->cmsg_level != SOL_SOCKET || at->cmsg_type != SCM_TIMESTAMPNS) continue;
      timespec stamp;
      memcpy(&stamp, CMSG_DATA(at), sizeof stamp);
      const double real = double(stamp.tv_sec) * 1e3 + double(stamp.tv_nsec) / 1e6;
      return monotonicMs() - (realMs() - real);
    }
    return monotonicMs();
  }

  void pass(int slot, double atMs, const uint8_t* data, size_t length) {
    bool signal;
    {
      std::lock_guard<std::mutex> guard(mutex_);
      if (waiting_.size() >= kMaxWaiting) {
        cut++;
        return;
      }
      waiting_.push_back({slot, atMs, std::string(reinterpret_cast<const char*>(data), length)});
      signal = !signalled_;
      signalled_ = true;
    }
    if (signal) napi_call_threadsafe_function(wake, nullptr, napi_tsfn_nonblocking);
  }

  long restNs_;
  int epoll_;
  int nextId_ = 1;
  pthread_t thread_ = {};
  bool running_ = false;
  std::atomic<bool> stopping_{false};
  std::unordered_map<int, Slot*> slots_;
  std::mutex mutex_;
  std::vector<Datagram> waiting_;
  std::vector<Slot*> released_;
  bool signalled_ = false;
  mmsghdr messages_[kBatch];
  iovec vectors_[kBatch];
  alignas(cmsghdr) char controls_[kBatch][64];
  uint8_t buffers_[kBatch][kWhole];
};

// ---- The door to JavaScript. Its only caller is `native-receiver.ts`. ----

struct Call {
  napi_env env;
  napi_value values[5] = {};
  size_t count = 5;
  Receiver* receiver = nullptr;

  Call(napi_env e, napi_callback_info info) : env(e) {
    napi_get_cb_info(env, info, &count, values, nullptr, reinterpret_cast<void**>(&receiver));
  }
  double number(size_t index) {
    double value = 0;
    napi_get_value_double(env, values[index], &value);
    return value;
  }
  bool truth(size_t index) {
    bool value = false;
    napi_get_value_bool(env, values[index], &value);
    return value;
  }
  Slot* slot() { return receiver->find(int(number(0))); }
  uint8_t* bytes(size_t index, size_t* length) {
    void* data = nullptr;
    *length = 0;
    napi_get_typedarray_info(env, values[index], nullptr, length, &data, nullptr, nullptr);
    return static_cast<uint8_t*>(data);
  }
  double* doubles(size_t index, size_t least) {
    size_t length = 0;
    auto* data = reinterpret_cast<double*>(bytes(index, &length));
    return length < least ? nullptr : data;
  }
  napi_value result(double value) {
    napi_value made;
    napi_create_double(env, value, &made);
    return made;
  }
};

napi_value fail(napi_env env, const char* what) {
  napi_throw_error(env, nullptr, (std::string(what) + ": " + strerror(errno)).c_str());
  return nullptr;
}

// open(address, whole, receiveBytes): a socket on a free port.
napi_value open(napi_env env, napi_callback_info info) {
  Call call(env, info);
  Slot* slot = call.receiver->open(uint32_t(call.number(0)), call.truth(1), int(call.number(2)));
  return slot == nullptr ? fail(env, "no socket") : call.result(slot->id);
}

napi_value port(napi_env env, napi_callback_info info) {
  Call call(env, info);
  Slot* slot = call.slot();
  sockaddr_in local = {};
  socklen_t length = sizeof local;
  if (slot == nullptr || getsockname(slot->fd, reinterpret_cast<sockaddr*>(&local), &length) != 0) return call.result(0);
  return call.result(ntohs(local.sin_port));
}

// connect(slot, address, port)
napi_value connectTo(napi_env env, napi_callback_info info) {
  Call call(env, info);
  Slot* slot = call.slot();
  sockaddr_in remote = {};
  remote.sin_family = AF_INET;
  remote.sin_addr.s_addr = htonl(uint32_t(call.number(1)));
  remote.sin_port = htons(uint16_t(call.number(2)));
  if (slot != nullptr && connect(slot->fd, reinterpret_cast<sockaddr*>(&remote), sizeof remote) != 0) {
    return fail(env, "connect");
  }
  return nullptr;
}

// send(slot, bytes): lost when the kernel refuses it.
napi_value send(napi_env env, napi_callback_info info) {
  Call call(env, info);
  Slot* slot = call.slot();
  size_t length;
  const uint8_t* data = call.bytes(1, &length);
  if (slot != nullptr) (void)!::send(slot->fd, data, length, MSG_DONTWAIT | MSG_NOSIGNAL);
  return nullptr;
}

// count(slot): from now on only the heads of datagrams are read.
napi_value count(napi_env env, napi_callback_info info) {
  Call call(env, info);
  if (Slot* slot = call.slot()) slot->counting = true;
  return nullptr;
}

napi_value release(napi_env env, napi_callback_info info) {
  Call call(env, info);
  if (Slot* slot = call.slot()) call.receiver->release(slot);
  return nullptr;
}

// counters(slot, into): packets, bytes, rtcp, firstMs, dropped by a full socket, streams; then of each stream eight.
constexpr size_t kSlotCounters = 6, kStreamCounters = 8;
napi_value counters(napi_env env, napi_callback_info info) {
  Call call(env, info);
  Slot* slot = call.slot();
  double* into = call.doubles(1, kSlotCounters + kStreams * kStreamCounters);
  if (slot == nullptr || into == nullptr) return nullptr;
  uint32_t memory[9] = {};
  socklen_t length = sizeof memory;
  constexpr int kMemInfo = 55, kDrops = 8;  // SO_MEMINFO, SK_MEMINFO_DROPS
  getsockopt(slot->fd, SOL_SOCKET, kMemInfo, memory, &length);
  const double head[] = {double(slot->packets), double(slot->bytes), double(slot->rtcp),
                         slot->firstMs,         double(memory[kDrops]), double(slot->streamCount)};
  memcpy(into, head, sizeof head);
  for (int i = 0; i < slot->streamCount; i++) {
    const Stream& s = slot->streams[i];
    const double values[] = {double(s.ssrc),      double(s.payloadType), double(s.first),      double(s.highest),
                             double(s.unique),    double(s.gaps),        double(s.duplicates), double(s.timestamp)};
    memcpy(into + kSlotCounters + size_t(i) * kStreamCounters, values, sizeof values);
  }
  return nullptr;
}

// totals(into): CPU seconds of the reading thread, its system calls, datagrams too long to be read.
napi_value totals(napi_env env, napi_callback_info info) {
  Call call(env, info);
  double* into = call.doubles(0, 3);
  if (into == nullptr) return nullptr;
  into[0] = double(call.receiver->cpuNs) / 1e9;
  into[1] = double(call.receiver->calls);
  into[2] = double(call.receiver->cut);
  return nullptr;
}

void deliver(napi_env env, napi_value callback, void* context, void*) {
  if (env == nullptr) return;
  napi_value undefined;
  napi_get_undefined(env, &undefined);
  for (const auto& datagram : static_cast<Receiver*>(context)->take()) {
    napi_handle_scope scope;
    napi_open_handle_scope(env, &scope);
    napi_value arguments[3];
    napi_create_double(env, datagram.slot, &arguments[0]);
    napi_create_buffer_copy(env, datagram.bytes.size(), datagram.bytes.data(), nullptr, &arguments[1]);
    napi_create_double(env, datagram.atMs, &arguments[2]);
    napi_call_function(env, undefined, callback, 3, arguments, nullptr);
    bool pending = false;
    napi_is_exception_pending(env, &pending);
    napi_close_handle_scope(env, scope);
    if (pending) return;
  }
}

// create(onDatagram, restMs): one for the whole process; it ends with it.
napi_value create(napi_env env, napi_callback_info info) {
  Call call(env, info);
  auto* receiver = new Receiver(call.number(1));
  napi_value name, object;
  napi_create_string_utf8(env, "receiver", NAPI_AUTO_LENGTH, &name);
  napi_create_threadsafe_function(env, call.values[0], nullptr, name, 0, 1, nullptr, nullptr, receiver, deliver,
                                  &receiver->wake);
  napi_unref_threadsafe_function(env, receiver->wake);
  napi_add_env_cleanup_hook(env, [](void* ended) { static_cast<Receiver*>(ended)->stop(); }, receiver);
  napi_create_object(env, &object);
  const std::pair<const char*, napi_callback> methods[] = {{"open", open},       {"port", port},         {"connect", connectTo},
                                                           {"send", send},       {"count", count},       {"release", release},
                                                           {"counters", counters}, {"totals", totals}};
  for (const auto& method : methods) {
    napi_value made;
    napi_create_function(env, method.first, NAPI_AUTO_LENGTH, method.second, receiver, &made);
    napi_set_named_property(env, object, method.first, made);
  }
  return object;
}

}  // namespace

NAPI_MODULE_INIT() {
  napi_value made;
  napi_create_function(env, "create", NAPI_AUTO_LENGTH, create, nullptr, &made);
  napi_set_named_property(env, exports, "create", made);
  return exports;
}
