"""Thousands of scans: screened by many processes on one machine or a cluster, kept in one table."""
