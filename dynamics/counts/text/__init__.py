"""Texts: files, lines, words, vocabularies, and sentences that are made up."""
