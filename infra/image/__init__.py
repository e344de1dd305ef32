"""The enclave image: how it is built, measured, listed and released.

What goes in is pinned (`inputs`), the two ramdisks (`ramdisks`, `cpio`) and the file around them
(`eif`) are functions of their contents alone, `registers` says what the security module will say of
an image, and `release` is the signed statement that names it.
"""
