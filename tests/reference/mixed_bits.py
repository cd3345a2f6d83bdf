"""Steps of rows by what their errors cost: token by token, column by column, in float64."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from reference.model import hidden_states


def gradient_squares(tokens: Tensor, labels: Tensor, named: dict[str, Tensor], model: dict, shape: dict) -> dict:
    """Squares of the gradient of the mean loss on sequences `[B, T]`, summed over each row of each matrix."""
    loss, cap = torch.zeros((), dtype=torch.float64), shape["logit_softcap"]
    for sequence, wanted in zip(tokens, labels, strict=True):
        for state, label in zip(hidden_states(sequence, model, shape, shape["looping"]), wanted, strict=True):
            logits = cap * torch.tanh(model["embedding"] @ state / cap)
            loss = loss + F.cross_entropy(logits[None], label[None]) / labels.numel()
    loss.backward()
    return {n: (p.grad**2).sum(1) for n, p in named.items() if p.ndim == 2 and p.grad is not None}


def unexplained(h: np.ndarray) -> list[float]:
    """What of each input those before it do not tell: D of H = A·D·Aᵀ, eliminating from the last column."""
    h, found = h.astype(np.float64).copy(), []
    for j in range(len(h) - 1, -1, -1):
        found.append(h[j, j])
        h[:j, :j] -= np.outer(h[:j, j], h[j, :j]) / h[j, j]
    return found


def spreads(squares: dict, hessians: dict, weights: dict, damp: float, power: float) -> dict[str, np.ndarray]:
    """What stands for the standard deviation of each row; over all weights the mean logarithm stays what it was."""
    found, logs = {}, []
    for name, h in hessians.items():
        h = h + np.eye(len(h)) * damp * np.mean(np.diag(h))
        d = np.exp(np.mean(np.log(unexplained(h))))
        stds = [np.std(row, ddof=1) for row in weights[name]]
        pairs = zip(squares[name], stds, strict=True)
        found[name] = np.array([(s / np.trace(h) * d) ** (-0.5 * power) * std ** (1 - power) for s, std in pairs])
        for spread, std in zip(found[name], stds, strict=True):
            logs += [np.log(spread) - np.log(std)] * len(h)
    return {name: s / np.exp(np.mean(logs)) for name, s in found.items()}
