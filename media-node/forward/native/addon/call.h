// One call from JavaScript: checks every argument, turns C++ exceptions into JavaScript ones, and knows nothing else.
#pragma once
#define NAPI_VERSION 8
#include <node_api.h>

#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <string>

constexpr size_t kMaxArguments = 8;

class Call {
 public:
  Call(napi_env env, napi_callback_info info) : env_(env) {
    void* data = nullptr;
    count_ = kMaxArguments;
    napi_get_cb_info(env, info, &count_, values_, nullptr, &data);
    owner_ = data;
  }
  // What the methods of one `create` call share.
  template <typename T>
  T& owner() {
    return *static_cast<T*>(owner_);
  }
  napi_env env() const { return env_; }
  // As it came.
  napi_value value(size_t index) { return at(index); }
  // Writes the Latin-1 text with a zero at its end; longer text than `size` allows is refused.
  void text(size_t index, char* into, size_t size) {
    size_t length = 0;
    if (napi_get_value_string_latin1(env_, at(index), nullptr, 0, &length) != napi_ok) {
      throw std::invalid_argument(name(index, "a string"));
    }
    if (length >= size) throw std::range_error(name(index, "a shorter string"));
    napi_get_value_string_latin1(env_, values_[index], into, size, &length);
  }

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
  void* owner_ = nullptr;
  size_t count_;
  napi_value values_[kMaxArguments];
};

// A method that makes its result itself.
template <napi_value (*method)(Call&)>
napi_value entryOf(napi_env env, napi_callback_info info) {
  try {
    Call call(env, info);
    return method(call);
  } catch (const std::invalid_argument& error) {
    napi_throw_type_error(env, nullptr, error.what());
  } catch (const std::range_error& error) {
    napi_throw_range_error(env, nullptr, error.what());
  } catch (const std::exception& error) {
    napi_throw_error(env, nullptr, error.what());
  }
  return nullptr;
}

// A method whose result is a number.
template <double (*method)(Call&)>
napi_value numberOf(Call& call) {
  return call.result(method(call));
}
template <double (*method)(Call&)>
constexpr napi_callback entry = entryOf<numberOf<method>>;

struct Method {
  const char* name;
  napi_callback callback;
};
