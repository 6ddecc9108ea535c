"""The range: real services, what operations do with them, and what intruders do in them."""
