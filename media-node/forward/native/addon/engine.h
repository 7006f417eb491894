// Peers, sinks and groups as ../../fanout-engine.ts describes them, without JavaScript. Throws std::range_error for a
// handle that is not open and for numbers that make no sense.
#pragma once
#include "header.h"
#include "out-queue.h"

template <typename T>
class Table {
 public:
  int add(std::unique_ptr<T> value) {
    if (free_.empty()) {
      values_.push_back(std::move(value));
      return int(values_.size() - 1);
    }
    const int handle = free_.back();
    free_.pop_back();
    values_[size_t(handle)] = std::move(value);
    return handle;
  }
  T& get(int handle) {
    if (handle < 0 || size_t(handle) >= values_.size() || values_[size_t(handle)] == nullptr) {
      throw std::range_error("handle " + std::to_string(handle) + " is not open");
    }
    return *values_[size_t(handle)];
  }
  void remove(int handle) {
    get(handle);
    values_[size_t(handle)] = nullptr;
    free_.push_back(handle);
  }

 private:
  std::vector<std::unique_ptr<T>> values_;
  std::vector<int> free_;
};

struct Peer {
  Peer(Profile profile, const uint8_t* keys) : srtp(profile, keys) {}
  SrtpSender srtp;
  Destination destination;
};

struct Group;

struct Sink {
  std::shared_ptr<Peer> peer;  // lives on while its sinks do
  uint32_t ssrc;
  uint8_t payloadType;
  bool hasRtx;
  uint32_t rtxSsrc;
  uint8_t rtxPayloadType;
  HeaderWriter header;
  Group* group = nullptr;
  size_t place = 0;
  double fromSequence = 0, sequenceDelta = 0, timestampDelta = 0;
  double packets = 0, bytes = 0;
  double rtxSequence = 0;
};

struct Group {
  std::vector<Sink*> sinks;
};

class Engine {
 public:
  OutQueue out;
  Table<std::shared_ptr<Peer>> peers;
  Table<Sink> sinks;
  Table<Group> groups;

  int openPeer(Profile profile, const uint8_t* keys) {
    auto peer = std::make_shared<Peer>(profile, keys);
    return peers.add(std::make_unique<std::shared_ptr<Peer>>(std::move(peer)));
  }
  void closePeer(int peer) {
    setRoute(peer, Destination());
    peers.remove(peer);
  }
  // What waits goes the old way first.
  void setRoute(int peer, const Destination& destination) {
    auto& current = peers.get(peer)->destination;
    out.flush();
    current = destination;
  }
  void closeSink(int sink) {
    leave(sinks.get(sink));
    sinks.remove(sink);
  }
  void closeGroup(int group) {
    for (auto* sink : groups.get(group).sinks) sink->group = nullptr;
    groups.remove(group);
  }
  void join(Group& group, Sink& sink) {
    leave(sink);
    group.sinks.push_back(&sink);
    sink.group = &group;
    sink.place = group.sinks.size() - 1;
  }
  void leave(Sink& sink) {
    if (sink.group == nullptr) return;
    auto& sinks = sink.group->sinks;
    sinks[sink.place] = sinks.back();
    sinks[sink.place]->place = sink.place;
    sinks.pop_back();
    sink.group = nullptr;
  }

  void fanout(const Group& group, const Packet& packet) {
    for (auto* sink : group.sinks) {
      if (packet.sequence < sink->fromSequence) continue;
      const size_t length = protect(*sink, packet, packet.sequence + sink->sequenceDelta,
                                    packet.timestamp + sink->timestampDelta, out.reserve(kMaxDatagram));
      out.commit(&sink->peer->destination, length);
    }
  }

  // Writes the protected packet; `to` has room for kMaxDatagram bytes.
  size_t protect(Sink& sink, const Packet& packet, double sequence, double timestamp, uint8_t* to) {
    const size_t header =
        sink.header.write(to, packet, sink.ssrc, sink.payloadType, toUint32(sequence), toUint32(timestamp));
    sink.packets++;
    if (!packet.paddingOnly) sink.bytes += double(packet.payloadLength);
    return sink.peer->srtp.protectRtp(to, header, packet.payload, packet.payloadLength, rollover(sequence));
  }

  // RFC 4588 §4: the original sequence number, then the original payload.
  size_t protectRtx(Sink& sink, const Packet& packet, double sequence, double timestamp, uint8_t* to) {
    const double own = ++sink.rtxSequence;
    const size_t header =
        sink.header.write(to, packet, sink.rtxSsrc, sink.rtxPayloadType, toUint32(own), toUint32(timestamp));
    uint8_t payload[kRtxHeader + kMaxPayload];
    put16(payload, toUint32(sequence));
    if (packet.payloadLength > 0) memcpy(payload + kRtxHeader, packet.payload, packet.payloadLength);
    return sink.peer->srtp.protectRtp(to, header, payload, kRtxHeader + packet.payloadLength, rollover(own));
  }

 private:
  static uint32_t rollover(double sequence) { return toUint32(std::floor(sequence / 65536.0)); }
};
