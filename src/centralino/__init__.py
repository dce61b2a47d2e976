"""Centralino: a multi-tenant cloud PBX as code."""
