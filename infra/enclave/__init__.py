"""Attested enclaves: their documents, and what a key service seals to a measured image.

Read `document` first, then `verification`: what a document says, and when it is believed.
"""
