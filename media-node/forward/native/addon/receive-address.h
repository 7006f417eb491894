// Remote addresses as small integers. Only addresses that JavaScript claimed, after an authenticated check, are in the
// table: datagrams with forged senders leave nothing behind.
#pragma once
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/random.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <unordered_map>
#include <vector>

struct Address {
  sockaddr_storage storage = {};
  socklen_t length = 0;

  int family() const { return storage.ss_family; }
  uint16_t port() const {
    return ntohs(family() == AF_INET6 ? in6().sin6_port : in4().sin_port);
  }
  const sockaddr_in& in4() const { return reinterpret_cast<const sockaddr_in&>(storage); }
  const sockaddr_in6& in6() const { return reinterpret_cast<const sockaddr_in6&>(storage); }

  // From text, an IPv6 zone (%eth0 or %2) included; false when it is none.
  static bool parse(const char* text, uint16_t port, Address* into) {
    *into = Address();
    auto* v4 = reinterpret_cast<sockaddr_in*>(&into->storage);
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
      v4->sin_family = AF_INET;
      v4->sin_port = htons(port);
      into->length = sizeof *v4;
      return true;
    }
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&into->storage);
    const char* zone = strchr(text, '%');
    const std::string plain = zone == nullptr ? text : std::string(text, size_t(zone - text));
    if (inet_pton(AF_INET6, plain.c_str(), &v6->sin6_addr) != 1) {
      *into = Address();
      return false;
    }
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    if (zone != nullptr) {
      v6->sin6_scope_id = if_nametoindex(zone + 1);
      if (v6->sin6_scope_id == 0) v6->sin6_scope_id = uint32_t(strtoul(zone + 1, nullptr, 10));
    }
    into->length = sizeof *v6;
    return true;
  }
  // As `parse` reads it; `size` is at least kTextBytes.
  static constexpr size_t kTextBytes = INET6_ADDRSTRLEN + 1 + IF_NAMESIZE;
  void print(char* into, size_t size) const {
    into[0] = 0;
    if (family() == AF_INET) {
      inet_ntop(AF_INET, &in4().sin_addr, into, socklen_t(size));
      return;
    }
    inet_ntop(AF_INET6, &in6().sin6_addr, into, socklen_t(size));
    if (in6().sin6_scope_id == 0) return;
    char name[IF_NAMESIZE];
    const size_t used = strlen(into);
    if (if_indextoname(in6().sin6_scope_id, name) != nullptr) snprintf(into + used, size - used, "%%%s", name);
    else snprintf(into + used, size - used, "%%%u", in6().sin6_scope_id);
  }
};

// What makes an address itself, in words that can be hashed and compared.
struct AddressKey {
  uint64_t words[3] = {};

  explicit AddressKey(const Address& address) {
    if (address.family() == AF_INET6) {
      memcpy(words, &address.in6().sin6_addr, 16);
      words[2] = uint64_t(address.in6().sin6_scope_id) << 32 | 1u << 16 | address.in6().sin6_port;
    } else {
      words[0] = address.in4().sin_addr.s_addr;
      words[2] = address.in4().sin_port;
    }
  }
  bool operator==(const AddressKey& other) const { return memcmp(words, other.words, sizeof words) == 0; }
};

// Seeded: a client chooses its ports, and must not be able to choose collisions.
class AddressHash {
 public:
  AddressHash() {
    if (getrandom(&seed_, sizeof seed_, GRND_NONBLOCK) != ssize_t(sizeof seed_)) seed_ = uint64_t(uintptr_t(this));
  }
  size_t operator()(const AddressKey& key) const {
    uint64_t hash = seed_;
    for (const uint64_t word : key.words) {
      hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
      hash ^= hash >> 32;
    }
    return size_t(hash * 0xd6e8feb86659fd93u >> 16);
  }

 private:
  uint64_t seed_ = 0;
};

class AddressTable {
 public:
  static constexpr int kNone = -1;
  struct Entry {
    int opener = kNone;
    const AddressKey* address = nullptr;  // null: not in use
  };

  // The number of a new claim; whoever had the address before loses it.
  int claim(const Address& address, int opener) {
    const AddressKey key(address);
    const auto found = numbers_.find(key);
    if (found != numbers_.end()) release(found->second);
    const int number = nextNumber();
    const auto added = numbers_.emplace(key, number).first;
    entries_[size_t(number)] = {opener, &added->first};
    return number;
  }
  int find(const Address& address) const {
    const auto found = numbers_.find(AddressKey(address));
    return found == numbers_.end() ? kNone : found->second;
  }
  // Null when it is not in use.
  Entry* entry(int number) {
    if (number < 0 || size_t(number) >= entries_.size()) return nullptr;
    Entry& found = entries_[size_t(number)];
    return found.address == nullptr ? nullptr : &found;
  }
  void release(int number) {
    Entry* found = entry(number);
    if (found == nullptr) return;
    numbers_.erase(numbers_.find(*found->address));
    *found = {};
    released_.push_back(number);
  }
  // Numbers that were released come into use again only now: a batch that is being handed over may still name them.
  void recycle() {
    free_.insert(free_.end(), released_.begin(), released_.end());
    released_.clear();
  }
  size_t size() const { return numbers_.size(); }

 private:
  int nextNumber() {
    if (free_.empty()) {
      entries_.push_back({});
      return int(entries_.size() - 1);
    }
    const int number = free_.back();
    free_.pop_back();
    return number;
  }
  std::unordered_map<AddressKey, int, AddressHash> numbers_;
  std::vector<Entry> entries_;
  std::vector<int> free_, released_;
};
