"""GPTQ with SDClip, column by column in float64: every rounding error is fed into the columns still to come."""

import torch
from torch import Tensor


def row_scales(w: Tensor, bits: int, sigmas: float) -> Tensor:
    """Step of each row, fp16: `sigmas` unbiased standard deviations over the largest integer."""
    return (sigmas * w.float().std(dim=1) / (2 ** (bits - 1) - 1)).half()


def quantize(w: Tensor, hessian: Tensor, bits: int, sigmas: float, damp: float) -> tuple[Tensor, Tensor]:
    """Integers [rows, columns] and fp16 scales [rows] of matrix `w`, given `hessian` = Σ x xᵀ of its inputs."""
    scales = row_scales(w, bits, sigmas)
    most = 2 ** (bits - 1) - 1
    w, h = w.double().clone(), hessian.double().clone()
    for j in range(len(h)):
        if h[j, j] == 0:
            h[j, j] = 1
            w[:, j] = 0
    h += torch.eye(len(h), dtype=h.dtype) * damp * h.diagonal().mean()
    order = torch.argsort(h.diagonal(), descending=True, stable=True)
    w, h = w[:, order], h[order][:, order]
    upper = torch.linalg.cholesky(torch.linalg.inv(h)).T  # inverse = upperᵀ · upper
    q = torch.zeros_like(w)
    for j in range(w.shape[1]):
        for row, scale in enumerate(scales.double()):
            if scale > 0:
                q[row, j] = torch.clamp(torch.round(w[row, j] / scale), -most, most)
        error = (w[:, j] - q[:, j] * scales.double()) / upper[j, j]
        for later in range(j + 1, w.shape[1]):
            w[:, later] -= error * upper[j, later]
    back = torch.empty_like(q)
    back[:, order] = q
    return back.to(torch.int8), scales
