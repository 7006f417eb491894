import { describe, expect, it } from 'vitest';
import { createReceiveMeter, createSendMeter, type StatsEntry } from './stats.ts';

const transport: StatsEntry[] = [
  { id: 'T', type: 'transport', selectedCandidatePairId: 'P' },
  { id: 'P0', type: 'candidate-pair', currentRoundTripTime: 9, nominated: true },
  { id: 'P', type: 'candidate-pair', currentRoundTripTime: 0.012 },
  { id: 'C', type: 'codec', mimeType: 'video/H264' },
  { id: 'A', type: 'codec', mimeType: 'audio/opus' },
];

function sent(timestamp: number, bytes: number, packets: number, lost: number): StatsEntry[] {
  const video = { type: 'outbound-rtp', kind: 'video', timestamp, codecId: 'C' };
  return [
    ...transport,
    {
      ...video,
      id: 'h',
      rid: 'h',
      frameWidth: 1280,
      frameHeight: 720,
      framesPerSecond: 30,
      framesEncoded: bytes,
      bytesSent: bytes,
      packetsSent: packets,
      qualityLimitationReason: 'cpu',
    },
    {
      ...video,
      id: 'l',
      rid: 'l',
      frameWidth: 320,
      frameHeight: 180,
      framesEncoded: 5,
      bytesSent: 1000,
      packetsSent: 10,
    },
    {
      id: 'a',
      type: 'outbound-rtp',
      kind: 'audio',
      timestamp,
      codecId: 'A',
      bytesSent: bytes / 10,
      packetsSent: packets,
    },
    { id: 'r', type: 'remote-inbound-rtp', timestamp, packetsLost: lost, roundTripTime: 0.5 },
  ];
}

describe('createSendMeter', () => {
  it('knows sizes at once and rates from the second report on', () => {
    const first = createSendMeter().update(sent(1000, 50_000, 100, 0));
    expect(first).toMatchObject({ width: 1280, height: 720, framesPerSecond: 30, bitrateBps: null, lossRatio: null });
    expect(first).toMatchObject({ videoCodec: 'H264', audioCodec: 'opus', limitation: 'cpu', roundTripMs: 12 });
  });

  it('measures the time between two reports', () => {
    const meter = createSendMeter();
    meter.update(sent(1000, 50_000, 100, 2));
    const second = meter.update(sent(3000, 300_000, 200, 7));
    // 250 000 bytes of video and 25 000 of audio in two seconds; the low layer stood still.
    expect(second.bitrateBps).toBe(1_100_000);
    expect(second.lossRatio).toBeCloseTo(5 / 200);
    expect(second.activeLayers).toBe(1);
  });

  it('gives unknowns, not nonsense, for an empty report', () => {
    const empty = createSendMeter().update([]);
    expect(empty).toEqual({
      videoCodec: null,
      audioCodec: null,
      width: null,
      height: null,
      framesPerSecond: null,
      bitrateBps: null,
      roundTripMs: null,
      lossRatio: null,
      limitation: null,
      activeLayers: 0,
    });
  });
});

function received(timestamp: number, values: Record<string, number>): StatsEntry[] {
  return [...transport, { id: 'v', type: 'inbound-rtp', kind: 'video', timestamp, codecId: 'C', ...values }];
}

describe('createReceiveMeter', () => {
  const before = {
    bytesReceived: 0,
    packetsReceived: 100,
    packetsLost: 4,
    framesDecoded: 10,
    totalDecodeTime: 0.1,
    jitterBufferDelay: 1,
    jitterBufferEmittedCount: 10,
    jitter: 0.004,
    nackCount: 3,
    pliCount: 1,
    firCount: 1,
    freezeCount: 2,
  };

  it('measures rates and means over the interval, totals over the session', () => {
    const meter = createReceiveMeter();
    meter.update(received(1000, before));
    const second = meter.update(
      received(2000, {
        ...before,
        bytesReceived: 125_000,
        packetsReceived: 190,
        packetsLost: 14,
        framesDecoded: 40,
        totalDecodeTime: 0.16,
        jitterBufferDelay: 1.6,
        jitterBufferEmittedCount: 40,
      }),
    );
    expect(second).toMatchObject({ bitrateBps: 1_000_000, framesPerSecond: 30, jitterMs: 4, nacks: 3 });
    expect(second).toMatchObject({ keyframeRequests: 2, freezes: 2, framesDecoded: 40, videoCodec: 'H264' });
    expect(second.jitterBufferMs).toBeCloseTo(20);
    expect(second.decodeMs).toBeCloseTo(2);
    expect(second.lossRatio).toBeCloseTo(0.1);
  });

  it('shows no rate when counters went back, and no mean over nothing', () => {
    const meter = createReceiveMeter();
    meter.update(received(1000, { ...before, bytesReceived: 500_000 }));
    const second = meter.update(received(2000, { ...before, packetsLost: 2 }));
    expect(second.bitrateBps).toBeNull();
    expect(second.jitterBufferMs).toBeNull();
    expect(second.lossRatio).toBeNull();
  });

  it('takes the pair that Firefox marks as selected', () => {
    const report: StatsEntry[] = [
      { id: 'x', type: 'candidate-pair', selected: false, currentRoundTripTime: 1 },
      { id: 'y', type: 'candidate-pair', selected: true, currentRoundTripTime: 0.02 },
    ];
    expect(createReceiveMeter().update(report).roundTripMs).toBe(20);
  });
});
