"""Subscriptions: one live one per user and plan group, mirrored wherever they were made."""

from payments.domains.subscriptions.tables import SUBSCRIPTION

RESOURCES = (SUBSCRIPTION,)

__all__ = ["RESOURCES"]
