"""Objects that somebody else keeps for an enclave, which has no disk.

`port` says what is asked of a store, `folder` and `s3` ask it of a directory and of S3. A store is
trusted with nothing: what it gives is opened, compared and asked about above (ADR "State lives as
sealed objects").
"""
