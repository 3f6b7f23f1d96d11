"""Django admin: the platform operator's own view, past the tenant filter."""
