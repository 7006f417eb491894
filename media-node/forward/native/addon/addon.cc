// The door to JavaScript: checks every argument, turns C++ exceptions into JavaScript ones, and knows nothing else.
#define NAPI_VERSION 8
#include <net/if.h>
#include <node_api.h>

#include "engine.h"

namespace {

// Shared by the methods of one `create` call; the last one to be collected deletes it.
struct Shared {
  Engine engine;
  int methods = 0;
};

constexpr size_t kMaxArguments = 8;

class Call {
 public:
  Call(napi_env env, napi_callback_info info) : env_(env) {
    void* data = nullptr;
    count_ = kMaxArguments;
    napi_get_cb_info(env, info, &count_, values_, nullptr, &data);
    engine = &static_cast<Shared*>(data)->engine;
  }
  Engine* engine;

  struct Bytes {
    uint8_t* data;
    size_t length;
  };

  double number(size_t index) {
    double value;
    if (napi_get_value_double(env_, at(index), &value) != napi_ok) throw std::invalid_argument(name(index, "a number"));
    return value;
  }
  double integer(size_t index, double least, double most) {
    const double value = number(index);
    if (!(value >= least && value <= most) || std::trunc(value) != value) {
      throw std::range_error(name(index, "an integer in its range"));
    }
    return value;
  }
  int handle(size_t index) { return int(integer(index, 0, 0x7fffffff)); }
  uint32_t word(size_t index) { return uint32_t(integer(index, 0, 0xffffffff)); }
  uint8_t byte(size_t index) { return uint8_t(integer(index, 0, 0xff)); }
  Bytes bytes(size_t index) { return typed(index, napi_uint8_array, "a Uint8Array"); }
  double* doubles(size_t index, size_t count) {
    const Bytes found = typed(index, napi_float64_array, "a Float64Array");
    if (found.length < count) throw std::range_error(name(index, "a longer Float64Array"));
    return reinterpret_cast<double*>(found.data);
  }
  bool given(size_t index) {
    napi_valuetype type;
    return index < count_ && napi_typeof(env_, values_[index], &type) == napi_ok && type != napi_undefined;
  }
  napi_value result(double value) {
    napi_value made;
    napi_create_double(env_, value, &made);
    return made;
  }

 private:
  Bytes typed(size_t index, napi_typedarray_type wanted, const char* what) {
    bool isTyped = false;
    napi_typedarray_type type;
    size_t length = 0;
    void* data = nullptr;
    if (napi_is_typedarray(env_, at(index), &isTyped) != napi_ok || !isTyped ||
        napi_get_typedarray_info(env_, values_[index], &type, &length, &data, nullptr, nullptr) != napi_ok ||
        type != wanted) {
      throw std::invalid_argument(name(index, what));
    }
    return {static_cast<uint8_t*>(data), data == nullptr ? 0 : length};
  }
  napi_value at(size_t index) {
    if (index >= count_) throw std::invalid_argument(name(index, "given"));
    return values_[index];
  }
  static std::string name(size_t index, const char* what) {
    return "argument " + std::to_string(index + 1) + " must be " + what;
  }
  napi_env env_;
  size_t count_;
  napi_value values_[kMaxArguments];
};

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

double openPeer(Call& call) {
  const auto profile = Profile(int(call.integer(0, 0, 2)));
  const auto keys = call.bytes(1);
  if (keys.length != SrtpSender::keysLength(profile)) throw std::range_error("the keys have a wrong length");
  return call.engine->openPeer(profile, keys.data);
}

double closePeer(Call& call) {
  call.engine->closePeer(call.handle(0));
  return 0;
}

// peer, fd (-1: none), address (4 or 16 bytes), port, index or name of the zone of a link-local address
double setRoute(Call& call) {
  const int peer = call.handle(0);
  Destination to;
  to.fd = int(call.integer(1, -1, 0x7fffffff));
  if (to.fd >= 0) {
    const auto address = call.bytes(2);
    const auto port = uint16_t(call.integer(3, 1, 0xffff));
    const auto zone = call.bytes(4);
    if (address.length == 4) {
      auto* in = reinterpret_cast<sockaddr_in*>(&to.address);
      in->sin_family = AF_INET;
      in->sin_port = htons(port);
      memcpy(&in->sin_addr, address.data, 4);
      to.addressLength = sizeof *in;
    } else if (address.length == 16) {
      auto* in = reinterpret_cast<sockaddr_in6*>(&to.address);
      in->sin6_family = AF_INET6;
      in->sin6_port = htons(port);
      memcpy(&in->sin6_addr, address.data, 16);
      const std::string text(reinterpret_cast<const char*>(zone.data), zone.length);
      in->sin6_scope_id = text.empty() ? 0 : if_nametoindex(text.c_str());
      to.addressLength = sizeof *in;
    } else {
      throw std::range_error("an address has 4 or 16 bytes");
    }
  }
  call.engine->setRoute(peer, to);
  return 0;
}

// peer, ssrc, payload type, RTX ssrc, RTX payload type (255: no RTX), id of mid, mid, copied ids
double openSink(Call& call) {
  const auto peer = call.engine->peers.get(call.handle(0));
  const auto mid = call.bytes(6);
  const auto copied = call.bytes(7);
  const uint8_t rtxPayloadType = call.byte(4);
  if (mid.length > kMaxMid) throw std::range_error("the mid is too long");
  if (copied.length != kCopied) throw std::range_error("a wrong count of extension ids");
  const std::string text(reinterpret_cast<const char*>(mid.data), mid.length);
  return call.engine->sinks.add(std::unique_ptr<Sink>(
      new Sink{peer, call.word(1), uint8_t(call.byte(2) & 0x7f), rtxPayloadType != 0xff, call.word(3),
               uint8_t(rtxPayloadType & 0x7f), HeaderWriter(call.byte(5), text, copied.data)}));
}

double closeSink(Call& call) {
  call.engine->closeSink(call.handle(0));
  return 0;
}

double openGroup(Call& call) { return call.engine->groups.add(std::make_unique<Group>()); }

double closeGroup(Call& call) {
  call.engine->closeGroup(call.handle(0));
  return 0;
}

// group, sink, from sequence, sequence delta, timestamp delta
double join(Call& call) {
  auto& group = call.engine->groups.get(call.handle(0));
  auto& sink = call.engine->sinks.get(call.handle(1));
  const double from = call.number(2), sequenceDelta = call.number(3), timestampDelta = call.number(4);
  call.engine->join(group, sink);
  sink.fromSequence = from;
  sink.sequenceDelta = sequenceDelta;
  sink.timestampDelta = timestampDelta;
  return 0;
}

double leave(Call& call) {
  call.engine->leave(call.engine->sinks.get(call.handle(0)));
  return 0;
}

// group, bytes, descriptor
double fanout(Call& call) {
  const auto& group = call.engine->groups.get(call.handle(0));
  call.engine->fanout(group, readPacket(call, 1));
  return 0;
}

// sink, bytes, descriptor, extended sequence, timestamp, [out]: queued, or written into `out`; the length
template <size_t (Engine::*protect)(Sink&, const Packet&, double, double, uint8_t*)>
double sendPacket(Call& call) {
  Engine& engine = *call.engine;
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
  const auto& peer = call.engine->peers.get(call.handle(0));
  const auto bytes = call.bytes(1);
  const auto length = size_t(call.integer(2, kRtcpClear, kMaxPayload));
  const bool inPlace = call.given(3);
  if (length + (inPlace ? kSrtpOverhead : 0) > bytes.length) throw std::range_error("the buffer is too short");
  if (peer->srtp.rtcpExhausted()) throw std::range_error("SRTCP index exhausted");
  if (inPlace) return double(peer->srtp.protectRtcp(bytes.data, length));
  uint8_t* to = call.engine->out.reserve(length + kSrtpOverhead);
  memcpy(to, bytes.data, length);
  const size_t total = peer->srtp.protectRtcp(to, length);
  call.engine->out.commit(&peer->destination, total);
  return double(total);
}

double sinkCounters(Call& call) {
  const auto& sink = call.engine->sinks.get(call.handle(0));
  double* into = call.doubles(1, 2);
  into[0] = sink.packets;
  into[1] = sink.bytes;
  return 0;
}

double counters(Call& call) {
  const Counters& all = call.engine->out.counters;
  const double values[] = {all.packets, all.bytes, all.failed, all.systemCalls, all.segmented, all.waits};
  memcpy(call.doubles(0, 6), values, sizeof values);
  return 0;
}

double flush(Call& call) {
  call.engine->out.flush();
  return 0;
}

template <double (*method)(Call&)>
napi_value entry(napi_env env, napi_callback_info info) {
  try {
    Call call(env, info);
    return call.result(method(call));
  } catch (const std::invalid_argument& error) {
    napi_throw_type_error(env, nullptr, error.what());
  } catch (const std::range_error& error) {
    napi_throw_range_error(env, nullptr, error.what());
  } catch (const std::exception& error) {
    napi_throw_error(env, nullptr, error.what());
  }
  return nullptr;
}

void release(napi_env, void* data, void*) {
  auto* shared = static_cast<Shared*>(data);
  if (--shared->methods == 0) delete shared;
}

struct Method {
  const char* name;
  napi_callback callback;
};
constexpr Method kMethods[] = {
    {"openPeer", entry<openPeer>},
    {"closePeer", entry<closePeer>},
    {"setRoute", entry<setRoute>},
    {"openSink", entry<openSink>},
    {"closeSink", entry<closeSink>},
    {"openGroup", entry<openGroup>},
    {"closeGroup", entry<closeGroup>},
    {"join", entry<join>},
    {"leave", entry<leave>},
    {"fanout", entry<fanout>},
    {"sendOne", entry<sendPacket<&Engine::protect>>},
    {"sendRtx", entry<sendPacket<&Engine::protectRtx>>},
    {"sendRtcp", entry<sendRtcp>},
    {"sinkCounters", entry<sinkCounters>},
    {"counters", entry<counters>},
    {"flush", entry<flush>},
};

// An object with the methods of a new engine.
napi_value create(napi_env env, napi_callback_info) {
  napi_value object;
  napi_create_object(env, &object);
  auto* shared = new Shared;
  shared->methods = int(sizeof kMethods / sizeof *kMethods);
  for (const auto& method : kMethods) {
    napi_value function;
    napi_create_function(env, method.name, NAPI_AUTO_LENGTH, method.callback, shared, &function);
    napi_add_finalizer(env, function, shared, release, nullptr, nullptr);
    napi_set_named_property(env, object, method.name, function);
  }
  return object;
}

}  // namespace

NAPI_MODULE_INIT() {
  napi_value function;
  napi_create_function(env, "create", NAPI_AUTO_LENGTH, create, nullptr, &function);
  napi_set_named_property(env, exports, "create", function);
  return exports;
}
