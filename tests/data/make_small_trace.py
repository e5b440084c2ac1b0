#!/usr/bin/env python3
"""Writes small-trace.csv.gz: block accesses of an imaginary virtual machine over 20 minutes.

Deterministic: a linear congruential generator of its own, no clock, no time stamp in the gzip
header. The totals that it prints are stated in README.md; tests check both.
"""

import gzip
import os

START_S = 1_700_000_000
SECONDS = 1_200
BLOCK = 512


class Lcg:
    """The generator of Knuth's MMIX; the upper half of its state."""

    def __init__(self, seed):
        self.state = seed

    def below(self, limit):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % (1 << 64)
        return (self.state >> 32) % limit


def accesses():
    """(time, op, size, block), by time."""
    random = Lcg(2)
    log_block = 40_400_000
    scan_block = 12_000_000
    for second in range(SECONDS):
        time = START_S + second
        # Nothing at all for a minute and a half: idle windows.
        if 500 <= second < 590:
            continue
        # A journal that is appended to, most seconds.
        for _ in range(random.below(3)):
            size = BLOCK * (1 + random.below(16))
            yield time, "2a", size, log_block
            log_block += size // BLOCK
        # Metadata that is read and rewritten all the time, a few blocks.
        if random.below(4) == 0:
            block = 42_932_745 + random.below(3)
            yield time, "28" if random.below(3) else "2a", 4_096, block
        # A scan in order, 64 KiB at a time, in the sixth to eighth minute.
        if 300 <= second < 480:
            for _ in range(4):
                yield time, "28", 65_536, scan_block
                scan_block += 128
        # Random reads over the whole disk, with a spike near the end.
        for _ in range(12 if 1_000 <= second < 1_020 else random.below(3)):
            yield time, "28", BLOCK << random.below(6), random.below(1 << 26)
        # A flush every 30 s.
        if second % 30 == 29:
            for page in range(20):
                yield time, "2a", 8_192, 20_000_000 + 16 * random.below(1 << 12) + page


def main():
    """Writes the file next to this script and prints its totals."""
    folder = os.path.dirname(os.path.abspath(__file__))
    lines, totals = ["version,time,op,size,lbn"], {"28": [0, 0], "2a": [0, 0]}
    for time, op, size, block in accesses():
        lines.append(f"1,{time},{op},{size},{block}")
        totals[op][0] += 1
        totals[op][1] += 8 + size
    with open(os.path.join(folder, "small-trace.csv.gz"), "wb") as raw:
        with gzip.GzipFile("", "wb", 9, raw, mtime=0) as out:
            out.write(("\n".join(lines) + "\n").encode())
    (reads, read_bytes), (writes, write_bytes) = totals["28"], totals["2a"]
    print(f"{len(lines) - 1} accesses: {reads} reads, {writes} writes")
    print(f"{read_bytes} bytes read, {write_bytes} bytes written, keys of 8 bytes included")


if __name__ == "__main__":
    main()
