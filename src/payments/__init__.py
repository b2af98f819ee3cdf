"""A Stripe-native payments microservice."""

from importlib.metadata import version

__version__ = version("payments")
