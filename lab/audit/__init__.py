"""The lab cluster looked at from outside, by tools that nobody here wrote: ``make audit``."""
