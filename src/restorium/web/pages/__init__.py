"""The pages: one module a kind of thing."""
