"""Search algorithms compared on published tables, by budget and seed."""
