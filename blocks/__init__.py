"""Prefect blocks: typed settings; the only place where flows choose adapters."""

from blocks.platform import LocalPlatform, PlatformBlock, open_platform

__all__ = ["LocalPlatform", "PlatformBlock", "open_platform"]
