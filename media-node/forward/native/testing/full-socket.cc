// Two sockets in a time of its own: one takes nothing from 100 to 1100 ms, the other takes everything. A datagram for each
// every millisecond, as the fan-out hands them over: none while a socket is full. Prints what became of them.
#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>

namespace {
constexpr int kFull = 10, kFree = 11;
constexpr size_t kBytes = 1000;
constexpr int kEndMs = 1300, kFullFromMs = 100, kFullToMs = 1100;
int nowMs = 0;
int sent[2] = {0, 0};
int worstMs = 0;  // of the free socket

int fakeSendmmsg(int fd, mmsghdr* messages, unsigned count, int) {
  if (fd == kFull && nowMs >= kFullFromMs && nowMs < kFullToMs) {
    errno = EAGAIN;
    return -1;
  }
  for (unsigned i = 0; i < count; i++) {
    const msghdr& header = messages[i].msg_hdr;
    for (size_t v = 0; v < header.msg_iovlen; v++) {
      const auto* bytes = static_cast<const char*>(header.msg_iov[v].iov_base);
      for (size_t at = 0; at < header.msg_iov[v].iov_len; at += kBytes) {
        int cameMs;
        memcpy(&cameMs, bytes + at, sizeof cameMs);
        sent[fd - kFull]++;
        if (fd == kFree && nowMs - cameMs > worstMs) worstMs = nowMs - cameMs;
      }
    }
  }
  return int(count);
}
}  // namespace

#define sendmmsg fakeSendmmsg
#define nowUs systemUs
#include "destination.h"
#undef nowUs
static int64_t nowUs() { return 1'000'000 + int64_t(nowMs) * 1000; }
#include "out-queue.h"

int main() {
  Counters counters;
  OutQueue out(counters);
  Destination destinations[2];
  destinations[0].fd = kFull;
  destinations[1].fd = kFree;
  std::vector<int> waiting;
  for (; nowMs < kEndMs; nowMs++) {
    waiting.push_back(nowMs);
    if (!out.flush()) continue;
    for (const int cameMs : waiting) {
      for (auto& destination : destinations) {
        uint8_t* to = out.reserve(kBytes);
        if (to == nullptr) return 1;
        memset(to, 0, kBytes);
        memcpy(to, &cameMs, sizeof cameMs);
        out.commit(&destination, kBytes);
      }
    }
    waiting.clear();
    out.flush();
  }
  printf("{\"ms\":%d,\"full\":%d,\"free\":%d,\"worstMs\":%d,\"dropped\":%.0f}\n", kEndMs, sent[0], sent[1], worstMs,
         counters.dropped);
}
