// Sockets of many viewers for JavaScript: its only caller is `native-receiver.ts`. The thread behind it is in receiver.h.
#include "receiver.h"

#include <utility>

namespace {

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
    const StreamCount& s = slot->streams[i];
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
