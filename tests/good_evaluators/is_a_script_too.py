"""Can be run as a script, ends with `sys.exit(main())`, and reads its options by argparse."""

import argparse
import sys

import torch
from base import Evaluator


def options(arguments=()):
    parser = argparse.ArgumentParser()
    parser.add_argument("--rate", type=float, default=0.5)
    return parser.parse_args(arguments)


def make_evaluator():
    evaluator = Evaluator()
    evaluator.rate = options().rate
    return evaluator


def main():
    tokens = torch.randint(64, (1000,), generator=torch.Generator().manual_seed(0))
    print(sum(float(losses.sum()) for _, losses, _ in make_evaluator()(tokens)) / 999)


if __name__ == "__main__":
    sys.exit(main())
