// Packets from JavaScript on their way out.
#include "methods.h"

namespace {

Engine& engineOf(Call& call) { return call.owner<Engine>(); }

// Float64Array layout that ../packet-descriptor.ts writes.
enum { kPayloadOffset, kPayloadLength, kMarker, kPaddingOnly, kSequence, kTimestamp, kMask, kOffsets };
constexpr size_t kLengths = kOffsets + kCopied;
constexpr size_t kDescriptor = kLengths + kCopied;
constexpr double kMaxPosition = 9e15;
constexpr double kMaxRows = 1024;

size_t inside(double offset, double length, size_t end) {
  if (!(offset >= 0 && length >= 0 && offset + length <= double(end))) {
    throw std::range_error("the packet's parts lie outside of its bytes");
  }
  return size_t(offset);
}

Packet describedPacket(Call& call, size_t index) {
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

Packet storedPacket(const Group& group, double start, double length) {
  if (group.log == nullptr) throw std::range_error("the group has no log");
  const double size = double(group.log->size);
  Packet packet = {};
  const bool isCount = start >= 0 && start < kMaxPosition && length >= 0 && std::trunc(start) == start;
  const double offset = isCount ? std::fmod(start, size) : 0;
  if (!isCount || !(offset + length <= size) ||
      !readPacket(group.log->data.get() + size_t(offset), size_t(length), group.sourceIds, packet)) {
    throw std::range_error("there is no packet at this place");
  }
  return packet;
}

// group, bytes, descriptor: of a packet that is not in the group's log. 1: held for those that follow in its frame
double fanout(Call& call) {
  Group& group = engineOf(call).groups.get(call.handle(0));
  Packet packet = describedPacket(call, 1);
  const size_t length = call.bytes(1).length;
  auto copy = std::make_shared<PacketLog>(length);
  if (length > 0) memcpy(copy->data.get(), packet.bytes, length);
  packet.payload = copy->data.get() + (packet.payload - packet.bytes);
  packet.bytes = copy->data.get();
  return engineOf(call).queue.add(group, {packet, copy, -1, nowUs()}) ? 0 : 1;
}

// group, where in its log, length, sequence number. 1: held
double fanoutStored(Call& call) {
  Group& group = engineOf(call).groups.get(call.handle(0));
  const double start = call.number(1), length = call.number(2), sequence = call.number(3);
  Packet packet = storedPacket(group, start, length);
  packet.sequence = sequence;
  group.written = std::max(group.written, start + length);
  return engineOf(call).queue.add(group, {packet, group.log, start, nowUs()}) ? 0 : 1;
}

using Protect = size_t (Sink::*)(const Packet&, double, double, uint8_t*);

// Queued, or written into the argument at `outIndex` when there is one; the length.
double sendPacket(Call& call, bool asRtx, Sink& sink, const Packet& packet, double sequence, double timestamp,
                  size_t outIndex) {
  const Protect protect = asRtx ? &Sink::protectRtx : &Sink::protect;
  if (call.given(outIndex)) {
    const auto out = call.bytes(outIndex);
    if (out.length < kMaxDatagram) throw std::range_error("the buffer is too short");
    return double((sink.*protect)(packet, sequence, timestamp, out.data));
  }
  // RTX is a stream of its own: what waits may leave after it, with its frame.
  uint8_t* to = asRtx ? engineOf(call).reserve(kMaxDatagram) : engineOf(call).reserveBehind(sink);
  if (to == nullptr) return 0;
  const size_t length = (sink.*protect)(packet, sequence, timestamp, to);
  engineOf(call).commit(*sink.peer, length);
  return double(length);
}

// sink, bytes, descriptor, extended sequence, timestamp, [out]
template <bool asRtx>
double sendDescribed(Call& call) {
  Sink& sink = engineOf(call).sinks.get(call.handle(0));
  const Packet packet = describedPacket(call, 1);
  const double sequence = call.number(3), timestamp = call.number(4);
  if (asRtx && !sink.hasRtx) return 0;
  return sendPacket(call, asRtx, sink, packet, sequence, timestamp, 5);
}

// Float64Array layout of each packet that ../../stored-packets.ts writes.
enum { kRowStart, kRowLength, kRowSequence, kRowTimestamp, kRow };

// sink, group, rows, first row, rows after the last one, 1 by RTX or 0, [out, of one packet]; the length of the last one
double sendStored(Call& call) {
  Sink& sink = engineOf(call).sinks.get(call.handle(0));
  const Group& group = engineOf(call).groups.get(call.handle(1));
  const auto first = size_t(call.integer(3, 0, kMaxRows)), end = size_t(call.integer(4, 0, kMaxRows));
  const double* rows = call.doubles(2, end * kRow);
  const bool asRtx = call.integer(5, 0, 1) == 1;
  double length = 0;
  if (asRtx && !sink.hasRtx) return 0;
  for (size_t i = first; i < end; i++) {
    const double* row = rows + i * kRow;
    const Packet packet = storedPacket(group, row[kRowStart], row[kRowLength]);
    length = sendPacket(call, asRtx, sink, packet, row[kRowSequence],
                        row[kRowTimestamp], 6);
  }
  return length;
}

// peer, bytes, length, [in place]: queued, or protected where it is; the new length
double sendRtcp(Call& call) {
  Engine& engine = engineOf(call);
  Peer& peer = *engine.peers.get(call.handle(0));
  const auto bytes = call.bytes(1);
  const auto length = size_t(call.integer(2, kRtcpClear, kMaxPayload));
  const bool inPlace = call.given(3);
  if (length + (inPlace ? kSrtpOverhead : 0) > bytes.length) throw std::range_error("the buffer is too short");
  if (peer.srtp.rtcpExhausted()) throw std::range_error("SRTCP index exhausted");
  if (inPlace) return double(peer.srtp.protectRtcp(bytes.data, length));
  // Media need not have left before it: its counts are of what has.
  uint8_t* to = engine.reserve(length + kSrtpOverhead);
  if (to == nullptr) return 0;
  memcpy(to, bytes.data, length);
  const size_t total = peer.srtp.protectRtcp(to, length);
  engine.commit(peer, total);
  return double(total);
}

double flush(Call& call) { return engineOf(call).work(); }

}  // namespace

const std::vector<Method> kSendMethods = {
    {"fanout", entry<fanout>},
    {"fanoutStored", entry<fanoutStored>},
    {"sendOne", entry<sendDescribed<false>>},
    {"sendRtx", entry<sendDescribed<true>>},
    {"sendStored", entry<sendStored>},
    {"sendRtcp", entry<sendRtcp>},
    {"flush", entry<flush>},
};
