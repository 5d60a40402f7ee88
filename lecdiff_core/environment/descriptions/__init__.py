"""Descriptions of chips by a language model, or offline by what can be measured."""
