"""The packages that a trainer imports where it runs, beside torch.

They are named here once: for the machines that seeds run on, for a submission's instructions, and for the doctor.
And the package that a machine fetches a dataset with.
"""

from collections.abc import Mapping
from itertools import chain

ALWAYS = ("numpy", "sentencepiece", "brotli")
HUB = "huggingface_hub>=1,<3"
OF_CODEC = {"ans": ("constriction>=0.5,<0.6",)}


def packages_of(*trainers: Mapping[str, object]) -> tuple[str, ...]:
    """The packages, as pip takes them, that trainers need beside torch, each given by its knobs.

    Examples
    --------
    >>> packages_of({"compressor": "ans"})
    ('numpy', 'sentencepiece', 'brotli', 'constriction>=0.5,<0.6')
    """
    of_codecs = (OF_CODEC.get(str(knobs.get("compressor")), ()) for knobs in trainers)
    return tuple(dict.fromkeys((*ALWAYS, *chain(*of_codecs))))
