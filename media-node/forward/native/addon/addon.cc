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

// An object with the methods of these lists, which find a new T as their owner.
template <typename T>
napi_value makeObject(napi_env env, const std::vector<const std::vector<Method>*>& lists) {
  napi_value object;
  napi_create_object(env, &object);
  auto* shared = new Shared<T>;
  for (const auto* list : lists) shared->methods += list->size();
  for (const auto* list : lists) {
    for (const Method& method : *list) {
      napi_value function;
      napi_create_function(env, method.name, NAPI_AUTO_LENGTH, method.callback, &shared->owner, &function);
      napi_add_finalizer(env, function, shared, release<T>, shared, nullptr);
      napi_set_named_property(env, object, method.name, function);
    }
  }
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
    napi_value function;
    napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, nullptr, &function);
    napi_set_named_property(env, exports, name, function);
  }
  return exports;
}
