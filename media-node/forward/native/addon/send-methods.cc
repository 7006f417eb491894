// Packets from JavaScript on their way out, and what was counted of them.
#include "methods.h"

namespace {

Engine& engineOf(Call& call) { return call.owner<Engine>(); }

// Float64Array layout that ../packet-descriptor.ts writes.
enum { kPayloadOffset, kPayloadLength, kMarker, kPaddingOnly, kSequence, kTimestamp, kMask, kOffsets };
constexpr size_t kLengths = kOffsets + kCopied;
constexpr size_t kDescriptor = kLengths + kCopied;

size_t inside(double offset, double length, size_t end) {
  if (!(offset >= 0 && length >= 0 && offset + length <= double(end))) {
    throw std::range_error("the packet's parts lie outside of its bytes");
  }
  return size_t(offset);
}

Packet readPacket(Call& call, size_t index) {
  const auto bytes = call.bytes(index);
  const double* from = call.doubles(index + 1, kDescriptor);
  Packet packet = {};
  packet.bytes = bytes.data;
  packet.payload = bytes.data + inside(from[kPayloadOffset], from[kPayloadLength], bytes.length);
  packet.payloadLength = size_t(from[kPayloadLength]);
  if (packet.payloadLength > kMaxPayload) throw std::range_error("the payload is too long");
  packet.marker = from[kMarker] != 0;
  packet.paddingOnly = from[kPaddingOnly] != 0;
  packet.sequence = from[kSequence];
  packet.timestamp = from[kTimestamp];
  packet.extensionMask = toUint32(from[kMask]) & ((1u << kCopied) - 1);
  for (size_t i = 0; i < kCopied; i++) {
    if (!(packet.extensionMask >> i & 1)) continue;
    const double length = from[kLengths + i];
    const size_t offset = inside(from[kOffsets + i], length, bytes.length);
    if (length > 0xff || offset > 0xffff) throw std::range_error("a header extension is too long");
    packet.extensionOffset[i] = uint16_t(offset);
    packet.extensionLength[i] = uint8_t(length);
  }
  return packet;
}

// group, bytes, descriptor
double fanout(Call& call) {
  const auto& group = engineOf(call).groups.get(call.handle(0));
  engineOf(call).fanout(group, readPacket(call, 1));
  return 0;
}

// sink, bytes, descriptor, extended sequence, timestamp, [out]: queued, or written into `out`; the length
template <size_t (Engine::*protect)(Sink&, const Packet&, double, double, uint8_t*)>
double sendPacket(Call& call) {
  Engine& engine = engineOf(call);
  auto& sink = engine.sinks.get(call.handle(0));
  const Packet packet = readPacket(call, 1);
  const double sequence = call.number(3), timestamp = call.number(4);
  if (protect == &Engine::protectRtx && !sink.hasRtx) return 0;
  if (call.given(5)) {
    const auto out = call.bytes(5);
    if (out.length < kMaxDatagram) throw std::range_error("the buffer is too short");
    return double((engine.*protect)(sink, packet, sequence, timestamp, out.data));
  }
  const size_t length = (engine.*protect)(sink, packet, sequence, timestamp, engine.out.reserve(kMaxDatagram));
  engine.out.commit(&sink.peer->destination, length);
  return double(length);
}

// peer, bytes, length, [in place]: queued, or protected where it is; the new length
double sendRtcp(Call& call) {
  const auto& peer = engineOf(call).peers.get(call.handle(0));
  const auto bytes = call.bytes(1);
  const auto length = size_t(call.integer(2, kRtcpClear, kMaxPayload));
  const bool inPlace = call.given(3);
  if (length + (inPlace ? kSrtpOverhead : 0) > bytes.length) throw std::range_error("the buffer is too short");
  if (peer->srtp.rtcpExhausted()) throw std::range_error("SRTCP index exhausted");
  if (inPlace) return double(peer->srtp.protectRtcp(bytes.data, length));
  uint8_t* to = engineOf(call).out.reserve(length + kSrtpOverhead);
  memcpy(to, bytes.data, length);
  const size_t total = peer->srtp.protectRtcp(to, length);
  engineOf(call).out.commit(&peer->destination, total);
  return double(total);
}

double sinkCounters(Call& call) {
  const auto& sink = engineOf(call).sinks.get(call.handle(0));
  double* into = call.doubles(1, 2);
  into[0] = sink.packets;
  into[1] = sink.bytes;
  return 0;
}

double counters(Call& call) {
  const Counters& all = engineOf(call).out.counters;
  const double values[] = {all.packets, all.bytes, all.failed, all.systemCalls, all.segmented, all.waits};
  memcpy(call.doubles(0, 6), values, sizeof values);
  return 0;
}

double flush(Call& call) {
  engineOf(call).out.flush();
  return 0;
}

}  // namespace

const std::vector<Method> kSendMethods = {
    {"fanout", entry<fanout>},
    {"sendOne", entry<sendPacket<&Engine::protect>>},
    {"sendRtx", entry<sendPacket<&Engine::protectRtx>>},
    {"sendRtcp", entry<sendRtcp>},
    {"sinkCounters", entry<sinkCounters>},
    {"counters", entry<counters>},
    {"flush", entry<flush>},
};
