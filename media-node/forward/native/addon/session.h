// Peers, sinks and groups as ../../fanout-engine.ts describes them.
#pragma once
#include <deque>

#include "counters.h"
#include "destination.h"
#include "header.h"
#include "table.h"

constexpr size_t kRtxHeader = 2;
constexpr size_t kMaxDatagram = kMaxHeader + kRtxHeader + kMaxPayload + kSrtpOverhead;

struct Sink;
struct Group;

struct Peer {
  Peer(Profile profile, const uint8_t* keys) : srtp(profile, keys) {}
  SrtpSender srtp;
  Destination destination;
  std::vector<Sink*> sinks;

  void prefetch() const {
    __builtin_prefetch(&destination, 1);
    srtp.prefetch();
  }
};

struct Sink {
  std::shared_ptr<Peer> peer;  // lives on while its sinks do
  uint32_t ssrc;
  uint8_t payloadType;
  bool hasRtx;
  uint32_t rtxSsrc;
  uint8_t rtxPayloadType;
  HeaderWriter header;
  SinkCounters* counters = nullptr;
  Group* group = nullptr;
  size_t place = 0;
  uint64_t cursor = 0;  // number of the job that comes next for it
  double fromSequence = 0, sequenceDelta = 0, timestampDelta = 0;
  double rtxSequence = 0;

  void prefetch() const {
    prefetchLines(this, sizeof *this);
  }

  // Writes the protected packet; `to` has room for kMaxDatagram bytes.
  size_t protect(const Packet& packet, double sequence, double timestamp, uint8_t* to) {
    const size_t length = header.write(to, packet, ssrc, payloadType, toUint32(sequence), toUint32(timestamp));
    counters->packets++;
    if (!packet.paddingOnly) counters->bytes += double(packet.payloadLength);
    return peer->srtp.protectRtp(to, length, packet.payload, packet.payloadLength, rollover(sequence));
  }

  // RFC 4588 §4: the original sequence number, then the original payload.
  size_t protectRtx(const Packet& packet, double sequence, double timestamp, uint8_t* to) {
    const double own = ++rtxSequence;
    const size_t length = header.write(to, packet, rtxSsrc, rtxPayloadType, toUint32(own), toUint32(timestamp));
    uint8_t payload[kRtxHeader + kMaxPayload];
    put16(payload, toUint32(sequence));
    if (packet.payloadLength > 0) memcpy(payload + kRtxHeader, packet.payload, packet.payloadLength);
    return peer->srtp.protectRtp(to, length, payload, kRtxHeader + packet.payloadLength, rollover(own));
  }

 private:
  static uint32_t rollover(double sequence) { return toUint32(std::floor(sequence / 65536.0)); }
};

// A packet that not all sinks of its group were sent yet.
struct Job {
  Packet packet;
  std::shared_ptr<const PacketLog> log;  // what `packet` points into
  double start;                          // where in the log, as it is counted there; -1: the log is its own
  int64_t cameUs;
};

struct Group {
  std::vector<Sink*> sinks;
  std::deque<Job> jobs;
  uint64_t base = 0;  // number of the first of them
  // Sinks are served in turns, each with all that waits for it. A turn may take more than one call.
  size_t next = 0;
  uint64_t turnEnd = 0;  // what all sinks will have been sent when the turn is over
  bool listed = false;   // among those with jobs
  int64_t dueUs = 0;     // not to be sent before
  // Packets come in frames: the last one of each has its marker set.
  bool framed = false;
  uint8_t sourceIds[kCopied] = {};
  std::shared_ptr<PacketLog> log;
  double written = 0;  // up to where in the log packets have been sent

  uint64_t end() const { return base + jobs.size(); }
  // Whether the packet has been overwritten meanwhile.
  bool isGone(const Job& job) const {
    return job.start >= 0 && job.log == log && written - job.start > double(log->size);
  }
  void add(Sink& sink) {
    sink.group = this;
    sink.place = sinks.size();
    sink.cursor = end();
    sinks.push_back(&sink);
  }
  // Those before `next` have been served in this turn, and stay before it.
  void remove(Sink& sink) {
    size_t hole = sink.place;
    if (hole < next) {
      next--;
      move(next, hole);
      hole = next;
    }
    move(sinks.size() - 1, hole);
    sinks.pop_back();
    sink.group = nullptr;
    if (sinks.empty()) forgetJobs();
  }
  void forgetJobs() {
    base = end();
    jobs.clear();
    next = 0;
  }

 private:
  void move(size_t from, size_t to) {
    sinks[to] = sinks[from];
    sinks[to]->place = to;
  }
};
