"""Rates that others refer to: of tax, of shipping."""

from stripe_sandbox.engine.plain import plain

tax_rates = plain(
    "tax_rate",
    "/v1/tax_rates",
    id_prefix="txr",
    takes="active country description display_name inclusive jurisdiction metadata percentage state"
    " tax_type",
    active=True,
)
shipping_rates = plain(
    "shipping_rate",
    "/v1/shipping_rates",
    id_prefix="shr",
    takes="active delivery_estimate display_name fixed_amount metadata tax_behavior tax_code type",
    active=True,
    type="fixed_amount",
)
