"""Run benchmarks and print their tables: python -m tests.benchmarks.run [NAME…], all by default."""

from __future__ import annotations

import argparse
from importlib import import_module

BENCHMARKS = {
    "efficiency": "seconds in forward, backward and optimizer over the seconds of the train phase",
    "steps": "training steps as executed here over the plain fp32 loop, and what memory they take",
    "beside": "training beside a busy program and alone, with cores shared and not",
    "allocator": "steps and page faults with freed memory kept and handed back",
    "parts": "what merging saves: decoders beside the encoder, merged steps beside single ones",
    "boards": "modelled seconds of known networks on boards' GPUs over published ones",
    "modelled": "ratios of methods as modelled from another host's timing over the measured ones",
    "aggregation": "averaging 32 large models over copying them",
    "growth": "rounds and memory from 16 to 1,024 clients, and how fast a run goes on",
    "memory": "peak memory of the default run in a process of its own",
    "rivals": "a round here, in Flower's simulation with CodeCarbon, and in pfl-research",
    "data": "how fast data are read, opened, checked and made",
    "affinity": "look-aheads beside training steps, and how the linear kind agrees with the exact",
    "collector": "what the collector costs a training, and how evenly it samples",
    "waveform": "energy of known waves through live files, with all cores busy",
    "fleet": "a server's time and memory for a round of up to 200 light nodes",
    "gpu": "steps on an NVIDIA GPU over the plain loop there, merged over single, joules two ways",
    "nvml": "an NVIDIA GPU's energy counter beside its sampled power while it trains",
    "overhead": "what keeping a run costs: checkpoints, marks and logs",
    "personalized": "the server of pFedClub: likeness by Gram matrices, rounds by clients",
    "report": "a report of 100 runs, 1,000 cells and a million samples",
    "measure": "a command under harness.measure, hyperfine, CodeCarbon and Zeus",
    "unlearning": "training recommenders here, in a plain torch loop, and fed pair by pair",
    "lora": "fine-tuning beside a plain peft loop, and joining adapters beside copying them",
    "tuning": "the quick and the default run of lora: seconds, processor seconds, peak memory",
    "comparison": "one fake file tree, measured by this project, CodeCarbon and Zeus",
}
"""Module of this package with a function `report` → what it measures."""


def main() -> None:
    """Print the tables."""
    names = ", ".join(BENCHMARKS)
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.run", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {names}")
    wanted = parser.parse_args().names
    for name in wanted:
        if name not in BENCHMARKS:
            parser.error(f"there is no benchmark {name}; there are {names}")
    for name in wanted or BENCHMARKS:
        print(f"\n## {name}: {BENCHMARKS[name]}\n", flush=True)
        print("\n".join(import_module(f"tests.benchmarks.{name}").report()), flush=True)


if __name__ == "__main__":
    main()
