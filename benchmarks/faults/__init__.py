"""The fault matrix: this package and its peers against an S3 server that errs on purpose. `make fault-matrix`."""
