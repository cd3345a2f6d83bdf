"""The packages of the wheel: in it, the repository's folders `flows/` and `runpod/` are parts of `pgolf`."""

from setuptools import find_namespace_packages, setup

MAPPED = {"pgolf.flows": "flows", "pgolf.pods.scripts": "runpod"}

setup(packages=[*find_namespace_packages(include=["pgolf*"]), *MAPPED], package_dir=MAPPED)
