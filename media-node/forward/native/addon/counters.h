// Numbers that JavaScript reads where they are, as Float64Arrays over this memory; ../native-counters.ts has the same lists.
#pragma once
#include <array>
#include <cstddef>
#include <memory>
#include <vector>

struct Counters {
  double packets = 0, bytes = 0;
  double failed = 0;       // the kernel refused, or there was no way out
  double systemCalls = 0;
  double segmented = 0;    // packets in messages that the kernel cut
  double waits = 0;        // times that a socket's buffer was full
  double dropped = 0;      // not sent: waited too long, or no room was left to wait in
  double delayed = 0;      // sent, but late
  double room = 0;         // packets that may be handed over for single viewers in this turn
  double sendBuffer = 0;   // bytes granted to the last socket that was asked for
  double messages = 0;     // what packets left in: one each, or several that the kernel cut
  double tooLate = 0;      // of those dropped: waited too long
  double noRoom = 0;       // of those dropped: a full socket left no room
};
constexpr size_t kCounters = sizeof(Counters) / sizeof(double);

struct SinkCounters {
  double packets = 0, bytes = 0;
};

// Counters of sinks by handle. A chunk never moves.
class SinkCounterTable {
 public:
  static constexpr size_t kChunk = 1024;
  using Chunk = std::array<SinkCounters, kChunk>;

  SinkCounters& at(size_t handle) {
    while (chunks_.size() <= handle / kChunk) chunks_.push_back(std::make_shared<Chunk>());
    return (*chunks_[handle / kChunk])[handle % kChunk];
  }
  const std::vector<std::shared_ptr<Chunk>>& chunks() const { return chunks_; }

 private:
  std::vector<std::shared_ptr<Chunk>> chunks_;
};
