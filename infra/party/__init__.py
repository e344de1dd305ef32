"""What every party runs: a verified copy of the log, the state it folds into, blobs and peers."""
