"""Stripe's customer portal: links to it, and its configuration as code."""

from payments.domains.portal.api import router
from payments.domains.portal.configuration import ensure_configuration, plan_configuration

__all__ = ["ensure_configuration", "plan_configuration", "router"]
