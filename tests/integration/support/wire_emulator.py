"""Ethernet frames from one interface to the other and back, with a network's faults: delay, jitter, loss, copies, reordering, a
rate with a bounded queue. What `tc netem` does, on kernels that have none, and the same faults for the same seed.

    wire_emulator.py LEFT RIGHT JSON    {"delay_ms": 10, "jitter_ms": 0, "loss": 0.01, "duplicate": 0, "reorder": 0, "rate_mbit": 0,
                                         "queue": 100, "seed": 1}

Loss, duplicate and reorder are shares of frames each way; a reordered frame is late by another delay (3 ms at least). Frames of offload (larger
than the MTU, checksums left out) go on as they are (PACKET_VNET_HDR). Needs root. Says "ready" and ends with its input.
"""
import heapq
import json
import random
import select
import socket
import sys
import time

SO_RCVBUFFORCE, SOL_PACKET, PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING = 33, 263, 15, 23


def opened(link):
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    wire.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    wire.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    wire.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
    wire.bind((link, 0))
    wire.setblocking(False)
    return wire


class Way:
    """One direction."""

    def __init__(self, target, faults, number):
        self.target, self.faults = target, faults
        self.chance = random.Random(faults.get("seed", 1) * 2 + number)
        self.free_at, self.last_at = 0.0, 0.0

    def due(self, frame, now):
        """Times at which it is sent; none: lost."""
        faults, chance = self.faults, self.chance.random
        if not (frame[10 + 12] == 8 and frame[10 + 13] == 6):  # ARP is never lost
            if chance() < faults.get("loss", 0):
                return []
        at = now
        rate = faults.get("rate_mbit", 0) * 1e6 / 8
        if rate:
            took = len(frame) / rate
            if self.free_at - now > faults.get("queue", 100) * 1500 / rate:
                return []
            self.free_at = at = max(self.free_at, now) + took
        at += faults.get("delay_ms", 0) / 1e3
        if chance() < faults.get("reorder", 0):
            return [at + max(faults.get("delay_ms", 0), 3) / 1e3]
        # jitter alone keeps the order, as a queue does
        self.last_at = at = max(self.last_at, at + faults.get("jitter_ms", 0) / 1e3 * chance())
        return [at, at + 0.0005] if chance() < faults.get("duplicate", 0) else [at]


def forward(wire, way, waiting, count):
    for _ in range(64):
        try:
            frame = wire.recv(1 << 17)
        except BlockingIOError:
            return count
        now = time.monotonic()
        for at in way.due(frame, now):
            count += 1
            heapq.heappush(waiting, (at, count, way.target, frame))
    return count


def main():
    left, right = opened(sys.argv[1]), opened(sys.argv[2])
    faults = json.loads(sys.argv[3])
    ways = {left: Way(right, faults, 0), right: Way(left, faults, 1)}
    waiting, count = [], 0
    print("ready", flush=True)
    while True:
        pause = max(0.0, waiting[0][0] - time.monotonic()) if waiting else 1.0
        readable = select.select([left, right, sys.stdin], [], [], pause)[0]
        if sys.stdin in readable:
            return
        for wire, way in ways.items():
            if wire in readable:
                count = forward(wire, way, waiting, count)
        while waiting and waiting[0][0] <= time.monotonic():
            _, _, target, frame = heapq.heappop(waiting)
            try:
                target.send(frame)
            except OSError:
                pass  # a frame that the link does not take is lost


if __name__ == "__main__":
    main()
