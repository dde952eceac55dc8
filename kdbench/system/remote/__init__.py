"""Folders on an object store or another machine: `s3://bucket/prefix`, or any URL of fsspec.

A command works in a mirror, a folder on this machine with the same layout. What it reads is fetched
first, and what it has written is published, so that a reader never sees half of it.
"""
