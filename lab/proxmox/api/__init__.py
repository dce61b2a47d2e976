"""The API's methods, one module a part of its tree."""
