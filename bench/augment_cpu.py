"""`make bench`: the measurement behind results/bench_cpu.json, with whichever other libraries are installed."""

import sys

from augury.cli import main

if __name__ == "__main__":
    sys.exit(main(["bench", "--device", "cpu", "--peers", "--output", "bench-results", *sys.argv[1:]]))
