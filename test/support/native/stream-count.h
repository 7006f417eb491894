// The numbers of one RTP stream, as a viewer counts them: what came, what is missing, what came twice.
#pragma once
#include <cstddef>
#include <cstdint>

constexpr int kWindow = 1024;  // numbers in which what comes late or twice is told apart

struct StreamCount {
  uint32_t ssrc = 0;
  uint32_t payloadType = 0;
  int64_t first = -1, highest = -1;
  uint64_t unique = 0, gaps = 0, duplicates = 0;
  uint32_t timestamp = 0;
  uint64_t seen[kWindow / 64] = {};

  void note(uint16_t sequence, uint32_t at) {
    if (highest < 0) {
      first = highest = sequence;
      mark(highest);
      unique = 1;
      timestamp = at;
      return;
    }
    const int64_t extended = highest + int16_t(sequence - uint16_t(highest));
    if (extended > highest) {
      if (extended > highest + 1) gaps++;
      // Bits of numbers that left the window are those of numbers that come into it.
      const int64_t clear = extended - highest > kWindow ? extended - kWindow : highest;
      for (int64_t number = clear + 1; number <= extended; number++) seen[word(number)] &= ~bit(number);
      highest = extended;
      timestamp = at;
      mark(extended);
      unique++;
    } else if (extended > highest - kWindow && extended >= first) {
      if (seen[word(extended)] & bit(extended)) {
        duplicates++;
      } else {
        mark(extended);
        unique++;
      }
    }
  }
  static size_t word(int64_t number) { return size_t(number % kWindow) / 64; }
  static uint64_t bit(int64_t number) { return uint64_t(1) << (number % 64); }
  void mark(int64_t number) { seen[word(number)] |= bit(number); }
};
