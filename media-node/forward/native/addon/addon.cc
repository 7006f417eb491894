// The door to JavaScript: `create` makes an object with the methods of a new engine.
#include "methods.h"
#include "receiver.h"

namespace {

// The methods share the engine; the last one to be collected deletes it.
template <typename T>
struct Shared {
  T owner;
  size_t methods = 0;
};

template <typename T>
void release(napi_env, void*, void* hint) {
  auto* shared = static_cast<Shared<T>*>(hint);
  if (--shared->methods == 0) delete shared;
}

// An object with the methods of these lists, which find a new T as their owner. Null, with an exception that waits to be
// thrown, when this thread is about to end.
template <typename T>
napi_value makeObject(napi_env env, const std::vector<const std::vector<Method>*>& lists) {
  napi_value object = nullptr;
  if (napi_create_object(env, &object) != napi_ok) return nullptr;
  auto* shared = new Shared<T>;
  shared->methods = 1;  // this call, until it is over
  for (const auto* list : lists) {
    for (const Method& method : *list) {
      napi_value function = nullptr;
      if (napi_create_function(env, method.name, NAPI_AUTO_LENGTH, method.callback, &shared->owner, &function) != napi_ok ||
          napi_add_finalizer(env, function, shared, release<T>, shared, nullptr) != napi_ok) {
        object = nullptr;
        break;
      }
      shared->methods++;
      if (napi_set_named_property(env, object, method.name, function) != napi_ok) object = nullptr;
      if (object == nullptr) break;
    }
    if (object == nullptr) break;
  }
  release<T>(env, nullptr, shared);
  return object;
}

napi_value create(napi_env env, napi_callback_info) {
  return makeObject<Engine>(env, {&kSessionMethods, &kSendMethods, &kMemoryMethods});
}

napi_value createReceiver(napi_env env, napi_callback_info) {
  return makeObject<ReceiverOwner>(env, {&kReceiveMethods});
}

struct Export {
  const char* name;
  napi_callback callback;
};
constexpr Export kExports[] = {
    {"create", create},
    {"createReceiver", createReceiver},
};

}  // namespace

NAPI_MODULE_INIT() {
  for (const auto& [name, callback] : kExports) {
    napi_value function = nullptr;
    if (napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, nullptr, &function) != napi_ok) return nullptr;
    if (napi_set_named_property(env, exports, name, function) != napi_ok) return nullptr;
  }
  return exports;
}
