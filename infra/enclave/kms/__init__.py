"""What a key service seals to a measured image, and how an operator destroys it.

`data_keys` gets keys from the service, `sealing` seals files under them, `policy` says who may ask
for them, `leaving` destroys them. Modules named `insecure_*` are the service of sandboxes.
"""
