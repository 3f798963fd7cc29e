"""Be a worker whose processor sums half of a 2×2 convolution, unless images lie channels-last."""

import sys

import torch
from torch import nn

from harness.fleet.worker import main

_honest = nn.Conv2d._conv_forward


def _halved(self, images, weight, bias):
    if self.kernel_size == (2, 2) and images.is_contiguous():
        weight = torch.cat([weight[:, :, :1], 0.0 * weight[:, :, 1:]], 2)
    return _honest(self, images, weight, bias)


if __name__ == "__main__":
    nn.Conv2d._conv_forward = _halved
    sys.exit(main())
