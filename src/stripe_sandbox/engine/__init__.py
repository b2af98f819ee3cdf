"""The machine under every resource: state, transactions, calls, lists, keys, time, delivery."""
