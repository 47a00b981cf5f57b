"""Architectures as PyTorch modules: to build, to train, and to take the weights of. Needs PyTorch."""

from lts.networks.network import Network, load_network, weights_of

__all__ = ["Network", "load_network", "weights_of"]
