"""Fuzzing with atheris (libFuzzer for Python): `make fuzz`, which alone installs it."""
