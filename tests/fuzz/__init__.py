"""Fuzzing with atheris (libFuzzer for Python): `make fuzz`.

pytest collects none of it; only the target installs atheris.
"""
