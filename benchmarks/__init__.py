"""The package beside s5cmd, rclone, the official SDK and S3Hook, on the same data in the same minutes: ``make bench``.

Nothing here is imported by the package, and nothing but the standard library is loaded with this one: its clients run
in two environments.
"""
