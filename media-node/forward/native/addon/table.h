// Values behind small integers that are used again.
#pragma once
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

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
  // Throws std::range_error for a handle that is not open.
  T& get(int handle) {
    if (handle < 0 || size_t(handle) >= values_.size() || values_[size_t(handle)] == nullptr) {
      throw std::range_error("handle " + std::to_string(handle) + " is not open");
    }
    return *values_[size_t(handle)];
  }
  bool has(int handle) const { return handle >= 0 && handle < end() && values_[size_t(handle)] != nullptr; }
  // One more than the highest handle that ever was open.
  int end() const { return int(values_.size()); }
  void remove(int handle) {
    get(handle);
    values_[size_t(handle)] = nullptr;
    free_.push_back(handle);
  }

 private:
  std::vector<std::unique_ptr<T>> values_;
  std::vector<int> free_;
};
