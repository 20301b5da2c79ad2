"""What the families of chat completions and messages share about models' texts: finding in them what is not text.

Calls that a parser should have taken out, thoughts, stop strings, halves of names; found while a text comes in pieces.
"""
