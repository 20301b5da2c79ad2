"""What the families of chat completions and messages share of the texts of models: what stands in them that is none.

Calls that a parser should have taken out, thoughts, stop strings, halves of names; found while a text comes in pieces.
"""
