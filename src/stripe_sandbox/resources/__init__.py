"""One module for each group of Stripe's objects; every `Resource` in them is found by itself."""
