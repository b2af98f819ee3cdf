"""The pages a customer sees in a browser."""
