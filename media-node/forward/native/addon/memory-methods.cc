// Memory of the addon that JavaScript reads and writes where it is. Each view keeps what it shows alive.
#include "methods.h"

namespace {

Engine& engineOf(Call& call) { return call.owner<Engine>(); }

constexpr double kMinLog = 256;
constexpr double kMaxLog = 256 * 1024 * 1024;

template <typename T>
void letGo(napi_env, void*, void* hint) {
  delete static_cast<std::shared_ptr<T>*>(hint);
}

template <typename T>
napi_value arrayBuffer(napi_env env, const std::shared_ptr<T>& owner, void* data, size_t length) {
  auto* hint = new std::shared_ptr<T>(owner);
  napi_value buffer = nullptr;
  if (napi_create_external_arraybuffer(env, data, length, letGo<T>, hint, &buffer) != napi_ok) {
    delete hint;
    throw std::runtime_error("no view of the addon's memory can be made");
  }
  return buffer;
}

// group, bytes: an ArrayBuffer for its packets. The one before lives as long as somebody looks at it.
napi_value openLog(Call& call) {
  Group& group = engineOf(call).groups.get(call.handle(0));
  auto log = std::make_shared<PacketLog>(size_t(call.integer(1, kMinLog, kMaxLog)));
  const napi_value view = arrayBuffer(call.env(), log, log->data.get(), log->size);
  group.log = log;
  group.written = 0;
  return view;
}

// Those of the engine, in the order of `Counters`.
napi_value counters(Call& call) {
  const auto& all = engineOf(call).counters;
  return arrayBuffer(call.env(), all, all.get(), sizeof(Counters));
}

// sink: those of 1024 sinks, of which it is one; packets and bytes of each
napi_value sinkCounters(Call& call) {
  Engine& engine = engineOf(call);
  const int sink = call.handle(0);
  engine.sinks.get(sink);
  const auto& chunk = engine.sinkCounters.chunks()[size_t(sink) / SinkCounterTable::kChunk];
  return arrayBuffer(call.env(), chunk, chunk->data(), sizeof *chunk);
}

}  // namespace

const std::vector<Method> kMemoryMethods = {
    {"openLog", entryOf<openLog>},
    {"counters", entryOf<counters>},
    {"sinkCounters", entryOf<sinkCounters>},
};
