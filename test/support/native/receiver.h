// The thread that reads the sockets of many viewers. It counts media by its clear headers and copies no payload. What is
// not media (STUN, DTLS) waits for JavaScript, and so does all that comes to a socket that is watched whole, with the
// kernel's time of its arrival.
#pragma once
#define NAPI_VERSION 8
#include <arpa/inet.h>
#include <node_api.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "stream-count.h"

constexpr int kBatch = 64;  // datagrams per system call
constexpr int kEvents = 512;
constexpr size_t kWhole = 2048;  // of a socket that is not yet counting, or watched whole
constexpr size_t kHead = 384;    // of one that counts: RTP headers, and any usual STUN message or alert
constexpr int kStreams = 4;      // of a viewer: sound, picture, and RTX of each
constexpr int kWaitMs = 50;
constexpr size_t kMaxWaiting = 65536;

// Written by the thread that reads, read by the other: single counters are good enough, as they only grow.
struct Slot {
  int id = 0, fd = -1;
  std::atomic<bool> counting{false}, closed{false};
  bool whole = false;
  uint64_t packets = 0, bytes = 0, rtcp = 0;
  double firstMs = -1;
  int streamCount = 0;
  StreamCount streams[kStreams];
};

struct Datagram {
  int slot;
  double atMs;
  std::string bytes;
};

// As performance.now() counts, less its origin, which JavaScript adds: CLOCK_MONOTONIC.
inline double monotonicMs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return double(now.tv_sec) * 1e3 + double(now.tv_nsec) / 1e6;
}

inline double realMs() {
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
    StreamCount* stream = nullptr;
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
