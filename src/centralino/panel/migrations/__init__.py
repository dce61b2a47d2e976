"""The steps by which the database came to be what the models say."""
