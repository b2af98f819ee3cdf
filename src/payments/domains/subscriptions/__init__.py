"""Subscriptions: one live one per user and plan group, mirrored wherever they were made."""

from fastapi import APIRouter

from payments.domains.subscriptions import api, summary
from payments.domains.subscriptions.following import roots, settle
from payments.domains.subscriptions.letters import CHORE
from payments.domains.subscriptions.payable import Plans
from payments.domains.subscriptions.tables import SUBSCRIPTION

RESOURCES = (SUBSCRIPTION,)
PAYABLES = (Plans(),)
CHORES = (CHORE,)

router = APIRouter()
router.include_router(api.router)
router.include_router(summary.router)

__all__ = ["CHORES", "PAYABLES", "RESOURCES", "roots", "router", "settle"]
